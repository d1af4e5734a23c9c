// Reads a JSON Schema: keywords → shapes, that is, flat conditions without references, allOf,
// anyOf or oneOf at their top. Internal to this folder.
#ifndef HEARTH_ENGINE_CONSTRAIN_SCHEMA_SHAPES_H_
#define HEARTH_ENGINE_CONSTRAIN_SCHEMA_SHAPES_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/constrain/compile_budget.h"
#include "engine/constrain/number.h"
#include "engine/constrain/text_dfa.h"

namespace hearth {

using SchemaJson = nlohmann::ordered_json;

using SchemaId = uint32_t;  // of a subschema; equal ids, equal place in the document
// A value that must meet all of them; ascending. Empty: any value.
using Conjunction = std::vector<SchemaId>;

enum TypeBits : uint8_t {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kFraction = 8,  // numbers that are not integers
  kString = 16,
  kArray = 32,
  kObject = 64,
  kAnyType = 127,
};

// "prefixItems" and "items" of one subschema.
struct ItemsKeywords {
  std::vector<SchemaId> prefix;
  std::optional<SchemaId> rest;
};

// "properties", "patternProperties" and "additionalProperties" of one subschema, which are about
// each other.
struct PropertiesKeywords {
  std::vector<std::pair<std::string, SchemaId>> named;
  absl::flat_hash_map<std::string, SchemaId> by_name;
  std::vector<std::pair<SharedText, SchemaId>> patterns;
  std::optional<SchemaId> additional;
};

// Shapes multiply, so what is long is in the document or shared, and only pointed at.
struct Shape {
  static constexpr uint32_t kUnbounded = UINT32_MAX;
  using Values = std::vector<const SchemaJson*>;

  uint8_t types = kAnyType;
  std::shared_ptr<const Values> values;  // one of these, if it meets the rest; null: any

  uint32_t min_length = 0, max_length = kUnbounded;
  std::vector<SharedText> texts;  // all of them

  std::optional<NumberBound> low, high;
  uint32_t multiple_of = 1;

  uint32_t min_items = 0, max_items = kUnbounded;
  std::vector<const ItemsKeywords*> items;

  uint32_t min_properties = 0, max_properties = kUnbounded;
  SchemaId min_properties_at = 0;  // for messages
  std::vector<const PropertiesKeywords*> properties;
  std::vector<const std::string*> required;
  std::vector<SharedText> names;  // what every name must meet

  // What a copy takes.
  int64_t bytes() const {
    return static_cast<int64_t>(sizeof(*this) + (texts.size() + names.size()) * sizeof(SharedText) +
                                (items.size() + properties.size() + required.size()) *
                                    sizeof(void*));
  }
};

class SchemaShapes {
 public:
  // `root` must outlive the object, and not change. Its documents nest as deep as the caller's
  // parser lets them. `pointer` is where the schema itself lies, for messages.
  SchemaShapes(const SchemaJson& root, std::string_view pointer, CompileBudget& budget);

  SchemaId root() const { return 0; }

  // What meets `all` meets one of the shapes, and the other way round. SchemaError where a keyword
  // is unknown, malformed or not supported, or where references go in circles.
  absl::StatusOr<const std::vector<Shape>*> Of(const Conjunction& all);

  // What a property of this name must meet; and an item of this index.
  absl::StatusOr<Conjunction> OfProperty(const Shape& shape, const std::string& name);
  absl::StatusOr<Conjunction> OfItem(const Shape& shape, size_t index);

  // The same in one form: what is nothing but a reference stands for what it names, so that one
  // rule serves all of them.
  absl::StatusOr<Conjunction> Settled(Conjunction all);

  // Every copy of a shape is paid for.
  absl::StatusOr<Shape> Copy(const Shape& shape);

