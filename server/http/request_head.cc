#include "server/http/request_head.h"

#include <algorithm>

#include "server/http/ascii.h"

namespace hearth::server {
namespace {

using State = RequestHeadParser::State;

constexpr std::string_view kMethods[] = {"GET",     "HEAD",  "POST",    "PUT",   "DELETE",
                                         "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"};
// Headers that decide how a request is read or whom it comes from: at most one of each.
constexpr std::string_view kSingletons[] = {"host",   "content-length",   "content-type",
                                            "origin", "authorization",    "x-api-key",
                                            "expect", "content-encoding", "transfer-encoding"};

bool IsTokenByte(char c) {  // RFC 9110, 5.6.2
  return absl::ascii_isalnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string::npos;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenByte);
}

bool IsTargetByte(char c) { return c > ' ' && c < 0x7f && c != '#'; }

bool EscapesAreWhole(std::string_view text) {
  for (size_t at = text.find('%'); at != text.npos; at = text.find('%', at + 1)) {
    if (at + 2 >= text.size() || !absl::ascii_isxdigit(text[at + 1]) ||
        !absl::ascii_isxdigit(text[at + 2])) {
      return false;
    }
  }
  return true;
}

bool HasToken(std::string_view list, std::string_view token) {
  bool found = false;
  ForEachPart(list, ',',
              [&](std::string_view item) { found = found || EqualsIgnoreCase(Trim(item), token); });
  return found;
}

bool IsJsonInUtf8(std::string_view content_type) {
  const size_t type_end = content_type.find(';');
  if (!EqualsIgnoreCase(Trim(content_type.substr(0, type_end)), "application/json")) return false;
  if (type_end == content_type.npos) return true;
  bool utf8 = true;
  ForEachPart(content_type.substr(type_end + 1), ';', [&utf8](std::string_view part) {
    const std::string_view parameter = Trim(part);
    if (!StartsWithIgnoreCase(parameter, "charset=")) return;
    const std::string_view charset = parameter.substr(8);
    utf8 = utf8 && (EqualsIgnoreCase(charset, "utf-8") || EqualsIgnoreCase(charset, "\"utf-8\""));
  });
  return utf8;
}

}  // namespace

HttpError Refusal(int http_status, std::string_view message) {
  HttpError error;
  error.http_status = http_status;
  error.type = http_status >= 500 ? "server_error" : "invalid_request_error";
  error.message = std::string(message);
  return error;
}

const std::string* RequestHead::Find(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return &value;
  }
  return nullptr;
}

State RequestHeadParser::Refuse(int http_status, std::string_view message) {
  refusal_ = Refusal(http_status, message);
  return State::kRefused;
}

State RequestHeadParser::Feed(std::string_view& bytes) {
  while (!bytes.empty()) {
    const char c = bytes.front();
    bytes.remove_prefix(1);
    started_ = true;
    if (const State state = TakeByte(c); state != State::kMore) return state;
  }
  return State::kMore;
}

State RequestHeadParser::TakeByte(char c) {
  if (cr_ != (c == '\n')) return Refuse(400, "lines of a request end with CR LF");
  if (c == '\n') {
    cr_ = false;
    return TakeLine();
  }
  if (c == '\r') {
    cr_ = true;
    return State::kMore;
  }
  if (absl::ascii_iscntrl(c) && c != '\t')
    return Refuse(400, "control character in a request head");
  if (!have_request_line_) {
    if (line_.size() == limits_.max_request_line)
      return Refuse(414, "the request line is too long");
  } else if (++header_bytes_ > limits_.max_header_bytes) {
    return Refuse(431, "the headers are too long");
  }
  line_.push_back(c);
  return State::kMore;
}

State RequestHeadParser::TakeLine() {
  State state;
  if (!have_request_line_) {
    // A client may send one line end too many after a body (RFC 9112, 2.2).
    if (line_.empty() && !std::exchange(skipped_empty_line_, true)) return State::kMore;
    state = TakeRequestLine();
    have_request_line_ = true;
  } else if (line_.empty()) {
    return Finish();
  } else {
    header_bytes_ += 2;
    state = TakeHeader();
  }
  line_.clear();
  return state;
}

