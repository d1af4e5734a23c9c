#include "server/log.h"

#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdlib>
#include <memory>
#include <mutex>

namespace hearth::server {
namespace {

std::atomic<uint64_t> dropped_lines{0};

// Lines of at most PIPE_BUF bytes fit a pipe that poll() calls writable; a socket is written
// without waiting.
class NonBlockingStderr final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (line.size() > PIPE_BUF) {
      line.resize(PIPE_BUF);
      line.data()[PIPE_BUF - 1] = '\n';
    }
    if (!Write(line.data(), line.size())) dropped_lines.fetch_add(1, std::memory_order_relaxed);
  }
  void flush_() override {}

 private:
  static bool Write(const char* data, size_t size) {
    ssize_t written = send(STDERR_FILENO, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written < 0 && errno == ENOTSOCK) {
      pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
      if (poll(&writable, 1, 0) != 1 || (writable.revents & POLLOUT) == 0) return false;
      written = write(STDERR_FILENO, data, size);
    }
    return written == static_cast<ssize_t>(size);
  }
};

// "<4>": syslog(3) priorities, which journald reads off the start of a line.
class JournalPriority final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    static constexpr char kPriorities[] = {'7', '7', '6', '4', '3', '2', '6'};  // by spdlog level
    const char text[] = {'<', kPriorities[message.level], '>'};
    out.append(text, text + sizeof(text));
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JournalPriority>();
  }
};

spdlog::level::level_enum LevelOf(v1::LogLevel level) {
  switch (level) {
    case v1::debug:
      return spdlog::level::debug;
    case v1::warning:
      return spdlog::level::warn;
    case v1::error:
      return spdlog::level::err;
    default:
      return spdlog::level::info;
  }
}

}  // namespace

void StartLog(v1::LogLevel level) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<JournalPriority>('*');
  const bool journal = getenv("JOURNAL_STREAM") != nullptr;
  formatter->set_pattern(journal ? "%*%v" : "%Y-%m-%dT%H:%M:%S.%e%z %l: %v");
  auto logger = std::make_shared<spdlog::logger>("hearthd", std::make_shared<NonBlockingStderr>());
  logger->set_formatter(std::move(formatter));
  logger->set_level(LevelOf(level));
  spdlog::set_default_logger(std::move(logger));
}

uint64_t DroppedLogLines() { return dropped_lines.load(std::memory_order_relaxed); }

}  // namespace hearth::server
