#include "server/tokenization.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;

class TokenizationTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = LoadTokenizer(absl::StrCat(HEARTH_BIN_DIR, "/../models/tiny-q8_0.gguf"));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    tokenizer_ = *std::move(loaded);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TokenizationTest, RoundTrips) {
  for (const std::string text : {"", "hello world", " leading", "é 漢 🙂\n\ttab", "<|end|>"}) {
    const std::vector<TokenId> ids = EncodeText(*tokenizer_, text, /*add_special=*/false);
    EXPECT_EQ(ids.empty(), text.empty());
    const absl::StatusOr<std::string> back = DetokenizeIds(*tokenizer_, ids, "tokens");
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, text);
  }
}

TEST_F(TokenizationTest, P9_IdsOutsideTheVocabularyAreRefused) {
  const int64_t size = tokenizer_->vocab_size();
  for (int64_t id : {int64_t{-1}, size, int64_t{1} << 40}) {
    const HttpError error = ToHttpError(CheckTokenId(*tokenizer_, id, "tokens"));
    EXPECT_EQ(error.param, "tokens");
    EXPECT_THAT(error.message, HasSubstr(absl::StrCat("[0, ", size, ")")));
  }
  EXPECT_TRUE(CheckTokenId(*tokenizer_, size - 1, "tokens").ok());
  EXPECT_FALSE(DetokenizeIds(*tokenizer_, {0, -1}, "tokens").ok());
}

TEST_F(TokenizationTest, TextOfManyIdsIsBounded) {
  TokenId longest = 0;
  for (TokenId id = 0; id < tokenizer_->vocab_size(); ++id) {
    if (tokenizer_->Bytes(id).size() > tokenizer_->Bytes(longest).size()) longest = id;
  }
  const size_t enough = 4 * 1024 * 1024 / tokenizer_->Bytes(longest).size() + 1;
  const std::vector<TokenId> many(enough, longest);
  EXPECT_EQ(ToHttpError(DetokenizeIds(*tokenizer_, many, "tokens").status()).param, "tokens");
}

TEST_F(TokenizationTest, P10_MarkersAreSpeltAndTextStaysText) {
  const TokenId user = *tokenizer_->Marker("<|user|>");
  std::vector<TokenId> prompt = {user};
  for (TokenId id : tokenizer_->Encode("<|end|> é")) prompt.push_back(id);
  prompt.push_back(*tokenizer_->Marker("<|end|>"));
  EXPECT_EQ(SpellPrompt(*tokenizer_, prompt), "<|user|><|end|> é<|end|>");
  EXPECT_EQ(SpellPrompt(*tokenizer_, {user, user}), "<|user|><|user|>");
  EXPECT_EQ(SpellPrompt(*tokenizer_, {}), "");
}

TEST_F(TokenizationTest, AnUnfinishedCharacterEndsAtAMarker) {
  const std::vector<TokenId> emoji = tokenizer_->Encode("🙂");
  if (emoji.size() < 2) GTEST_SKIP() << "the vocabulary has it whole";
  const TokenId user = *tokenizer_->Marker("<|user|>");
  EXPECT_EQ(SpellPrompt(*tokenizer_, {emoji[0], user}), "\uFFFD<|user|>");
}

}  // namespace
}  // namespace hearth::server
