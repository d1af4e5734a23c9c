// Masks against brute force: a token is allowed exactly when some document goes on with it.
#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/constrain/constraint.h"
#include "engine/constrain/matcher.h"
#include "engine/formats/checkpoint.h"
#include "gtest/gtest.h"
#include "tests/constrain/documents.h"
#include "tests/constrain/random_schema.h"
#include "tests/constrain/std_regex.h"
#include "tests/constrain/validator.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth {
namespace {

using Json = nlohmann::ordered_json;
using Texts = std::set<std::string>;

// All texts over the alphabet, up to a length, that `is_in` takes.
Texts Enumerate(const std::string& alphabet, size_t length,
                const std::function<bool(const std::string&)>& is_in) {
  Texts texts;
  std::string text;
  std::function<void()> extend = [&] {
    if (is_in(text)) texts.insert(text);
    if (text.size() == length) return;
    for (const char c : alphabet) {
      text.push_back(c);
      extend();
      text.pop_back();
    }
  };
  extend();
  return texts;
}

// A vocabulary of the 256 bytes and all texts of two and three characters of the alphabet.
std::unique_ptr<Tokenizer> VocabularyOf(const std::string& alphabet) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const char a : alphabet) {
    for (const char b : alphabet) merges.push_back({std::string(1, a), std::string(1, b)});
  }
  for (const char a : alphabet) {
    for (const char b : alphabet) {
      for (const char c : alphabet) merges.push_back({std::string{a, b}, std::string(1, c)});
    }
  }
  auto tokenizer = Tokenizer::Create(SmallBpe(merges, {"<|end|>", "<|tool|>"}));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

// `all` is the whole language, as far as it is written with the alphabet; and whatever can be
// written with it can also be completed with it.
void ExpectMasks(const Constraint& constraint, const std::string& alphabet, const Texts& all) {
  ASSERT_FALSE(all.empty());
  const auto tokenizer = VocabularyOf(alphabet);
  const TokenTrie trie(*tokenizer);
  TokenMasks masks(trie);
  Texts prefixes;
  for (const std::string& text : all) {
    for (size_t n = 0; n <= text.size(); ++n) prefixes.insert(text.substr(0, n));
  }
  const std::shared_ptr<const Constraint> shared(&constraint, [](const Constraint*) {});
  MaskWords mask(trie.words());
  for (const std::string& prefix : prefixes) {
    Matcher matcher(shared, masks, tokenizer->stop_tokens());
    for (const char c : prefix) ASSERT_TRUE(matcher.Accept(static_cast<uint8_t>(c))) << prefix;
    ASSERT_TRUE(matcher.FillMask(absl::MakeSpan(mask)).ok());
    const bool longer =
        std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& other) {
          return other.size() > prefix.size() && other.compare(0, prefix.size(), prefix) == 0;
        });
    ASSERT_EQ(matcher.IsOver(), !longer) << prefix;
    for (TokenId token = 0; token < tokenizer->vocab_size(); ++token) {
      const bool allowed = mask[token / 64] >> (token % 64) & 1;
      const std::string bytes(tokenizer->Bytes(token));
      if (tokenizer->IsMarker(token)) {
        ASSERT_EQ(allowed, tokenizer->Spelling(token) == "<|end|>" && all.count(prefix)) << prefix;
      } else if (bytes.find_first_not_of(alphabet) == bytes.npos) {
        ASSERT_EQ(allowed, prefixes.count(prefix + bytes) == 1) << prefix << " + " << bytes;
      }
    }
  }
}

struct SchemaCase {
  const char* schema;
  const char* alphabet;
  size_t length;
};
void PrintTo(const SchemaCase& c, std::ostream* out) { *out << c.schema; }

class SchemaMaskTest : public ::testing::TestWithParam<SchemaCase> {};

TEST_P(SchemaMaskTest, IsExact) {
  const Json schema = Json::parse(GetParam().schema);
  const auto constraint = CompileSchema(schema);
  ASSERT_TRUE(constraint.ok()) << constraint.status();
  const Texts all = Enumerate(GetParam().alphabet, GetParam().length, [&](const std::string& text) {
    const Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    return !document.is_discarded() && IsValid(schema, document);
  });
  ExpectMasks(**constraint, GetParam().alphabet, all);
}

