#include "server/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/engine.h"
#include "engine/status_macros.h"
#include "server/prompt.h"
#include "server/status.h"

namespace hearth::server {
namespace {

constexpr size_t kEventBytes = sizeof(int32_t) + sizeof(Event);
constexpr size_t kLeastEvents = 16;  // of each choice, that may wait for their reader

}  // namespace

// Hands one choice's events to the session for as long as it lives.
class Session::ChoiceSink final : public EventSink {
 public:
  ChoiceSink(std::weak_ptr<Session> session, int32_t index)
      : session_(std::move(session)), index_(index) {}

  void OnEvent(const Event& event) override {
    if (std::shared_ptr<Session> session = session_.lock()) session->OnEvent(index_, event);
  }

 private:
  const std::weak_ptr<Session> session_;
  const int32_t index_;
};

Session::Session(Daemon& daemon, std::string client)
    : Task(std::move(client)), daemon_(daemon), created_(absl::Now()), began_(Clock::now()) {}

absl::StatusOr<std::shared_ptr<Session>> Session::Start(Daemon& daemon, GenerationRequest wire) {
  HEARTH_RETURN_IF_ERROR(daemon.Ready());
  HEARTH_RETURN_IF_ERROR(daemon.CheckModel(wire.model));
  HEARTH_ASSIGN_OR_RETURN(const PreparedGeneration prepared, Prepare(daemon, wire));
  std::shared_ptr<Session> session(new Session(daemon, wire.client));
  session->AddChoices(wire, prepared);
  if (const absl::Status refused = session->Submit(prepared); !refused.ok()) {
    session->Cancel(refused);
    session->choices_.clear();  // no generation to be counted
    return refused;
  }
  return session;
}

void Session::AddChoices(const GenerationRequest& wire, const PreparedGeneration& prepared) {
  const Tokenizer& tokenizer = daemon_.engine().tokenizer();
  seed_ = prepared.prompts[0].sampling.seed;
  choices_per_prompt_ = prepared.n;
  logprobs_ = prepared.logprobs;
  prompt_tokens_ = usage_.prompt_tokens = prepared.prompt_tokens();
  for (const Request& prompt : prepared.prompts) {
    progress_.push_back({static_cast<int32_t>(prompt.prompt.size()), 0, 0});
    for (int32_t i = 0; i < prepared.n; ++i) {
      ChoiceOptions options{
          .index = static_cast<int32_t>(choices_.size()),
          .drop_leading_space =
              wire.echo ? tokenizer.leading_space() : BeginsWithSpace(tokenizer, prompt.prompt),
          .stop = wire.stop,
          .tool_calls = prepared.tool_calls,
          .calls_only = prepared.tool_calls && wire.tool_choice.mode == ToolChoice::Mode::kRequired,
          .logprobs = prepared.logprobs,
          .call_id_prefix = absl::StrCat("call_", id(), "_")};
      choices_.push_back({ChoiceDecoder(tokenizer, std::move(options))});
      if (wire.echo) BeginEcho(prompt.prompt);
    }
  }
  open_choices_ = static_cast<int32_t>(choices_.size());
  last_token_.resize(choices_.size());
  queue_limit_ = std::max<size_t>(kLeastEvents * choices_.size(),
                                  daemon_.config().limits().stream_buffer_bytes() / kEventBytes);
}

// Of the last choice. What the engine scores comes from it; nothing foretells the first token.
void Session::BeginEcho(const std::vector<TokenId>& prompt) {
  const absl::Span<const TokenId> ids(prompt);
  choices_.back().decoder.Echo(logprobs_ ? ids.first(1) : ids, outputs_);
}

// From the registration on it may be cancelled: what comes after that is not submitted.
absl::Status Session::Submit(const PreparedGeneration& prepared) {
  HEARTH_RETURN_IF_ERROR(daemon_.Register(shared_from_this()));
  for (int32_t i = 0; i < open_choices_; ++i) {
    Request request = prepared.prompts[i / prepared.n];
    request.choice = static_cast<uint32_t>(i % prepared.n);
    if (i > 0) request.queue_deadline = request.deadline;  // what it waits for may be its siblings
    absl::StatusOr<RequestId> id = daemon_.engine().Submit(
        std::move(request), std::make_shared<ChoiceSink>(weak_from_this(), i));
    if (!id.ok()) return WithRetryAfter(id.status(), absl::Seconds(1));
    std::lock_guard lock(mutex_);
    requests_.push_back(*id);
    if (failure_.ok()) continue;
    daemon_.engine().Cancel(*id);
    break;
  }
  return absl::OkStatus();
}

Session::~Session() {
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (!choices_[i].ended) CancelRequest(static_cast<int32_t>(i));
  }
  Fail(absl::CancelledError("abandoned"));
  daemon_.Unregister(this);
}

void Session::CancelRequest(int32_t index) {
  RequestId id = 0;
  {
    std::lock_guard lock(mutex_);
    if (static_cast<size_t>(index) >= requests_.size()) return;  // never submitted
    id = requests_[index];
  }
  daemon_.engine().Cancel(id);
}

