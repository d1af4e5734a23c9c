#include "engine/tokenizer/spm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/status_macros.h"
#include "engine/tokenizer/quoted.h"
#include "engine/tokenizer/symbol_chain.h"
#include "engine/tokenizer/token_index.h"
#include "engine/tokenizer/unicode.h"

namespace hearth {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  for (size_t found; (found = text.find(from)) != text.npos;) {
    out.append(text.substr(0, found)).append(to);
    text.remove_prefix(found + from.size());
  }
  return out.append(text);
}

std::string Escape(std::string_view text) { return Replaced(text, " ", kSpaceMark); }
std::string Unescape(std::string_view text) { return Replaced(text, kSpaceMark, " "); }

// The byte of `<0xXX>`.
std::optional<uint8_t> ParseByteToken(std::string_view spelling) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (spelling.size() != 6 || spelling.substr(0, 3) != "<0x" || spelling[5] != '>') {
    return std::nullopt;
  }
  const int high = digit(spelling[3]), low = digit(spelling[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

class SpmTokenizer final : public Tokenizer {
 public:
  explicit SpmTokenizer(Vocabulary vocabulary)
      : Tokenizer(std::move(vocabulary)), pieces_(vocabulary_.tokens), runs_(bytes_) {
    leading_space_ = vocabulary_.add_space_prefix;
  }

  absl::Status Build() {
    HEARTH_RETURN_IF_ERROR(BuildPieces());
    HEARTH_RETURN_IF_ERROR(CheckFallback());
    return BuildRanks();
  }

  void AppendIds(std::string_view text, size_t enough, std::vector<TokenId>& ids) const override {
    if (text.empty()) return;
    std::string prefixed;
    if (leading_space_) {
      prefixed = " ";
      prefixed.append(text);
      text = prefixed;
    }
    size_t start = 0;
    for (size_t pos = 0; longest_run_ > 0 && pos < text.size() && ids.size() <= enough;) {
      const TokenId run = FindRun(text.substr(pos));
      if (run < 0) {
        ++pos;
        continue;
      }
      EncodeSegment(text.substr(start, pos - start), enough, ids);
      ids.push_back(run);
      start = pos += bytes_[run].size();
    }
    EncodeSegment(text.substr(start), enough, ids);
  }

 private:
  // The longest user-defined run of white space that `text` starts with, or -1.
  TokenId FindRun(std::string_view text) const {
    size_t length = text.substr(0, longest_run_).find_first_not_of(" \t\r\n");
    if (length == text.npos) length = std::min(text.size(), longest_run_);
    for (; length > 0; --length) {
      if (const TokenId run = runs_.Find(text.substr(0, length)); run >= 0) return run;
    }
    return -1;
  }

  void EncodeSegment(std::string_view segment, size_t enough, std::vector<TokenId>& ids) const {
    while (!segment.empty() && ids.size() <= enough) {
      const size_t length = ChainLength(segment);
      EncodeChain(segment.substr(0, length), ids);
      segment.remove_prefix(length);
    }
  }

  // How much of a segment makes one chain: all of it, or up to where a word ends, or what may be.
  static size_t ChainLength(std::string_view segment) {
    if (segment.size() <= kMaxChainBytes) return segment.size();
    const std::string_view head = segment.substr(0, kMaxChainBytes);
    const size_t word_end = head.find_last_not_of(' ', head.rfind(' '));
    if (head.rfind(' ') != head.npos && word_end != head.npos) return word_end + 1;
    size_t length = 0;
    for (size_t next = 0; next <= kMaxChainBytes;) {
      length = next;
      next += FirstUtf8Char(segment.substr(length)).length;
    }
    return length;
  }

  void EncodeChain(std::string_view segment, std::vector<TokenId>& ids) const {
    const std::string text = Escape(segment);
    SymbolChain chain;
    for (size_t pos = 0; pos < text.size();) {
      const std::string_view rest = std::string_view(text).substr(pos);
      const uint32_t length = FirstUtf8Char(rest).length;
      chain.Append(static_cast<uint32_t>(pos), length, pieces_.Find(rest.substr(0, length)));
      pos += length;
    }
    chain.MergeAll([&](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
      const size_t length = size_t{left.length} + right.length;
      if (length > longest_piece_) return std::nullopt;
      const TokenId id = pieces_.Find(std::string_view(text).substr(left.start, length));
      if (id < 0) return std::nullopt;
      return Merge{ranks_[id], id};
    });
    chain.ForEach([&](const Symbol& symbol) {
      if (symbol.id >= 0) {
        ids.push_back(symbol.id);
      } else {
        AppendBytes(std::string_view(text).substr(symbol.start, symbol.length), ids);
      }
    });
  }

  void AppendBytes(std::string_view character, std::vector<TokenId>& ids) const {
    for (const char c : character) {
      if (byte_tokens_[static_cast<uint8_t>(c)] < 0) return ids.push_back(unknown_);
    }
    for (const char c : character) ids.push_back(byte_tokens_[static_cast<uint8_t>(c)]);
  }

  absl::Status BuildPieces() {
    byte_tokens_.fill(-1);
    unknown_ = vocabulary_.unknown;
    pieces_.Reserve(vocabulary_.tokens.size());
    for (TokenId id = 0; id < vocab_size(); ++id) {
      switch (Type(id)) {
        case TokenType::kNormal:
          bytes_[id] = Unescape(Spelling(id));
          pieces_.Insert(id);
          longest_piece_ = std::max(longest_piece_, Spelling(id).size());
          break;
        case TokenType::kUserDefined:
          bytes_[id] = Unescape(Spelling(id));
          if (!IsMarker(id)) {
            runs_.Insert(id);
            longest_run_ = std::max(longest_run_, bytes_[id].size());
          }
          break;
        case TokenType::kByte:
          HEARTH_RETURN_IF_ERROR(AddByteToken(id));
          break;
        case TokenType::kUnknown:
          bytes_[id] = "\uFFFD";
          if (unknown_ < 0) unknown_ = id;
          break;
        case TokenType::kControl:
        case TokenType::kUnused:
          break;
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddByteToken(TokenId id) {
    const std::optional<uint8_t> byte = ParseByteToken(Spelling(id));
    if (!byte) {
      return absl::DataLossError(absl::StrCat("tokenizer.ggml.tokens[", id, "]: byte token ",
                                              Quoted(Spelling(id)), ", expected <0x00> to <0xFF>"));
    }
    byte_tokens_[*byte] = id;
    bytes_[id].assign(1, static_cast<char>(*byte));
    return absl::OkStatus();
  }

  absl::Status CheckFallback() const {
    const auto missing = std::find(byte_tokens_.begin(), byte_tokens_.end(), -1);
    if (missing == byte_tokens_.end() || unknown_ >= 0) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(
        "tokenizer.ggml.tokens: no token for byte 0x",
        absl::Hex(missing - byte_tokens_.begin(), absl::kZeroPad2), " and no unknown token"));
  }

  // Rank 0 is the highest score; equal scores are equal ranks.
  absl::Status BuildRanks() {
    const std::vector<float>& scores = vocabulary_.scores;
    if (scores.size() != vocabulary_.tokens.size()) {
      return absl::DataLossError(absl::StrCat("tokenizer.ggml.scores: ", scores.size(),
                                              " elements, expected ", vocabulary_.tokens.size()));
    }
    for (size_t id = 0; id < scores.size(); ++id) {
      if (std::isnan(scores[id])) {
        return absl::DataLossError(absl::StrCat("tokenizer.ggml.scores[", id, "]: not a number"));
      }
    }
    std::vector<TokenId> order(scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](TokenId a, TokenId b) { return scores[a] > scores[b]; });
    ranks_.resize(scores.size());
    int32_t rank = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0 && scores[order[i]] < scores[order[i - 1]]) ++rank;
      ranks_[order[i]] = rank;
    }
    return absl::OkStatus();
  }

  TokenIndex pieces_;  // normal tokens by their spelling
  size_t longest_piece_ = 0;
  TokenIndex runs_;  // user-defined runs of white space by their bytes
  size_t longest_run_ = 0;
  std::array<TokenId, 256> byte_tokens_;  // -1: none
  TokenId unknown_ = -1;
  std::vector<int32_t> ranks_;  // by id
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> CreateSpmTokenizer(Vocabulary vocabulary) {
  if (!vocabulary.add_bos) vocabulary.add_bos = true;
  auto tokenizer = std::make_unique<SpmTokenizer>(std::move(vocabulary));
  HEARTH_RETURN_IF_ERROR(tokenizer->Build());
  return tokenizer;
}

}  // namespace hearth
