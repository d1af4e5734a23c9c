#include "engine/ops/attention.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/scratch.h"

namespace hearth::ops {
namespace {

using kernels::kChunkTokens;
using kernels::kNaN;
static_assert(kChunkTokens % kBlockTokens == 0 && kernels::kCacheBlock == kBlockTokens);

// Queries that share a pass over keys and values: enough to share their widening, few enough for
// their scores to stay in cache. More where one token has more heads to a kv head.
constexpr int32_t kQueryRows = 32;

// With fewer (tile, kv head) pairs than this many per thread, chunks are split between threads too.
constexpr int32_t kUnitsPerThread = 2;

int32_t Chunks(int32_t positions) { return (positions + kChunkTokens - 1) / kChunkTokens; }

// Partial results (kernels.h) of some rows.
struct Partials {
  float* max;
  float* sum;
  float* out;  // [rows][head_dim]

  static size_t Bytes(int64_t rows, int64_t head_dim) {
    return 2 * Arena::Bytes<float>(rows) + Arena::Bytes<float>(rows * head_dim);
  }
  static Partials Take(Arena& arena, int64_t rows, int64_t head_dim) {
    float* max = arena.Take<float>(rows);
    float* sum = arena.Take<float>(rows);
    return {max, sum, arena.Take<float>(rows * head_dim)};
  }
  kernels::Partial Row(int64_t row, int64_t head_dim) const {
    return {max + row, sum + row, out + row * head_dim};
  }
};

// What a thread needs for one tile and kv head; the last three for an int8 cache.
struct ThreadScratch {
  float* q;       // [rows][head_dim], scaled
  float* scores;  // [rows][kChunkTokens]
  Partials total;
  Partials chunk;
  kernels::QuantizedHeads quantized;  // of q
  int16_t* weights;                   // [rows][kChunkTokens]
  float* weight_scales;               // [rows]
  int32_t* sums;                      // [rows][head_dim]

  static ThreadScratch Take(Arena& arena, int64_t rows, int64_t head_dim) {
    ThreadScratch scratch;
    scratch.q = arena.Take<float>(rows * head_dim);
    scratch.scores = arena.Take<float>(rows * kChunkTokens);
    scratch.total = Partials::Take(arena, rows, head_dim);
    scratch.chunk = Partials::Take(arena, rows, head_dim);
    scratch.quantized.values = arena.Take<int8_t>(rows * kernels::PaddedHead(head_dim));
    scratch.quantized.scales = arena.Take<float>(rows);
    scratch.quantized.offset = arena.Take<int32_t>(rows);
    scratch.quantized.head_dim = head_dim;
    scratch.weights = arena.Take<int16_t>(rows * kChunkTokens);
    scratch.weight_scales = arena.Take<float>(rows);
    scratch.sums = arena.Take<int32_t>(rows * head_dim);
    return scratch;
  }
  static size_t Bytes(int64_t rows, int64_t head_dim) {
    Arena arena(nullptr);
    Take(arena, rows, head_dim);
    return arena.taken();
  }
  static ThreadScratch At(std::byte* memory, int64_t rows, int64_t head_dim) {
    Arena arena(memory);
    return Take(arena, rows, head_dim);
  }
};

// One call of Attention. Rows are (token, query head) pairs of one tile and kv head, tokens first.
struct Pass {
  const kernels::Table& k;
  const Batch& batch;
  const AttentionShape& shape;
  int32_t layer;
  const float* qkv;
  const KvStore& kv;
  float* out;

  int32_t group() const { return shape.heads / shape.kv_heads; }

  // Positions that the i-th token of a tile sees, itself included.
  int32_t Visible(const TokenTile& tile, int32_t i) const {
    return batch.entries[tile.entry].start + tile.first + i + 1;
  }

  // Of those, how many lie in a chunk.
  int32_t VisibleIn(int32_t chunk, const TokenTile& tile, int32_t i) const {
    return std::clamp<int32_t>(Visible(tile, i) - chunk * kChunkTokens, 0, kChunkTokens);
  }

  KvBlock Block(const TokenTile& tile, int32_t kv_head, int32_t position) const {
    const BlockId block = batch.entries[tile.entry].blocks[position / kBlockTokens];
    return kv.Block(layer, block, kv_head);
  }

  int64_t Rows(const TokenTile& tile) const { return int64_t{tile.count} * group(); }

