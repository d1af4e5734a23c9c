// Published vocabularies and the ids that their own tokenizers give.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/tokenizer/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace hearth {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

const std::string kData = HEARTH_SHARED_DATA "/";

std::string ReadFile(const std::string& name) {
  std::ifstream file(kData + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::unique_ptr<Tokenizer> OpenTokenizer(const std::string& name) {
  auto vocabulary = OpenVocabulary(kData + name);
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status();
  auto tokenizer = Tokenizer::Create(*std::move(vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

std::unique_ptr<Tokenizer> OpenLlama3() {
  Vocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "llama-bpe";
  const auto encoder = nlohmann::json::parse(ReadFile("tokenizers/llama3.2/encoder.json"));
  vocabulary.tokens.resize(encoder.size());
  for (const auto& [token, id] : encoder.items()) vocabulary.tokens.at(id.get<size_t>()) = token;
  for (const char* marker :
       {"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
        "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>",
        "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"}) {
    vocabulary.tokens.push_back(marker);
  }
  vocabulary.types.resize(128000, TokenType::kNormal);
  vocabulary.types.resize(vocabulary.tokens.size(), TokenType::kControl);
  vocabulary.bos = 128000;
  vocabulary.eos = 128009;
  std::istringstream merges(ReadFile("tokenizers/llama3.2/vocab.bpe"));
  for (std::string line; std::getline(merges, line);) vocabulary.merges.push_back(line);
  auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

// Cases of an .inp file: each ends with a line that says so.
std::vector<std::string> ReadCases(const std::string& name) {
  constexpr std::string_view kEnd = "\n__ggml_vocab_test__\n";
  const std::string text = ReadFile(name);
  std::vector<std::string> cases;
  for (size_t start = 0, end; (end = text.find(kEnd, start)) != text.npos;) {
    cases.push_back(text.substr(start, end - start));
    start = end + kEnd.size();
  }
  return cases;
}

std::vector<std::vector<TokenId>> ReadIds(const std::string& name) {
  std::istringstream lines(ReadFile(name));
  std::vector<std::vector<TokenId>> all;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    all.emplace_back(std::istream_iterator<TokenId>(words), std::istream_iterator<TokenId>());
  }
  return all;
}

void ExpectCases(const Tokenizer& tokenizer, const std::string& inputs, const std::string& ids) {
  const auto cases = ReadCases(inputs);
  const auto expected = ReadIds(ids);
  ASSERT_EQ(cases.size(), 46u);
  ASSERT_EQ(expected.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(tokenizer.Encode(cases[i]), expected[i]) << cases[i];
  }
}

void ExpectJsonCases(const Tokenizer& tokenizer, const char* key) {
  std::istringstream lines(ReadFile("golden/phi4mini_tokens.jsonl"));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto golden = nlohmann::json::parse(line);
    EXPECT_EQ(tokenizer.Encode(golden["text"].get<std::string>()),
              golden[key].get<std::vector<TokenId>>())
        << golden["text"];
  }
  EXPECT_EQ(count, 17);
}

class GoldenTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kData)) GTEST_SKIP() << kData << " is absent";
  }
};

TEST_F(GoldenTest, Phi4Mini) {
  const auto tokenizer = OpenTokenizer("tokenizers/phi-4-mini.vocab-only.gguf");
  ExpectJsonCases(*tokenizer, "ids_no_special");
  ExpectCases(*tokenizer, "golden/feb2025-o200k.inp", "golden/feb2025-o200k-generated.out");
}

TEST_F(GoldenTest, Phi4MiniStopsOnEndAndEndOfText) {
  const auto tokenizer = OpenTokenizer("tokenizers/phi-4-mini.vocab-only.gguf");
  EXPECT_THAT(tokenizer->stop_tokens(), ElementsAre(199999, 200020));
  EXPECT_EQ(tokenizer->Marker("<|assistant|>"), 200019);
  EXPECT_FALSE(tokenizer->add_bos());
}

