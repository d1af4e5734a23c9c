// engine/kernels/amx.cc on tile registers made of memory: what CPUs with AVX-512 VNNI but without
// AMX can try its code with. Each use of a tile is held against the rules of the instruction.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "engine/check.h"
#include "engine/kernels/declarations.h"

namespace hearth::kernels::amx_emulated {
namespace {

struct Tile {
  int rows = 0;
  int row_bytes = 0;
  bool defined = false;  // loaded, cleared or computed since tiles were last shaped
  alignas(64) int8_t bytes[16][64];
};

struct Registers {
  bool shaped = false;
  Tile tile[8];
};

thread_local Registers registers;

// As ldtilecfg reads them, palette 1: eight tiles of at most 16 rows of 64 bytes.
void Shape(const uint8_t config[64]) {
  HEARTH_CHECK(!registers.shaped);  // released after the last use
  HEARTH_CHECK(config[0] == 1 && config[1] == 0);
  for (int i = 2; i < 16; ++i) HEARTH_CHECK(config[i] == 0);
  for (int t = 0; t < 16; ++t) {
    uint16_t row_bytes;
    std::memcpy(&row_bytes, config + 16 + 2 * t, sizeof(row_bytes));
    const uint8_t rows = config[48 + t];
    HEARTH_CHECK(row_bytes <= 64 && rows <= 16 && (rows == 0) == (row_bytes == 0));
    HEARTH_CHECK(t < 8 || rows == 0);
    if (t < 8) registers.tile[t] = {rows, row_bytes, false, {}};
  }
  registers.shaped = true;
}

Tile& Register(int t, bool defined) {
  Tile& tile = registers.tile[t];
  HEARTH_CHECK(registers.shaped && tile.rows > 0);
  HEARTH_CHECK(!defined || tile.defined);
  return tile;
}

void Load(int t, const void* p, int64_t stride) {
  Tile& tile = Register(t, false);
  tile.defined = true;
  std::memset(tile.bytes, 0, sizeof(tile.bytes));
  for (int row = 0; row < tile.rows; ++row) {
    std::memcpy(tile.bytes[row], static_cast<const int8_t*>(p) + row * stride, tile.row_bytes);
  }
}

void Store(int t, void* p, int64_t stride) {
  const Tile& tile = Register(t, true);
  for (int row = 0; row < tile.rows; ++row) {
    std::memcpy(static_cast<int8_t*>(p) + row * stride, tile.bytes[row], tile.row_bytes);
  }
}

void Clear(int t) {
  Tile& tile = Register(t, false);
  tile.defined = true;
  std::memset(tile.bytes, 0, sizeof(tile.bytes));
}

// TDPBSSD. Sums wrap, as the instruction's do.
void Multiply(int c, int a, int b) {
  Tile& sums = Register(c, true);
  const Tile& left = Register(a, true);
  const Tile& right = Register(b, true);
  HEARTH_CHECK(c != a && c != b && a != b);
  HEARTH_CHECK(left.row_bytes % 4 == 0 && right.row_bytes % 4 == 0);
  HEARTH_CHECK(sums.rows == left.rows && sums.row_bytes == right.row_bytes);
  HEARTH_CHECK(left.row_bytes / 4 == right.rows);
  for (int m = 0; m < sums.rows; ++m) {
    uint32_t row[16];
    std::memcpy(row, sums.bytes[m], sizeof(row));
    for (int g = 0; g < right.rows; ++g) {
      for (int n = 0; n < right.row_bytes / 4; ++n) {
        for (int i = 0; i < 4; ++i) {
          row[n] += static_cast<uint32_t>(left.bytes[m][4 * g + i] * right.bytes[g][4 * n + i]);
        }
      }
    }
    std::memcpy(sums.bytes[m], row, sizeof(row));
  }
}

}  // namespace
}  // namespace hearth::kernels::amx_emulated

#if defined(__clang__)
#pragma clang attribute push(                                                           \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,f16c")
// GCC 12 takes its own _mm512_undefined_* for mistakes of ours (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace hearth::kernels::amx_emulated {

#include "engine/kernels/vector512.inc"

namespace {

template <typename Shapes>
void ShapeTiles(const Shapes& shapes) {
  uint8_t config[64];
  static_assert(sizeof(shapes) == sizeof(config));
  __builtin_memcpy(config, &shapes, sizeof(config));
  Shape(config);
}

void ReleaseTiles() { registers.shaped = false; }

template <int T>
void LoadTile(const void* p, int64_t stride) {
  Load(T, p, stride);
}

template <int T>
void StoreTile(void* p, int64_t stride) {
  Store(T, p, stride);
}

template <int T>
void ClearTile() {
  Clear(T);
}

template <int C, int A, int B>
void MultiplyTiles() {
  amx_emulated::Multiply(C, A, B);
}

}  // namespace

#include "engine/kernels/tile_products.inc"

}  // namespace hearth::kernels::amx_emulated

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