  void GatherQueries(const TokenTile& tile, int32_t kv_head, ThreadScratch& scratch) const {
    const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
    const int64_t width = static_cast<int64_t>(group()) * shape.head_dim;
    for (int32_t i = 0; i < tile.count; ++i) {
      const float* from =
          qkv + static_cast<int64_t>(tile.row + i) * shape.qkv_width() + kv_head * width;
      for (int64_t j = 0; j < width; ++j) scratch.q[i * width + j] = from[j] * scale;
    }
    if (kv.type() != KvType::kInt8) return;
    scratch.quantized.rows = Rows(tile);
    k.QuantizeHeads(scratch.q, scratch.quantized);
  }

  void Score(const KvBlock& block, const ThreadScratch& scratch, int64_t rows, int64_t tokens,
             float* scores) const {
    const int64_t dim = shape.head_dim;
    switch (kv.type()) {
      case KvType::kInt8:
        return k.QkInt8(scratch.quantized, reinterpret_cast<const int8_t*>(block.keys),
                        block.key_scales, tokens, scores, kChunkTokens);
      case KvType::kF16:
        return k.QkF16(scratch.q, rows, reinterpret_cast<const uint16_t*>(block.keys), tokens, dim,
                       scores, kChunkTokens);
      case KvType::kF32:
        return k.QkF32(scratch.q, rows, reinterpret_cast<const float*>(block.keys), tokens, dim,
                       scores, kChunkTokens);
    }
  }

  void Accumulate(const KvBlock& block, const float* p, int64_t rows, int64_t tokens,
                  float* sums) const {
    const int64_t dim = shape.head_dim;
    if (kv.type() == KvType::kF16) {
      return k.PvF16(p, kChunkTokens, rows, reinterpret_cast<const uint16_t*>(block.values), tokens,
                     dim, sums);
    }
    k.PvF32(p, kChunkTokens, rows, reinterpret_cast<const float*>(block.values), tokens, dim, sums);
  }

  // One chunk by itself, for the rows that see any of it.
  void AttendChunk(const TokenTile& tile, int32_t kv_head, int32_t chunk,
                   const ThreadScratch& scratch, const Partials& partials) const {
    const int32_t begin = chunk * kChunkTokens;
    const int32_t size = VisibleIn(chunk, tile, tile.count - 1);
    for (int32_t at = 0; at < size; at += kBlockTokens) {
      Score(Block(tile, kv_head, begin + at), scratch, Rows(tile),
            std::min(kBlockTokens, size - at), scratch.scores + at);
    }
    for (int32_t row = 0; row < Rows(tile); ++row) {
      const int32_t visible = VisibleIn(chunk, tile, row / group());
      if (visible == 0) continue;
      k.Softmax(scratch.scores + row * kChunkTokens, visible, &partials.max[row],
                &partials.sum[row]);
    }
    if (kv.type() == KvType::kInt8) {
      SumIntegers(tile, kv_head, chunk, scratch, partials);
    } else {
      SumFloats(tile, kv_head, chunk, scratch, partials);
    }
  }

  // The weighted values of a chunk: whole blocks at a time, as what a row does not see has weight
  // zero.
  void SumIntegers(const TokenTile& tile, int32_t kv_head, int32_t chunk,
                   const ThreadScratch& scratch, const Partials& partials) const {
    const int32_t begin = chunk * kChunkTokens;
    const int32_t size = VisibleIn(chunk, tile, tile.count - 1);
    const int64_t dim = shape.head_dim;
    const uint16_t* scales[kChunkTokens / kBlockTokens];
    for (int32_t at = 0; at < size; at += kBlockTokens) {
      scales[at / kBlockTokens] = Block(tile, kv_head, begin + at).value_scales;
    }
    for (int32_t row = 0; row < Rows(tile); ++row) {
      const int32_t visible = VisibleIn(chunk, tile, row / group());
      int16_t* weights = scratch.weights + row * kChunkTokens;
      if (visible == 0) {
        std::fill_n(weights, kChunkTokens, int16_t{0});
        continue;
      }
      scratch.weight_scales[row] =
          k.QuantizeWeights(scratch.scores + row * kChunkTokens, scales, visible, weights);
    }
    std::fill_n(scratch.sums, Rows(tile) * dim, 0);
    for (int32_t at = 0; at < size; at += kBlockTokens) {
      const KvBlock block = Block(tile, kv_head, begin + at);
      k.PvInt8(scratch.weights + at, kChunkTokens, Rows(tile),
               reinterpret_cast<const int8_t*>(block.values), dim, scratch.sums);
    }
    for (int32_t row = 0; row < Rows(tile); ++row) {
      if (VisibleIn(chunk, tile, row / group()) == 0) continue;
      for (int64_t i = row * dim; i < (row + 1) * dim; ++i) {
        partials.out[i] = static_cast<float>(scratch.sums[i]) * scratch.weight_scales[row];
      }
    }
  }

