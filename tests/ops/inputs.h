// Workers and random inputs for tests of ops.
#ifndef HEARTH_TESTS_OPS_INPUTS_H_
#define HEARTH_TESTS_OPS_INPUTS_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "engine/check.h"
#include "engine/ops/workers.h"

namespace hearth::ops {

inline std::unique_ptr<Workers> MakeWorkers(int32_t threads, std::string_view isa = "",
                                            WorkersOptions options = {}) {
  options.threads = threads;
  options.isa = isa;
  absl::StatusOr<std::unique_ptr<Workers>> workers = Workers::Create(options);
  HEARTH_CHECK(workers.ok());
  return *std::move(workers);
}

inline std::vector<float> RandomFloats(std::mt19937& rng, int64_t n) {
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng() % 200001) * 1e-5f - 1.0f;
  return values;
}

}  // namespace hearth::ops

#endif  // HEARTH_TESTS_OPS_INPUTS_H_
