#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/ops/attention.h"
#include "engine/tensor/float16.h"
#include "tests/ops/inputs.h"

namespace hearth::ops {
namespace {

void ExpectTable(const RopeTable& table, const std::vector<double>& frequencies, double factor,
                 std::initializer_list<int32_t> positions) {
  ASSERT_EQ(table.dims(), static_cast<int32_t>(2 * frequencies.size()));
  for (int32_t position : positions) {
    for (size_t i = 0; i < frequencies.size(); ++i) {
      const double angle = position * frequencies[i];
      // The file's frequencies carry about 2^-52 of relative error, which the angle multiplies.
      const double tolerance = factor * (0x1p-24 + std::abs(angle) * 0x1p-50);
      EXPECT_NEAR(table.cosines(position)[i], std::cos(angle) * factor, tolerance);
      EXPECT_NEAR(table.sines(position)[i], std::sin(angle) * factor, tolerance);
    }
  }
}

TEST(RopeTable, MatchesPublishedFrequencies) {
  std::ifstream file(HEARTH_SHARED_DATA "/golden/rope_goldens.json");
  if (!file) GTEST_SKIP() << "no public test data at " HEARTH_SHARED_DATA;
  const nlohmann::json goldens = nlohmann::json::parse(file);
  const auto& phi = goldens["phi4_mini"];
  const double attention = phi["attn_factor"];
  ExpectTable(RopeTable(96, 10000, {}, static_cast<float>(attention), 4096),
              phi["inv_freq_short"].get<std::vector<double>>(), static_cast<float>(attention),
              {0, 1, 100, 4095});
  const auto& llama = goldens["llama32_1b_hd64"];
  const auto factors = llama["rope_freqs_factors"].get<std::vector<float>>();
  std::vector<double> frequencies = llama["inv_freq_base"];
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= factors[i];
  ExpectTable(RopeTable(64, 500000, factors, 1.0f, 8192), frequencies, 1.0, {0, 1, 777, 8191});
}

TEST(RopeTable, TheLeastFactorIsTheLastWithASine) {
  constexpr int32_t kDims = 8, kPositions = 4096;
  std::vector<float> factors(kDims / 2);
  for (int32_t i = 0; i < kDims / 2; ++i) {
    const double least = RopeTable::LeastFactor(i, kDims, 10000, kPositions);
    factors[i] = std::nextafter(static_cast<float>(least), 1.0f);
  }
  const RopeTable least(kDims, 10000, factors, 1.0f, kPositions);
  for (float& factor : factors) factor *= 0.99f;
  const RopeTable less(kDims, 10000, factors, 1.0f, kPositions);
  for (int32_t i = 0; i < kDims / 2; ++i) {
    EXPECT_TRUE(std::isfinite(least.cosines(kPositions - 1)[i])) << i;
    EXPECT_TRUE(std::isnan(less.cosines(kPositions - 1)[i])) << i;
  }
}

TEST(RopeTable, PlansItsBytes) { EXPECT_EQ(RopeTable::PlannedBytes(96, 4096), 96u * 4096 * 4); }

TEST(RopeAndStore, RotatesQueriesAndKeysByPositionAndLeavesValues) {
  constexpr int32_t kDim = 16, kDims = 8;
  const AttentionShape shape{4, 2, kDim, RopePairing::kHalves};
  const RopeTable plain(kDims, 10000, {}, 1.0f, 64);
  const std::vector<float> stretch(kDims / 2, 4.0f);
  const RopeTable stretched(kDims, 10000, stretch, 1.0f, 64);
  const RopeTable* tables[2] = {&plain, &stretched};
  WorkersOptions options;
  options.heads = 4;
  options.head_dim = kDim;
  auto workers = MakeWorkers(2, "", options);
  KvStore kv = *KvStore::Create({{2, kDim}}, KvType::kF16, 4);
  const std::vector<TokenId> tokens = {1, 2, 3};
  const std::vector<BlockId> blocks = {3, 1};
  Batch batch;
  // Positions 31 and 32 lie in different blocks.
  batch.entries.push_back({1, absl::MakeSpan(tokens).first(2), 31, blocks, RopeRegime::kShort, 0});
  const std::vector<BlockId> other = {2};
  batch.entries.push_back({2, absl::MakeSpan(tokens).first(1), 9, other, RopeRegime::kLong, 0});
  batch.num_tokens = 3;
  std::mt19937 rng(1);
  const std::vector<float> before = RandomFloats(rng, 3 * shape.qkv_width());
  std::vector<float> after = before;
  RopeAndStore(*workers, batch, shape, tables, 0, after.data(), kv);
  const int32_t positions[] = {31, 32, 9};
  const KvBlock written[] = {kv.Block(0, 3, 1), kv.Block(0, 1, 1), kv.Block(0, 2, 1)};
  for (int t = 0; t < 3; ++t) {
    const double stretch_factor = t == 2 ? 4.0 : 1.0;
    for (int h = 0; h < 8; ++h) {
      for (int i = 0; i < kDim; ++i) {
        const int64_t at = t * shape.qkv_width() + h * kDim;
        double expected = before[at + i];
        if (h < 6 && i < kDims) {
          const int pair = i % (kDims / 2);
          const double angle =
              positions[t] / (stretch_factor * std::pow(10000.0, 2.0 * pair / kDims));
          const double a = before[at + pair], b = before[at + pair + kDims / 2];
          expected = i < kDims / 2 ? a * std::cos(angle) - b * std::sin(angle)
                                   : b * std::cos(angle) + a * std::sin(angle);
        }
        EXPECT_NEAR(after[at + i], expected, 1e-6) << t << " " << h << " " << i;
      }
    }
    // Key and value of kv head 1, as f16.
    const int slot = positions[t] % kBlockTokens;
    for (int i = 0; i < kDim; ++i) {
      const auto* keys = reinterpret_cast<const uint16_t*>(written[t].keys);
      const auto* values = reinterpret_cast<const uint16_t*>(written[t].values);
      EXPECT_EQ(keys[slot * kDim + i], F32ToF16(after[t * shape.qkv_width() + 5 * kDim + i]));
      EXPECT_EQ(values[slot * kDim + i], F32ToF16(after[t * shape.qkv_width() + 7 * kDim + i]));
    }
  }
}

}  // namespace
}  // namespace hearth::ops
