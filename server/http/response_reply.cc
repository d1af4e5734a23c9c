#include "server/http/response_reply.h"

#include <initializer_list>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/http/logprobs.h"

namespace hearth::server {
namespace {

Json UsageJson(const Usage& usage) {
  return {
      {"input_tokens", usage.prompt_tokens},
      {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}, {"cache_write_tokens", 0}}},
      {"output_tokens", usage.completion_tokens},
      {"output_tokens_details", {{"reasoning_tokens", 0}}},
      {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

// A member whose value is JSON text: log-probabilities as values would take many times that.
using TextMember = std::pair<std::string_view, std::string>;

// An object of `members` and, behind them, `texts`.
std::string ObjectText(const Json& members, std::initializer_list<TextMember> texts) {
  std::string object = DumpJson(members);
  object.pop_back();
  for (const auto& [name, text] : texts) {
    absl::StrAppend(&object, object.size() > 1 ? "," : "", "\"", std::string(name), "\":", text);
  }
  return object + "}";
}

}  // namespace

ResponseReply::ResponseReply(const Daemon& daemon, const Session& session, Json echo)
    : tokenizer_(daemon.engine().tokenizer()),
      logprobs_asked_(session.logprobs()),
      id_(session.id()),
      preamble_({{"id", absl::StrCat("resp_", session.id())},
                 {"object", "response"},
                 {"created_at", absl::ToUnixSeconds(session.created())},
                 {"model", daemon.model_id()}}),
      echo_(std::move(echo)) {}

void ResponseReply::Open(SseEvents& events) {
  Add("response.created", Json::object(), "response", Response("in_progress"), events);
  Add("response.in_progress", Json::object(), "response", Response("in_progress"), events);
}

void ResponseReply::Write(const Output& output, SseEvents& events) {
  if (const auto* delta = std::get_if<Delta>(&output)) {
    WriteDelta(*delta, events);
  } else if (const auto* call = std::get_if<ToolCallDelta>(&output)) {
    WriteCall(*call, events);
  } else if (const auto* end = std::get_if<ChoiceEnd>(&output)) {
    reason_ = end->reason;
  } else if (const auto* usage = std::get_if<Usage>(&output)) {
    WriteEnd(*usage, events);
    const char* status = EndStatus();
    Add(absl::StrCat("response.", status), Json::object(), "response", Response(status), events);
  }
}

SseEvent ResponseReply::Error(const HttpError& error) {
  const int64_t number = sequence_number_;
  SseEvents events;
  CloseItem("incomplete", events);  // shows in the response alone
  events.clear();
  sequence_number_ = number;
  error_ = {{"code", error.http_status == 429 ? "rate_limit_exceeded" : "server_error"},
            {"message", error.message}};
  Add("response.failed", Json::object(), "response", Response("failed"), events);
  return std::move(events.front());
}

void ResponseReply::WriteDelta(const Delta& delta, SseEvents& events) {
  if (logprobs_asked_) pending_.insert(pending_.end(), delta.tokens.begin(), delta.tokens.end());
  if (delta.text.empty()) return;
  if (item_ != Item::kMessage) OpenMessage(events);
  text_ += delta.text;
  AddOfPart("response.output_text.delta", {{"delta", delta.text}}, "logprobs", Logprobs(pending_),
            events);
  tokens_.insert(tokens_.end(), std::make_move_iterator(pending_.begin()),
                 std::make_move_iterator(pending_.end()));
  pending_.clear();
}

void ResponseReply::WriteCall(const ToolCallDelta& call, SseEvents& events) {
  pending_.clear();
  if (item_ != Item::kCall || call.call != call_) OpenCall(call, events);
  if (call.arguments.empty()) return;
  text_ += call.arguments;
  AddOfItem("response.function_call_arguments.delta", Json::object(), "delta",
            DumpJson(call.arguments), events);
}

void ResponseReply::WriteEnd(const Usage& usage, SseEvents& events) {
  if (item_ == Item::kNone && item_count_ == 0) OpenMessage(events);
  CloseItem(EndStatus(), events);
  usage_ = UsageJson(usage);
}

void ResponseReply::OpenMessage(SseEvents& events) {
  CloseItem("completed", events);
  item_ = Item::kMessage;
  Add("response.output_item.added", {{"output_index", item_count_}}, "item",
      MessageItem("in_progress", ""), events);
  AddOfPart("response.content_part.added", Json::object(), "part", TextPart(), events);
}

void ResponseReply::OpenCall(const ToolCallDelta& call, SseEvents& events) {
  CloseItem("completed", events);
  item_ = Item::kCall;
  call_ = call.call;
  call_id_ = call.id;
  name_ = call.name;
  Add("response.output_item.added", {{"output_index", item_count_}}, "item",
      CallItem("in_progress"), events);
}

void ResponseReply::CloseItem(const char* status, SseEvents& events) {
  if (item_ == Item::kNone) return;
  std::string item;
  if (item_ == Item::kMessage) {
    const std::string part = TextPart();
    AddOfPart("response.output_text.done", {{"text", text_}}, "logprobs", Logprobs(tokens_),
              events);
    AddOfPart("response.content_part.done", Json::object(), "part", part, events);
    item = MessageItem(status, part);
  } else {
    AddOfItem("response.function_call_arguments.done", {{"name", name_}}, "arguments",
              DumpJson(text_), events);
    item = CallItem(status);
  }
  Add("response.output_item.done", {{"output_index", item_count_}}, "item", item, events);
  absl::StrAppend(&items_, items_.empty() ? "" : ",", item);
  ++item_count_;
  item_ = Item::kNone;
  text_.clear();
  tokens_.clear();
}

std::string ResponseReply::TextPart() const {
  return ObjectText({{"type", "output_text"}, {"text", text_}, {"annotations", Json::array()}},
                    {{"logprobs", Logprobs(tokens_)}});
}

std::string ResponseReply::ItemId() const {
  return absl::StrCat(item_ == Item::kMessage ? "msg_" : "fc_", id_, "_", item_count_);
}

std::string ResponseReply::MessageItem(const char* status, const std::string& part) const {
  return ObjectText(
      {{"id", ItemId()}, {"type", "message"}, {"status", status}, {"role", "assistant"}},
      {{"content", absl::StrCat("[", part, "]")}});
}

std::string ResponseReply::CallItem(const char* status) const {
  return DumpJson({{"id", ItemId()},
                   {"type", "function_call"},
                   {"status", status},
                   {"call_id", call_id_},
                   {"name", name_},
                   {"arguments", text_}});
}

std::string ResponseReply::Logprobs(const std::vector<OutputToken>& tokens) const {
  return logprobs_asked_ ? TokenLogprobList(tokenizer_, tokens) : "[]";
}

const char* ResponseReply::EndStatus() const {
  return reason_ == EndReason::kLength ? "incomplete" : "completed";
}

std::string ResponseReply::Response(const char* status) const {
  const bool incomplete = std::string_view(status) == "incomplete";
  Json members = preamble_;
  members["status"] = status;
  members["error"] = error_;
  members["incomplete_details"] =
      incomplete ? Json{{"reason", "max_output_tokens"}} : Json(nullptr);
  members["usage"] = usage_;
  members.update(echo_);
  return ObjectText(members, {{"output", absl::StrCat("[", items_, "]")}});
}

void ResponseReply::Add(std::string_view type, Json members, std::string_view name,
                        const std::string& text, SseEvents& events) {
  Json event = {{"type", type}, {"sequence_number", sequence_number_++}};
  event.update(members);
  events.push_back({std::string(type), ObjectText(event, {{name, text}})});
}

void ResponseReply::AddOfItem(std::string_view type, Json members, std::string_view name,
                              const std::string& text, SseEvents& events) {
  Json event = {{"item_id", ItemId()}, {"output_index", item_count_}};
  event.update(members);
  Add(type, std::move(event), name, text, events);
}

void ResponseReply::AddOfPart(std::string_view type, Json members, std::string_view name,
                              const std::string& text, SseEvents& events) {
  Json event = {{"content_index", 0}};
  event.update(members);
  AddOfItem(type, std::move(event), name, text, events);
}

}  // namespace hearth::server
