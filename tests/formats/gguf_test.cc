// The container; rows M2–M12 and M16 of the catalogue of bad inputs.
#include "engine/formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/tools/small_gguf.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;

constexpr size_t kVersionAt = 4;
constexpr size_t kTensorCountAt = 8;
constexpr size_t kMetadataCountAt = 16;
constexpr size_t kFirstKeyAt = 24;
constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

// The message with which the bytes are refused; "accepted" when they are not.
std::string Refusal(const std::string& bytes) {
  const absl::Status status = ParseGguf(bytes).status();
  if (status.ok()) return "accepted";
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(absl::StartsWith(status.message(), "offset ")) << status;
  return std::string(status.message());
}

std::string Refusal(const GgufWriter& gguf) { return Refusal(gguf.ZeroFile()); }

TEST(GgufTest, ReadsWhatWasWritten) {
  GgufWriter written = SmallGguf();
  const std::string bytes = written.ZeroFile();
  const auto gguf = ParseGguf(bytes);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(gguf->version, 3u);
  ASSERT_EQ(gguf->metadata.entries().size(), written.metadata.size());
  for (size_t i = 0; i < written.metadata.size(); ++i) {
    EXPECT_EQ(gguf->metadata.entries()[i].key, written.metadata[i].key);
  }
  ASSERT_EQ(gguf->tensors.size(), written.tensors.size());
  for (size_t i = 0; i < written.tensors.size(); ++i) {
    EXPECT_EQ(gguf->tensors[i].name, written.tensors[i].name);
    EXPECT_EQ(gguf->tensors[i].offset, gguf->data_offset + written.tensors[i].offset);
    EXPECT_EQ(gguf->tensors[i].bytes, written.tensors[i].bytes);
  }
  EXPECT_EQ(gguf->tensors[0].dims[0], 8);  // file order: columns first
  EXPECT_EQ(gguf->tensors[0].dims[1], 4);
  EXPECT_EQ(gguf->data_offset, written.Header().size());
}

TEST(GgufTest, ReadsVersion2AndOtherAlignments) {
  GgufWriter gguf = SmallGguf();
  gguf.version = 2;
  EXPECT_EQ(Refusal(gguf), "accepted");
  for (uint32_t alignment : {8u, 64u, 4096u, 65536u}) {
    GgufWriter aligned;
    aligned.alignment = alignment;
    aligned.AddUint32("general.alignment", alignment);
    aligned.AddTensor("a", {3}, DType::kF32);
    aligned.AddTensor("b", {3}, DType::kF32);
    EXPECT_EQ(Refusal(aligned), "accepted") << alignment;
  }
}

TEST(GgufTest, TensorDataMayLieInAnotherOrderThanTheTable) {
  GgufWriter gguf;
  gguf.AddTensor("a", {8}, DType::kF32);
  gguf.AddTensor("b", {8}, DType::kF32);
  const std::string data(gguf.DataBytes(), '\0');
  std::swap(gguf.tensors[0].offset, gguf.tensors[1].offset);
  EXPECT_EQ(Refusal(gguf.Header() + data), "accepted");
}

TEST(GgufTest, KnowsTypesItCannotCompute) {
  GgufWriter gguf;
  gguf.AddTensor("a", {256}, DType::kF32);
  gguf.tensors[0].type = 12;
  gguf.tensors[0].bytes = 144;
  const std::string bytes = gguf.ZeroFile();
  const auto parsed = ParseGguf(bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->tensors[0].type->name, "Q4_K");
  EXPECT_EQ(parsed->tensors[0].bytes, 144u);
}

// Every proper prefix is refused, whatever it cuts: the header, a key, a value, the table, data.
// (The last tensor ends on the alignment, so no byte of the file is padding.)
TEST(GgufTest, M2_EveryTruncationIsRefused) {
  const std::string bytes = SmallGguf().ZeroFile();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(Refusal(bytes.substr(0, size)), "accepted") << size;
  }
}

