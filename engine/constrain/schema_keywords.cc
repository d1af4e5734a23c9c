// Reading the keywords of one subschema.
#include <algorithm>
#include <cmath>
#include <memory>

#include "absl/strings/str_cat.h"
#include "engine/constrain/formats.h"
#include "engine/constrain/regex.h"
#include "engine/constrain/schema_error.h"
#include "engine/constrain/schema_shapes.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr uint32_t kMaxMinLength = 1'000'000;
constexpr uint32_t kMaxItems = 10'000;
constexpr uint32_t kMaxProperties = 10'000;
constexpr uint32_t kMaxMultiple = 1'000'000'000;

// Says nothing about which documents are valid.
constexpr std::string_view kAnnotations[] = {
    "title",      "description", "default",   "examples", "example",     "$schema", "$comment",
    "deprecated", "readOnly",    "writeOnly", "$defs",    "definitions", "$anchor", "discriminator",
};

struct TypeName {
  std::string_view name;
  uint8_t bits;
};
constexpr TypeName kTypes[] = {
    {"null", kNull},       {"boolean", kBoolean},
    {"integer", kInteger}, {"number", kInteger | kFraction},
    {"string", kString},   {"array", kArray},
    {"object", kObject},
};

std::optional<uint8_t> BitsOfType(const SchemaJson& name) {
  if (!name.is_string()) return std::nullopt;
  for (const TypeName& type : kTypes) {
    if (name.get_ref<const std::string&>() == type.name) return type.bits;
  }
  return std::nullopt;
}

}  // namespace

// One subschema's keywords, one after the other.
class KeywordReader {
 public:
  KeywordReader(SchemaShapes& shapes, SchemaId id)
      : shapes_(shapes), id_(id), node_(shapes.nodes_[id]) {}

  absl::StatusOr<SchemaShapes::Keywords> Read() {
    if (node_.json->is_boolean()) {
      if (!node_.json->get<bool>()) out_.own.types = 0;
      return std::move(out_);
    }
    if (!node_.json->is_object()) {
      return SchemaError(shapes_.PointerOf(id_), "a schema is an object or a boolean");
    }
    for (const auto& [name, value] : node_.json->items()) {
      HEARTH_RETURN_IF_ERROR(shapes_.budget_.Spend(32));
      HEARTH_RETURN_IF_ERROR(ReadOne(name, value));
    }
    HEARTH_RETURN_IF_ERROR(Finish());
    return std::move(out_);
  }

 private:
  using ReadKeyword = absl::Status (KeywordReader::*)(const std::string& name,
                                                      const SchemaJson& value);
  struct Row {
    std::string_view name;
    ReadKeyword read;
  };

  absl::Status ReadOne(const std::string& name, const SchemaJson& value) {
    static constexpr Row kKeywords[] = {
        {"type", &KeywordReader::Type},
        {"enum", &KeywordReader::Enum},
        {"const", &KeywordReader::Const},
        {"$ref", &KeywordReader::Ref},
        {"allOf", &KeywordReader::AllOf},
        {"anyOf", &KeywordReader::AnyOf},
        {"oneOf", &KeywordReader::OneOf},
        {"minLength", &KeywordReader::MinLength},
        {"maxLength", &KeywordReader::MaxLength},
        {"pattern", &KeywordReader::Pattern},
        {"format", &KeywordReader::Format},
        {"minimum", &KeywordReader::Bound},
        {"maximum", &KeywordReader::Bound},
        {"exclusiveMinimum", &KeywordReader::Bound},
        {"exclusiveMaximum", &KeywordReader::Bound},
        {"multipleOf", &KeywordReader::MultipleOf},
        {"prefixItems", &KeywordReader::PrefixItems},
        {"items", &KeywordReader::Items},
        {"additionalItems", &KeywordReader::AdditionalItems},
        {"minItems", &KeywordReader::MinItems},
        {"maxItems", &KeywordReader::MaxItems},
        {"uniqueItems", &KeywordReader::UniqueItems},
        {"properties", &KeywordReader::Properties},
        {"patternProperties", &KeywordReader::PatternProperties},
        {"additionalProperties", &KeywordReader::AdditionalProperties},
        {"propertyNames", &KeywordReader::PropertyNames},
        {"required", &KeywordReader::Required},
        {"minProperties", &KeywordReader::MinProperties},
        {"maxProperties", &KeywordReader::MaxProperties},
        {"$id", &KeywordReader::Identifier},
    };
    for (const Row& row : kKeywords) {
      if (row.name == name) return (this->*row.read)(name, value);
    }
    if (name.rfind("x-", 0) == 0) return absl::OkStatus();
    for (const std::string_view annotation : kAnnotations) {
      if (annotation == name) return absl::OkStatus();
    }
    return Error(name, "this keyword is not supported");
  }

