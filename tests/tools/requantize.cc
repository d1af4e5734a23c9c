#include "tests/tools/requantize.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf.h"
#include "engine/formats/mapped_file.h"
#include "engine/status_macros.h"
#include "tests/tools/gguf_writer.h"
#include "tests/tools/quantize.h"

namespace hearth {
namespace {

// general.file_type names the old type; the attention factor follows the original context.
void CopyMetadata(const GgufMetadata& metadata, const Checkpoint& checkpoint,
                  const RequantizeOptions& options, GgufWriter& out) {
  const std::string original_key =
      checkpoint.architecture + ".rope.scaling.original_context_length";
  const std::string factor_key = checkpoint.architecture + ".rope.scaling.attn_factor";
  for (const GgufMetadata::Entry& entry : metadata.entries()) {
    const bool replaced = entry.key == original_key || entry.key == factor_key;
    if (entry.key == "general.file_type" || (options.original_context && replaced)) continue;
    out.Add(entry);
  }
  if (!options.original_context) return;
  const double original = *options.original_context;
  const double ratio = std::max(1.0, checkpoint.hparams.context / original);
  out.AddUint32(original_key, *options.original_context);
  out.AddFloat32(factor_key,
                 static_cast<float>(std::sqrt(1 + std::log(ratio) / std::log(original))));
}

std::string Encoded(const Tensor& tensor, DType type) {
  const size_t columns = static_cast<size_t>(tensor.cols());
  const size_t from = RowBytes(tensor.dtype, tensor.cols());
  const size_t to = RowBytes(type, tensor.cols());
  std::string encoded(to * static_cast<size_t>(tensor.rows()), '\0');
  std::vector<float> row(columns);
  for (int64_t i = 0; i < tensor.rows(); ++i) {
    DecodeRow(tensor.dtype, tensor.data + static_cast<size_t>(i) * from, absl::MakeSpan(row));
    EncodeRow(type, row, reinterpret_cast<std::byte*>(&encoded[static_cast<size_t>(i) * to]));
  }
  return encoded;
}

}  // namespace

absl::Status Requantize(const std::string& path, const RequantizeOptions& options,
                        const std::string& out_path) {
  HEARTH_ASSIGN_OR_RETURN(const Checkpoint checkpoint, OpenCheckpoint(path));
  HEARTH_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> mapped, MappedFile::Open(path));
  HEARTH_ASSIGN_OR_RETURN(const GgufFile file, ParseGguf(mapped->bytes()));
  GgufWriter gguf;
  CopyMetadata(file.metadata, checkpoint, options, gguf);
  std::string data;
  for (const GgufTensor& entry : file.tensors) {
    const Tensor& tensor = checkpoint.tensors.at(std::string(entry.name));
    const DType type = tensor.rank >= 2 ? options.type : DType::kF32;
    gguf.AddTensor(entry.name, absl::MakeConstSpan(tensor.dims.data(), tensor.rank), type);
    data.resize(gguf.tensors.back().offset);
    data += Encoded(tensor, type);
  }
  data.resize(gguf.DataBytes());
  std::ofstream file_out(out_path, std::ios::binary | std::ios::trunc);
  file_out << gguf.Header() << data;
  if (!file_out.flush()) return absl::UnavailableError(absl::StrCat(out_path, ": cannot write"));
  return absl::OkStatus();
}

}  // namespace hearth
