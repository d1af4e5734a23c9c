// What this machine can do at most, measured: what the speed of a model is held against.
#ifndef HEARTH_ENGINE_OPS_LIMITS_H_
#define HEARTH_ENGINE_OPS_LIMITS_H_

#include "absl/status/statusor.h"
#include "engine/ops/workers.h"

namespace hearth::ops {

// Bytes per second that all workers together read from memory, at best of several times. Takes
// 512 MiB meanwhile; ResourceExhausted where they cannot be had.
absl::StatusOr<double> MeasureReadBandwidth(Workers& workers);

// Products of int8, each with its addition, per second, of the workers' instruction set at its
// highest rate; likewise.
double MeasureInt8Products(Workers& workers);

}  // namespace hearth::ops

#endif  // HEARTH_ENGINE_OPS_LIMITS_H_