void Session::Cancel(absl::Status why) {
  std::function<void()> ready;
  std::vector<RequestId> requests;
  {
    std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = std::move(why);
    ready.swap(ready_);
    requests = requests_;
    arrived_.notify_one();
  }
  for (const RequestId id : requests) daemon_.engine().Cancel(id);
  if (ready) ready();
}

void Session::OnEvent(int32_t index, const Event& event) {
  if (std::holds_alternative<Token>(event)) ObserveToken(index);
  std::function<void()> ready;
  bool overflow = false;
  {
    std::lock_guard lock(mutex_);
    overflow = events_.size() >= queue_limit_;
    if (!overflow) events_.push_back({index, event});
    ready.swap(ready_);
    arrived_.notify_one();
  }
  if (overflow) Cancel(absl::ResourceExhaustedError("the client reads too slowly"));
  if (ready) ready();
}

void Session::ObserveToken(int32_t index) {
  const Clock::time_point now = Clock::now();
  Clock::time_point& last = last_token_[index];
  if (last == Clock::time_point()) {
    daemon_.metrics().ObserveTimeToFirstToken(absl::FromChrono(now - began_));
  } else {
    daemon_.metrics().ObserveInterToken(absl::FromChrono(now - last));
  }
  last = now;
}

absl::StatusOr<std::optional<Output>> Session::Next(absl::Duration timeout) {
  const Clock::time_point deadline = Clock::now() + absl::ToChronoNanoseconds(timeout);
  while (outputs_.empty()) {
    QueuedEvent queued;
    absl::Status failure;
    {
      std::unique_lock lock(mutex_);
      const auto something = [this] { return !events_.empty() || !failure_.ok(); };
      if (!arrived_.wait_until(lock, deadline, something)) return std::nullopt;
      failure = failure_;
      if (failure.ok()) {
        queued = std::move(events_.front());
        events_.pop_front();
      }
    }
    if (!failure.ok()) {
      Fail(failure);
      return failure;
    }
    Convert(queued);
  }
  Output output = std::move(outputs_.front());
  outputs_.pop_front();
  return output;
}

void Session::NotifyWhenReady(std::function<void()> ready) {
  {
    std::lock_guard lock(mutex_);
    if (events_.empty() && failure_.ok()) {
      ready_ = std::move(ready);
      return;
    }
  }
  ready();
}

void Session::Convert(const QueuedEvent& queued) {
  const int32_t index = queued.index;
  if (choices_[index].ended) return;
  if (const auto* progress = std::get_if<Progress>(&queued.event)) {
    ConvertProgress(index, *progress);
  } else if (const auto* echoed = std::get_if<PromptTokens>(&queued.event)) {
    choices_[index].decoder.Echo(echoed->tokens, outputs_);
  } else if (const auto* token = std::get_if<Token>(&queued.event)) {
    ConvertToken(index, *token);
  } else if (const auto* finish = std::get_if<Finish>(&queued.event)) {
    ConvertFinish(index, *finish);
  }
}

// Choices share their prompt: the first tells.
void Session::ConvertProgress(int32_t index, const Progress& progress) {
  if (index % choices_per_prompt_ > 0) return;
  progress_[index / choices_per_prompt_] = progress;
  Progress sum{};
  for (const Progress& prompt : progress_) {
    sum.prompt_tokens += prompt.prompt_tokens;
    sum.computed_tokens += prompt.computed_tokens;
    sum.cached_tokens += prompt.cached_tokens;
  }
  usage_.cached_tokens = sum.cached_tokens;
  outputs_.push_back(sum);
}

void Session::ConvertToken(int32_t index, const Token& token) {
  ChoiceDecoder& decoder = choices_[index].decoder;
  decoder.Push(token, outputs_);
  if (!decoder.stopped()) return;
  CancelRequest(index);
  EndChoice(index, /*length=*/false, decoder.tokens());
}

void Session::ConvertFinish(int32_t index, const Finish& finish) {
  if (!finish.status.ok()) {
    Cancel(finish.status);  // the next Next reports it
    return;
  }
  choices_[index].decoder.Finish(outputs_);
  EndChoice(index, finish.reason == FinishReason::kLength, finish.completion_tokens);
}

void Session::EndChoice(int32_t index, bool length, int32_t completion_tokens) {
  Choice& choice = choices_[index];
  choice.ended = true;
  usage_.completion_tokens += completion_tokens;
  ChoiceEnd end = choice.decoder.End(length);
  daemon_.metrics().CountGeneration(Name(end.reason), absl::FromChrono(Clock::now() - began_));
  outputs_.push_back(std::move(end));
  if (--open_choices_ == 0) outputs_.push_back(usage_);
}

// Every choice that has not ended ends with the failure.
void Session::Fail(const absl::Status& why) {
  const std::string_view outcome = absl::IsCancelled(why) ? "cancelled" : "error";
  for (Choice& choice : choices_) {
    if (std::exchange(choice.ended, true)) continue;
    daemon_.metrics().CountGeneration(outcome, absl::FromChrono(Clock::now() - began_));
  }
}

}  // namespace hearth::server
