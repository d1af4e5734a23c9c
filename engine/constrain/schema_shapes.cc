#include "engine/constrain/schema_shapes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/constrain/schema_error.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr int kMaxExpansion = 64;    // $ref, allOf, anyOf, propertyNames one within the other
constexpr size_t kMaxShapes = 4096;  // of one subschema
constexpr int kMaxGlance = 4;        // properties within properties that IsPlainlyEmpty looks at

uint8_t TypeOf(const SchemaJson& value) {
  switch (value.type()) {
    case SchemaJson::value_t::null:
      return kNull;
    case SchemaJson::value_t::boolean:
      return kBoolean;
    case SchemaJson::value_t::number_integer:
    case SchemaJson::value_t::number_unsigned:
      return kInteger;
    case SchemaJson::value_t::number_float:
      return value.get<double>() == std::floor(value.get<double>()) ? kInteger : kFraction;
    case SchemaJson::value_t::string:
      return kString;
    case SchemaJson::value_t::array:
      return kArray;
    case SchemaJson::value_t::object:
      return kObject;
    default:
      return 0;
  }
}

uint32_t CharsIn(const std::string& utf8) {
  return static_cast<uint32_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

void Tighten(std::optional<NumberBound>& bound, const std::optional<NumberBound>& other,
             int tighter) {
  if (!other) return;
  const int order = bound ? other->value.Compare(bound->value) * tighter : 1;
  if (order > 0 || (order == 0 && other->exclusive)) bound = other;
}

bool AdmitsNumber(const Shape& shape, const Decimal& value) {
  if (shape.low) {
    const int order = value.Compare(shape.low->value);
    if (order < 0 || (order == 0 && shape.low->exclusive)) return false;
  }
  if (shape.high) {
    const int order = value.Compare(shape.high->value);
    if (order > 0 || (order == 0 && shape.high->exclusive)) return false;
  }
  if (shape.multiple_of == 1) return true;
  uint64_t remainder = 0;
  for (const char digit : value.whole)
    remainder = (remainder * 10 + digit - '0') % shape.multiple_of;
  return value.fraction.empty() && remainder == 0;
}

// Equality of JSON values: 1 is 1.0, the order of members does not matter.
absl::StatusOr<bool> JsonEquals(const SchemaJson& a, const SchemaJson& b, CompileBudget& budget);

absl::StatusOr<bool> ObjectsEqual(const SchemaJson& a, const SchemaJson& b, CompileBudget& budget) {
  absl::flat_hash_map<std::string_view, const SchemaJson*> members;
  for (const auto& [key, value] : b.get_ref<const SchemaJson::object_t&>()) {
    HEARTH_RETURN_IF_ERROR(budget.Spend(static_cast<int64_t>(key.size() / 8) + 32));
    members.emplace(key, &value);
  }
  for (const auto& [key, value] : a.get_ref<const SchemaJson::object_t&>()) {
    const auto other = members.find(key);
    if (other == members.end()) return false;
    HEARTH_ASSIGN_OR_RETURN(const bool equal, JsonEquals(value, *other->second, budget));
    if (!equal) return false;
  }
  return true;
}

absl::StatusOr<bool> JsonEquals(const SchemaJson& a, const SchemaJson& b, CompileBudget& budget) {
  HEARTH_RETURN_IF_ERROR(budget.Spend(1));
  if (a.type() != b.type() || !(a.is_structured() || a.is_string())) return a == b;
  if (a.size() != b.size()) return false;
  if (a.is_object()) return ObjectsEqual(a, b, budget);
  if (a.is_string()) {
    const auto& text = a.get_ref<const std::string&>();
    HEARTH_RETURN_IF_ERROR(budget.Spend(static_cast<int64_t>(text.size() / 16)));
    return text == b.get_ref<const std::string&>();
  }
  for (size_t i = 0; i < a.size(); ++i) {
    HEARTH_ASSIGN_OR_RETURN(const bool equal, JsonEquals(a[i], b[i], budget));
    if (!equal) return false;
  }
  return true;
}

}  // namespace

