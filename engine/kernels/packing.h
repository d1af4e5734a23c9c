// From rows as model files store them to the tiles of layout.h, and back.
#ifndef HEARTH_ENGINE_KERNELS_PACKING_H_
#define HEARTH_ENGINE_KERNELS_PACKING_H_

#include <cstddef>
#include <cstdint>

#include "engine/kernels/layout.h"
#include "engine/tensor/dtype.h"

namespace hearth::kernels {

// How a type of a file is packed.
constexpr Packing PackingOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return Packing::kF32;
    case DType::kF16:
      return Packing::kF16;
    case DType::kBF16:
      return Packing::kBF16;
    case DType::kQ8_0:
    case DType::kQ5_1:
      return Packing::kQ8_0;
    case DType::kQ4_0:
      return Packing::kInt4;
    case DType::kQ4_1:
    case DType::kQ4_K:
      return Packing::kInt4Min;
    case DType::kQ5_0:
      return Packing::kInt5;
    case DType::kQ5_K:
      return Packing::kInt5Min;
    case DType::kQ6_K:
      return Packing::kInt6;
  }
  return Packing::kF32;
}

// Packs one tile as PackingOf(dtype) says, Int formats by ReadSuperblock; a block of Q5_1 by
// ToMultiples of its weights, d * code + m with each operation rounded. rows[i] is row i as stored
// in a file, perhaps unaligned, or null for zeros. False when a scale, or an element of a
// plain type, is NaN or infinite; the tile is then unspecified. REQUIRES: cols is a multiple of the
// dtype's block; tile holds TileBytes, all of which are written.
bool PackTile(DType dtype, const std::byte* const rows[kTileRows], int64_t cols, std::byte* tile);

// Whether every scale, or every element of a plain type, of a row as stored in a file is finite.
bool IsFiniteRow(DType dtype, const std::byte* row, int64_t cols);

// Row `row` < 16 of a tile as f32: exact for plain types, f32(d) * float(q), rounded once, for
// Q8_0, and f32(D) * float(n * (code - offset)) or f32(D) * float(n * code) + f32(M) * float(m),
// each operation rounded, for the Int formats.
void UnpackRow(Packing packing, const std::byte* tile, int64_t row, int64_t cols, float* out);

}  // namespace hearth::kernels

#endif  // HEARTH_ENGINE_KERNELS_PACKING_H_
