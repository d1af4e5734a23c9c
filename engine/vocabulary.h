// What a model file says of its tokenizer. Rank 0: produced by formats, consumed by tokenizer.
#ifndef HEARTH_ENGINE_VOCABULARY_H_
#define HEARTH_ENGINE_VOCABULARY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"

namespace hearth {

// Numbering of GGUF's tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct Vocabulary {
  std::string model;                // "gpt2" (byte-level BPE) or "llama" (SentencePiece BPE)
  std::string pre;                  // name of the pre-split, e.g. "gpt-4o", "llama-bpe"; BPE only
  std::vector<std::string> tokens;  // as spelt in the file (BPE: the GPT-2 byte alphabet)
  std::vector<TokenType> types;     // as long as tokens, or empty: all normal
  std::vector<float> scores;        // SPM: as long as tokens
  std::vector<std::string> merges;  // BPE: "left right", best first
  TokenId bos = -1;                 // -1: none; likewise below
  TokenId eos = -1;
  TokenId eot = -1;
  TokenId unknown = -1;
  std::optional<bool> add_bos;   // unset: as the tokenizer's kind has it
  bool add_space_prefix = true;  // SPM
  std::string chat_template;     // Jinja text, recognised by what it is, never run
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_VOCABULARY_H_
