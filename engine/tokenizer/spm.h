// SentencePiece BPE.
#ifndef HEARTH_ENGINE_TOKENIZER_SPM_H_
#define HEARTH_ENGINE_TOKENIZER_SPM_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/vocabulary.h"

namespace hearth {

// A space is put before the text (add_space_prefix), spaces become U+2581, and characters are
// merged to tokens, highest score first, leftmost among equals. A character that is no token
// becomes its bytes `<0xXX>`, or the unknown token where a byte has none. User-defined runs of
// white space are taken whole, longest first, before anything is merged.
// REQUIRES: what Tokenizer::Create checks.
absl::StatusOr<std::unique_ptr<Tokenizer>> CreateSpmTokenizer(Vocabulary vocabulary);

}  // namespace hearth

#endif  // HEARTH_ENGINE_TOKENIZER_SPM_H_
