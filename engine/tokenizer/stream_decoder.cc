#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/unicode.h"

namespace hearth {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool drop_leading_space)
    : tokenizer_(tokenizer), drop_space_(drop_leading_space) {}

std::string StreamDecoder::Push(TokenId id) {
  std::string_view bytes = tokenizer_.Bytes(id);
  if (drop_space_ && !bytes.empty()) {
    if (bytes.front() == ' ') bytes.remove_prefix(1);
    drop_space_ = false;
  }
  pending_.append(bytes);

  std::string whole;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Char c = FirstUtf8Char(rest);
    if (c.kind == Utf8Char::kTruncated) break;
    whole.append(c.kind == Utf8Char::kWhole ? rest.substr(0, c.length) : kReplacement);
    rest.remove_prefix(c.length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return whole;
}

std::string StreamDecoder::Flush() {
  const bool unfinished = !pending_.empty();
  pending_.clear();
  return unfinished ? std::string(kReplacement) : std::string();
}

}  // namespace hearth
