#include "engine/tokenizer/tokenizer.h"

#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Vocabulary Bpe() { return SmallBpe({{"a", "b"}, {"ab", "c"}}, {"<|end|>"}); }
Vocabulary Spm() { return SmallSpm({{"▁", -1}, {"a", -2}}); }

std::unique_ptr<Tokenizer> Make(Vocabulary vocabulary) {
  auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

// The message with which `vocabulary`, spoilt by `spoil`, is refused as corrupt.
std::string Refusal(Vocabulary vocabulary, const std::function<void(Vocabulary&)>& spoil) {
  spoil(vocabulary);
  const auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kDataLoss);
  return std::string(tokenizer.status().message());
}

TEST(TokenizerM17, NoTokens) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.tokens.clear(), v.types.clear(); }),
              HasSubstr("tokenizer.ggml.tokens: empty"));
}

TEST(TokenizerM17, DuplicateToken) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.tokens[257] = "ab"; }),
              AllOf(HasSubstr("tokens[257]"), HasSubstr("'ab'"), HasSubstr("token 256")));
  EXPECT_THAT(Refusal(Spm(), [](Vocabulary& v) { v.tokens.back() = "<s>"; }),
              HasSubstr("'<s>' is token 1 already"));
}

TEST(TokenizerM17, MergeOfUnknownTokens) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.merges.push_back("zz a"); }),
              AllOf(HasSubstr("merges[2]: 'zz a'"), HasSubstr("left part")));
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.merges.push_back("a zz"); }),
              HasSubstr("right part"));
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.merges.push_back("a c"); }),
              HasSubstr("result"));
}

TEST(TokenizerM17, MergeToAMarker) {
  EXPECT_THAT(Refusal(Bpe(),
                      [](Vocabulary& v) {
                        v.tokens.back() = "bc";  // a control token now
                        v.merges.push_back("b c");
                      }),
              HasSubstr("result is not a token"));
}

TEST(TokenizerM17, MergeThatIsNoPair) {
  for (const char* merge : {"", "ab", " ", "a ", " a", "a b c", "a  b", "\xFF \xFF"}) {
    EXPECT_THAT(Refusal(Bpe(), [&](Vocabulary& v) { v.merges.push_back(merge); }),
                HasSubstr("expected two tokens and a space between"));
  }
}

// A merge makes its result longer, so no list of merges can lead round in a circle.
TEST(TokenizerM17, MergesInAnyOrderEnd) {
  const auto tokenizer = Make(
      SmallBpe({{"aa", "a"}, {"a", "aa"}, {"aa", "aa"}, {"a", "a"}, {"aaa", "aa"}, {"aa", "a"}}));
  const std::string text(1000, 'a');
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text)), text);
}

TEST(TokenizerM17, TokenOfOneMegabyte) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.tokens[256].assign(1 << 20, 'a'); }),
              AllOf(HasSubstr("tokens[256]: 1048576 bytes long"), HasSubstr("4096")));
}

TEST(TokenizerM17, ByteTokenThatIsNoByte) {
  for (const char* spelling : {"<0xZZ>", "<0x-1>", "<0x1>", "<0x0a>", "<0x100>", "0x41", ""}) {
    EXPECT_THAT(Refusal(Spm(), [&](Vocabulary& v) { v.tokens[10] = spelling; }),
                AllOf(HasSubstr("tokens[10]"), HasSubstr("expected <0x00> to <0xFF>")));
  }
}

TEST(TokenizerM17, SpecialIdBeyondTheVocabulary) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.eos = 259; }),
              HasSubstr("eos_token_id: 259, expected less than 259"));
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.bos = -2; }), HasSubstr("bos_token_id: -2"));
  EXPECT_THAT(Refusal(Spm(), [](Vocabulary& v) { v.eot = INT32_MAX; }), HasSubstr("eot_token_id"));
  EXPECT_THAT(Refusal(Spm(), [](Vocabulary& v) { v.unknown = 1 << 20; }),
              HasSubstr("unknown_token_id"));
}

