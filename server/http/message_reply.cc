#include "server/http/message_reply.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"

namespace hearth::server {
namespace {

// Cached tokens are no part of input_tokens here.
Json UsageJson(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

const char* StopReason(const ChoiceEnd& end) {
  if (!end.stop.empty()) return "stop_sequence";
  switch (end.reason) {
    case EndReason::kStop:
      return "end_turn";
    case EndReason::kLength:
      return "max_tokens";
    case EndReason::kToolCalls:
      return "tool_use";
  }
  return "";
}

Json StopSequence(const ChoiceEnd& end) { return end.stop.empty() ? Json() : Json(end.stop); }

Json TextBlock(std::string text) {
  return {{"type", "text"}, {"text", std::move(text)}, {"citations", nullptr}};
}

Json ToolUseBlock(std::string id, std::string name, Json input) {
  return {{"type", "tool_use"},
          {"id", std::move(id)},
          {"name", std::move(name)},
          {"input", std::move(input)}};
}

// An event is named as its type.
void Add(const char* type, Json members, SseEvents& events) {
  Json event = {{"type", type}};
  event.update(members);
  events.push_back({type, DumpJson(event)});
}

}  // namespace

MessageReply::MessageReply(const Daemon& daemon, const Session& session)
    : preamble_({{"id", absl::StrCat("msg_", session.id())},
                 {"type", "message"},
                 {"role", "assistant"},
                 {"model", daemon.model_id()}}),
      prompt_tokens_(session.prompt_tokens()) {}

std::string MessageReply::Whole() {
  Json message = preamble_;
  message["content"] = std::move(content_);
  message["stop_reason"] = StopReason(end_);
  message["stop_sequence"] = StopSequence(end_);
  message["usage"] = UsageJson(usage_);
  return DumpJson(message);
}

void MessageReply::Open(SseEvents& events) {
  Json message = preamble_;
  message["content"] = Json::array();
  message["stop_reason"] = nullptr;
  message["stop_sequence"] = nullptr;
  message["usage"] = UsageJson({.prompt_tokens = prompt_tokens_});
  Add("message_start", {{"message", std::move(message)}}, events);
  Add("ping", Json::object(), events);
}

void MessageReply::Write(const Output& output, SseEvents& events) {
  if (const auto* delta = std::get_if<Delta>(&output)) {
    WriteDelta(*delta, events);
  } else if (const auto* call = std::get_if<ToolCallDelta>(&output)) {
    WriteCall(*call, events);
  } else if (const auto* end = std::get_if<ChoiceEnd>(&output)) {
    end_ = *end;
  } else if (const auto* usage = std::get_if<Usage>(&output)) {
    usage_ = *usage;
    WriteEnd(events);
  }
}

void MessageReply::WriteDelta(const Delta& delta, SseEvents& events) {
  if (delta.text.empty()) return;
  if (block_ != Block::kText) OpenBlock(Block::kText, TextBlock(""), events);
  text_ += delta.text;
  AddDelta({{"type", "text_delta"}, {"text", delta.text}}, events);
}

void MessageReply::WriteCall(const ToolCallDelta& call, SseEvents& events) {
  if (block_ != Block::kCall || call.call != call_) {
    OpenBlock(Block::kCall, ToolUseBlock(call.id, call.name, Json::object()), events);
    call_ = call.call;
  }
  if (call.arguments.empty()) return;
  text_ += call.arguments;
  AddDelta({{"type", "input_json_delta"}, {"partial_json", call.arguments}}, events);
}

void MessageReply::AddDelta(Json delta, SseEvents& events) {
  Add("content_block_delta", {{"index", content_.size()}, {"delta", std::move(delta)}}, events);
}

void MessageReply::WriteEnd(SseEvents& events) {
  CloseBlock(events);
  Add("message_delta",
      {{"delta", {{"stop_reason", StopReason(end_)}, {"stop_sequence", StopSequence(end_)}}},
       {"usage", UsageJson(usage_)}},
      events);
  Add("message_stop", Json::object(), events);
}

void MessageReply::OpenBlock(Block block, Json content, SseEvents& events) {
  CloseBlock(events);
  block_ = block;
  opening_ = std::move(content);
  Add("content_block_start", {{"index", content_.size()}, {"content_block", opening_}}, events);
}

void MessageReply::CloseBlock(SseEvents& events) {
  if (block_ == Block::kNone) return;
  Add("content_block_stop", {{"index", content_.size()}}, events);
  if (block_ == Block::kText) {
    opening_["text"] = text_;
  } else if (absl::StatusOr<Json> input = ParseJson(text_); input.ok() && input->is_object()) {
    opening_["input"] = *std::move(input);  // what max_tokens has cut is no JSON
  }
  content_.push_back(std::move(opening_));
  text_.clear();
  block_ = Block::kNone;
}

SseEvent MessageReply::Error(const HttpError& error) {
  return {"error", AnthropicErrorBody(error)};
}

}  // namespace hearth::server
