#include "server/task.h"

#include <cstdint>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"

namespace hearth::server {
namespace {

std::string RandomId() {
  absl::BitGen random;
  return absl::StrFormat("%016x%08x", absl::Uniform<uint64_t>(random),
                         absl::Uniform<uint32_t>(random));
}

}  // namespace

Task::Task(std::string client) : id_(RandomId()), client_(std::move(client)) {}

}  // namespace hearth::server
