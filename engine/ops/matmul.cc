#include "engine/ops/matmul.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/kernels/packing.h"
#include "engine/ops/scratch.h"
#include "engine/tensor/float16.h"

namespace hearth::ops {
namespace {

using kernels::kQuantBlock;
using kernels::kTileRows;
using kernels::Packing;
using kernels::Tiles;

kernels::QuantizedRows TakeQuantizedRows(Arena& arena, int64_t rows, int64_t cols) {
  const int64_t blocks = rows * (cols / kQuantBlock);
  return {arena.Take<int8_t>(rows * cols), arena.Take<float>(blocks), arena.Take<int32_t>(blocks),
          rows, cols};
}

kernels::SuperRows TakeSuperRows(Arena& arena, int64_t rows, int64_t cols) {
  kernels::SuperRows x = {};
  x.rows = rows;
  x.cols = cols;
  x.values = arena.Take<int8_t>(rows * x.stride());
  x.scales = arena.Take<float>(rows * x.blocks());
  x.sums = arena.Take<int16_t>(rows * x.padded() / 16);
  return x;
}

// Which forms of its input a product multiplies.
struct Forms {
  bool plain = false;
  bool blocks = false;  // Q8_0's
  bool super = false;   // those of the Int formats

  void Add(DType weights) {
    switch (kernels::PackingOf(weights)) {
      case Packing::kF32:
      case Packing::kF16:
      case Packing::kBF16:
        plain = true;
        return;
      case Packing::kQ8_0:
        blocks = true;
        return;
      case Packing::kInt4:
      case Packing::kInt4Min:
      case Packing::kInt5:
      case Packing::kInt5Min:
      case Packing::kInt6:
        super = true;
    }
  }
};

// The input of a product in the forms that it needs; the others are null.
struct Input {
  const float* plain = nullptr;  // [rows][cols]
  kernels::QuantizedRows blocks = {};
  kernels::SuperRows super = {};
  int64_t rows;

  // Takes memory for the quantised forms.
  Input(Arena& arena, Forms forms, int64_t count, int64_t cols) : rows(count) {
    if (forms.blocks) blocks = TakeQuantizedRows(arena, count, cols);
    if (forms.super) super = TakeSuperRows(arena, count, cols);
  }

