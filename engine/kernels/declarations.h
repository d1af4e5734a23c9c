// Declares every kernel of the table in its instruction set's namespace.
#ifndef HEARTH_ENGINE_KERNELS_DECLARATIONS_H_
#define HEARTH_ENGINE_KERNELS_DECLARATIONS_H_

#include <type_traits>

#include "engine/kernels/kernels.h"

#define KERNEL(op, isa)                          \
  namespace hearth::kernels::isa {               \
  std::remove_pointer_t<decltype(Table::op)> op; \
  }
#include "engine/kernels/kernels.inc"

#endif  // HEARTH_ENGINE_KERNELS_DECLARATIONS_H_
