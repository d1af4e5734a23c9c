#include "engine/ops/elementwise.h"

#include <algorithm>

namespace hearth::ops {
namespace {

constexpr int64_t kPiece = 4096;  // elements that are worth another thread's attention

}  // namespace

void AddInPlace(Workers& workers, float* x, const float* y, int64_t n) {
  workers.ParallelFor(static_cast<int32_t>((n + kPiece - 1) / kPiece), [&](int32_t index) {
    const int64_t begin = index * kPiece;
    workers.kernels().Add(x + begin, y + begin, std::min(kPiece, n - begin));
  });
}

}  // namespace hearth::ops
