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

void RmsNormRows(Workers& workers, const float* x, absl::Span<const int32_t> rows, int64_t cols,
                 const float* weight, float epsilon, float* out) {
  workers.ParallelFor(static_cast<int32_t>(rows.size()), [&](int32_t i) {
    workers.kernels().RmsNorm(x + rows[i] * cols, cols, weight, epsilon, out + i * cols);
  });
}

}  // namespace hearth::ops
