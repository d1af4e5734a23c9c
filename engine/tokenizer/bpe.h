// Byte-level BPE in the GPT-2 byte alphabet.
#ifndef HEARTH_ENGINE_TOKENIZER_BPE_H_
#define HEARTH_ENGINE_TOKENIZER_BPE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/vocabulary.h"

namespace hearth {

// Text is cut into pieces by the pre-split that vocabulary.pre names. A piece that is a token
// is that token; any other is merged from its bytes, lowest merge rank first, leftmost among
// equals. REQUIRES: what Tokenizer::Create checks.
absl::StatusOr<std::unique_ptr<Tokenizer>> CreateBpeTokenizer(Vocabulary vocabulary);

}  // namespace hearth

#endif  // HEARTH_ENGINE_TOKENIZER_BPE_H_