namespace {

bool IsPossible(const Shape& shape) {
  return shape.types != 0 && !(shape.values && shape.values->empty());
}

// Appends where `wanted` lies below `at`. Recurses as deep as the document nests.
bool AppendPlace(const SchemaJson& at, const SchemaJson& wanted, std::string& pointer) {
  if (&at == &wanted) return true;
  if (!at.is_structured()) return false;
  const size_t length = pointer.size();
  for (const auto& [key, child] : at.items()) {
    AppendToken(key, pointer);
    if (AppendPlace(child, wanted, pointer)) return true;
    pointer.resize(length);
  }
  return false;
}

}  // namespace

std::string JsonText(const SchemaJson& value) {
  if (value.is_number_float()) {  // 1.0 is an integer to JSON Schema, and is written as one
    const double number = value.get<double>();
    constexpr double kExact = 1LL << 53;
    if (std::trunc(number) == number && std::abs(number) < kExact) {
      return std::to_string(static_cast<int64_t>(number));
    }
  }
  return value.dump(-1, ' ', false, SchemaJson::error_handler_t::replace);
}

SchemaShapes::SchemaShapes(const SchemaJson& root, std::string_view pointer, CompileBudget& budget)
    : budget_(budget), root_(root), pointer_(pointer) {
  IdOf(root);
}

std::string SchemaShapes::PointerOf(SchemaId id) const {
  std::string pointer = pointer_;
  HEARTH_CHECK(AppendPlace(root_, *nodes_[id].json, pointer));
  return pointer;
}

absl::Status SchemaShapes::Error(SchemaId at, std::string_view keyword,
                                 std::string_view problem) const {
  return SchemaError(PointerTo(PointerOf(at), keyword), problem);
}

absl::StatusOr<const std::vector<Shape>*> SchemaShapes::Of(const Conjunction& all) {
  if (all.size() == 1) return Expand(all[0]);
  const auto known = conjunctions_.find(all);
  if (known != conjunctions_.end()) return &known->second;
  HEARTH_RETURN_IF_ERROR(budget_.Spend(64, static_cast<int64_t>(all.size() * sizeof(SchemaId))));
  std::vector<Shape> shapes(1);
  for (const SchemaId id : all) {
    HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* more, Expand(id));
    HEARTH_ASSIGN_OR_RETURN(shapes, Multiply(shapes, *more));
  }
  return &conjunctions_.emplace(all, std::move(shapes)).first->second;
}

absl::StatusOr<const std::vector<Shape>*> SchemaShapes::Expand(SchemaId id) {
  // A deque: nodes stay where they are while others are added.
  Node& node = nodes_[id];
  if (node.shapes) return &*node.shapes;
  if (node.expanding) {
    return SchemaError(PointerOf(id), "it refers to itself without anything in between");
  }
  if (expanding_ == kMaxExpansion) return SchemaError(PointerOf(id), "references nest too deep");
  node.expanding = true;
  ++expanding_;
  const absl::Status read = ReadKeywords(id);
  if (!read.ok()) {
    return SchemaErrorPointer(read) ? read
                                    : SchemaError(PointerOf(id), std::string(read.message()));
  }
  std::vector<Shape> shapes;
  if (IsPossible(node.keywords->own)) {
    HEARTH_ASSIGN_OR_RETURN(Shape own, Copy(node.keywords->own));
    shapes.push_back(std::move(own));
  }
  for (const SchemaId part : node.keywords->all) {
    HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* more, Expand(part));
    HEARTH_ASSIGN_OR_RETURN(shapes, Multiply(shapes, *more));
  }
  for (const std::vector<SchemaId>& any : node.keywords->any) {
    HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape> more, ExpandAny(any));
    HEARTH_ASSIGN_OR_RETURN(shapes, Multiply(shapes, more));
  }
  node.expanding = false;
  --expanding_;
  node.shapes = std::move(shapes);
  return &*node.shapes;
}

absl::StatusOr<std::vector<Shape>> SchemaShapes::ExpandAny(const std::vector<SchemaId>& any) {
  std::vector<Shape> shapes;
  for (const SchemaId id : any) {
    HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* more, Expand(id));
    for (const Shape& shape : *more) {
      HEARTH_ASSIGN_OR_RETURN(Shape copy, Copy(shape));
      shapes.push_back(std::move(copy));
    }
  }
  return shapes;
}

absl::StatusOr<Shape> SchemaShapes::Copy(const Shape& shape) {
  HEARTH_RETURN_IF_ERROR(budget_.Spend(shape.bytes() / 8, shape.bytes()));
  return shape;
}

