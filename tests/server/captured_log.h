// What is logged while it lives, at every level, as lines "level: text". Nothing reaches stderr.
#ifndef HEARTH_TESTS_SERVER_CAPTURED_LOG_H_
#define HEARTH_TESTS_SERVER_CAPTURED_LOG_H_

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace hearth::server {

// REQUIRES: made before the threads that log, and ended after them: spdlog's default logger is not
// changed under those that use it.
class CapturedLog {
 public:
  CapturedLog() {
    auto logger = std::make_shared<spdlog::logger>("captured", sink_);
    logger->set_level(spdlog::level::trace);
    logger->set_pattern("%l: %v");
    spdlog::set_default_logger(std::move(logger));
  }
  ~CapturedLog() { spdlog::set_default_logger(std::move(before_)); }
  CapturedLog(const CapturedLog&) = delete;

  // So far. Safe from any thread.
  std::string text() const { return sink_->text(); }

 private:
  class Sink final : public spdlog::sinks::base_sink<std::mutex> {
   public:
    std::string text() {
      std::lock_guard<std::mutex> lock(mutex_);
      return text_;
    }

   protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
      spdlog::memory_buf_t line;
      formatter_->format(message, line);
      text_.append(line.data(), line.size());
    }
    void flush_() override {}

   private:
    std::string text_;  // guarded by mutex_
  };

  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();
};

}  // namespace hearth::server

#endif  // HEARTH_TESTS_SERVER_CAPTURED_LOG_H_
