#include "engine/tokenizer/presplit.h"

#include <utf8proc.h>

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/tokenizer/quoted.h"
#include "engine/tokenizer/unicode.h"

namespace hearth {
namespace {

// Every character is of exactly one class; the sets of the expressions are unions of classes.
using Classes = uint32_t;
constexpr Classes kEnd = 0;            // past the text: in no set
constexpr Classes kUpper = 1 << 0;     // Lu Lt
constexpr Classes kLower = 1 << 1;     // Ll
constexpr Classes kUncased = 1 << 2;   // Lm Lo
constexpr Classes kMark = 1 << 3;      // M
constexpr Classes kNumber = 1 << 4;    // N
constexpr Classes kNewline = 1 << 5;   // \r \n
constexpr Classes kBlank = 1 << 6;     // the rest of \s
constexpr Classes kSymbolic = 1 << 7;  // everything else

constexpr Classes kLetter = kUpper | kLower | kUncased;  // \p{L}
constexpr Classes kHead = kUpper | kUncased | kMark;     // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
constexpr Classes kTail = kLower | kUncased | kMark;     // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
constexpr Classes kSpace = kNewline | kBlank;            // \s
constexpr Classes kSymbol = kMark | kSymbolic;           // [^\s\p{L}\p{N}]
constexpr Classes kPrefix = kMark | kBlank | kSymbolic;  // [^\r\n\p{L}\p{N}]

Classes ClassOf(char32_t code) {
  if (code == '\r' || code == '\n') return kNewline;
  if (IsWhiteSpace(code)) return kBlank;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return kUpper;
    case UTF8PROC_CATEGORY_LL:
      return kLower;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kUncased;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    default:
      return kSymbolic;
  }
}

struct Char {
  Classes cls;
  uint32_t length;
};

Char CharAt(std::string_view text, size_t pos) {
  static const std::array<uint8_t, 128> kAscii = [] {
    std::array<uint8_t, 128> classes;
    for (uint32_t i = 0; i < 128; ++i) classes[i] = static_cast<uint8_t>(ClassOf(i));
    return classes;
  }();
  if (pos >= text.size()) return {kEnd, 0};
  const uint8_t byte = static_cast<uint8_t>(text[pos]);
  if (byte < 128) return {kAscii[byte], 1};
  const Utf8Char c = FirstUtf8Char(text.substr(pos));
  return {c.kind == Utf8Char::kWhole ? ClassOf(c.code) : kSymbolic, c.length};
}

// The end of the longest run of characters of `classes` that starts at `pos`.
size_t SkipRun(std::string_view text, size_t pos, Classes classes) {
  for (;;) {
    const Char c = CharAt(text, pos);
    if (!(c.cls & classes)) return pos;
    pos += c.length;
  }
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)? at `pos`: its end. Case folding makes U+017F an s as well.
size_t SkipContraction(std::string_view text, size_t pos) {
  if (pos + 1 >= text.size() || text[pos] != '\'') return pos;
  const auto lower = [&](size_t at) {
    const char c = at < text.size() ? text[at] : '\0';
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = lower(pos + 1), second = lower(pos + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return pos + 2;
  if (text.substr(pos + 1, 2) == "\u017F") return pos + 3;
  if ((first == 'r' || first == 'v') && second == 'e') return pos + 3;
  if (first == 'l' && second == 'l') return pos + 3;
  return pos;
}

// \p{N}{1,3}: its length, or 0.
size_t MatchNumber(std::string_view text) {
  size_t pos = 0;
  for (int i = 0; i < 3; ++i) {
    const Char c = CharAt(text, pos);
    if (!(c.cls & kNumber)) break;
    pos += c.length;
  }
  return pos;
}

// ` ?[^\s\p{L}\p{N}]+[\r\n…]*` with '/' in the last set or not: its length, or 0.
size_t MatchSymbols(std::string_view text, bool slash_closes) {
  const size_t start = text[0] == ' ' ? 1 : 0;
  size_t pos = SkipRun(text, start, kSymbol);
  if (pos == start) return 0;
  while (pos < text.size() &&
         (text[pos] == '\r' || text[pos] == '\n' || (slash_closes && text[pos] == '/'))) {
    ++pos;
  }
  return pos;
}

// \s*[\r\n]+|\s+(?!\S)|\s+: its length, or 0.
size_t MatchSpace(std::string_view text) {
  size_t end = 0, last_start = 0, newline_end = 0;
  for (;;) {
    const Char c = CharAt(text, end);
    if (!(c.cls & kSpace)) break;
    last_start = end;
    end += c.length;
    if (c.cls & kNewline) newline_end = end;
  }
  if (newline_end > 0) return newline_end;  // \s* gives back down to the last newline
  // (?!\S): before more text, the last space is given back, unless it is the only one.
  return end == text.size() || last_start == 0 ? end : last_start;
}

// [head]*[tail]+ and [head]+[tail]* from one start.
struct CasedWord {
  size_t star_plus;  // end of head*tail+; 0: no match
  size_t plus_star;  // end of head+tail* where head*tail+ does not match; start: no match
};

CasedWord MatchCasedWord(std::string_view text, size_t start) {
  size_t pos = start, last_tail = 0;
  for (;;) {
    const Char c = CharAt(text, pos);
    if (!(c.cls & kHead)) {
      if (c.cls & kTail) return {SkipRun(text, pos, kTail), 0};
      break;
    }
    pos += c.length;
    if (c.cls & kTail) last_tail = pos;  // may serve tail+ once head* has given it back
  }
  return {last_tail, pos};
}

// The o200k expression:
//   [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+
//       (?i:'s|'t|'re|'ve|'m|'ll|'d)?
//   |[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*
//       (?i:'s|'t|'re|'ve|'m|'ll|'d)?
//   |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
// This is its first two alternatives: the length of the match, or 0.
size_t MatchO200kWord(std::string_view text) {
  const Char first = CharAt(text, 0);
  const size_t prefix = first.cls & kPrefix ? first.length : 0;
  const CasedWord word = MatchCasedWord(text, prefix);
  if (word.star_plus > 0) return SkipContraction(text, word.star_plus);
  // A mark can be the prefix or, that failing, the word itself.
  if (first.cls & kMark) return SkipContraction(text, first.length);
  if (word.plus_star > prefix) return SkipContraction(text, word.plus_star);
  return 0;
}

size_t SplitO200k(std::string_view rest) {
  if (const size_t length = MatchO200kWord(rest)) return length;
  if (const size_t length = MatchNumber(rest)) return length;
  if (const size_t length = MatchSymbols(rest, /*slash_closes=*/true)) return length;
  return MatchSpace(rest);
}

// The Llama 3 expression:
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
//   | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t SplitLlama3(std::string_view rest) {
  if (const size_t length = SkipContraction(rest, 0)) return length;
  const Char first = CharAt(rest, 0);
  const size_t prefix = first.cls & kPrefix ? first.length : 0;
  if (const size_t end = SkipRun(rest, prefix, kLetter); end > prefix) return end;
  if (const size_t length = MatchNumber(rest)) return length;
  if (const size_t length = MatchSymbols(rest, /*slash_closes=*/false)) return length;
  return MatchSpace(rest);
}

constexpr PreSplit kPreSplits[] = {
    {"gpt-4o", SplitO200k, /*adds_bos=*/false},      //
    {"o200k", SplitO200k, /*adds_bos=*/false},       //
    {"o200k_base", SplitO200k, /*adds_bos=*/false},  //
    {"llama-bpe", SplitLlama3, /*adds_bos=*/true},   //
    {"llama3", SplitLlama3, /*adds_bos=*/true},      //
    {"llama-v3", SplitLlama3, /*adds_bos=*/true},    //
};

}  // namespace

absl::StatusOr<PreSplit> FindPreSplit(std::string_view name) {
  for (const PreSplit& row : kPreSplits) {
    if (row.name == name) return row;
  }
  return absl::DataLossError(absl::StrCat(
      "tokenizer.ggml.pre: unknown pre-split ", Quoted(name), ", expected one of: ",
      absl::StrJoin(kPreSplits, ", ",
                    [](std::string* out, const PreSplit& row) { out->append(row.name); })));
}

}  // namespace hearth