TEST(GgufTest, M2_TinyFilesSayWhatIsMissing) {
  const std::string bytes = SmallGguf().ZeroFile();
  EXPECT_EQ(Refusal(""), "offset 0: magic of 4 bytes, expected at most the 0 left in the file");
  EXPECT_THAT(Refusal(bytes.substr(0, 3)), HasSubstr("magic"));
  EXPECT_THAT(Refusal(bytes.substr(0, 4)), HasSubstr("version"));
  EXPECT_THAT(Refusal(bytes.substr(0, 23)), HasSubstr("metadata count"));
}

TEST(GgufTest, M3_BadMagic) {
  const std::string bytes = SmallGguf().ZeroFile();
  EXPECT_EQ(Refusal("GGML" + bytes.substr(4)), "offset 0: magic \"GGML\", expected \"GGUF\"");
  EXPECT_THAT(Refusal(std::string("\x80\0\x1b\n", 4) + bytes.substr(4)), HasSubstr("\\x80\\x00"));
}

TEST(GgufTest, M3_WrongEndian) {
  EXPECT_EQ(Refusal(Patched(SmallGguf().ZeroFile(), kVersionAt, uint32_t{0x03000000})),
            "offset 4: a big-endian file, expected little-endian");
}

TEST(GgufTest, M3_UnknownVersions) {
  for (uint32_t version : {0u, 1u, 4u, 0xffffffffu}) {
    EXPECT_EQ(Refusal(Patched(SmallGguf().ZeroFile(), kVersionAt, version)),
              absl::StrCat("offset 4: version ", version, ", expected 2 or 3"));
  }
}

TEST(GgufTest, M4_CountsBeyondTheFile) {
  const std::string bytes = SmallGguf().ZeroFile();
  for (uint64_t count : {kHuge, uint64_t{1} << 63, uint64_t{1000000}}) {
    EXPECT_THAT(Refusal(Patched(bytes, kTensorCountAt, count)),
                HasSubstr(absl::StrCat(count, " tensors, expected at most")));
    EXPECT_THAT(Refusal(Patched(bytes, kMetadataCountAt, count)),
                HasSubstr(absl::StrCat(count, " metadata keys, expected at most")));
  }
}

TEST(GgufTest, M4_CountsBeyondTheLimitInAFileThatHoldsThem) {
  GgufWriter gguf;
  for (int i = 0; i < 70000; ++i) gguf.AddBool(absl::StrCat(i), true);
  EXPECT_THAT(Refusal(gguf), HasSubstr("70000 metadata keys, expected at most 65536"));
}

TEST(GgufTest, M4_CountsThatDisagreeWithTheContent) {
  const GgufWriter gguf = SmallGguf();
  const std::string bytes = gguf.ZeroFile();
  const uint64_t keys = gguf.metadata.size(), tensors = gguf.tensors.size();
  for (uint64_t count : {keys - 1, keys + 1}) {
    EXPECT_NE(Refusal(Patched(bytes, kMetadataCountAt, count)), "accepted") << count;
  }
  for (uint64_t count : {tensors - 1, tensors + 1}) {
    EXPECT_NE(Refusal(Patched(bytes, kTensorCountAt, count)), "accepted") << count;
  }
}

TEST(GgufTest, M5_StringLongerThanFile) {
  const std::string bytes = SmallGguf().ZeroFile();
  for (uint64_t length : {uint64_t{bytes.size()}, uint64_t{1} << 63, kHuge, kHuge - 31}) {
    EXPECT_THAT(Refusal(Patched(bytes, kFirstKeyAt, length)),
                HasSubstr(absl::StrCat("metadata key of ", length, " bytes")));
    GgufWriter value = SmallGguf();
    std::string& payload = EntryOf(value, "general.name").payload;
    payload = Patched(payload, 0, length);
    EXPECT_THAT(Refusal(value), HasSubstr(absl::StrCat("string value of ", length, " bytes")));
    GgufWriter element = SmallGguf();
    std::string& tokens = EntryOf(element, "tokenizer.ggml.tokens").payload;
    tokens = Patched(tokens, 4 + 8, length);
    EXPECT_THAT(Refusal(element), HasSubstr(absl::StrCat("string in an array of ", length)));
  }
}