  absl::Status Error(std::string_view keyword, std::string_view problem) const {
    return shapes_.Error(id_, keyword, problem);
  }

  // `status`, which says what is wrong with the value of a keyword.
  absl::Status ErrorOf(std::string_view keyword, const absl::Status& status) const {
    return Error(keyword, std::string(status.message()));
  }

  absl::StatusOr<std::vector<SchemaId>> Children(const std::string& keyword,
                                                 const SchemaJson& value) {
    if (!value.is_array()) return Error(keyword, "expected an array of schemas");
    std::vector<SchemaId> children;
    for (const SchemaJson& member : value) {
      HEARTH_RETURN_IF_ERROR(shapes_.budget_.Spend(32, 64));
      children.push_back(shapes_.IdOf(member));
    }
    return children;
  }

  // A count: an integer from 0, also when written as 2.0. What is larger than any document counts
  // as UINT32_MAX - 1.
  absl::StatusOr<uint32_t> Count(const std::string& name, const SchemaJson& value) {
    constexpr uint32_t kMost = UINT32_MAX - 1;
    if (value.is_number_unsigned()) {
      return static_cast<uint32_t>(std::min<uint64_t>(value.get<uint64_t>(), kMost));
    }
    if (value.is_number_integer() && value.get<int64_t>() >= 0) {
      return static_cast<uint32_t>(std::min<int64_t>(value.get<int64_t>(), kMost));
    }
    if (value.is_number_float()) {
      const double number = value.get<double>();
      if (number >= 0 && number == std::floor(number)) {
        return static_cast<uint32_t>(std::min<double>(number, kMost));
      }
    }
    return Error(name, "expected an integer, at least 0");
  }
  absl::StatusOr<uint32_t> Count(const std::string& name, const SchemaJson& value, uint32_t most) {
    HEARTH_ASSIGN_OR_RETURN(const uint32_t count, Count(name, value));
    if (count > most) return Error(name, absl::StrCat("at most ", most, " is supported"));
    return count;
  }

  absl::Status Type(const std::string& name, const SchemaJson& value) {
    out_.own.types = 0;
    if (!value.is_array()) return AddType(name, value);
    for (const SchemaJson& type : value) HEARTH_RETURN_IF_ERROR(AddType(name, type));
    return absl::OkStatus();
  }
  absl::Status AddType(const std::string& name, const SchemaJson& type) {
    const std::optional<uint8_t> bits = BitsOfType(type);
    if (!bits) {
      return Error(name, "expected null, boolean, integer, number, string, array or object");
    }
    out_.own.types |= *bits;
    return absl::OkStatus();
  }

  absl::Status Enum(const std::string& name, const SchemaJson& value) {
    if (!value.is_array()) return Error(name, "expected an array");
    HEARTH_RETURN_IF_ERROR(shapes_.budget_.Spend(static_cast<int64_t>(value.size()) * 4,
                                                 static_cast<int64_t>(value.size()) * 16));
    Shape::Values values;
    for (const SchemaJson& member : value) values.push_back(&member);
    return AddValues(std::move(values));
  }
  absl::Status Const(const std::string&, const SchemaJson& value) { return AddValues({&value}); }
  // "enum" and "const" may both be there.
  absl::Status AddValues(Shape::Values values) {
    Shape other;
    other.values = std::make_shared<const Shape::Values>(std::move(values));
    return shapes_.Merge(out_.own, other).status();
  }

  absl::Status Ref(const std::string& name, const SchemaJson& value) {
    if (!value.is_string()) return Error(name, "expected a string");
    HEARTH_ASSIGN_OR_RETURN(const SchemaId target,
                            shapes_.Resolve(id_, value.get_ref<const std::string&>()));
    out_.all.push_back(target);
    return absl::OkStatus();
  }

  absl::Status AllOf(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(const std::vector<SchemaId> children, Children(name, value));
    out_.all.insert(out_.all.end(), children.begin(), children.end());
    return absl::OkStatus();
  }
  absl::Status AnyOf(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(std::vector<SchemaId> children, Children(name, value));
    if (children.empty()) return Error(name, "expected at least one schema");
    out_.any.push_back(std::move(children));
    return absl::OkStatus();
  }
  absl::Status OneOf(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(out_.one, Children(name, value));
    if (out_.one.empty()) return Error(name, "expected at least one schema");
    out_.any.push_back(out_.one);
    return absl::OkStatus();
  }

