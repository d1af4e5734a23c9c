// Splits text into the pieces within which byte-level BPE merges.
#ifndef HEARTH_ENGINE_TOKENIZER_PRESPLIT_H_
#define HEARTH_ENGINE_TOKENIZER_PRESPLIT_H_

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"

namespace hearth {

struct PreSplit {
  std::string_view name;  // tokenizer.ggml.pre

  // The length in bytes of the first piece of `rest`: at least 1, at most its size. The pieces of
  // a text are found in time linear in its length. Where the text is not UTF-8, each maximal
  // ill-formed subpart counts as one symbol character. REQUIRES: rest is not empty.
  //
  // A function and not a regular expression: the expressions are given with each function, and it
  // returns what a backtracking, leftmost-first matcher would.
  size_t (*first_piece)(std::string_view rest);

  bool adds_bos;  // files of this kind that do not say mean this
};

// The pre-split that `name` stands for, or an error listing the known names.
absl::StatusOr<PreSplit> FindPreSplit(std::string_view name);

}  // namespace hearth

#endif  // HEARTH_ENGINE_TOKENIZER_PRESPLIT_H_
