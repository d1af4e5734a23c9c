#include <string>

#include "engine/tokenizer/tokenizer.h"
#include "gtest/gtest.h"
#include "tests/tokenizer/small_vocabulary.h"

namespace hearth {
namespace {

// Byte b is token b.
class StreamDecoderTest : public ::testing::Test {
 protected:
  std::string Push(StreamDecoder& decoder, std::string_view bytes) {
    std::string out;
    for (const char c : bytes) out += decoder.Push(static_cast<uint8_t>(c));
    return out;
  }

  std::string All(std::string_view bytes) {
    StreamDecoder decoder(*tokenizer_);
    std::string out = Push(decoder, bytes);
    return out + decoder.Flush();
  }

  std::unique_ptr<Tokenizer> tokenizer_ = *Tokenizer::Create(SmallBpe({{"a", "b"}}, {"<|end|>"}));
};

TEST_F(StreamDecoderTest, S5_HoldsBackUnfinishedCharacters) {
  StreamDecoder decoder(*tokenizer_);
  EXPECT_EQ(Push(decoder, "x\xF0\x9F\x98"), "x");
  EXPECT_EQ(Push(decoder, "\x81"), "\U0001F601");
  EXPECT_EQ(decoder.Flush(), "");
}

TEST_F(StreamDecoderTest, S6_InvalidBytesBecomeReplacementCharacters) {
  EXPECT_EQ(All("a\xFF"
                "b"),
            "a\uFFFDb");
  EXPECT_EQ(All("\xC0\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(All("\xF0\x9F\x98x"), "\uFFFDx");  // one per maximal subpart
  EXPECT_EQ(All("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(All("\xE4\xB8\xE4\xB8\xAD"), "\uFFFD中");
}

TEST_F(StreamDecoderTest, InvalidBytesAreKnownAsSoonAsTheyAre) {
  StreamDecoder decoder(*tokenizer_);
  EXPECT_EQ(Push(decoder, "\xE4"), "");
  EXPECT_EQ(Push(decoder, "\xE4"), "\uFFFD");  // the first can not be finished any more
  EXPECT_EQ(Push(decoder, "\xB8\xAD"), "中");
}

TEST_F(StreamDecoderTest, FlushEndsAnUnfinishedCharacter) {
  StreamDecoder decoder(*tokenizer_);
  EXPECT_EQ(Push(decoder, "ok\xF0\x9F"), "ok");
  EXPECT_EQ(decoder.Flush(), "\uFFFD");
  EXPECT_EQ(decoder.Flush(), "");
}

TEST_F(StreamDecoderTest, ControlTokensAreNoText) {
  StreamDecoder decoder(*tokenizer_);
  Push(decoder, "\xE4");
  EXPECT_EQ(decoder.Push(*tokenizer_->Marker("<|end|>")), "");
  EXPECT_EQ(Push(decoder, "\xB8\xAD"), "中");
}

TEST_F(StreamDecoderTest, DropsOneLeadingSpaceIfAsked) {
  StreamDecoder keeps(*tokenizer_);
  EXPECT_EQ(Push(keeps, "  x "), "  x ");
  StreamDecoder drops(*tokenizer_, /*drop_leading_space=*/true);
  drops.Push(*tokenizer_->Marker("<|end|>"));
  EXPECT_EQ(Push(drops, "  x "), " x ");
  StreamDecoder nothing(*tokenizer_, /*drop_leading_space=*/true);
  EXPECT_EQ(Push(nothing, "x y"), "x y");
}

}  // namespace
}  // namespace hearth