  absl::Status MinLength(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(out_.own.min_length, Count(name, value, kMaxMinLength));
    return absl::OkStatus();
  }
  absl::Status MaxLength(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(out_.own.max_length, Count(name, value));
    return absl::OkStatus();
  }
  absl::Status Pattern(const std::string& name, const SchemaJson& value) {
    if (!value.is_string()) return Error(name, "expected a string");
    auto text = shapes_.Pattern(value.get_ref<const std::string&>());
    if (!text.ok()) return ErrorOf(name, text.status());
    out_.own.texts.push_back(*std::move(text));
    return absl::OkStatus();
  }
  absl::Status Format(const std::string& name, const SchemaJson& value) {
    if (!value.is_string()) return Error(name, "expected a string");
    auto text = TextOfFormat(value.get_ref<const std::string&>());
    if (!text.ok()) return ErrorOf(name, text.status());
    out_.own.texts.push_back(*std::move(text));
    return absl::OkStatus();
  }

  absl::Status Bound(const std::string& name, const SchemaJson& value) {
    if (!value.is_number()) return Error(name, "expected a number");
    auto decimal = Decimal::Parse(JsonText(value));
    if (!decimal.ok()) return ErrorOf(name, decimal.status());
    const bool low = name == "minimum" || name == "exclusiveMinimum";
    const bool exclusive = name[0] == 'e';
    Shape other;
    (low ? other.low : other.high) = NumberBound{*std::move(decimal), exclusive};
    return shapes_.Merge(out_.own, other).status();
  }
  absl::Status MultipleOf(const std::string& name, const SchemaJson& value) {
    if (!value.is_number() || value.get<double>() <= 0) {
      return Error(name, "expected a number greater than 0");
    }
    const double number = value.get<double>();
    if (number != std::floor(number) || number > kMaxMultiple) {
      return Error(name, absl::StrCat("only integers up to ", kMaxMultiple, " are supported"));
    }
    const auto divisor = static_cast<uint32_t>(number);
    const absl::Status supported = CheckMultipleOf(divisor, shapes_.budget_);
    if (!supported.ok()) return ErrorOf(name, supported);
    out_.own.multiple_of = divisor;
    integers_only_ = true;
    return absl::OkStatus();
  }

  ItemsKeywords& OwnItems() {
    if (out_.own.items.empty()) {
      shapes_.items_.emplace_back();
      out_.own.items.push_back(&shapes_.items_.back());
    }
    return shapes_.items_.back();
  }
  absl::Status PrefixItems(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(OwnItems().prefix, Children(name, value));
    return absl::OkStatus();
  }
  // Up to draft 2019-09 an array here is what prefixItems is now, and additionalItems the rest.
  absl::Status Items(const std::string& name, const SchemaJson& value) {
    if (value.is_array()) return PrefixItems(name, value);
    OwnItems().rest = shapes_.IdOf(value);
    return absl::OkStatus();
  }
  absl::Status AdditionalItems(const std::string&, const SchemaJson& value) {
    const auto items = node_.json->find("items");
    if (items != node_.json->end() && items->is_array()) OwnItems().rest = shapes_.IdOf(value);
    return absl::OkStatus();
  }
  absl::Status MinItems(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(out_.own.min_items, Count(name, value, kMaxItems));
    return absl::OkStatus();
  }
  absl::Status MaxItems(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(out_.own.max_items, Count(name, value, kMaxItems));
    return absl::OkStatus();
  }
  absl::Status UniqueItems(const std::string& name, const SchemaJson& value) {
    if (!value.is_boolean()) return Error(name, "expected a boolean");
    if (!value.get<bool>()) return absl::OkStatus();
    return Error(name, "this keyword is not supported");
  }

