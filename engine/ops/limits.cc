#include "engine/ops/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "engine/status_macros.h"
#include "engine/tensor/pages.h"

namespace hearth::ops {
namespace {

using Seconds = std::chrono::duration<double>;
using Clock = std::chrono::steady_clock;

constexpr int kTries = 10;
constexpr size_t kReadBytes = size_t{512} << 20;  // more than caches hold
constexpr size_t kPieceBytes = size_t{8} << 20;

template <typename Work>
double FastestOf(int tries, Work work) {
  double least = 0;
  for (int i = 0; i < tries; ++i) {
    const Clock::time_point begin = Clock::now();
    work();
    const double seconds = Seconds(Clock::now() - begin).count();
    if (i == 0 || seconds < least) least = seconds;
  }
  return least;
}

// Every word of a piece, so that no read can be left out; kStreams places of it side by side.
template <size_t kStreams>
uint64_t ReadPiece(const std::byte* piece) {
  constexpr size_t kStreamBytes = kPieceBytes / kStreams;
  constexpr size_t kLineWords = 8;
  uint64_t sums[kStreams][kLineWords] = {};
  for (size_t at = 0; at < kStreamBytes; at += kLineWords * sizeof(uint64_t)) {
    for (size_t s = 0; s < kStreams; ++s) {
      uint64_t words[kLineWords];
      std::memcpy(words, piece + s * kStreamBytes + at, sizeof(words));
      for (size_t i = 0; i < kLineWords; ++i) sums[s][i] ^= words[i];
    }
  }
  uint64_t all = 0;
  for (const auto& stream : sums) {
    for (const uint64_t word : stream) all ^= word;
  }
  return all;
}

}  // namespace

absl::StatusOr<double> MeasureReadBandwidth(Workers& workers) {
  HEARTH_ASSIGN_OR_RETURN(const Pages pages, Pages::Allocate(kReadBytes));
  std::memset(pages.data(), 1, pages.bytes());  // kernels that populate nothing have one zero page
  std::atomic<uint64_t> sink = 0;               // what is read must go somewhere
  double least = 0;
  // Some machines need several streams to be kept busy, others read one best.
  for (const auto read : {ReadPiece<1>, ReadPiece<2>, ReadPiece<4>}) {
    const double seconds = FastestOf(kTries, [&] {
      workers.ParallelFor(kReadBytes / kPieceBytes, [&](int32_t piece) {
        sink ^= read(pages.data() + piece * kPieceBytes);
      });
    });
    if (least == 0 || seconds < least) least = seconds;
  }
  return kReadBytes / least;
}

double MeasureInt8Products(Workers& workers) {
  constexpr int64_t kRounds = 65536;
  constexpr double kLongEnough = 0.02;  // seconds, beside which starting threads is nothing
  std::atomic<int64_t> products = 0;
  const auto run = [&](int32_t calls) {
    products = 0;
    workers.ParallelFor(calls * workers.threads(),
                        [&](int32_t) { products += workers.kernels().Int8Peak(kRounds); });
  };
  int32_t calls = 1;
  while (FastestOf(1, [&] { run(calls); }) < kLongEnough) calls *= 2;
  const double seconds = FastestOf(kTries, [&] { run(calls); });
  return static_cast<double>(products) / seconds;
}

}  // namespace hearth::ops
