// Request heads: however the bytes are cut, the outcome is the same; an accepted head holds what
// the rest of the server relies on.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/check.h"
#include "server/http/request_head.h"

namespace {

using hearth::server::HeadLimits;
using hearth::server::RequestHead;
using hearth::server::RequestHeadParser;
using State = RequestHeadParser::State;

bool IsText(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

void CheckAccepted(const RequestHead& head, const HeadLimits& limits) {
  HEARTH_CHECK(head.path.front() == '/' && IsText(head.path) && IsText(head.query));
  HEARTH_CHECK(head.headers.size() <= limits.max_headers);
  size_t hosts = 0;
  for (const auto& [name, value] : head.headers) {
    HEARTH_CHECK(!name.empty() && IsText(name) && IsText(value));
    hosts += name == "host";
  }
  HEARTH_CHECK(hosts == 1 || (hosts == 0 && head.http_1_0));
  HEARTH_CHECK(!(head.chunked && head.content_length));
  hearth::server::CheckJsonBody(head, 1000);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const HeadLimits limits{.max_request_line = 100, .max_header_bytes = 400, .max_headers = 10};
  RequestHeadParser whole(limits);
  std::string_view rest = bytes;
  const State state = whole.Feed(rest);
  RequestHeadParser cut(limits);
  State cut_state = State::kMore;
  size_t taken = 0;
  while (cut_state == State::kMore && taken < size) {
    std::string_view byte = bytes.substr(taken++, 1);
    cut_state = cut.Feed(byte);
  }
  HEARTH_CHECK(cut_state == state && taken == size - rest.size());
  if (state == State::kDone) CheckAccepted(whole.head(), limits);
  if (state == State::kRefused) HEARTH_CHECK(whole.refusal().http_status >= 400);
  return 0;
}