absl::StatusOr<std::vector<Shape>> SchemaShapes::Multiply(const std::vector<Shape>& a,
                                                          const std::vector<Shape>& b) {
  std::vector<Shape> product;
  for (const Shape& left : a) {
    for (const Shape& right : b) {
      HEARTH_ASSIGN_OR_RETURN(const bool overlap, MayOverlap(left, right));
      if (!overlap) continue;
      HEARTH_ASSIGN_OR_RETURN(Shape both, Copy(left));
      HEARTH_ASSIGN_OR_RETURN(const bool possible, Merge(both, right));
      if (possible) product.push_back(std::move(both));
      if (product.size() > kMaxShapes) {
        return absl::InvalidArgumentError("too complex: anyOf and allOf multiply");
      }
    }
  }
  return product;
}

absl::StatusOr<bool> SchemaShapes::MayOverlap(const Shape& a, const Shape& b) {
  HEARTH_RETURN_IF_ERROR(budget_.Spend(1));
  if ((a.types & b.types) == 0) return false;
  if (!a.values || !b.values) return true;
  for (const SchemaJson* value : *a.values) {
    HEARTH_ASSIGN_OR_RETURN(const bool both, IsOneOf(*b.values, *value));
    if (both) return true;
  }
  return false;
}

// False when nothing can meet both.
absl::StatusOr<bool> SchemaShapes::Merge(Shape& a, const Shape& b) {
  HEARTH_RETURN_IF_ERROR(budget_.Spend(0, b.bytes() - static_cast<int64_t>(sizeof(Shape))));
  a.types &= b.types;
  a.min_length = std::max(a.min_length, b.min_length);
  a.max_length = std::min(a.max_length, b.max_length);
  a.texts.insert(a.texts.end(), b.texts.begin(), b.texts.end());
  Tighten(a.low, b.low, 1);
  Tighten(a.high, b.high, -1);
  const uint64_t multiple = std::lcm<uint64_t, uint64_t>(a.multiple_of, b.multiple_of);
  if (multiple > UINT32_MAX) return absl::InvalidArgumentError("too complex: multipleOf");
  a.multiple_of = static_cast<uint32_t>(multiple);
  a.min_items = std::max(a.min_items, b.min_items);
  a.max_items = std::min(a.max_items, b.max_items);
  a.items.insert(a.items.end(), b.items.begin(), b.items.end());
  if (b.min_properties > a.min_properties) {
    a.min_properties = b.min_properties;
    a.min_properties_at = b.min_properties_at;
  }
  a.max_properties = std::min(a.max_properties, b.max_properties);
  a.properties.insert(a.properties.end(), b.properties.begin(), b.properties.end());
  HEARTH_RETURN_IF_ERROR(MergeRequired(a, b));
  a.names.insert(a.names.end(), b.names.begin(), b.names.end());
  HEARTH_RETURN_IF_ERROR(MergeValues(a, b));
  return IsPossible(a);
}

absl::Status SchemaShapes::MergeRequired(Shape& a, const Shape& b) {
  const size_t before = a.required.size();
  for (const std::string* name : b.required) {
    HEARTH_RETURN_IF_ERROR(
        budget_.Spend(static_cast<int64_t>(before * (1 + name->size() / 64)) + 1));
    if (std::none_of(a.required.begin(), a.required.begin() + static_cast<ptrdiff_t>(before),
                     [&](const std::string* known) { return *known == *name; })) {
      a.required.push_back(name);
    }
  }
  return absl::OkStatus();
}

absl::Status SchemaShapes::MergeValues(Shape& a, const Shape& b) {
  if (!a.values || !b.values) {
    if (!a.values) a.values = b.values;
    return absl::OkStatus();
  }
  Shape::Values common;
  for (const SchemaJson* value : *a.values) {
    HEARTH_ASSIGN_OR_RETURN(const bool both, IsOneOf(*b.values, *value));
    if (!both) continue;
    HEARTH_RETURN_IF_ERROR(budget_.Spend(1, 2 * sizeof(value)));
    common.push_back(value);
  }
  a.values = std::make_shared<const Shape::Values>(std::move(common));
  return absl::OkStatus();
}

