#include "engine/ops/elementwise.h"

#include <algorithm>

namespace hearth::ops {
namespace {

// Elements that are worth another thread's attention.
constexpr int64_t kPiece = 4096;

int32_t Pieces(int64_t n) { return static_cast<int32_t>((n + kPiece - 1) / kPiece); }

}  // namespace

void RmsNorm(Workers& workers, const float* x, int32_t rows, int32_t cols, const float* weight,
             float epsilon, float* out) {
  workers.ParallelFor(rows, [&](int32_t m) {
    const int64_t row = int64_t{m} * cols;
    workers.kernels().RmsNorm(x + row, cols, weight, epsilon, out + row);
  });
}

void AddInPlace(Workers& workers, float* x, const float* y, int64_t n) {
  workers.ParallelFor(Pieces(n), [&](int32_t index) {
    const int64_t begin = index * kPiece;
    workers.kernels().Add(x + begin, y + begin, std::min(kPiece, n - begin));
  });
}

void SwiGlu(Workers& workers, const float* gate_up, int32_t rows, int32_t width, float* out) {
  const int32_t pieces = Pieces(width);
  workers.ParallelFor(rows * pieces, [&](int32_t index) {
    const int64_t row = index / pieces;
    const int64_t begin = index % pieces * kPiece;
    const float* gate = gate_up + row * 2 * width + begin;
    workers.kernels().SwiGlu(gate, gate + width, std::min<int64_t>(kPiece, width - begin),
                             out + row * width + begin);
  });
}

}  // namespace hearth::ops
