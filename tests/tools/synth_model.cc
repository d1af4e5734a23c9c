// Writes a model file with random weights; see synthetic_model.h.
#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "tests/tools/quantize.h"
#include "tests/tools/synthetic_model.h"

int main(int argc, char** argv) {
  constexpr char kMixture[] = "Q4_K_M";
  const std::map<std::string, hearth::DType> types = hearth::EncodableTypes();
  hearth::SyntheticModelOptions options;
  std::string type = "F32";
  std::string head_type;
  std::string out;

  CLI::App app("Writes a GGUF model file with seeded random weights");
  app.add_option("--shape", options.shape, "tiny, phi-4-mini or llama-3.2-1b")
      ->capture_default_str();
  std::vector<std::string> names = {kMixture};
  for (const auto& [name, unused] : types) names.push_back(name);
  app.add_option("--type", type, "type of the matrices")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  app.add_option("--head-type", head_type, "type of the embedding, which is the head too")
      ->check(CLI::IsMember(&types));
  app.add_option("--vocab", options.vocabulary, "GGUF file to take the vocabulary from");
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_option("--outliers", options.outliers, "size of some channels against the others");
  app.add_option("--out", out, "the file to write")->required();
  app.add_option("--layers", options.layers);
  app.add_option("--context", options.context);
  app.add_option("--original-context", options.original_context, "where long RoPE factors begin");
  app.add_option("--embedding", options.embedding);
  app.add_option("--ff", options.feed_forward);
  app.add_option("--heads", options.heads);
  app.add_option("--kv-heads", options.kv_heads);
  CLI11_PARSE(app, argc, argv);

  options.q4_k_m = type == kMixture;
  if (!options.q4_k_m) options.type = types.at(type);
  if (!head_type.empty()) options.head_type = types.at(head_type);
  const absl::Status status = hearth::WriteSyntheticModel(options, out);
  if (!status.ok()) {
    std::cerr << "synth_model: " << status.message() << "\n";
    return 1;
  }
  return 0;
}
