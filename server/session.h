// One generation as a client asked for it: prompts, n choices of each, their text and tool calls,
// usage. Knows no transport: every endpoint of HTTP and gRPC fills in a GenerationRequest, runs a
// Session of it, and differs only in how it writes Outputs (server/output.h).
#ifndef HEARTH_SERVER_SESSION_H_
#define HEARTH_SERVER_SESSION_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/request.h"
#include "server/choice_decoder.h"
#include "server/daemon.h"
#include "server/generation_request.h"
#include "server/output.h"
#include "server/prepare.h"
#include "server/task.h"

namespace hearth::server {

// Threads: engine events arrive on the engine thread; Next is called by one consumer thread at a
// time; Cancel by any.
class Session final : public Task, public std::enable_shared_from_this<Session> {
 public:
  // Checks, renders, tokenises and submits. Errors carry the parameter (server/status.h).
  static absl::StatusOr<std::shared_ptr<Session>> Start(Daemon& daemon, GenerationRequest request);
  ~Session() override;  // cancels what has not ended

  // The next output, or nullopt when `timeout` passes first. An error ends the session: the
  // generation failed, was cancelled, or its reader was too slow. After Usage, or an error, do
  // not call it again.
  absl::StatusOr<std::optional<Output>> Next(absl::Duration timeout);

  // For consumers without a thread: `ready` is called once, from any thread, when Next(0) has
  // something to return; at once if it has already. Set it again after each nullopt.
  void NotifyWhenReady(std::function<void()> ready);

  // Ends every choice; Next then returns `why`.
  void Cancel(absl::Status why) override;

  int32_t prompt_tokens() const { return prompt_tokens_; }  // of all prompts
  int32_t choices() const { return static_cast<int32_t>(choices_.size()); }
  uint64_t seed() const { return seed_; }
  bool logprobs() const { return logprobs_; }  // whether they were asked for
  absl::Time created() const { return created_; }

 private:
  class ChoiceSink;
  struct Choice {
    ChoiceDecoder decoder;
    bool ended = false;  // its ChoiceEnd was made
  };
  struct QueuedEvent {
    int32_t index;
    Event event;
  };

  Session(Daemon& daemon, std::string client);
  void AddChoices(const GenerationRequest& wire, const PreparedGeneration& prepared);
  void BeginEcho(const std::vector<TokenId>& prompt);
  absl::Status Submit(const PreparedGeneration& prepared);
  void OnEvent(int32_t index, const Event& event);
  void ObserveToken(int32_t index);
  void Convert(const QueuedEvent& queued);
  void ConvertProgress(int32_t index, const Progress& progress);
  void ConvertToken(int32_t index, const Token& token);
  void ConvertFinish(int32_t index, const Finish& finish);
  void EndChoice(int32_t index, bool length, int32_t completion_tokens);
  void Fail(const absl::Status& why);
  void CancelRequest(int32_t index);

  Daemon& daemon_;
  const absl::Time created_;
  const Clock::time_point began_;
  uint64_t seed_ = 0;
  int32_t prompt_tokens_ = 0;
  int32_t choices_per_prompt_ = 1;
  bool logprobs_ = false;

  // The consumer's side.
  std::vector<Choice> choices_;
  int32_t open_choices_ = 0;
  std::deque<Output> outputs_;
  std::vector<Progress> progress_;  // by prompt
  Usage usage_;

  // The engine thread's side.
  std::vector<Clock::time_point> last_token_;  // by choice; the epoch before the first

  // The border, guarded by the mutex; the condition is that an event or the failure came.
  size_t queue_limit_ = 0;  // events
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<RequestId> requests_;  // by choice
  std::deque<QueuedEvent> events_;
  std::function<void()> ready_;
  absl::Status failure_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_SESSION_H_
