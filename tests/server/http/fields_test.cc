// Walks the table of request fields.
#include "server/http/fields.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Dialect kDialects[] = {Dialect::kChat, Dialect::kCompletions};

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
  std::set<std::string_view> names;
  for (const Field& field : Fields()) EXPECT_TRUE(names.insert(field.name).second) << field.name;
}

TEST(Fields, P35_NullIsAbsentInEveryRow) {
  for (const Field& field : Fields()) {
    for (Dialect dialect : kDialects) {
      if (dialect == Dialect::kCompletions && field.name.starts_with("messages[")) continue;
      EXPECT_TRUE(Taken(With(field.name, nullptr), dialect)) << field.name;
    }
  }
}

TEST(Fields, RefusedRowsAreRefusedByName) {
  for (const Field& field : Fields()) {
    if (field.treatment != FieldTreatment::kRefused) continue;
    for (Dialect dialect : kDialects) {
      const HttpError error = Refused(With(field.name, kEffect), dialect);
      if (dialect == Dialect::kCompletions && field.name.starts_with("messages[")) continue;
      EXPECT_EQ(error.http_status, 400);
      EXPECT_EQ(error.param, PathOf(field));
      EXPECT_EQ(error.code, "unsupported_parameter");
    }
  }
}

TEST(Fields, RefusedRowsTakeTheirNeutralValues) {
  for (const Field& field : Fields()) {
    if (field.treatment != FieldTreatment::kRefused) continue;
    const absl::StatusOr<Json> neutral = ParseJson(field.neutral);
    ASSERT_TRUE(neutral.ok() && neutral->is_array()) << field.name;
    for (const Json& value : *neutral) EXPECT_TRUE(Taken(With(field.name, value))) << field.name;
  }
}

TEST(Fields, ServedRowsAreServedWhereTheyBelong) {
  for (const Field& field : Fields()) {
    const Json body = With(field.name, kEffect);
    switch (field.treatment) {
      case FieldTreatment::kServed:
        for (Dialect dialect : kDialects) {
          EXPECT_TRUE(CheckFields(body, dialect).ok()) << field.name;  // "anything" may be ignored
        }
        break;
      case FieldTreatment::kServedByChat:
        EXPECT_TRUE(Taken(body, Dialect::kChat));
        EXPECT_EQ(Refused(body, Dialect::kCompletions).param,
                  field.name.substr(0, field.name.find('[')));
        break;
      case FieldTreatment::kServedByCompletions:
        EXPECT_TRUE(Taken(body, Dialect::kCompletions));
        EXPECT_EQ(Refused(body, Dialect::kChat).param, field.name);
        break;
      default:
        break;
    }
  }
}

TEST(Fields, P33_Labels) {
  for (const Field& field : Fields()) {
    if (field.treatment != FieldTreatment::kAcceptedLabel) continue;
    EXPECT_TRUE(Taken(With(field.name, std::string(512, 'a'))));
    for (const Json& bad : {Json(std::string(10240, 'a')), Json("a\nb"), Json(5), Json::object()}) {
      EXPECT_EQ(Refused(With(field.name, bad)).param, field.name) << bad;
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

TEST(Fields, P16_P25_P27_P29_P32_EffectsAreRefused) {
  const std::pair<const char*, const char*> effects[] = {
      {"best_of", "2"},
      {"suffix", R"("x")"},
      {"echo", "true"},
      {"logprobs", "true"},
      {"top_logprobs", "0"},
      {"tools", R"([{"type":"function"}])"},
      {"tool_choice", R"("required")"},
      {"response_format", R"({"type":"json_object"})"},
      {"response_format", R"({"type":"nonsense"})"},
      {"grammar", R"("root ::= x")"},
      {"guided_json", R"("{}")"},
      {"chat_template", R"("x")"},
      {"store", "true"},
      {"service_tier", R"("flex")"},
      {"verbosity", R"("low")"},
      {"modalities", R"(["text","audio"])"},
      {"reasoning_effort", R"("high")"},
  };
  for (const auto& [name, value] : effects) {
    EXPECT_EQ(Refused(With(name, *ParseJson(value))).param, name);
  }
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
  for (const Field& field : Fields()) {
    if (field.name.find('.') == field.name.npos) continue;
    const Json body = {{std::string(field.name), 1}};
    EXPECT_THAT(*CheckFields(body, Dialect::kChat), ElementsAre(std::string(field.name)));
  }
}

TEST(Fields, IgnoredNamesAreMadeHarmless) {
  EXPECT_EQ(IgnoredHeader({"a_b", "c\r\nX: y", "\xc3\xa4"}), "a_b, c??X??y, ??");
  EXPECT_EQ(IgnoredHeader({std::string(1000, 'x')}).size(), 64u);
  EXPECT_THAT(IgnoredHeader({}), IsEmpty());
}

}  // namespace
}  // namespace hearth::server
