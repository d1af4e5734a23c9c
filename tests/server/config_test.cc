// Rows C1–C12 of the catalogue of bad inputs: configuration text and ranges.
#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tests/server/test_file.h"

namespace hearth::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string ErrorOf(std::string_view json) {
  const auto config = ParseConfig(json, "c.json");
  return config.ok() ? "accepted" : std::string(config.status().message());
}

std::vector<std::string> LinesOf(const std::string& text) { return absl::StrSplit(text, '\n'); }

TEST(Config, ReadsEveryKindOfValue) {
  const auto config = ParseConfig(R"({
    "model": "/m.gguf",
    "listen": {"http": ["127.0.0.1:0", "unix:/run/h.sock"], "grpc_reflection": false},
    "engine": {"threads": 3, "kv_type": "f16", "memory_limit_bytes": 4294967296,
               "prefix_cache": true},
    "auth": {"allow_unauthenticated": true},
    "log": {"level": "warning"}
  })",
                                  "c.json");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model(), "/m.gguf");
  EXPECT_THAT(config->listen().http(), ElementsAre("127.0.0.1:0", "unix:/run/h.sock"));
  EXPECT_TRUE(config->listen().has_grpc_reflection());
  EXPECT_FALSE(config->listen().grpc_reflection());
  EXPECT_EQ(config->engine().threads(), 3);
  EXPECT_EQ(config->engine().kv_type(), v1::f16);
  EXPECT_EQ(config->engine().memory_limit_bytes(), int64_t{1} << 32);
  EXPECT_TRUE(config->engine().prefix_cache());
  EXPECT_TRUE(config->auth().allow_unauthenticated());
  EXPECT_EQ(config->log().level(), v1::warning);
}

TEST(Config, EmptyObjectIsAllDefaults) {
  const auto parsed = ParseConfig("{}", "c.json");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const v1::Config config = ResolveDefaults(*parsed);
  EXPECT_TRUE(ValidateConfig(config).ok());
  EXPECT_THAT(config.listen().http(), ElementsAre("127.0.0.1:8080"));
  EXPECT_THAT(config.listen().grpc(), ElementsAre("127.0.0.1:8081"));
  EXPECT_EQ(config.listen().unix_mode(), "0660");
  EXPECT_FALSE(config.listen().has_grpc_reflection()) << "depends on the listeners";
  EXPECT_TRUE(config.engine().prefix_cache());
  EXPECT_EQ(config.engine().kv_type(), v1::KV_TYPE_UNSPECIFIED) << "depends on the model";
  EXPECT_EQ(config.engine().threads(), 0) << "depends on the machine";
  EXPECT_EQ(config.engine().kv_tokens(), 0) << "depends on the model";
  EXPECT_EQ(config.limits().max_body_bytes(), 1 << 20);
  EXPECT_EQ(config.limits().max_queued(), 64);
  EXPECT_EQ(config.log().level(), v1::info);
}

TEST(Config, DefaultsLeaveWhatIsSet) {
  const auto parsed = ParseConfig(
      R"({"engine": {"prefix_cache": false, "max_running": 2}, "log": {"level": "error"}})", "c");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const v1::Config config = ResolveDefaults(*parsed);
  EXPECT_FALSE(config.engine().prefix_cache());
  EXPECT_EQ(config.engine().max_running(), 2);
  EXPECT_EQ(config.log().level(), v1::error);
}

// The rules of config.proto themselves: what ResolveDefaults fills in is accepted, and every
// integer has a range.
TEST(Config, RulesAreConsistent) {
  std::vector<const google::protobuf::Descriptor*> open = {v1::Config::descriptor()};
  int numbers = 0;
  while (!open.empty()) {
    const auto* message = open.back();
    open.pop_back();
    for (int i = 0; i < message->field_count(); ++i) {
      const auto& field = *message->field(i);
      if (field.message_type() != nullptr) open.push_back(field.message_type());
      const bool integer =
          field.cpp_type() == field.CPPTYPE_INT32 || field.cpp_type() == field.CPPTYPE_INT64;
      if (!integer) continue;
      ++numbers;
      const v1::Rules& rules = field.options().GetExtension(v1::rules);
      EXPECT_GE(rules.min(), field.is_repeated() ? 0 : 1) << field.full_name();
      EXPECT_GT(rules.max(), rules.min()) << field.full_name();
      EXPECT_EQ(OutOfRange(field, rules.by_default()), std::nullopt) << field.full_name();
      EXPECT_NE(OutOfRange(field, -1), std::nullopt) << field.full_name();
      EXPECT_NE(OutOfRange(field, rules.max() + 1), std::nullopt) << field.full_name();
    }
  }
  EXPECT_GE(numbers, 20);
}

