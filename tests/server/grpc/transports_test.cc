// What HTTP can do gRPC can, and both answer alike: random requests over all features through both
// transports of one daemon give the same text, log-probabilities, tool calls, ends and usage, or
// the same error. HEARTH_SEED=<n> replays one request.
#include <grpcpp/client_context.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/http_server.h"
#include "server/http/json.h"
#include "tests/server/grpc/served_daemon.h"
#include "tests/server/http/raw_client.h"

namespace hearth::server {
namespace {

constexpr int kRequests = 400;
constexpr int kPlainRequests = 100;  // that generate nothing

// One request as both transports spell it.
struct Asked {
  bool chat = false;
  Json http = Json::object();
  v1::ChatRequest chat_request;
  v1::GenerateRequest generate_request;

  v1::Options& options() {
    return chat ? *chat_request.mutable_options() : *generate_request.mutable_options();
  }
};

// An answer without what is each transport's own: ids, times, what was cached.
struct Answer {
  struct Choice {
    std::string text;
    Json calls = Json::array();     // names and arguments
    Json logprobs = Json::array();  // of each token: its own, null for none, and of the likeliest
    std::string finish;
  };
  std::string error;  // of a request that failed; then nothing else
  std::vector<Choice> choices;
  int prompt_tokens = 0;
  int completion_tokens = 0;

