#include "server/prompt_run.h"

#include <algorithm>
#include <utility>

#include "engine/engine.h"
#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {

// Hands one request's events to the run for as long as it lives.
class PromptRun::Sink final : public EventSink {
 public:
  Sink(std::weak_ptr<PromptRun> run, size_t index) : run_(std::move(run)), index_(index) {}

  void OnEvent(const Event& event) override {
    if (std::shared_ptr<PromptRun> run = run_.lock()) run->OnEvent(index_, event);
  }

 private:
  const std::weak_ptr<PromptRun> run_;
  const size_t index_;
};

PromptRun::PromptRun(Daemon& daemon, std::string client, PromptRequests requests)
    : Task(std::move(client)),
      daemon_(daemon),
      requests_(std::move(requests)),
      most_under_way_(std::max(1, daemon.engine().info().max_running / 2)),
      results_(requests_.count) {}

absl::StatusOr<std::shared_ptr<PromptRun>> PromptRun::Start(Daemon& daemon, std::string client,
                                                            PromptRequests requests) {
  HEARTH_RETURN_IF_ERROR(daemon.Ready());
  std::shared_ptr<PromptRun> run(new PromptRun(daemon, std::move(client), std::move(requests)));
  HEARTH_RETURN_IF_ERROR(daemon.Register(run));
  run->SubmitMore();
  return run;
}

PromptRun::~PromptRun() {
  Cancel(absl::CancelledError("abandoned"));
  daemon_.Unregister(this);
}

// Where the queue is full, the end of one of ours makes room for the next.
void PromptRun::SubmitMore() {
  absl::Status refused;
  std::unique_lock lock(mutex_);
  if (submitting_) return;
  submitting_ = true;
  while (failure_.ok() && ids_.size() < requests_.count && ids_.size() - ended_ < most_under_way_) {
    const size_t index = ids_.size();
    lock.unlock();
    const absl::StatusOr<RequestId> id = daemon_.engine().Submit(
        requests_.request(index), std::make_shared<Sink>(weak_from_this(), index));
    lock.lock();
    if (id.ok()) {
      ids_.push_back(*id);
      if (!failure_.ok()) daemon_.engine().Cancel(*id);  // which came meanwhile
      continue;
    }
    if (!absl::IsResourceExhausted(id.status()) || ids_.size() == ended_) refused = id.status();
    break;
  }
  submitting_ = false;
  lock.unlock();
  if (!refused.ok()) Cancel(WithRetryAfter(refused, absl::Seconds(1)));
}

void PromptRun::OnEvent(size_t index, const Event& event) {
  if (const auto* finish = std::get_if<Finish>(&event)) return OnFinish(index, *finish);
  std::lock_guard lock(mutex_);
  PromptResult& result = results_[index];
  if (const auto* prompt = std::get_if<PromptTokens>(&event)) {
    result.foretold.insert(result.foretold.end(), prompt->tokens.begin(), prompt->tokens.end());
  } else if (const auto* embedding = std::get_if<Embedding>(&event)) {
    result.embedding = embedding->values;
  }
}

void PromptRun::OnFinish(size_t index, const Finish& finish) {
  if (!finish.status.ok()) return Cancel(finish.status);
  std::function<void()> notify;
  {
    std::lock_guard lock(mutex_);
    results_[index].prompt_tokens = finish.prompt_tokens;
    results_[index].cached_tokens = finish.cached_tokens;
    ++ended_;
    if (done()) notify.swap(notify_);
    changed_.notify_all();
  }
  if (notify) return notify();
  SubmitMore();
}

void PromptRun::Cancel(absl::Status why) {
  std::function<void()> notify;
  std::vector<RequestId> ids;
  {
    std::lock_guard lock(mutex_);
    if (done()) return;
    failure_ = std::move(why);
    ids = ids_;
    notify.swap(notify_);
    changed_.notify_all();
  }
  for (const RequestId id : ids) daemon_.engine().Cancel(id);
  if (notify) notify();
}

absl::StatusOr<std::optional<std::vector<PromptResult>>> PromptRun::Wait(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  const auto deadline = Clock::now() + absl::ToChronoNanoseconds(timeout);
  if (!changed_.wait_until(lock, deadline, [this] { return done(); })) return std::nullopt;
  if (!failure_.ok()) return failure_;
  return std::move(results_);
}

void PromptRun::NotifyWhenDone(std::function<void()> done_callback) {
  {
    std::lock_guard lock(mutex_);
    if (!done()) {
      notify_ = std::move(done_callback);
      return;
    }
  }
  done_callback();
}

}  // namespace hearth::server