  // Whether one of the shape's values meets the rest of it.
  absl::StatusOr<bool> MeetsRest(const Shape& shape, const SchemaJson& value);
  // Whether any value meets the shape, or all of the schemas.
  absl::StatusOr<bool> Admits(const Shape& shape, const SchemaJson& value);
  absl::StatusOr<bool> Admits(const Conjunction& all, const SchemaJson& value);

  // What makes one of the shapes empty at a glance: contradictory types, lengths or values, here
  // or in what it requires.
  absl::StatusOr<bool> IsPlainlyEmpty(const Shape& shape, int depth = 0);

  // Looked for in the document, as only messages show it.
  std::string PointerOf(SchemaId id) const;
  absl::Status Error(SchemaId at, std::string_view keyword, std::string_view problem) const;

  // What two members of a oneOf allow together, where that is not plainly nothing; of every oneOf
  // that was met. The caller sees to it that it is nothing.
  struct Overlap {
    SchemaId at;
    std::vector<Shape> shapes;
  };
  absl::StatusOr<std::vector<Overlap>> FindOverlaps();

 private:
  friend class KeywordReader;
  struct Keywords {
    Shape own;
    std::vector<SchemaId> all;               // allOf and $ref
    std::vector<std::vector<SchemaId>> any;  // anyOf and oneOf
    std::vector<SchemaId> one;               // oneOf
  };
  struct Node {
    const SchemaJson* json;
    std::unique_ptr<const Keywords> keywords = nullptr;
    std::optional<std::vector<Shape>> shapes = {};
    bool expanding = false;
  };

  SchemaId IdOf(const SchemaJson& json);
  absl::StatusOr<SchemaId> Resolve(SchemaId from, const std::string& reference);
  absl::StatusOr<SchemaId> ResolvePointer(SchemaId from, const std::string& fragment);
  absl::StatusOr<SchemaId> ResolveAnchor(SchemaId from, const std::string& name);
  absl::StatusOr<SharedText> Pattern(const std::string& pattern);

  absl::Status ReadKeywords(SchemaId id);
  absl::StatusOr<const std::vector<Shape>*> Expand(SchemaId id);
  absl::StatusOr<std::vector<Shape>> ExpandAny(const std::vector<SchemaId>& any);
  absl::Status FindOverlapsOf(SchemaId id, std::vector<Overlap>& overlaps);
  absl::StatusOr<std::vector<Shape>> Multiply(const std::vector<Shape>& a,
                                              const std::vector<Shape>& b);
  // False only when nothing can meet both; takes no memory.
  absl::StatusOr<bool> MayOverlap(const Shape& a, const Shape& b);
  absl::StatusOr<bool> Merge(Shape& a, const Shape& b);
  absl::Status MergeRequired(Shape& a, const Shape& b);
  absl::Status MergeValues(Shape& a, const Shape& b);

  absl::StatusOr<bool> IsOneOf(const Shape::Values& values, const SchemaJson& value);
  absl::StatusOr<bool> AdmitsText(const Shape& shape, const std::string& value);
  absl::StatusOr<bool> AdmitsItems(const Shape& shape, const SchemaJson& value);
  absl::StatusOr<bool> AdmitsProperties(const Shape& shape, const SchemaJson& value);

  CompileBudget& budget_;
  const SchemaJson& root_;
  const std::string pointer_;  // of the root
  std::deque<Node> nodes_;
  absl::flat_hash_map<const SchemaJson*, SchemaId> ids_;
  absl::flat_hash_map<std::string, SchemaId> references_;
  absl::flat_hash_map<std::string, SharedText> patterns_;
  std::deque<ItemsKeywords> items_;
  std::deque<PropertiesKeywords> properties_;
  std::map<Conjunction, std::vector<Shape>> conjunctions_;
  int expanding_ = 0;  // subschemas, one within the other
};

// As JSON writes it: for numbers, what Decimal::Parse takes.
std::string JsonText(const SchemaJson& value);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_SCHEMA_SHAPES_H_
