// What this process may use of the machine: CPUs and memory.
#ifndef HEARTH_ENGINE_OPS_CGROUP_H_
#define HEARTH_ENGINE_OPS_CGROUP_H_

#include <cstdint>
#include <string>

namespace hearth::ops {

// Whole CPUs that the cgroup quotas over this process allow, at least 1, or INT32_MAX where none
// is set: the least over the process's cgroup and its ancestors, v2 (cpu.max) and v1
// (cpu.cfs_quota_us). Reads proc/self/cgroup and sys/fs/cgroup below `root`, which ends in '/'.
int32_t CgroupCpus(const std::string& root);

// The same or the CPUs of the affinity mask, whichever is less; >= 1.
int32_t AvailableCpus();

// Bytes that the cgroups over this process allow it, or UINT64_MAX: the least of memory.max (v2)
// and memory.limit_in_bytes (v1), found as above.
uint64_t CgroupMemory(const std::string& root);

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_CGROUP_H_
