// Runs the official JSON-Schema-Test-Suite: json_schema_suite FILE.json ...
// What a schema allows must be reachable, in some order of members and some spelling of numbers,
// and what it forbids in none. Schemas with keywords that are not supported must be refused; they
// are counted. Exit status 1 when a case fails.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/constrain/automaton.h"
#include "engine/constrain/constraint.h"
#include "engine/constrain/schema_error.h"
#include "tests/constrain/documents.h"

namespace hearth {
namespace {

using Json = nlohmann::ordered_json;

// Follows every spelling of a document that is worth a try.
class Writer {
 public:
  explicit Writer(const Constraint& constraint) : automaton_(constraint.grammar()) {}

  bool CanWrite(const Json& document) {
    Configuration start;
    automaton_.Start(start);
    for (const Configuration& end : Write(document, start)) {
      if (end.complete) return true;
    }
    return false;
  }

 private:
  using Places = std::vector<Configuration>;

  Places Read(const std::string& text, const Configuration& from) {
    Configuration now = from, next;
    for (const char byte : text) {
      automaton_.Step(now, static_cast<uint8_t>(byte), next);
      std::swap(now, next);
      if (now.dead()) return {};
    }
    return {now};
  }
  Places Read(const std::string& text, const Places& from) {
    Places places;
    for (const Configuration& place : from) {
      for (Configuration& next : Read(text, place)) places.push_back(std::move(next));
    }
    return places;
  }
  Places Write(const Json& value, const Places& from) {
    Places places;
    for (const Configuration& place : from) {
      for (Configuration& next : Write(value, place)) places.push_back(std::move(next));
    }
    return places;
  }

  Places Write(const Json& value, const Configuration& from) {
    if (value.is_array()) {
      Places places = Read("[", from);
      for (size_t i = 0; i < value.size(); ++i) {
        if (i > 0) places = Read(",", places);
        places = Write(value[i], places);
      }
      return Read("]", places);
    }
    if (value.is_object()) {
      std::vector<bool> written(value.size());
      return WriteMembers(value, written, 0, Read("{", from));
    }
    Places places = Read(value.dump(), from);
    // 1.0 is an integer; the convention is to write 1.
    if (value.is_number_float() && std::abs(value.get<double>()) < 1e15 &&
        value.get<double>() == static_cast<double>(static_cast<int64_t>(value.get<double>()))) {
      for (Configuration& place : Read(std::to_string(static_cast<int64_t>(value)), from)) {
        places.push_back(std::move(place));
      }
    }
    return places;
  }

  Places WriteMembers(const Json& object, std::vector<bool>& written, size_t count,
                      const Places& from) {
    if (count == object.size()) return Read("}", from);
    Places ends;
    size_t i = 0;
    for (auto member = object.begin(); member != object.end(); ++member, ++i) {
      if (written[i]) continue;
      const Places key = Read((count > 0 ? "," : "") + Json(member.key()).dump() + ":", from);
      const Places value = Write(*member, key);
      if (value.empty()) continue;
      written[i] = true;
      for (Configuration& end : WriteMembers(object, written, count + 1, value)) {
        ends.push_back(std::move(end));
      }
      written[i] = false;
    }
    return ends;
  }

  Automaton automaton_;
};

// Documents that are valid, and outside of the conventions of constraint.h.
struct Unwritten {
  const char* group;
  const char* test;
  const char* convention;
};
constexpr Unwritten kUnwritten[] = {
    {"const with -2.0", "integer -2 is valid", "a value of const is spelt one way"},
    {"float and integers are equal", "float is valid", "a value of const is spelt one way"},
    {"metaschema with with no validation vocabulary", "no validation", "metaschemas are not read"},
    {"validation of date-time strings", "leap second", "there are no leap seconds"},
    {"validation of time strings", "leap second", "there are no leap seconds"},
    {"validation of e-mail addresses", "a quoted string", "local parts are not quoted"},
    {"validation of e-mail addresses", "address-literal", "hosts are names"},
};

bool IsUnwritten(const Json& group, const Json& test) {
  const auto has = [](const Json& object, const char* text) {
    return object.at("description").get<std::string>().find(text) != std::string::npos;
  };
  return std::any_of(std::begin(kUnwritten), std::end(kUnwritten), [&](const Unwritten& row) {
    return has(group, row.group) && has(test, row.test);
  });
}

struct Counts {
  int schemas = 0, valid = 0, invalid = 0, unwritten = 0, failures = 0;
  std::map<std::string, int> refused;  // by keyword
};

void Fail(const std::string& file, const Json& group, const Json& test, const char* what,
          Counts& counts) {
  ++counts.failures;
  std::printf("%s: %s: %s: %s\n  %s\n  %s\n", file.c_str(),
              group.at("description").get<std::string>().c_str(),
              test.at("description").get<std::string>().c_str(), what,
              group.at("schema").dump().c_str(), test.at("data").dump().c_str());
}

void RunGroup(const std::string& file, const Json& group, Counts& counts) {
  const auto constraint = CompileSchema(group.at("schema"));
  if (!constraint.ok()) {
    const std::string message(constraint.status().message());
    if (message.find("no document can meet it") == message.npos) {
      const std::string pointer = SchemaErrorPointer(constraint.status()).value_or("");
      ++counts.refused[pointer.substr(pointer.rfind('/') + 1)];
      return;
    }
  }
  ++counts.schemas;
  for (const Json& test : group.at("tests")) {
    const bool valid = test.at("valid");
    const bool written = constraint.ok() && Writer(**constraint).CanWrite(test.at("data"));
    if (valid && !written && IsUnwritten(group, test)) {
      ++counts.unwritten;
      continue;
    }
    ++(valid ? counts.valid : counts.invalid);
    if (valid && !written) Fail(file, group, test, "valid, and cannot be written", counts);
    if (!valid && written) Fail(file, group, test, "not valid, and can be written", counts);
  }
}

int Run(const std::vector<std::string>& files) {
  Counts counts;
  for (const std::string& file : files) {
    std::ifstream stream(file);
    const Json groups = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
    if (groups.is_discarded()) {
      std::printf("%s: cannot be read\n", file.c_str());
      return 1;
    }
    for (const Json& group : groups) RunGroup(file, group, counts);
  }
  std::printf(
      "%d schemas, %d valid documents and %d others, %d valid ones left out by convention, "
      "%d failures\nschemas refused for:",
      counts.schemas, counts.valid, counts.invalid, counts.unwritten, counts.failures);
  for (const auto& [keyword, count] : counts.refused) {
    std::printf(" %s %d", keyword.empty() ? "(the whole)" : keyword.c_str(), count);
  }
  std::printf("\n");
  return counts.failures > 0 ? 1 : 0;
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) { return hearth::Run({argv + 1, argv + argc}); }
