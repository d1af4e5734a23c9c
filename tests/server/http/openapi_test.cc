// Holds /openapi.json to the tables it describes.
#include <algorithm>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/endpoint.h"
#include "server/http/fields.h"
#include "server/version.h"
#include "tests/server/http/http_fixture.h"

namespace hearth::server {
namespace {

using ::testing::StartsWith;

// By the path that rows of fields have ("messages[].role"): every schema the document has there.
using Properties = std::map<std::string, std::vector<Json>>;

class OpenApiTest : public HttpTest {
 protected:
  void SetUp() override {
    Start();
    const RawReply reply = Get("/openapi.json");
    ASSERT_EQ(reply.status, 200);
    document_ = Json::parse(reply.body);
  }

  const Json& Resolve(const Json& schema) const {
    if (!schema.is_object() || !schema.contains("$ref")) return schema;
    const std::string ref = schema["$ref"].get<std::string>();
    EXPECT_THAT(ref, StartsWith("#/"));
    return Resolve(document_.at(Json::json_pointer(ref.substr(1))));
  }

  void Collect(const Json& unresolved, const std::string& prefix, Properties& properties) const {
    const Json& schema = Resolve(unresolved);
    for (const char* combination : {"allOf", "anyOf", "oneOf"}) {
      if (!schema.contains(combination)) continue;
      for (const Json& one : schema[combination]) Collect(one, prefix, properties);
    }
    if (schema.contains("items") && !prefix.empty()) {
      Collect(schema["items"], prefix.substr(0, prefix.size() - 1) + "[].", properties);
    }
    if (!schema.contains("properties")) return;
    for (const auto& [name, property] : schema["properties"].items()) {
      properties[prefix + name].push_back(Resolve(property));
      Collect(property, prefix + name + ".", properties);
    }
  }

  Properties RequestProperties(std::initializer_list<const char*> paths) const {
    Properties properties;
    for (const char* path : paths) {
      const Json& body = document_["paths"][path]["post"]["requestBody"];
      Collect(body["content"]["application/json"]["schema"], "", properties);
    }
    return properties;
  }

  Json document_;
};

TEST_F(OpenApiTest, IsServedAsItStandsInTheSource) {
  std::ifstream file(absl::StrCat(HEARTH_SOURCE_DIR, "/server/http/openapi.json"));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(Get("/openapi.json").body, text);
}

TEST_F(OpenApiTest, EveryReferenceLeadsSomewhere) {
  const std::function<void(const Json&)> walk = [&](const Json& node) {
    if (node.is_object() && node.contains("$ref")) {
      const std::string ref = node["$ref"].get<std::string>();
      EXPECT_TRUE(document_.contains(Json::json_pointer(ref.substr(1)))) << ref;
    }
    if (node.is_structured()) {
      for (const auto& item : node.items()) walk(item.value());
    }
  };
  walk(document_);
  EXPECT_EQ(document_["info"]["version"], kVersion);
}

TEST_F(OpenApiTest, DescribesEveryEndpointAndNoOther) {
  std::set<std::pair<std::string, std::string>> described, served;
  for (const auto& [path, methods] : document_["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      described.insert({absl::AsciiStrToUpper(method), path});
    }
  }
  for (const EndpointRow& row : Endpoints()) {
    served.insert({std::string(row.method), std::string(row.path)});
  }
  EXPECT_EQ(described, served);
}

TEST_F(OpenApiTest, KeysAndErrorsAreAsTheRowsHaveThem) {
  for (const EndpointRow& row : Endpoints()) {
    const Json& operation =
        document_["paths"][std::string(row.path)][absl::AsciiStrToLower(std::string(row.method))];
    const Json none = Json::array();
    EXPECT_EQ(operation.value("security", document_["security"]) == none, !row.needs_key)
        << row.path;
    EXPECT_EQ(operation["responses"].contains("401"), row.needs_key) << row.path;
    const std::string form = row.errors == ErrorForm::kAnthropic ? "AnthropicError" : "Error";
    for (const auto& [status, response] : operation["responses"].items()) {
      if (status == "200") continue;
      EXPECT_EQ(Resolve(response)["content"]["application/json"]["schema"]["$ref"],
                absl::StrCat("#/components/schemas/", form))
          << row.path << status;
    }
  }
}

// Whether all that the schema takes asks for what happens anyway.
bool IsNeutral(const Json& schema, const Field& field) {
  Json neutral = *ParseJson(field.neutral);
  neutral.push_back(nullptr);
  const auto listed = [&neutral](const Json& value) {
    return std::find(neutral.begin(), neutral.end(), value) != neutral.end();
  };
  if (schema.contains("enum")) {
    return std::all_of(schema["enum"].begin(), schema["enum"].end(), listed);
  }
  return schema == Json({{"type", "null"}}) ||
         (schema.value("maxItems", 1) == 0 && listed(Json::array()));
}

TEST_F(OpenApiTest, EveryFieldThatIsTakenIsDescribed) {
  constexpr FieldTreatment kNone = FieldTreatment::kRefused;
  struct Request {
    Dialect dialect;
    std::initializer_list<const char*> paths;
    FieldTreatment served_elsewhere;
  };
  const Request requests[] = {
      {Dialect::kChat, {"/v1/chat/completions"}, FieldTreatment::kServedByCompletions},
      {Dialect::kCompletions, {"/v1/completions"}, FieldTreatment::kServedByChat},
      {Dialect::kResponses, {"/v1/responses"}, kNone},
      {Dialect::kMessages, {"/v1/messages"}, kNone},
      {Dialect::kEmbeddings, {"/v1/embeddings"}, kNone},
      {Dialect::kTokenize, {"/tokenize", "/detokenize", "/apply-template"}, kNone},
  };
  for (const auto& [dialect, paths, elsewhere] : requests) {
    const Properties properties = RequestProperties(paths);
    for (const Field& field : Fields(dialect)) {
      const Field* parent =
          FindField(field.name.substr(0, field.name.find_first_of(".[")), dialect);
      ASSERT_NE(parent, nullptr) << field.name;
      if (field.treatment == FieldTreatment::kRefused || parent->treatment == elsewhere) continue;
      EXPECT_EQ(properties.count(std::string(field.name)), 1u)
          << *paths.begin() << " " << field.name;
    }
  }
}

TEST_F(OpenApiTest, NoFieldIsDescribedThatIsNotTaken) {
  const std::pair<Dialect, const char*> requests[] = {
      {Dialect::kChat, "/v1/chat/completions"},
      {Dialect::kCompletions, "/v1/completions"},
      {Dialect::kResponses, "/v1/responses"},
      {Dialect::kMessages, "/v1/messages"},
      {Dialect::kMessages, "/v1/messages/count_tokens"},
      {Dialect::kEmbeddings, "/v1/embeddings"},
      {Dialect::kTokenize, "/tokenize"},
      {Dialect::kTokenize, "/detokenize"},
      {Dialect::kTokenize, "/apply-template"},
  };
  for (const auto& [dialect, path] : requests) {
    for (const auto& [name, schemas] : RequestProperties({path})) {
      const Field* row = FindField(name, dialect);
      ASSERT_NE(row, nullptr) << path << " " << name;
      if (row->treatment != FieldTreatment::kRefused) continue;
      for (const Json& schema : schemas) {
        EXPECT_TRUE(IsNeutral(schema, *row)) << path << " " << name << schema;
      }
    }
  }
}

}  // namespace
}  // namespace hearth::server
