// Any bytes: encoding loses nothing, and streaming gives whole UTF-8, however the same bytes
// are cut into tokens.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/check.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/unicode.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth {
namespace {

std::unique_ptr<Tokenizer> MakeBpe(const char* pre) {
  Vocabulary vocabulary = SmallBpe({{"a", "a"},
                                    {"aa", "aa"},
                                    {" ", "a"},
                                    {"\xC3", "\xA9"},
                                    {"'", "s"},
                                    {"\n", "\n"},
                                    {" ", " "},
                                    {"\xF0", "\x9F"},
                                    {"1", "2"},
                                    {"12", "3"},
                                    {"\x9F", "a"},
                                    {"e", "r"},
                                    {"\xE4", "\xB8"},
                                    {"A", "b"},
                                    {"/", "\n"}},
                                   {"<|end|>", "<|user|>"});
  vocabulary.pre = pre;
  return *Tokenizer::Create(std::move(vocabulary));
}

std::unique_ptr<Tokenizer> MakeSpm() {
  Vocabulary vocabulary = SmallSpm(
      {{"a", -4}, {"aa", -2}, {"aaaa", -1}, {"\u2581", -9}, {"\u2581a", -3}, {"é", -2}, {"éa", -5}},
      {"<|end|>"});
  vocabulary.add_space_prefix = false;
  vocabulary.tokens.push_back("\n\n");
  vocabulary.types.push_back(TokenType::kUserDefined);
  vocabulary.scores.push_back(0);
  return *Tokenizer::Create(std::move(vocabulary));
}

std::string Stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const TokenId id : ids) text += decoder.Push(id);
  return text + decoder.Flush();
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = FirstUtf8Char(text);
    if (c.kind != Utf8Char::kWhole) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

// first_byte: the id of byte 0.
void CheckText(const Tokenizer& tokenizer, TokenId first_byte, std::string_view text) {
  const std::vector<TokenId> ids = tokenizer.Encode(text);
  for (const TokenId id : ids) HEARTH_CHECK(!tokenizer.IsMarker(id));
  // SPM writes a space as U+2581 and so cannot tell the two apart.
  const bool exact = text.find("\u2581") == text.npos || first_byte == 0;
  if (!exact) return;
  HEARTH_CHECK(tokenizer.Decode(ids) == text);

  std::vector<TokenId> byte_ids;
  for (const char c : text) byte_ids.push_back(first_byte + static_cast<uint8_t>(c));
  const std::string streamed = Stream(tokenizer, ids);
  HEARTH_CHECK(streamed == Stream(tokenizer, byte_ids));
  HEARTH_CHECK(IsUtf8(streamed));
  if (IsUtf8(text)) HEARTH_CHECK(streamed == text);
}

// Pairs of bytes as token ids, markers among them.
void CheckIds(const Tokenizer& tokenizer, std::string_view bytes) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const int id = static_cast<uint8_t>(bytes[i]) * 256 + static_cast<uint8_t>(bytes[i + 1]);
    ids.push_back(id % tokenizer.vocab_size());
  }
  const std::string streamed = Stream(tokenizer, ids);
  HEARTH_CHECK(IsUtf8(streamed));
  const std::string decoded = tokenizer.Decode(ids);
  if (IsUtf8(decoded)) HEARTH_CHECK(streamed == decoded);
}

}  // namespace
}  // namespace hearth

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto o200k = hearth::MakeBpe("gpt-4o");
  static const auto llama3 = hearth::MakeBpe("llama-bpe");
  static const auto spm = hearth::MakeSpm();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  hearth::CheckText(*o200k, 0, text);
  hearth::CheckText(*llama3, 0, text);
  hearth::CheckText(*spm, 3, text);
  hearth::CheckIds(*o200k, text);
  hearth::CheckIds(*spm, text);
  return 0;
}
