#include "engine/models/weight_file.h"

#include "gtest/gtest.h"

namespace hearth {
namespace {

TEST(WeightFile, AHeaderSaysWhatItWasMadeOf) {
  for (const size_t bytes :
       {size_t{1}, kWeightChunk, kWeightChunk + 1, 507 * kWeightChunk, 508 * kWeightChunk}) {
    std::vector<uint64_t> hashes;
    for (size_t i = 0; i < WeightChunks(bytes); ++i) hashes.push_back(~i);
    const std::vector<std::byte> header = MakeWeightHeader(7, bytes, hashes);
    EXPECT_EQ(header.size(), WeightHeaderBytes(bytes));
    EXPECT_EQ(header.size() % 4096, 0u) << "what follows can be mapped";
    const auto read = ReadWeightHeader(header, 7, bytes);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, hashes);
  }
}

TEST(WeightFile, OfOtherWeightsItIsRefused) {
  const std::vector<std::byte> header = MakeWeightHeader(7, kWeightChunk, {1});
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadWeightHeader(header, 8, kWeightChunk).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadWeightHeader(header, 7, kWeightChunk - 1).status()));
}

}  // namespace
}  // namespace hearth