  void Quantize(const kernels::Table& k, int32_t m, const float* row) const {
    if (blocks.values != nullptr) k.QuantizeRows(row, blocks.Row(m));
    if (super.values != nullptr) k.QuantizeSuperRows(row, super.Row(m));
  }
};

size_t InputBytes(Forms forms, int64_t rows, int64_t cols) {
  Arena arena(nullptr);
  Input(arena, forms, rows, cols);
  return arena.taken() + (forms.plain ? Arena::Bytes<float>(rows * cols) : 0);
}

// The products of one piece of a matrix's tiles.
void MultiplyPiece(const kernels::Table& k, Packing packing, const kernels::PackedRows& piece,
                   const Input& x, float* out, int64_t out_stride) {
  switch (packing) {
    case Packing::kF32:
      return k.MatMulF32(piece, x.plain, x.rows, out, out_stride);
    case Packing::kF16:
      return k.MatMulF16(piece, x.plain, x.rows, out, out_stride);
    case Packing::kBF16:
      return k.MatMulBF16(piece, x.plain, x.rows, out, out_stride);
    case Packing::kQ8_0:
      return k.MatMulQ8_0(piece, x.blocks, out, out_stride);
    case Packing::kInt4:
      return k.MatMulInt4(piece, x.super, out, out_stride);
    case Packing::kInt4Min:
      return k.MatMulInt4Min(piece, x.super, out, out_stride);
    case Packing::kInt5:
      return k.MatMulInt5(piece, x.super, out, out_stride);
    case Packing::kInt5Min:
      return k.MatMulInt5Min(piece, x.super, out, out_stride);
    case Packing::kInt6:
      return k.MatMulInt6(piece, x.super, out, out_stride);
  }
}

void MultiplyPart(Workers& workers, const PackedMatrix& w, const Input& x, float* out,
                  int64_t out_stride) {
  const kernels::Table& k = workers.kernels();
  const Packing packing = kernels::PackingOf(w.dtype());
  // Enough pieces for threads to balance, each enough work to be worth the taking. Even, since
  // kernels like two tiles at once.
  const int64_t tiles = Tiles(w.rows());
  const int64_t piece = std::clamp<int64_t>(tiles / (8 * workers.threads()), 2, 16) & ~int64_t{1};
  const size_t tile_bytes = kernels::TileBytes(packing, w.cols());
  workers.ParallelFor((tiles + piece - 1) / piece, [&](int32_t index) {
    const int64_t first = index * piece * kTileRows;
    const kernels::PackedRows part{w.data() + index * piece * tile_bytes,
                                   std::min(piece * kTileRows, w.rows() - first), w.cols()};
    MultiplyPiece(k, packing, part, x, out + first, out_stride);
  });
}

Forms FormsFor(absl::Span<const PackedMatrix> parts) {
  Forms forms;
  for (const PackedMatrix& part : parts) forms.Add(part.dtype());
  return forms;
}

void MultiplyParts(Workers& workers, absl::Span<const PackedMatrix> parts, const Input& x,
                   float* out) {
  int64_t out_stride = 0;
  for (const PackedMatrix& part : parts) out_stride += part.rows();
  for (const PackedMatrix& part : parts) {
    MultiplyPart(workers, part, x, out, out_stride);
    out += part.rows();
  }
}

// A product whose input is computed: fill(m, row) writes row m. A row is quantised while it is in
// cache, and kept as it is only for plain weights.
void MultiplyFilled(Workers& workers, absl::Span<const PackedMatrix> parts, int32_t rows,
                    absl::FunctionRef<void(int32_t m, float* row)> fill, float* out) {
  const kernels::Table& k = workers.kernels();
  const Forms forms = FormsFor(parts);
  const int64_t cols = parts[0].cols();
  Arena arena(workers.scratch(InputBytes(forms, rows, cols) +
                              workers.threads() * Arena::Bytes<float>(cols)));
  Input input(arena, forms, rows, cols);
  float* plain = forms.plain ? arena.Take<float>(rows * cols) : nullptr;
  std::byte* thread_rows = arena.Take<std::byte>(workers.threads() * Arena::Bytes<float>(cols));
  workers.ParallelFor(rows, [&](int32_t m, int32_t thread) {
    float* row = plain != nullptr
                     ? plain + m * cols
                     : reinterpret_cast<float*>(thread_rows + thread * Arena::Bytes<float>(cols));
    fill(m, row);
    input.Quantize(k, m, row);
  });
  input.plain = plain;
  MultiplyParts(workers, parts, input, out);
}

}  // namespace

size_t InputBytes(absl::Span<const DType> weights, int64_t rows, int64_t cols) {
  Forms forms;
  for (const DType dtype : weights) forms.Add(dtype);
  return InputBytes(forms, rows, cols);
}

void MatMul(Workers& workers, absl::Span<const PackedMatrix> parts, const float* x, int32_t rows,
            float* out) {
  const Forms forms = FormsFor(parts);
  const int64_t cols = parts[0].cols();
  Arena arena(workers.scratch(InputBytes(forms, rows, cols)));
  Input input(arena, forms, rows, cols);
  input.plain = x;
  if (forms.blocks || forms.super) {
    workers.ParallelFor(rows,
                        [&](int32_t m) { input.Quantize(workers.kernels(), m, x + m * cols); });
  }
  MultiplyParts(workers, parts, input, out);
}

void RmsNormMatMul(Workers& workers, absl::Span<const PackedMatrix> parts, const float* x,
                   int32_t rows, const float* weight, float epsilon, float* out) {
  const int64_t cols = parts[0].cols();
  MultiplyFilled(
      workers, parts, rows,
      [&](int32_t m, float* row) {
        workers.kernels().RmsNorm(x + m * cols, cols, weight, epsilon, row);
      },
      out);
}

void SwiGluMatMul(Workers& workers, absl::Span<const PackedMatrix> parts, const float* gate_up,
                  int32_t rows, float* out) {
  const int64_t cols = parts[0].cols();
  MultiplyFilled(
      workers, parts, rows,
      [&](int32_t m, float* row) {
        const float* gate = gate_up + 2 * m * cols;
        workers.kernels().SwiGlu(gate, gate + cols, cols, row);
      },
      out);
}

void EmbedRows(Workers& workers, const PackedMatrix& table, absl::Span<const TokenId> ids,
               float* out) {
  const Packing packing = kernels::PackingOf(table.dtype());
  const size_t tile_bytes = kernels::TileBytes(packing, table.cols());
  workers.ParallelFor(static_cast<int32_t>(ids.size()), [&](int32_t i) {
    HEARTH_CHECK(ids[i] >= 0 && ids[i] < table.rows());
    kernels::UnpackRow(packing, table.data() + ids[i] / kTileRows * tile_bytes, ids[i] % kTileRows,
                       table.cols(), out + i * table.cols());
  });
}

absl::StatusOr<std::vector<float>> ToF32(const Tensor& vector) {
  if (vector.rank != 1 || IsQuantized(vector.dtype) ||
      vector.bytes / Traits(vector.dtype).block_bytes < static_cast<size_t>(vector.cols())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", vector.name, ": ", std::string(Traits(vector.dtype).name), " of rank ",
        vector.rank, " in ", vector.bytes, " bytes, expected a vector of F32, F16 or BF16"));
  }
  std::vector<float> out(vector.cols());
  if (!kernels::IsFiniteRow(vector.dtype, vector.data, vector.cols())) {
    return absl::DataLossError(
        absl::StrCat("tensor ", vector.name, ": an element is NaN or infinite"));
  }
  for (int64_t i = 0; i < vector.cols(); ++i) {
    uint16_t half = 0;
    switch (vector.dtype) {
      case DType::kF16:
      case DType::kBF16:
        std::memcpy(&half, vector.data + 2 * i, sizeof(half));
        out[i] = vector.dtype == DType::kF16 ? F16ToF32(half) : BF16ToF32(half);
        break;
      default:
        std::memcpy(&out[i], vector.data + 4 * i, sizeof(float));
    }
  }
  return out;
}

}  // namespace hearth::ops
