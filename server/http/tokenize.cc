// POST /tokenize and /detokenize: text to token ids and back, with the field names of vLLM
// (`prompt`) and llama.cpp (`content`). POST /apply-template: a conversation as the prompt that
// /v1/chat/completions would make of it.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/status_macros.h"
#include "engine/tokenizer/unicode.h"
#include "server/http/chat_messages.h"
#include "server/http/document.h"
#include "server/http/endpoint.h"
#include "server/http/fields.h"
#include "server/http/generation_fields.h"
#include "server/http/json.h"
#include "server/http/tool_fields.h"
#include "server/prompt_requests.h"
#include "server/status.h"
#include "server/tokenization.h"

namespace hearth::server {
namespace {

struct TokenizeCall {
  std::string text;
  const char* field = "prompt";  // that the text is from
  bool add_special = false;
  bool with_pieces = false;
  std::optional<GenerationRequest> chat;  // in place of the text
};

// Returns the fields that nobody's schema has.
absl::StatusOr<std::vector<std::string>> ReadObject(
    Daemon& daemon, HttpRequest& request, absl::FunctionRef<absl::Status(const Json&)> read) {
  std::vector<std::string> ignored;
  const auto read_all = [&](const Json& body) -> absl::Status {
    HEARTH_ASSIGN_OR_RETURN(ignored, IgnoredFields(daemon, body, Dialect::kTokenize));
    HEARTH_ASSIGN_OR_RETURN(const std::string model, ReadModel(body));
    HEARTH_RETURN_IF_ERROR(daemon.CheckModel(model));
    return read(body);
  };
  HEARTH_RETURN_IF_ERROR(daemon.Ready());
  HEARTH_RETURN_IF_ERROR(ReadDocument(request, read_all));
  return ignored;
}

HttpReply TextReply(std::string body, const std::vector<std::string>& ignored) {
  HttpReply reply;
  reply.body = std::move(body);
  NameIgnored(ignored, reply);
  return reply;
}

absl::Status ReadChat(const Json& body, std::optional<GenerationRequest>& chat) {
  chat.emplace();
  HEARTH_RETURN_IF_ERROR(ReadMessages(body, *chat));
  return ReadOpenAiTools(body, ToolForm::kNested, *chat);
}

// vLLM's `prompt` is tokenised as /v1/completions does, llama.cpp's `content` as it stands.
absl::Status ReadText(const Json& body, TokenizeCall& call) {
  HEARTH_ASSIGN_OR_RETURN(std::optional<std::string> content, GetString(body, "content"));
  HEARTH_ASSIGN_OR_RETURN(std::optional<std::string> prompt, GetString(body, "prompt"));
  const bool chat = FindMember(body, "messages") != nullptr;
  if (content.has_value() + prompt.has_value() + chat != 1) {
    return InvalidParam("prompt", "one of prompt, content and messages is needed");
  }
  if (chat) return ReadChat(body, call.chat);
  call.add_special = prompt.has_value();
  if (content) call.field = "content";
  call.text = *std::move(prompt ? prompt : content);
  return absl::OkStatus();
}

absl::Status ReadTokenizeCall(const Json& body, TokenizeCall& call) {
  HEARTH_RETURN_IF_ERROR(ReadText(body, call));
  HEARTH_ASSIGN_OR_RETURN(const std::optional<bool> special, GetBool(body, "add_special_tokens"));
  HEARTH_ASSIGN_OR_RETURN(const std::optional<bool> pieces, GetBool(body, "with_pieces"));
  if (call.chat && special.value_or(false)) {
    return InvalidParam("add_special_tokens", "a chat format writes its own");
  }
  call.add_special = special.value_or(call.add_special);
  call.with_pieces = pieces.value_or(false);
  return absl::OkStatus();
}

// JSON cannot hold the bytes of half a character: such a piece is a list of bytes, as llama.cpp
// has it.
std::string PieceJson(const Tokenizer& tokenizer, TokenId id) {
  const std::string_view bytes = PieceOf(tokenizer, id);
  Json piece = std::string(bytes);
  if (!IsWholeUtf8(bytes)) piece = std::vector<uint8_t>(bytes.begin(), bytes.end());
  return absl::StrCat(R"({"id":)", id, R"(,"piece":)", DumpJson(piece), "}");
}

std::string TokensJson(const Engine& engine, const std::vector<TokenId>& ids, bool with_pieces) {
  const auto piece = [&engine](std::string* out, TokenId id) {
    out->append(PieceJson(engine.tokenizer(), id));
  };
  return absl::StrCat(
      R"({"tokens":[)", with_pieces ? absl::StrJoin(ids, ",", piece) : absl::StrJoin(ids, ","),
      R"(],"count":)", ids.size(), R"(,"max_model_len":)", engine.info().max_context, "}");
}

absl::StatusOr<std::vector<TokenId>> TokensOf(const Daemon& daemon, const TokenizeCall& call) {
  if (call.chat) return RenderConversation(daemon, *call.chat);
  return TokenizeText(daemon.engine().tokenizer(), call.text, call.add_special, call.field);
}

absl::Status ReadTokens(const Json& body, const Tokenizer& tokenizer, std::vector<TokenId>& ids) {
  const Json* tokens = FindMember(body, "tokens");
  if (tokens == nullptr || !tokens->is_array()) {
    return InvalidParam("tokens", "must be a list of token ids");
  }
  for (const Json& token : *tokens) {
    HEARTH_ASSIGN_OR_RETURN(const int64_t id, ToInteger(token, "tokens"));
    HEARTH_RETURN_IF_ERROR(CheckTokenId(tokenizer, id, "tokens"));
    ids.push_back(static_cast<TokenId>(id));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<HttpReply> Tokenize(Daemon& daemon, HttpRequest& request) {
  TokenizeCall call;
  HEARTH_ASSIGN_OR_RETURN(const std::vector<std::string> ignored,
                          ReadObject(daemon, request, [&call](const Json& body) {
                            return ReadTokenizeCall(body, call);
                          }));
  HEARTH_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, TokensOf(daemon, call));
  return TextReply(TokensJson(daemon.engine(), ids, call.with_pieces), ignored);
}

absl::StatusOr<HttpReply> Detokenize(Daemon& daemon, HttpRequest& request) {
  std::vector<TokenId> ids;
  HEARTH_ASSIGN_OR_RETURN(const std::vector<std::string> ignored,
                          ReadObject(daemon, request, [&](const Json& body) {
                            return ReadTokens(body, daemon.engine().tokenizer(), ids);
                          }));
  HEARTH_ASSIGN_OR_RETURN(const std::string text,
                          DetokenizeIds(daemon.engine().tokenizer(), ids, "tokens"));
  return TextReply(DumpJson({{"content", text}, {"prompt", text}}), ignored);
}

absl::StatusOr<HttpReply> ApplyTemplate(Daemon& daemon, HttpRequest& request) {
  std::optional<GenerationRequest> chat;
  HEARTH_ASSIGN_OR_RETURN(
      const std::vector<std::string> ignored,
      ReadObject(daemon, request, [&chat](const Json& body) { return ReadChat(body, chat); }));
  HEARTH_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, RenderConversation(daemon, *chat));
  const std::string prompt = SpellPrompt(daemon.engine().tokenizer(), ids);
  return TextReply(DumpJson({{"prompt", prompt}}), ignored);
}

}  // namespace hearth::server
