// JSON Schema the plain way: does this document meet this schema? Written for the tests and
// independent of engine/constrain. Covers the keywords that engine/constrain supports; of the
// formats only the looks of dates and IPv4 addresses.
#ifndef HEARTH_TESTS_CONSTRAIN_VALIDATOR_H_
#define HEARTH_TESTS_CONSTRAIN_VALIDATOR_H_

#include <nlohmann/json.hpp>

namespace hearth {

// `root` is what references are resolved in.
bool IsValid(const nlohmann::ordered_json& schema, const nlohmann::ordered_json& root,
             const nlohmann::ordered_json& document);

inline bool IsValid(const nlohmann::ordered_json& schema, const nlohmann::ordered_json& document) {
  return IsValid(schema, schema, document);
}

}  // namespace hearth

#endif  // HEARTH_TESTS_CONSTRAIN_VALIDATOR_H_