TEST(Config, C1_MissingFile) {
  const auto config = ReadConfig("/nonexistent/hearth.json");
  EXPECT_TRUE(absl::IsNotFound(config.status()));
  EXPECT_THAT(std::string(config.status().message()), HasSubstr("/nonexistent/hearth.json"));
  EXPECT_FALSE(ReadConfig("/").ok());
  EXPECT_FALSE(ReadConfig("/dev/zero").ok());
}

TEST(Config, C2_BadSyntaxHasAPlace) {
  EXPECT_THAT(ErrorOf("{\n  \"model\": \"m\",\n}"),
              AllOf(StartsWith("c.json:3:1: "), HasSubstr("syntax error")));
  EXPECT_THAT(ErrorOf("{\"model\" \"m\"}"), StartsWith("c.json:1:12: "));
  for (const char* text : {"", " ", "{", "{}}", "{} {}", "{\"model\":}", "nul", "{'model':1}",
                           "{\"model\": \"m\" // comment\n}", "{\"model\": tru}", "{\"a\":01}"}) {
    EXPECT_THAT(ErrorOf(text), StartsWith("c.json:1:")) << text;
  }
}

TEST(Config, C2_OnlyAnObjectIsAConfig) {
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("an array, expected an object"));
  EXPECT_THAT(ErrorOf("7"), HasSubstr("7, expected an object"));
  EXPECT_THAT(ErrorOf("null"), HasSubstr("null, expected an object"));
}

TEST(Config, C3_UnknownKeySuggestsTheNearest) {
  EXPECT_THAT(ErrorOf(R"({"engine": {"kv_tokns": 64}})"),
              AllOf(StartsWith("c.json:1:13: engine: \"kv_tokns\""),
                    HasSubstr("did you mean \"kv_tokens\"?")));
  EXPECT_THAT(ErrorOf(R"({"limits": {"max_queue": 1}})"), HasSubstr("\"max_queued\""));
  EXPECT_THAT(ErrorOf(R"({"threads": 1})"), HasSubstr("did you mean \"engine.threads\"?"));
  EXPECT_THAT(ErrorOf(R"({"auth": {"zzzzzzzzzzzz": 1}})"),
              HasSubstr("expected one of key_file, allow_unauthenticated"));
}

TEST(Config, C3_ValueOfUnknownKeyIsSkippedWhole) {
  const std::string error = ErrorOf(R"({"modle": {"a": [1, {"model": 3}], "b": {}}, "model": 4})");
  EXPECT_THAT(LinesOf(error), ElementsAre(HasSubstr("did you mean \"model\"?"),
                                          HasSubstr("c.json:1:55: model: 4, expected a string")));
}

