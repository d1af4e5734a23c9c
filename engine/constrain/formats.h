// The values of "format" that are enforced.
#ifndef HEARTH_ENGINE_CONSTRAIN_FORMATS_H_
#define HEARTH_ENGINE_CONSTRAIN_FORMATS_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/constrain/text_dfa.h"

namespace hearth {

// The texts of a format, compiled once in a process. InvalidArgument lists the names there are.
// Safe from any thread.
absl::StatusOr<SharedText> TextOfFormat(std::string_view name);

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_FORMATS_H_
