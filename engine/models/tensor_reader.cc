#include "engine/models/tensor_reader.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/ops/attention.h"
#include "engine/ops/matmul.h"
#include "engine/status_macros.h"

namespace hearth {

absl::StatusOr<Tensor> TensorReader::Matrix(const std::string& name, int64_t rows, int64_t cols) {
  read_.insert(name);
  return checkpoint_.Get(name, {rows, cols});
}

absl::StatusOr<Tensor> TensorReader::Vector(const std::string& name, int64_t size) {
  read_.insert(name);
  HEARTH_ASSIGN_OR_RETURN(Tensor tensor, checkpoint_.Get(name, {size}));
  const DTypeTraits traits = Traits(tensor.dtype);
  if (traits.block_elements > 1) {
    return Error(absl::StrCat("tensor ", name, ": type ", std::string(traits.name),
                              ", expected F32, F16 or BF16 for a vector"));
  }
  return tensor;
}

absl::StatusOr<std::vector<float>> TensorReader::RopeFactors(const std::string& name) {
  const Hyperparameters& h = hparams();
  const int32_t pairs = h.rope_dims / 2;
  HEARTH_ASSIGN_OR_RETURN(const Tensor tensor, Vector(name, pairs));
  HEARTH_ASSIGN_OR_RETURN(std::vector<float> factors, ReadVector(checkpoint_, tensor));
  for (int32_t i = 0; i < pairs; ++i) {
    const double least = ops::RopeTable::LeastFactor(i, h.rope_dims, h.rope_theta, h.context);
    if (factors[i] >= least) continue;
    return Error(absl::StrCat("tensor ", name, ": element ", i, " is ", factors[i],
                              ", expected at least ", least, " for a context of ", h.context));
  }
  return factors;
}

absl::Status TensorReader::CheckAllRead() const {
  for (const auto& [name, unused] : checkpoint_.tensors) {
    if (read_.contains(name)) continue;
    return Error(absl::StrCat("tensor ", absl::CHexEscape(name), ": architecture ",
                              checkpoint_.architecture, " has none of this name"));
  }
  return absl::OkStatus();
}

absl::Status TensorReader::Error(const std::string& message) const {
  return absl::DataLossError(absl::StrCat(checkpoint_.path, ": ", message));
}

absl::StatusOr<std::vector<float>> ReadVector(const Checkpoint& checkpoint, Tensor tensor) {
  std::vector<std::byte> bytes(tensor.bytes);
  absl::Status status = checkpoint.Read(tensor.data, bytes.size(), bytes.data());
  tensor.data = bytes.data();
  if (status.ok()) {
    absl::StatusOr<std::vector<float>> elements = ops::ToF32(tensor);
    if (elements.ok()) return elements;
    status = elements.status();
  }
  return absl::DataLossError(absl::StrCat(checkpoint.path, ": ", status.message()));
}

}  // namespace hearth
