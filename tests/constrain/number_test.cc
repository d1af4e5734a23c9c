#include "engine/constrain/number.h"

#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hearth {
namespace {

SharedText Compile(const NumberRange& range) {
  CompileBudget budget;
  auto text = NumberText(range, budget);
  EXPECT_TRUE(text.ok()) << text.status();
  return *text;
}

NumberBound Bound(const std::string& text, bool exclusive = false) {
  return {*Decimal::Parse(text), exclusive};
}

TEST(DecimalTest, ReadsAllForms) {
  const auto digits = [](const std::string& text) {
    const Decimal d = *Decimal::Parse(text);
    return absl::StrCat(d.negative ? "-" : "", d.whole, ".", d.fraction);
  };
  EXPECT_EQ(digits("0"), ".");
  EXPECT_EQ(digits("-0.0"), ".");
  EXPECT_EQ(digits("12.50"), "12.5");
  EXPECT_EQ(digits("-1e3"), "-1000.");
  EXPECT_EQ(digits("1.25e1"), "12.5");
  EXPECT_EQ(digits("1E-05"), ".00001");
  EXPECT_EQ(digits("12.5e-1"), "1.25");
  EXPECT_EQ(digits("0e999999999999"), ".");
  EXPECT_FALSE(Decimal::Parse("1e300").ok());
  EXPECT_FALSE(Decimal::Parse("1e-300").ok());
  EXPECT_FALSE(Decimal::Parse("1e99999999999").ok());
}

TEST(DecimalTest, Compares) {
  const std::vector<std::string> ascending = {"-100", "-20.5", "-20.25", "-0.5", "0",  "0.25",
                                              "0.3",  "1",     "1.5",    "9.99", "10", "1e2"};
  for (size_t i = 0; i < ascending.size(); ++i) {
    for (size_t j = 0; j < ascending.size(); ++j) {
      const int order = Decimal::Parse(ascending[i])->Compare(*Decimal::Parse(ascending[j]));
      EXPECT_EQ(order < 0, i < j);
      EXPECT_EQ(order > 0, i > j);
    }
  }
}

TEST(NumberTest, UnboundedNumbersAreJson) {
  const SharedText text = Compile({});
  for (const char* good : {"0", "-0", "7", "-12", "1.5", "-0.25", "1e5", "1E-5", "1.5e+10", "10.01",
                           "123456789012345", "0.0"}) {
    EXPECT_TRUE(text->AcceptsText(good)) << good;
  }
  for (const char* bad : {"", "-", "01", "+1", ".5", "1.", "1.e5", "1e", "1e+", "0x1", "1e100",
                          "1234567890123456", "NaN", "--1", "1 "}) {
    EXPECT_FALSE(text->AcceptsText(bad)) << bad;
  }
}

TEST(NumberTest, IntegersHaveOneSpelling) {
  const SharedText text = Compile({true, {}, {}, 1});
  for (const char* good : {"0", "-1", "999999999999999999"}) {
    EXPECT_TRUE(text->AcceptsText(good)) << good;
  }
  for (const char* bad : {"-0", "1.0", "1e2", "1000000000000000000"}) {
    EXPECT_FALSE(text->AcceptsText(bad)) << bad;
  }
}

TEST(NumberTest, LongBoundsHaveRoomForTheirDigits) {
  const SharedText text = Compile({true, Bound("100000000000000000000"), {}, 1});
  EXPECT_TRUE(text->AcceptsText("100000000000000000000"));
  EXPECT_FALSE(text->AcceptsText("99999999999999999999"));
  const SharedText exact =
      Compile({false, Bound("0.30000000000000004"), Bound("0.30000000000000004"), 1});
  EXPECT_TRUE(exact->AcceptsText("0.30000000000000004"));
  EXPECT_FALSE(exact->AcceptsText("0.3"));
}

TEST(NumberTest, ContradictionsAreEmpty) {
  EXPECT_TRUE(Compile({true, Bound("5"), Bound("4"), 1})->empty());
  EXPECT_TRUE(Compile({true, Bound("5", true), Bound("6", true), 1})->empty());
  EXPECT_TRUE(Compile({true, Bound("1"), Bound("6"), 7})->empty());
  EXPECT_TRUE(Compile({false, Bound("1", true), Bound("1"), 1})->empty());
  EXPECT_FALSE(Compile({true, Bound("0"), Bound("6"), 7})->empty());
}

// Every divisor up to 1024, and larger ones with many factors 2 and 5, is told apart exactly.
TEST(NumberTest, MultiplesAreExact) {
  std::vector<uint32_t> divisors = {3600, 5000, 86400, 100'000, 1'000'000, 1'000'000'000};
  for (uint32_t divisor = 2; divisor <= 1024; divisor += divisor < 130 ? 1 : 101) {
    divisors.push_back(divisor);
  }
  divisors.push_back(1024);
  std::mt19937_64 random(3);
  for (const uint32_t divisor : divisors) {
    const SharedText text = Compile({true, {}, {}, divisor});
    for (int i = 0; i < 300; ++i) {
      const uint64_t near = random() % (i % 2 ? 1'000'000'000'000'000'000 : 10 * uint64_t{divisor});
      for (const uint64_t value : {near, near - near % divisor}) {
        const std::string digits = absl::StrCat(value);
        ASSERT_EQ(text->AcceptsText(digits), value % divisor == 0) << value << " by " << divisor;
        ASSERT_EQ(text->AcceptsText("-" + digits), value != 0 && value % divisor == 0) << value;
      }
    }
    EXPECT_FALSE(text->AcceptsText("-0"));
    EXPECT_TRUE(text->AcceptsText("0"));
    EXPECT_FALSE(text->AcceptsText(absl::StrCat(divisor, "000000000000000000")));
  }
}

TEST(NumberTest, MultiplesTakeFewStates) {
  EXPECT_LT(Compile({true, {}, {}, 1000})->states(), 100u);
  EXPECT_LT(Compile({true, {}, {}, 86400})->states(), 3000u);
  EXPECT_LT(Compile({true, {}, {}, 997})->states(), 18u * 997 + 4);
  EXPECT_LT(Compile({true, Bound("0"), Bound("99999"), 997})->states(), 10'000u);
  for (const uint32_t divisor : {9973, 65536}) {
    CompileBudget budget;
    EXPECT_TRUE(absl::IsInvalidArgument(CheckMultipleOf(divisor, budget))) << divisor;
  }
}

// All integers of a neighbourhood against arithmetic, for random bounds.
TEST(NumberTest, IntegerRangesAreExact) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    NumberRange range{true, {}, {}, 1 + static_cast<uint32_t>(random() % 5)};
    const int low = static_cast<int>(random() % 400) - 200, high = low + random() % 250;
    const bool has_low = random() % 4, has_high = random() % 4;
    const bool low_open = random() % 2, high_open = random() % 2;
    // Half bounds: integers may be bounded by fractions.
    const bool halves = random() % 2;
    const double low_value = low + (halves ? 0.5 : 0), high_value = high + (halves ? 0.5 : 0);
    if (has_low) range.low = Bound(absl::StrCat(low_value), low_open);
    if (has_high) range.high = Bound(absl::StrCat(high_value), high_open);
    const SharedText text = Compile(range);
    for (int value = -600; value <= 600; ++value) {
      bool expected = value % static_cast<int>(range.multiple_of) == 0;
      if (has_low) expected = expected && (low_open ? value > low_value : value >= low_value);
      if (has_high) expected = expected && (high_open ? value < high_value : value <= high_value);
      ASSERT_EQ(text->AcceptsText(std::to_string(value)), expected)
          << value << " in " << low_value << ".." << high_value << " round " << round;
    }
  }
}

