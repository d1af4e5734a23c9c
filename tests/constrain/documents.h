// Texts against constraints, byte by byte.
#ifndef HEARTH_TESTS_CONSTRAIN_DOCUMENTS_H_
#define HEARTH_TESTS_CONSTRAIN_DOCUMENTS_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constrain/constraint.h"

namespace hearth {

inline absl::StatusOr<std::shared_ptr<const Constraint>> CompileSchema(
    const nlohmann::ordered_json& schema) {
  return Constraint::Compile(JsonSchemaSource{schema.dump()});
}

struct Reading {
  size_t bytes;   // so many could be read
  bool complete;  // and they were all, and make a whole document
};

Reading Read(const Constraint& constraint, std::string_view text);

inline bool Accepts(const Constraint& constraint, std::string_view text) {
  return Read(constraint, text).complete;
}

// The ways a document may be laid out: without white space, as Python does, indented.
std::vector<std::string> Layouts(const nlohmann::ordered_json& document);

}  // namespace hearth

#endif  // HEARTH_TESTS_CONSTRAIN_DOCUMENTS_H_
