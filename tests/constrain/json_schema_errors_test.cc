// What is not supported, malformed or out of bounds is refused, with the place.
#include <nlohmann/json.hpp>
#include <string>

#include "engine/constrain/constraint.h"
#include "engine/constrain/schema_error.h"
#include "engine/tokenizer/unicode.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/constrain/documents.h"

namespace hearth {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

struct Case {
  const char* schema;
  const char* pointer;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.schema; }

class RefusedTest : public ::testing::TestWithParam<Case> {};

TEST_P(RefusedTest, NamesThePlace) {
  const auto constraint = CompileSchema(Json::parse(GetParam().schema));
  ASSERT_TRUE(absl::IsInvalidArgument(constraint.status())) << constraint.status();
  const auto pointer = SchemaErrorPointer(constraint.status());
  ASSERT_TRUE(pointer.has_value()) << constraint.status();
  EXPECT_EQ(*pointer, GetParam().pointer) << constraint.status();
}

INSTANTIATE_TEST_SUITE_P(
    NotSupported, RefusedTest,
    ::testing::Values(
        Case{R"({"not":{}})", "/not"}, Case{R"({"if":{},"then":{}})", "/if"},
        Case{R"({"properties":{"x":{"uniqueItems":true}}})", "/properties/x/uniqueItems"},
        Case{R"({"items":{"contains":{}}})", "/items/contains"},
        Case{R"({"unevaluatedProperties":false})", "/unevaluatedProperties"},
        Case{R"({"dependentRequired":{}})", "/dependentRequired"},
        Case{R"({"dependentSchemas":{}})", "/dependentSchemas"},
        Case{R"({"$dynamicRef":"#x"})", "/$dynamicRef"},
        Case{R"({"contentEncoding":"base64"})", "/contentEncoding"},
        Case{R"({"maxLenght":3})", "/maxLenght"}, Case{R"({"format":"idn-email"})", "/format"},
        Case{R"({"multipleOf":0.01})", "/multipleOf"},
        Case{R"({"$ref":"http://example.com/x"})", "/$ref"},
        Case{R"({"$ref":"other.json"})", "/$ref"},
        Case{R"({"properties":{"a":{"$id":"x"}}})", "/properties/a/$id"},
        Case{R"({"minProperties":2})", "/minProperties"},
        Case{R"({"propertyNames":{"anyOf":[{"pattern":"a"},{"const":"b"}]}})", "/propertyNames"},
        Case{R"({"properties":{"a/b":{"not":{}},"m~n":{}}})", "/properties/a~1b/not"},
        Case{R"({"properties":{"m~n":{"not":{}}}})", "/properties/m~0n/not"},
        Case{R"({"anyOf":[{},{"allOf":[{},{"not":{}}]}]})", "/anyOf/1/allOf/1/not"},
        Case{R"({"$ref":"#/$defs/a","$defs":{"a":{"not":{}}}})", "/$defs/a/not"},
        Case{"{\"patternProperties\":{\"(?=a)\":{}}}", "/patternProperties/(?=a)"},
        Case{"{\"type\":\"string\",\"pattern\":\"(?<=x)\"}", "/pattern"},
        Case{R"({"pattern":"^+"})", "/pattern"}, Case{R"({"pattern":"\\bword"})", "/pattern"},
        Case{R"({"oneOf":[{"type":"integer"},{"minimum":2}]})", "/oneOf"},
        Case{R"({"oneOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]})", "/oneOf"},
        Case{R"({"properties":{"p":{"type":"string","oneOf":[{"pattern":"a"},{"pattern":"b"}]}}})",
             "/properties/p/oneOf"}));

INSTANTIATE_TEST_SUITE_P(
    Malformed, RefusedTest,
    ::testing::Values(
        Case{"1", ""}, Case{R"("x")", ""}, Case{R"([])", ""}, Case{R"({"type":"float"})", "/type"},
        Case{R"({"type":[1]})", "/type"}, Case{R"({"enum":1})", "/enum"},
        Case{R"({"properties":[]})", "/properties"},
        Case{R"({"properties":{"a":5}})", "/properties/a"}, Case{R"({"items":3})", "/items"},
        Case{R"({"required":"a"})", "/required"}, Case{R"({"required":[1]})", "/required"},
        Case{R"({"minLength":-1})", "/minLength"}, Case{R"({"minLength":1.5})", "/minLength"},
        Case{R"({"maxItems":"3"})", "/maxItems"}, Case{R"({"minimum":"1"})", "/minimum"},
        Case{R"({"exclusiveMinimum":true})", "/exclusiveMinimum"},
        Case{R"({"multipleOf":0})", "/multipleOf"}, Case{R"({"multipleOf":-2})", "/multipleOf"},
        Case{R"({"anyOf":[]})", "/anyOf"}, Case{R"({"allOf":{}})", "/allOf"},
        Case{R"({"pattern":"("})", "/pattern"}, Case{R"({"pattern":7})", "/pattern"},
        Case{R"({"$ref":7})", "/$ref"}, Case{R"({"$ref":"#/nowhere"})", "/$ref"},
        Case{R"({"$ref":"#nowhere"})", "/$ref"}, Case{R"({"$ref":"#/%zz"})", "/$ref"},
        Case{R"({"$ref":"#/~2"})", "/$ref"}, Case{R"({"uniqueItems":1})", "/uniqueItems"}));

INSTANTIATE_TEST_SUITE_P(
    P30_Circles, RefusedTest,
    ::testing::Values(Case{R"({"$ref":"#"})", ""}, Case{R"({"allOf":[{"$ref":"#"}]})", ""},
                      Case{R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"anyOf":
                          [{"type":"null"},{"$ref":"#/$defs/a"}]}}})",
                           "/$defs/a"}));

INSTANTIATE_TEST_SUITE_P(
    Empty, RefusedTest,
    ::testing::Values(
        Case{"false", ""}, Case{R"({"type":[]})", ""}, Case{R"({"enum":[]})", ""},
        Case{R"({"type":"string","minLength":3,"maxLength":2})", ""},
        Case{R"({"type":"string","pattern":"^ab$","maxLength":1})", ""},
        Case{R"({"type":"integer","minimum":3,"maximum":2})", ""},
        Case{R"({"allOf":[{"type":"string"},{"type":"integer"}]})", ""},
        Case{R"({"type":"object","properties":{"a":false},"required":["a"]})", ""},
        Case{R"({"type":"object","required":["a"],"additionalProperties":false})", ""},
        Case{R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", ""},
        Case{R"({"type":"array","minItems":1,"items":false})", ""},
        Case{R"({"const":1,"type":"string"})", ""}));

INSTANTIATE_TEST_SUITE_P(P30_TooLarge, RefusedTest,
                         ::testing::Values(Case{R"({"minLength":1000000000})", "/minLength"},
                                           Case{R"({"minItems":1000000000})", "/minItems"},
                                           Case{R"({"maxItems":1000000000})", "/maxItems"},
                                           Case{R"({"pattern":"(a{1000}){1000}"})", "/pattern"},
                                           Case{R"({"multipleOf":999999,"type":"integer"})",
                                                "/multipleOf"},
                                           Case{R"({"multipleOf":1031.0})", "/multipleOf"},
                                           Case{R"({"multipleOf":1e12})", "/multipleOf"},
                                           Case{R"({"minimum":1e300})", "/minimum"}));

TEST(BoundsTest, P30_SchemasThatMultiplyAreRefused) {
  Json any;
  for (int i = 0; i < 10; ++i) {
    any["anyOf"].push_back({{"required", {std::string(1, static_cast<char>('a' + i))}}});
  }
  Json schema;
  for (int i = 0; i < 8; ++i) schema["allOf"].push_back(any);
  EXPECT_THAT(std::string(CompileSchema(schema).status().message()), HasSubstr("too complex"));
}

TEST(BoundsTest, P30_DefinitionsThatDoubleAreRefusedOrTaken) {
  // Each is twice the one before; as rules they stay small.
  Json schema = {{"$ref", "#/$defs/d0"}};
  for (int i = 0; i < 40; ++i) {
    const Json next = {{"$ref", "#/$defs/d" + std::to_string(i + 1)}};
    schema["$defs"]["d" + std::to_string(i)] = {
        {"type", "array"}, {"prefixItems", {next, next}}, {"items", false}};
  }
  schema["$defs"]["d40"] = {{"type", "null"}};
  EXPECT_TRUE(CompileSchema(schema).ok());
  // As allOf they are merged, again and again.
  for (int i = 0; i < 40; ++i) {
    const Json next = {{"$ref", "#/$defs/d" + std::to_string(i + 1)}};
    schema["$defs"]["d" + std::to_string(i)] = {{"allOf", {next, next}}};
  }
  schema["$defs"]["d40"] = {{"minimum", 1}, {"properties", Json::object({{"a", true}})}};
  EXPECT_TRUE(absl::IsInvalidArgument(CompileSchema(schema).status()));
}

// As deep as the schema is long, were nothing counted.
TEST(BoundsTest, P30_LongChainsAreRefused) {
  for (const char* keyword : {"$ref", "propertyNames"}) {
    Json schema = {{"$ref", "#/$defs/d0"}};
    for (int i = 0; i < 9000; ++i) {
      const Json next = {{"$ref", "#/$defs/d" + std::to_string(i + 1)}};
      schema["$defs"]["d" + std::to_string(i)] =
          keyword[0] == '$' ? next : Json{{"propertyNames", next}};
    }
    schema["$defs"]["d9000"] = {{"type", "string"}};
    EXPECT_THAT(std::string(CompileSchema(schema).status().message()),
                HasSubstr("references nest too deep"))
        << keyword;
  }
}

TEST(BoundsTest, P30_AlternativesAreBounded) {
  Json schema;
  for (int i = 0; i < 600; ++i) schema["enum"].push_back(Json::array({i}));
  EXPECT_THAT(std::string(CompileSchema(schema).status().message()),
              HasSubstr("too many alternatives"));
}

TEST(BoundsTest, P30_LargeSchemasAreTakenOrRefused) {
  Json values = {{"enum", Json::array()}};
  for (int i = 0; i < 10000; ++i) values["enum"].push_back("value number " + std::to_string(i));
  EXPECT_TRUE(CompileSchema(values).ok());
  Json wide = {{"type", "object"}};
  for (int i = 0; i < 1000; ++i) {
    wide["properties"]["property" + std::to_string(i)] = {{"type", "string"}};
  }
  EXPECT_TRUE(CompileSchema(wide).ok());
  Json huge = {{"type", "object"}};
  for (int i = 0; i < 200000; ++i) huge["required"].push_back("property" + std::to_string(i));
  EXPECT_TRUE(absl::IsInvalidArgument(CompileSchema(huge).status()));
  Json chain = {{"type", "integer"}};
  for (int i = 0; i < 60; ++i) chain = {{"type", "array"}, {"items", chain}};
  EXPECT_TRUE(CompileSchema(chain).ok());
}

// Everything that is walked is counted: each of these would take seconds or more.
TEST(BoundsTest, WhatTakesLongIsRefused) {
  std::vector<Json> schemas;
  // Many texts against many patterns.
  Json texts = {{"enum", {std::string(700'000, 'a')}}};
  for (int i = 0; i < 1000; ++i) texts["allOf"].push_back({{"pattern", "a*"}});
  schemas.push_back(texts);
  // Many values against many, as objects and as names.
  Json object, names, other;
  for (int i = 0; i < 200; ++i) object["k" + std::to_string(i)] = i;
  for (int i = 0; i < 300; ++i) {
    object["k199"] = 199 + i;
    names.push_back(object);
  }
  schemas.push_back({{"allOf", {{{"enum", names}}, {{"enum", names}}}}});
  for (int i = 0; i < 20'000; ++i) other.push_back("name " + std::to_string(i));
  schemas.push_back({{"allOf", {{{"enum", other}}, {{"enum", other}}}}});
  // One schema for each item, and for each name, that many have a say in.
  Json items, properties;
  for (int i = 0; i < 1000; ++i) items["allOf"].push_back({{"prefixItems", Json::array()}});
  for (int i = 0; i < 1000; ++i) items["allOf"][0]["prefixItems"].push_back(true);
  schemas.push_back(items);
  for (int i = 0; i < 1000; ++i) {
    properties["allOf"].push_back({{"patternProperties", {{"a" + std::to_string(i % 9), true}}}});
    properties["required"].push_back(std::string(200, 'r') + std::to_string(i));
  }
  schemas.push_back(properties);
  // Many members of a oneOf, each of which nothing can meet.
  Json one = {{"$defs", {{"never", {{"allOf", {false, false}}}}}}};
  for (int i = 0; i < 2000; ++i) one["oneOf"].push_back({{"$ref", "#/$defs/never"}});
  schemas.push_back(one);
  for (const Json& schema : schemas) {
    EXPECT_THAT(std::string(CompileSchema(schema).status().message()), HasSubstr("too complex"))
        << schema.dump().substr(0, 200);
  }
}

// As many items as there may be are one conjunction of what all of them must meet.
TEST(BoundsTest, ItemsThatAreAlikeAreLookedAtOnce) {
  Json schema = {{"type", "array"}, {"maxItems", 10'000}};
  for (int i = 0; i < 100; ++i) schema["allOf"].push_back({{"items", {{"minimum", i}}}});
  EXPECT_TRUE(CompileSchema(schema).ok()) << CompileSchema(schema).status();
}

// Properties that are held to the same numbers share what tells them.
TEST(BoundsTest, MultiplesOfTwoProperties) {
  for (const int divisor : {7, 997, 1000, 1024, 3600, 5000, 86400}) {
    const Json number = {{"type", "integer"}, {"multipleOf", divisor}};
    Json schema = {{"type", "object"}, {"additionalProperties", false}};
    for (const char* name : {"a", "b", "c", "d"}) schema["properties"][name] = number;
    schema["properties"]["e"] = {
        {"type", "number"}, {"multipleOf", divisor}, {"minimum", 0}, {"maximum", 99'999}};
    const auto constraint = CompileSchema(schema);
    ASSERT_TRUE(constraint.ok()) << divisor << constraint.status();
    EXPECT_TRUE(Accepts(**constraint, Json{{"a", divisor}, {"b", 7 * divisor}}.dump()));
    EXPECT_FALSE(Accepts(**constraint, Json{{"a", divisor}, {"b", 7 * divisor + 1}}.dump()));
  }
}

TEST(BoundsTest, P30_MessagesAreShortAndShowNoMoreThanThePlace) {
  const std::string name(100000, 'n');
  Json schema;
  schema["properties"][name] = {{"not", true}};
  const absl::Status status = CompileSchema(schema).status();
  EXPECT_LT(status.message().size(), 400u);
  EXPECT_EQ(*SchemaErrorPointer(status), "/properties/" + name + "/not");
  for (const char* start : {"", "a"}) {  // whole characters only
    std::string letters = start;
    while (letters.size() < 300) letters += "\u00e9";
    const Json named = {{"properties", {{letters, {{"not", true}}}}}};
    const absl::Status refused = CompileSchema(named).status();
    EXPECT_TRUE(IsWholeUtf8(std::string(refused.message())));
  }
}

TEST(BoundsTest, ManyConstantsExcludeEachOther) {
  Json schema;
  for (int i = 0; i < 400; ++i) {
    schema["oneOf"].push_back({{"const", "v" + std::to_string(i)}, {"title", "One"}});
  }
  const auto constraint = CompileSchema(schema);
  ASSERT_TRUE(constraint.ok()) << constraint.status();
  EXPECT_TRUE(Accepts(**constraint, R"("v399")"));
  EXPECT_FALSE(Accepts(**constraint, R"("v400")"));
}

TEST(ChoiceTest, RefusesNothingAndBytes) {
  EXPECT_TRUE(absl::IsInvalidArgument(Constraint::Compile(ChoiceSource{}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Constraint::Compile(ChoiceSource{{"\xff"}}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      Constraint::Compile(ChoiceSource{{std::string(1 << 20, 'x')}}).status()));
}

}  // namespace
}  // namespace hearth
