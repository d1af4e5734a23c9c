// Walks the table of request fields.
#include "server/http/fields.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Dialect kDialects[] = {Dialect::kChat, Dialect::kCompletions};
// Those with a table of their own.
constexpr Dialect kOthers[] = {Dialect::kResponses, Dialect::kMessages, Dialect::kEmbeddings,
                               Dialect::kTokenize};

// A body whose member at `path`, as rows are named, is `value`; lists have one element.
Json With(std::string_view path, Json value) {
  Json members = Json::object();
  const size_t end = path.find_first_of(".[");
  const std::string name(path.substr(0, end));
  if (end == path.npos) {
    members[name] = std::move(value);
  } else if (path[end] == '.') {
    members[name] = With(path.substr(end + 1), std::move(value));
  } else {
    members[name] = Json::array({With(path.substr(end + 3), std::move(value))});
    if (name == "content") members[name][0].emplace("type", "text");
  }
  return members;
}

// The path in that body.
std::string PathOf(const Field& field) {
  return absl::StrReplaceAll(std::string(field.name), {{"[]", "[0]"}});
}

std::string TopLevelOf(const Field& field) {
  return std::string(field.name.substr(0, field.name.find_first_of(".[")));
}

// Whether the row is of something within a field that only chat has.
bool IsWithinChatField(const Field& field) {
  const absl::Span<const Field> rows = Fields(Dialect::kChat);
  return TopLevelOf(field) != field.name &&
         std::any_of(rows.begin(), rows.end(), [&field](const Field& row) {
           return row.name == TopLevelOf(field) && row.treatment == FieldTreatment::kServedByChat;
         });
}

HttpError Refused(const Json& body, Dialect dialect = Dialect::kChat) {
  const auto ignored = CheckFields(body, dialect);
  EXPECT_FALSE(ignored.ok()) << body;
  return ToHttpError(ignored.status());
}

bool Taken(const Json& body, Dialect dialect = Dialect::kChat) {
  const auto ignored = CheckFields(body, dialect);
  return ignored.ok() && ignored->empty();
}

// Something no field means nothing by.
const Json kEffect = {{"anything", {1, 2}}};

TEST(Fields, EachHasOneRow) {
  for (Dialect dialect : {Dialect::kChat, kOthers[0], kOthers[1], kOthers[2], kOthers[3]}) {
    std::set<std::string_view> names;
    for (const Field& field : Fields(dialect)) {
      EXPECT_TRUE(names.insert(field.name).second) << field.name;
    }
  }
}

TEST(Fields, OtherDialects_P35_NullIsAbsentInEveryRow) {
  for (Dialect dialect : kOthers) {
    for (const Field& field : Fields(dialect)) {
      EXPECT_TRUE(Taken(With(field.name, nullptr), dialect)) << field.name;
    }
  }
}

TEST(Fields, OtherDialects_RowsAreAsTheySay) {
  for (Dialect dialect : kOthers) {
    for (const Field& field : Fields(dialect)) {
      const Json body = With(field.name, kEffect);
      if (field.treatment == FieldTreatment::kServed) {
        EXPECT_TRUE(CheckFields(body, dialect).ok()) << field.name;
        continue;
      }
      if (field.treatment == FieldTreatment::kAcceptedObject) continue;  // takes what that is
      const HttpError error = Refused(body, dialect);
      EXPECT_EQ(error.param, PathOf(field));
      if (field.treatment != FieldTreatment::kRefused) continue;
      EXPECT_EQ(error.code, "unsupported_parameter");
      const absl::StatusOr<Json> neutral = ParseJson(field.neutral);
      ASSERT_TRUE(neutral.ok() && neutral->is_array()) << field.name;
      for (const Json& value : *neutral) {
        EXPECT_TRUE(Taken(With(field.name, value), dialect)) << field.name;
      }
    }
  }
}

TEST(Fields, OtherDialects_AcceptedKinds) {
  const std::pair<FieldTreatment, Json> kinds[] = {
      {FieldTreatment::kAcceptedFlag, true},
      {FieldTreatment::kAcceptedNumber, 1.5},
      {FieldTreatment::kAcceptedText, "a\nb"},
      {FieldTreatment::kAcceptedObject, Json::object()},
      {FieldTreatment::kAcceptedList, Json::array()}};
  for (Dialect dialect : kOthers) {
    for (const Field& field : Fields(dialect)) {
      const auto accepts = [&field](const auto& kind) { return kind.first == field.treatment; };
      if (std::none_of(std::begin(kinds), std::end(kinds), accepts)) continue;
      for (const auto& [treatment, value] : kinds) {
        const bool taken = CheckFields(With(field.name, value), dialect).ok();
        EXPECT_EQ(taken, treatment == field.treatment) << field.name << value;
      }
    }
  }
}

