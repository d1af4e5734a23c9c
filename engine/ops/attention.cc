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

constexpr int32_t kBlocksAhead = 4;

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
  // Those from a row on.
  Partials From(int64_t row, int64_t head_dim) const {
    return {max + row, sum + row, out + row * head_dim};
  }
};

// What a thread needs for one tile and kv head; the last three are for an int8 cache.
struct ThreadScratch {
  float* q;       // [rows][head_dim], scaled
  float* scores;  // [rows][kChunkTokens]
  Partials total;
  Partials chunk;
  kernels::QuantizedHeads quantized;  // of q
  int16_t* weights;                   // [rows][kChunkTokens]
  float* weight_scales;               // [rows]

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
    return scratch;
  }
  // That of `count` rows from `row` on.
  ThreadScratch From(int64_t row, int64_t count, int64_t head_dim) const {
    ThreadScratch rest = *this;
    rest.q += row * head_dim;
    rest.scores += row * kChunkTokens;
    rest.total = total.From(row, head_dim);
    rest.chunk = chunk.From(row, head_dim);
    rest.quantized.values += row * kernels::PaddedHead(head_dim);
    rest.quantized.scales += row;
    rest.quantized.offset += row;
    rest.quantized.rows = count;
    rest.weights += row * kChunkTokens;
    rest.weight_scales += row;
    return rest;
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

// Tokens whose queries one thread computes together for a kv head: neighbours of one sequence, or
// of several that begin with the same blocks.
using Tile = absl::Span<const BatchToken>;

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
  int64_t Rows(Tile tokens) const { return static_cast<int64_t>(tokens.size()) * group(); }

  // Positions of a chunk that a token sees: those up to its own.
  static int32_t VisibleIn(int32_t chunk, const BatchToken& token) {
    return std::clamp<int32_t>(token.position + 1 - chunk * kChunkTokens, 0, kChunkTokens);
  }

  // The most that any of these sees of a chunk.
  static int32_t SizeOf(int32_t chunk, Tile tokens) {
    int32_t size = 0;
    for (const BatchToken& token : tokens) size = std::max(size, VisibleIn(chunk, token));
    return size;
  }

  KvBlock Block(const BatchToken& token, int32_t kv_head, int32_t position) const {
    const BlockId block = batch.entries[token.entry].blocks[position / kBlockTokens];
    return kv.Block(layer, block, kv_head);
  }

  // Asks for the block that is read kBlocksAhead later: blocks of one head lie apart, so the
  // hardware does not foresee them. Decoding at depth 8192 was a fifth slower without.
  void Prefetch(const BatchToken& token, int32_t kv_head, int32_t position) const {
    position += kBlocksAhead * kBlockTokens;
    if (position > token.position) return;
    const std::byte* block = Block(token, kv_head, position).keys;
    constexpr int kRead = 0, kSecondLevel = 2;
    for (size_t at = 0; at < kv.BlockBytes(layer); at += 64) {
      __builtin_prefetch(block + at, kRead, kSecondLevel);
    }
  }

  // Whether two tokens read the same blocks in a chunk.
  bool ShareChunk(int32_t chunk, const BatchToken& a, const BatchToken& b) const {
    if (a.entry == b.entry) return true;
    constexpr size_t kBlocks = kChunkTokens / kBlockTokens;
    const absl::Span<const BlockId> of_a = batch.entries[a.entry].blocks;
    const absl::Span<const BlockId> of_b = batch.entries[b.entry].blocks;
    const size_t end = (chunk + 1) * kBlocks;
    return of_a.size() >= end && of_b.size() >= end &&
           of_a.subspan(chunk * kBlocks, kBlocks) == of_b.subspan(chunk * kBlocks, kBlocks);
  }

  // How many tokens from the first on share a chunk with it.
  size_t Sharing(int32_t chunk, Tile tokens) const {
    size_t count = 1;
    while (count < tokens.size() && ShareChunk(chunk, tokens[0], tokens[count])) ++count;
    return count;
  }

  void GatherQueries(Tile tile, int32_t kv_head, ThreadScratch& scratch) const {
    const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
    const int64_t width = static_cast<int64_t>(group()) * shape.head_dim;
    float* q = scratch.q;
    for (const BatchToken& token : tile) {
      const float* from = qkv + int64_t{token.row} * shape.qkv_width() + kv_head * width;
      for (int64_t j = 0; j < width; ++j) q[j] = from[j] * scale;
      q += width;
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

  // One chunk by itself, for tokens that share it. What a row that sees nothing of it gets is
  // unspecified.
  void AttendChunk(Tile tokens, int32_t kv_head, int32_t chunk, const ThreadScratch& scratch,
                   const Partials& partials) const {
    const int32_t begin = chunk * kChunkTokens;
    const int32_t size = SizeOf(chunk, tokens);
    for (int32_t at = 0; at < size; at += kBlockTokens) {
      Prefetch(tokens[0], kv_head, begin + at);
      Score(Block(tokens[0], kv_head, begin + at), scratch, Rows(tokens),
            std::min(kBlockTokens, size - at), scratch.scores + at);
    }
    for (int32_t row = 0; row < Rows(tokens); ++row) {
      const int32_t visible = VisibleIn(chunk, tokens[row / group()]);
      if (visible == 0) continue;
      k.Softmax(scratch.scores + row * kChunkTokens, visible, &partials.max[row],
                &partials.sum[row]);
    }
    if (kv.type() == KvType::kInt8) {
      SumIntegers(tokens, kv_head, chunk, scratch, partials);
    } else {
      SumFloats(tokens, kv_head, chunk, scratch, partials);
    }
  }

  // The weighted values of a chunk: whole blocks at a time, as what a row does not see has weight
  // zero.
  void SumIntegers(Tile tokens, int32_t kv_head, int32_t chunk, const ThreadScratch& scratch,
                   const Partials& partials) const {
    const int32_t begin = chunk * kChunkTokens;
    const int32_t size = SizeOf(chunk, tokens);
    const int8_t* values[kChunkTokens / kBlockTokens];
    const uint16_t* scales[kChunkTokens / kBlockTokens];
    for (int32_t at = 0; at < size; at += kBlockTokens) {
      const KvBlock block = Block(tokens[0], kv_head, begin + at);
      values[at / kBlockTokens] = reinterpret_cast<const int8_t*>(block.values);
      scales[at / kBlockTokens] = block.value_scales;
    }
    for (int32_t row = 0; row < Rows(tokens); ++row) {
      const int32_t visible = VisibleIn(chunk, tokens[row / group()]);
      int16_t* weights = scratch.weights + row * kChunkTokens;
      if (visible == 0) {
        std::fill_n(weights, kChunkTokens, int16_t{0});
        scratch.weight_scales[row] = 0.0f;
      } else {
        scratch.weight_scales[row] =
            k.QuantizeWeights(scratch.scores + row * kChunkTokens, scales, visible, weights);
      }
    }
    k.PvInt8(scratch.weights, scratch.weight_scales, Rows(tokens), values, size, shape.head_dim,
             partials.out);
  }

  void SumFloats(Tile tokens, int32_t kv_head, int32_t chunk, const ThreadScratch& scratch,
                 const Partials& partials) const {
    const int32_t begin = chunk * kChunkTokens;
    const int32_t size = SizeOf(chunk, tokens);
    const int64_t dim = shape.head_dim;
    int32_t seen_by_all = size;
    for (const BatchToken& token : tokens) {
      seen_by_all = std::min(seen_by_all, VisibleIn(chunk, token));
    }
    std::fill_n(partials.out, Rows(tokens) * dim, 0.0f);
    for (int32_t at = 0; at < size; at += kBlockTokens) {
      const KvBlock block = Block(tokens[0], kv_head, begin + at);
      const int32_t count = std::min(kBlockTokens, size - at);
      if (seen_by_all >= at + count) {
        Accumulate(block, scratch.scores + at, Rows(tokens), count, partials.out);
        continue;
      }
      for (size_t i = 0; i < tokens.size(); ++i) {  // the diagonal
        const int32_t visible = std::min(VisibleIn(chunk, tokens[i]) - at, count);
        const int64_t row = static_cast<int64_t>(i) * group();
        if (visible > 0) {
          Accumulate(block, scratch.scores + row * kChunkTokens + at, group(), visible,
                     partials.out + row * dim);
        }
      }
    }
  }

  // Folds a later chunk into the total of those before it.
  void FoldChunk(Tile tokens, int32_t chunk, const Partials& total,
                 const Partials& partials) const {
    for (int32_t row = 0; row < Rows(tokens); ++row) {
      if (VisibleIn(chunk, tokens[row / group()]) == 0) continue;
      k.Fold(total.Row(row, shape.head_dim), partials.Row(row, shape.head_dim), shape.head_dim);
    }
  }

  void Finish(Tile tile, int32_t kv_head, const Partials& total) const {
    const int64_t dim = shape.head_dim;
    for (int32_t row = 0; row < Rows(tile); ++row) {
      const int64_t token = tile[row / group()].row;
      const int64_t head = kv_head * group() + row % group();
      float* to = out + (token * shape.heads + head) * dim;
      for (int64_t d = 0; d < dim; ++d) {
        const float value = total.out[row * dim + d] / total.sum[row];
        to[d] = value != value ? kNaN : value;
      }
    }
  }

  // Chunk by chunk, the tokens that share one together.
  void AttendTile(Tile tile, int32_t kv_head, ThreadScratch scratch) const {
    GatherQueries(tile, kv_head, scratch);
    bool seen = true;
    for (int32_t chunk = 0; seen; ++chunk) {
      seen = false;
      for (size_t i = 0; i < tile.size();) {
        const Tile tokens = tile.subspan(i, Sharing(chunk, tile.subspan(i)));
        const int64_t row = static_cast<int64_t>(i) * group();
        i += tokens.size();
        if (SizeOf(chunk, tokens) == 0) continue;
        seen = true;
        const ThreadScratch rest = scratch.From(row, Rows(tokens), shape.head_dim);
        AttendChunk(tokens, kv_head, chunk, rest, chunk == 0 ? rest.total : rest.chunk);
        if (chunk > 0) FoldChunk(tokens, chunk, rest.total, rest.chunk);
      }
    }
    Finish(tile, kv_head, scratch.total);
  }
};

// Splits chunks too: all of them first, each into a place of its own, then the folds. Tiles are
// single tokens.
void AttendSplit(Workers& workers, const Pass& pass, Tile tokens, int32_t chunks, std::byte* places,
                 std::byte* thread_scratch) {
  const int64_t dim = pass.shape.head_dim;
  const int32_t kv_heads = pass.shape.kv_heads;
  const size_t place_bytes = Partials::Bytes(pass.group(), dim);
  const auto place = [&](int32_t unit, int32_t chunk) {
    Arena arena(places + (static_cast<size_t>(unit) * chunks + chunk) * place_bytes);
    return Partials::Take(arena, pass.group(), dim);
  };
  const size_t scratch_bytes = ThreadScratch::Bytes(pass.group(), dim);
  const int32_t units = static_cast<int32_t>(tokens.size()) * kv_heads;
  workers.ParallelFor(units * chunks, [&](int32_t index, int32_t thread) {
    const int32_t unit = index / chunks;
    const int32_t chunk = index % chunks;
    const Tile token = tokens.subspan(unit / kv_heads, 1);
    if (pass.SizeOf(chunk, token) == 0) return;
    ThreadScratch scratch =
        ThreadScratch::At(thread_scratch + thread * scratch_bytes, pass.group(), dim);
    pass.GatherQueries(token, unit % kv_heads, scratch);
    pass.AttendChunk(token, unit % kv_heads, chunk, scratch, place(unit, chunk));
  });
  workers.ParallelFor(units, [&](int32_t unit) {
    const Tile token = tokens.subspan(unit / kv_heads, 1);
    for (int32_t c = 1; pass.SizeOf(c, token) > 0; ++c) {
      pass.FoldChunk(token, c, place(unit, 0), place(unit, c));
    }
    pass.Finish(token, unit % kv_heads, place(unit, 0));
  });
}

// Puts sequences that begin with the same blocks next to each other.
void SortBySequence(const Batch& batch, absl::Span<BatchToken> tokens) {
  std::sort(tokens.begin(), tokens.end(), [&batch](const BatchToken& a, const BatchToken& b) {
    if (a.entry == b.entry) return a.row < b.row;
    const absl::Span<const BlockId> of_a = batch.entries[a.entry].blocks;
    const absl::Span<const BlockId> of_b = batch.entries[b.entry].blocks;
    return of_a == of_b ? a.row < b.row : of_a < of_b;
  });
}

// Cuts sorted tokens into tiles of at most `most` that share their first chunk; returns how many.
// Tile i is tokens [ends[i - 1], ends[i]).
int32_t CutTiles(const Pass& pass, Tile tokens, size_t most, int32_t* ends) {
  int32_t count = 0;
  for (size_t begin = 0; begin < tokens.size();) {
    begin += pass.Sharing(0, tokens.subspan(begin, most));
    ends[count++] = static_cast<int32_t>(begin);
  }
  return count;
}

}  // namespace

void ListTokens(const Batch& batch, BatchToken* tokens) {
  int32_t row = 0;
  for (size_t e = 0; e < batch.entries.size(); ++e) {
    const BatchEntry& entry = batch.entries[e];
    for (size_t i = 0; i < entry.tokens.size(); ++i, ++row) {
      tokens[row] = {row, static_cast<int32_t>(e), entry.start + static_cast<int32_t>(i)};
    }
  }
}

// The tokens and the tiles' ends; then for each thread what it needs for one tile; then, for as
// many tokens as may be split by chunks, a place for each chunk of each kv head.
size_t AttentionBytes(const WorkersOptions& options, int32_t threads) {
  if (options.heads == 0) return 0;
  const int32_t kv_heads = std::clamp(options.kv_heads, 1, options.heads);
  const int64_t rows = std::max(kQueryRows, options.heads);
  const int64_t split_tokens = (kUnitsPerThread * threads - 1) / kv_heads;
  return Arena::Bytes<BatchToken>(options.max_rows) + Arena::Bytes<int32_t>(options.max_rows) +
         threads * ThreadScratch::Bytes(rows, options.head_dim) +
         split_tokens * Chunks(options.max_context) *
             // By heads: a group of one head each is what rounding makes largest.
             options.heads * Partials::Bytes(1, options.head_dim);
}

void Attention(Workers& workers, const Batch& batch, const AttentionShape& shape, int32_t layer,
               const float* qkv, const KvStore& kv, float* out) {
  const Pass pass{workers.kernels(), batch, shape, layer, qkv, kv, out};
  // Large tiles share more, small ones leave each thread a share.
  const int32_t units = batch.num_tokens * shape.kv_heads;
  const int32_t wanted = kUnitsPerThread * workers.threads();
  const int32_t tile_tokens = std::clamp(units / wanted, 1, std::max(1, kQueryRows / pass.group()));
  const int64_t rows = static_cast<int64_t>(tile_tokens) * pass.group();
  const size_t thread_bytes = ThreadScratch::Bytes(rows, shape.head_dim);
  const size_t fixed_bytes = Arena::Bytes<BatchToken>(batch.num_tokens) +
                             Arena::Bytes<int32_t>(batch.num_tokens) +
                             workers.threads() * thread_bytes;
  Arena arena(workers.scratch(fixed_bytes));
  const absl::Span<BatchToken> tokens(arena.Take<BatchToken>(batch.num_tokens), batch.num_tokens);
  int32_t* ends = arena.Take<int32_t>(batch.num_tokens);
  std::byte* thread_scratch = arena.Take<std::byte>(workers.threads() * thread_bytes);
  ListTokens(batch, tokens.data());
  int32_t chunks = 1;
  for (const BatchToken& token : tokens) chunks = std::max(chunks, Chunks(token.position + 1));
  if (units < wanted && chunks > 1) {
    const size_t bytes =
        static_cast<size_t>(units) * chunks * Partials::Bytes(pass.group(), shape.head_dim);
    workers.scratch(fixed_bytes + bytes);
    std::byte* places = arena.Take<std::byte>(bytes);
    AttendSplit(workers, pass, tokens, chunks, places, thread_scratch);
    return;
  }
  SortBySequence(batch, tokens);
  const int32_t tiles = CutTiles(pass, tokens, tile_tokens, ends);
  workers.ParallelFor(tiles * shape.kv_heads, [&](int32_t unit, int32_t thread) {
    const int32_t tile = unit / shape.kv_heads;
    const int32_t begin = tile == 0 ? 0 : ends[tile - 1];
    pass.AttendTile(
        tokens.subspan(begin, ends[tile] - begin), unit % shape.kv_heads,
        ThreadScratch::At(thread_scratch + thread * thread_bytes, rows, shape.head_dim));
  });
}

}  // namespace hearth::ops
