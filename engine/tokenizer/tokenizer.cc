#include "engine/tokenizer/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "engine/status_macros.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/quoted.h"
#include "engine/tokenizer/spm.h"
#include "engine/tokenizer/token_index.h"

namespace hearth {
namespace {

// The longest token of the vocabularies known to us has 256 bytes.
constexpr size_t kMaxTokenBytes = 4096;

// Markers that end a turn or a document in the model families we know.
constexpr std::string_view kTurnEnds[] = {
    "<|end|>",         "<|endoftext|>", "<|eot_id|>", "<|eom_id|>",
    "<|end_of_text|>", "<end_of_turn>", "<|im_end|>",
};

struct Row {
  std::string_view model;
  absl::StatusOr<std::unique_ptr<Tokenizer>> (*create)(Vocabulary vocabulary);
};

constexpr Row kTokenizers[] = {
    {"gpt2", CreateBpeTokenizer},   //
    {"llama", CreateSpmTokenizer},  //
};

absl::Status CheckTokens(const Vocabulary& vocabulary) {
  const size_t count = vocabulary.tokens.size();
  if (count == 0) return absl::DataLossError("tokenizer.ggml.tokens: empty");
  if (count > INT32_MAX) {
    return absl::DataLossError(absl::StrCat("tokenizer.ggml.tokens: ", count, " tokens"));
  }
  TokenIndex spellings(vocabulary.tokens);
  spellings.Reserve(count);
  for (size_t id = 0; id < count; ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (token.size() > kMaxTokenBytes) {
      return absl::DataLossError(absl::StrCat("tokenizer.ggml.tokens[", id, "]: ", token.size(),
                                              " bytes long, at most ", kMaxTokenBytes,
                                              " expected"));
    }
    if (!spellings.Insert(static_cast<TokenId>(id))) {
      return absl::DataLossError(absl::StrCat("tokenizer.ggml.tokens[", id, "]: ", Quoted(token),
                                              " is token ", spellings.Find(token), " already"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTypes(const Vocabulary& vocabulary) {
  if (vocabulary.types.empty()) return absl::OkStatus();
  if (vocabulary.types.size() != vocabulary.tokens.size()) {
    return absl::DataLossError(absl::StrCat("tokenizer.ggml.token_type: ", vocabulary.types.size(),
                                            " elements, expected ", vocabulary.tokens.size()));
  }
  for (size_t id = 0; id < vocabulary.types.size(); ++id) {
    const int32_t type = static_cast<int32_t>(vocabulary.types[id]);
    if (type < static_cast<int32_t>(TokenType::kNormal) ||
        type > static_cast<int32_t>(TokenType::kByte)) {
      return absl::DataLossError(
          absl::StrCat("tokenizer.ggml.token_type[", id, "]: ", type, ", expected 1 to 6"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSpecialId(const char* key, TokenId id, size_t count) {
  if (id >= -1 && id < static_cast<int64_t>(count)) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("tokenizer.ggml.", key, "_token_id: ", id, ", expected less than ", count));
}

absl::Status CheckVocabulary(const Vocabulary& vocabulary) {
  HEARTH_RETURN_IF_ERROR(CheckTokens(vocabulary));
  HEARTH_RETURN_IF_ERROR(CheckTypes(vocabulary));
  const size_t count = vocabulary.tokens.size();
  HEARTH_RETURN_IF_ERROR(CheckSpecialId("bos", vocabulary.bos, count));
  HEARTH_RETURN_IF_ERROR(CheckSpecialId("eos", vocabulary.eos, count));
  HEARTH_RETURN_IF_ERROR(CheckSpecialId("eot", vocabulary.eot, count));
  return CheckSpecialId("unknown", vocabulary.unknown, count);
}

bool IsTurnEnd(std::string_view spelling) {
  return std::find(std::begin(kTurnEnds), std::end(kTurnEnds), spelling) != std::end(kTurnEnds);
}

// Files exist whose markers are typed as normal tokens; users could spell those.
void SetMarkerTypes(Vocabulary& vocabulary) {
  vocabulary.types.resize(vocabulary.tokens.size(), TokenType::kNormal);
  const auto override_normal = [&](TokenId id, TokenType type) {
    if (id >= 0 && vocabulary.types[id] == TokenType::kNormal) vocabulary.types[id] = type;
  };
  override_normal(vocabulary.bos, TokenType::kControl);
  override_normal(vocabulary.eos, TokenType::kControl);
  override_normal(vocabulary.eot, TokenType::kControl);
  override_normal(vocabulary.unknown, TokenType::kUnknown);
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (IsTurnEnd(vocabulary.tokens[id])) {
      override_normal(static_cast<TokenId>(id), TokenType::kControl);
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Create(Vocabulary vocabulary) {
  for (const Row& row : kTokenizers) {
    if (row.model != vocabulary.model) continue;
    HEARTH_RETURN_IF_ERROR(CheckVocabulary(vocabulary));
    SetMarkerTypes(vocabulary);
    return row.create(std::move(vocabulary));
  }
  return absl::DataLossError(absl::StrCat(
      "tokenizer.ggml.model: unknown tokenizer ", Quoted(vocabulary.model),
      ", expected one of: ", absl::StrJoin(kTokenizers, ", ", [](std::string* out, const Row& row) {
        out->append(row.model);
      })));
}

Tokenizer::Tokenizer(Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)), bytes_(vocabulary_.tokens.size()) {
  for (TokenId id = 0; id < vocab_size(); ++id) {
    const bool marker = IsMarker(id);
    if (marker) markers_.emplace(Spelling(id), id);
    if (id == vocabulary_.eos || id == vocabulary_.eot || (marker && IsTurnEnd(Spelling(id)))) {
      stop_tokens_.push_back(id);
    }
  }
}

std::vector<TokenId> Tokenizer::Encode(std::string_view text, size_t enough) const {
  HEARTH_CHECK(text.size() < (size_t{1} << 30));
  std::vector<TokenId> ids;
  ids.reserve(std::min(text.size() / 4 + 2, enough));
  AppendIds(text, enough, ids);
  return ids;
}

std::string Tokenizer::Decode(absl::Span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text.append(Bytes(id));
  return text;
}

std::optional<TokenId> Tokenizer::Marker(std::string_view spelling) const {
  const auto it = markers_.find(spelling);
  if (it == markers_.end()) return std::nullopt;
  return it->second;
}

bool Tokenizer::IsMarker(TokenId id) const {
  if (Type(id) == TokenType::kControl) return true;
  return Type(id) == TokenType::kUserDefined && !IsWhiteSpaceToken(id);
}

bool Tokenizer::IsWhiteSpaceToken(TokenId id) const {
  constexpr std::string_view kSpaceMark = "\u2581";  // how SPM spells a space, most often
  std::string_view rest = Spelling(id);
  while (!rest.empty()) {
    if (rest.substr(0, kSpaceMark.size()) == kSpaceMark) {
      rest.remove_prefix(kSpaceMark.size());
    } else if (rest.find_first_of(" \t\r\n") == 0) {
      rest.remove_prefix(1);
    } else {
      return false;
    }
  }
  return true;
}

std::optional<TokenId> Tokenizer::bos() const {
  if (vocabulary_.bos < 0) return std::nullopt;
  return vocabulary_.bos;
}

}  // namespace hearth
