// Reads what a client sends before gRPC does, one HTTP/2 frame header at a time (RFC 9113), and
// refuses what gRPC 1.51 would take without bound: a header block spread over ever more
// CONTINUATION frames (its limit is per frame), streams opened and reset (100 times the memory of
// their bytes), and streams of a client that never acknowledges the limit on them.
#ifndef HEARTH_SERVER_GRPC_FRAME_CHECKER_H_
#define HEARTH_SERVER_GRPC_FRAME_CHECKER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace hearth::server {

// Of one connection; not thread-safe. What is within HTTP/2's rules otherwise is gRPC's to judge.
class FrameChecker {
 public:
  using Clock = std::chrono::steady_clock;

  FrameChecker(size_t max_header_block, Clock::time_point now);

  // Takes the bytes that follow those of the last call. On an error the connection is to be closed
  // and `bytes` not to be passed on; the checker is not used again.
  absl::Status Check(std::string_view bytes, Clock::time_point now);

 private:
  static constexpr size_t kHeaderBytes = 9;

  absl::Status CheckFrame(Clock::time_point now);
  absl::Status CheckHeaderBlock(uint8_t type, uint8_t flags, size_t length);
  absl::Status Spend(Clock::time_point now);

  const size_t max_header_block_;
  size_t preface_ = 0;  // bytes of it seen
  uint8_t header_[kHeaderBytes];
  size_t header_filled_ = 0;
  size_t payload_left_ = 0;
  bool in_block_ = false;  // a header block is open
  size_t block_bytes_ = 0;
  int block_frames_ = 0;
  bool acknowledged_ = false;  // the client takes our settings as its limits
  int early_streams_ = 0;      // opened before that
  double credit_;              // control frames it may send
  Clock::time_point credited_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_GRPC_FRAME_CHECKER_H_
