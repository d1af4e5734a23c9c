// Small vocabularies of our own making, for tests.
#ifndef HEARTH_TESTS_TOKENIZER_SMALL_VOCABULARY_H_
#define HEARTH_TESTS_TOKENIZER_SMALL_VOCABULARY_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/vocabulary.h"

namespace hearth {

// `bytes` in the GPT-2 byte alphabet.
std::string InByteAlphabet(std::string_view bytes);

// Byte-level BPE: the 256 bytes (each with its byte as id), what the merges make, the control
// markers. A merge is a pair of texts, not yet in the byte alphabet.
Vocabulary SmallBpe(const std::vector<std::pair<std::string, std::string>>& merges,
                    const std::vector<std::string>& markers = {});

// SentencePiece: <unk>, <s>, </s>, 256 byte tokens (byte b is 3 + b), the pieces with their
// scores, the control markers.
Vocabulary SmallSpm(const std::vector<std::pair<std::string, float>>& pieces,
                    const std::vector<std::string>& markers = {});

}  // namespace hearth

#endif  // HEARTH_TESTS_TOKENIZER_SMALL_VOCABULARY_H_
