#include "server/http/logprobs.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/check.h"
#include "engine/tokenizer/unicode.h"
#include "server/http/json.h"

namespace hearth::server {
namespace {

// JSON has no infinity.
double Finite(float logprob) { return std::max(logprob, -9999.0f); }

// As it is read, or spelt where it has no text.
std::string_view TextOf(const Tokenizer& tokenizer, TokenId id) {
  const std::string_view bytes = tokenizer.Bytes(id);
  return bytes.empty() ? tokenizer.Spelling(id) : bytes;
}

Json ChatToken(const Tokenizer& tokenizer, TokenId id, float logprob) {
  Json bytes;
  if (!tokenizer.Bytes(id).empty()) {
    bytes = Json::array();
    for (char c : tokenizer.Bytes(id)) bytes.push_back(static_cast<uint8_t>(c));
  }
  return {{"token", TextOf(tokenizer, id)}, {"logprob", Finite(logprob)}, {"bytes", bytes}};
}

// A name that no other token has.
std::string UniqueText(const Tokenizer& tokenizer, TokenId id) {
  const std::string_view text = TextOf(tokenizer, id);
  if (IsWholeUtf8(text)) return std::string(text);
  std::string escaped = "bytes:";
  for (char c : text) absl::StrAppendFormat(&escaped, "\\x%02x", static_cast<uint8_t>(c));
  return escaped;
}

int64_t Characters(std::string_view bytes) {
  return std::count_if(bytes.begin(), bytes.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

// Appends an element to a list that is being written.
void AppendTo(std::string& list, std::string_view element) {
  if (!list.empty()) list += ",";
  list += element;
}

// The likeliest and the token itself, by name.
Json TopJson(const Tokenizer& tokenizer, const OutputToken& token) {
  if (!token.logprob) return nullptr;
  Json top = Json::object();
  for (const TokenLogprob& other : token.top) {
    top[UniqueText(tokenizer, other.token)] = Finite(other.logprob);
  }
  top[UniqueText(tokenizer, token.id)] = Finite(*token.logprob);
  return top;
}

}  // namespace

std::string TokenLogprobList(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens) {
  std::string list;
  for (const OutputToken& token : tokens) {
    HEARTH_CHECK(token.logprob.has_value());
    Json entry = ChatToken(tokenizer, token.id, *token.logprob);
    Json& top = entry["top_logprobs"] = Json::array();
    for (const TokenLogprob& other : token.top) {
      top.push_back(ChatToken(tokenizer, other.token, other.logprob));
    }
    AppendTo(list, DumpJson(entry));
  }
  return absl::StrCat("[", list, "]");
}

std::string ChatLogprobs(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens) {
  return absl::StrCat(R"({"content":)", TokenLogprobList(tokenizer, tokens), R"(,"refusal":null})");
}

std::string CompletionLogprobs(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens,
                               int64_t& offset) {
  std::string names, logprobs, tops, offsets;
  for (const OutputToken& token : tokens) {
    AppendTo(names, DumpJson(UniqueText(tokenizer, token.id)));
    AppendTo(logprobs, DumpJson(token.logprob ? Json(Finite(*token.logprob)) : Json()));
    AppendTo(tops, DumpJson(TopJson(tokenizer, token)));
    AppendTo(offsets, absl::StrCat(offset));
    offset += Characters(tokenizer.Bytes(token.id));
  }
  return absl::StrCat(R"({"tokens":[)", names, R"(],"token_logprobs":[)", logprobs,
                      R"(],"top_logprobs":[)", tops, R"(],"text_offset":[)", offsets, "]}");
}

}  // namespace hearth::server
