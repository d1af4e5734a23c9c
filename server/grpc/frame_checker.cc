#include "server/grpc/frame_checker.h"

#include <algorithm>

#include "engine/status_macros.h"

namespace hearth::server {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kMaxFrame = 16 * 1024;  // gRPC offers clients no more
constexpr int kMaxBlockFrames = 8;       // each may decode to gRPC's whole limit
constexpr int kMaxEarlyStreams = 100;
constexpr double kBurst = 200;            // control frames at once, twice the streams it may have,
constexpr double kRefillPerSecond = 200;  // and lastingly

enum Type : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kContinuation = 9
};
constexpr uint8_t kAck = 0x1;
constexpr uint8_t kEndStream = 0x1;
constexpr uint8_t kEndHeaders = 0x4;

absl::Status Refuse(const char* why) { return absl::InvalidArgumentError(why); }

}  // namespace

FrameChecker::FrameChecker(size_t max_header_block, Clock::time_point now)
    : max_header_block_(max_header_block), credit_(kBurst), credited_(now) {}

absl::Status FrameChecker::Check(std::string_view bytes, Clock::time_point now) {
  while (!bytes.empty()) {
    if (preface_ < kPreface.size()) {
      if (bytes[0] != kPreface[preface_++]) return Refuse("not HTTP/2");
      bytes.remove_prefix(1);
    } else if (payload_left_ > 0) {
      const size_t skipped = std::min(payload_left_, bytes.size());
      payload_left_ -= skipped;
      bytes.remove_prefix(skipped);
    } else {
      header_[header_filled_++] = static_cast<uint8_t>(bytes[0]);
      bytes.remove_prefix(1);
      if (header_filled_ == kHeaderBytes) {
        header_filled_ = 0;
        HEARTH_RETURN_IF_ERROR(CheckFrame(now));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status FrameChecker::CheckFrame(Clock::time_point now) {
  const size_t length = size_t{header_[0]} << 16 | size_t{header_[1]} << 8 | header_[2];
  const uint8_t type = header_[3];
  const uint8_t flags = header_[4];
  if (length > kMaxFrame) return Refuse("frame too large");
  payload_left_ = length;
  if (in_block_ != (type == kContinuation)) return Refuse("header block interrupted");
  switch (type) {
    case kHeaders:
    case kContinuation:
      return CheckHeaderBlock(type, flags, length);
    case kSettings:
      if ((flags & kAck) != 0) acknowledged_ = true;
      return Spend(now);
    case kReset:
    case kPriority:
      return Spend(now);
    case kData:
      return length == 0 && (flags & kEndStream) == 0 ? Spend(now) : absl::OkStatus();
    default:
      return absl::OkStatus();
  }
}

absl::Status FrameChecker::CheckHeaderBlock(uint8_t type, uint8_t flags, size_t length) {
  if (type == kHeaders) {
    block_bytes_ = 0;
    block_frames_ = 0;
    if (!acknowledged_ && ++early_streams_ > kMaxEarlyStreams) {
      return Refuse("settings not acknowledged");
    }
  }
  block_bytes_ += length;
  in_block_ = (flags & kEndHeaders) == 0;
  if (block_bytes_ > max_header_block_ || ++block_frames_ > kMaxBlockFrames) {
    return Refuse("header block too large");
  }
  return absl::OkStatus();
}

// Control frames cost their sender nothing and gRPC much.
absl::Status FrameChecker::Spend(Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - credited_).count();
  credit_ = std::min(kBurst, credit_ + seconds * kRefillPerSecond) - 1;
  credited_ = now;
  return credit_ >= 0 ? absl::OkStatus() : Refuse("too many control frames");
}

}  // namespace hearth::server