// What has no row for tokenisation is looked up in chat's table.
TEST(Fields, TokenizeTakesChatRequests) {
  const Json body = *ParseJson(R"({"messages":[{"role":"user","content":"a","mood":1}],
                                   "temperature":1,"content":"b"})");
  EXPECT_THAT(*CheckFields(body, Dialect::kTokenize), ElementsAre("messages[0].mood"));
  EXPECT_EQ(Refused(With("grammar", "x"), Dialect::kTokenize).param, "grammar");
}

TEST(Fields, P35_NullIsAbsentInEveryRow) {
  for (const Field& field : Fields(Dialect::kChat)) {
    for (Dialect dialect : kDialects) {
      if (dialect == Dialect::kCompletions && IsWithinChatField(field)) continue;
      EXPECT_TRUE(Taken(With(field.name, nullptr), dialect)) << field.name;
    }
  }
}

TEST(Fields, RefusedRowsAreRefusedByName) {
  for (const Field& field : Fields(Dialect::kChat)) {
    if (field.treatment != FieldTreatment::kRefused) continue;
    for (Dialect dialect : kDialects) {
      const HttpError error = Refused(With(field.name, kEffect), dialect);
      if (dialect == Dialect::kCompletions && IsWithinChatField(field)) continue;
      EXPECT_EQ(error.http_status, 400);
      EXPECT_EQ(error.param, PathOf(field));
      EXPECT_EQ(error.code, "unsupported_parameter");
    }
  }
}

TEST(Fields, RefusedRowsTakeTheirNeutralValues) {
  for (const Field& field : Fields(Dialect::kChat)) {
    if (field.treatment != FieldTreatment::kRefused) continue;
    const absl::StatusOr<Json> neutral = ParseJson(field.neutral);
    ASSERT_TRUE(neutral.ok() && neutral->is_array()) << field.name;
    for (const Json& value : *neutral) EXPECT_TRUE(Taken(With(field.name, value))) << field.name;
  }
}

TEST(Fields, ServedRowsAreServedWhereTheyBelong) {
  for (const Field& field : Fields(Dialect::kChat)) {
    const Json body = With(field.name, kEffect);
    switch (field.treatment) {
      case FieldTreatment::kServed:
        for (Dialect dialect : kDialects) {
          EXPECT_TRUE(CheckFields(body, dialect).ok()) << field.name;  // "anything" may be ignored
        }
        break;
      case FieldTreatment::kServedByChat:
        EXPECT_TRUE(CheckFields(body, Dialect::kChat).ok()) << field.name;
        EXPECT_EQ(Refused(body, Dialect::kCompletions).param, TopLevelOf(field));
        break;
      case FieldTreatment::kServedByCompletions:
        EXPECT_TRUE(CheckFields(body, Dialect::kCompletions).ok()) << field.name;
        EXPECT_EQ(Refused(body, Dialect::kChat).param, field.name);
        break;
      default:
        break;
    }
  }
}

TEST(Fields, P33_Labels) {
  for (const Field& field : Fields(Dialect::kChat)) {
    if (field.treatment != FieldTreatment::kAcceptedLabel) continue;
    EXPECT_TRUE(Taken(With(field.name, std::string(512, 'a'))));
    for (const Json& bad : {Json(std::string(10240, 'a')), Json("a\nb"), Json(5), Json::object()}) {
      EXPECT_EQ(Refused(With(field.name, bad)).param, PathOf(field)) << bad;
    }
  }
}

TEST(Fields, P34_Metadata) {
  EXPECT_TRUE(Taken(With("metadata", {{"a", "b"}, {"c", ""}})));
  EXPECT_EQ(Refused(With("metadata", {{"a", {{"b", "c"}}}})).param, "metadata");
  EXPECT_EQ(Refused(With("metadata", {{"a", 1}})).param, "metadata");
  EXPECT_EQ(Refused(With("metadata", "a")).param, "metadata");
  Json many = Json::object();
  for (int i = 0; i < 17; ++i) many[std::to_string(i)] = "x";
  EXPECT_EQ(Refused(With("metadata", many)).param, "metadata");
}