  void SumFloats(const TokenTile& tile, int32_t kv_head, int32_t chunk,
                 const ThreadScratch& scratch, const Partials& partials) const {
    const int32_t begin = chunk * kChunkTokens;
    const int32_t size = VisibleIn(chunk, tile, tile.count - 1);
    const int64_t dim = shape.head_dim;
    std::fill_n(partials.out, Rows(tile) * dim, 0.0f);
    for (int32_t at = 0; at < size; at += kBlockTokens) {
      const KvBlock block = Block(tile, kv_head, begin + at);
      const int32_t tokens = std::min(kBlockTokens, size - at);
      if (VisibleIn(chunk, tile, 0) >= at + tokens) {
        Accumulate(block, scratch.scores + at, Rows(tile), tokens, partials.out);
        continue;
      }
      for (int32_t i = 0; i < tile.count; ++i) {  // the diagonal: each token sees one more
        const int32_t visible = std::min(VisibleIn(chunk, tile, i) - at, tokens);
        const int64_t row = static_cast<int64_t>(i) * group();
        if (visible > 0) {
          Accumulate(block, scratch.scores + row * kChunkTokens + at, group(), visible,
                     partials.out + row * dim);
        }
      }
    }
  }

  // Folds a later chunk into the total of those before it.
  void FoldChunk(const TokenTile& tile, int32_t chunk, const Partials& total,
                 const Partials& partials) const {
    for (int32_t row = 0; row < tile.count * group(); ++row) {
      if (VisibleIn(chunk, tile, row / group()) == 0) continue;
      k.Fold(total.Row(row, shape.head_dim), partials.Row(row, shape.head_dim), shape.head_dim);
    }
  }

  void Finish(const TokenTile& tile, int32_t kv_head, const Partials& total) const {
    const int64_t dim = shape.head_dim;
    for (int32_t row = 0; row < tile.count * group(); ++row) {
      const int64_t token = tile.row + row / group();
      const int64_t head = kv_head * group() + row % group();
      float* to = out + (token * shape.heads + head) * dim;
      for (int64_t d = 0; d < dim; ++d) {
        const float value = total.out[row * dim + d] / total.sum[row];
        to[d] = value != value ? kNaN : value;
      }
    }
  }

