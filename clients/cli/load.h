// The load on one line: of `hearth load`, and of `hearth top` where it cannot redraw.
#ifndef HEARTH_CLIENTS_CLI_LOAD_H_
#define HEARTH_CLIENTS_CLI_LOAD_H_

#include <cstdint>
#include <string>

#include "hearth/v1/inference.pb.h"

namespace hearth::cli {

std::string LoadLine(const v1::GetLoadResponse& load);

// 0 of nothing.
int Percent(uint64_t part, uint64_t whole);

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_LOAD_H_