TEST(GgufTest, M5_EmbeddedNul) {
  GgufWriter key = SmallGguf();
  key.metadata[1].key = std::string("general\0name", 12);
  EXPECT_THAT(Refusal(key), HasSubstr("metadata key \"general\\x00name\""));
  GgufWriter value = SmallGguf();
  RemoveKey(value, "general.name");
  value.AddString("general.name", absl::string_view("sm\0all", 6));
  EXPECT_THAT(Refusal(value), HasSubstr("key general.name: a NUL byte in a string"));
  GgufWriter tensor = SmallGguf();
  tensor.tensors[0].name = std::string("token_embd\0", 11);
  EXPECT_THAT(Refusal(tensor), HasSubstr("tensor name \"token_embd\\x00\""));
}

TEST(GgufTest, M5_ControlCharactersNeverReachAMessage) {
  GgufWriter gguf = SmallGguf();
  gguf.metadata[1].key = "x\n\x1b[31mred";
  const std::string message = Refusal(gguf);
  EXPECT_THAT(message, HasSubstr("x\\n\\x1b[31mred"));
}

TEST(GgufTest, M6_UnknownValueType) {
  for (uint32_t type : {13u, 255u, 0xffffffffu}) {
    GgufWriter gguf = SmallGguf();
    gguf.metadata[2].type = type;
    EXPECT_THAT(Refusal(gguf), HasSubstr(absl::StrCat("value type ", type, ", expected 0..12")));
    GgufWriter array = SmallGguf();
    std::string& payload = EntryOf(array, "tokenizer.ggml.token_type").payload;
    payload = Patched(payload, 0, type);
    EXPECT_THAT(Refusal(array), HasSubstr(absl::StrCat("value type ", type)));
  }
}

TEST(GgufTest, M6_ArrayOfArrays) {
  GgufWriter gguf = SmallGguf();
  std::string& payload = EntryOf(gguf, "tokenizer.ggml.token_type").payload;
  payload = Patched(payload, 0, uint32_t{9});
  EXPECT_THAT(Refusal(gguf), HasSubstr("key tokenizer.ggml.token_type: an array of arrays"));
}

TEST(GgufTest, M6_BoolThatIsNeither) {
  GgufWriter gguf = SmallGguf();
  EntryOf(gguf, "tokenizer.ggml.add_bos_token").payload = "\x02";
  EXPECT_THAT(Refusal(gguf), HasSubstr("bool 2, expected 0 or 1"));
}

TEST(GgufTest, M7_ArrayCountTimesSizeOverflows) {
  for (uint64_t count : {kHuge, uint64_t{1} << 62, (uint64_t{1} << 62) + 1, uint64_t{100000}}) {
    GgufWriter numbers = SmallGguf();
    std::string& types = EntryOf(numbers, "tokenizer.ggml.token_type").payload;
    types = Patched(types, 4, count);
    EXPECT_THAT(Refusal(numbers), HasSubstr(absl::StrCat("array of ", count, " elements")));
    GgufWriter strings = SmallGguf();
    std::string& tokens = EntryOf(strings, "tokenizer.ggml.tokens").payload;
    tokens = Patched(tokens, 4, count);
    EXPECT_THAT(Refusal(strings), HasSubstr(absl::StrCat("array of ", count, " elements")));
  }
}

TEST(GgufTest, M8_DuplicateKey) {
  GgufWriter gguf = SmallGguf();
  gguf.AddString("general.name", "again");
  EXPECT_THAT(Refusal(gguf), HasSubstr("key general.name a second time"));
}

TEST(GgufTest, M8_DuplicateTensorName) {
  GgufWriter gguf = SmallGguf();
  gguf.AddTensor("output_norm.weight", {8}, DType::kF32);
  EXPECT_THAT(Refusal(gguf), HasSubstr("tensor output_norm.weight a second time"));
}

TEST(GgufTest, M8_EmptyNames) {
  GgufWriter key = SmallGguf();
  key.AddBool("", true);
  EXPECT_THAT(Refusal(key), HasSubstr("metadata key of 0 bytes, expected 1..65535"));
  GgufWriter tensor = SmallGguf();
  tensor.AddTensor("", {8}, DType::kF32);
  EXPECT_THAT(Refusal(tensor), HasSubstr("tensor name of 0 bytes, expected 1..63"));
}

