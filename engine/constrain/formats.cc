#include "engine/constrain/formats.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/constrain/regex.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr uint32_t kAnyLength = TextDfa::kUnbounded;

// RFC 3339, with the days that each month has.
constexpr char kDate[] =
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|"
    "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|"
    "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
// Without leap seconds; fractions of up to nine digits.
constexpr char kTime[] =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"
    "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
constexpr char kIpv4[] =
    "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}"
    "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
// RFC 1123: letters, digits and inner hyphens; the whole at most 253.
constexpr char kLabel[] = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
// RFC 5321's dot-string before the '@'.
constexpr char kAtom[] = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
// RFC 3986. Elements of the grammar, by their names there.
constexpr char kPchar[] = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
constexpr char kUserInfo[] = "(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*";
constexpr char kRegName[] = "(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*";

std::string Ipv6() {
  const std::string h16 = "[0-9A-Fa-f]{1,4}";
  const std::string ls32 = absl::StrCat("(?:", h16, ":", h16, "|", kIpv4, ")");
  const std::string group = absl::StrCat("(?:", h16, ":)");
  const auto before = [&](int most) {  // up to so many groups, then "::"
    if (most == 0) return std::string("::");
    return absl::StrCat("(?:", group, "{0,", most - 1, "}", h16, ")?::");
  };
  return absl::StrCat("(?:", group, "{6}", ls32, "|::", group, "{5}", ls32, "|", before(1), group,
                      "{4}", ls32, "|", before(2), group, "{3}", ls32, "|", before(3), group, "{2}",
                      ls32, "|", before(4), group, ls32, "|", before(5), ls32, "|", before(6), h16,
                      "|", before(7), ")");
}

std::string Uri() {
  const std::string segments = absl::StrCat("(?:/", kPchar, "*)*");
  const std::string host = absl::StrCat("(?:\\[", Ipv6(), "\\]|", kRegName, ")");
  const std::string authority = absl::StrCat("(?:", kUserInfo, "@)?", host, "(?::[0-9]*)?");
  return absl::StrCat("[A-Za-z][A-Za-z0-9+.-]*:(?://", authority, segments, "|/(?:", kPchar, "+",
                      segments, ")?|", kPchar, "+", segments, ")?(?:\\?(?:", kPchar,
                      "|[/?])*)?(?:#(?:", kPchar, "|[/?])*)?");
}

// RFC 3339, appendix A: units follow each other without gaps.
std::string Duration() {
  const std::string time = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)";
  return absl::StrCat("P(?:[0-9]+W|", time, "|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|",
                      "[0-9]+M(?:[0-9]+D)?|[0-9]+D)(?:", time, ")?)");
}

struct TextFormat {
  std::string_view name;
  std::string pattern;   // of the whole text
  uint32_t max_length;   // in characters
  SharedText text = {};  // once it is compiled
};

std::vector<TextFormat> MakeFormats() {
  return {
      {"date", kDate, kAnyLength},
      {"time", kTime, kAnyLength},
      {"date-time", absl::StrCat(kDate, "[Tt]", kTime), kAnyLength},
      {"duration", Duration(), kAnyLength},
      {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
       kAnyLength},
      {"email", absl::StrCat(kAtom, "(?:\\.", kAtom, ")*@", kLabel, "(?:\\.", kLabel, ")*"),
       kAnyLength},
      {"hostname", absl::StrCat(kLabel, "(?:\\.", kLabel, ")*"), 253},
      {"ipv4", kIpv4, kAnyLength},
      {"ipv6", Ipv6(), kAnyLength},
      {"uri", Uri(), kAnyLength},
      {"json-pointer", "(?:/(?:[^~/]|~[01])*)*", kAnyLength},
  };
}

}  // namespace

absl::StatusOr<SharedText> TextOfFormat(std::string_view name) {
  static std::mutex mutex;
  static std::vector<TextFormat> formats = MakeFormats();
  const std::lock_guard lock(mutex);
  const auto format = std::find_if(formats.begin(), formats.end(),
                                   [&](const TextFormat& row) { return row.name == name; });
  if (format == formats.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "this format is not supported; these are: ",
        absl::StrJoin(formats, ", ",
                      [](std::string* out, const TextFormat& row) { out->append(row.name); })));
  }
  if (format->text == nullptr) {
    CompileBudget budget;
    HEARTH_ASSIGN_OR_RETURN(const SharedText whole,
                            CompileRegex(format->pattern, RegexMatch::kWhole, budget));
    HEARTH_ASSIGN_OR_RETURN(const SharedText text,
                            Intersect({whole}, {}, 0, format->max_length, budget));
    format->text = TextDfa::Keep(*text);
  }
  return format->text;
}

}  // namespace hearth
