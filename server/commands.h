// The subcommands of hearthd. Each returns the exit code of the process (server/status.h) and
// says on stderr what went wrong.
#ifndef HEARTH_SERVER_COMMANDS_H_
#define HEARTH_SERVER_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "engine/benchmark.h"
#include "engine/kv_type.h"
#include "hearth/v1/config.pb.h"

namespace hearth::server {

struct ServeOptions {
  std::string config_path;  // empty: none
  v1::Config flags;         // what was given on the command line; overrides the file
  bool check_config = false;
};
int Serve(const ServeOptions& options);

struct InspectOptions {
  std::string path;
  bool json = false;
};
int Inspect(const InspectOptions& options);

struct TokenizeOptions {
  std::string model_path;
  bool json = false;
  bool add_special = false;
};
int Tokenize(const TokenizeOptions& options);

struct EvalOptions {
  std::string model_path;
  std::string reference_path;  // empty: none
  std::optional<KvType> kv_type, reference_kv_type;
  std::string text_path;  // a text, or .jsonl: {"messages": [...], "expected": "..."} a line
  int32_t window = 512;   // tokens of a text that are read together
  int32_t threads = 0;
  bool json = false;
};
int Eval(const EvalOptions& options);

struct BenchOptions {
  std::string model_path;
  bool limits_only = false;  // of the machine; then there is no model
  BenchmarkOptions benchmark;
  std::optional<KvType> kv_type;
  int32_t threads = 0;
  bool json = false;
};
int Bench(const BenchOptions& options);

}  // namespace hearth::server

#endif  // HEARTH_SERVER_COMMANDS_H_
