// engine/kernels/amx.cc on tiles in memory: what CPUs without AMX can try its code with. The tiles
// follow the pseudocode of Intel's instruction set reference, and insist on what it faults on.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "engine/check.h"
#include "engine/kernels/declarations.h"

namespace hearth::kernels::amx_emulated {
namespace {

class Tiles {
 public:
  // The 64 bytes of an LDTILECFG operand.
  void Configure(const void* config) {
    unsigned char bytes[64];
    std::memcpy(bytes, config, sizeof(bytes));
    HEARTH_CHECK(bytes[0] == 1 && bytes[1] == 0);
    for (int i = 2; i < 16; ++i) HEARTH_CHECK(bytes[i] == 0);
    for (int t = 0; t < 16; ++t) {
      uint16_t row_bytes;
      std::memcpy(&row_bytes, bytes + 16 + 2 * t, sizeof(row_bytes));
      const int rows = bytes[48 + t];
      HEARTH_CHECK(t < 8 ? row_bytes <= 64 && rows <= 16 && (row_bytes == 0) == (rows == 0)
                         : row_bytes == 0 && rows == 0);
      if (t < 8) tiles_[t] = {rows, row_bytes, {}};
    }
    configured_ = true;
  }
  void Release() {
    HEARTH_CHECK(configured_);
    configured_ = false;
  }

  void Zero(int t) { std::memset(At(t).bytes, 0, sizeof(Tile::bytes)); }
  void Load(int t, const void* from, int64_t stride) {
    Tile& tile = At(t);
    std::memset(tile.bytes, 0, sizeof(tile.bytes));
    for (int r = 0; r < tile.rows; ++r) {
      std::memcpy(tile.bytes[r], static_cast<const char*>(from) + r * stride, tile.row_bytes);
    }
  }
  void Store(int t, void* to, int64_t stride) {
    const Tile& tile = At(t);
    for (int r = 0; r < tile.rows; ++r) {
      std::memcpy(static_cast<char*>(to) + r * stride, tile.bytes[r], tile.row_bytes);
    }
  }
  // TDPBSSD.
  void Dot(int to, int left, int right) {
    Tile& c = At(to);
    const Tile& a = At(left);
    const Tile& b = At(right);
    HEARTH_CHECK(to != left && left != right && right != to);
    HEARTH_CHECK(c.rows == a.rows && c.row_bytes == b.row_bytes && a.row_bytes == 4 * b.rows);
    for (int m = 0; m < c.rows; ++m) {
      for (int n = 0; n < c.row_bytes / 4; ++n) {
        int32_t sum;
        std::memcpy(&sum, c.bytes[m] + 4 * n, sizeof(sum));
        for (int k = 0; k < a.row_bytes; ++k) {
          sum += int32_t{a.bytes[m][k]} * b.bytes[k / 4][4 * n + k % 4];
        }
        std::memcpy(c.bytes[m] + 4 * n, &sum, sizeof(sum));
      }
    }
  }

 private:
  struct Tile {
    int rows = 0;
    int row_bytes = 0;
    int8_t bytes[16][64] = {};
  };
  Tile& At(int t) {
    HEARTH_CHECK(configured_ && tiles_[t].rows > 0);
    return tiles_[t];
  }

  bool configured_ = false;
  Tile tiles_[8];
};

thread_local Tiles tiles;

}  // namespace
}  // namespace hearth::kernels::amx_emulated

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,f16c")
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace hearth::kernels::amx_emulated {

#include "engine/kernels/vector512.inc"

#define TILE_CONFIGURE(config) tiles.Configure(&config)
#define TILE_RELEASE() tiles.Release()
#define TILE_ZERO(t) tiles.Zero(t)
#define TILE_LOAD(t, from, stride) tiles.Load(t, from, stride)
#define TILE_STORE(t, to, stride) tiles.Store(t, to, stride)
#define TILE_DOT(c, a, b) tiles.Dot(c, a, b)
#define FEW_ROWS(op) avx512vnni::op

#include "engine/kernels/tile_products.inc"

}  // namespace hearth::kernels::amx_emulated

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // defined(__x86_64__)
