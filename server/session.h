// One generation as a client asked for it: n choices of one prompt, stop strings, usage. Knows
// no transport: HTTP and gRPC run the same Session and differ only in how they write Outputs.
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
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/chat/chat_format.h"
#include "engine/request.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/daemon.h"
#include "server/stop_strings.h"

namespace hearth::server {

// A generation as the wire spelt it: kinds are checked, ranges are not. Start checks ranges, so
// that both transports refuse the same things with the same words.
struct GenerationRequest {
  std::string model;  // empty: whichever is served (transports that require it check)
  // A conversation, a text (empty: BOS alone), or token ids.
  std::variant<std::vector<Message>, std::string, std::vector<int64_t>> prompt;
  std::optional<int64_t> max_tokens;
  std::optional<int64_t> n;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<double> frequency_penalty;
  std::optional<double> presence_penalty;
  std::vector<std::pair<int64_t, double>> logit_bias;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;

  // Names of fields as this transport's client spells them, for messages about them.
  std::string max_tokens_name = "max_tokens";
  std::string prompt_name = "prompt";  // "messages" for chat

  // From the transport.
  std::string client;                     // fairness key
  std::optional<absl::Duration> timeout;  // the client's own deadline, from now
};

// Text that became whole, of one choice.
struct Delta {
  int32_t index;
  std::string text;
  std::vector<TokenId> tokens;  // whose text it is; text may trail its tokens
};
// A choice ended: kStop or kLength.
struct ChoiceEnd {
  int32_t index;
  FinishReason reason;
};
// Everything ended; the last output.
struct Usage {
  int32_t prompt_tokens = 0;
  int32_t completion_tokens = 0;  // of all choices
  int32_t cached_tokens = 0;
};
using Output = std::variant<Progress, Delta, ChoiceEnd, Usage>;

// Threads: engine events arrive on the engine thread; Next is called by one consumer thread at a
// time; Cancel by any.
class Session : public std::enable_shared_from_this<Session> {
 public:
  // Checks, renders, tokenises and submits. Errors carry the parameter (server/status.h).
  static absl::StatusOr<std::shared_ptr<Session>> Start(Daemon& daemon, GenerationRequest request);
  ~Session();  // cancels what has not ended

  // The next output, or nullopt when `timeout` passes first. An error ends the session: the
  // generation failed, was cancelled, or its reader was too slow. After Usage, or an error, do
  // not call it again.
  absl::StatusOr<std::optional<Output>> Next(absl::Duration timeout);

  // For consumers without a thread: `ready` is called once, from any thread, when Next(0) has
  // something to return; at once if it has already. Set it again after each nullopt.
  void NotifyWhenReady(std::function<void()> ready);

  // Ends every choice; Next then returns `why`.
  void Cancel(absl::Status why);

  const std::string& id() const { return id_; }  // "9f2c…", 24 hex digits, random
  int32_t prompt_tokens() const { return prompt_tokens_; }
  int32_t choices() const { return static_cast<int32_t>(choices_.size()); }
  uint64_t seed() const { return seed_; }
  absl::Time created() const { return created_; }

 private:
  class ChoiceSink;
  struct Choice {
    Choice(const Tokenizer& tokenizer, bool drop_leading_space, std::vector<std::string> stop)
        : decoder(tokenizer, drop_leading_space), stop_strings(std::move(stop)) {}
    StreamDecoder decoder;
    StopStrings stop_strings;
    int32_t tokens = 0;  // received
    bool ended = false;  // its ChoiceEnd was made
  };
  struct QueuedEvent {
    int32_t index;
    Event event;
  };

  explicit Session(Daemon& daemon);
  absl::Status Submit(const Request& prototype, int32_t n);
  void OnEvent(int32_t index, const Event& event);
  void ObserveToken(int32_t index);
  void Convert(const QueuedEvent& queued);
  void ConvertToken(int32_t index, const Token& token);
  void ConvertFinish(int32_t index, const Finish& finish);
  void EndChoice(int32_t index, FinishReason reason, int32_t completion_tokens);
  void Fail(const absl::Status& why);
  void CancelRequest(int32_t index);

  Daemon& daemon_;
  const std::string id_;
  const absl::Time created_;
  const Clock::time_point began_;
  uint64_t seed_ = 0;
  int32_t prompt_tokens_ = 0;

  // The consumer's side.
  std::vector<Choice> choices_;
  int32_t open_choices_ = 0;
  std::deque<Output> outputs_;
  Usage usage_;

  // The engine thread's side.
  std::vector<Clock::time_point> last_token_;  // by choice; the epoch before the first

  // The border, guarded by the mutex; the condition is that an event or the failure came.
  const size_t queue_limit_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<RequestId> requests_;  // by choice
  std::deque<QueuedEvent> events_;
  std::function<void()> ready_;
  absl::Status failure_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_SESSION_H_
