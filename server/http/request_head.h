// The head of an HTTP/1 request: bytes → checked fields, or a refusal. Pure and strict: what two
// parsers could read in two ways is refused (RFC 9112), so that nothing is smuggled past anyone.
#ifndef HEARTH_SERVER_HTTP_REQUEST_HEAD_H_
#define HEARTH_SERVER_HTTP_REQUEST_HEAD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/status.h"

namespace hearth::server {

struct HeadLimits {
  size_t max_request_line = 8192;
  size_t max_header_bytes = 16384;  // of all header lines, with their line ends
  size_t max_headers = 100;
};

// A refusal that absl::Status has no code for. `message` is fixed text.
HttpError Refusal(int http_status, std::string_view message);

struct RequestHead {
  std::string method;  // one that HTTP defines, in upper case
  std::string path;    // begins with '/'; as sent, percent escapes checked but not decoded
  std::string query;   // after '?', likewise
  bool http_1_0 = false;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  // Derived from the headers.
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool expect_continue = false;
  bool keep_alive = true;

  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
  // The value of the first header so named, or null. `name` is in lower case.
  const std::string* Find(std::string_view name) const;
};

// Takes the bytes of one head as they arrive. Linear in the bytes, and holds no more of them than
// the limits allow; however they are cut into pieces, the outcome is the same.
class RequestHeadParser {
 public:
  enum class State { kMore, kDone, kRefused };

  explicit RequestHeadParser(const HeadLimits& limits) : limits_(limits) {}

  // Takes bytes from the front of `bytes` until the head ends or is refused.
  // REQUIRES: the last call returned kMore.
  State Feed(std::string_view& bytes);

  bool started() const { return started_; }               // a byte has come
  RequestHead& head() { return head_; }                   // REQUIRES: kDone
  const HttpError& refusal() const { return *refusal_; }  // REQUIRES: kRefused

 private:
  State TakeByte(char c);
  State TakeLine();
  State TakeRequestLine();
  State TakeTarget(std::string_view target);
  State TakeVersion(std::string_view version);
  State TakeHeader();
  State Finish();
  State TakeFraming();
  State Refuse(int http_status, std::string_view message);

  const HeadLimits limits_;
  RequestHead head_;
  std::optional<HttpError> refusal_;
  std::string line_;  // without its end
  bool cr_ = false;   // the last byte was CR
  bool started_ = false;
  bool skipped_empty_line_ = false;
  bool have_request_line_ = false;
  size_t header_bytes_ = 0;
};

// Whether a JSON body may follow this head: its length is known and within `max_body`, and it is
// application/json in UTF-8.
std::optional<HttpError> CheckJsonBody(const RequestHead& head, uint64_t max_body);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_REQUEST_HEAD_H_
