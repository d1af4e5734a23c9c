#include "engine/constrain/regex.h"

#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/constrain/formats.h"
#include "engine/constrain/regex_syntax.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/constrain/std_regex.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;

SharedText Compile(const std::string& pattern, RegexMatch match = RegexMatch::kWhole) {
  CompileBudget budget;
  auto text = CompileRegex(pattern, match, budget);
  EXPECT_TRUE(text.ok()) << pattern << ": " << text.status();
  return text.ok() ? *text : std::make_shared<const TextDfa>(TextTable{});
}

struct Case {
  std::string pattern;
  std::vector<std::string> accepted;
  std::vector<std::string> refused;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.pattern; }

class WholeTest : public ::testing::TestWithParam<Case> {};

TEST_P(WholeTest, Matches) {
  const SharedText text = Compile(GetParam().pattern);
  for (const std::string& accepted : GetParam().accepted) {
    EXPECT_TRUE(text->AcceptsText(accepted)) << accepted;
  }
  for (const std::string& refused : GetParam().refused) {
    EXPECT_FALSE(text->AcceptsText(refused)) << refused;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Syntax, WholeTest,
    ::testing::Values(
        Case{"", {""}, {"a"}}, Case{"abc", {"abc"}, {"", "ab", "abcd"}},
        Case{"a|bc|", {"a", "bc", ""}, {"b", "abc"}}, Case{"a*", {"", "a", "aaaa"}, {"b", "ab"}},
        Case{"a+?", {"a", "aa"}, {""}}, Case{"a??", {"", "a"}, {"aa"}},
        Case{"a{2}", {"aa"}, {"a", "aaa"}}, Case{"a{2,}", {"aa", "aaaaa"}, {"a"}},
        Case{"a{0}", {""}, {"a"}}, Case{"a{1,3}b", {"ab", "aaab"}, {"b", "aaaab"}},
        Case{"(a{2}){2}", {"aaaa"}, {"aa", "aaa"}}, Case{"(?:ab)+", {"ab", "abab"}, {"aba"}},
        Case{"(?<name>a)b", {"ab"}, {"a"}}, Case{"[a-c]x", {"ax", "cx"}, {"dx"}},
        Case{"[^a-c]", {"d", "\n", "\u00e9"}, {"a", "b"}}, Case{"[]", {}, {"", "a"}},
        Case{"[^]", {"a", "\n", "\U0001F600"}, {""}}, Case{"[a-]", {"a", "-"}, {"b"}},
        Case{"[\\]\\\\]", {"]", "\\"}, {"["}}, Case{"[\\d\\-x]", {"7", "-", "x"}, {"y"}},
        Case{".", {"a", "\u00e9", "\U0001F600"}, {"\n", "\r", "\u2028", ""}},
        Case{"\\d\\D", {"1a"}, {"11", "a1"}}, Case{"\\w\\W", {"_-"}, {"--", "__"}},
        Case{"\\s\\S", {" a", "\u00a0b", "\u3000c"}, {"a ", "  "}},
        Case{"\\t\\n\\r\\f\\v\\0", {std::string("\t\n\r\f\v\0", 6)}, {"tnrfv0"}},
        Case{"\\x41\\u0042\\u{43}\\cJ", {"ABC\n"}, {"ABCJ"}},
        Case{"\\ud83d\\ude00", {"\U0001F600"}, {"\U0001F601"}},
        Case{"\U0001F600?", {"", "\U0001F600"}, {"\xF0"}},
        Case{"\\p{Lu}\\P{Lu}", {"Aa", "\u00c91"}, {"aA", "AA"}},
        Case{"\\p{Letter}", {"a", "\u4e2d"}, {"1"}}, Case{"\\.\\*\\/\\-", {".*/-"}, {"a"}},
        Case{"^abc$", {"abc"}, {"ab"}}, Case{"a^b", {}, {"ab", "a^b"}},
        Case{"(^a|b)c", {"ac", "bc"}, {"c"}}, Case{"a{,2}", {"a{,2}"}, {"a", "aa"}},
        Case{"x{a}", {"x{a}"}, {"x"}}, Case{"]", {"]"}, {""}}));

TEST(RegexTest, AnywhereIsUnanchored) {
  const auto check = [](const std::string& pattern, const std::string& text) {
    return Compile(pattern, RegexMatch::kAnywhere)->AcceptsText(text);
  };
  EXPECT_TRUE(check("b", "abc"));
  EXPECT_FALSE(check("b", "acc"));
  EXPECT_TRUE(check("^a", "abc"));
  EXPECT_FALSE(check("^b", "abc"));
  EXPECT_TRUE(check("c$", "abc"));
  EXPECT_FALSE(check("b$", "abc"));
  EXPECT_TRUE(check("^$", ""));
  EXPECT_FALSE(check("^$", "a"));
  EXPECT_TRUE(check("", "anything\n"));
  EXPECT_TRUE(check("^a|b$", "ax"));
  EXPECT_TRUE(check("^a|b$", "xb"));
  EXPECT_FALSE(check("^a|b$", "xax"));
}

TEST(RegexTest, RefusesWhatItDoesNotKnow) {
  for (const char* pattern :
       {"(",     ")",      "a)",        "(a",         "[a",   "*",      "a**",     "a{2}{3}",
        "+a",    "^*",     "$+",        "\\",         "\\1",  "(a)\\1", "\\k<x>",  "(?=a)",
        "(?!a)", "(?<=a)", "(?<!a)",    "(?i)a",      "\\b",  "\\B",    "\\q",     "\\p{Nope}",
        "\\pL",  "[z-a]",  "[\\d-\\w]", "a{3,2}",     "\\x4", "\\u12",  "\\ud83d", "\\u{110000}",
        "\\00",  "\\c1",   "(?<x",      "a{9999999}", "\xff"}) {
    CompileBudget budget;
    const auto text = CompileRegex(pattern, RegexMatch::kWhole, budget);
    EXPECT_TRUE(absl::IsInvalidArgument(text.status())) << pattern;
  }
}

TEST(RegexTest, P30_RefusesWhatIsTooLarge) {
  const std::string nested = std::string(60000, '(') + std::string(60000, ')');
  for (const std::string& pattern :
       {std::string("(a{1000}){1000}"), std::string("((a{100}){100}){100}"),
        std::string("(a|b)*a(a|b){40}"), std::string("(.*a){30}.{30}b"), nested,
        std::string("((){1000}){1000}"), std::string(1 << 20, 'a'),
        std::string("[\\p{L}]{100}[\\p{N}]{100}\\p{L}*x\\p{L}{20}")}) {
    CompileBudget budget;
    const auto text = CompileRegex(pattern, RegexMatch::kAnywhere, budget);
    EXPECT_TRUE(absl::IsInvalidArgument(text.status())) << pattern.substr(0, 40);
  }
}

TEST(RegexTest, P30_CatastrophesOfBacktrackersAreFine) {
  for (const char* pattern : {"(a+)+b", "(a*)*", "(a|a)*b", "(.*)*x"}) {
    CompileBudget budget;
    EXPECT_TRUE(CompileRegex(pattern, RegexMatch::kAnywhere, budget).ok()) << pattern;
  }
}

// Random patterns over a small alphabet, against the standard library's matcher.
class PatternWriter {
 public:
  explicit PatternWriter(uint32_t seed) : random_(seed) {}

  std::string Write(int depth = 0) {
    switch (random_() % (depth > 3 ? 4 : 10)) {
      case 0:
        return "a";
      case 1:
        return "b";
      case 2:
        return "[ab]";
      case 3:
        return "[^a]";
      case 4:
      case 5:
        return Write(depth + 1) + Write(depth + 1);
      case 6:
        return "(?:" + Write(depth + 1) + "|" + Write(depth + 1) + ")";
      case 7:
        return "(?:" + Write(depth + 1) + ")*";
      case 8:
        return "(?:" + Write(depth + 1) + "){1,2}";
      default:
        return random_() % 2 ? "^" + Write(depth + 1) : Write(depth + 1) + "$";
    }
  }

 private:
  std::mt19937 random_;
};

void AddTexts(const std::string& text, size_t length, std::vector<std::string>& all) {
  all.push_back(text);
  if (text.size() == length) return;
  for (const char c : {'a', 'b', 'c'}) AddTexts(text + c, length, all);
}

TEST(RegexTest, AgreesWithTheStandardLibrary) {
  std::vector<std::string> texts;
  AddTexts("", 4, texts);
  for (uint32_t seed = 0; seed < 300; ++seed) {
    const std::string pattern = PatternWriter(seed).Write();
    if (pattern.size() > 40) continue;  // the library backtracks
    const SharedText whole = Compile(pattern);
    const SharedText anywhere = Compile(pattern, RegexMatch::kAnywhere);
    for (const std::string& text : texts) {
      ASSERT_EQ(whole->AcceptsText(text), StdRegexMatches(pattern, text))
          << pattern << " on " << text;
      ASSERT_EQ(anywhere->AcceptsText(text), StdRegexSearches(pattern, text))
          << pattern << " on " << text;
    }
  }
}

TEST(TextDfaTest, IntersectsAndExcludes) {
  std::vector<std::string> texts;
  AddTexts("", 5, texts);
  for (uint32_t seed = 0; seed < 100; ++seed) {
    PatternWriter writer(seed);
    const SharedText a = Compile(writer.Write(), RegexMatch::kAnywhere);
    const SharedText b = Compile(writer.Write(), RegexMatch::kAnywhere);
    const SharedText c = Compile(writer.Write(), RegexMatch::kAnywhere);
    CompileBudget budget;
    const auto both = Intersect({a, b}, {c}, 1, 4, budget);
    ASSERT_TRUE(both.ok());
    bool any = false;
    for (const std::string& text : texts) {
      const bool expected = a->AcceptsText(text) && b->AcceptsText(text) && !c->AcceptsText(text) &&
                            text.size() >= 1 && text.size() <= 4;
      ASSERT_EQ((*both)->AcceptsText(text), expected) << seed << " on " << text;
      any = any || expected;
    }
    if (any) {
      EXPECT_FALSE((*both)->empty());
    }
  }
}

// Run must never promise too much.
TEST(TextDfaTest, RunsAreSafe) {
  for (const char* pattern : {"[a-z]{0,9}", "[a-z ]*x", "(?:abc)*", "[^@]{3}", ".{2,5}", "\\S+"}) {
    const SharedText text = Compile(pattern);
    std::mt19937 random(1);
    for (int k = 0; k < kCharClasses; ++k) {
      const auto& ranges = CharsOf(static_cast<CharClass>(k)).ranges();
      for (uint32_t s = 0; s < text->states(); ++s) {
        for (int i = 0; i < 20; ++i) {
          uint32_t state = s;
          for (int run = std::min<int>(text->Run(s, static_cast<CharClass>(k)), 20); run > 0;
               --run) {
            const CharRange& range = ranges[random() % ranges.size()];
            state = text->Next(state, range.low + random() % (range.high - range.low + 1));
            ASSERT_NE(state, TextDfa::kDead) << pattern << " class " << k;
          }
        }
      }
    }
  }
}

TEST(TextDfaTest, RunsThatAreAllAreNotExceeded) {
  const auto counted = std::make_shared<const TextDfa>(TextDfa::AnyText(1, 5));
  uint64_t work = 0;
  EXPECT_TRUE(counted->IsRunAll(2, kText, work));
  EXPECT_FALSE(TextDfa::AnyText(1, TextDfa::kUnbounded).IsRunAll(0, kText, work));
  for (const auto& [pattern, all] : std::vector<std::pair<std::string, bool>>{
           {".{1,9}", true}, {"[a-z]{1,9}[0-9]", true}, {"[a-z]*", false}, {"a|bcd", false}}) {
    const SharedText text = Compile(pattern);
    EXPECT_EQ(text->IsRunAll(TextDfa::kStart, kLowerCase, work), all) << pattern;
  }
}

struct FormatCase {
  const char* name;
  std::vector<std::string> accepted, refused;
};
void PrintTo(const FormatCase& c, std::ostream* out) { *out << c.name; }

class FormatTest : public ::testing::TestWithParam<FormatCase> {};

TEST_P(FormatTest, Matches) {
  const auto text = TextOfFormat(GetParam().name);
  ASSERT_TRUE(text.ok()) << text.status();
  for (const std::string& accepted : GetParam().accepted) {
    EXPECT_TRUE((*text)->AcceptsText(accepted)) << accepted;
  }
  for (const std::string& refused : GetParam().refused) {
    EXPECT_FALSE((*text)->AcceptsText(refused)) << refused;
  }
}

const std::string kLabel63(63, 'a');
INSTANTIATE_TEST_SUITE_P(
    Formats, FormatTest,
    ::testing::Values(
        FormatCase{"date",
                   {"2024-02-29", "2000-02-29", "1999-12-31", "2023-04-30", "0001-01-01"},
                   {"2023-02-29", "1900-02-29", "2024-02-30", "2023-04-31", "2023-13-01",
                    "2023-00-10", "2023-1-1", "23-01-01", "2023-01-32"}},
        FormatCase{"time",
                   {"00:00:00Z", "23:59:59.123+05:30", "12:00:00z", "01:02:03-00:00"},
                   {"24:00:00Z", "12:60:00Z", "12:00:60Z", "12:00:00", "12:00Z", "12:00:00+24:00"}},
        FormatCase{"date-time",
                   {"2024-02-29T12:00:00Z", "1963-06-19t08:30:06.28z"},
                   {"2024-02-29 12:00:00Z", "2024-02-29", "2023-02-29T12:00:00Z"}},
        FormatCase{"duration",
                   {"P1Y2M3DT4H5M6S", "PT36H", "P4W", "P1D", "PT1M", "P1Y2M", "P3M1DT1H"},
                   {"P", "PT", "P1", "P1YT", "P2D1Y", "P1W1D", "P1Y1D", "4W", "P1Y2W"}},
        FormatCase{"uuid",
                   {"2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2EB8AA08-AA98-11EA-B4AA-73B441D16380"},
                   {"2eb8aa08-aa98-11ea-b4aa-73b441d1638", "2eb8aa08aa9811eab4aa73b441d16380",
                    "2eb8aa08-aa98-11ea-b4ga-73b441d16380"}},
        FormatCase{"email",
                   {"joe@example.com", "te~st@x", "a.b+c@d.e"},
                   {"joe", "@x", "a@", ".a@x.y", "a..b@x.y", "a@-x.y", "a b@x.y"}},
        FormatCase{"hostname",
                   {"www.example.com", "x", "xn--4gbwdl.xn--wgbh1c", kLabel63 + ".a", "1.2"},
                   {"", ".", "-a", "a-", "a..b", "a_b", kLabel63 + "a", "a.",
                    kLabel63 + "." + kLabel63 + "." + kLabel63 + "." + kLabel63}},
        FormatCase{"ipv4",
                   {"0.0.0.0", "255.255.255.255", "192.168.0.1"},
                   {"256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4 "}},
        FormatCase{"ipv6",
                   {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "12:34::abcd", "::ffff:1.2.3.4",
                    "1:2:3:4:5:6:7::", "1::2:3:4:5:6:7", "::42:ff:1", "1:2:3:4:5:6:1.2.3.4"},
                   {"", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "::laptop",
                    "1::2::3", "1:2:3:4:5:6:7:8::", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", ":2:3::8"}},
        FormatCase{"uri",
                   {"http://foo.bar/?baz=qux#quux", "urn:isbn:0", "mailto:a@b.c", "tel:+1-816",
                    "ftp://ftp.is.co.za/rfc/rfc1808.txt", "ldap://[2001:db8::7]/c=GB?x",
                    "x:", "http://a:8080", "http://u:p@h/%20"},
                   {"//foo.bar/", "/abc", "abc", ":// should fail", "bar,baz:foo", "http://foo bar",
                    "http://[::1", "1x:y", "http://a/%2", "http://a<b"}},
        FormatCase{"json-pointer", {"", "/", "/a~0b/~1", "/foo//bar"}, {"a", "/~", "/~2"}}));

TEST(FormatTest, UnknownNamesAreNot) {
  const absl::Status status = TextOfFormat("idn-email").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("date-time"));
}

size_t DistinctPlaces(const TextDfa& text) {
  std::set<uint32_t> places;
  for (uint32_t s = 0; s < text.states(); ++s) {
    places.insert(text.Representative(s, TextDfa::kHorizon));
  }
  return places.size();
}

TEST(RepresentativeTest, PlacesThatNoTokenTellsApartAreOne) {
  // The start, which may not end, or the place from where the horizon ends the text; those with
  // more before them; and the others.
  EXPECT_EQ(DistinctPlaces(*Compile("\\p{L}{1,500}")), 1 + 1 + TextDfa::kHorizon);
  EXPECT_EQ(DistinctPlaces(*Compile("\\p{L}{300}")), 1 + 1 + TextDfa::kHorizon);
  EXPECT_EQ(DistinctPlaces(*Compile("(ab|cd)*")), 3u);
  const SharedText text = Compile("[a-z]{5,500}");
  EXPECT_EQ(text->Representative(3, TextDfa::kHorizon + 1), 3u);
}

// Equal places take the same texts of up to a length, for automata that are small enough to try
// texts of every length.
TEST(RepresentativeTest, ReadTheSameTexts) {
  std::mt19937 random(4);
  for (const char* pattern : {"(ab|ba){0,90}c?", "a{100,300}|a{150}b", "(a|b){140}(aa|b)?",
                              "((a{3}b){50})*(c|a{60}c)", "[ab]*a[ab]{5}"}) {
    const SharedText text = Compile(pattern);
    for (uint32_t s = 0; s < text->states(); ++s) {
      const uint32_t other = text->Representative(s, TextDfa::kHorizon);
      ASSERT_EQ(text->Representative(other, TextDfa::kHorizon), other);
      for (int round = 0; other != s && round < 10; ++round) {
        uint32_t a = s, b = other;
        for (uint32_t i = 0; i < TextDfa::kHorizon && a != TextDfa::kDead; ++i) {
          ASSERT_EQ(text->Accepts(a), text->Accepts(b)) << pattern;
          // Mostly what leads on, so that texts become long.
          char32_t code = 'a' + random() % 3;
          for (int tries = 0; tries < 4 && text->Next(a, code) == TextDfa::kDead; ++tries) {
            code = 'a' + random() % 3;
          }
          a = text->Next(a, code);
          b = text->Next(b, code);
          ASSERT_EQ(a == TextDfa::kDead, b == TextDfa::kDead) << pattern;
        }
      }
    }
  }
}

// Most pages of Unicode are alike: all letters, or none.
TEST(TextDfaTest, TablesOfUnicodeAreSmall) { EXPECT_LT(Compile("\\p{L}+")->bytes(), 64u << 10); }

}  // namespace
}  // namespace hearth
