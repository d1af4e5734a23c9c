// hearthd eval: how well a model foretells a text, alone or against a reference.
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/chat/chat_format.h"
#include "engine/engine.h"
#include "engine/evaluation.h"
#include "engine/status_macros.h"
#include "server/commands.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using Json = nlohmann::json;

absl::Status LineError(size_t line, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", problem));
}

absl::StatusOr<Message> ReadMessage(const Json& json, size_t line) {
  Message message;
  const std::string role = json.value("role", "");
  if (role == "system") {
    message.role = Role::kSystem;
  } else if (role == "user") {
    message.role = Role::kUser;
  } else if (role == "assistant") {
    message.role = Role::kAssistant;
  } else {
    return LineError(line, "a message's role is system, user or assistant");
  }
  message.content = json.value("content", "");
  message.tool_list = json.value("tools", "");
  return message;
}

// A conversation, of which the answer is scored, its end included.
absl::StatusOr<Passage> ReadChat(const Json& json, const ChatFormat& format, size_t line) {
  std::vector<Message> messages;
  for (const Json& entry : json.value("messages", Json::array())) {
    HEARTH_ASSIGN_OR_RETURN(Message message, ReadMessage(entry, line));
    messages.push_back(std::move(message));
  }
  Passage passage;
  HEARTH_ASSIGN_OR_RETURN(const std::vector<TokenId> prompt, format.Render(messages));
  messages.push_back({Role::kAssistant, json.value("expected", "")});
  HEARTH_ASSIGN_OR_RETURN(passage.tokens, format.Render(messages));
  passage.tokens.pop_back();  // the marker that asks for the next answer
  passage.first_scored = static_cast<int32_t>(prompt.size());
  if (passage.first_scored >= static_cast<int32_t>(passage.tokens.size())) {
    return LineError(line, "\"expected\" is empty");
  }
  return passage;
}

absl::StatusOr<std::vector<Passage>> ReadChats(std::istream& in, const Tokenizer& tokenizer) {
  HEARTH_ASSIGN_OR_RETURN(const ChatFormat format, ChatFormat::Create(tokenizer));
  std::vector<Passage> passages;
  std::string text;
  for (size_t line = 1; std::getline(in, text); ++line) {
    try {
      HEARTH_ASSIGN_OR_RETURN(Passage passage, ReadChat(Json::parse(text), format, line));
      passages.push_back(std::move(passage));
    } catch (const Json::exception& error) {
      return LineError(line, error.what());
    }
  }
  return passages;
}

// A text cut into windows, each read on its own.
std::vector<Passage> ReadText(std::istream& in, const Tokenizer& tokenizer, int32_t window) {
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::vector<TokenId> ids = tokenizer.Encode(text);
  const bool bos = tokenizer.add_bos() && tokenizer.bos();
  const size_t step = static_cast<size_t>(window) - (bos ? 1 : 0);
  std::vector<Passage> passages;
  for (size_t begin = 0; begin + 1 < ids.size(); begin += step) {
    Passage passage;
    if (bos) passage.tokens.push_back(*tokenizer.bos());
    const size_t end = std::min(begin + step, ids.size());
    passage.tokens.insert(passage.tokens.end(), ids.begin() + begin, ids.begin() + end);
    if (passage.tokens.size() > 1) passages.push_back(std::move(passage));
  }
  return passages;
}

absl::StatusOr<std::vector<Passage>> ReadPassages(const EvalOptions& options,
                                                  const Tokenizer& tokenizer) {
  std::ifstream in(options.text_path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat(options.text_path, ": cannot be read"));
  std::vector<Passage> passages;
  if (absl::EndsWith(options.text_path, ".jsonl")) {
    absl::StatusOr<std::vector<Passage>> chats = ReadChats(in, tokenizer);
    if (!chats.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(options.text_path, ": ", chats.status().message()));
    }
    passages = *std::move(chats);
  } else {
    passages = ReadText(in, tokenizer, options.window);
  }
  if (passages.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(options.text_path, ": nothing to score"));
  }
  return passages;
}

absl::StatusOr<std::unique_ptr<Engine>> Load(const std::string& path,
                                             const std::optional<KvType>& kv_type,
                                             const EvalOptions& options, int32_t longest) {
  EngineOptions engine = EvaluationOptions(longest);
  engine.model_path = path;
  engine.kv_type = kv_type;
  engine.threads = options.threads;
  return Engine::Load(engine);
}

absl::StatusOr<Evaluation> Run(const EvalOptions& options) {
  HEARTH_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                          LoadTokenizer(options.model_path));
  HEARTH_ASSIGN_OR_RETURN(const std::vector<Passage> passages, ReadPassages(options, *tokenizer));
  size_t longest = 0;
  for (const Passage& passage : passages) longest = std::max(longest, passage.tokens.size());
  const auto context = static_cast<int32_t>(longest);
  HEARTH_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> subject,
                          Load(options.model_path, options.kv_type, options, context));
  std::unique_ptr<Engine> reference;
  if (!options.reference_path.empty()) {
    HEARTH_ASSIGN_OR_RETURN(
        reference, Load(options.reference_path, options.reference_kv_type, options, context));
  }
  return Evaluate(*subject, reference.get(), passages);
}

void PrintJson(const Evaluation& result) {
  nlohmann::ordered_json json = {{"scored_tokens", result.scored_tokens},
                                 {"perplexity", result.perplexity}};
  if (result.divergence) {
    json["reference_perplexity"] = result.divergence->reference_perplexity;
    json["mean_kl"] = result.divergence->mean_kl;
    json["p99_kl"] = result.divergence->p99_kl;
    json["max_kl"] = result.divergence->max_kl;
    json["same_top"] = result.divergence->same_top;
  }
  std::cout << json.dump() << "\n";
}

void PrintText(const Evaluation& result) {
  absl::PrintF("scored tokens  %d\nperplexity     %.4f\n", result.scored_tokens, result.perplexity);
  if (!result.divergence) return;
  const Evaluation::Divergence& d = *result.divergence;
  absl::PrintF("of reference   %.4f\n", d.reference_perplexity);
  absl::PrintF("KL divergence  mean %.6f, 99 %% below %.6f, most %.6f nats\n", d.mean_kl, d.p99_kl,
               d.max_kl);
  absl::PrintF("same top token %.2f %%\n", 100 * d.same_top);
}

}  // namespace

int Eval(const EvalOptions& options) {
  const absl::StatusOr<Evaluation> result = Run(options);
  if (!result.ok()) {
    std::cerr << "hearthd: " << result.status().message() << "\n";
    return LoadExitCode(result.status());
  }
  options.json ? PrintJson(*result) : PrintText(*result);
  return std::cout.flush() ? kExitOk : kExitOs;
}

}  // namespace hearth::server