  void AttendTile(const TokenTile& tile, int32_t kv_head, ThreadScratch scratch) const {
    GatherQueries(tile, kv_head, scratch);
    AttendChunk(tile, kv_head, 0, scratch, scratch.total);
    for (int32_t c = 1; c < Chunks(Visible(tile, tile.count - 1)); ++c) {
      AttendChunk(tile, kv_head, c, scratch, scratch.chunk);
      FoldChunk(tile, c, scratch.total, scratch.chunk);
    }
    Finish(tile, kv_head, scratch.total);
  }
};

// Splits chunks too: all of them first, each into a place of its own, then the folds.
void AttendSplit(Workers& workers, const Pass& pass, const TokenTile* tiles, int32_t num_tiles,
                 int32_t chunks, std::byte* places, std::byte* thread_scratch) {
  const int64_t dim = pass.shape.head_dim;
  const int32_t kv_heads = pass.shape.kv_heads;
  const size_t place_bytes = Partials::Bytes(pass.group(), dim);
  const auto place = [&](int32_t unit, int32_t chunk) {
    Arena arena(places + (static_cast<size_t>(unit) * chunks + chunk) * place_bytes);
    return Partials::Take(arena, pass.group(), dim);
  };
  const size_t scratch_bytes = ThreadScratch::Bytes(pass.group(), dim);
  workers.ParallelFor(num_tiles * kv_heads * chunks, [&](int32_t index, int32_t thread) {
    const int32_t unit = index / chunks;
    const int32_t chunk = index % chunks;
    const TokenTile& tile = tiles[unit / kv_heads];
    if (chunk >= Chunks(pass.Visible(tile, 0))) return;
    ThreadScratch scratch =
        ThreadScratch::At(thread_scratch + thread * scratch_bytes, pass.group(), dim);
    pass.GatherQueries(tile, unit % kv_heads, scratch);
    pass.AttendChunk(tile, unit % kv_heads, chunk, scratch, place(unit, chunk));
  });
  workers.ParallelFor(num_tiles * kv_heads, [&](int32_t unit) {
    const TokenTile& tile = tiles[unit / kv_heads];
    for (int32_t c = 1; c < Chunks(pass.Visible(tile, 0)); ++c) {
      pass.FoldChunk(tile, c, place(unit, 0), place(unit, c));
    }
    pass.Finish(tile, unit % kv_heads, place(unit, 0));
  });
}

}  // namespace

int32_t ListTiles(const Batch& batch, int32_t tile_tokens, TokenTile* tiles) {
  int32_t count = 0;
  int32_t row = 0;
  for (size_t e = 0; e < batch.entries.size(); ++e) {
    const int32_t size = static_cast<int32_t>(batch.entries[e].tokens.size());
    for (int32_t first = 0; first < size; first += tile_tokens) {
      tiles[count++] = {static_cast<int32_t>(e), first, std::min(tile_tokens, size - first),
                        row + first};
    }
    row += size;
  }
  return count;
}

// The tiles; then for each thread what it needs for one; then, for as many single tokens as may
// be split by chunks, a place for each chunk of each kv head.
size_t AttentionBytes(const WorkersOptions& options, int32_t threads) {
  if (options.heads == 0) return 0;
  const int32_t kv_heads = std::clamp(options.kv_heads, 1, options.heads);
  const int64_t rows = std::max(kQueryRows, options.heads);
  const int64_t split_tokens = (kUnitsPerThread * threads - 1) / kv_heads;
  return Arena::Bytes<TokenTile>(options.max_rows) +
         threads * ThreadScratch::Bytes(rows, options.head_dim) +
         split_tokens * Chunks(options.max_context) *
             // By heads: a group of one head each is what rounding makes largest.
             options.heads * Partials::Bytes(1, options.head_dim);
}

void Attention(Workers& workers, const Batch& batch, const AttentionShape& shape, int32_t layer,
               const float* qkv, const KvStore& kv, float* out) {
  const Pass pass{workers.kernels(), batch, shape, layer, qkv, kv, out};
  const int32_t tile_tokens = std::max(1, kQueryRows / pass.group());
  const int64_t rows = static_cast<int64_t>(tile_tokens) * pass.group();
  const size_t thread_bytes = ThreadScratch::Bytes(rows, shape.head_dim);
  const size_t fixed_bytes =
      Arena::Bytes<TokenTile>(batch.num_tokens) + workers.threads() * thread_bytes;
  Arena arena(workers.scratch(fixed_bytes));
  TokenTile* tiles = arena.Take<TokenTile>(batch.num_tokens);
  std::byte* thread_scratch = arena.Take<std::byte>(workers.threads() * thread_bytes);
  const int32_t num_tiles = ListTiles(batch, tile_tokens, tiles);
  int32_t chunks = 1;
  bool single_tokens = true;
  for (int32_t t = 0; t < num_tiles; ++t) {
    chunks = std::max(chunks, Chunks(pass.Visible(tiles[t], tiles[t].count - 1)));
    single_tokens &= tiles[t].count == 1;
  }
  const int32_t units = num_tiles * shape.kv_heads;
  if (single_tokens && chunks > 1 && units < kUnitsPerThread * workers.threads()) {
    const size_t bytes =
        static_cast<size_t>(units) * chunks * Partials::Bytes(pass.group(), shape.head_dim);
    workers.scratch(fixed_bytes + bytes);
    std::byte* places = arena.Take<std::byte>(bytes);
    AttendSplit(workers, pass, tiles, num_tiles, chunks, places, thread_scratch);
    return;
  }
  workers.ParallelFor(units, [&](int32_t unit, int32_t thread) {
    pass.AttendTile(
        tiles[unit / shape.kv_heads], unit % shape.kv_heads,
        ThreadScratch::At(thread_scratch + thread * thread_bytes, rows, shape.head_dim));
  });
}

}  // namespace hearth::ops
