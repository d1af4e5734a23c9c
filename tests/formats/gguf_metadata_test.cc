#include "engine/formats/gguf_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "engine/formats/gguf.h"
#include "tests/tools/gguf_writer.h"

namespace hearth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class GgufMetadataTest : public testing::Test {
 protected:
  // The metadata of the file written so far.
  const GgufMetadata& Parse() {
    bytes_ = writer_.ZeroFile();
    auto parsed = ParseGguf(bytes_);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    gguf_ = *std::move(parsed);
    return gguf_.metadata;
  }

  GgufWriter writer_;
  std::string bytes_;
  GgufFile gguf_;
};

TEST_F(GgufMetadataTest, IntegersOfAnyWidth) {
  writer_.metadata = {{"u8", 0, "\xff"},
                      {"i8", 1, "\xff"},
                      {"u16", 2, "\xff\xff"},
                      {"i16", 3, "\xff\xff"},
                      {"u64", 10, std::string(8, '\xff')},
                      {"i64", 11, std::string(8, '\xff')}};
  writer_.AddUint32("u32", 7);
  writer_.AddInt32("i32", -7);
  const GgufMetadata& metadata = Parse();
  EXPECT_EQ(*metadata.Integer("u8", 0, 255), 255);
  EXPECT_EQ(*metadata.Integer("i8", -1, 255), -1);
  EXPECT_EQ(*metadata.Integer("u16", 0, 65535), 65535);
  EXPECT_EQ(*metadata.Integer("i16", -1, 0), -1);
  EXPECT_EQ(*metadata.Integer("i64", -1, 0), -1);
  EXPECT_EQ(*metadata.Integer("u32", 0, 10), 7);
  EXPECT_EQ(*metadata.Integer("i32", -10, 10), -7);
  const absl::Status status =
      metadata
          .Integer("u64", std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max())
          .status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("value 18446744073709551615, expected"));
}

TEST_F(GgufMetadataTest, AbsentKeysFallBackOrAreMissing) {
  const GgufMetadata& metadata = Parse();
  EXPECT_EQ(*metadata.Integer("k", 0, 1, -1), -1);
  EXPECT_EQ(*metadata.Number("k", 0, 1, 0.5), 0.5);
  EXPECT_EQ(*metadata.Bool("k", true), true);
  EXPECT_EQ(*metadata.String("k", 10, "x"), "x");
  EXPECT_THAT(*metadata.Strings("k", 1, 1), IsEmpty());
  EXPECT_THAT(*metadata.Int32s("k", 0), IsEmpty());
  EXPECT_THAT(*metadata.Floats("k", 0), IsEmpty());
  EXPECT_EQ(metadata.Integer("k", 0, 1).status().message(), "key k is missing");
  EXPECT_EQ(metadata.Number("k", 0, 1).status().message(), "key k is missing");
  EXPECT_EQ(metadata.String("k", 1).status().message(), "key k is missing");
}

TEST_F(GgufMetadataTest, WrongTypesAreNamed) {
  writer_.AddString("s", "7");
  writer_.AddFloat32("f", 7);
  writer_.AddUint32("u", 7);
  writer_.AddInt32s("a", {1, 2, 3});
  const GgufMetadata& metadata = Parse();
  const auto message = [](const absl::Status& status) { return std::string(status.message()); };
  EXPECT_THAT(message(metadata.Integer("s", 0, 9).status()),
              HasSubstr("key s: type str, expected an integer"));
  EXPECT_THAT(message(metadata.Integer("f", 0, 9).status()), HasSubstr("type f32"));
  EXPECT_THAT(message(metadata.Integer("a", 0, 9).status()), HasSubstr("type arr[i32,3]"));
  EXPECT_THAT(message(metadata.Number("u", 0, 9).status()), HasSubstr("expected f32"));
  EXPECT_THAT(message(metadata.Bool("u", false).status()), HasSubstr("expected bool"));
  EXPECT_THAT(message(metadata.String("u", 9).status()), HasSubstr("expected str"));
  EXPECT_THAT(message(metadata.Strings("a", 9, 9).status()), HasSubstr("an array of str"));
  EXPECT_THAT(message(metadata.Floats("a", 3).status()), HasSubstr("an array of f32"));
  EXPECT_THAT(message(metadata.Int32s("u", 3).status()), HasSubstr("an array of i32"));
}