TEST(Config, C3_HostileKeyIsClippedAndEscaped) {
  const std::string error = ErrorOf(absl::StrCat("{\"", std::string(5000, 'k'), "\": 1}"));
  EXPECT_LT(error.size(), 400u);
  EXPECT_THAT(ErrorOf(R"({"a\u001b[31m": 1})"), Not(HasSubstr("\x1b")));
}

TEST(Config, C4_DuplicateKey) {
  EXPECT_THAT(ErrorOf("{\"model\": \"a\",\n \"model\": \"b\"}"),
              StartsWith("c.json:2:2: model: stands twice"));
  EXPECT_THAT(ErrorOf(R"({"engine": {"threads": 1, "threads": 1}})"),
              HasSubstr("engine.threads: stands twice"));
  EXPECT_THAT(ErrorOf(R"({"engine": {}, "engine": {"bogus": 1}})"),
              AllOf(HasSubstr("engine: stands twice"), Not(HasSubstr("bogus"))));
}

TEST(Config, C5_WrongTypes) {
  struct Case {
    const char* json;
    const char* error;
  };
  const Case cases[] = {
      {R"({"model": 7})", "c.json:1:11: model: 7, expected a string"},
      {R"({"model": null})", "model: null, expected a string"},
      {R"({"model": ["m"]})", "model: an array, expected a string"},
      {R"({"engine": 3})", "engine: 3, expected an object"},
      {R"({"engine": []})", "engine: an array, expected an object"},
      {R"({"engine": {"threads": "4"}})", "engine.threads: the string \"4\", expected an integer"},
      {R"({"engine": {"threads": 1.5}})", "engine.threads: 1.5, expected an integer"},
      {R"({"engine": {"threads": true}})", "engine.threads: true, expected an integer"},
      {R"({"engine": {"threads": {}}})", "engine.threads: an object, expected an integer"},
      {R"({"engine": {"prefix_cache": 1}})", "engine.prefix_cache: 1, expected true or false"},
      {R"({"engine": {"memory_limit_bytes": "3GB"}})",
       "engine.memory_limit_bytes: the string \"3GB\", expected an integer number of bytes"},
      {R"({"limits": {"idle_timeout_ms": "1s"}})", "expected an integer number of milliseconds"},
      {R"({"engine": {"kv_type": "int4"}})",
       "engine.kv_type: the string \"int4\", expected \"int8\", \"f16\" or \"f32\""},
      {R"({"engine": {"kv_type": 1}})", "engine.kv_type: 1, expected \"int8\", \"f16\" or \"f32\""},
      {R"({"engine": {"kv_type": "KV_TYPE_UNSPECIFIED"}})",
       "expected \"int8\", \"f16\" or \"f32\""},
      {R"({"listen": {"http": "127.0.0.1:80"}})",
       "listen.http: the string \"127.0.0.1:80\", expected an array"},
      {R"({"listen": {"http": ["a:1", 2, ["b"], {}]}})",
       "c.json:1:29: listen.http[1]: 2, expected a string"},
      {R"({"model": "a\u0000b"})", "model: a string with a NUL"},
  };
  for (const Case& c : cases) EXPECT_THAT(ErrorOf(c.json), HasSubstr(c.error)) << c.json;
}

TEST(Config, C5_EveryErrorAtOnce) {
  const std::string error = ErrorOf(R"({
  "listen": {"http": [1, "127.0.0.1:0", null]},
  "engine": {"thread": 1, "kv_type": "x", "max_running": 0.5},
  "model": false
})");
  EXPECT_THAT(LinesOf(error), ElementsAre(StartsWith("c.json:2:23: listen.http[0]: 1,"),
                                          StartsWith("c.json:2:41: listen.http[2]: null,"),
                                          StartsWith("c.json:3:14: engine: \"thread\""),
                                          StartsWith("c.json:3:38: engine.kv_type: "),
                                          StartsWith("c.json:3:58: engine.max_running: 0.5,"),
                                          StartsWith("c.json:4:12: model: false,")));
}

TEST(Config, C5_PlacesAreRightBehindEscapes) {
  EXPECT_THAT(ErrorOf(R"({"log": {"level": "a\\\"b\\"}})"), StartsWith("c.json:1:19: log.level"));
  EXPECT_THAT(ErrorOf(R"({"engine":{"threads":-1}})"), StartsWith("c.json:1:22: "));
  EXPECT_THAT(ErrorOf(R"({"engine":{"threads": 1e3 }})"), StartsWith("c.json:1:23: "));
}

TEST(Config, C5_NumbersOutOfRange) {
  for (const char* number :
       {"-1", "1025", "2147483648", "4294967297", "9223372036854775808", "18446744073709551615"}) {
    EXPECT_THAT(ErrorOf(absl::StrFormat(R"({"engine": {"threads": %s}})", number)),
                HasSubstr("expected 1 to 1024"))
        << number;
  }
  EXPECT_THAT(ErrorOf(R"({"engine": {"threads": 1e999}})"),
              HasSubstr("number overflow parsing '1e999'"));
  EXPECT_THAT(ErrorOf(R"({"engine": {"threads": 18446744073709551616}})"),
              HasSubstr("expected an integer"));
}

TEST(Config, C5_ErrorsAreCapped) {
  std::string json = "{\"listen\": {\"http\": [0";
  for (int i = 0; i < 10000; ++i) json += ",0";
  const std::vector<std::string> lines = LinesOf(ErrorOf(json + "]}}"));
  EXPECT_EQ(lines.size(), 65u);
  EXPECT_EQ(lines.back(), "and more");
}

