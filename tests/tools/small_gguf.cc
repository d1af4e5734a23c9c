#include "tests/tools/small_gguf.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace hearth {

GgufWriter SmallGguf() {
  GgufWriter gguf;
  gguf.AddString("general.architecture", "phi3");
  gguf.AddString("general.name", "small");
  gguf.AddUint32("phi3.context_length", 4096);
  gguf.AddUint32("phi3.embedding_length", 8);
  gguf.AddUint32("phi3.feed_forward_length", 16);
  gguf.AddUint32("phi3.block_count", 1);
  gguf.AddUint32("phi3.attention.head_count", 2);
  gguf.AddUint32("phi3.attention.head_count_kv", 1);
  gguf.AddFloat32("phi3.attention.layer_norm_rms_epsilon", 1e-5f);
  gguf.AddUint32("phi3.rope.dimension_count", 2);
  gguf.AddFloat32("phi3.rope.freq_base", 10000.0f);
  gguf.AddUint32("phi3.rope.scaling.original_context_length", 64);
  Vocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "gpt-4o";
  vocabulary.tokens = {"a", "b", "ab", "<|end|>"};
  vocabulary.types = {TokenType::kNormal, TokenType::kNormal, TokenType::kNormal,
                      TokenType::kControl};
  vocabulary.merges = {"a b"};
  vocabulary.bos = vocabulary.eos = vocabulary.unknown = 3;
  vocabulary.add_bos = false;
  gguf.AddVocabulary(vocabulary);
  gguf.AddTensor("token_embd.weight", {4, 8}, DType::kF32);
  gguf.AddTensor("output_norm.weight", {8}, DType::kF32);
  gguf.AddTensor("rope_factors_long.weight", {1}, DType::kF32);
  gguf.AddTensor("rope_factors_short.weight", {1}, DType::kF32);
  gguf.AddTensor("blk.0.attn_norm.weight", {8}, DType::kF32);
  return gguf;
}

GgufWriter::Entry& EntryOf(GgufWriter& gguf, absl::string_view key) {
  const auto found = std::find_if(gguf.metadata.begin(), gguf.metadata.end(),
                                  [key](const auto& entry) { return entry.key == key; });
  HEARTH_CHECK(found != gguf.metadata.end());
  return *found;
}

void RemoveKey(GgufWriter& gguf, absl::string_view key) {
  GgufWriter::Entry& entry = EntryOf(gguf, key);
  gguf.metadata.erase(gguf.metadata.begin() + (&entry - gguf.metadata.data()));
}

GgufWriter::TensorEntry& TensorOf(GgufWriter& gguf, absl::string_view name) {
  const auto found = std::find_if(gguf.tensors.begin(), gguf.tensors.end(),
                                  [name](const auto& tensor) { return tensor.name == name; });
  HEARTH_CHECK(found != gguf.tensors.end());
  return *found;
}

std::string TemporaryPath(absl::string_view name) {
  return std::filesystem::temp_directory_path() / absl::StrCat("hearth_", getpid(), "_", name);
}

std::string WriteTemporary(absl::string_view name, absl::string_view content) {
  const std::string path = TemporaryPath(name);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  HEARTH_CHECK(file.good());
  return path;
}

}  // namespace hearth
