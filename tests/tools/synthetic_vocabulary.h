// A small byte-level BPE vocabulary of our own making, with the markers of Phi-4-mini.
#ifndef HEARTH_TESTS_TOOLS_SYNTHETIC_VOCABULARY_H_
#define HEARTH_TESTS_TOOLS_SYNTHETIC_VOCABULARY_H_

#include "engine/vocabulary.h"

namespace hearth {

// 256 byte tokens, the merges that training on a word list gives, and 12 markers: 1,024 tokens.
// Always the same.
Vocabulary SyntheticVocabulary();

}  // namespace hearth

#endif  // HEARTH_TESTS_TOOLS_SYNTHETIC_VOCABULARY_H_
