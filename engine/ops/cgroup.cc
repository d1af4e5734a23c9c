#include "engine/ops/cgroup.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

namespace hearth::ops {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// A limit as a cgroup's directory states it, or kNoLimit.
using Limit = double(const std::string& directory);

double Ratio(double quota, double period) {
  return quota > 0 && period > 0 ? quota / period : kNoLimit;
}

// cpu.max holds "max 100000" or "150000 100000".
double CpusV2(const std::string& directory) {
  std::ifstream file(directory + "/cpu.max");
  double quota = 0;
  double period = 0;
  return file >> quota >> period ? Ratio(quota, period) : kNoLimit;
}

double CpusV1(const std::string& directory) {
  std::ifstream quota_file(directory + "/cpu.cfs_quota_us");
  std::ifstream period_file(directory + "/cpu.cfs_period_us");
  double quota = 0;  // -1: none
  double period = 0;
  return quota_file >> quota && period_file >> period ? Ratio(quota, period) : kNoLimit;
}

// memory.max holds "max" or bytes.
double MemoryV2(const std::string& directory) {
  std::ifstream file(directory + "/memory.max");
  double bytes = 0;
  return file >> bytes ? bytes : kNoLimit;
}

double MemoryV1(const std::string& directory) {
  std::ifstream file(directory + "/memory.limit_in_bytes");
  double bytes = 0;
  return file >> bytes ? bytes : kNoLimit;
}

// The least of `limit` over the directory mount + path and those above it, up to the mount.
double LeastUpwards(const std::string& mount, std::string path, Limit* limit) {
  double least = kNoLimit;
  while (true) {
    least = std::min(least, limit(mount + path));
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

bool HasController(const std::string& controllers, const std::string& wanted) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == wanted) return true;
  }
  return false;
}

// The least limit of the process's cgroups, of the unified hierarchy and of `controller`'s own.
double LeastOverGroups(const std::string& root, const std::string& controller, Limit* v2,
                       Limit* v1) {
  const std::string mount = root + "sys/fs/cgroup";
  std::ifstream groups(root + "proc/self/cgroup");
  double least = kNoLimit;
  // Lines are id:controllers:path; v2 is the one with id 0 and no controllers.
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, LeastUpwards(mount, path, v2));
    } else if (HasController(controllers, controller)) {
      least = std::min(least, LeastUpwards(mount + "/" + controllers, path, v1));
      least = std::min(least, LeastUpwards(mount + "/" + controller, path, v1));
    }
  }
  return least;
}

int32_t AffinityCpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;  // more than 1024 CPUs
  return CPU_COUNT(&set);
}

}  // namespace

// Quotas are rounded down: a thread more than the quota has the kernel stop all of them.
int32_t CgroupCpus(const std::string& root) {
  const double cpus = LeastOverGroups(root, "cpu", CpusV2, CpusV1);
  if (cpus == kNoLimit) return std::numeric_limits<int32_t>::max();
  return static_cast<int32_t>(std::clamp(cpus, 1.0, 1e6));
}

uint64_t CgroupMemory(const std::string& root) {
  const double bytes = LeastOverGroups(root, "memory", MemoryV2, MemoryV1);
  // Version 1 states no limit as a number near 2^63.
  return bytes < 0x1p62 ? static_cast<uint64_t>(bytes) : std::numeric_limits<uint64_t>::max();
}

int32_t AvailableCpus() { return std::max(1, std::min(AffinityCpus(), CgroupCpus("/"))); }

}  // namespace hearth::ops
