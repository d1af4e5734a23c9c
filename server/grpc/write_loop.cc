#include "server/grpc/write_loop.h"

#include "server/grpc/generation_stream.h"

namespace hearth::server {

WriteLoop::WriteLoop(std::chrono::milliseconds write_timeout)
    : write_timeout_(write_timeout), thread_([this] { Run(); }) {}

WriteLoop::~WriteLoop() { Stop(); }

void WriteLoop::Add(std::shared_ptr<GenerationStream> stream) {
  GenerationStream* const key = stream.get();
  std::lock_guard<std::mutex> lock(mutex_);
  streams_.emplace(key, std::move(stream));
  wake_.notify_one();  // an idle loop has no deadline to keep
}

void WriteLoop::Remove(GenerationStream* stream) {
  std::shared_ptr<GenerationStream> last;  // its destructor runs unlocked
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = streams_.find(stream);
  if (it == streams_.end()) return;
  last = std::move(it->second);
  streams_.erase(it);
  if (streams_.empty()) idle_.notify_all();
}

void WriteLoop::Post(GenerationStream* stream, Signal signal) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = streams_.find(stream);
  if (stopped_ || it == streams_.end()) return;
  posted_.emplace_back(it->second, signal);
  wake_.notify_one();
}

bool WriteLoop::AwaitIdle(std::chrono::milliseconds limit) {
  std::unique_lock<std::mutex> lock(mutex_);
  return idle_.wait_for(lock, limit, [this] { return streams_.empty(); });
}

void WriteLoop::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void WriteLoop::Run() {
  const std::chrono::milliseconds period = write_timeout_ / 4;
  Clock::time_point next_cut = Clock::now() + period;
  std::unique_lock<std::mutex> lock(mutex_);
  const auto called = [this] { return stopped_ || !posted_.empty(); };
  while (true) {
    if (streams_.empty()) {
      wake_.wait(lock, [&] { return called() || !streams_.empty(); });
    } else {
      wake_.wait_until(lock, next_cut, called);
    }
    if (stopped_) return;
    std::vector<std::pair<std::shared_ptr<GenerationStream>, Signal>> posted;
    posted.swap(posted_);
    lock.unlock();
    for (const auto& [stream, signal] : posted) stream->OnSignal(signal);
    posted.clear();
    if (Clock::now() >= next_cut) {
      CutStalled();
      next_cut = Clock::now() + period;
    }
    lock.lock();
  }
}

void WriteLoop::CutStalled() {
  std::vector<std::shared_ptr<GenerationStream>> streams;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    streams.reserve(streams_.size());
    for (const auto& [key, stream] : streams_) streams.push_back(stream);
  }
  const Clock::time_point oldest = Clock::now() - write_timeout_;
  for (const auto& stream : streams) stream->CutIfWritingSince(oldest);
}

}  // namespace hearth::server
