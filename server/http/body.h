// Bodies of requests, and the memory they may take together.
#ifndef HEARTH_SERVER_HTTP_BODY_H_
#define HEARTH_SERVER_HTTP_BODY_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace hearth::server {

// Bytes that have come and are not yet parsed, of all connections. One client gets half of them, so
// that its slow bodies leave room for others. Safe from any thread.
class BodyBudget {
 public:
  explicit BodyBudget(uint64_t limit) : limit_(limit) {}

  // False, and nothing taken, when there is no room.
  bool Take(const std::string& client, uint64_t bytes);
  void Give(const std::string& client, uint64_t bytes);

 private:
  const uint64_t limit_;
  std::mutex mutex_;
  uint64_t taken_ = 0;  // guarded by mutex_, likewise below
  std::unordered_map<std::string, uint64_t> taken_by_;
};

// One body, which counts against the budget as long as it lives.
class Body {
 public:
  Body() = default;
  Body(BodyBudget& budget, std::string client) : budget_(&budget), client_(std::move(client)) {}
  Body(Body&& other) noexcept { *this = std::move(other); }
  Body& operator=(Body&& other) noexcept;
  ~Body() { Clear(); }

  std::string& text() { return text_; }
  // Counts what the text has grown by; false when there is no room. REQUIRES: a budget.
  bool Count();
  void Clear();

 private:
  BodyBudget* budget_ = nullptr;
  std::string client_;
  std::string text_;
  uint64_t counted_ = 0;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_BODY_H_
