#include "engine/ops/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/emulated.h"
#include "tests/ops/inputs.h"

namespace hearth::ops {
namespace {

// A sequence: q, k and v of every position, before any quantising.
struct Sequence {
  Sequence(uint32_t seed, int32_t size, const AttentionShape& s) : length(size), shape(s) {
    std::mt19937 rng(seed);
    qkv = RandomFloats(rng, int64_t{length} * shape.qkv_width());
    // Keys that differ in length, so that softmax is not flat.
    for (int32_t t = 0; t < length; ++t) {
      float* key = &qkv[int64_t{t} * shape.qkv_width() + shape.heads * shape.head_dim];
      for (int32_t i = 0; i < shape.kv_heads * shape.head_dim; ++i) key[i] *= 1 + t % 7;
    }
  }

  const float* Key(int32_t t, int32_t kv_head) const {
    return &qkv[int64_t{t} * shape.qkv_width() + (shape.heads + kv_head) * shape.head_dim];
  }
  const float* Value(int32_t t, int32_t kv_head) const {
    return Key(t, kv_head) + shape.kv_heads * shape.head_dim;
  }

  int32_t length;
  AttentionShape shape;
  std::vector<float> qkv;
  std::vector<TokenId> tokens = std::vector<TokenId>(length, 0);
  std::vector<BlockId> blocks;
  std::vector<float> out = std::vector<float>(int64_t{length} * shape.heads * shape.head_dim);
};

constexpr int32_t kContext = 1024;

std::unique_ptr<Workers> WorkersFor(const AttentionShape& shape, int32_t threads,
                                    std::string_view isa = "") {
  WorkersOptions options;
  options.heads = shape.heads;
  options.kv_heads = shape.kv_heads;
  options.head_dim = shape.head_dim;
  options.max_context = kContext;
  return MakeWorkers(threads, isa, options);
}

// Blocks in random order, as a pool in use hands them out.
KvStore MakeCache(std::vector<Sequence*> sequences, KvType type) {
  int32_t count = 0;
  for (const Sequence* s : sequences) count += (s->length + kBlockTokens - 1) / kBlockTokens;
  std::vector<BlockId> free(count);
  for (int32_t i = 0; i < count; ++i) free[i] = i;
  std::shuffle(free.begin(), free.end(), std::mt19937(count));
  for (Sequence* s : sequences) {
    s->blocks.clear();
    for (int32_t i = 0; i < s->length; i += kBlockTokens) {
      s->blocks.push_back(free.back());
      free.pop_back();
    }
  }
  const AttentionShape& shape = sequences[0]->shape;
  return *KvStore::Create({{1, 8}, {shape.kv_heads, shape.head_dim}}, type, count);
}

// One step: the next `size` tokens of each sequence, from positions[i] on.
void Step(Workers& workers, const std::vector<Sequence*>& sequences,
          const std::vector<int32_t>& starts, const std::vector<int32_t>& sizes, KvStore& kv) {
  const AttentionShape& shape = sequences[0]->shape;
  // A table that turns nothing: these tests are about what follows.
  RopeTable none(0, 10000, {}, 1.0f, kContext);
  const RopeTable* tables[2] = {&none, &none};
  Batch batch;
  std::vector<float> qkv;
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (sizes[i] == 0) continue;
    Sequence& s = *sequences[i];
    batch.entries.push_back({i + 1, absl::MakeSpan(s.tokens).subspan(starts[i], sizes[i]),
                             starts[i], s.blocks, RopeRegime::kShort, 0});
    batch.num_tokens += sizes[i];
    const float* from = &s.qkv[int64_t{starts[i]} * shape.qkv_width()];
    qkv.insert(qkv.end(), from, from + int64_t{sizes[i]} * shape.qkv_width());
  }
  std::vector<float> out(int64_t{batch.num_tokens} * shape.heads * shape.head_dim, -7.0f);
  RopeAndStore(workers, batch, shape, tables, 1, qkv.data(), kv);
  Attention(workers, batch, shape, 1, qkv.data(), kv, out.data());
  const int64_t width = shape.heads * shape.head_dim;
  int64_t row = 0;
  for (const BatchEntry& entry : batch.entries) {
    Sequence& s = *sequences[entry.request - 1];
    const int64_t size = static_cast<int64_t>(entry.tokens.size());
    std::copy_n(&out[row * width], size * width, &s.out[entry.start * width]);
    row += size;
  }
}

// The whole sequence in chunks of at most `chunk`.
std::vector<float> Compute(Workers& workers, Sequence& s, int32_t chunk, KvType type) {
  KvStore kv = MakeCache({&s}, type);
  for (int32_t start = 0; start < s.length; start += chunk) {
    Step(workers, {&s}, {start}, {std::min(chunk, s.length - start)}, kv);
  }
  return s.out;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

// Largest magnitude of a head's key or value, times what storing it moves an element by: half a
// step of 1/127 and, for the rounding of the scale to f16, 127 * 2^-11 steps; 2^-11 for f16; or
// nothing.
double StorageError(const float* x, int32_t dim, KvType type) {
  double largest = 0;
  for (int32_t i = 0; i < dim; ++i) largest = std::max<double>(largest, std::abs(x[i]));
  switch (type) {
    case KvType::kInt8:
      return largest * (0.5 + 127 * 0x1p-11) / 127;
    case KvType::kF16:
      return largest * 0x1p-11;
    case KvType::kF32:
      return 0;
  }
  return 0;
}

// Scores off by at most `delta` multiply each weight by at most e^(2 delta); values off by at
// most `nu` move the mean by nu. All in double on the values before quantising.
void ExpectNearExact(const Sequence& s, KvType type) {
  const int32_t dim = s.shape.head_dim;
  const int32_t group = s.shape.heads / s.shape.kv_heads;
  for (int32_t t = 0; t < s.length; t += 1 + s.length / 40) {
    for (int32_t h = 0; h < s.shape.heads; ++h) {
      const float* q = &s.qkv[int64_t{t} * s.shape.qkv_width() + h * dim];
      double q_sum = 0, q_max = 0, delta = 0, nu = 0, largest = 0;
      for (int32_t i = 0; i < dim; ++i) {
        q_sum += std::abs(q[i]);
        q_max = std::max<double>(q_max, std::abs(q[i]));
      }
      std::vector<double> scores(t + 1);
      for (int32_t j = 0; j <= t; ++j) {
        const float* key = s.Key(j, h / group);
        double k_sum = 0;
        for (int32_t i = 0; i < dim; ++i) {
          scores[j] += double{q[i]} * key[i] / std::sqrt(dim);
          k_sum += std::abs(key[i]);
        }
        const double stored = StorageError(key, dim, type);
        // An int8 cache's queries are quantised too.
        const double asked = type == KvType::kInt8 ? q_max * 0.501 / 127 : 0;
        delta = std::max(delta, (q_sum * stored + asked * (k_sum + dim * stored)) / std::sqrt(dim));
        nu = std::max(nu, StorageError(s.Value(j, h / group), dim, type));
      }
      const double max = *std::max_element(scores.begin(), scores.end());
      double total = 0;
      for (double& score : scores) total += score = std::exp(score - max);
      for (int32_t i = 0; i < dim; ++i) {
        double expected = 0;
        for (int32_t j = 0; j <= t; ++j) {
          const double value = s.Value(j, h / group)[i];
          expected += scores[j] / total * value;
          largest = std::max(largest, std::abs(value));
        }
        // Float roundings are far below: a few hundred of 2^-24 of the largest value. Weights in 15
        // bits are off by half a step each; the largest of a chunk is at most 1 beside the total.
        const double weights = type == KvType::kInt8 ? (t + 1) * 0.51 / 32767 * largest * 2 : 0;
        const double tolerance =
            (std::exp(2 * delta) - 1) * largest + nu + weights + 512 * 0x1p-24 * largest;
        ASSERT_NEAR(s.out[(int64_t{t} * s.shape.heads + h) * dim + i], expected, tolerance)
            << "position " << t << ", head " << h;
      }
    }
  }
}

constexpr AttentionShape kShapes[] = {
    {24, 8, 128, RopePairing::kHalves}, {8, 4, 8, RopePairing::kAdjacent},
    {4, 4, 100, RopePairing::kHalves},  {5, 1, 64, RopePairing::kHalves},
    {40, 1, 16, RopePairing::kHalves},  // more heads to a kv head than a tile has rows
    {6, 3, 6, RopePairing::kHalves},    // no whole group of four elements
};

TEST(Attention, MatchesDoubleWithinWhatStorageMoves) {
  for (const AttentionShape& shape : kShapes) {
    for (KvType type : {KvType::kInt8, KvType::kF16, KvType::kF32}) {
      auto workers = WorkersFor(shape, 2);
      Sequence s(1, 300, shape);
      Compute(*workers, s, 64, type);
      ExpectNearExact(s, type);
    }
  }
}

TEST(Attention, SameBitsForAnyChunking) {
  if (kEmulated) GTEST_SKIP() << "a minute of emulation for what depends on no CPU";
  for (const AttentionShape& shape : kShapes) {
    for (KvType type : {KvType::kInt8, KvType::kF16, KvType::kF32}) {
      auto workers = WorkersFor(shape, 2);
      Sequence s(2, 290, shape);
      const std::vector<float> whole = Compute(*workers, s, 290, type);
      for (int32_t chunk : {1, 16, 17, 64, 256}) {
        EXPECT_TRUE(SameBits(Compute(*workers, s, chunk, type), whole)) << chunk;
      }
    }
  }
}

TEST(Attention, SameBitsForAllThreadsAndSets) {
  const AttentionShape shape{6, 2, 40, RopePairing::kHalves};
  for (KvType type : {KvType::kInt8, KvType::kF16, KvType::kF32}) {
    Sequence s(3, 280, shape);
    const std::vector<float> expected = Compute(*WorkersFor(shape, 1, "scalar"), s, 100, type);
    for (std::string_view isa : kernels::SupportedIsas()) {
      for (int32_t threads = 1; threads <= 4; ++threads) {
        auto workers = WorkersFor(shape, threads, isa);
        EXPECT_TRUE(SameBits(Compute(*workers, s, 100, type), expected)) << isa << " " << threads;
      }
    }
  }
}

// Few heads, many threads and a long context: chunks are split between threads, and folded in
// order all the same.
TEST(Attention, SameBitsWhenChunksAreSplit) {
  const AttentionShape shape{3, 1, 32, RopePairing::kHalves};
  for (int32_t length : {257, 700, kContext}) {
    Sequence s(4, length, shape);
    const auto last_token = [&](int32_t threads) {
      auto workers = WorkersFor(shape, threads);
      KvStore kv = MakeCache({&s}, KvType::kInt8);
      for (int32_t start = 0; start < length - 1; start += 500) {
        Step(*workers, {&s}, {start}, {std::min(500, length - 1 - start)}, kv);
      }
      Step(*workers, {&s}, {length - 1}, {1}, kv);
      return std::vector<float>(s.out.end() - 96, s.out.end());
    };
    const std::vector<float> whole = Compute(*WorkersFor(shape, 1), s, 512, KvType::kInt8);
    const std::vector<float> expected(whole.end() - 96, whole.end());
    for (int32_t threads : {1, 2, 3, 8}) EXPECT_TRUE(SameBits(last_token(threads), expected));
  }
}

TEST(Attention, BatchCompositionDoesNotMatter) {
  const AttentionShape shape{6, 3, 64, RopePairing::kHalves};
  auto workers = WorkersFor(shape, 3);
  Sequence a(5, 270, shape), b(6, 40, shape), c(7, 100, shape);
  std::vector<std::vector<float>> alone;
  for (Sequence* s : {&a, &b, &c}) alone.push_back(Compute(*workers, *s, 30, KvType::kInt8));
  // Together: prefill chunks of one beside single tokens of another.
  KvStore kv = MakeCache({&a, &b, &c}, KvType::kInt8);
  std::vector<int32_t> at = {0, 0, 0};
  const int32_t strides[3] = {37, 1, 5};
  const std::vector<Sequence*> all = {&a, &b, &c};
  while (at[0] < a.length || at[1] < b.length || at[2] < c.length) {
    std::vector<int32_t> sizes(3);
    for (int i = 0; i < 3; ++i) sizes[i] = std::min(strides[i], all[i]->length - at[i]);
    Step(*workers, all, at, sizes, kv);
    for (int i = 0; i < 3; ++i) at[i] += sizes[i];
  }
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(SameBits(all[i]->out, alone[i])) << i;
}

// Sequences that begin with the same blocks read them together, up to where they part.
TEST(Attention, SharedBlocksDoNotMatter) {
  const AttentionShape shape{6, 2, 20, RopePairing::kHalves};
  constexpr int32_t kLengths[] = {700, 530, 610, 300, 90, 640};
  constexpr int32_t kShared[] = {0, 512, 544, 256, 64, 0};  // with the first; the last one nothing
  for (KvType type : {KvType::kInt8, KvType::kF16}) {
    for (int32_t threads : {1, 2, 5}) {
      auto workers = WorkersFor(shape, threads);
      std::vector<Sequence> sequences;
      std::vector<std::vector<float>> alone;
      for (size_t i = 0; i < std::size(kLengths); ++i) {
        Sequence& s = sequences.emplace_back(20 + i, kLengths[i], shape);
        std::copy_n(sequences[0].qkv.begin(), int64_t{kShared[i]} * shape.qkv_width(),
                    s.qkv.begin());
        alone.push_back(Compute(*workers, s, 200, type));
      }
      std::vector<Sequence*> all;
      for (Sequence& s : sequences) all.insert(all.begin(), &s);
      KvStore kv = MakeCache(all, type);
      std::vector<int32_t> at;
      for (Sequence* s : all) {
        const int32_t shared = kShared[s - sequences.data()];
        std::copy_n(sequences[0].blocks.begin(), shared / kBlockTokens, s->blocks.begin());
        at.push_back(shared);
      }
      Step(*workers, {&sequences[0]}, {0}, {600}, kv);
      at.back() = 600;
      while (true) {
        std::vector<int32_t> sizes;
        for (size_t i = 0; i < all.size(); ++i) {
          sizes.push_back(std::min<int32_t>(1 + i % 3 * 7, all[i]->length - at[i]));
        }
        if (*std::max_element(sizes.begin(), sizes.end()) == 0) break;
        Step(*workers, all, at, sizes, kv);
        for (size_t i = 0; i < all.size(); ++i) at[i] += sizes[i];
      }
      const int64_t width = int64_t{shape.heads} * shape.head_dim;
      for (size_t i = 0; i < sequences.size(); ++i) {
        const auto own = [&](const std::vector<float>& out) {
          return std::vector<float>(out.begin() + kShared[i] * width, out.end());
        };
        EXPECT_TRUE(SameBits(own(sequences[i].out), own(alone[i]))) << i << ", " << threads;
      }
    }
  }
}

// What lies beyond a sequence's end in its last block, or in blocks of others, has no influence,
// be it NaN.
TEST(Attention, PoisonOfOneSequenceStaysThere) {
  const AttentionShape shape{4, 2, 16, RopePairing::kHalves};
  auto workers = WorkersFor(shape, 2);
  for (KvType type : {KvType::kInt8, KvType::kF16, KvType::kF32}) {
    Sequence good(8, 50, shape), bad(9, 50, shape);
    const std::vector<float> alone = Compute(*workers, good, 50, type);
    bad.qkv[20 * shape.qkv_width() + 4 * 16] = std::nanf("");  // a key element at position 20
    KvStore kv = MakeCache({&good, &bad}, type);
    for (int32_t block = 0; block < kv.num_blocks(); ++block) {  // as left by earlier owners
      for (int32_t head = 0; head < 2; ++head) {
        const KvBlock memory = kv.Block(1, block, head);
        const size_t element = type == KvType::kInt8 ? 1 : type == KvType::kF16 ? 2 : 4;
        const size_t bytes = kBlockTokens * 16 * element;
        std::memset(memory.keys, 0xff, bytes);
        std::memset(memory.values, 0xff, bytes);
        if (type != KvType::kInt8) continue;
        std::memset(memory.key_scales, 0xff, kBlockTokens * 2);
        std::memset(memory.value_scales, 0xff, kBlockTokens * 2);
      }
    }
    Step(*workers, {&good, &bad}, {0, 0}, {50, 50}, kv);
    EXPECT_TRUE(SameBits(good.out, alone));
    const int64_t width = shape.heads * shape.head_dim;
    EXPECT_FALSE(std::isnan(bad.out[19 * width]));
    EXPECT_TRUE(std::isnan(bad.out[20 * width]));
    EXPECT_TRUE(std::isnan(bad.out[49 * width]));
    EXPECT_FALSE(std::isnan(bad.out[49 * width + 2 * 16]));  // the other kv head
  }
}

}  // namespace
}  // namespace hearth::ops