TEST_F(GoldenTest, P10_Phi4MiniTextOfMarkersIsPlainText) {
  const auto tokenizer = OpenTokenizer("tokenizers/phi-4-mini.vocab-only.gguf");
  for (TokenId id = 199998; id < tokenizer->vocab_size(); ++id) {
    const std::string spelling(tokenizer->Spelling(id));
    const std::vector<TokenId> ids = tokenizer->Encode(spelling);
    EXPECT_LT(*std::max_element(ids.begin(), ids.end()), 199998) << spelling;
    EXPECT_EQ(tokenizer->Decode(ids), spelling);
  }
}

TEST_F(GoldenTest, Phi4MiniEveryTokenIsWhatItsBytesEncodeTo) {
  const auto tokenizer = OpenTokenizer("tokenizers/phi-4-mini.vocab-only.gguf");
  int split = 0;
  for (TokenId id = 0; id < 199998; ++id) {
    const auto ids = tokenizer->Encode(tokenizer->Bytes(id));
    ASSERT_EQ(tokenizer->Decode(ids), tokenizer->Bytes(id));
    if (ids != std::vector<TokenId>{id}) ++split;
  }
  EXPECT_LT(split, 2000);  // tokens that no text yields, as the pre-split cuts them
}

TEST_F(GoldenTest, Phi4MiniDecodeOfEncodeIsTheTextForAnyBytes) {
  const auto tokenizer = OpenTokenizer("tokenizers/phi-4-mini.vocab-only.gguf");
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::string text(random() % 200, '\0');
    for (char& c : text) c = static_cast<char>(random() % (round % 2 == 0 ? 256 : 128));
    ASSERT_EQ(tokenizer->Decode(tokenizer->Encode(text)), text);
  }
}

TEST_F(GoldenTest, Llama3) {
  const auto tokenizer = OpenLlama3();
  ExpectJsonCases(*tokenizer, "llama3_ids_no_special");
  ExpectCases(*tokenizer, "golden/feb2025-ggml-vocab-llama-bpe.gguf.inp",
              "golden/feb2025-ggml-vocab-llama-bpe.gguf.out");
}

TEST_F(GoldenTest, Llama3StopsOnAllItsEnds) {
  const auto tokenizer = OpenLlama3();
  EXPECT_THAT(tokenizer->stop_tokens(), ElementsAre(128001, 128008, 128009));
  EXPECT_EQ(tokenizer->bos(), 128000);
}

TEST_F(GoldenTest, LlamaSpm) {
  ExpectCases(*OpenTokenizer("tokenizers/ggml-vocab-llama-spm.gguf"),
              "golden/feb2025-ggml-vocab-llama-spm.gguf.inp",
              "golden/feb2025-ggml-vocab-llama-spm.gguf.out");
}

// BPE by the rank of merges, as the Hugging Face form of the same tokenizer has it: another
// algorithm and another file for the same ids.
class MergeRankBpe {
 public:
  explicit MergeRankBpe(const nlohmann::json& model) {
    for (const auto& [piece, id] : model["vocab"].items()) ids_[piece] = id;
    for (const auto& merge : model["merges"]) {
      const std::string text = merge;
      const size_t space = text.find(' ');
      ranks_.try_emplace({text.substr(0, space), text.substr(space + 1)}, ranks_.size());
    }
  }