State RequestHeadParser::TakeRequestLine() {
  std::vector<std::string_view> parts;
  ForEachPart(line_, ' ', [&parts](std::string_view part) { parts.push_back(part); });
  if (parts.size() != 3 || !IsToken(parts[0])) {
    return Refuse(400, "the request line must be METHOD TARGET VERSION");
  }
  if (const State state = TakeTarget(parts[1]); state != State::kMore) return state;
  if (const State state = TakeVersion(parts[2]); state != State::kMore) return state;
  if (std::find(std::begin(kMethods), std::end(kMethods), parts[0]) == std::end(kMethods)) {
    return Refuse(501, "unknown method");
  }
  head_.method = std::string(parts[0]);
  return State::kMore;
}

State RequestHeadParser::TakeTarget(std::string_view target) {
  if (target.empty() || target.front() != '/' ||
      !std::all_of(target.begin(), target.end(), IsTargetByte) || !EscapesAreWhole(target)) {
    return Refuse(400, "the request target must be a path");
  }
  const size_t question = target.find('?');
  head_.path = std::string(target.substr(0, question));
  if (question != target.npos) head_.query = std::string(target.substr(question + 1));
  return State::kMore;
}

State RequestHeadParser::TakeVersion(std::string_view version) {
  if (version.size() != 8 || !version.starts_with("HTTP/") || !absl::ascii_isdigit(version[5]) ||
      version[6] != '.' || !absl::ascii_isdigit(version[7])) {
    return Refuse(400, "the request line must end with HTTP/1.1");
  }
  if (version[5] != '1' || version[7] > '1') return Refuse(505, "only HTTP/1.1 and 1.0 are served");
  head_.http_1_0 = version[7] == '0';
  return State::kMore;
}

State RequestHeadParser::TakeHeader() {
  const std::string_view line = line_;
  if (line.front() == ' ' || line.front() == '\t') {
    return Refuse(400, "a header may not be continued on the next line");
  }
  const size_t colon = line.find(':');
  if (colon == line.npos || !IsToken(line.substr(0, colon))) {
    return Refuse(400, "a header line must be NAME: VALUE");
  }
  if (head_.headers.size() == limits_.max_headers) return Refuse(431, "too many headers");
  std::string name = ToLower(line.substr(0, colon));
  const bool singleton =
      std::find(std::begin(kSingletons), std::end(kSingletons), name) != std::end(kSingletons);
  if (singleton && head_.Find(name) != nullptr) {
    return Refuse(400, "a header that may stand once stands twice");
  }
  head_.headers.emplace_back(std::move(name), Trim(line.substr(colon + 1)));
  return State::kMore;
}

State RequestHeadParser::Finish() {
  if (!head_.http_1_0 && head_.Find("host") == nullptr) return Refuse(400, "Host is missing");
  if (head_.Find("content-encoding") != nullptr) {
    return Refuse(415, "bodies may not be compressed");
  }
  if (const std::string* expect = head_.Find("expect")) {
    if (!EqualsIgnoreCase(*expect, "100-continue")) {
      return Refuse(417, "only Expect: 100-continue is known");
    }
    head_.expect_continue = !head_.http_1_0;
  }
  head_.keep_alive = !head_.http_1_0;
  for (const auto& [name, value] : head_.headers) {
    if (name == "connection" && HasToken(value, "close")) head_.keep_alive = false;
  }
  return TakeFraming();
}

State RequestHeadParser::TakeFraming() {
  const std::string* length = head_.Find("content-length");
  const std::string* encoding = head_.Find("transfer-encoding");
  if (length != nullptr && encoding != nullptr) {
    return Refuse(400, "Content-Length and Transfer-Encoding exclude each other");
  }
  if (encoding != nullptr) {
    if (head_.http_1_0) return Refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    if (!EqualsIgnoreCase(*encoding, "chunked")) {
      return Refuse(501, "the only Transfer-Encoding is chunked");
    }
    head_.chunked = true;
  }
  if (length != nullptr) {
    head_.content_length = ParseDigits(*length);
    if (!head_.content_length) return Refuse(400, "Content-Length must be a number in digits");
  }
  return State::kDone;
}

std::optional<HttpError> CheckJsonBody(const RequestHead& head, uint64_t max_body) {
  if (!head.chunked && !head.content_length) {
    return Refusal(411, "a body with Content-Length is needed");
  }
  if (head.content_length.value_or(0) > max_body) return Refusal(413, "the body is too long");
  const std::string* type = head.Find("content-type");
  if (type == nullptr || !IsJsonInUtf8(*type)) {
    return Refusal(415, "the body must be application/json in UTF-8");
  }
  return std::nullopt;
}

}  // namespace hearth::server