  PropertiesKeywords& OwnProperties() {
    if (out_.own.properties.empty()) {
      shapes_.properties_.emplace_back();
      out_.own.properties.push_back(&shapes_.properties_.back());
    }
    return shapes_.properties_.back();
  }
  absl::Status Properties(const std::string& name, const SchemaJson& value) {
    if (!value.is_object()) return Error(name, "expected an object of schemas");
    PropertiesKeywords& own = OwnProperties();
    for (const auto& [key, schema] : value.items()) {
      HEARTH_RETURN_IF_ERROR(shapes_.budget_.Spend(64, static_cast<int64_t>(key.size()) * 4 + 256));
      own.named.push_back({key, shapes_.IdOf(schema)});
      own.by_name.emplace(own.named.back());
    }
    return absl::OkStatus();
  }
  absl::Status PatternProperties(const std::string& name, const SchemaJson& value) {
    if (!value.is_object()) return Error(name, "expected an object of schemas");
    PropertiesKeywords& own = OwnProperties();
    for (const auto& [pattern, schema] : value.items()) {
      auto text = shapes_.Pattern(pattern);
      if (!text.ok()) {
        return SchemaError(PointerTo(PointerTo(shapes_.PointerOf(id_), name), pattern),
                           std::string(text.status().message()));
      }
      own.patterns.push_back({*std::move(text), shapes_.IdOf(schema)});
    }
    return absl::OkStatus();
  }
  absl::Status AdditionalProperties(const std::string&, const SchemaJson& value) {
    OwnProperties().additional = shapes_.IdOf(value);
    return absl::OkStatus();
  }
  absl::Status PropertyNames(const std::string&, const SchemaJson& value) {
    names_ = shapes_.IdOf(value);
    return absl::OkStatus();
  }
  absl::Status Required(const std::string& name, const SchemaJson& value) {
    if (!value.is_array()) return Error(name, "expected an array of strings");
    for (const SchemaJson& member : value) {
      if (!member.is_string()) return Error(name, "expected an array of strings");
      HEARTH_RETURN_IF_ERROR(shapes_.budget_.Spend(16, 16));
      out_.own.required.push_back(&member.get_ref<const std::string&>());
    }
    return absl::OkStatus();
  }
  absl::Status MinProperties(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(out_.own.min_properties, Count(name, value, kMaxProperties));
    out_.own.min_properties_at = id_;
    return absl::OkStatus();
  }
  absl::Status MaxProperties(const std::string& name, const SchemaJson& value) {
    HEARTH_ASSIGN_OR_RETURN(out_.own.max_properties, Count(name, value, kMaxProperties));
    return absl::OkStatus();
  }

  absl::Status Identifier(const std::string& name, const SchemaJson&) {
    if (id_ == shapes_.root()) return absl::OkStatus();
    return Error(name, "schemas within schemas are not supported");
  }

  // What depends on several keywords, whose order is free.
  absl::Status Finish() {
    if (integers_only_) out_.own.types &= static_cast<uint8_t>(~kFraction);
    if (!names_) return absl::OkStatus();
    HEARTH_ASSIGN_OR_RETURN(const auto* shapes, shapes_.Of({*names_}));
    std::vector<const Shape*> strings;
    for (const Shape& shape : *shapes) {
      if (shape.types & kString) strings.push_back(&shape);
    }
    if (strings.size() > 1) return Error("propertyNames", "alternatives are not supported here");
    if (strings.empty()) {
      out_.own.max_properties = 0;
      return absl::OkStatus();
    }
    auto names = TextsOf(*strings[0]);
    if (!names.ok()) return ErrorOf("propertyNames", names.status());
    if ((*names)->counted() && (*names)->min() == 0 && (*names)->max() == TextDfa::kUnbounded) {
      return absl::OkStatus();
    }
    out_.own.names.push_back(*std::move(names));
    return absl::OkStatus();
  }

  // The strings that meet the shape.
  absl::StatusOr<SharedText> TextsOf(const Shape& shape) {
    if (!shape.values) {
      return Intersect(shape.texts, {}, shape.min_length, shape.max_length, shapes_.budget_);
    }
    std::vector<std::string> texts;
    for (const SchemaJson* value : *shape.values) {
      HEARTH_ASSIGN_OR_RETURN(const bool meets, shapes_.MeetsRest(shape, *value));
      if (meets && value->is_string()) texts.push_back(value->get<std::string>());
    }
    return OneOfTexts(texts, shapes_.budget_);
  }

  SchemaShapes& shapes_;
  const SchemaId id_;
  const SchemaShapes::Node& node_;
  SchemaShapes::Keywords out_;
  bool integers_only_ = false;
  std::optional<SchemaId> names_;
};

absl::Status SchemaShapes::ReadKeywords(SchemaId id) {
  if (nodes_[id].keywords) return absl::OkStatus();
  HEARTH_RETURN_IF_ERROR(budget_.Spend(64, sizeof(Node) + sizeof(Keywords)));
  HEARTH_ASSIGN_OR_RETURN(Keywords keywords, KeywordReader(*this, id).Read());
  nodes_[id].keywords = std::make_unique<const Keywords>(std::move(keywords));
  return absl::OkStatus();
}

absl::StatusOr<SharedText> SchemaShapes::Pattern(const std::string& pattern) {
  SharedText& text = patterns_[pattern];
  if (text == nullptr) {
    HEARTH_ASSIGN_OR_RETURN(text, CompileRegex(pattern, RegexMatch::kAnywhere, budget_));
  }
  return text;
}

}  // namespace hearth
