// POST /v1/embeddings: texts or token ids to vectors of length 1, made of the model's last hidden
// states: their mean, or with `pooling: "last"` the last token's.
#include <bit>
#include <charconv>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"
#include "server/http/endpoint.h"
#include "server/http/generation_fields.h"
#include "server/http/prompts.h"
#include "server/http/wait.h"
#include "server/prompt_requests.h"
#include "server/prompt_run.h"
#include "server/status.h"

namespace hearth::server {
namespace {

// OpenAI's limit.
constexpr size_t kMaxInputs = 2048;

struct EmbeddingsCall : GenerationCall {
  Pooling pooling = Pooling::kMean;
  bool base64 = false;
};

// Which of two words a field has; the first is the default.
absl::StatusOr<bool> IsSecond(const Json& body, std::string_view name, std::string_view first,
                              std::string_view second) {
  HEARTH_ASSIGN_OR_RETURN(const std::optional<std::string> word, GetString(body, name));
  if (!word || *word == first) return false;
  if (*word == second) return true;
  return InvalidParam(name,
                      absl::StrCat("must be ", std::string(first), " or ", std::string(second)));
}

absl::Status ReadCall(Daemon& daemon, HttpRequest& http, EmbeddingsCall& call) {
  call.request.names.prompt = "input";
  return ReadGeneration(
      daemon, http, Dialect::kEmbeddings, call, [&call](const Json& body) -> absl::Status {
        HEARTH_ASSIGN_OR_RETURN(call.request.prompts, ReadPrompts(body, "input"));
        HEARTH_ASSIGN_OR_RETURN(call.base64, IsSecond(body, "encoding_format", "float", "base64"));
        HEARTH_ASSIGN_OR_RETURN(const bool last, IsSecond(body, "pooling", "mean", "last"));
        if (last) call.pooling = Pooling::kLast;
        return absl::OkStatus();
      });
}

// The shortest decimals that are these floats again.
std::string FloatList(const std::vector<float>& values) {
  std::string text = "[";
  char digits[32];
  for (const float value : values) {
    if (text.size() > 1) text.push_back(',');
    text.append(digits, std::to_chars(std::begin(digits), std::end(digits), value).ptr);
  }
  text.push_back(']');
  return text;
}

// Little-endian, as OpenAI has it.
std::string Base64(const std::vector<float>& values) {
  static_assert(std::endian::native == std::endian::little);
  const absl::string_view bytes(reinterpret_cast<const char*>(values.data()),
                                values.size() * sizeof(float));
  return absl::StrCat("\"", absl::Base64Escape(bytes), "\"");
}

// In pieces: the text of all takes four times the memory of the vectors.
bool WriteReply(const std::string& model, const std::vector<PromptResult>& results, bool base64,
                SseStream& stream) {
  if (!stream.Write(R"({"object":"list","data":[)")) return false;
  int64_t tokens = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    const std::vector<float>& values = results[i].embedding;
    tokens += results[i].prompt_tokens;
    if (!stream.Write(absl::StrCat(i > 0 ? "," : "", R"({"object":"embedding","index":)", i,
                                   R"(,"embedding":)", base64 ? Base64(values) : FloatList(values),
                                   "}"))) {
      return false;
    }
  }
  return stream.Write(absl::StrCat(R"(],"model":)", DumpJson(model),
                                   R"(,"usage":{"prompt_tokens":)", tokens, R"(,"total_tokens":)",
                                   tokens, "}}"));
}

// Cancelled when the client has gone.
absl::StatusOr<std::vector<PromptResult>> Await(PromptRun& run, const ClientSocket& socket) {
  std::vector<PromptResult> results;
  const auto poll = [&](absl::Duration wait) -> absl::StatusOr<bool> {
    HEARTH_ASSIGN_OR_RETURN(std::optional<std::vector<PromptResult>> all, run.Wait(wait));
    if (all) results = *std::move(all);
    return all.has_value();
  };
  HEARTH_RETURN_IF_ERROR(PollWhileOpen(run, socket, poll));
  return results;
}

}  // namespace

absl::StatusOr<HttpReply> Embeddings(Daemon& daemon, HttpRequest& http) {
  HEARTH_RETURN_IF_ERROR(daemon.Ready());
  EmbeddingsCall call;
  HEARTH_RETURN_IF_ERROR(ReadCall(daemon, http, call));
  HEARTH_ASSIGN_OR_RETURN(PromptRequests requests,
                          EmbeddingRequests(daemon, call.request, call.pooling, kMaxInputs));
  HEARTH_ASSIGN_OR_RETURN(const std::shared_ptr<PromptRun> run,
                          PromptRun::Start(daemon, http.client, std::move(requests)));
  HEARTH_ASSIGN_OR_RETURN(std::vector<PromptResult> results, Await(*run, http.socket));
  HttpReply reply;
  reply.stream = [model = daemon.model_id(), results = std::move(results), base64 = call.base64](
                     SseStream& stream) { return WriteReply(model, results, base64, stream); };
  NameIgnored(call.ignored, reply);
  return reply;
}

}  // namespace hearth::server
