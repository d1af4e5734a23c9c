#include "server/http/chunked_decoder.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "server/http/request_head.h"

namespace hearth::server {
namespace {

using State = ChunkedDecoder::State;

constexpr int kMaxDigits = 16;  // of a 64-bit size
constexpr size_t kMaxDropped = 1024;

int HexValue(char c) {
  return absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
}

}  // namespace

State ChunkedDecoder::Refuse(int http_status, std::string_view message) {
  refusal_ = Refusal(http_status, message);
  return State::kRefused;
}

State ChunkedDecoder::Feed(std::string_view& bytes, std::string& body) {
  while (!bytes.empty()) {
    if (at_ == At::kData) {
      const size_t taken = std::min<uint64_t>(size_, bytes.size());
      body.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      size_ -= taken;
      if (size_ == 0) at_ = At::kDataCr;
      continue;
    }
    const char c = bytes.front();
    bytes.remove_prefix(1);
    if (const State state = TakeByte(c); state != State::kMore) return state;
  }
  return State::kMore;
}

State ChunkedDecoder::TakeByte(char c) {
  switch (at_) {
    case At::kSize:
      return TakeSizeByte(c);
    case At::kExtension:
      return TakeDropped(c, At::kSizeLf);
    case At::kSizeLf:
      return Expect(c, '\n', size_ == 0 ? At::kTrailer : At::kData);
    case At::kDataCr:
      return Expect(c, '\r', At::kDataLf);
    case At::kDataLf:
      digits_ = 0;
      return Expect(c, '\n', At::kSize);
    case At::kTrailer:
      if (c == '\r') return Expect(c, '\r', At::kEndLf);
      at_ = At::kTrailerText;
      return TakeDropped(c, At::kTrailerLf);
    case At::kTrailerText:
      return TakeDropped(c, At::kTrailerLf);
    case At::kTrailerLf:
      return Expect(c, '\n', At::kTrailer);
    case At::kEndLf:
      return c == '\n' ? State::kDone : Expect(c, '\n', At::kEndLf);
    case At::kData:
      break;  // Feed takes data
  }
  return State::kMore;
}

State ChunkedDecoder::TakeSizeByte(char c) {
  if (absl::ascii_isxdigit(c)) {
    if (digits_ == kMaxDigits) return Refuse(400, "a chunk size has at most 16 digits");
    size_ = (digits_ == 0 ? 0 : size_ << 4) | static_cast<uint64_t>(HexValue(c));
    ++digits_;
    return State::kMore;
  }
  if (digits_ == 0) return Refuse(400, "a chunk begins with its size in hexadecimal digits");
  if (size_ > max_body_ - body_size_) return Refuse(413, "the body is too long");
  body_size_ += size_;
  if (c == '\r') return Expect(c, '\r', At::kSizeLf);
  if (c != ';' && c != ' ' && c != '\t') return Refuse(400, "junk after a chunk size");
  at_ = At::kExtension;
  return TakeDropped(c, At::kSizeLf);
}

// A byte of an extension or a trailer line, which CR ends.
State ChunkedDecoder::TakeDropped(char c, At after_cr) {
  if (c == '\r') return Expect(c, '\r', after_cr);
  if (absl::ascii_iscntrl(c) && c != '\t') return Refuse(400, "control character between chunks");
  if (++dropped_ > kMaxDropped) return Refuse(400, "chunk extensions and trailers are too long");
  return State::kMore;
}

State ChunkedDecoder::Expect(char c, char expected, At next) {
  if (c != expected) return Refuse(400, "lines of the chunked coding end with CR LF");
  at_ = next;
  return State::kMore;
}

}  // namespace hearth::server