absl::Status Validate(std::string_view json) {
  const auto config = ParseConfig(json, "c.json");
  if (!config.ok()) return config.status();
  return ValidateConfig(ResolveDefaults(*config));
}

TEST(Config, C6_Ports) {
  EXPECT_TRUE(Validate(R"({"listen": {"http": ["127.0.0.1:0"]}})").ok());
  for (const char* address : {"127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:", "127.0.0.1",
                              "127.0.0.1:80x", ":80", "", "unix:", "example.com"}) {
    EXPECT_THAT(
        std::string(
            Validate(absl::StrFormat(R"({"listen": {"http": ["%s"]}})", address)).message()),
        StartsWith("listen.http[0]: "))
        << address;
  }
}

TEST(Config, C7_BeyondLoopbackNeedsKeys) {
  EXPECT_THAT(
      std::string(
          Validate(R"({"listen": {"http": ["0.0.0.0:80"], "grpc": ["[::]:81"]}})").message()),
      AllOf(HasSubstr("listen.http[0]: 0.0.0.0:80 is reachable from other machines"),
            HasSubstr("listen.grpc[0]: [::]:81 is reachable")));
  EXPECT_TRUE(Validate(R"({"listen": {"http": ["0.0.0.0:80"]},
                           "auth": {"allow_unauthenticated": true}})")
                  .ok());
  EXPECT_TRUE(Validate(R"({"listen": {"http": ["0.0.0.0:80"]}, "auth": {"key_file": "/k"}})").ok());
  EXPECT_TRUE(Validate(R"({"listen": {"http": ["[::1]:80", "unix:/run/x", "localhost:0"]}})").ok());
}

TEST(Config, C7_TlsAloneIsNoReasonToServeTheNetwork) {
  const auto error = [](const char* tls) {
    return std::string(Validate(absl::StrFormat(R"({"listen": {"http": ["tls:0.0.0.0:443"]},
                                                    "tls": {%s}})",
                                                tls))
                           .message());
  };
  EXPECT_THAT(error(R"("certificate_file": "/c", "private_key_file": "/k")"),
              HasSubstr("listen.http[0]: tls:0.0.0.0:443 is reachable from other machines"));
  EXPECT_EQ(error(R"("certificate_file": "/c", "private_key_file": "/k", "client_ca_file": "/a")"),
            "");
  // Whom a plain listener serves shows no certificate.
  EXPECT_THAT(std::string(Validate(R"({"listen": {"http": ["0.0.0.0:80"]},
                                       "tls": {"certificate_file": "/c", "private_key_file": "/k",
                                               "client_ca_file": "/a"}})")
                              .message()),
              HasSubstr("is reachable from other machines"));
}

TEST(Config, TlsFilesGoTogether) {
  const auto errors = [](const char* json) {
    return LinesOf(std::string(Validate(json).message()));
  };
  EXPECT_THAT(errors(R"({"listen": {"grpc": ["tls:127.0.0.1:1"]}})"),
              ElementsAre("listen.grpc[0]: tls:127.0.0.1:1 needs tls.certificate_file and "
                          "tls.private_key_file"));
  for (const char* name : {"certificate_file", "private_key_file"}) {
    EXPECT_THAT(
        errors(absl::StrFormat(R"({"tls": {"%s": "/f"}})", name).c_str()),
        ElementsAre("tls: expected both certificate_file and private_key_file, or neither"));
  }
  EXPECT_THAT(errors(R"({"tls": {"client_ca_file": "/f"}})"),
              ElementsAre("tls.client_ca_file: expected tls.certificate_file with it"));
}

TEST(Config, OriginsAreThoseThatBrowsersSend) {
  EXPECT_TRUE(Validate(R"({"listen": {"allowed_origins": ["https://app.example", "app://x",
                                                          "http://10.0.0.1:3000"]}})")
                  .ok());
  for (const char* origin : {"*", "null", "", "app.example", "https://", "://x", "https://a/",
                             "https://a/b", "https://*.example", "https://u@a", "https://a?b"}) {
    EXPECT_THAT(
        std::string(Validate(absl::StrFormat(R"({"listen": {"allowed_origins": ["%s"]}})", origin))
                        .message()),
        StartsWith("listen.allowed_origins[0]: "))
        << origin;
  }
}

