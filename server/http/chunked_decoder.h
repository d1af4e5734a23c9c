// The chunked transfer coding (RFC 9112, 7.1): bytes → body, or a refusal. Pure and strict.
#ifndef HEARTH_SERVER_HTTP_CHUNKED_DECODER_H_
#define HEARTH_SERVER_HTTP_CHUNKED_DECODER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/status.h"

namespace hearth::server {

// Linear in the bytes; the body never grows beyond `max_body`; extensions and trailers, which are
// dropped, share a budget of 1 KB. However the bytes are cut into pieces, the outcome is the same.
class ChunkedDecoder {
 public:
  enum class State { kMore, kDone, kRefused };

  explicit ChunkedDecoder(uint64_t max_body) : max_body_(max_body) {}

  // Takes bytes from the front of `bytes`, and appends to `body`, until the coding ends or is
  // refused. REQUIRES: the last call returned kMore.
  State Feed(std::string_view& bytes, std::string& body);

  const HttpError& refusal() const { return *refusal_; }  // REQUIRES: kRefused

 private:
  enum class At {
    kSize,       // in the size's digits
    kExtension,  // between them and CR
    kSizeLf,     // LF of the size's line
    kData,
    kDataCr,  // CR and LF after the data
    kDataLf,
    kTrailer,  // at the start of a trailer line, or of the line that ends all
    kTrailerText,
    kTrailerLf,
    kEndLf,
  };

  State TakeByte(char c);
  State TakeSizeByte(char c);
  State TakeDropped(char c, At after_cr);
  State Expect(char c, char expected, At next);
  State Refuse(int http_status, std::string_view message);

  const uint64_t max_body_;
  std::optional<HttpError> refusal_;
  At at_ = At::kSize;
  uint64_t size_ = 0;  // of this chunk; in kData, what is left of it
  int digits_ = 0;
  uint64_t body_size_ = 0;  // with this chunk
  size_t dropped_ = 0;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_CHUNKED_DECODER_H_
