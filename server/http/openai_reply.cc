#include "server/http/openai_reply.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace hearth::server {
namespace {

Json UsageJson(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

// The members of an object, without its braces.
std::string Members(const Json& object) {
  const std::string text = DumpJson(object);
  return text.substr(1, text.size() - 2);
}

}  // namespace

OpenAiReply::OpenAiReply(const Daemon& daemon, const Session& session, const Names& names,
                         StreamOptions options)
    : names_(names),
      options_(options),
      id_(absl::StrCat(names.id_prefix, session.id())),
      model_(daemon.model_id()),
      fingerprint_(daemon.system_fingerprint()),
      created_(session.created()),
      chunk_preamble_(Preamble(names.chunk_object)),
      choices_(session.choices()) {}

std::string OpenAiReply::Preamble(const char* object) const {
  return absl::StrCat("{", Members({{"id", id_},
                                    {"object", object},
                                    {"created", absl::ToUnixSeconds(created_)},
                                    {"model", model_},
                                    {"system_fingerprint", fingerprint_}}));
}

void OpenAiReply::Take(const Output& output) {
  if (const auto* delta = std::get_if<Delta>(&output)) choices_[delta->index].Add(*delta);
  if (const auto* call = std::get_if<ToolCallDelta>(&output)) choices_[call->index].Add(*call);
  if (const auto* end = std::get_if<ChoiceEnd>(&output)) choices_[end->index].Add(*end);
  if (const auto* usage = std::get_if<Usage>(&output)) usage_ = *usage;
}

std::string OpenAiReply::Whole() {
  std::string body = absl::StrCat(Preamble(names_.object), R"(,"choices":[)");
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (i > 0) body += ",";
    body += WriteChoice(static_cast<int32_t>(i), std::move(choices_[i]));
  }
  absl::StrAppend(&body, R"(],"usage":)", DumpJson(UsageJson(usage_)), "}");
  return body;
}

void OpenAiReply::Write(const Output& output, SseEvents& events) {
  if (const auto* progress = std::get_if<Progress>(&output)) {
    if (ShowsProgress()) WriteProgress(*progress, events);
  } else if (const auto* delta = std::get_if<Delta>(&output)) {
    WriteDelta(*delta, events);
  } else if (const auto* call = std::get_if<ToolCallDelta>(&output)) {
    WriteCall(*call, events);
  } else if (const auto* end = std::get_if<ChoiceEnd>(&output)) {
    WriteEnd(*end, events);
  } else {
    if (options_.include_usage) {
      AddChunk("", {{"usage", UsageJson(std::get<Usage>(output))}}, events);
    }
    events.push_back({"", "[DONE]"});
  }
}

void OpenAiReply::AddChunk(const std::string& choice, SseEvents& events) {
  AddChunk(choice, options_.include_usage ? Json{{"usage", nullptr}} : Json::object(), events);
}

void OpenAiReply::AddChunk(const std::string& choices, const Json& more, SseEvents& events) {
  std::string chunk = absl::StrCat(chunk_preamble_, R"(,"choices":[)", choices, "]");
  if (!more.empty()) absl::StrAppend(&chunk, ",", Members(more));
  events.push_back({"", chunk + "}"});
}

void OpenAiReply::WriteProgress(const Progress& progress, SseEvents& events) {
  Json more = {{"prompt_progress",
                {{"total", progress.prompt_tokens},
                 {"cache", progress.cached_tokens},
                 {"processed", progress.computed_tokens},
                 {"time_ms", absl::ToInt64Milliseconds(absl::Now() - created_)}}}};
  if (options_.include_usage) more["usage"] = nullptr;
  AddChunk("", more, events);
}

std::string ChoiceText(int32_t index, const Json& members, const std::string& logprobs,
                       std::optional<EndReason> reason) {
  const std::string end = reason ? absl::StrCat("\"", Name(*reason), "\"") : "null";
  return absl::StrCat(R"({"index":)", index, ",", Members(members), R"(,"logprobs":)",
                      logprobs.empty() ? "null" : logprobs, R"(,"finish_reason":)", end, "}");
}

}  // namespace hearth::server
