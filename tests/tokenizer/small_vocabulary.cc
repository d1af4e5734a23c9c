#include "tests/tokenizer/small_vocabulary.h"

#include <algorithm>

namespace hearth {
namespace {

void AppendUtf8(uint32_t code, std::string& out) {  // code < 0x800
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else {
    out.push_back(static_cast<char>(0xC0 | code >> 6));
    out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

uint32_t LetterOf(uint8_t byte) {
  if (byte <= 0x20) return 0x100 + byte;                         // 00..20
  if (byte >= 0x7F && byte <= 0xA0) return 0x121 + byte - 0x7F;  // 7F..A0
  if (byte == 0xAD) return 0x143;
  return byte;
}

void AddMarkers(const std::vector<std::string>& markers, Vocabulary& vocabulary) {
  vocabulary.types.resize(vocabulary.tokens.size(), TokenType::kNormal);
  for (const std::string& marker : markers) {
    vocabulary.tokens.push_back(marker);
    vocabulary.types.push_back(TokenType::kControl);
  }
}

}  // namespace

std::string InByteAlphabet(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) AppendUtf8(LetterOf(static_cast<uint8_t>(c)), out);
  return out;
}

Vocabulary SmallBpe(const std::vector<std::pair<std::string, std::string>>& merges,
                    const std::vector<std::string>& markers) {
  Vocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "gpt-4o";
  std::vector<std::string>& tokens = vocabulary.tokens;
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(InByteAlphabet(std::string(1, static_cast<char>(byte))));
  }
  for (const auto& [left, right] : merges) {
    vocabulary.merges.push_back(InByteAlphabet(left).append(" ").append(InByteAlphabet(right)));
    const std::string merged = InByteAlphabet(left + right);
    if (std::find(tokens.begin(), tokens.end(), merged) == tokens.end()) tokens.push_back(merged);
  }
  AddMarkers(markers, vocabulary);
  return vocabulary;
}

Vocabulary SmallSpm(const std::vector<std::pair<std::string, float>>& pieces,
                    const std::vector<std::string>& markers) {
  Vocabulary vocabulary;
  vocabulary.model = "llama";
  vocabulary.tokens = {"<unk>", "<s>", "</s>"};
  vocabulary.types = {TokenType::kUnknown, TokenType::kControl, TokenType::kControl};
  constexpr char kHex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.push_back({'<', '0', 'x', kHex[byte / 16], kHex[byte % 16], '>'});
    vocabulary.types.push_back(TokenType::kByte);
  }
  vocabulary.scores.resize(vocabulary.tokens.size(), 0.0f);
  for (const auto& [piece, score] : pieces) {
    vocabulary.tokens.push_back(piece);
    vocabulary.scores.push_back(score);
  }
  AddMarkers(markers, vocabulary);
  vocabulary.scores.resize(vocabulary.tokens.size(), 0.0f);
  vocabulary.unknown = 0;
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  vocabulary.add_bos = true;
  return vocabulary;
}

}  // namespace hearth
