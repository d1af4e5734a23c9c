#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/kernels/declarations.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace hearth::kernels {
namespace {

#if defined(__x86_64__)
// True when the CPU has the feature and the OS saves the registers it uses.
#define CpuHas(feature) (__builtin_cpu_supports(feature) != 0)

// Not among the names that every compiler's __builtin_cpu_supports knows.
bool CpuHasF16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool CpuHasAvxVnni() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & 1u << 4) != 0;
}

// Tiles are eight KiB more to save, which the kernel does only for processes that ask (since Linux
// 5.16; arch/x86/include/uapi/asm/prctl.h). To ask again does no harm.
bool CpuHasAmx() {
  constexpr unsigned kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kAmxTile) == 0 || (edx & kAmxInt8) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#elif defined(__aarch64__)
bool CpuHasDotProd() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool CpuHasI8mm() { return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }
#endif

enum class Isa {
#define ISA(name, supported) name,
#include "engine/kernels/kernels.inc"
};

struct IsaRow {
  Isa isa;
  std::string_view name;
};

std::vector<IsaRow> SupportedRows() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  std::vector<IsaRow> rows;
#define ISA(name, supported) \
  if (supported) rows.push_back({Isa::name, #name});
#include "engine/kernels/kernels.inc"
  return rows;
}

}  // namespace

std::vector<std::string_view> SupportedIsas() {
  std::vector<std::string_view> names;
  for (const IsaRow& row : SupportedRows()) names.push_back(row.name);
  return names;
}

absl::StatusOr<Table> Select(std::string_view isa) {
  if (const char* forced = std::getenv("HEARTH_ISA"); isa.empty() && forced != nullptr) {
    isa = forced;
  }
  std::vector<IsaRow> allowed = SupportedRows();
  if (!isa.empty()) {
    while (!allowed.empty() && allowed.back().name != isa) allowed.pop_back();
  }
  if (allowed.empty()) {
    std::string supported;
    for (std::string_view name : SupportedIsas()) supported.append(" ").append(name);
    return absl::FailedPreconditionError(
        absl::StrCat("instruction set \"", std::string(isa.substr(0, 32)),
                     "\" is not one that this CPU has kernels for:", supported));
  }
  const auto usable = [&allowed](Isa wanted) {
    for (const IsaRow& row : allowed) {
      if (row.isa == wanted) return true;
    }
    return false;
  };
  Table table;
  table.isa = allowed.back().name;
#define KERNEL(op, isa) \
  if (table.op == nullptr && usable(Isa::isa)) table.op = &isa::op;
#include "engine/kernels/kernels.inc"
  return table;
}

}  // namespace hearth::kernels