absl::StatusOr<bool> SchemaShapes::IsOneOf(const Shape::Values& values, const SchemaJson& value) {
  for (const SchemaJson* other : values) {
    HEARTH_ASSIGN_OR_RETURN(const bool equal, JsonEquals(value, *other, budget_));
    if (equal) return true;
  }
  return false;
}

absl::StatusOr<Conjunction> SchemaShapes::Settled(Conjunction all) {
  for (SchemaId& id : all) {
    for (int followed = 0; followed < kMaxExpansion; ++followed) {  // circles are left to Expand
      const SchemaJson& json = *nodes_[id].json;
      const auto reference = json.find("$ref");
      if (json.size() != 1 || reference == json.end() || !reference->is_string()) break;
      HEARTH_RETURN_IF_ERROR(budget_.Spend(8));
      HEARTH_ASSIGN_OR_RETURN(id, Resolve(id, reference->get_ref<const std::string&>()));
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

absl::StatusOr<Conjunction> SchemaShapes::OfItem(const Shape& shape, size_t index) {
  HEARTH_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(shape.items.size()) * 16 + 4));
  Conjunction all;
  for (const ItemsKeywords* items : shape.items) {
    if (index < items->prefix.size()) {
      all.push_back(items->prefix[index]);
    } else if (items->rest) {
      all.push_back(*items->rest);
    }
  }
  return Settled(std::move(all));
}

absl::StatusOr<Conjunction> SchemaShapes::OfProperty(const Shape& shape, const std::string& name) {
  Conjunction all;
  for (const PropertiesKeywords* properties : shape.properties) {
    HEARTH_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(name.size() / 8) + 16));
    const size_t before = all.size();
    const auto named = properties->by_name.find(name);
    if (named != properties->by_name.end()) all.push_back(named->second);
    for (const auto& [text, schema] : properties->patterns) {
      HEARTH_ASSIGN_OR_RETURN(const bool matches, AllAccept({&text, 1}, name, budget_));
      if (matches) all.push_back(schema);
    }
    if (all.size() == before && properties->additional) all.push_back(*properties->additional);
  }
  return Settled(std::move(all));
}

absl::StatusOr<bool> SchemaShapes::Admits(const Conjunction& all, const SchemaJson& value) {
  HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* shapes, Of(all));
  for (const Shape& shape : *shapes) {
    HEARTH_ASSIGN_OR_RETURN(const bool admits, Admits(shape, value));
    if (admits) return true;
  }
  return false;
}

absl::StatusOr<bool> SchemaShapes::Admits(const Shape& shape, const SchemaJson& value) {
  if (shape.values) {
    HEARTH_ASSIGN_OR_RETURN(const bool is_one, IsOneOf(*shape.values, value));
    if (!is_one) return false;
  }
  return MeetsRest(shape, value);
}

absl::StatusOr<bool> SchemaShapes::MeetsRest(const Shape& shape, const SchemaJson& value) {
  HEARTH_RETURN_IF_ERROR(budget_.Spend(16));
  const uint8_t type = TypeOf(value);
  if (!(shape.types & type)) return false;
  switch (type) {
    case kInteger:
    case kFraction: {
      if (!shape.low && !shape.high && shape.multiple_of == 1) return true;
      HEARTH_ASSIGN_OR_RETURN(const Decimal decimal, Decimal::Parse(JsonText(value)));
      return AdmitsNumber(shape, decimal);
    }
    case kString:
      return AdmitsText(shape, value.get_ref<const std::string&>());
    case kArray:
      return AdmitsItems(shape, value);
    case kObject:
      return AdmitsProperties(shape, value);
    default:
      return true;
  }
}

absl::StatusOr<bool> SchemaShapes::AdmitsText(const Shape& shape, const std::string& value) {
  HEARTH_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(value.size() / 8)));
  const uint32_t length = CharsIn(value);
  if (length < shape.min_length || length > shape.max_length) return false;
  return AllAccept(shape.texts, value, budget_);
}

absl::StatusOr<bool> SchemaShapes::AdmitsItems(const Shape& shape, const SchemaJson& value) {
  if (value.size() < shape.min_items || value.size() > shape.max_items) return false;
  for (size_t i = 0; i < value.size(); ++i) {
    HEARTH_ASSIGN_OR_RETURN(const Conjunction all, OfItem(shape, i));
    HEARTH_ASSIGN_OR_RETURN(const bool admits, Admits(all, value[i]));
    if (!admits) return false;
  }
  return true;
}