  std::string ToString() const {
    if (!error.empty()) return "error: " + error;
    std::string all = absl::StrCat(prompt_tokens, " + ", completion_tokens, " tokens\n");
    for (const Choice& c : choices) {
      absl::StrAppend(&all,
                      DumpJson({{"text", c.text},
                                {"calls", c.calls},
                                {"logprobs", c.logprobs},
                                {"finish", c.finish}}),
                      "\n");
    }
    return all;
  }
};

constexpr const char* kTexts[] = {
    "What is 47 + 36?", "Who are you?", "What is the weather in Oslo?",
    "Which sensor is the highest? 71 boiler, 45 pump, 88 fan.", "\xc3\xa4\xe2\x82\xac <|end|>"};

constexpr const char* kSchemas[] = {
    R"({"type":"object","properties":{"b":{"type":"integer"},"a":{"enum":["x","y"]}},)"
    R"("required":["b","a"],"additionalProperties":false})",
    R"({"type":"array","items":{"type":"boolean"},"maxItems":3})",
    R"({"type":"object","properties":{"a":{"uniqueItems":true}}})",  // not supported
    R"({"$ref":"#/$defs/none"})"};

constexpr const char* kParameters[] = {
    R"({"type":"object","properties":{"city":{"type":"string","description":"The city."}},)"
    R"("required":["city"]})",
    R"({"type":"object","properties":{"days":{"type":"integer"}},"additionalProperties":false})",
    R"({"type":"object","properties":{"a":{"uniqueItems":true}}})"};  // not supported

// Draws features, each of which both spell.
class Author {
 public:
  explicit Author(uint64_t seed) : random_(seed) {}

  Asked Write() {
    Asked asked;
    asked.chat = Chance(60);
    if (asked.chat) {
      WriteConversation(asked);
      if (Chance(40)) WriteTools(asked);
    } else {
      WritePrompt(asked);
    }
    WriteSampling(asked);
    WriteEnds(asked);
    WriteLogprobs(asked);
    if (Chance(30)) WriteConstraint(asked);
    WriteService(asked);
    return asked;
  }

  // A conversation and tools, with no options.
  Asked WriteChat() {
    Asked asked;
    asked.chat = true;
    WriteConversation(asked);
    if (Chance(40)) WriteTools(asked);
    WriteModel(asked);
    return asked;
  }

  uint64_t Below(uint64_t n) { return random_() % n; }
  bool Chance(int percent) { return Below(100) < static_cast<uint64_t>(percent); }
  template <typename T, size_t n>
  const T& Of(const T (&list)[n]) {
    return list[Below(n)];
  }
  std::vector<int32_t> Ids() {
    std::vector<int32_t> ids(1 + Below(6));
    for (int32_t& id : ids) id = Chance(98) ? static_cast<int32_t>(Below(4000)) : -1;
    return ids;
  }

 private:
  // At times one that is not served.
  void WriteModel(Asked& asked) {
    if (!Chance(3)) return;
    asked.http["model"] = "other";
    asked.chat ? asked.chat_request.set_model("other") : asked.generate_request.set_model("other");
  }

  void AddMessage(Asked& asked, const char* role, v1::Role wire, const std::string& text) {
    asked.http["messages"].push_back({{"role", role}, {"content", text}});
    v1::Message& message = *asked.chat_request.add_messages();
    message.set_role(wire);
    message.set_content(text);
  }

  void WriteConversation(Asked& asked) {
    if (Chance(30)) {
      AddMessage(asked, Chance(50) ? "system" : "developer", v1::ROLE_SYSTEM, "Answer briefly.");
    }
    if (Chance(20)) {
      AddMessage(asked, "user", v1::ROLE_USER, Of(kTexts));
      AddMessage(asked, "assistant", v1::ROLE_ASSISTANT, "Hello.");
    }
    AddMessage(asked, "user", v1::ROLE_USER, Of(kTexts));
    if (Chance(15)) WriteCall(asked);
  }

  // A past call, at times one that cannot have been, and its result.
  void WriteCall(Asked& asked) {
    const std::string name = Chance(85) ? "get_weather" : "get weather";
    const std::string arguments = Chance(85) ? R"({"city": "Oslo"})" : "{";
    AddMessage(asked, "assistant", v1::ROLE_ASSISTANT, "");
    asked.http["messages"].back()["tool_calls"] =
        Json::array({{{"id", "1"},
                      {"type", "function"},
                      {"function", {{"name", name}, {"arguments", arguments}}}}});
    v1::ToolCall& call =
        *asked.chat_request.mutable_messages(asked.chat_request.messages_size() - 1)
             ->add_tool_calls();
    call.set_id("1");
    call.set_name(name);
    call.set_arguments(arguments);
    AddMessage(asked, "tool", v1::ROLE_TOOL, R"({"temperature": 4})");
    asked.http["messages"].back()["tool_call_id"] = "1";
    asked.chat_request.mutable_messages(asked.chat_request.messages_size() - 1)
        ->set_tool_call_id("1");
  }

  void WriteTools(Asked& asked) {
    const int count = 1 + static_cast<int>(Below(2));
    for (int i = 0; i < count; ++i) {
      const std::string name = Chance(95) ? absl::StrCat("get_weather", i > 0 ? "_2" : "") : "";
      v1::Tool& tool = *asked.chat_request.add_tools();
      tool.set_name(name);
      Json function = {{"name", name}};
      if (Chance(70)) {
        function["description"] = "Get the current weather for a city.";
        tool.set_description("Get the current weather for a city.");
      }
      if (Chance(80)) {
        const char* parameters = kParameters[Chance(90) ? Below(2) : 2];
        function["parameters"] = Json::parse(parameters);
        tool.set_parameters(parameters);
      }
      asked.http["tools"].push_back({{"type", "function"}, {"function", std::move(function)}});
    }
    WriteToolChoice(asked);
    if (Chance(30)) {
      const bool parallel = Chance(50);
      asked.http["parallel_tool_calls"] = parallel;
      asked.chat_request.set_parallel_tool_calls(parallel);
    }
  }

  void WriteToolChoice(Asked& asked) {
    const std::pair<const char*, v1::ToolChoice::Mode> modes[] = {
        {"auto", v1::ToolChoice::AUTO},
        {"none", v1::ToolChoice::NONE},
        {"required", v1::ToolChoice::REQUIRED}};
    v1::ToolChoice& choice = *asked.chat_request.mutable_tool_choice();
    const Json named = {{"type", "function"}, {"function", {{"name", "get_weather"}}}};
    if (Chance(40)) {
      const auto& [name, mode] = Of(modes);
      asked.http["tool_choice"] = name;
      choice.set_mode(mode);
    } else if (Chance(40)) {
      asked.http["tool_choice"] = named;
      choice.set_name("get_weather");
    } else if (Chance(40)) {
      asked.http["tool_choice"] = {
          {"type", "allowed_tools"},
          {"allowed_tools", {{"mode", "required"}, {"tools", Json::array({named})}}}};
      choice.set_mode(v1::ToolChoice::REQUIRED);
      choice.add_allowed("get_weather");
    }
  }

  void WritePrompt(Asked& asked) {
    if (Chance(70)) {
      const std::string text = Chance(95) ? Of(kTexts) : "";
      asked.http["prompt"] = text;
      asked.generate_request.set_text(text);
    } else {
      const std::vector<int32_t> ids = Ids();
      asked.http["prompt"] = ids;
      asked.generate_request.mutable_tokens()->mutable_ids()->Assign(ids.begin(), ids.end());
    }
    if (!Chance(30)) return;
    asked.http["echo"] = true;
    asked.generate_request.set_echo(true);
  }

  // A number that is in range, or at times beyond it.
  double Number(double low, double high) {
    if (Chance(3)) return high + 1;
    return low + static_cast<double>(static_cast<float>(Below(1000)) / 1000) * (high - low);
  }
  void SetNumber(Asked& asked, const char* name, double low, double high,
                 void (v1::Sampling::*set)(float)) {
    if (!Chance(20)) return;
    const float value = static_cast<float>(Number(low, high));
    asked.http[name] = static_cast<double>(value);
    (asked.options().mutable_sampling()->*set)(value);
  }

  void WriteSampling(Asked& asked) {
    SetNumber(asked, "temperature", 0, 2, &v1::Sampling::set_temperature);
    SetNumber(asked, "top_p", 0.1, 1, &v1::Sampling::set_top_p);
    SetNumber(asked, "min_p", 0, 1, &v1::Sampling::set_min_p);
    SetNumber(asked, "repetition_penalty", 0.5, 2, &v1::Sampling::set_repetition_penalty);
    SetNumber(asked, "frequency_penalty", -2, 2, &v1::Sampling::set_frequency_penalty);
    SetNumber(asked, "presence_penalty", -2, 2, &v1::Sampling::set_presence_penalty);
    v1::Sampling& sampling = *asked.options().mutable_sampling();
    if (Chance(20)) {
      const int32_t top_k = Chance(95) ? static_cast<int32_t>(Below(50)) : -1;
      asked.http["top_k"] = top_k;
      sampling.set_top_k(top_k);
    }
    if (Chance(20)) {
      const int32_t id = Chance(95) ? static_cast<int32_t>(Below(4000)) : 1'000'000;
      asked.http["logit_bias"][absl::StrCat(id)] = 5;
      (*sampling.mutable_logit_bias())[id] = 5;
    }
    const uint64_t seed = random_() >> 1;
    asked.http["seed"] = seed;
    sampling.set_seed(seed);
  }

  void WriteEnds(Asked& asked) {
    v1::Options& options = asked.options();
    const int32_t limits[] = {1, 5, 12, 24, 24, 40};
    const int32_t max_tokens = Chance(95) ? Of(limits) : Chance(50) ? 0 : 100'000;
    asked.http["max_tokens"] = max_tokens;
    options.set_max_tokens(max_tokens);
    if (Chance(15)) {
      const int32_t min_tokens = static_cast<int32_t>(Below(14)) - 1;
      asked.http["min_tokens"] = min_tokens;
      options.set_min_tokens(min_tokens);
    }
    if (Chance(15)) {
      const int32_t n = 1 + static_cast<int32_t>(Below(5));
      asked.http["n"] = n;
      options.set_n(n);
    }
    if (Chance(15)) {
      asked.http["ignore_eos"] = true;
      options.set_ignore_eos(true);
    }
    if (Chance(20)) {
      const char* stops[] = {"7", "the", ". ", "Oslo", ""};
      const std::string stop = Of(stops);
      asked.http["stop"].push_back(stop);
      options.add_stop(stop);
    }
    if (Chance(10)) {
      const int32_t id = static_cast<int32_t>(Below(4100)) - 1;
      asked.http["stop_token_ids"].push_back(id);
      options.add_stop_tokens(id);
    }
  }

  void WriteLogprobs(Asked& asked) {
    if (!Chance(40)) return;
    const int32_t top = Chance(95) ? static_cast<int32_t>(Below(4)) : 21;
    if (asked.chat) asked.http["logprobs"] = true;
    asked.http[asked.chat ? "top_logprobs" : "logprobs"] = top;
    asked.options().set_top_logprobs(top);
  }

  void WriteConstraint(Asked& asked) {
    v1::Constraint& constraint = *asked.options().mutable_constraint();
    switch (Below(4)) {
      case 0: {
        const char* schema = kSchemas[Chance(80) ? Below(2) : 2 + Below(2)];
        asked.http["response_format"] = {
            {"type", "json_schema"},
            {"json_schema", {{"name", "x"}, {"schema", Json::parse(schema)}}}};
        constraint.set_json_schema(schema);
        break;
      }
      case 1:
        asked.http["response_format"] = {{"type", "json_object"}};
        constraint.set_json_object(true);
        break;
      case 2: {
        const char* patterns[] = {"[0-9]{1,4}", "(yes|no), .{3,9}", "(?<=x)y"};
        const char* regex = Of(patterns);
        asked.http["guided_regex"] = regex;
        constraint.set_regex(regex);
        break;
      }
      default:
        asked.http["guided_choice"] = {"red", "green", "gr\xc3\xbcn"};
        for (const char* text : {"red", "green", "gr\xc3\xbcn"}) {
          constraint.mutable_choice()->add_texts(text);
        }
    }
  }

  void WriteService(Asked& asked) {
    WriteModel(asked);
    const std::pair<int, v1::Priority> priorities[] = {
        {-1, v1::PRIORITY_HIGH}, {0, v1::PRIORITY_NORMAL}, {1, v1::PRIORITY_LOW}};
    v1::Options& options = asked.options();
    const auto& [priority, wire] = Of(priorities);
    asked.http["priority"] = priority;
    options.set_priority(wire);
    if (Chance(10)) {
      const std::string key = Chance(90) ? "tenant" : std::string(600, 'x');
      asked.http["cache_salt"] = key;
      options.set_cache_key(key);
    }
    if (Chance(30)) {
      asked.http["truncation"] = "auto";
      options.set_overflow(v1::OVERFLOW_DROP_OLDEST);
    }
  }

  std::mt19937_64 random_;
};

// An error of HTTP in gRPC's names.
std::string InGrpcNames(const std::string& message) {
  return absl::StrReplaceAll(message,
                             {{"].function", "]"},
                              {"/function/parameters", "/parameters"},
                              {"/response_format/json_schema/schema", ""},
                              {"stop_token_ids:", "stop_tokens:"},
                              {"cache_salt:", "cache_key:"},
                              {"response_format.json_schema.schema", "constraint.json_schema"},
                              {"guided_regex", "constraint.regex"},
                              {"guided_choice", "constraint.choice"},
                              {"response_format:", "constraint.json_object:"}});
}

class TransportsTest : public testing::Test {
 protected:
  TransportsTest() {
    absl::StatusOr<Listener> listener = Listener::Bind(*ParseListenAddress("127.0.0.1:0"), 0600);
    EXPECT_TRUE(listener.ok()) << listener.status();
    std::vector<Listener> listeners;
    listeners.push_back(*std::move(listener));
    auto server = HttpServer::Start(served_.daemon(), std::move(listeners));
    EXPECT_TRUE(server.ok()) << server.status();
    http_ = *std::move(server);
    inference_ = served_.Inference();
  }

  static Serving Demo() {
    Serving serving;
    serving.config.set_model(HEARTH_SOURCE_DIR "/deploy/demo/hearth-demo-q8_0.gguf");
    return serving;
  }

  RawReply Post(const char* path, const Json& body, const char* headers = "") const {
    RawClient client(http_->listeners()[0]);
    client.set_timeout(absl::Seconds(60));
    client.Send(RequestText("POST", path, DumpJson(body), headers));
    return client.Receive();
  }
  RawReply Post(const Asked& asked) const {
    return Post(asked.chat ? "/v1/chat/completions" : "/v1/completions", asked.http);
  }

  // Both errors are none, or the same, with these of HTTP's names for gRPC's. True where there is
  // none.
  static bool BothSucceed(
      const RawReply& http, const grpc::Status& grpc,
      std::initializer_list<std::pair<absl::string_view, absl::string_view>> names = {}) {
    std::string error;
    if (http.status != 200) {
      error = absl::StrReplaceAll(InGrpcNames(http.error("message")), names);
    }
    EXPECT_EQ(error, grpc.error_message());
    return http.status == 200 && grpc.ok();
  }

  static void ReadLogprobs(const Json& logprobs, Answer::Choice& choice) {
    if (logprobs.is_null()) return;
    if (logprobs.contains("content")) {
      for (const Json& token : logprobs["content"]) {
        Json tops = Json::array();
        for (const Json& top : token["top_logprobs"]) tops.push_back(top["logprob"]);
        choice.logprobs.push_back({token["logprob"], tops});
      }
      return;
    }
    // Completions have the token itself among the likeliest, and those by name: not compared.
    for (const Json& value : logprobs["token_logprobs"]) {
      choice.logprobs.push_back({value, Json::array()});
    }
  }

  static void ReadCalls(const Json& calls, Answer::Choice& choice) {
    for (size_t i = 0; i < calls.size(); ++i) {
      const Json& call = calls[i];
      const size_t index = call.contains("index") ? call["index"].get<size_t>() : i;
      const Json& function = call["function"];
      if (index == choice.calls.size()) choice.calls.push_back({function["name"], ""});
      choice.calls[index][1] =
          choice.calls[index][1].get<std::string>() + function["arguments"].get<std::string>();
    }
  }

  // A choice of a whole reply, or of a chunk.
  static void ReadChoice(const Json& json, Answer& answer) {
    const size_t index = json["index"].get<size_t>();
    if (answer.choices.size() <= index) answer.choices.resize(index + 1);
    Answer::Choice& choice = answer.choices[index];
    const Json& inner = json.contains("message") ? json["message"]
                        : json.contains("delta") ? json["delta"]
                                                 : json;
    for (const char* name : {"content", "text"}) {
      if (inner.contains(name) && inner[name].is_string()) choice.text += inner[name];
    }
    if (inner.contains("tool_calls")) ReadCalls(inner["tool_calls"], choice);
    ReadLogprobs(json["logprobs"], choice);
    if (json["finish_reason"].is_string()) choice.finish = json["finish_reason"];
  }

  static void ReadObject(const Json& object, Answer& answer) {
    for (const Json& choice : object["choices"]) ReadChoice(choice, answer);
    if (!object.contains("usage") || object["usage"].is_null()) return;
    answer.prompt_tokens = object["usage"]["prompt_tokens"];
    answer.completion_tokens = object["usage"]["completion_tokens"];
  }

  Answer OverHttp(const Asked& asked) const {
    const RawReply reply = Post(asked);
    Answer answer;
    if (reply.status != 200) {
      answer.error = InGrpcNames(reply.error("message"));
      if (!asked.chat) {
        answer.error = absl::StrReplaceAll(
            answer.error, {{"logprobs:", "top_logprobs:"},
                           {"prompt:", asked.http["prompt"].is_array() ? "tokens.ids:" : "text:"}});
      }
    } else if (reply.headers.at("content-type") == "text/event-stream") {
      for (const std::string& event : Events(reply.body)) {
        if (event != "[DONE]") ReadObject(Json::parse(event), answer);
      }
    } else {
      ReadObject(reply.json(), answer);
    }
    return answer;
  }

  static Json LogprobsOf(const v1::TokenLogprobs& wire, bool with_top) {
    Json tops = Json::array();
    if (with_top) {
      for (const v1::TokenLogprob& top : wire.top()) {
        tops.push_back(static_cast<double>(top.logprob()));
      }
    }
    Json own;
    if (wire.has_token()) own = static_cast<double>(wire.token().logprob());
    return {own, tops};
  }

  static void ReadEvent(const v1::GenerateEvent& event, bool chat, Answer& answer) {
    const auto choice = [&answer](int index) -> Answer::Choice& {
      if (answer.choices.size() <= static_cast<size_t>(index)) answer.choices.resize(index + 1);
      return answer.choices[index];
    };
    if (event.has_delta()) {
      Answer::Choice& of = choice(event.delta().index());
      of.text += event.delta().text();
      for (const v1::TokenLogprobs& token : event.delta().logprobs()) {
        of.logprobs.push_back(LogprobsOf(token, chat));
      }
    } else if (event.has_tool_call()) {
      const v1::ToolCallDelta& call = event.tool_call();
      Json& calls = choice(call.index()).calls;
      if (static_cast<size_t>(call.call()) == calls.size()) calls.push_back({call.name(), ""});
      calls[call.call()][1] = calls[call.call()][1].get<std::string>() + call.arguments();
    } else if (event.has_finish()) {
      const char* names[] = {"", "stop", "length", "tool_calls"};
      choice(event.finish().index()).finish = names[event.finish().reason()];
    } else if (event.has_usage()) {
      answer.prompt_tokens = event.usage().prompt_tokens();
      answer.completion_tokens = event.usage().completion_tokens();
    }
  }

  Answer OverGrpc(const Asked& asked) const {
    grpc::ClientContext context;
    const Stream stream =
        ReadAll(asked.chat ? inference_->Chat(&context, asked.chat_request)
                           : inference_->Generate(&context, asked.generate_request));
    Answer answer;
    if (!stream.status.ok()) {
      answer.error = stream.status.error_message();
      return answer;
    }
    for (const v1::GenerateEvent& event : stream.events) ReadEvent(event, asked.chat, answer);
    return answer;
  }

  ServedDaemon served_{Demo()};
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<v1::Inference::Stub> inference_;
};

std::vector<uint64_t> Seeds() {
  if (const char* replay = std::getenv("HEARTH_SEED")) return {std::strtoull(replay, nullptr, 10)};
  std::vector<uint64_t> seeds(kRequests);
  for (int i = 0; i < kRequests; ++i) seeds[i] = i;
  return seeds;
}

// Of one piece of JSON, which is a list of bytes where it is not text.
std::string BytesOf(const Json& piece) {
  if (piece.is_string()) return piece;
  std::string bytes;
  for (const Json& byte : piece) bytes += static_cast<char>(byte.get<int>());
  return bytes;
}

TEST_F(TransportsTest, TokenizeAlike) {
  for (uint64_t seed = 0; seed < kPlainRequests; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Author author(seed);
    const bool special = author.Chance(50);
    const std::string text = author.Of(kTexts);
    v1::TokenizeRequest request;
    request.set_text(text);
    request.set_add_special(special);
    request.set_with_pieces(true);
    v1::TokenizeResponse tokens;
    grpc::ClientContext context;
    const grpc::Status status = inference_->Tokenize(&context, request, &tokens);
    const RawReply reply =
        Post("/tokenize", {{special ? "prompt" : "content", text}, {"with_pieces", true}});
    ASSERT_TRUE(BothSucceed(reply, status));
    const Json of_http = reply.json()["tokens"];
    ASSERT_EQ(static_cast<size_t>(tokens.ids_size()), of_http.size());
    for (int i = 0; i < tokens.ids_size(); ++i) {
      EXPECT_EQ(of_http[i]["id"], tokens.ids(i));
      EXPECT_EQ(BytesOf(of_http[i]["piece"]), tokens.pieces(i));
    }
    v1::DetokenizeRequest back;
    const std::vector<int32_t> ids = author.Ids();
    back.mutable_ids()->Assign(ids.begin(), ids.end());
    v1::DetokenizeResponse spelt;
    grpc::ClientContext second;
    const grpc::Status back_status = inference_->Detokenize(&second, back, &spelt);
    const RawReply back_reply = Post("/detokenize", {{"tokens", ids}});
    if (BothSucceed(back_reply, back_status, {{"tokens:", "ids:"}})) {
      EXPECT_EQ(back_reply.json()["content"], spelt.text());
    }
  }
}

TEST_F(TransportsTest, RenderAlike) {
  int rendered = 0;
  for (uint64_t seed = 0; seed < kPlainRequests; ++seed) {
    const Asked asked = Author(seed).WriteChat();
    SCOPED_TRACE(absl::StrCat("seed ", seed, " ", DumpJson(asked.http)));
    v1::RenderChatRequest request;
    *request.mutable_chat() = asked.chat_request;
    v1::RenderChatResponse chat;
    grpc::ClientContext context;
    const grpc::Status status = inference_->RenderChat(&context, request, &chat);
    const RawReply prompt = Post("/apply-template", asked.http);
    const RawReply tokens = Post("/tokenize", asked.http);
    if (!BothSucceed(prompt, status) || !BothSucceed(tokens, status)) continue;
    ++rendered;
    EXPECT_EQ(prompt.json()["prompt"], chat.text());
    EXPECT_EQ(tokens.json()["tokens"],
              Json(std::vector<int>(chat.ids().begin(), chat.ids().end())));
  }
  EXPECT_GT(rendered, kPlainRequests / 2);
  EXPECT_LT(rendered, kPlainRequests);
}

TEST_F(TransportsTest, EmbedAlike) {
  int embedded = 0;
  for (uint64_t seed = 0; seed < kPlainRequests; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Author author(seed);
    Json body = {{"input", Json::array()}};
    v1::EmbedRequest request;
    for (uint64_t i = author.Below(4); i > 0; --i) {
      v1::EmbedRequest::Input& input = *request.add_inputs();
      if (author.Chance(70)) {
        input.set_text(author.Chance(95) ? author.Of(kTexts) : "");
        body["input"].push_back(input.text());
      } else {
        const std::vector<int32_t> ids = author.Ids();
        input.mutable_tokens()->mutable_ids()->Assign(ids.begin(), ids.end());
        body["input"].push_back(ids);
      }
    }
    if (author.Chance(50)) {
      body["pooling"] = "last";
      request.set_pooling(v1::EmbedRequest::LAST);
    }
    if (author.Chance(5)) {
      body["model"] = "other";
      request.set_model("other");
    }
    v1::EmbedResponse response;
    grpc::ClientContext context;
    const grpc::Status status = inference_->Embed(&context, request, &response);
    const RawReply reply = Post("/v1/embeddings", body);
    if (!BothSucceed(reply, status, {{"input:", "inputs:"}, {"input[", "inputs["}})) continue;
    ++embedded;
    const Json json = reply.json();
    EXPECT_EQ(json["usage"]["prompt_tokens"], response.prompt_tokens());
    ASSERT_EQ(json["data"].size(), static_cast<size_t>(response.embeddings_size()));
    for (int i = 0; i < response.embeddings_size(); ++i) {
      const auto& values = response.embeddings(i).values();
      EXPECT_EQ(json["data"][i]["embedding"].get<std::vector<float>>(),
                std::vector<float>(values.begin(), values.end()));
    }
  }
  EXPECT_GT(embedded, kPlainRequests / 3);
  EXPECT_LT(embedded, kPlainRequests);
}

TEST_F(TransportsTest, TellTheStopStringAndTheFingerprintAlike) {
  const Json messages = Json::array({{{"role", "user"}, {"content", "What is 47 + 36?"}}});
  v1::ChatRequest request;
  request.add_messages()->set_role(v1::ROLE_USER);
  request.mutable_messages(0)->set_content("What is 47 + 36?");
  request.mutable_options()->mutable_sampling()->set_temperature(0);
  request.mutable_options()->set_max_tokens(40);
  for (const char* stop : {"8", "not in there"}) {
    request.mutable_options()->clear_stop();
    request.mutable_options()->add_stop(stop);
    grpc::ClientContext context;
    const Stream stream = ReadAll(inference_->Chat(&context, request));
    ASSERT_TRUE(stream.status.ok()) << stream.status.error_message();
    const Json message = Post("/v1/messages", {{"messages", messages},
                                               {"temperature", 0},
                                               {"max_tokens", 40},
                                               {"stop_sequences", Json::array({stop})}})
                             .json();
    const v1::GenerateEvent& finish = stream.events[stream.events.size() - 2];
    ASSERT_TRUE(finish.has_finish());
    EXPECT_EQ(message["stop_sequence"].is_null() ? "" : message["stop_sequence"].get<std::string>(),
              finish.finish().stop());
    EXPECT_EQ(finish.finish().stop().empty(), std::string(stop) != "8");
    const Json completion =
        Post("/v1/chat/completions", {{"messages", messages}, {"max_tokens", 1}}).json();
    EXPECT_EQ(completion["system_fingerprint"], stream.events[0].accepted().system_fingerprint());
  }
}

TEST_F(TransportsTest, KeepDeadlinesAlike) {
  v1::GenerateRequest request = LongRequest(2000, 4);
  request.mutable_options()->set_ignore_eos(true);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  EXPECT_EQ(ReadAll(inference_->Generate(&context, request)).status.error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  const RawReply reply = Post(
      "/v1/completions", {{"prompt", "a"}, {"max_tokens", 2000}, {"n", 4}, {"ignore_eos", true}},
      "x-hearth-timeout-ms: 100\r\n");
  EXPECT_EQ(reply.status, 504) << reply.body;
  EXPECT_TRUE(served_.AwaitIdle());
}

TEST_F(TransportsTest, AnswerAlike) {
  int answered = 0;
  std::set<std::string> ends;
  for (uint64_t seed : Seeds()) {
    SCOPED_TRACE(absl::StrCat("HEARTH_SEED=", seed));
    Asked asked = Author(seed).Write();
    const Answer grpc = OverGrpc(asked);
    EXPECT_EQ(OverHttp(asked).ToString(), grpc.ToString()) << DumpJson(asked.http);
    asked.http["stream"] = true;
    asked.http["stream_options"] = {{"include_usage", true}};
    EXPECT_EQ(OverHttp(asked).ToString(), grpc.ToString()) << DumpJson(asked.http);
    answered += grpc.error.empty() ? 1 : 0;
    for (const Answer::Choice& choice : grpc.choices) ends.insert(choice.finish);
  }
  if (std::getenv("HEARTH_SEED") != nullptr) return;
  EXPECT_GT(answered, kRequests / 2);  // most requests are good ones
  EXPECT_LT(answered, kRequests);      // and some are not
  EXPECT_THAT(ends, testing::ElementsAre("length", "stop", "tool_calls"));
}

}  // namespace
}  // namespace hearth::server
