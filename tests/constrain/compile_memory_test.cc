// The memory that compiling takes, counted: every allocation of this program goes through here.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/constrain/compile_budget.h"
#include "engine/constrain/constraint.h"
#include "gtest/gtest.h"

namespace {

std::atomic<int64_t> live{0}, peak{0};

void* Allocate(size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  const int64_t now = live += static_cast<int64_t>(malloc_usable_size(memory));
  if (now > peak) peak = now;
  return memory;
}

void Free(void* memory) {
  if (memory == nullptr) return;
  live -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(size_t size) { return Allocate(size); }
void* operator new[](size_t size) { return Allocate(size); }
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete[](void* memory) noexcept { Free(memory); }
void operator delete(void* memory, size_t) noexcept { Free(memory); }
void operator delete[](void* memory, size_t) noexcept { Free(memory); }

namespace hearth {
namespace {

// `item` so many times, as members of an array.
std::string Times(int count, const std::string& item) {
  std::string all;
  for (int i = 0; i < count; ++i) absl::StrAppend(&all, i == 0 ? "" : ",", item);
  return all;
}

std::string Numbers(int count, const std::string& quote = "") {
  std::string all;
  for (int i = 0; i < count; ++i) absl::StrAppend(&all, i == 0 ? "" : ",", quote, i, quote);
  return all;
}

class CompileMemoryTest : public testing::TestWithParam<std::string> {};

// What is counted is near enough to what is allocated; the document comes on top.
TEST_P(CompileMemoryTest, IsBounded) {
  const JsonSchemaSource source{GetParam()};
  const int64_t before = live;
  peak = before;
  const auto constraint = Constraint::Compile(source);
  const int64_t most = 2 * CompileBudget::kBytes + 32 * static_cast<int64_t>(GetParam().size());
  EXPECT_LT(peak - before, most) << constraint.status();
}

INSTANTIATE_TEST_SUITE_P(
    Schemas, CompileMemoryTest,
    testing::Values(
        absl::StrCat("{\"enum\":[", Numbers(100'000), "],\"anyOf\":[", Times(4096, "{}"), "]}"),
        absl::StrCat("{\"required\":[", Numbers(40'000, "\""), "],\"anyOf\":[", Times(4096, "{}"),
                     "]}"),
        absl::StrCat("{\"required\":[", Numbers(40'000, "\""), "],\"oneOf\":[",
                     Times(4096, "{\"type\":\"object\"}"), "]}"),
        absl::StrCat("{\"anyOf\":[", Times(200'000, "true"), "]}"),
        absl::StrCat("{\"$ref\":\"#/$defs/", std::string(300'000, 'A'), "\",\"$defs\":{\"",
                     std::string(300'000, 'A'), "\":{\"anyOf\":[", Times(20'000, "{}"), "]}}}"),
        absl::StrCat("{\"$ref\":\"#x\",\"$defs\":{\"", std::string(300'000, 'A'), "\":[",
                     Times(20'000, "{}"), "],\"x\":{\"$anchor\":\"x\"}}}"),
        absl::StrCat("{\"items\":{\"allOf\":[", Times(8'000, "{\"items\":{}}"),
                     "]},\"maxItems\":10000}"),
        absl::StrCat("{\"allOf\":[", Times(10'000, "{\"pattern\":\"a*\"}"), "]}"),
        absl::StrCat("{\"allOf\":[", Times(2'000, "{\"properties\":{\"a\":{},\"b\":{}}}"), "]}")),
    [](const auto& schema) { return std::to_string(schema.index); });

}  // namespace
}  // namespace hearth