  std::vector<TokenId> Encode(std::string_view text) const {
    std::vector<std::string> symbols = Characters(text);
    for (;;) {
      size_t best = ranks_.size(), at = 0;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        const auto it = ranks_.find({symbols[i], symbols[i + 1]});
        if (it != ranks_.end() && it->second < best) best = it->second, at = i;
      }
      if (best == ranks_.size()) break;
      symbols[at] += symbols[at + 1];
      symbols.erase(symbols.begin() + at + 1);
    }
    std::vector<TokenId> ids;
    for (const std::string& symbol : symbols) {
      if (const auto it = ids_.find(symbol); it != ids_.end()) {
        ids.push_back(it->second);
      } else {
        for (const char c : symbol) ids.push_back(3 + static_cast<uint8_t>(c));
      }
    }
    return ids;
  }

 private:
  static std::vector<std::string> Characters(std::string_view text) {
    std::vector<std::string> characters = {"▁"};
    for (const char c : text) {
      if ((c & 0xC0) == 0x80) {
        characters.back().push_back(c);
      } else {
        characters.push_back(c == ' ' ? "▁" : std::string(1, c));
      }
    }
    return characters;
  }

  std::map<std::string, TokenId> ids_;
  std::map<std::pair<std::string, std::string>, size_t> ranks_;
};

TEST_F(GoldenTest, LlamaSpmEqualsItsHuggingFaceForm) {
  const auto tokenizer = OpenTokenizer("tokenizers/ggml-vocab-llama-spm.gguf");
  const auto json = nlohmann::json::parse(ReadFile("tokenizers/llama2.tokenizer.json"));
  const MergeRankBpe reference(json["model"]);
  for (const std::string& text : ReadCases("golden/feb2025-ggml-vocab-llama-spm.gguf.inp")) {
    if (text.empty()) continue;
    EXPECT_EQ(tokenizer->Encode(text), reference.Encode(text)) << text;
  }
  std::istringstream words(ReadFile("golden/stories260K_greedy_n200.txt"));
  for (std::string line; std::getline(words, line);) {
    EXPECT_EQ(tokenizer->Encode(line), reference.Encode(line)) << line;
  }
}

// tokenizer.model is a protocol buffer: field 1 repeats (1: piece, 2: score, 3: type).
TEST_F(GoldenTest, LlamaSpmEqualsItsSentencePieceFile) {
  const auto tokenizer = OpenTokenizer("tokenizers/ggml-vocab-llama-spm.gguf");
  const Vocabulary& vocabulary = tokenizer->vocabulary();
  const std::string model = ReadFile("tokenizers/llama2.tokenizer.model");
  size_t pos = 0;
  for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
    ASSERT_EQ(model.at(pos), '\x0A');
    const size_t end = pos + 2 + static_cast<uint8_t>(model.at(pos + 1));
    ASSERT_EQ(model.at(pos + 2), '\x0A');
    const size_t length = static_cast<uint8_t>(model.at(pos + 3));
    EXPECT_EQ(tokenizer->Spelling(id), model.substr(pos + 4, length));
    ASSERT_EQ(model.at(pos + 4 + length), '\x15');
    float score;
    std::memcpy(&score, model.data() + pos + 5 + length, sizeof(score));
    EXPECT_EQ(vocabulary.scores[id], score);
    pos = end;
  }
}

TEST_F(GoldenTest, Stories260K) {
  const auto tokenizer = OpenTokenizer("models/stories260K.f32.gguf");
  const std::string story = ReadFile("golden/stories260K_greedy_n200.txt");
  const std::vector<TokenId> ids = tokenizer->Encode(story);
  EXPECT_LT(ids.size(), story.size() / 2);
  EXPECT_EQ(tokenizer->Decode(ids), " " + story);
  EXPECT_THAT(tokenizer->stop_tokens(), ElementsAre(2));
  StreamDecoder decoder(*tokenizer, tokenizer->leading_space());
  std::string streamed;
  for (const TokenId id : ids) streamed += decoder.Push(id);
  EXPECT_EQ(streamed + decoder.Flush(), story);
}

TEST_F(GoldenTest, Phi3VocabularyOpens) {
  const auto tokenizer = OpenTokenizer("tokenizers/ggml-vocab-phi-3.gguf");
  EXPECT_THAT(tokenizer->stop_tokens(), IsSupersetOf({32000, 32007}));
  EXPECT_THAT(tokenizer->Encode("Hello"), ElementsAre(15043));
}

}  // namespace
}  // namespace hearth