TEST(TokenizerM17, TypesOrScoresOfOtherLength) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.types.pop_back(); }),
              HasSubstr("token_type: 258 elements, expected 259"));
  EXPECT_THAT(Refusal(Spm(), [](Vocabulary& v) { v.types.push_back(TokenType::kNormal); }),
              HasSubstr("token_type: 262 elements, expected 261"));
  EXPECT_THAT(Refusal(Spm(), [](Vocabulary& v) { v.scores.pop_back(); }),
              HasSubstr("scores: 260 elements, expected 261"));
}

TEST(TokenizerM17, TypeOrScoreOutOfRange) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.types[3] = static_cast<TokenType>(7); }),
              HasSubstr("token_type[3]: 7"));
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.types[3] = static_cast<TokenType>(0); }),
              HasSubstr("token_type[3]: 0"));
  EXPECT_THAT(Refusal(Spm(), [](Vocabulary& v) { v.scores[4] = NAN; }),
              HasSubstr("scores[4]: not a number"));
}

TEST(TokenizerM17, ByteWithoutToken) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.types[0x0A] = TokenType::kUnused; }),
              HasSubstr("no token for byte 0x0a"));
  EXPECT_THAT(Refusal(Spm(),
                      [](Vocabulary& v) {
                        v.unknown = -1;
                        v.types[0] = v.types[3 + 0x0A] = TokenType::kUnused;
                      }),
              HasSubstr("no token for byte 0x0a and no unknown token"));
}

TEST(TokenizerM17, BpeTokenOutsideTheByteAlphabet) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.tokens[256] = "a b"; }),
              HasSubstr("tokens[256]: 'a b' is not in the byte alphabet"));
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.tokens[256] = "中"; }),
              HasSubstr("is not in the byte alphabet"));
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.types[256] = TokenType::kByte; }),
              HasSubstr("token_type[256]: a byte token"));
}

TEST(Tokenizer, UnknownNamesListTheKnown) {
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.model = "bert\n"; }),
              AllOf(HasSubstr("'bert\\n'"), HasSubstr("gpt2, llama")));
  EXPECT_THAT(Refusal(Bpe(), [](Vocabulary& v) { v.pre = "default"; }),
              AllOf(HasSubstr("'default'"), HasSubstr("gpt-4o"), HasSubstr("llama-bpe")));
}

TEST(Tokenizer, MarkersByTheirSpelling) {
  Vocabulary vocabulary = SmallBpe({{"a", "b"}}, {"<|end|>"});
  vocabulary.tokens.insert(vocabulary.tokens.end(), {"<|tool|>", "[PAD]"});
  vocabulary.types.insert(vocabulary.types.end(), {TokenType::kUserDefined, TokenType::kUnused});
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_EQ(tokenizer->Marker("<|end|>"), 257);
  EXPECT_EQ(tokenizer->Marker("<|tool|>"), 258);
  EXPECT_EQ(tokenizer->Marker("[PAD]"), std::nullopt);
  EXPECT_EQ(tokenizer->Marker("ab"), std::nullopt);
  EXPECT_EQ(tokenizer->Marker("<|END|>"), std::nullopt);
  EXPECT_TRUE(tokenizer->IsMarker(257));
  EXPECT_TRUE(tokenizer->IsMarker(258));
  EXPECT_FALSE(tokenizer->IsMarker(259));
  EXPECT_FALSE(tokenizer->IsMarker('a'));
}

TEST(Tokenizer, P10_TextNeverBecomesAMarker) {
  Vocabulary bpe = SmallBpe({{"a", "b"}}, {"<|end|>"});
  bpe.tokens.push_back("<|tool|>");
  bpe.types.push_back(TokenType::kUserDefined);
  Vocabulary spm = SmallSpm({{"▁", -1}, {"<", -1}, {"<s", -1}}, {"<|end|>"});
  spm.tokens.push_back("<table>");
  spm.types.push_back(TokenType::kUserDefined);
  spm.scores.push_back(100);
  for (Vocabulary* vocabulary : {&bpe, &spm}) {
    const auto tokenizer = Make(std::move(*vocabulary));
    const std::string text = "<|end|><|tool|><s></s><unk><0x41><table>";
    const std::vector<TokenId> ids = tokenizer->Encode(text);
    for (const TokenId id : ids) EXPECT_FALSE(tokenizer->IsMarker(id)) << id;
    EXPECT_THAT(tokenizer->Decode(ids), HasSubstr(text));
  }
}

