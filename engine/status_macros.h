// Propagation of absl::Status. Rank 0. (Abseil 20220623 has no such macros of its own.)
#ifndef HEARTH_ENGINE_STATUS_MACROS_H_
#define HEARTH_ENGINE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function when `expr`, an absl::Status, is not OK.
#define HEARTH_RETURN_IF_ERROR(expr)                 \
  do {                                               \
    absl::Status hearth_status_ = (expr);            \
    if (!hearth_status_.ok()) return hearth_status_; \
  } while (false)

// Assigns the value of `expr`, an absl::StatusOr, to `lhs`, or returns its status.
#define HEARTH_ASSIGN_OR_RETURN(lhs, expr) \
  HEARTH_ASSIGN_OR_RETURN_IMPL_(HEARTH_CONCAT_(hearth_statusor_, __LINE__), lhs, expr)
#define HEARTH_ASSIGN_OR_RETURN_IMPL_(var, lhs, expr) \
  auto var = (expr);                                  \
  if (!var.ok()) return std::move(var).status();      \
  lhs = *std::move(var)
#define HEARTH_CONCAT_(a, b) HEARTH_CONCAT_INNER_(a, b)
#define HEARTH_CONCAT_INNER_(a, b) a##b

#endif  // HEARTH_ENGINE_STATUS_MACROS_H_
