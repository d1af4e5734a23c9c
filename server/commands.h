// The subcommands of hearthd. Each returns the exit code of the process (server/status.h) and
// says on stderr what went wrong.
#ifndef HEARTH_SERVER_COMMANDS_H_
#define HEARTH_SERVER_COMMANDS_H_

#include <string>

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

}  // namespace hearth::server

#endif  // HEARTH_SERVER_COMMANDS_H_