TEST(NumberTest, DecimalRangesAreExact) {
  std::mt19937 random(2);
  const auto thousandths = [](int value) {
    std::string digits = std::to_string(std::abs(value));
    if (digits.size() < 4) digits.insert(0, 4 - digits.size(), '0');
    digits.insert(digits.size() - 3, ".");
    return (value < 0 ? "-" : "") + digits;
  };
  for (int round = 0; round < 200; ++round) {
    const int low = static_cast<int>(random() % 4000) - 2000, high = low + random() % 1500;
    const bool low_open = random() % 2, high_open = random() % 2;
    const bool has_low = random() % 4, has_high = random() % 4;
    NumberRange range;
    if (has_low) range.low = Bound(thousandths(low), low_open);
    if (has_high) range.high = Bound(thousandths(high), high_open);
    if (!has_low && !has_high) continue;
    const SharedText text = Compile(range);
    for (int i = 0; i < 400; ++i) {
      const int value =
          i < 40 ? (i % 2 ? low : high) + i / 2 - 10 : static_cast<int>(random() % 8000) - 4000;
      bool expected = true;
      if (has_low) expected = expected && (low_open ? value > low : value >= low);
      if (has_high) expected = expected && (high_open ? value < high : value <= high);
      std::string spelt = thousandths(value);
      if (value == 0) spelt = "0.000";
      ASSERT_EQ(text->AcceptsText(spelt), expected)
          << spelt << " in " << low << ".." << high << " thousandths";
      // The same value with fewer or more zeros behind.
      ASSERT_EQ(text->AcceptsText(spelt + "00"), expected) << spelt;
      while (spelt.back() == '0') spelt.pop_back();
      if (spelt.back() == '.') spelt.pop_back();
      ASSERT_EQ(text->AcceptsText(spelt), expected) << spelt;
    }
    EXPECT_FALSE(text->AcceptsText("-0"));
    EXPECT_FALSE(text->AcceptsText("-0.00"));
    EXPECT_FALSE(text->AcceptsText("1e0"));
  }
}

}  // namespace
}  // namespace hearth
