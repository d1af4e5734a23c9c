// Random schemas: valid documents can be written, others cannot, and a model that knows nothing
// writes only valid ones.
#include "tests/constrain/random_schema.h"

#include <bit>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "engine/constrain/constraint.h"
#include "engine/constrain/matcher.h"
#include "engine/formats/checkpoint.h"
#include "gtest/gtest.h"
#include "tests/constrain/documents.h"
#include "tests/constrain/validator.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint32_t kSchemas = 1000;

TEST(RandomSchemaTest, ValidDocumentsAreReachableAndOthersNever) {
  int valid = 0, invalid = 0;
  for (uint32_t seed = 0; seed < kSchemas; ++seed) {
    RandomSchema random(seed);
    const Json& schema = random.schema();
    const auto constraint = CompileSchema(schema);
    if (!constraint.ok()) {
      // Only for want of any document.
      ASSERT_EQ(constraint.status().message(), "the schema: no document can meet it") << schema;
      continue;
    }
    for (int i = 0; i < 10; ++i) {
      const Json document = random.Document();
      if (!IsValid(schema, document)) continue;
      ++valid;
      for (const std::string& layout : Layouts(document)) {
        const Reading reading = Read(**constraint, layout);
        ASSERT_TRUE(reading.complete) << "seed " << seed << " byte " << reading.bytes << "\n"
                                      << layout << "\n"
                                      << schema;
      }
      for (int j = 0; j < 5; ++j) {
        const Json mutated = random.Mutated(document);
        if (IsValid(schema, mutated)) continue;
        ++invalid;
        for (const std::string& layout : Layouts(mutated)) {
          ASSERT_FALSE(Accepts(**constraint, layout)) << "seed " << seed << "\n"
                                                      << layout << "\n"
                                                      << schema;
        }
      }
    }
  }
  EXPECT_GT(valid, 4000);
  EXPECT_GT(invalid, 4000);
}

// Draws evenly from the mask; every other time, if it can, from what closes something.
class Drawer {
 public:
  Drawer(const Tokenizer& tokenizer, uint32_t seed) : tokenizer_(tokenizer), random_(seed) {}

  // -1 when the mask is empty.
  TokenId Draw(const MaskWords& mask) {
    std::vector<TokenId> allowed, closing;
    for (size_t i = 0; i < mask.size(); ++i) {
      for (uint64_t word = mask[i]; word != 0; word &= word - 1) {
        const auto token = static_cast<TokenId>(i * 64 + std::countr_zero(word));
        allowed.push_back(token);
        const std::string_view bytes = tokenizer_.Bytes(token);
        if (bytes.empty() || bytes == "\"" || bytes == "}" || bytes == "]")
          closing.push_back(token);
      }
    }
    const std::vector<TokenId>& from = closing.empty() || random_() % 2 ? allowed : closing;
    return from.empty() ? -1 : from[random_() % from.size()];
  }

 private:
  const Tokenizer& tokenizer_;
  std::mt19937 random_;
};

// Documents of a model of random weights, for each schema one. How many ended in `steps` tokens.
int WriteDocuments(const Tokenizer& tokenizer, int steps) {
  const TokenTrie trie(tokenizer);
  TokenMasks masks(trie);
  int finished = 0;
  MaskWords mask(trie.words());
  for (uint32_t seed = 0; seed < kSchemas; ++seed) {
    const Json schema = RandomSchema(seed).schema();
    const auto constraint = CompileSchema(schema);
    if (!constraint.ok()) continue;
    Matcher matcher(*constraint, masks, tokenizer.stop_tokens());
    Drawer drawer(tokenizer, seed);
    std::string text;
    for (int step = 0; step < steps && !matcher.IsOver(); ++step) {
      EXPECT_TRUE(matcher.FillMask(absl::MakeSpan(mask)).ok());
      const TokenId token = drawer.Draw(mask);
      EXPECT_GE(token, 0) << "stuck after " << text << "\n" << schema;
      if (token < 0 || !matcher.Accept(token)) {
        ADD_FAILURE() << "token " << token << " after " << text;
        break;
      }
      text += tokenizer.Bytes(token);
    }
    if (!matcher.IsOver()) continue;
    ++finished;
    const Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(document.is_discarded()) << text;
    EXPECT_TRUE(IsValid(schema, document)) << text << "\n" << schema;
  }
  return finished;
}

TEST(RandomModelTest, FinishedDocumentsAreValidOnASmallVocabulary) {
  const auto tokenizer = Tokenizer::Create(SmallBpe({{"\"", ":"},
                                                     {"\"", ","},
                                                     {"{", "\""},
                                                     {"\"", "}"},
                                                     {"[", "["},
                                                     {"]", "]"},
                                                     {",", "\""},
                                                     {"e", "x"},
                                                     {"\\", "u"},
                                                     {"t", "r"},
                                                     {"u", "e"},
                                                     {"tr", "ue"},
                                                     {"\xC3", "\xA9"},
                                                     {"\"}", "]"},
                                                     {"1", "2"},
                                                     {"12", "."},
                                                     {"0", ","},
                                                     {"\n", " "},
                                                     {"\n ", " "}},
                                                    {"<|end|>", "<|tool|>"}));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_GT(WriteDocuments(**tokenizer, 400), 700);
}

TEST(RandomModelTest, FinishedDocumentsAreValidOnPhi4) {
  const std::string path = HEARTH_SHARED_DATA "/tokenizers/phi-4-mini.vocab-only.gguf";
  if (!std::ifstream(path).good()) GTEST_SKIP() << "no public vocabulary";
  auto vocabulary = OpenVocabulary(path);
  ASSERT_TRUE(vocabulary.ok());
  const auto tokenizer = Tokenizer::Create(*std::move(vocabulary));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_GT(WriteDocuments(**tokenizer, 100), 700);
}

}  // namespace
}  // namespace hearth
