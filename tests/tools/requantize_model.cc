// Writes a model file's tensors in another element type; see requantize.h.
#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <string>

#include "tests/tools/quantize.h"
#include "tests/tools/requantize.h"

int main(int argc, char** argv) {
  const std::map<std::string, hearth::DType> types = hearth::EncodableTypes();
  std::string in;
  std::string type = "F32";
  std::string out;
  hearth::RequantizeOptions options;

  CLI::App app("Writes a GGUF model file's matrices in another type");
  app.add_option("--in", in, "the file to read")->required();
  app.add_option("--type", type, "type of the matrices")
      ->check(CLI::IsMember(&types))
      ->capture_default_str();
  app.add_option("--original-context", options.original_context, "where long RoPE factors begin");
  app.add_option("--out", out, "the file to write")->required();
  CLI11_PARSE(app, argc, argv);

  options.type = types.at(type);
  const absl::Status status = hearth::Requantize(in, options, out);
  if (!status.ok()) {
    std::cerr << "requantize_model: " << status.message() << "\n";
    return 1;
  }
  return 0;
}
