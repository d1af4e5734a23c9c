// Random schemas, documents that meet them, and documents that are somewhat different.
#ifndef HEARTH_TESTS_CONSTRAIN_RANDOM_SCHEMA_H_
#define HEARTH_TESTS_CONSTRAIN_RANDOM_SCHEMA_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace hearth {

class RandomSchema {
 public:
  using Json = nlohmann::ordered_json;

  // A function of the seed.
  explicit RandomSchema(uint32_t seed);

  const Json& schema() const { return root_; }
  // Meant to meet the schema; now and then it does not, so ask the validator. Members are in the
  // order of the schema.
  Json Document() { return Instance(root_, 0); }
  // `document` with one place changed.
  Json Mutated(Json document);

 private:
  uint32_t Below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }
  bool OneIn(uint32_t chances) { return Below(chances) == 0; }

  Json Schema(int depth);
  Json Scalar();
  Json String();
  Json Number();
  Json Array(int depth);
  Json Object(int depth, const std::string& prefix);
  Json Instance(const Json& schema, int depth);
  Json StringInstance(const Json& schema);
  Json NumberInstance(const Json& schema, bool integer);
  Json ArrayInstance(const Json& schema, int depth);
  void AddMembers(const Json& schema, int depth, Json& object);
  Json AnyScalar();

  std::mt19937 random_;
  Json root_;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_CONSTRAIN_RANDOM_SCHEMA_H_
