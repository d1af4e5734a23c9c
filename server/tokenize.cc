// hearthd tokenize: standard input to token ids.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/engine.h"
#include "server/commands.h"
#include "server/status.h"
#include "server/tokenization.h"

namespace hearth::server {

int Tokenize(const TokenizeOptions& options) {
  const auto tokenizer = LoadTokenizer(options.model_path);
  if (!tokenizer.ok()) {
    std::cerr << "hearthd: " << tokenizer.status().message() << "\n";
    return LoadExitCode(tokenizer.status());
  }
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  const std::vector<TokenId> ids = EncodeText(**tokenizer, text, options.add_special);
  if (options.json) {
    std::cout << nlohmann::json{{"ids", ids}}.dump() << "\n";
  } else {
    std::cout << absl::StrJoin(ids, " ") << "\n";
  }
  return std::cout.flush() ? kExitOk : kExitOs;
}

}  // namespace hearth::server