TEST(Fields, P16_P32_EffectsAreRefused) {
  const std::pair<const char*, const char*> effects[] = {
      {"best_of", "2"},
      {"suffix", R"("x")"},
      {"functions", R"([{"name":"f"}])"},
      {"function_call", R"({"name":"f"})"},
      {"grammar", R"("root ::= x")"},
      {"guided_grammar", R"("root ::= x")"},
      {"chat_template", R"("x")"},
      {"chat_template_kwargs", R"({"x":1})"},
      {"store", "true"},
      {"service_tier", R"("flex")"},
      {"verbosity", R"("low")"},
      {"modalities", R"(["text","audio"])"},
      {"reasoning_effort", R"("high")"},
  };
  for (const auto& [name, value] : effects) {
    EXPECT_EQ(Refused(With(name, *ParseJson(value))).param, name);
  }
  EXPECT_EQ(Refused(*ParseJson(R"({"structured_outputs":{"grammar":"x"}})")).param,
            "structured_outputs.grammar");
}

TEST(Fields, J18_UnknownFieldsAreNamed) {
  const auto ignored = CheckFields(With("frobnicate", 1), Dialect::kChat);
  ASSERT_TRUE(ignored.ok());
  EXPECT_THAT(*ignored, ElementsAre("frobnicate"));
}

TEST(Fields, J18_FewOfManyUnknownFieldsAreNamed) {
  Json body = Json::object();
  for (int i = 0; i < 1000; ++i) body[absl::StrCat("x", i)] = i;
  EXPECT_EQ(CheckFields(body, Dialect::kChat)->size(), 16u);
}

TEST(Fields, PathsAsNamesAreNoFields) {
  for (const Field& field : Fields(Dialect::kChat)) {
    if (field.name.find('.') == field.name.npos) continue;
    const Json body = {{std::string(field.name), 1}};
    EXPECT_THAT(*CheckFields(body, Dialect::kChat), ElementsAre(std::string(field.name)));
  }
}

// The table as README.md shows it.
std::string Table(absl::Span<const Field> rows) {
  const std::pair<FieldTreatment, const char*> titles[] = {
      {FieldTreatment::kServed, "followed"},
      {FieldTreatment::kServedByChat, "followed by chat, refused by completions"},
      {FieldTreatment::kServedByCompletions, "followed by completions, refused by chat"},
      {FieldTreatment::kAcceptedLabel, "no effect: a string of at most 512 characters"},
      {FieldTreatment::kAcceptedLabels, "no effect: an object of at most 16 such strings"},
      {FieldTreatment::kAcceptedFlag, "no effect: true or false"},
      {FieldTreatment::kAcceptedNumber, "no effect: a number"},
      {FieldTreatment::kAcceptedText, "no effect: a string"},
      {FieldTreatment::kAcceptedObject, "no effect: an object"},
      {FieldTreatment::kAcceptedList, "no effect: a list"},
      {FieldTreatment::kRefused, "refused, unless null or as in brackets"},
  };
  std::string table = "| what happens | fields |\n|---|---|\n";
  size_t shown = 0;
  for (const auto& [treatment, title] : titles) {
    std::vector<std::string> names;
    for (const Field& row : rows) {
      if (row.treatment != treatment) continue;
      std::string name = absl::StrCat("`", std::string(row.name), "`");
      if (row.neutral.size() > 2) {
        const std::string values(row.neutral.substr(1, row.neutral.size() - 2));
        absl::StrAppend(&name, " (`", values, "`)");
      }
      names.push_back(std::move(name));
    }
    shown += names.size();
    if (names.empty()) continue;
    absl::StrAppend(&table, "| ", title, " | ", absl::StrJoin(names, ", "), " |\n");
  }
  EXPECT_EQ(shown, rows.size());
  return table;
}

TEST(Fields, TheReadmeShowsThemAll) {
  std::ifstream file(HEARTH_SOURCE_DIR "/README.md");
  const std::string readme{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(readme, HasSubstr(Table(Fields(Dialect::kChat))));
}

TEST(Fields, IgnoredNamesAreMadeHarmless) {
  EXPECT_EQ(IgnoredHeader({"a_b", "c\r\nX: y", "\xc3\xa4"}), "a_b, c??X??y, ??");
  EXPECT_EQ(IgnoredHeader({std::string(1000, 'x')}).size(), 64u);
  EXPECT_THAT(IgnoredHeader({}), IsEmpty());
}

}  // namespace
}  // namespace hearth::server
