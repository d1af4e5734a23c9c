#include "engine/tokenizer/bpe.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/status_macros.h"
#include "engine/tokenizer/presplit.h"
#include "engine/tokenizer/quoted.h"
#include "engine/tokenizer/symbol_chain.h"
#include "engine/tokenizer/token_index.h"
#include "engine/tokenizer/unicode.h"

namespace hearth {
namespace {

// The GPT-2 byte alphabet: a printable character of Latin-1 stands for its own byte; the other
// 68 bytes, in ascending order, are written as U+0100, U+0101, …
constexpr char32_t kAlphabetEnd = 0x100 + 68;

bool StandsForItself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

// The byte that each character below kAlphabetEnd stands for; -1: none.
std::array<int16_t, kAlphabetEnd> ByteAlphabet() {
  std::array<int16_t, kAlphabetEnd> bytes;
  bytes.fill(-1);
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    bytes[StandsForItself(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return bytes;
}

// Appends the bytes that `spelling` stands for; false where it is not in the alphabet.
bool AppendBytes(std::string_view spelling, std::string& bytes) {
  static const std::array<int16_t, kAlphabetEnd> kBytes = ByteAlphabet();
  while (!spelling.empty()) {
    const Utf8Char c = FirstUtf8Char(spelling);
    if (c.kind != Utf8Char::kWhole || c.code >= kAlphabetEnd || kBytes[c.code] < 0) return false;
    bytes.push_back(static_cast<char>(kBytes[c.code]));
    spelling.remove_prefix(c.length);
  }
  return true;
}

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(Vocabulary vocabulary, PreSplit split)
      : Tokenizer(std::move(vocabulary)), split_(split), pieces_(bytes_) {}

  absl::Status Build() {
    HEARTH_RETURN_IF_ERROR(BuildBytes());
    HEARTH_RETURN_IF_ERROR(BuildByteTokens());
    return BuildMerges();
  }

  void AppendIds(std::string_view text, size_t enough, std::vector<TokenId>& ids) const override {
    SymbolChain chain;
    while (!text.empty() && ids.size() <= enough) {
      const size_t length = std::min(split_.first_piece(text), kMaxChainBytes);
      EncodePiece(text.substr(0, length), chain, ids);
      text.remove_prefix(length);
    }
  }

 private:
  static uint64_t PairKey(TokenId left, TokenId right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  void EncodePiece(std::string_view piece, SymbolChain& chain, std::vector<TokenId>& ids) const {
    if (const TokenId whole = pieces_.Find(piece); whole >= 0) {
      ids.push_back(whole);
      return;
    }
    chain.Clear();
    for (uint32_t i = 0; i < piece.size(); ++i) {
      chain.Append(i, 1, byte_tokens_[static_cast<uint8_t>(piece[i])]);
    }
    chain.MergeAll([this](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
      const auto it = merges_.find(PairKey(left.id, right.id));
      if (it == merges_.end()) return std::nullopt;
      return it->second;
    });
    chain.ForEach([&ids](const Symbol& symbol) { ids.push_back(symbol.id); });
  }

  absl::Status BuildBytes() {
    pieces_.Reserve(vocabulary_.tokens.size());
    for (TokenId id = 0; id < vocab_size(); ++id) {
      switch (Type(id)) {
        case TokenType::kNormal:
          if (!AppendBytes(Spelling(id), bytes_[id])) {
            return absl::DataLossError(absl::StrCat("tokenizer.ggml.tokens[", id,
                                                    "]: ", Quoted(Spelling(id)),
                                                    " is not in the byte alphabet of BPE"));
          }
          pieces_.Insert(id);
          break;
        case TokenType::kUserDefined:
          bytes_[id] = Spelling(id);
          break;
        case TokenType::kUnknown:
          bytes_[id] = "\uFFFD";
          break;
        case TokenType::kByte:
          return absl::DataLossError(absl::StrCat("tokenizer.ggml.token_type[", id,
                                                  "]: a byte token, which BPE has none of"));
        case TokenType::kControl:
        case TokenType::kUnused:
          break;
      }
    }
    return absl::OkStatus();
  }

  absl::Status BuildByteTokens() {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      byte_tokens_[byte] = pieces_.Find(std::string_view(&c, 1));
      if (byte_tokens_[byte] < 0) {
        return absl::DataLossError(absl::StrCat("tokenizer.ggml.tokens: no token for byte 0x",
                                                absl::Hex(byte, absl::kZeroPad2)));
      }
    }
    return absl::OkStatus();
  }

  // A merge makes a token longer than its parts, so there are no cycles to look for.
  absl::Status BuildMerges() {
    const std::vector<std::string> merges = std::exchange(vocabulary_.merges, {});
    merges_.reserve(merges.size());
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      if (const char* problem = AddMerge(merges[rank], static_cast<int32_t>(rank))) {
        return absl::DataLossError(absl::StrCat("tokenizer.ggml.merges[", rank,
                                                "]: ", Quoted(merges[rank]), ": ", problem));
      }
    }
    return absl::OkStatus();
  }

  // Returns what is wrong with the merge, or null. Where a file lists a merge twice, the better
  // rank stays.
  const char* AddMerge(std::string_view merge, int32_t rank) {
    const size_t space = std::min(merge.find(' '), merge.size());
    std::string bytes;
    bool ok = AppendBytes(merge.substr(0, space), bytes);
    const size_t left_size = bytes.size();
    ok = ok && space < merge.size() && AppendBytes(merge.substr(space + 1), bytes);
    if (!ok || left_size == 0 || left_size == bytes.size()) {
      return "expected two tokens and a space between";
    }
    const std::string_view merged = bytes;
    const TokenId left_id = pieces_.Find(merged.substr(0, left_size));
    const TokenId right_id = pieces_.Find(merged.substr(left_size));
    const TokenId merged_id = pieces_.Find(merged);
    if (left_id < 0) return "the left part is not a token";
    if (right_id < 0) return "the right part is not a token";
    if (merged_id < 0) return "the result is not a token";
    merges_.try_emplace(PairKey(left_id, right_id), Merge{rank, merged_id});
    return nullptr;
  }

  const PreSplit split_;
  TokenIndex pieces_;  // normal tokens by their bytes
  std::array<TokenId, 256> byte_tokens_;
  absl::flat_hash_map<uint64_t, Merge> merges_;  // by PairKey
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> CreateBpeTokenizer(Vocabulary vocabulary) {
  HEARTH_ASSIGN_OR_RETURN(const PreSplit split, FindPreSplit(vocabulary.pre));
  if (!vocabulary.add_bos) vocabulary.add_bos = split.adds_bos;
  auto tokenizer = std::make_unique<BpeTokenizer>(std::move(vocabulary), split);
  HEARTH_RETURN_IF_ERROR(tokenizer->Build());
  return tokenizer;
}

}  // namespace hearth
