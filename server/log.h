// Log lines to stderr, through spdlog's default logger. Never blocks: a line that nobody reads is
// dropped and counted (row F22). Safe from any thread.
#ifndef HEARTH_SERVER_LOG_H_
#define HEARTH_SERVER_LOG_H_

#include <spdlog/spdlog.h>

#include <cstdint>

#include "hearth/v1/config.pb.h"

namespace hearth::server {

// Under systemd (JOURNAL_STREAM) lines carry a journald priority, otherwise time and level.
void StartLog(v1::LogLevel level);
uint64_t DroppedLogLines();

}  // namespace hearth::server

#endif  // HEARTH_SERVER_LOG_H_
