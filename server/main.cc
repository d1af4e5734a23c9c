// hearthd: the command line.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "server/commands.h"
#include "server/status.h"
#include "server/version.h"

namespace hearth::server {
namespace {

constexpr char kPrecedence[] =
    "Flags override the file, the file overrides the environment (HEARTH_ISA,\n"
    "CACHE_DIRECTORY).\n"
    "Under systemd, sockets passed as \"http\", \"https\", \"grpc\" and \"grpcs\" replace the "
    "listeners.";

CLI::App* AddSubcommand(CLI::App& app, const char* name, const char* description) {
  CLI::App* command = app.add_subcommand(name, description);
  command->set_version_flag("--version", std::string("hearthd ") + kVersion);
  return command;
}

void AddListener(CLI::App* command, const char* flag, const char* description,
                 google::protobuf::RepeatedPtrField<std::string>* out) {
  command
      ->add_option_function<std::vector<std::string>>(
          flag,
          [out](const std::vector<std::string>& texts) { out->Assign(texts.begin(), texts.end()); },
          description)
      ->type_name("HOST:PORT|tls:HOST:PORT|unix:PATH")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

template <typename T, typename Set>
CLI::Option* AddNumber(CLI::App* command, const char* flag, const char* description, Set set) {
  return command->add_option_function<T>(flag, set, description)->check(CLI::PositiveNumber);
}

void AddFile(CLI::App* command, const char* flag, const char* description, std::string* out) {
  command
      ->add_option_function<std::string>(
          flag, [out](const std::string& path) { *out = path; }, description)
      ->type_name("FILE");
}

void AddEngineFlags(CLI::App* command, v1::Engine* engine) {
  AddNumber<int32_t>(command, "--threads", "Kernel threads",
                     [engine](int32_t n) { engine->set_threads(n); });
  AddNumber<int32_t>(command, "--kv-tokens", "Tokens the KV cache holds",
                     [engine](int32_t n) { engine->set_kv_tokens(n); });
  command
      ->add_option_function<std::string>(
          "--kv-type",
          [engine](const std::string& name) {
            v1::KvType type = v1::KV_TYPE_UNSPECIFIED;
            v1::KvType_Parse(name, &type);
            engine->set_kv_type(type);
          },
          "Numbers in the KV cache")
      ->check(CLI::IsMember({"int8", "f16", "f32"}));
  AddNumber<int32_t>(command, "--max-context", "Longest prompt + output of a request",
                     [engine](int32_t n) { engine->set_max_context(n); });
  AddNumber<int64_t>(command, "--memory-limit", "For weights, KV cache and buffers",
                     [engine](int64_t n) { engine->set_memory_limit_bytes(n); })
      ->type_name("BYTES");
  command->add_option_function<std::string>(
      "--isa", [engine](const std::string& isa) { engine->set_isa(isa); },
      "Instruction set of the kernels; the results are the same");
}

void AddServe(CLI::App& app, ServeOptions& options) {
  CLI::App* serve = AddSubcommand(app, "serve", "Serve a model over HTTP and gRPC");
  serve->footer(kPrecedence);
  v1::Config* flags = &options.flags;
  AddFile(serve, "--model", "Model file (GGUF)", flags->mutable_model());
  serve->add_option("--config", options.config_path, "Configuration (JSON, see config/hearth.json)")
      ->type_name("FILE");
  serve->add_flag("--check-config", options.check_config,
                  "Check the configuration, leave the model alone, exit 0 or 78");
  AddListener(serve, "--http", "HTTP listener, repeatable; port 0 takes a free one",
              flags->mutable_listen()->mutable_http());
  AddListener(serve, "--grpc", "gRPC listener, likewise", flags->mutable_listen()->mutable_grpc());
  AddEngineFlags(serve, flags->mutable_engine());
  serve->add_option_function<std::string>(
      "--model-id", [flags](const std::string& id) { flags->set_model_id(id); },
      "Name clients use for the model");
  serve
      ->add_option_function<std::string>(
          "--cache-directory",
          [flags](const std::string& path) { flags->mutable_engine()->set_cache_directory(path); },
          "Keeps weights there for the next start, about as large as the model file")
      ->type_name("DIR");
  AddFile(serve, "--key-file", "API keys, one a line", flags->mutable_auth()->mutable_key_file());
  v1::Tls* tls = flags->mutable_tls();
  AddFile(serve, "--tls-certificate", "Certificate for tls: listeners (PEM)",
          tls->mutable_certificate_file());
  AddFile(serve, "--tls-private-key", "and its private key", tls->mutable_private_key_file());
}

void AddKvType(CLI::App* command, const char* flag, const char* description,
               std::optional<KvType>& out) {
  command
      ->add_option_function<std::string>(
          flag,
          [&out](const std::string& name) {
            for (KvType type : {KvType::kInt8, KvType::kF16, KvType::kF32}) {
              if (Name(type) == name) out = type;
            }
          },
          description)
      ->check(CLI::IsMember({"int8", "f16", "f32"}));
}

CLI::App* AddInspect(CLI::App& app, InspectOptions& options) {
  CLI::App* inspect = AddSubcommand(app, "inspect", "List a model file's contents");
  inspect->add_option("FILE", options.path, "Model file")->required();
  inspect->add_flag("--json", options.json, "Print JSON");
  return inspect;
}

CLI::App* AddTokenize(CLI::App& app, TokenizeOptions& options) {
  CLI::App* tokenize = AddSubcommand(app, "tokenize", "Turn standard input into token ids");
  tokenize->add_option("--model", options.model_path, "Model or vocabulary file")
      ->type_name("FILE")
      ->required();
  tokenize->add_flag("--json", options.json, "Print JSON");
  tokenize->add_flag("--add-special", options.add_special,
                     "Put BOS first when the model wants one");
  return tokenize;
}

CLI::App* AddEval(CLI::App& app, EvalOptions& options) {
  CLI::App* eval = AddSubcommand(
      app, "eval", "Measure how well a model foretells a text, alone or against a reference");
  eval->add_option("FILE", options.text_path,
                   "A text, or .jsonl with {\"messages\": [...], \"expected\": \"...\"} a line")
      ->required();
  eval->add_option("--model", options.model_path, "Model file")->type_name("FILE")->required();
  eval->add_option("--reference", options.reference_path, "Model file to compare with")
      ->type_name("FILE");
  AddKvType(eval, "--kv-type", "Numbers in the KV cache", options.kv_type);
  AddKvType(eval, "--reference-kv-type", "and in the reference's", options.reference_kv_type);
  eval->add_option("--window", options.window, "Tokens of a text that are read together")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  eval->add_option("--threads", options.threads, "Kernel threads")->check(CLI::PositiveNumber);
  eval->add_flag("--json", options.json, "Print JSON");
  return eval;
}

void AddTests(CLI::App* command, std::vector<BenchmarkTest>& out) {
  command
      ->add_option_function<std::vector<std::string>>(
          "--tests",
          [&out](const std::vector<std::string>& names) {
            out.clear();
            for (BenchmarkTest test : kBenchmarkTests) {
              if (std::count(names.begin(), names.end(), Name(test)) > 0) out.push_back(test);
            }
          },
          "Of prefill, decode and mixed: all unless said")
      ->delimiter(',')
      ->check(CLI::IsMember({"prefill", "decode", "mixed"}));
}

CLI::App* AddBench(CLI::App& app, BenchOptions& options) {
  CLI::App* bench = AddSubcommand(
      app, "bench", "Measure prompt reading, decoding and both at once against the machine");
  CLI::Option_group* subject = bench->add_option_group("subject");
  subject->add_option("--model", options.model_path, "Model file")->type_name("FILE");
  subject->add_flag("--limits", options.limits_only,
                    "Only the machine: its read bandwidth and its int8 peak");
  subject->require_option(1);
  BenchmarkOptions& tests = options.benchmark;
  const auto list = [bench](const char* flag, std::vector<int32_t>& out, int32_t least,
                            int32_t most, const char* description) {
    bench->add_option(flag, out, description)
        ->delimiter(',')
        ->check(CLI::Range(least, most))
        ->capture_default_str();
  };
  const auto number = [bench](const char* flag, int32_t& out, int32_t least, int32_t most,
                              const char* description) {
    bench->add_option(flag, out, description)
        ->check(CLI::Range(least, most))
        ->capture_default_str();
  };
  constexpr int32_t kMostTokens = 1 << 20;
  AddTests(bench, tests.tests);
  list("--prompt", tests.prompts, 1, kMostTokens, "Tokens of a prompt");
  number("--gen", tests.generate, 1, kMostTokens, "Tokens that each stream decodes");
  list("--streams", tests.streams, 1, 256, "Streams that decode together");
  list("--depth", tests.depths, 0, kMostTokens, "Tokens that streams have behind them");
  number("--shared-prefix", tests.shared_prefix, 0, kMostTokens,
         "First tokens that all prompts share");
  number("--repeat", tests.repeat, 1, 1000, "Runs, of which the median is shown");
  AddKvType(bench, "--kv-type", "Numbers in the KV cache", options.kv_type);
  bench->add_option("--threads", options.threads, "Kernel threads")->check(CLI::PositiveNumber);
  bench->add_flag("--json", options.json, "Print JSON");
  return bench;
}

int Main(int argc, char** argv) {
  CLI::App app("A local inference daemon: one language model, OpenAI-compatible HTTP and gRPC.",
               "hearthd");
  app.set_version_flag("--version", std::string("hearthd ") + kVersion);
  app.require_subcommand(1);

  ServeOptions serve;
  AddServe(app, serve);
  InspectOptions inspect;
  CLI::App* inspect_command = AddInspect(app, inspect);
  TokenizeOptions tokenize;
  CLI::App* tokenize_command = AddTokenize(app, tokenize);
  EvalOptions eval;
  CLI::App* eval_command = AddEval(app, eval);
  BenchOptions bench;
  CLI::App* bench_command = AddBench(app, bench);

  const auto is_named = [&](const CLI::App* command) { return command->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_named).empty()) {
    std::fprintf(stderr, "hearthd: %s: no such command; hearthd --help shows them\n", argv[1]);
    return kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (app.got_subcommand(inspect_command)) return Inspect(inspect);
  if (app.got_subcommand(tokenize_command)) return Tokenize(tokenize);
  if (app.got_subcommand(eval_command)) return Eval(eval);
  if (app.got_subcommand(bench_command)) return Bench(bench);
  return Serve(serve);
}

}  // namespace
}  // namespace hearth::server

int main(int argc, char** argv) { return hearth::server::Main(argc, argv); }