TEST(GgufTest, M8_LongNames) {
  GgufWriter longest = SmallGguf();
  longest.AddTensor(std::string(63, 'n'), {8}, DType::kF32);
  longest.AddBool(std::string(65535, 'k'), true);
  EXPECT_EQ(Refusal(longest), "accepted");
  GgufWriter tensor = SmallGguf();
  tensor.AddTensor(std::string(64, 'n'), {8}, DType::kF32);
  EXPECT_THAT(Refusal(tensor), HasSubstr("tensor name of 64 bytes, expected 1..63"));
  GgufWriter key = SmallGguf();
  key.AddBool(std::string(65536, 'k'), true);
  EXPECT_THAT(Refusal(key), HasSubstr("metadata key of 65536 bytes"));
}

TEST(GgufTest, M9_NumberOfDimensions) {
  // The first tensor of a file without metadata: name length, name, rank.
  GgufWriter gguf;
  gguf.AddTensor("t", {4, 8}, DType::kF32);
  const std::string bytes = gguf.ZeroFile();
  for (uint32_t rank : {0u, 5u, 0x80000000u, 0xffffffffu}) {
    EXPECT_EQ(Refusal(Patched(bytes, 24 + 8 + 1, rank)),
              absl::StrCat("offset 33: tensor t: ", rank, " dimensions, expected 1..4"));
  }
}

TEST(GgufTest, M9_UpToFourDimensions) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{2}, {2, 2}, {2, 2, 2}, {2, 2, 2, 2}}) {
    GgufWriter gguf;
    gguf.AddTensor("t", shape, DType::kF32);
    EXPECT_EQ(Refusal(gguf), "accepted") << shape.size();
  }
}

std::string RefusalOfDims(std::vector<uint64_t> dims, uint32_t type = 0) {
  GgufWriter gguf = SmallGguf();
  const std::string data(gguf.DataBytes(), '\0');
  gguf.tensors[0].dims = std::move(dims);
  gguf.tensors[0].type = type;
  return Refusal(gguf.Header() + data);
}

TEST(GgufTest, M10_DimensionOutOfRange) {
  EXPECT_THAT(RefusalOfDims({0, 4}), HasSubstr("dimension 0 is 0, expected positive"));
  EXPECT_THAT(RefusalOfDims({8, 0}), HasSubstr("dimension 1 is 0"));
  EXPECT_THAT(RefusalOfDims({kHuge, 4}), HasSubstr("dimension 0 is 18446744073709551615"));
  EXPECT_THAT(RefusalOfDims({uint64_t{1} << 63, 1}), HasSubstr("dimension 0"));
}

TEST(GgufTest, M10_ProductOverflows) {
  EXPECT_THAT(RefusalOfDims({uint64_t{1} << 32, uint64_t{1} << 31}), HasSubstr("below 2^63"));
  EXPECT_THAT(RefusalOfDims({uint64_t{1} << 32, uint64_t{1} << 32}), HasSubstr("below 2^63"));
  EXPECT_THAT(RefusalOfDims({3037000500, 3037000500}), HasSubstr("below 2^63"));
  EXPECT_THAT(RefusalOfDims({1 << 16, 1 << 16, 1 << 16, 1 << 16}), HasSubstr("below 2^63"));
}

TEST(GgufTest, M10_BytesOverflow) {
  EXPECT_THAT(RefusalOfDims({uint64_t{1} << 31, uint64_t{1} << 31}), HasSubstr("2^63 bytes"));
  EXPECT_THAT(RefusalOfDims({(uint64_t{1} << 63) - 32}, 8),
              HasSubstr("expected fewer than 2^63 bytes"));
  EXPECT_THAT(RefusalOfDims({uint64_t{1} << 62}, 2), HasSubstr("before the end of the file"));
}

TEST(GgufTest, M10_RowsThatSplitABlock) {
  EXPECT_THAT(RefusalOfDims({48, 4}, 2),
              HasSubstr("rows of 48 elements, expected a multiple of 32"));
  EXPECT_THAT(RefusalOfDims({128, 2}, 12), HasSubstr("a multiple of 256 for type Q4_K"));
}

