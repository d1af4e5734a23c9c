// Text to token ids and back. Immutable after Create; safe from any thread.
#ifndef HEARTH_ENGINE_TOKENIZER_TOKENIZER_H_
#define HEARTH_ENGINE_TOKENIZER_TOKENIZER_H_

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/request.h"
#include "engine/vocabulary.h"

namespace hearth {

class Tokenizer {
 public:
  // Builds the tokenizer that vocabulary.model and .pre name; an unknown name is an error that
  // lists the known ones. Checks the vocabulary (row M17): DataLoss names what is wrong.
  // Tokens that only a marker can be (bos, eos, eot, the known ends of turn) become control
  // tokens, whatever type the file gives them.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(Vocabulary vocabulary);
  virtual ~Tokenizer() = default;

  // Ids of plain text. Whatever the text spells, no control or user-defined marker comes out.
  // Any bytes are accepted. Adds no BOS. Time is O(n log n) in the length of the text, memory is
  // bounded but for the ids. Stops early, somewhere, once there are more than `enough` ids.
  // REQUIRES: text.size() < 2^30.
  std::vector<TokenId> Encode(std::string_view text, size_t enough = kAll) const;
  static constexpr size_t kAll = std::numeric_limits<size_t>::max();

  // The bytes a token stands for; empty for control and unused tokens, U+FFFD for unknown ones.
  // SPM: word boundaries are spaces already. REQUIRES: 0 <= id < vocab_size().
  std::string_view Bytes(TokenId id) const { return bytes_[id]; }

  // Concatenated bytes; the text may hold invalid UTF-8 if the tokens do.
  std::string Decode(absl::Span<const TokenId> ids) const;

  // The id of a marker spelt exactly so ("<|end|>"), if the vocabulary has it as a control or
  // user-defined token.
  std::optional<TokenId> Marker(std::string_view spelling) const;

  // Control or user-defined. (A user-defined run of white space, as Gemma has them, is text.)
  // REQUIRES: 0 <= id < vocab_size().
  bool IsMarker(TokenId id) const;
  // The token as the file spells it; for tables and messages.
  std::string_view Spelling(TokenId id) const { return vocabulary_.tokens[id]; }
  int32_t vocab_size() const { return static_cast<int32_t>(vocabulary_.tokens.size()); }

  // Put before a prompt when the vocabulary asks for it.
  std::optional<TokenId> bos() const;  // any, asked for or not
  bool add_bos() const { return *vocabulary_.add_bos; }
  // Tokens that end a generation: eos, eot and the markers known to end a turn. Ascending.
  const std::vector<TokenId>& stop_tokens() const { return stop_tokens_; }
  // As given to Create, but for the types above, add_bos where it was not set, and the merges,
  // which are not kept.
  const Vocabulary& vocabulary() const { return vocabulary_; }
  // SPM writes a space before text that opens a document or follows a marker; a decoder drops
  // it again.
  bool leading_space() const { return leading_space_; }

 protected:
  // REQUIRES: the vocabulary is checked; types is as long as tokens; add_bos is set.
  explicit Tokenizer(Vocabulary vocabulary);

  virtual void AppendIds(std::string_view text, size_t enough, std::vector<TokenId>& ids) const = 0;

  TokenType Type(TokenId id) const { return vocabulary_.types[id]; }
  bool IsWhiteSpaceToken(TokenId id) const;

  Vocabulary vocabulary_;
  std::vector<std::string> bytes_;  // by id; filled by the derived class
  bool leading_space_ = false;

 private:
  absl::flat_hash_map<std::string_view, TokenId> markers_;  // by spelling
  std::vector<TokenId> stop_tokens_;
};

// Turns a stream of tokens into whole UTF-8. One per generation; not thread-safe.
class StreamDecoder {
 public:
  // drop_leading_space: drop one space at the very start. For a tokenizer with leading_space(),
  // when the stream follows BOS alone or a marker. REQUIRES: tokenizer outlives the decoder.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool drop_leading_space = false);

  // The text that became whole with this token; may be empty. Bytes that can no longer become
  // valid UTF-8 come out as U+FFFD, one per maximal ill-formed subpart (Unicode 15, 3.9).
  std::string Push(TokenId id);
  // The rest at the end of the stream; an unfinished character becomes U+FFFD.
  std::string Flush();

 private:
  const Tokenizer& tokenizer_;
  bool drop_space_;
  std::string pending_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_TOKENIZER_TOKENIZER_H_
