// From rows as model files store them to the tiles of kernels.h, and back.
#ifndef HEARTH_ENGINE_KERNELS_PACKING_H_
#define HEARTH_ENGINE_KERNELS_PACKING_H_

#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernels.h"
#include "engine/tensor/dtype.h"

namespace hearth::kernels {

// Bytes of one tile: those of 16 rows in the file, rounded up to 64.
constexpr size_t TileBytes(DType dtype, int64_t cols) {
  return (kTileRows * RowBytes(dtype, cols) + 63) / 64 * 64;
}

// Packs one tile. rows[i] is row i as stored in a file, perhaps unaligned, or null for zeros.
// False when a scale, or an element of a plain type, is NaN or infinite; the tile is then
// unspecified. REQUIRES: cols is a multiple of the dtype's block; tile holds TileBytes.
bool PackTile(DType dtype, const std::byte* const rows[kTileRows], int64_t cols, std::byte* tile);

// Whether every scale, or every element of a plain type, of a row as stored in a file is finite.
bool IsFiniteRow(DType dtype, const std::byte* row, int64_t cols);

// Row `row` < 16 of a tile as f32: exact for plain types, f32(d) * float(q), rounded once, else.
void UnpackRow(DType dtype, const std::byte* tile, int64_t row, int64_t cols, float* out);

}  // namespace hearth::kernels

#endif  // HEARTH_ENGINE_KERNELS_PACKING_H_