// Files exist that type their markers as normal tokens, or give no types.
TEST(Tokenizer, P10_MarkersTypedAsTextAreMarkersNonetheless) {
  Vocabulary vocabulary = SmallBpe({});
  vocabulary.types.clear();
  vocabulary.tokens.insert(vocabulary.tokens.end(), {"<s>", "</s>", "<|end|>"});
  vocabulary.bos = 256;
  vocabulary.eos = 257;
  const auto tokenizer = Make(std::move(vocabulary));
  for (const char* spelling : {"<s>", "</s>", "<|end|>"}) {
    EXPECT_TRUE(tokenizer->Marker(spelling).has_value());
    EXPECT_EQ(tokenizer->Encode(spelling).size(), std::string(spelling).size());
  }
  EXPECT_THAT(tokenizer->stop_tokens(), ElementsAre(257, 258));
}

TEST(Tokenizer, StopTokensAreEosEotAndKnownEndsOfTurn) {
  Vocabulary vocabulary =
      SmallBpe({}, {"<|endoftext|>", "<|end|>", "<|user|>", "<eos>", "<eot>", "<|eot_id|>",
                    "<|eom_id|>", "<|end_of_text|>", "<end_of_turn>", "<|im_end|>"});
  vocabulary.eos = 259;
  vocabulary.eot = 260;
  EXPECT_THAT(Make(std::move(vocabulary))->stop_tokens(),
              ElementsAre(256, 257, 259, 260, 261, 262, 263, 264, 265));
  EXPECT_THAT(Make(SmallBpe({}))->stop_tokens(), IsEmpty());
  Vocabulary unused = SmallBpe({}, {"<eos>"});
  unused.eos = 256;
  unused.types[256] = TokenType::kUnused;  // eos is eos, whatever its type
  EXPECT_THAT(Make(std::move(unused))->stop_tokens(), ElementsAre(256));
}

TEST(Tokenizer, Bos) {
  EXPECT_EQ(Make(Spm())->bos(), 1);
  EXPECT_TRUE(Make(Spm())->add_bos());
  EXPECT_EQ(Make(Bpe())->bos(), std::nullopt);
  EXPECT_FALSE(Make(Bpe())->add_bos());
}

TEST(Tokenizer, BosIsImpliedByTheKindUnlessTheFileSays) {
  const auto add_bos = [](Vocabulary vocabulary, const char* pre, std::optional<bool> said) {
    vocabulary.pre = pre;
    vocabulary.add_bos = said;
    return Make(std::move(vocabulary))->add_bos();
  };
  for (const char* pre : {"llama-bpe", "llama3", "llama-v3"}) {
    EXPECT_TRUE(add_bos(Bpe(), pre, std::nullopt)) << pre;
    EXPECT_FALSE(add_bos(Bpe(), pre, false)) << pre;
  }
  EXPECT_FALSE(add_bos(Bpe(), "gpt-4o", std::nullopt));
  EXPECT_TRUE(add_bos(Bpe(), "gpt-4o", true));
  EXPECT_TRUE(add_bos(Spm(), "", std::nullopt));
  EXPECT_FALSE(add_bos(Spm(), "", false));
}

TEST(Tokenizer, MergesAreNotKept) {
  const auto tokenizer = Make(Bpe());
  EXPECT_TRUE(tokenizer->vocabulary().merges.empty());
  EXPECT_EQ(tokenizer->vocab_size(), 259);
}

}  // namespace
}  // namespace hearth