INSTANTIATE_TEST_SUITE_P(
    Schemas, SchemaMaskTest,
    ::testing::Values(
        SchemaCase{R"({"enum":[1,11,12,"1",[1]]})", "12\"[]", 5},
        SchemaCase{R"({"type":"integer","minimum":2,"maximum":121})", "0123", 4},
        SchemaCase{R"({"type":"integer","multipleOf":3,"minimum":0,"maximum":130})", "0123", 4},
        SchemaCase{R"({"type":"array","items":{"enum":[1,11]},"maxItems":2})", "1,[]", 8},
        SchemaCase{R"({"type":"array","items":{"type":"array","maxItems":0},"maxItems":2})", ",[]",
                   9},
        SchemaCase{R"({"type":"string","maxLength":2})", "\"\\n", 7},
        SchemaCase{R"({"type":"string","minLength":2,"maxLength":3,"pattern":"^a|b$"})", "\"ab", 6},
        SchemaCase{R"({"type":"string","pattern":"^(ab|ba)?$"})", "\"abc", 6},
        SchemaCase{R"({"type":"object","properties":{"a":{"const":1}},
                       "additionalProperties":false})",
                   "{}\"a:1", 8},
        SchemaCase{R"({"type":"object","properties":{"a":{"const":1},"aa":{"const":1}},
                       "additionalProperties":false,"maxProperties":1})",
                   "{}\"a:1", 8},
        SchemaCase{R"({"type":"object","propertyNames":{"pattern":"^[ab]$"},"maxProperties":1,
                       "additionalProperties":{"const":1}})",
                   "{}\"ab:1", 7},
        SchemaCase{R"({"anyOf":[{"enum":[1,12]},{"type":"array","items":{"const":1},"maxItems":1},
                       {"type":"string","maxLength":1,"pattern":"1|^$"}]})",
                   "12[]\"", 6}));

TEST(RegexMaskTest, IsExact) {
  for (const char* pattern : {"a{1,3}b?", "(ab|ba){1,2}c", "[ab]{2,4}", "a?b?c?", "(a|ab)(c|bcc)?",
                              "(a{2}|b){0,3}", "(?:a|b|c){0,5}"}) {
    const auto constraint = Constraint::Compile(RegexSource{pattern});
    ASSERT_TRUE(constraint.ok());
    ExpectMasks(**constraint, "abc", Enumerate("abc", 7, [&](const std::string& text) {
      return StdRegexMatches(pattern, text);
    }));
  }
}

TEST(ChoiceMaskTest, IsExact) {
  for (const std::vector<std::string>& texts :
       {std::vector<std::string>{"a", "ab", "abcabc"}, std::vector<std::string>{"", "cab"},
        std::vector<std::string>{"bbbb"}}) {
    const auto constraint = Constraint::Compile(ChoiceSource{texts});
    ASSERT_TRUE(constraint.ok());
    ExpectMasks(**constraint, "abc", Texts(texts.begin(), texts.end()));
  }
}

bool Reads(Automaton& automaton, const Configuration& from, std::string_view bytes) {
  Configuration now = from, next;
  for (const char byte : bytes) {
    automaton.Step(now, static_cast<uint8_t>(byte), next);
    std::swap(now, next);
    if (now.dead()) return false;
  }
  return true;
}

// Every token of the vocabulary, byte by byte, against masks with and without what was kept.
void ExpectMasksAsSteps(const Tokenizer& tokenizer, const Json& schema, uint32_t seed, int steps,
                        TokenMasks& kept, int& checked) {
  const auto constraint = CompileSchema(schema);
  if (!constraint.ok()) return;
  const TokenTrie& trie = kept.trie();
  Automaton automaton((*constraint)->grammar());
  Configuration now, next;
  automaton.Start(now);
  std::mt19937 random(seed);
  MaskWords mask(trie.words()), again(trie.words());
  for (int step = 0; step < steps; ++step) {
    ASSERT_TRUE(kept.Fill(automaton, now, absl::MakeSpan(mask)).ok());
    TokenMasks fresh(trie, /*bytes=*/0);
    ASSERT_TRUE(fresh.Fill(automaton, now, absl::MakeSpan(again)).ok());
    ASSERT_EQ(mask, again);
    std::vector<TokenId> allowed;
    for (TokenId token = 0; token < tokenizer.vocab_size(); ++token) {
      if (tokenizer.Bytes(token).empty() || tokenizer.IsMarker(token)) continue;
      const bool reads = Reads(automaton, now, tokenizer.Bytes(token));
      ASSERT_EQ(mask[token / 64] >> (token % 64) & 1, reads)
          << tokenizer.Bytes(token) << " seed " << seed << " step " << step;
      if (reads) allowed.push_back(token);
    }
    ++checked;
    if (allowed.empty()) break;
    for (const char byte : tokenizer.Bytes(allowed[random() % allowed.size()])) {
      automaton.Step(now, static_cast<uint8_t>(byte), next);
      std::swap(now, next);
    }
  }
}

