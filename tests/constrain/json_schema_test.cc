// Schemas, keyword by keyword: documents that meet them can be written in every layout, others
// cannot. The cases follow the specification's sections; documents are in the schema's order.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/constrain/constraint.h"
#include "gtest/gtest.h"
#include "tests/constrain/documents.h"
#include "tests/constrain/validator.h"

namespace hearth {
namespace {

using Json = nlohmann::ordered_json;

struct Case {
  const char* schema;
  std::vector<const char*> valid;
  std::vector<const char*> invalid;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.schema; }

class JsonSchemaTest : public ::testing::TestWithParam<Case> {};

TEST_P(JsonSchemaTest, ValidAreReachableAndInvalidNever) {
  const Json schema = Json::parse(GetParam().schema);
  const auto constraint = CompileSchema(schema);
  ASSERT_TRUE(constraint.ok()) << constraint.status();
  const bool formats = std::string(GetParam().schema).find("format") != std::string::npos ||
                       std::string(GetParam().schema).find("$anchor") != std::string::npos;
  for (const char* text : GetParam().valid) {
    const Json document = Json::parse(text);
    if (!formats) {
      EXPECT_TRUE(IsValid(schema, document)) << text;
    }
    for (const std::string& layout : Layouts(document)) {
      const Reading reading = Read(**constraint, layout);
      EXPECT_TRUE(reading.complete) << layout << " up to byte " << reading.bytes;
    }
  }
  for (const char* text : GetParam().invalid) {
    const Json document = Json::parse(text);
    if (!formats) {
      EXPECT_FALSE(IsValid(schema, document)) << text;
    }
    for (const std::string& layout : Layouts(document)) {
      EXPECT_FALSE(Accepts(**constraint, layout)) << layout;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Types, JsonSchemaTest,
    ::testing::Values(
        Case{"true", {"1", "\"a\"", "[]", "{}", "null", "true", "{\"a\":[1,{\"b\":null}]}"}, {}},
        Case{"{}", {"1", "\"a\"", "[[[]]]", "{\"a\":{}}", "-1.5e3", "false"}, {}},
        Case{"{\"type\":\"integer\"}",
             {"1", "0", "-17", "123456789012345678"},
             {"1.1", "\"1\"", "{}", "[]", "true", "null"}},
        Case{"{\"type\":\"number\"}", {"1", "1.0", "-1.1", "1e10"}, {"\"1\"", "{}", "null"}},
        Case{"{\"type\":\"string\"}",
             {"\"\"", "\"foo\"", "\"\u00e9\\n\\\"\"", "\"\U0001F600\""},
             {"1", "{}", "null"}},
        Case{"{\"type\":\"boolean\"}", {"true", "false"}, {"0", "\"\"", "null", "1"}},
        Case{"{\"type\":\"null\"}", {"null"}, {"0", "false", "\"\"", "{}"}},
        Case{"{\"type\":\"array\"}", {"[]", "[1,\"a\",[null]]"}, {"{}", "1"}},
        Case{"{\"type\":\"object\"}", {"{}", "{\"a\":1,\"b\":[]}"}, {"[]", "1", "null"}},
        Case{"{\"type\":[\"integer\",\"string\"]}", {"1", "\"a\""}, {"1.1", "{}", "null"}},
        Case{"{\"type\":[\"array\",\"null\",\"object\"]}", {"[]", "null", "{}"}, {"1", "\"\""}}));

INSTANTIATE_TEST_SUITE_P(
    Values, JsonSchemaTest,
    ::testing::Values(
        Case{"{\"const\":2}", {"2"}, {"5", "\"2\"", "22"}},
        Case{"{\"const\":{\"foo\":\"bar\",\"baz\":[1,{}]}}",
             {"{\"foo\":\"bar\",\"baz\":[1,{}]}"},
             {"{\"foo\":\"bar\"}", "[]", "{\"foo\":\"bar\",\"baz\":[1]}"}},
        Case{"{\"const\":null}", {"null"}, {"0"}},
        Case{"{\"const\":false}", {"false"}, {"0", "[]"}},
        Case{"{\"const\":[]}", {"[]"}, {"[[]]", "{}"}},
        Case{"{\"const\":\"a\\u0000\\n\\\"\u00e9\"}", {"\"a\\u0000\\n\\\"\u00e9\""}, {"\"a\""}},
        Case{"{\"enum\":[1,12,123]}", {"1", "12", "123"}, {"2", "1234", "13"}},
        Case{"{\"enum\":[6,\"foo\",[],true,{\"foo\":12}]}",
             {"6", "\"foo\"", "[]", "true", "{\"foo\":12}"},
             {"null", "{\"foo\":false}", "{\"foo\":12,\"boo\":42}", "false"}},
        Case{"{\"enum\":[\"foo\\nbar\",\"foo\\rbar\"]}",
             {"\"foo\\nbar\"", "\"foo\\rbar\""},
             {"\"abc\"", "\"foobar\""}},
        Case{"{\"type\":\"string\",\"enum\":[\"a\",1,null]}", {"\"a\""}, {"1", "null"}},
        Case{"{\"enum\":[1,2,3],\"const\":2}", {"2"}, {"1", "3"}},
        Case{"{\"enum\":[1,5,10],\"minimum\":4}", {"5", "10"}, {"1"}},
        Case{"{\"enum\":[[1],[1,2],[\"x\"]],\"items\":{\"type\":\"integer\"},\"minItems\":2}",
             {"[1,2]"},
             {"[1]", "[\"x\"]"}},
        Case{"{\"enum\":[{\"a\":1},{\"a\":\"x\",\"b\":2},{}],\"required\":[\"a\"],"
             "\"properties\":{\"a\":{\"type\":\"string\"}}}",
             {"{\"a\":\"x\",\"b\":2}"},
             {"{\"a\":1}", "{}"}}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, JsonSchemaTest,
    ::testing::Values(Case{"{\"type\":\"integer\",\"minimum\":1,\"maximum\":31}",
                           {"1", "9", "10", "31"},
                           {"0", "32", "100", "-1"}},
                      Case{"{\"minimum\":1.1}", {"2.6", "1.1", "\"x\"", "2"}, {"0.6", "1", "-5"}},
                      Case{
                          "{\"minimum\":-2}", {"-1", "0", "-2", "-2.0", "-1.5"}, {"-2.0001", "-3"}},
                      Case{"{\"maximum\":3.0}", {"2.6", "3.0", "3", "-100"}, {"3.5", "30"}},
                      Case{"{\"maximum\":300}", {"299.97", "300", "300.00"}, {"300.5"}},
                      Case{"{\"exclusiveMaximum\":3.0}", {"2.2", "2.999"}, {"3.0", "3.5", "3"}},
                      Case{"{\"exclusiveMinimum\":1.1}", {"1.2", "1.11"}, {"1.1", "0.6", "1"}},
                      Case{"{\"type\":\"integer\",\"exclusiveMinimum\":-1,\"exclusiveMaximum\":1}",
                           {"0"},
                           {"-1", "1"}},
                      Case{"{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
                           {"0", "1", "0.5", "1.0", "0.0"},
                           {"1.01", "-0.5", "2"}},
                      Case{"{\"multipleOf\":2}", {"10", "0", "-4", "\"foo\""}, {"7", "1.5"}},
                      Case{"{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":10,\"maximum\":30}",
                           {"14", "21", "28"},
                           {"7", "35", "15"}},
                      Case{"{\"allOf\":[{\"multipleOf\":2},{\"multipleOf\":3}]}",
                           {"6", "0", "-12"},
                           {"2", "3", "4"}},
                      Case{"{\"type\":\"integer\",\"maximum\":-1}", {"-1", "-20"}, {"0", "1"}}));

INSTANTIATE_TEST_SUITE_P(
    Strings, JsonSchemaTest,
    ::testing::Values(
        Case{"{\"minLength\":2}",
             {"\"fo\"", "\"foo\"", "1", "\"\U0001F600\U0001F600\""},
             {"\"f\"", "\"\U0001F600\"", "\"\""}},
        Case{"{\"maxLength\":2}",
             {"\"f\"", "\"fo\"", "100", "\"\U0001F600\U0001F600\"", "\"\\n\\n\""},
             {"\"foo\"", "\"\\n\\n\\n\""}},
        Case{"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
             {"\"ab\"", "\"abc\""},
             {"\"a\"", "\"abcd\"", "1"}},
        Case{"{\"maxLength\":0,\"type\":\"string\"}", {"\"\""}, {"\"a\""}},
        Case{"{\"pattern\":\"^a*$\"}", {"\"\"", "\"aaa\"", "123", "null"}, {"\"abc\""}},
        Case{"{\"pattern\":\"a+\"}", {"\"xxaayy\"", "\"a\""}, {"\"b\"", "\"\""}},
        Case{"{\"type\":\"string\",\"pattern\":\"^\\\\d{3}-[A-Z]$\",\"maxLength\":5}",
             {"\"123-A\""},
             {"\"12-A\"", "\"123-AB\""}},
        Case{"{\"type\":\"string\",\"pattern\":\"b\",\"minLength\":2,\"maxLength\":3}",
             {"\"ab\"", "\"abc\"", "\"bbb\""},
             {"\"b\"", "\"abcb\"", "\"aa\""}},
        Case{"{\"allOf\":[{\"pattern\":\"^a\"},{\"pattern\":\"b$\"}],\"type\":\"string\"}",
             {"\"ab\"", "\"axxb\""},
             {"\"a\"", "\"b\"", "\"ba\""}},
        Case{"{\"type\":\"string\",\"format\":\"ipv4\"}",
             {"\"127.0.0.1\""},
             {"\"127.0.0.256\"", "\"x\""}},
        Case{"{\"format\":\"date\"}", {"\"2024-02-29\"", "12"}, {"\"2023-02-29\""}},
        Case{"{\"format\":\"uuid\",\"maxLength\":36,\"type\":\"string\"}",
             {"\"2eb8aa08-aa98-11ea-b4aa-73b441d16380\""},
             {"\"2eb8aa08\""}}));

INSTANTIATE_TEST_SUITE_P(
    Arrays, JsonSchemaTest,
    ::testing::Values(
        Case{"{\"items\":{\"type\":\"integer\"}}",
             {"[1,2,3]", "[]", "{\"foo\":\"bar\"}"},
             {"[1,\"x\"]", "[null]"}},
        Case{"{\"items\":true}", {"[1,\"foo\",true]", "[]"}, {}},
        Case{"{\"items\":false}", {"[]", "1"}, {"[1]", "[[]]"}},
        Case{"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}",
             {"[1,\"foo\"]", "[1]", "[1,\"foo\",true]", "[]"},
             {"[\"foo\",1]", "[1,2]"}},
        Case{"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":false}",
             {"[1,\"foo\"]", "[1]", "[]"},
             {"[1,\"foo\",true]"}},
        Case{"{\"prefixItems\":[{}],\"items\":{\"type\":\"integer\"}}",
             {"[\"x\",2,3]", "[null]"},
             {"[\"x\",\"y\"]"}},
        Case{"{\"minItems\":1}", {"[1,2]", "[1]", "\"\""}, {"[]"}},
        Case{"{\"maxItems\":2}", {"[1]", "[1,2]", "[]", "\"foobar\""}, {"[1,2,3]"}},
        Case{"{\"type\":\"array\",\"minItems\":2,\"maxItems\":3,\"items\":{\"type\":\"null\"}}",
             {"[null,null]", "[null,null,null]"},
             {"[null]", "[null,null,null,null]", "[]"}},
        Case{"{\"type\":\"array\",\"maxItems\":0}", {"[]"}, {"[1]"}},
        Case{"{\"prefixItems\":[{\"const\":1}],\"minItems\":3}",
             {"[1,2,3]", "[1,2,3,4]"},
             {"[1]", "[1,2]", "[2,2,2]"}},
        Case{"{\"allOf\":[{\"prefixItems\":[{\"minimum\":3}]},{\"prefixItems\":[{\"minimum\":5},"
             "{\"type\":\"string\"}]}],\"type\":\"array\"}",
             {"[5]", "[5,\"x\"]"},
             {"[3]", "[5,5]"}},
        Case{"{\"items\":{\"items\":{\"items\":{\"type\":\"number\"}}}}",
             {"[[[1]],[[2],[3]]]"},
             {"[[[\"1\"]]]"}}));

INSTANTIATE_TEST_SUITE_P(
    Objects, JsonSchemaTest,
    ::testing::Values(
        Case{"{\"properties\":{\"foo\":{\"type\":\"integer\"},\"bar\":{\"type\":\"string\"}}}",
             {"{\"foo\":1,\"bar\":\"baz\"}", "{\"bar\":\"x\"}", "{}", "[]", "{\"quux\":[]}",
              "{\"foo\":1,\"quux\":[],\"zip\":null}"},
             {"{\"foo\":1,\"bar\":{}}", "{\"foo\":[],\"bar\":{}}", "{\"foo\":\"x\"}"}},
        Case{"{\"properties\":{\"foo\":{},\"bar\":{}},\"required\":[\"foo\"]}",
             {"{\"foo\":1}", "{\"foo\":1,\"bar\":2}", "[]", "\"\""},
             {"{\"bar\":1}", "{}"}},
        Case{"{\"required\":[\"foo\\nbar\",\"foo\\\"bar\"]}",
             {"{\"foo\\nbar\":1,\"foo\\\"bar\":1}", "{\"foo\\nbar\":1,\"foo\\\"bar\":1,\"c\":2}"},
             {"{\"foo\\nbar\":\"1\"}"}},
        Case{"{\"properties\":{\"foo\":{},\"bar\":{}},\"additionalProperties\":false}",
             {"{\"foo\":1}", "{\"foo\":1,\"bar\":2}", "{}"},
             {"{\"foo\":1,\"quux\":\"boom\"}", "{\"fo\":1}", "{\"fooo\":1}"}},
        Case{"{\"additionalProperties\":{\"type\":\"boolean\"}}",
             {"{\"a\":true}", "{\"a\":true,\"b\":false}", "{}"},
             {"{\"a\":1}"}},
        Case{"{\"properties\":{\"name\":{\"type\":\"string\"},\"names\":{\"type\":\"integer\"}},"
             "\"additionalProperties\":{\"type\":\"boolean\"}}",
             {"{\"name\":\"x\",\"names\":1,\"nam\":true}", "{\"names\":1,\"namess\":true}"},
             {"{\"name\":1}", "{\"names\":\"x\"}", "{\"nam\":\"x\"}"}},
        Case{"{\"patternProperties\":{\"f.*o\":{\"type\":\"integer\"}}}",
             {"{\"foo\":1}", "{\"foo\":1,\"foooooo\":2}", "{\"bar\":\"x\"}"},
             {"{\"foo\":\"bar\"}", "{\"foo\":\"bar\",\"foooooo\":\"baz\"}"}},
        Case{"{\"patternProperties\":{\"a*\":{\"type\":\"integer\"},\"aaa*\":{\"maximum\":20}}}",
             {"{\"a\":21}", "{\"aaaa\":18}", "{\"a\":21,\"aaaa\":18}"},
             {"{\"a\":\"bar\"}", "{\"aaaa\":31}", "{\"aaa\":\"foo\"}"}},
        Case{
            "{\"patternProperties\":{\"^x\":{\"type\":\"integer\"}},\"additionalProperties\":false,"
            "\"properties\":{\"a\":{\"type\":\"null\"},\"xa\":{\"minimum\":5}}}",
            {"{\"a\":null,\"xa\":5,\"xb\":1}", "{\"x\":0}"},
            {"{\"xa\":4}", "{\"xa\":5.5}", "{\"b\":1}", "{\"xb\":\"s\"}"}},
        Case{"{\"propertyNames\":{\"maxLength\":3}}",
             {"{\"f\":{},\"foo\":{}}", "{}", "[1]"},
             {"{\"foo\":{},\"foobar\":{}}"}},
        Case{"{\"propertyNames\":{\"pattern\":\"^a+$\"},\"properties\":{\"b\":{},\"aa\":"
             "{\"type\":\"null\"}}}",
             {"{\"a\":{},\"aaa\":{}}", "{\"aa\":null}"},
             {"{\"b\":1}", "{\"aa\":1}", "{\"ab\":1}"}},
        Case{"{\"propertyNames\":{\"enum\":[\"a\",\"bc\",1]},\"additionalProperties\":{\"type\":"
             "\"integer\"}}",
             {"{}", "{\"a\":1}", "{\"bc\":1,\"a\":2}"},
             {"{\"b\":1}", "{\"1\":1}", "{\"a\":\"x\"}"}},
        Case{"{\"propertyNames\":false,\"type\":\"object\"}", {"{}"}, {"{\"foo\":1}"}},
        Case{"{\"minProperties\":1}", {"{\"foo\":1,\"bar\":2}", "{\"foo\":1}", "[]"}, {"{}"}},
        Case{"{\"maxProperties\":2}",
             {"{\"foo\":1}", "{\"foo\":1,\"bar\":2}", "{}", "[1,2,3]"},
             {"{\"foo\":1,\"bar\":2,\"baz\":3}"}},
        Case{"{\"maxProperties\":0,\"type\":\"object\"}", {"{}"}, {"{\"foo\":1}"}},
        Case{"{\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"additionalProperties\":false,"
             "\"minProperties\":2}",
             {"{\"a\":1,\"b\":2}", "{\"b\":1,\"c\":2}", "{\"a\":1,\"c\":1}",
              "{\"a\":1,\"b\":1,\"c\":1}"},
             {"{}", "{\"a\":1}", "{\"c\":1}"}},
        Case{"{\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"required\":[\"b\"],\"maxProperties\":"
             "2}",
             {"{\"b\":1}", "{\"a\":1,\"b\":2}", "{\"b\":1,\"c\":2}", "{\"b\":1,\"z\":2}"},
             {"{}", "{\"a\":1}", "{\"a\":1,\"b\":1,\"c\":1}", "{\"a\":1,\"b\":1,\"z\":1}"}},
        Case{"{\"properties\":{\"a\":{\"const\":1},\"b\":false},\"type\":\"object\"}",
             {"{\"a\":1}", "{}", "{\"c\":1}"},
             {"{\"b\":1}", "{\"a\":1,\"b\":1}"}},
        Case{"{\"properties\":{\"__proto__\":{\"type\":\"number\"},\"\":{\"type\":\"null\"},"
             "\"\u00e9\\\\\":{}}}",
             {"{\"__proto__\":1,\"\":null,\"\u00e9\\\\\":\"x\"}"},
             {"{\"__proto__\":\"foo\"}", "{\"\":1}"}}));

INSTANTIATE_TEST_SUITE_P(
    Combinations, JsonSchemaTest,
    ::testing::Values(
        Case{"{\"anyOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}",
             {"1", "2.5", "3", "\"x\""},
             {"1.5"}},
        Case{"{\"type\":\"string\",\"anyOf\":[{\"maxLength\":2},{\"minLength\":4}]}",
             {"\"fo\"", "\"foobar\""},
             {"\"foo\"", "3"}},
        Case{"{\"anyOf\":[true,false]}", {"1"}, {}},
        Case{"{\"anyOf\":[{\"properties\":{\"bar\":{\"type\":\"integer\"}},\"required\":[\"bar\"]},"
             "{\"properties\":{\"foo\":{\"type\":\"string\"}},\"required\":[\"foo\"]}]}",
             {"{\"bar\":2}", "{\"foo\":\"baz\"}", "{\"foo\":\"baz\",\"bar\":2}"},
             {"{\"foo\":2,\"bar\":\"quux\"}", "{}"}},
        Case{"{\"allOf\":[{\"properties\":{\"bar\":{\"type\":\"integer\"}},\"required\":[\"bar\"]},"
             "{\"properties\":{\"foo\":{\"type\":\"string\"}},\"required\":[\"foo\"]}]}",
             {"{\"bar\":2,\"foo\":\"baz\"}"},
             {"{\"foo\":\"baz\"}", "{\"bar\":2}", "{}"}},
        Case{"{\"properties\":{\"bar\":{\"type\":\"integer\"}},\"required\":[\"bar\"],\"allOf\":["
             "{\"properties\":{\"foo\":{\"type\":\"string\"}},\"required\":[\"foo\"]},"
             "{\"properties\":{\"baz\":{\"type\":\"null\"}},\"required\":[\"baz\"]}]}",
             {"{\"bar\":2,\"foo\":\"quux\",\"baz\":null}"},
             {"{\"foo\":\"quux\",\"baz\":null}", "{\"bar\":2}"}},
        Case{"{\"allOf\":[{\"maximum\":30},{\"minimum\":20}]}",
             {"25", "20", "30", "\"x\""},
             {"35", "19"}},
        Case{"{\"allOf\":[{\"properties\":{\"a\":{\"minimum\":3}},\"additionalProperties\":false},"
             "{\"properties\":{\"a\":{\"maximum\":5},\"b\":{}}}],\"type\":\"object\"}",
             {"{\"a\":4}", "{}"},
             {"{\"a\":2}", "{\"a\":6}", "{\"b\":1}", "{\"a\":4,\"b\":1}"}},
        Case{"{\"allOf\":[{\"anyOf\":[{\"const\":1},{\"const\":2}]},{\"anyOf\":[{\"const\":2},"
             "{\"const\":3}]}]}",
             {"2"},
             {"1", "3"}},
        Case{"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}",
             {"1", "\"x\""},
             {"1.5", "null"}},
        Case{"{\"oneOf\":[{\"properties\":{\"k\":{\"const\":\"a\"},\"x\":{}},\"required\":[\"k\"]},"
             "{\"properties\":{\"k\":{\"const\":\"b\"},\"y\":{\"type\":\"null\"}},\"required\":["
             "\"k\"]}],"
             "\"type\":\"object\"}",
             {"{\"k\":\"a\",\"x\":1}", "{\"k\":\"b\",\"y\":null}"},
             {"{\"k\":\"c\"}", "{\"k\":\"b\",\"y\":1}", "{}"}},
        Case{"{\"type\":\"integer\",\"oneOf\":[{\"maximum\":3},{\"minimum\":5}]}",
             {"3", "5", "-1"},
             {"4"}},
        Case{"{\"type\":\"string\",\"oneOf\":[{\"pattern\":\"^a\"},{\"pattern\":\"^b\"}]}",
             {"\"ax\"", "\"b\""},
             {"\"c\"", "\"\""}}));

INSTANTIATE_TEST_SUITE_P(
    References, JsonSchemaTest,
    ::testing::Values(
        Case{"{\"properties\":{\"foo\":{\"$ref\":\"#\"}},\"additionalProperties\":false}",
             {"{\"foo\":false}", "{\"foo\":{\"foo\":false}}", "{}"},
             {"{\"bar\":false}", "{\"foo\":{\"bar\":false}}"}},
        Case{"{\"properties\":{\"foo\":{\"type\":\"integer\"},\"bar\":{\"$ref\":"
             "\"#/properties/foo\"}}}",
             {"{\"bar\":3}"},
             {"{\"bar\":true}"}},
        Case{"{\"prefixItems\":[{\"type\":\"integer\"},{\"$ref\":\"#/prefixItems/0\"}]}",
             {"[1,2]"},
             {"[1,\"foo\"]"}},
        Case{"{\"$defs\":{\"tilde~field\":{\"type\":\"integer\"},\"slash/"
             "field\":{\"type\":\"integer\"},"
             "\"percent%field\":{\"type\":\"integer\"}},\"properties\":{\"tilde\":{\"$ref\":"
             "\"#/$defs/tilde~0field\"},\"slash\":{\"$ref\":\"#/$defs/slash~1field\"}}}",
             {"{\"tilde\":123,\"slash\":1}"},
             {"{\"slash\":\"aoeu\"}", "{\"tilde\":\"aoeu\"}"}},
        Case{"{\"$ref\":\"#/$defs/c\",\"$defs\":{\"a\":{\"type\":\"integer\"},\"b\":{\"$ref\":"
             "\"#/$defs/a\"},\"c\":{\"$ref\":\"#/$defs/b\"}}}",
             {"5"},
             {"\"a\""}},
        Case{"{\"properties\":{\"foo\":{\"$ref\":\"#/$defs/r\",\"maxItems\":2}},\"$defs\":{\"r\":"
             "{\"type\":\"array\"}}}",
             {"{\"foo\":[]}", "{\"foo\":[1,2]}"},
             {"{\"foo\":[1,2,3]}", "{\"foo\":\"string\"}"}},
        Case{
            "{\"$ref\":\"#/definitions/node\",\"definitions\":{\"node\":{\"type\":\"object\","
            "\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"anyOf\":[{\"type\":\"null\"},"
            "{\"$ref\":\"#/definitions/node\"}]}},\"required\":[\"v\",\"next\"],"
            "\"additionalProperties\":false}}}",
            {"{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"},
            {"{\"v\":1}", "{\"v\":1,\"next\":{\"v\":2}}", "{\"v\":1,\"next\":1}"}},
        Case{"{\"$defs\":{\"A\":{\"$anchor\":\"foo\",\"type\":\"integer\"}},\"$ref\":\"#foo\"}",
             {"1"},
             {"\"a\""}},
        Case{"{\"properties\":{\"$ref\":{\"type\":\"string\"}}}",
             {"{\"$ref\":\"a\"}"},
             {"{\"$ref\":2}"}},
        Case{"{\"$defs\":{\"bool\":false},\"properties\":{\"a\":{\"$ref\":\"#/$defs/bool\"}},"
             "\"type\":\"object\"}",
             {"{}", "{\"b\":1}"},
             {"{\"a\":1}"}},
        // A tree whose nodes are one of two, told apart by what is required.
        Case{"{\"$ref\":\"#/$defs/"
             "t\",\"$defs\":{\"t\":{\"type\":\"object\",\"oneOf\":[{\"properties\":"
             "{\"op\":{\"const\":\"leaf\"},\"v\":{\"type\":\"integer\"}},\"required\":[\"op\","
             "\"v\"],"
             "\"additionalProperties\":false},{\"properties\":{\"op\":{\"const\":\"add\"},\"l\":"
             "{\"$ref\":\"#/$defs/t\"},\"r\":{\"$ref\":\"#/$defs/"
             "t\"}},\"required\":[\"op\",\"l\",\"r\"],"
             "\"additionalProperties\":false}]}}}",
             {"{\"op\":\"leaf\",\"v\":1}",
              "{\"op\":\"add\",\"l\":{\"op\":\"leaf\",\"v\":1},\"r\":{\"op\":\"leaf\",\"v\":2}}"},
             {"{\"op\":\"add\",\"l\":{\"op\":\"leaf\",\"v\":1}}", "{\"op\":\"leaf\"}"}}));

INSTANTIATE_TEST_SUITE_P(
    Annotations, JsonSchemaTest,
    ::testing::Values(Case{
        "{\"title\":\"t\",\"description\":\"d\",\"default\":5,\"examples\":[1],\"$schema\":"
        "\"https://json-schema.org/draft/2020-12/schema\",\"$id\":\"x\",\"$comment\":\"c\","
        "\"deprecated\":true,\"readOnly\":true,\"writeOnly\":false,\"x-order\":3,"
        "\"type\":\"integer\",\"uniqueItems\":false}",
        {"7"},
        {"\"x\""}}));

bool Takes(const char* schema, const std::string& text) {
  const auto constraint = CompileSchema(Json::parse(schema));
  EXPECT_TRUE(constraint.ok()) << constraint.status();
  return Accepts(**constraint, text);
}

// The conventions that constraint.h lists.
TEST(JsonSchemaLanguageTest, WhiteSpaceIsBounded) {
  const char* schema = R"({"type":"object","properties":{"a":{"type":"array"}}})";
  EXPECT_TRUE(Takes(schema, "{ \"a\": [ 1 , 2 ] }"));
  EXPECT_TRUE(Takes(schema, "{\n\t\t\"a\": [\n]\n}"));
  EXPECT_TRUE(Takes(schema, "{\n" + std::string(20, ' ') + "\"a\":[]}"));
  EXPECT_FALSE(Takes(schema, "{\n" + std::string(21, ' ') + "\"a\":[]}"));
  EXPECT_FALSE(Takes(schema, "{  \"a\":[]}"));
  EXPECT_FALSE(Takes(schema, "{\n\n\"a\":[]}"));
  EXPECT_FALSE(Takes(schema, "{\"a\" :[]}"));
  EXPECT_FALSE(Takes(schema, " {}"));
  EXPECT_FALSE(Takes(schema, "{} "));
}

TEST(JsonSchemaLanguageTest, PropertiesComeInOrder) {
  const char* schema = R"({"properties":{"b":{},"a":{}},"required":["z"],"type":"object"})";
  EXPECT_TRUE(Takes(schema, R"({"b":1,"a":2,"z":3,"c":4,"d":5})"));
  EXPECT_TRUE(Takes(schema, R"({"z":3,"d":4,"c":5})"));
  EXPECT_FALSE(Takes(schema, R"({"a":2,"b":1,"z":3})"));
  EXPECT_FALSE(Takes(schema, R"({"c":1,"z":3})"));
  EXPECT_FALSE(Takes(schema, R"({"z":3,"z":3})"));
  EXPECT_FALSE(Takes(schema, R"({"z":3,"a":3})"));
  EXPECT_TRUE(Takes(schema, R"({"z":3,"c":3,"c":3})"));
}

TEST(JsonSchemaLanguageTest, KnownNamesAndValuesHaveOneSpelling) {
  const char* schema = R"({"properties":{"a":{"const":"x"}},"type":"object"})";
  EXPECT_TRUE(Takes(schema, R"({"a":"x"})"));
  EXPECT_FALSE(Takes(schema, R"({"\u0061":"x"})"));
  EXPECT_FALSE(Takes(schema, R"({"\u0061":1})"));
  EXPECT_FALSE(Takes(schema, R"({"a":"\u0078"})"));
  EXPECT_TRUE(Takes(schema, R"({"\u0062":"\ud83d\ude00\/"})"));
}

TEST(JsonSchemaLanguageTest, IntegersAreWrittenAsSuch) {
  const auto constraint = CompileSchema(Json::parse(R"({"enum":[1.0,-2e2,{"a":3.0},0.5]})"));
  ASSERT_TRUE(constraint.ok()) << constraint.status();
  for (const char* text : {"1", "-200", R"({"a":3})", "0.5"}) {
    EXPECT_TRUE(Accepts(**constraint, text)) << text;
  }
  for (const char* text : {"1.0", "-2e2", "-200.0", R"({"a":3.0})"}) {
    EXPECT_FALSE(Accepts(**constraint, text)) << text;
  }
}

TEST(JsonSchemaLanguageTest, ValuesNestSoDeep) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(Takes("{}", nested(64)));
  EXPECT_FALSE(Takes("{}", nested(65)));
  // Where the limit would leave no way to end, the last level is not begun.
  const char* list = R"({"type":"array","items":{"$ref":"#"},"minItems":1,"maxItems":1})";
  EXPECT_FALSE(CompileSchema(Json::parse(list)).ok());
  const char* optional = R"({"properties":{"a":{"$ref":"#"}},"additionalProperties":false,
      "type":"object"})";
  std::string deep;
  for (int i = 0; i < 62; ++i) deep += "{\"a\":";
  EXPECT_EQ(Read(**CompileSchema(Json::parse(optional)), deep).bytes, deep.size());
}

}  // namespace
}  // namespace hearth
