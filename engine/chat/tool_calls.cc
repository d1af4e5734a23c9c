#include "engine/chat/tool_calls.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

namespace hearth {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// How much of the end of `text` may become the opening.
size_t PossibleOpening(std::string_view text, std::string_view opening) {
  for (size_t n = std::min(text.size() + 1, opening.size()); n-- > 1;) {
    if (EndsWith(text, opening.substr(0, n))) return n;
  }
  return 0;
}

bool IsArguments(std::string_view key) { return key == "arguments" || key == "parameters"; }

}  // namespace

void ToolCallOutput::Append(ToolCallOutput next) {
  text += next.text;
  calls.insert(calls.end(), std::make_move_iterator(next.calls.begin()),
               std::make_move_iterator(next.calls.end()));
}

ToolCallParser::ToolCallParser(std::string_view opening)
    : opening_(opening.empty() ? "" : std::string(opening) + "[") {}

ToolCallOutput ToolCallParser::Open() {
  ToolCallOutput out;
  if (state_ != State::kText && state_ != State::kClosing) Break(out);
  if (state_ == State::kText) out.text += held_;
  held_.clear();
  state_ = State::kList;
  single_ = false;
  return out;
}

ToolCallOutput ToolCallParser::Close() {
  ToolCallOutput out;
  if (state_ == State::kClosing) {
    held_.clear();
    state_ = State::kText;
  } else if (state_ != State::kText) {
    Break(out);
  }
  return out;
}

ToolCallOutput ToolCallParser::Push(std::string_view text) {
  ToolCallOutput out;
  for (const char c : text) Read(c, out);
  return out;
}

ToolCallOutput ToolCallParser::Finish() {
  ToolCallOutput out;
  if (state_ != State::kText) {
    if (state_ != State::kClosing) broken_ = true;
    held_.clear();
  }
  out.text = std::exchange(held_, "");
  state_ = State::kText;
  return out;
}

void ToolCallParser::Read(char c, ToolCallOutput& out) {
  switch (state_) {
    case State::kText:
      return ReadText(c, out);
    case State::kClosing:
      return ReadClosing(c, out);
    case State::kInNested:
      return ReadNested(c, out);
    case State::kInString:
      AddToValue(c, out);
      if (EndsString(c)) EndValue(out);
      return;
    case State::kKey:
      held_.push_back(c);
      if (EndsString(c)) {
        state_ = State::kColon;
      } else {
        key_.push_back(c);
      }
      return;
    case State::kInScalar:
      if (!IsSpace(c) && c != ',' && c != '}') return AddToValue(c, out);
      EndValue(out);
      break;
    default:
      break;
  }
  if (IsSpace(c)) {
    held_.push_back(c);
    return;
  }
  const State state = state_;
  if (state == State::kList && c == '[') {
    state_ = State::kCall;
  } else if ((state == State::kList || state == State::kCall) && c == '{') {
    single_ = state == State::kList;
    state_ = State::kMember;
  } else if (state == State::kMember && c == '"') {
    key_.clear();
    state_ = State::kKey;
  } else if (state == State::kColon && c == ':') {
    state_ = State::kValue;
  } else if (state == State::kValue && c != ',' && c != '}' && c != ']') {
    return StartValue(c, out);
  } else if (state == State::kAfterValue && c == ',') {
    state_ = State::kMember;
  } else if (state == State::kAfterValue && c == '}' && named_) {
    return EndCall();
  } else if (state == State::kAfterCall && c == ',') {
    state_ = State::kCall;
  } else if (state == State::kAfterCall && c == ']') {
    held_.clear();
    state_ = State::kClosing;
    return;
  } else {
    Break(out);
    return ReadText(c, out);
  }
  held_.push_back(c);
}

void ToolCallParser::ReadText(char c, ToolCallOutput& out) {
  held_.push_back(c);
  size_t kept = PossibleOpening(held_, opening_);
  if (!opening_.empty() && EndsWith(held_, opening_)) {
    kept = opening_.size();
    state_ = State::kCall;
    single_ = false;
  }
  out.text.append(held_, 0, held_.size() - kept);
  held_.erase(0, held_.size() - kept);
}

void ToolCallParser::ReadClosing(char c, ToolCallOutput& out) {
  held_.push_back(c);
  if (IsSpace(c)) return;
  state_ = State::kText;
  for (const char again : std::exchange(held_, "")) ReadText(again, out);
}

void ToolCallParser::StartValue(char c, ToolCallOutput& out) {
  value_.clear();
  escaped_ = in_string_ = false;
  depth_ = 0;
  if (c == '{' || c == '[') {
    state_ = State::kInNested;
    return ReadNested(c, out);
  }
  state_ = c == '"' ? State::kInString : State::kInScalar;
  AddToValue(c, out);
}

void ToolCallParser::ReadNested(char c, ToolCallOutput& out) {
  AddToValue(c, out);
  if (in_string_) {
    in_string_ = !EndsString(c);
  } else if (c == '"') {
    in_string_ = true;
  } else if (c == '{' || c == '[') {
    ++depth_;
  } else if ((c == '}' || c == ']') && --depth_ == 0) {
    EndValue(out);
  }
}

bool ToolCallParser::EndsString(char c) {
  if (escaped_) {
    escaped_ = false;
    return false;
  }
  escaped_ = c == '\\';
  return c == '"';
}

void ToolCallParser::AddToValue(char c, ToolCallOutput& out) {
  if (IsArguments(key_) && !has_arguments_) {
    if (named_) {
      Piece(out).arguments.push_back(c);
      return;
    }
    early_.push_back(c);
  } else if (key_ == "name" && !named_) {
    value_.push_back(c);
  }
  if (!named_) held_.push_back(c);
}

void ToolCallParser::EndValue(ToolCallOutput& out) {
  state_ = State::kAfterValue;
  if (IsArguments(key_)) has_arguments_ = true;
  if (key_ != "name" || named_) return;
  const auto name = nlohmann::json::parse(value_, nullptr, /*allow_exceptions=*/false);
  if (!name.is_string()) return;  // then the call never gets one, and breaks at its end
  named_ = true;
  ++calls_;
  held_.clear();
  ToolCallPiece& piece = Piece(out);
  piece.name = name.get<std::string>();
  piece.arguments = std::exchange(early_, "");
}

void ToolCallParser::EndCall() {
  held_.clear();
  early_.clear();
  named_ = has_arguments_ = false;
  state_ = single_ ? State::kClosing : State::kAfterCall;
}

// What cannot be a call is text after all, as far as it has not come out yet.
void ToolCallParser::Break(ToolCallOutput& out) {
  broken_ = true;
  named_ = has_arguments_ = false;
  early_.clear();
  out.text += std::exchange(held_, "");
  state_ = State::kText;
}

ToolCallPiece& ToolCallParser::Piece(ToolCallOutput& out) {
  if (out.calls.empty() || out.calls.back().index != calls_ - 1) {
    out.calls.push_back({calls_ - 1, "", ""});
  }
  return out.calls.back();
}

}  // namespace hearth
