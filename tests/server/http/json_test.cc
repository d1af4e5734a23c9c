// Rows J1–J17 of the catalogue, and the typed getters.
#include "server/http/json.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/status.h"

namespace {

// Bytes that operator new has given out, and the most there have been.
std::atomic<int64_t> live_bytes, most_live_bytes;

}  // namespace

void* operator new(size_t size) {
  void* block = std::malloc(size);
  if (block == nullptr) std::abort();
  const int64_t live = live_bytes += static_cast<int64_t>(malloc_usable_size(block));
  most_live_bytes = std::max(most_live_bytes.load(), live);
  return block;
}
void operator delete(void* block) noexcept {
  live_bytes -= static_cast<int64_t>(malloc_usable_size(block));
  std::free(block);
}
void operator delete(void* block, size_t) noexcept { operator delete(block); }

namespace hearth::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

bool Parses(std::string_view text) {
  const absl::StatusOr<Json> json = ParseJson(text);
  EXPECT_TRUE(json.ok() || absl::IsInvalidArgument(json.status())) << json.status();
  return json.ok();
}

std::string Nested(size_t depth, const char* open, const char* close) {
  std::string text;
  for (size_t i = 0; i < depth; ++i) text += open;
  for (size_t i = 0; i < depth; ++i) text += close;
  return text;
}

TEST(Json, KeepsEveryKindOfValue) {
  const absl::StatusOr<Json> json = ParseJson(
      R"({"a":[1,-2,3.5,"x",true,false,null,{}],"b":{"c":[]}, "d": 18446744073709551615})");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->dump(),
            R"({"a":[1,-2,3.5,"x",true,false,null,{}],"b":{"c":[]},"d":18446744073709551615})");
}

TEST(Json, J1_J2_J3_IncompleteAndTrailing) {
  for (const char* text :
       {"", " ", "{", "{\"a\":", "{\"a\":1,", "[1", "\"a", "{} x", "{}{}", "1 2"}) {
    EXPECT_FALSE(Parses(text)) << text;
  }
}

TEST(Json, J5_Depth) {
  EXPECT_TRUE(Parses(Nested(64, "[", "]")));
  EXPECT_FALSE(Parses(Nested(65, "[", "]")));
  EXPECT_FALSE(Parses(Nested(100'000, "[", "]")));
  EXPECT_FALSE(Parses(std::string(1 << 20, '[')));
  std::string objects = "1";
  for (int i = 0; i < 65; ++i) objects = absl::StrCat("{\"a\":", objects, "}");
  EXPECT_FALSE(Parses(objects));
}

TEST(Json, J6_ManyContainers) {
  std::string text = "[{}";
  while (text.size() < (1 << 20) - 4) text += ",{}";
  EXPECT_FALSE(Parses(text + "]"));
}

TEST(Json, J6_ADocumentTakesFewTimesItsBytes) {
  for (const char* unit : {"{}", "[]", "\"\"", "1", "null", "{\"a\":1}", "\"0123456789abcdef\""}) {
    std::string text = absl::StrCat("[", unit);
    while (text.size() < (1 << 20) - 32) absl::StrAppend(&text, ",", unit);
    text += "]";
    const int64_t before = live_bytes;
    most_live_bytes = before;
    ParseJson(text).IgnoreError();
    EXPECT_LT(most_live_bytes - before, 32 * static_cast<int64_t>(text.size())) << unit;
    EXPECT_EQ(live_bytes, before) << unit;
  }
}

TEST(Json, J7_ManyKeys) {
  std::string text = "{";
  for (int i = 0; i < 10'000; ++i) absl::StrAppend(&text, i > 0 ? "," : "", "\"", i, "\":1");
  EXPECT_TRUE(Parses(text + "}"));
  EXPECT_FALSE(Parses(text + ",\"x\":1}"));
}

TEST(Json, J8_DuplicateKeys) {
  EXPECT_FALSE(Parses(R"({"a":1,"a":1})"));
  EXPECT_FALSE(Parses(R"({"a":1,"\u0061":2})"));
  EXPECT_FALSE(Parses(R"([{"x":{"a":1,"b":2,"a":3}}])"));
  EXPECT_TRUE(Parses(R"([{"a":1},{"a":1}])"));
}

TEST(Json, J9_J10_J16_Numbers) {
  for (const char* text : {"NaN", "Infinity", "-Infinity", "01", "+1", "0x1", "1.", ".5", "1e",
                           "1e999", "-1e999", "--1", "1_000"}) {
    EXPECT_FALSE(Parses(absl::StrCat("{\"a\":", text, "}"))) << text;
  }
  EXPECT_TRUE(Parses(R"({"a":1e308})"));
  EXPECT_FALSE(Parses(absl::StrCat("[0.", std::string(1 << 20, '1'), "]")));
  EXPECT_FALSE(Parses(absl::StrCat("[", std::string(1 << 20, '1'), "]")));
  EXPECT_FALSE(Parses(absl::StrCat("[1e", std::string(1 << 20, '0'), "]")));
}

TEST(Json, J11_InvalidUtf8) {
  for (const char* bytes : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82",
                            "\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(Parses(absl::StrCat("{\"a\":\"", bytes, "\"}")));
    EXPECT_FALSE(Parses(absl::StrCat("{\"", bytes, "\":1}")));
  }
}

TEST(Json, J12_LoneSurrogates) {
  for (const char* escape : {R"(\ud800)", R"(\ud800x)", R"(\udc00)", R"(\ud800\ud800)"}) {
    EXPECT_FALSE(Parses(absl::StrCat("{\"a\":\"", escape, "\"}"))) << escape;
  }
  const absl::StatusOr<Json> pair = ParseJson(R"(["\ud83d\ude00"])");
  ASSERT_TRUE(pair.ok());
  EXPECT_EQ(StringOf((*pair)[0]), "\xf0\x9f\x98\x80");
}

TEST(Json, J13_EscapedNulIsText) {
  const absl::StatusOr<Json> json = ParseJson(R"(["a\u0000b"])");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(StringOf((*json)[0]), std::string("a\0b", 3));
}

TEST(Json, J14_J15_OtherEncodings) {
  EXPECT_TRUE(Parses("\xef\xbb\xbf{\"a\":1}"));
  EXPECT_FALSE(Parses(std::string_view("\xff\xfe{\0\"\0a\0", 8)));
  EXPECT_FALSE(Parses(std::string_view("\0{\0\"\0a", 6)));
  EXPECT_FALSE(Parses("{\"a\":\"\xc4\xe3\"}"));  // GBK
  EXPECT_FALSE(Parses(std::string_view("{\"a\":\"x\0\"}", 10)));
}

TEST(Json, J17_Extensions) {
  for (const char* text : {"{/**/}", "{} // x", "[1,]", "{\"a\":1,}", "{'a':1}", "{a:1}", "[,1]"}) {
    EXPECT_FALSE(Parses(text)) << text;
  }
}

TEST(Json, MessagesDoNotRepeatTheDocument) {
  const absl::Status status = ParseJson(R"({"secret words": tru})").status();
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("tru")));
}

