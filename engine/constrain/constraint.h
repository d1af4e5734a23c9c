// What a generation may write: a JSON Schema, a regular expression, a choice of texts or a model's
// own form of tool calls, compiled. Immutable; safe from any thread.
//
// A compiled constraint is a language of byte strings, and masks are exact with respect to it: they
// allow a token if and only if some text of the language goes on with it. The language of a schema
// are the documents that meet it, with these conventions:
//   - Properties come in the order of "properties", then required ones that are not named there,
//     then any others, in any order; optional ones may be missing. Names that are known, and values
//     of "enum" and "const", are spelt one way (no escapes but where JSON needs them; numbers as
//     short as can be). Other strings may be spelt any way; halves of surrogate pairs only come in
//     pairs.
//   - Between two tokens of a document (not before a colon) may be one space, or a newline and up
//     to 20 spaces or tabs. None before and after the document.
//   - Numbers are as number.h has them; integers have neither point nor exponent.
//   - Values nest up to 64 deep.
//   - The same other name may come twice in an object (RFC 8259 allows that).
//   - Of "format": times without leap seconds, addresses of mail without quotes or literals.
// Keywords that are not supported are refused, as are those that nobody knows; annotations and
// names that begin with "x-" are taken for what they are: no condition.
#ifndef HEARTH_ENGINE_CONSTRAIN_CONSTRAINT_H_
#define HEARTH_ENGINE_CONSTRAIN_CONSTRAINT_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/constrain/grammar.h"
#include "engine/constraint_source.h"

namespace hearth {

class Constraint {
 public:
  // InvalidArgument names what is wrong or not supported; where that is a place in a schema, the
  // message begins with its JSON Pointer, which is also a payload (schema_error.h). So does what
  // cannot be met at all, and what takes too much time or memory to compile: tens of milliseconds
  // and megabytes (compile_budget.h). Syntax of patterns as in regex_syntax.h.
  static absl::StatusOr<std::shared_ptr<const Constraint>> Compile(const ConstraintSource& source);

  const Grammar& grammar() const { return grammar_; }
  size_t bytes() const { return sizeof(*this) + grammar_.bytes(); }  // of memory

 private:
  explicit Constraint(Grammar grammar) : grammar_(std::move(grammar)) {}

  Grammar grammar_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_CONSTRAINT_H_