TEST(MaskTest, AgreesWithStepsOnASmallVocabulary) {
  const auto tokenizer = VocabularyOf("{\",:a1]\\u");
  const TokenTrie trie(*tokenizer);
  TokenMasks kept(trie, 1 << 16);
  int checked = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    ExpectMasksAsSteps(*tokenizer, RandomSchema(seed).schema(), seed, 25, kept, checked);
  }
  EXPECT_GT(checked, 500);
}

// Null without the public test data.
std::unique_ptr<Tokenizer> Phi4Vocabulary() {
  const std::string path = HEARTH_SHARED_DATA "/tokenizers/phi-4-mini.vocab-only.gguf";
  if (!std::ifstream(path).good()) return nullptr;
  auto tokenizer = Tokenizer::Create(*OpenVocabulary(path));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

TEST(MaskTest, AgreesWithStepsOnPhi4) {
  const std::unique_ptr<Tokenizer> tokenizer = Phi4Vocabulary();
  if (tokenizer == nullptr) GTEST_SKIP() << "no public vocabulary";
  const TokenTrie trie(*tokenizer);
  TokenMasks kept(trie);
  int checked = 0;
  for (const char* schema :
       {"{}", R"({"type":"string","maxLength":30})",
        R"({"type":"string","pattern":"^[^@]*@.{2,9}$"})",
        R"({"type":"string","pattern":"^\\p{L}+( \\p{Lu}\\p{L}*)*$"})",
        R"({"type":"array","items":{"type":"number"}})",
        R"({"type":"object","properties":{"name":{"type":"string"},"nam":{"type":"integer"}}})"}) {
    ExpectMasksAsSteps(*tokenizer, Json::parse(schema), 1, 6, kept, checked);
  }
  EXPECT_GT(checked, 20);
}

// Within a text that many alternatives share, one walk is for all of them.
TEST(MaskTest, AlternativesMayShareAPatternOnPhi4) {
  const std::unique_ptr<Tokenizer> tokenizer = Phi4Vocabulary();
  if (tokenizer == nullptr) GTEST_SKIP() << "no public vocabulary";
  const TokenTrie trie(*tokenizer);
  TokenMasks masks(trie);
  for (const char* name : {R"({"pattern":"^[\\p{L} ]+$"})", R"({"pattern":"^[^@]+@[^@]+$"})",
                           R"({"format":"uri"})", R"({"format":"email"})"}) {
    Json schema;
    for (int i = 0; i < 100; ++i) {
      Json one = {{"type", "object"}, {"additionalProperties", false}};
      one["properties"]["name"] = Json::parse(name);
      one["properties"]["name"]["type"] = "string";
      one["properties"]["p" + std::to_string(i)] = {{"type", "integer"}};
      one["required"] = {"name", "p" + std::to_string(i)};
      schema["anyOf"].push_back(std::move(one));
    }
    const auto constraint = CompileSchema(schema);
    ASSERT_TRUE(constraint.ok()) << constraint.status();
    Matcher matcher(*constraint, masks, {});
    std::vector<uint64_t> mask(trie.words());
    for (const TokenId token : tokenizer->Encode(R"({"name":"ab@c.de)")) {
      const absl::Status filled = matcher.FillMask(absl::MakeSpan(mask));
      ASSERT_TRUE(filled.ok()) << name << filled;
      if (!matcher.Accept(token)) break;  // a letter that this name has not
    }
    EXPECT_TRUE(matcher.FillMask(absl::MakeSpan(mask)).ok()) << name;
  }
}

}  // namespace
}  // namespace hearth