std::string RefusalOfOffset(uint64_t offset) {
  GgufWriter gguf = SmallGguf();
  const std::string data(gguf.DataBytes(), '\0');
  TensorOf(gguf, "output_norm.weight").offset = offset;
  return Refusal(gguf.Header() + data);
}

TEST(GgufTest, M11_OffsetMisaligned) {
  EXPECT_THAT(RefusalOfOffset(129), HasSubstr("data at 129 of the tensor data, expected 128"));
  EXPECT_THAT(RefusalOfOffset(136), HasSubstr("expected 128"));
}

TEST(GgufTest, M11_OffsetOverlaps) {
  EXPECT_THAT(RefusalOfOffset(0), HasSubstr("expected 128"));
  EXPECT_THAT(RefusalOfOffset(96), HasSubstr("expected 128"));
  EXPECT_THAT(RefusalOfOffset(160), HasSubstr("expected 128"));  // the next tensor's
}

TEST(GgufTest, M11_OffsetLeavesAHole) {
  GgufWriter gguf = SmallGguf();
  const std::string data(gguf.DataBytes() + 32, '\0');
  gguf.tensors.back().offset += 32;
  EXPECT_THAT(Refusal(gguf.Header() + data), HasSubstr("blk.0.attn_norm.weight: data at"));
}

TEST(GgufTest, M11_OffsetBeyondTheFileOrWrapping) {
  for (uint64_t offset : {uint64_t{1} << 20, uint64_t{1} << 63, kHuge, kHuge - 31, kHuge - 127}) {
    EXPECT_THAT(RefusalOfOffset(offset), HasSubstr("of the tensor data, expected")) << offset;
  }
}

TEST(GgufTest, M12_AlignmentThatIsNone) {
  for (uint32_t alignment : {0u, 1u, 4u, 13u, 24u, 1u << 17, 1u << 31}) {
    GgufWriter gguf = SmallGguf();
    gguf.AddUint32("general.alignment", alignment);
    EXPECT_THAT(Refusal(gguf), HasSubstr(absl::StrCat("key general.alignment: value ", alignment,
                                                      ", expected a power of two in 8..65536")));
  }
}

TEST(GgufTest, M12_AlignmentOfAnotherType) {
  GgufWriter signed_type = SmallGguf();
  signed_type.AddInt32("general.alignment", 32);
  EXPECT_THAT(Refusal(signed_type), HasSubstr("key general.alignment: type i32, expected u32"));
  GgufWriter wide = SmallGguf();
  wide.AddUint64("general.alignment", 32);
  EXPECT_THAT(Refusal(wide), HasSubstr("type u64, expected u32"));
}

TEST(GgufTest, M14_UnknownTensorType) {
  for (uint32_t type : {4u, 5u, 31u, 40u, 0xffffffffu}) {
    EXPECT_THAT(RefusalOfDims({8, 4}, type),
                HasSubstr(absl::StrCat("tensor token_embd.weight: unknown type number ", type)));
  }
}

TEST(GgufTest, M16_TruncatedInTheLastTensor) {
  std::string bytes = SmallGguf().ZeroFile();
  bytes.pop_back();
  EXPECT_THAT(Refusal(bytes), HasSubstr("tensor blk.0.attn_norm.weight: 32 bytes of data"));
}

TEST(GgufTest, M16_TrailingJunk) {
  const std::string bytes = SmallGguf().ZeroFile();
  EXPECT_THAT(Refusal(bytes + "x"), HasSubstr("1 bytes after the last tensor"));
  EXPECT_THAT(Refusal(bytes + std::string(4096, '\0')), HasSubstr("4096 bytes after"));
}

TEST(GgufTest, M16_PaddingAfterTheLastTensorIsOptional) {
  GgufWriter gguf;
  gguf.AddTensor("t", {3}, DType::kF32);
  const std::string bytes = gguf.ZeroFile();
  EXPECT_EQ(Refusal(bytes), "accepted");
  EXPECT_EQ(Refusal(bytes.substr(0, bytes.size() - 20)), "accepted");
  EXPECT_NE(Refusal(bytes.substr(0, bytes.size() - 21)), "accepted");
}

}  // namespace
}  // namespace hearth