TEST(Config, UserIdsAreAList) {
  const auto config = ParseConfig(R"({"listen": {"allowed_uids": [0, 1000, 4294967294]}})", "c");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->listen().allowed_uids(), ElementsAre(0, 1000, 4294967294));
  EXPECT_THAT(ErrorOf(R"({"listen": {"allowed_uids": [-1]}})"),
              HasSubstr("listen.allowed_uids[0]: -1, expected 0 to 4294967294"));
  EXPECT_THAT(ErrorOf(R"({"listen": {"allowed_uids": ["me"]}})"), HasSubstr("expected an integer"));
  EXPECT_THAT(ErrorOf(R"({"listen": {"allowed_uids": 1000}})"), HasSubstr("expected an array"));
}

TEST(Config, C9_CacheSmallerThanOneSequence) {
  EXPECT_THAT(ErrorOf(R"({"engine": {"kv_tokens": 31}})"), HasSubstr("expected 32 to"));
  EXPECT_THAT(
      std::string(Validate(R"({"engine": {"kv_tokens": 512, "max_context": 1024}})").message()),
      HasSubstr("engine.max_context: 1024, expected at most engine.kv_tokens, 512"));
  EXPECT_THAT(std::string(Validate(R"({"engine": {"max_batch_tokens": 8}})").message()),
              HasSubstr("expected at least engine.max_running, 16"));
}

// What flags set has not passed the reader.
TEST(Config, C10_FlagsAreInRangeToo) {
  v1::Config config;
  config.mutable_engine()->set_threads(10000);
  config.mutable_limits()->set_max_queued(-1);
  EXPECT_THAT(LinesOf(std::string(ValidateConfig(ResolveDefaults(config)).message())),
              ElementsAre("engine.threads: 10000, expected 1 to 1024",
                          "limits.max_queued: -1, expected 1 to 65536"));
}

TEST(Config, C11_UnixSockets) {
  EXPECT_THAT(std::string(Validate(R"({"listen": {"http": ["unix:relative.sock"]}})").message()),
              HasSubstr("absolute path"));
  for (const char* mode : {"660", "0660", "0600", "777"}) {
    EXPECT_TRUE(Validate(absl::StrFormat(R"({"listen": {"unix_mode": "%s"}})", mode)).ok());
  }
  for (const char* mode : {"0888", "rw-rw----", "1777", "-1", "66666"}) {
    EXPECT_THAT(
        std::string(
            Validate(absl::StrFormat(R"({"listen": {"unix_mode": "%s"}})", mode)).message()),
        HasSubstr("listen.unix_mode: "))
        << mode;
  }
}

TEST(Config, C12_Encoding) {
  EXPECT_EQ(ErrorOf("\xef\xbb\xbf{}"), "accepted") << "a BOM is harmless";
  for (const char* text :
       {"{\"model\": \"\xff\"}", "{\"model\": \"\xc0\x80\"}", "{\"model\": \"\xed\xa0\x80\"}",
        "{\"model\": \"\\ud800\"}", "\xff\xfe{\0}\0"}) {
    EXPECT_THAT(ErrorOf(text), StartsWith("c.json:1:")) << text;
  }
}

TEST(Config, C12_SizeAndDepth) {
  std::string big = "{";
  big.append(100 << 20, ' ');
  EXPECT_THAT(ErrorOf(big), HasSubstr("expected at most 1048576"));
  const std::string big_file = WriteTestFile("big", std::string(2 << 20, ' '));
  EXPECT_THAT(std::string(ReadConfig(big_file).status().message()), HasSubstr("larger than"));
  for (const char bracket : {'[', '{'}) {
    std::string deep = "{\"unknown\": ";
    for (int i = 0; i < 100000; ++i) deep += bracket == '[' ? "[" : "{\"a\":";
    EXPECT_THAT(ErrorOf(deep), HasSubstr("nested deeper than 16"));
  }
}

// The files we ship are read by the code that will read them.
TEST(Config, ShippedFilesAreValid) {
  for (const char* name : {"hearth.json", "examples/gateway.json", "examples/sockets.json",
                           "examples/small-memory.json"}) {
    const auto config = ReadConfig(absl::StrCat(HEARTH_SOURCE_DIR "/config/", name));
    ASSERT_TRUE(config.ok()) << config.status();
    const absl::Status valid = ValidateConfig(ResolveDefaults(*config));
    EXPECT_TRUE(valid.ok()) << name << ": " << valid;
  }
}

}  // namespace
}  // namespace hearth::server