TEST(Json, DumpReplacesWhatIsNotUtf8) {
  EXPECT_EQ(DumpJson({{"a", "x\xff"}}), "{\"a\":\"x\xef\xbf\xbd\"}");
}

class JsonGetters : public testing::Test {
 protected:
  const Json object_ = *ParseJson(
      R"({"n":4294967297,"big":9223372036854775808,"huge":1e30,"neg":-9223372036854775808,
          "t":true,"f":1.9,"one":1.0,"s":"1","z":null,"a":[1]})");

  static std::string Param(const absl::Status& status) { return ToHttpError(status).param; }
};

TEST_F(JsonGetters, IntegersAreNeverCutOrConverted) {
  EXPECT_EQ(**GetInteger(object_, "n"), 4294967297);
  EXPECT_EQ(**GetInteger(object_, "neg"), std::numeric_limits<int64_t>::min());
  for (const char* name : {"big", "huge", "t", "f", "one", "s", "a"}) {
    const auto value = GetInteger(object_, name);
    EXPECT_TRUE(absl::IsInvalidArgument(value.status())) << name;
    EXPECT_EQ(Param(value.status()), name);
  }
}

TEST_F(JsonGetters, NumbersTakeBothKinds) {
  EXPECT_EQ(**GetNumber(object_, "f"), 1.9);
  EXPECT_EQ(**GetNumber(object_, "n"), 4294967297.0);
  EXPECT_EQ(**GetNumber(object_, "neg"), -9223372036854775808.0);
  for (const char* name : {"t", "s", "a"})
    EXPECT_EQ(Param(GetNumber(object_, name).status()), name);
}

TEST_F(JsonGetters, OtherKinds) {
  EXPECT_EQ(**GetBool(object_, "t"), true);
  EXPECT_EQ(Param(GetBool(object_, "n").status()), "n");
  EXPECT_EQ(Param(GetBool(object_, "s").status()), "s");
  EXPECT_EQ(**GetString(object_, "s"), "1");
  EXPECT_EQ(Param(GetString(object_, "n").status()), "n");
}

TEST_F(JsonGetters, P35_NullIsAbsent) {
  for (const char* name : {"z", "no such"}) {
    EXPECT_EQ(*GetInteger(object_, name), std::nullopt);
    EXPECT_EQ(*GetNumber(object_, name), std::nullopt);
    EXPECT_EQ(*GetBool(object_, name), std::nullopt);
    EXPECT_EQ(*GetString(object_, name), std::nullopt);
    EXPECT_EQ(FindMember(object_, name), nullptr);
  }
}

}  // namespace
}  // namespace hearth::server
