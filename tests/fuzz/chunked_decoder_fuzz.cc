// Chunked bodies: however the bytes are cut, the outcome is the same, and no body grows beyond its
// limit.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/check.h"
#include "server/http/chunked_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hearth::server::ChunkedDecoder;
  using State = ChunkedDecoder::State;
  constexpr uint64_t kMaxBody = 64;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ChunkedDecoder whole(kMaxBody);
  std::string body;
  std::string_view rest = bytes;
  const State state = whole.Feed(rest, body);
  ChunkedDecoder cut(kMaxBody);
  std::string cut_body;
  State cut_state = State::kMore;
  size_t taken = 0;
  while (cut_state == State::kMore && taken < size) {
    std::string_view byte = bytes.substr(taken++, 1);
    cut_state = cut.Feed(byte, cut_body);
  }
  HEARTH_CHECK(cut_state == state && taken == size - rest.size());
  HEARTH_CHECK(cut_body == body && body.size() <= kMaxBody);
  return 0;
}
