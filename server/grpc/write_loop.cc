#include "server/grpc/write_loop.h"

#include <spdlog/spdlog.h>

#include <exception>
#include <new>
#include <typeinfo>

namespace hearth::server {

WriteLoop::WriteLoop(std::chrono::milliseconds write_timeout)
    : write_timeout_(write_timeout), thread_([this] { Run(); }) {}

WriteLoop::~WriteLoop() { Stop(); }

void WriteLoop::Add(std::shared_ptr<Call> call) {
  Call* const key = call.get();
  std::lock_guard<std::mutex> lock(mutex_);
  calls_.emplace(key, std::move(call));
  wake_.notify_one();  // an idle loop has no deadline to keep
}

void WriteLoop::Remove(Call* call) {
  std::shared_ptr<Call> last;  // its destructor runs unlocked
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = calls_.find(call);
  if (it == calls_.end()) return;
  last = std::move(it->second);
  calls_.erase(it);
  if (calls_.empty()) idle_.notify_all();
}

void WriteLoop::Post(Call* call, Signal signal) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = calls_.find(call);
  if (stopped_ || it == calls_.end()) return;
  posted_.emplace_back(it->second, signal);
  wake_.notify_one();
}

void WriteLoop::PostAll(Signal signal) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (stopped_) return;
  for (const auto& [key, call] : calls_) posted_.emplace_back(call, signal);
  wake_.notify_one();
}

bool WriteLoop::AwaitIdle(std::chrono::milliseconds limit) {
  std::unique_lock<std::mutex> lock(mutex_);
  return idle_.wait_for(lock, limit, [this] { return calls_.empty(); });
}

void WriteLoop::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

template <typename Do>
void WriteLoop::Guard(Call& call, const Do& act) {
  try {
    act();
  } catch (const std::exception& thrown) {  // its text is not for clients
    spdlog::error("grpc: a call ended, {}", typeid(thrown).name());
    call.Fail();
  }
}

void WriteLoop::Run() {
  const std::chrono::milliseconds period = write_timeout_ / 4;
  Clock::time_point next_cut = Clock::now() + period;
  std::unique_lock<std::mutex> lock(mutex_);
  const auto called = [this] { return stopped_ || !posted_.empty(); };
  while (true) {
    if (calls_.empty()) {
      wake_.wait(lock, [&] { return called() || !calls_.empty(); });
    } else {
      wake_.wait_until(lock, next_cut, called);
    }
    if (stopped_) return;
    std::vector<std::pair<std::shared_ptr<Call>, Signal>> posted;
    posted.swap(posted_);
    lock.unlock();
    for (const auto& [call, signal] : posted) {
      Guard(*call, [&call = *call, signal = signal] { call.OnSignal(signal); });
    }
    posted.clear();
    if (Clock::now() >= next_cut) {
      try {
        CutStalled();
      } catch (const std::bad_alloc&) {  // the next round may have room for its list
      }
      next_cut = Clock::now() + period;
    }
    lock.lock();
  }
}

void WriteLoop::CutStalled() {
  std::vector<std::shared_ptr<Call>> calls;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    calls.reserve(calls_.size());
    for (const auto& [key, call] : calls_) calls.push_back(call);
  }
  const Clock::time_point oldest = Clock::now() - write_timeout_;
  for (const auto& call : calls) {
    Guard(*call, [&] { call->CutIfWritingSince(oldest); });
  }
}

}  // namespace hearth::server