TEST_F(GgufMetadataTest, NumbersAreFiniteAndInRange) {
  writer_.AddFloat32("nan", std::nanf(""));
  writer_.AddFloat32("inf", std::numeric_limits<float>::infinity());
  writer_.AddFloat32("two", 2);
  const GgufMetadata& metadata = Parse();
  EXPECT_FALSE(metadata.Number("nan", 0, 10).ok());
  EXPECT_FALSE(metadata.Number("inf", 0, 10).ok());
  EXPECT_FALSE(metadata.Number("two", 3, 10).ok());
  EXPECT_EQ(*metadata.Number("two", 0, 10), 2);
}

TEST_F(GgufMetadataTest, ArraysAreLimited) {
  writer_.AddStrings("strings", {"a", "", "ccc"});
  writer_.AddFloat32s("floats", {1, 2.5f});
  writer_.AddInt32s("ints", {7, -8, 9});
  const GgufMetadata& metadata = Parse();
  EXPECT_THAT(*metadata.Strings("strings", 3, 3), ElementsAre("a", "", "ccc"));
  EXPECT_THAT(*metadata.Floats("floats", 2), ElementsAre(1, 2.5f));
  EXPECT_THAT(*metadata.Int32s("ints", 3), ElementsAre(7, -8, 9));
  EXPECT_THAT(std::string(metadata.Floats("floats", 1).status().message()),
              HasSubstr("key floats: 2 elements, expected at most 1"));
  EXPECT_THAT(std::string(metadata.Int32s("ints", 2).status().message()),
              HasSubstr("key ints: 3 elements, expected at most 2"));
  EXPECT_THAT(std::string(metadata.Strings("strings", 2, 3).status().message()),
              HasSubstr("3 elements, expected at most 2"));
  EXPECT_THAT(std::string(metadata.Strings("strings", 3, 2).status().message()),
              HasSubstr("element 2 of 3 bytes, expected at most 2"));
}

TEST_F(GgufMetadataTest, DisplayIsOneShortLine) {
  writer_.AddString("text", "line\n\"\xd1\x8f\"");
  writer_.AddString("long", std::string(10000, 'x'));
  writer_.AddInt32s("eight", {1, 2, 3, 4, 5, 6, 7, -8});
  writer_.AddInt32s("nine", {1, 2, 3, 4, 5, 6, 7, 8, 9});
  writer_.AddStrings("strings", {"a", std::string(100, 'y')});
  writer_.AddBool("flag", true);
  writer_.AddFloat32("real", 0.25f);
  writer_.AddUint64("wide", ~uint64_t{0});
  const GgufMetadata& metadata = Parse();
  const auto display = [&](const char* key) { return Display(*metadata.Find(key)); };
  EXPECT_EQ(display("text"), "\"line\\n\\\"\xd1\x8f\\\"\"");
  EXPECT_LT(display("long").size(), 5000u);
  EXPECT_EQ(display("eight"), "[1, 2, 3, 4, 5, 6, 7, -8]");
  EXPECT_EQ(display("nine"), "[1, 2, 3, 4, 5, 6, 7, 8, ...]");
  EXPECT_EQ(display("strings"), "[\"a\", \"" + std::string(64, 'y') + "...\"]");
  EXPECT_EQ(display("flag"), "true");
  EXPECT_EQ(display("real"), "0.25");
  EXPECT_EQ(display("wide"), "18446744073709551615");
  EXPECT_EQ(TypeName(*metadata.Find("nine")), "arr[i32,9]");
  EXPECT_EQ(TypeName(*metadata.Find("wide")), "u64");
}

}  // namespace
}  // namespace hearth
