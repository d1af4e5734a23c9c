// Reads the tensors that a family's description asks for, and finds those that none asked for.
#ifndef HEARTH_ENGINE_MODELS_TENSOR_READER_H_
#define HEARTH_ENGINE_MODELS_TENSOR_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/formats/checkpoint.h"

namespace hearth {

// Errors are DataLoss that names the file and the tensor (row M14).
// REQUIRES: the checkpoint outlives the reader.
class TensorReader {
 public:
  explicit TensorReader(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  const Hyperparameters& hparams() const { return checkpoint_.hparams; }
  bool Has(const std::string& name) const { return checkpoint_.Has(name); }

  absl::StatusOr<Tensor> Matrix(const std::string& name, int64_t rows, int64_t cols);
  // Vectors are never quantised.
  absl::StatusOr<Tensor> Vector(const std::string& name, int64_t size);
  // The divisors of a rotary table, one per pair, within what RopeTable computes for every
  // position of the context. The only tensor data that a description reads.
  absl::StatusOr<std::vector<float>> RopeFactors(const std::string& name);

  // Whether every tensor of the file was read: one that the family does not know, a bias say,
  // would be ignored and every reply silently wrong.
  absl::Status CheckAllRead() const;

 private:
  absl::Status Error(const std::string& message) const;

  const Checkpoint& checkpoint_;
  absl::flat_hash_set<std::string> read_;
};

// The elements of a vector. Errors likewise.
absl::StatusOr<std::vector<float>> ReadVector(const Checkpoint& checkpoint, Tensor tensor);

}  // namespace hearth

#endif  // HEARTH_ENGINE_MODELS_TENSOR_READER_H_