absl::StatusOr<bool> SchemaShapes::AdmitsProperties(const Shape& shape, const SchemaJson& value) {
  if (value.size() < shape.min_properties || value.size() > shape.max_properties) return false;
  for (const std::string* name : shape.required) {
    HEARTH_RETURN_IF_ERROR(
        budget_.Spend(static_cast<int64_t>(value.size() * (1 + name->size() / 64))));
    if (!value.contains(*name)) return false;
  }
  for (const auto& [name, member] : value.items()) {
    HEARTH_ASSIGN_OR_RETURN(const bool named, AllAccept(shape.names, name, budget_));
    if (!named) return false;
    HEARTH_ASSIGN_OR_RETURN(const Conjunction all, OfProperty(shape, name));
    HEARTH_ASSIGN_OR_RETURN(const bool admits, Admits(all, member));
    if (!admits) return false;
  }
  return true;
}

absl::StatusOr<bool> SchemaShapes::IsPlainlyEmpty(const Shape& shape, int depth) {
  HEARTH_RETURN_IF_ERROR(budget_.Spend(16));
  uint8_t types = shape.types;
  if (shape.min_length > shape.max_length) types &= static_cast<uint8_t>(~kString);
  if (shape.min_items > shape.max_items) types &= static_cast<uint8_t>(~kArray);
  if (shape.low && shape.high && shape.low->value.Compare(shape.high->value) > 0) {
    types &= static_cast<uint8_t>(~(kInteger | kFraction));
  }
  if (types & kObject && depth < kMaxGlance) {
    for (const std::string* name : shape.required) {
      HEARTH_ASSIGN_OR_RETURN(const Conjunction all, OfProperty(shape, *name));
      HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* member, Of(all));
      bool empty = true;
      for (const Shape& part : *member) {
        HEARTH_ASSIGN_OR_RETURN(const bool nothing, IsPlainlyEmpty(part, depth + 1));
        empty = empty && nothing;
      }
      if (empty) types &= static_cast<uint8_t>(~kObject);
    }
  }
  if (types == 0 || !shape.values) return types == 0;
  for (const SchemaJson* value : *shape.values) {
    HEARTH_ASSIGN_OR_RETURN(const bool meets, MeetsRest(shape, *value));
    if (meets) return false;
  }
  return true;
}

absl::StatusOr<std::vector<SchemaShapes::Overlap>> SchemaShapes::FindOverlaps() {
  std::vector<Overlap> overlaps;
  // Looking at one subschema may bring others in.
  for (SchemaId id = 0; id < nodes_.size(); ++id) {
    if (nodes_[id].shapes) HEARTH_RETURN_IF_ERROR(FindOverlapsOf(id, overlaps));
  }
  return overlaps;
}

absl::Status SchemaShapes::FindOverlapsOf(SchemaId id, std::vector<Overlap>& overlaps) {
  const std::vector<SchemaId>& one = nodes_[id].keywords->one;
  if (one.empty()) return absl::OkStatus();
  std::vector<Shape> own(1);
  HEARTH_ASSIGN_OR_RETURN(own[0], Copy(nodes_[id].keywords->own));
  for (size_t i = 0; i < one.size(); ++i) {
    for (size_t j = i + 1; j < one.size(); ++j) {
      HEARTH_RETURN_IF_ERROR(budget_.Spend(16));
      HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* a, Expand(one[i]));
      HEARTH_ASSIGN_OR_RETURN(const std::vector<Shape>* b, Expand(one[j]));
      HEARTH_ASSIGN_OR_RETURN(std::vector<Shape> both, Multiply(*a, *b));
      HEARTH_ASSIGN_OR_RETURN(both, Multiply(own, both));
      Overlap overlap{id, {}};
      for (Shape& shape : both) {
        HEARTH_ASSIGN_OR_RETURN(const bool empty, IsPlainlyEmpty(shape));
        if (!empty) overlap.shapes.push_back(std::move(shape));
      }
      if (!overlap.shapes.empty()) overlaps.push_back(std::move(overlap));
    }
  }
  return absl::OkStatus();
}

}  // namespace hearth
