// An EventSink that keeps everything and can be waited for.
#ifndef HEARTH_TESTS_FAKES_COLLECTING_SINK_H_
#define HEARTH_TESTS_FAKES_COLLECTING_SINK_H_

#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/request.h"

namespace hearth {

class CollectingSink final : public EventSink {
 public:
  void OnEvent(const Event& event) override {
    absl::MutexLock lock(&mutex_);
    if (const auto* token = std::get_if<Token>(&event)) tokens_.push_back(token->id);
    if (const auto* progress = std::get_if<Progress>(&event)) progress_.push_back(*progress);
    if (const auto* finish = std::get_if<Finish>(&event)) {
      events_after_finish_ += finish_.has_value();
      finish_ = *finish;
    }
  }

  Finish Wait() {
    absl::MutexLock lock(&mutex_);
    const auto finished = [this]()
                              ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return finish_.has_value(); };
    mutex_.Await(absl::Condition(&finished));
    return *finish_;
  }

  // Waits until so many tokens came, or the end.
  void WaitForTokens(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return finish_.has_value() || tokens_.size() >= count;
    };
    mutex_.Await(absl::Condition(&enough));
  }

  std::vector<TokenId> tokens() const {
    absl::MutexLock lock(&mutex_);
    return tokens_;
  }
  std::vector<Progress> progress() const {
    absl::MutexLock lock(&mutex_);
    return progress_;
  }
  int events_after_finish() const {
    absl::MutexLock lock(&mutex_);
    return events_after_finish_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<TokenId> tokens_ ABSL_GUARDED_BY(mutex_);
  std::vector<Progress> progress_ ABSL_GUARDED_BY(mutex_);
  std::optional<Finish> finish_ ABSL_GUARDED_BY(mutex_);
  int events_after_finish_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_COLLECTING_SINK_H_
