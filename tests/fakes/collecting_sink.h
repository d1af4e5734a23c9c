// An EventSink that keeps everything and can be waited for.
#ifndef HEARTH_TESTS_FAKES_COLLECTING_SINK_H_
#define HEARTH_TESTS_FAKES_COLLECTING_SINK_H_

#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/request.h"

namespace hearth {

class CollectingSink final : public EventSink {
 public:
  void OnEvent(const Event& event) override {
    const std::lock_guard lock(mutex_);
    if (const auto* token = std::get_if<Token>(&event)) tokens_.push_back(token->id);
    if (const auto* progress = std::get_if<Progress>(&event)) progress_.push_back(*progress);
    if (const auto* prompt = std::get_if<PromptTokens>(&event)) prompt_tokens_.push_back(*prompt);
    if (const auto* embedding = std::get_if<Embedding>(&event)) {
      embeddings_.push_back(embedding->values);
    }
    if (const auto* finish = std::get_if<Finish>(&event)) {
      events_after_finish_ += finish_.has_value();
      finish_ = *finish;
    }
    changed_.notify_all();
  }

  Finish Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return finish_.has_value(); });
    return *finish_;
  }

  // Waits until so many tokens came, or the end.
  void WaitForTokens(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return finish_.has_value() || tokens_.size() >= count; });
  }

  std::vector<TokenId> tokens() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  std::vector<Progress> progress() const {
    const std::lock_guard lock(mutex_);
    return progress_;
  }
  std::vector<PromptTokens> prompt_tokens() const {
    const std::lock_guard lock(mutex_);
    return prompt_tokens_;
  }
  std::vector<std::vector<float>> embeddings() const {
    const std::lock_guard lock(mutex_);
    return embeddings_;
  }
  int events_after_finish() const {
    const std::lock_guard lock(mutex_);
    return events_after_finish_;
  }

 private:
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<TokenId> tokens_;
  std::vector<Progress> progress_;
  std::vector<PromptTokens> prompt_tokens_;
  std::vector<std::vector<float>> embeddings_;
  std::optional<Finish> finish_;
  int events_after_finish_ = 0;
};

}  // namespace hearth

#endif  // HEARTH_TESTS_FAKES_COLLECTING_SINK_H_
