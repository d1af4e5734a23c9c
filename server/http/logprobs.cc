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

// `no_bytes` stands for the bytes of a marker.
Json TokenJson(const Tokenizer& tokenizer, TokenId id, float logprob, const Json& no_bytes) {
  Json bytes = no_bytes;
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

std::string TokenList(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens,
                      const Json& no_bytes) {
  std::string list;
  for (const OutputToken& token : tokens) {
    HEARTH_CHECK(token.logprob.has_value());
    Json entry = TokenJson(tokenizer, token.id, *token.logprob, no_bytes);
    Json& top = entry["top_logprobs"] = Json::array();
    for (const TokenLogprob& other : token.top) {
      top.push_back(TokenJson(tokenizer, other.token, other.logprob, no_bytes));
    }
    AppendTo(list, DumpJson(entry));
  }
  return absl::StrCat("[", list, "]");
}

}  // namespace

std::string TokenLogprobList(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens) {
  return TokenList(tokenizer, tokens, Json::array());
}

std::string ChatLogprobs(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens) {
  return absl::StrCat(R"({"content":)", TokenList(tokenizer, tokens, nullptr),
                      R"(,"refusal":null})");
}

std::string CompletionLogprobs(const Tokenizer& tokenizer, const std::vector<OutputToken>& tokens) {
  std::string names, logprobs, tops, offsets;
  for (const OutputToken& token : tokens) {
    AppendTo(names, DumpJson(UniqueText(tokenizer, token.id)));
    AppendTo(logprobs, DumpJson(token.logprob ? Json(Finite(*token.logprob)) : Json()));
    AppendTo(tops, DumpJson(TopJson(tokenizer, token)));
    AppendTo(offsets, absl::StrCat(token.offset));
  }
  return absl::StrCat(R"({"tokens":[)", names, R"(],"token_logprobs":[)", logprobs,
                      R"(],"top_logprobs":[)", tops, R"(],"text_offset":[)", offsets, "]}");
}

}  // namespace hearth::server
