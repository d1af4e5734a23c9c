#include "engine/constrain/constraint_cache.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hearth {
namespace {

constexpr size_t kBytes = 64 << 10;

// Choices that make a constraint of some 10 bytes for each letter.
ConstraintSource Choice(char letter, size_t length) {
  return ChoiceSource{{std::string(length, letter)}};
}

TEST(ConstraintCacheTest, KeepsWhatWasCompiled) {
  ConstraintCache cache(kBytes);
  const auto first = cache.Compile(RegexSource{"a"});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(*first, *cache.Compile(RegexSource{"a"}));
  EXPECT_NE(*first, *cache.Compile(RegexSource{"b"}));
  EXPECT_TRUE(absl::IsInvalidArgument(cache.Compile(RegexSource{"("}).status()));
}

TEST(ConstraintCacheTest, OneConstraintTakesAQuarterAtMost) {
  ConstraintCache cache(kBytes);
  const absl::Status status = cache.Compile(Choice('x', 2000)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  std::vector<std::shared_ptr<const Constraint>> held;
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    const auto constraint = cache.Compile(Choice(letter, 200));
    if (!constraint.ok()) {
      EXPECT_TRUE(absl::IsResourceExhausted(constraint.status())) << constraint.status();
      break;
    }
    held.push_back(*constraint);
  }
  EXPECT_GE(held.size(), 4u);
  EXPECT_LT(held.size(), 26u);
  held.pop_back();
  EXPECT_TRUE(cache.Compile(Choice('z', 200)).ok());
}

// Formats and numbers without bounds are compiled once in a process, and take nothing from here.
TEST(ConstraintCacheTest, WhatTheProcessKeepsIsNotCounted) {
  const auto bytes = [](const std::string& schema) {
    return (*Constraint::Compile(JsonSchemaSource{schema}))->bytes();
  };
  const size_t format = bytes(R"({"type":"string","format":"hostname"})");
  EXPECT_LT(format, 4096u);
  EXPECT_LT(bytes(R"({"type":"number"})"), 4096u);
  EXPECT_GT(bytes(R"({"type":"string","format":"hostname","maxLength":99})"), format);
}

TEST(ConstraintCacheTest, WhatSeveralAskForAtOnceIsCompiledOnce) {
  for (int round = 0; round < 20; ++round) {
    ConstraintCache cache(kBytes);
    std::vector<std::shared_ptr<const Constraint>> made(4);
    std::vector<std::thread> threads;
    for (auto& constraint : made) {
      threads.emplace_back([&] { constraint = *cache.Compile(RegexSource{"(a|b)*a(a|b){4}"}); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& constraint : made) EXPECT_EQ(constraint, made[0]);
  }
}

}  // namespace
}  // namespace hearth
