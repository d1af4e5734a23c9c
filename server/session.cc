#include "server/session.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "engine/engine.h"
#include "engine/status_macros.h"
#include "server/status.h"

namespace hearth::server {
namespace {

constexpr int64_t kMaxChoices = 4;
constexpr size_t kMaxStops = 4;
constexpr size_t kMaxStopBytes = 64;
constexpr size_t kMaxLogitBias = 1024;
constexpr size_t kMaxMessages = 10'000;
constexpr size_t kEventBytes = sizeof(int32_t) + sizeof(Event);

std::string RandomId() {
  absl::BitGen random;
  return absl::StrFormat("%016x%08x", absl::Uniform<uint64_t>(random),
                         absl::Uniform<uint32_t>(random));
}

// Moves an optional wire value into `out` when it lies within [low, high].
template <typename Wire, typename T>
absl::Status Take(const std::optional<Wire>& wire, Wire low, Wire high, std::string_view name,
                  T& out) {
  if (!wire) return absl::OkStatus();
  if (!(*wire >= low && *wire <= high)) {
    return InvalidParam(name, absl::StrCat("must be within [", low, ", ", high, "]"));
  }
  out = static_cast<T>(*wire);
  return absl::OkStatus();
}

// Likewise for (low, high].
absl::Status TakeAbove(const std::optional<double>& wire, double low, double high,
                       std::string_view name, float& out) {
  if (wire && !(static_cast<float>(*wire) > low)) {
    return InvalidParam(name, absl::StrCat("must be within (", low, ", ", high, "]"));
  }
  return Take(wire, low, high, name, out);
}

absl::StatusOr<SamplingParams> TakeSampling(const GenerationRequest& wire, int32_t vocab) {
  SamplingParams p;
  HEARTH_RETURN_IF_ERROR(Take(wire.temperature, 0.0, 2.0, "temperature", p.temperature));
  HEARTH_RETURN_IF_ERROR(TakeAbove(wire.top_p, 0.0, 1.0, "top_p", p.top_p));
  HEARTH_RETURN_IF_ERROR(Take<int64_t>(wire.top_k, 0, vocab, "top_k", p.top_k));
  HEARTH_RETURN_IF_ERROR(Take(wire.min_p, 0.0, 1.0, "min_p", p.min_p));
  HEARTH_RETURN_IF_ERROR(
      TakeAbove(wire.repetition_penalty, 0.0, 2.0, "repetition_penalty", p.repetition_penalty));
  HEARTH_RETURN_IF_ERROR(
      Take(wire.frequency_penalty, -2.0, 2.0, "frequency_penalty", p.frequency_penalty));
  HEARTH_RETURN_IF_ERROR(
      Take(wire.presence_penalty, -2.0, 2.0, "presence_penalty", p.presence_penalty));
  if (wire.logit_bias.size() > kMaxLogitBias) {
    return InvalidParam("logit_bias", absl::StrCat("at most ", kMaxLogitBias, " entries"));
  }
  for (const auto& [token, bias] : wire.logit_bias) {
    if (token < 0 || token >= vocab) {
      return InvalidParam("logit_bias", absl::StrCat("token ids must be within [0, ", vocab, ")"));
    }
    if (!(bias >= -100 && bias <= 100)) {
      return InvalidParam("logit_bias", "values must be within [-100, 100]");
    }
    p.logit_bias.push_back({static_cast<TokenId>(token), static_cast<float>(bias)});
  }
  return p;
}

absl::Status CheckStops(const std::vector<std::string>& stops) {
  if (stops.size() > kMaxStops) {
    return InvalidParam("stop", absl::StrCat("at most ", kMaxStops, " strings"));
  }
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return InvalidParam("stop", absl::StrCat("each of 1 to ", kMaxStopBytes, " bytes"));
    }
    if (stop.find('\0') != std::string::npos) return InvalidParam("stop", "NUL is not allowed");
  }
  return absl::OkStatus();
}

// Prompts are encoded a little further than the context, to say by how much they exceed it.
size_t Enough(const ModelInfo& info) { return 2 * static_cast<size_t>(info.max_context); }

absl::StatusOr<std::vector<TokenId>> RenderChat(const Daemon& daemon,
                                                const std::vector<Message>& messages) {
  if (messages.empty()) return InvalidParam("messages", "at least one message is needed");
  if (messages.size() > kMaxMessages) {
    return InvalidParam("messages", absl::StrCat("at most ", kMaxMessages, " messages"));
  }
  if (daemon.chat_format() == nullptr) {
    return InvalidParam("messages",
                        "this model has no chat format the daemon knows; use completions");
  }
  absl::StatusOr<std::vector<TokenId>> prompt =
      daemon.chat_format()->Render(messages, {}, Enough(daemon.engine().info()));
  if (!prompt.ok()) return WithParam(prompt.status(), "messages");
  return prompt;
}

absl::StatusOr<std::vector<TokenId>> TokenizeText(const Engine& engine, const std::string& text,
                                                  std::string_view name) {
  const Tokenizer& tokenizer = engine.tokenizer();
  std::vector<TokenId> ids;
  if (tokenizer.bos() && (tokenizer.add_bos() || text.empty())) ids.push_back(*tokenizer.bos());
  const std::vector<TokenId> body = tokenizer.Encode(text, Enough(engine.info()));
  ids.insert(ids.end(), body.begin(), body.end());
  if (ids.empty()) return InvalidParam(name, "must not be empty: this model has no BOS token");
  return ids;
}

absl::StatusOr<std::vector<TokenId>> CheckTokens(const std::vector<int64_t>& wire, int32_t vocab,
                                                 std::string_view name) {
  if (wire.empty()) return InvalidParam(name, "must not be an empty list");
  for (int64_t id : wire) {
    if (id < 0 || id >= vocab) {
      return InvalidParam(name, absl::StrCat("token ids must be within [0, ", vocab, ")"));
    }
  }
  return std::vector<TokenId>(wire.begin(), wire.end());
}

absl::StatusOr<std::vector<TokenId>> PromptTokens(const Daemon& daemon,
                                                  const GenerationRequest& wire) {
  if (const auto* messages = std::get_if<std::vector<Message>>(&wire.prompt)) {
    return RenderChat(daemon, *messages);
  }
  if (const auto* text = std::get_if<std::string>(&wire.prompt)) {
    return TokenizeText(daemon.engine(), *text, wire.prompt_name);
  }
  return CheckTokens(std::get<std::vector<int64_t>>(wire.prompt), daemon.engine().info().vocab_size,
                     wire.prompt_name);
}

// Asking for more than the context leaves is refused; the default ends with the context.
absl::StatusOr<int32_t> OutputLimit(const GenerationRequest& wire, const ModelInfo& info,
                                    int64_t prompt_tokens) {
  const int64_t room = info.max_context - prompt_tokens;
  if (room < 1) {
    return InvalidParam(
        wire.prompt_name,
        absl::StrCat("the prompt has ",
                     static_cast<size_t>(prompt_tokens) > Enough(info) ? "more than " : "",
                     std::min<int64_t>(prompt_tokens, Enough(info)), " tokens, the context holds ",
                     info.max_context, " together with the output"),
        "context_length_exceeded");
  }
  int32_t limit = info.default_max_tokens;
  HEARTH_RETURN_IF_ERROR(Take<int64_t>(wire.max_tokens, 1, std::numeric_limits<int32_t>::max(),
                                       wire.max_tokens_name, limit));
  if (wire.max_tokens && limit > room) {
    return InvalidParam(wire.max_tokens_name,
                        absl::StrCat("the prompt has ", prompt_tokens, " tokens, which leaves ",
                                     room, " of the context of ", info.max_context),
                        "context_length_exceeded");
  }
  return limit;
}

// SentencePiece begins a document, or what follows a marker, with a space that is not of the text.
bool BeginsWithSpace(const Tokenizer& tokenizer, const std::vector<TokenId>& prompt) {
  const bool opens = prompt.size() == 1 && prompt[0] == tokenizer.bos();
  return tokenizer.leading_space() && (opens || tokenizer.IsMarker(prompt.back()));
}

void SetDeadlines(const v1::Limits& limits, const GenerationRequest& wire, Request& request) {
  const Clock::time_point now = Clock::now();
  absl::Duration total = absl::Milliseconds(limits.request_timeout_ms());
  if (wire.timeout) total = std::min(total, std::max(*wire.timeout, absl::ZeroDuration()));
  request.deadline = now + absl::ToChronoMilliseconds(total);
  request.queue_deadline = now + std::chrono::milliseconds(limits.queue_timeout_ms());
}

std::string_view OutcomeName(FinishReason reason) {
  return reason == FinishReason::kLength ? "length" : "stop";
}

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

Session::Session(Daemon& daemon)
    : daemon_(daemon),
      id_(RandomId()),
      created_(absl::Now()),
      began_(Clock::now()),
      queue_limit_(
          std::max<size_t>(16, daemon.config().limits().stream_buffer_bytes() / kEventBytes)) {}

absl::StatusOr<std::shared_ptr<Session>> Session::Start(Daemon& daemon, GenerationRequest wire) {
  HEARTH_RETURN_IF_ERROR(daemon.Ready());
  if (!wire.model.empty()) HEARTH_RETURN_IF_ERROR(daemon.CheckModel(wire.model));
  const ModelInfo& info = daemon.engine().info();
  const Tokenizer& tokenizer = daemon.engine().tokenizer();
  int32_t n = 1;
  HEARTH_RETURN_IF_ERROR(Take<int64_t>(wire.n, 1, kMaxChoices, "n", n));
  HEARTH_RETURN_IF_ERROR(CheckStops(wire.stop));
  Request request;
  HEARTH_ASSIGN_OR_RETURN(request.sampling, TakeSampling(wire, info.vocab_size));
  HEARTH_ASSIGN_OR_RETURN(request.prompt, PromptTokens(daemon, wire));
  HEARTH_ASSIGN_OR_RETURN(request.max_tokens,
                          OutputLimit(wire, info, static_cast<int64_t>(request.prompt.size())));
  request.sampling.seed = wire.seed ? *wire.seed : absl::Uniform<uint64_t>(absl::BitGen());
  request.stop_tokens = tokenizer.stop_tokens();
  request.client = wire.client;
  request.cache_salt = daemon.CacheSalt(wire.client);
  SetDeadlines(daemon.config().limits(), wire, request);

  std::shared_ptr<Session> session(new Session(daemon));
  HEARTH_RETURN_IF_ERROR(daemon.Register(session));
  session->seed_ = request.sampling.seed;
  session->prompt_tokens_ = static_cast<int32_t>(request.prompt.size());
  session->usage_.prompt_tokens = session->prompt_tokens_;
  for (int32_t i = 0; i < n; ++i) {
    session->choices_.emplace_back(tokenizer, BeginsWithSpace(tokenizer, request.prompt),
                                   wire.stop);
  }
  HEARTH_RETURN_IF_ERROR(session->Submit(request, n));
  return session;
}

absl::Status Session::Submit(const Request& prototype, int32_t n) {
  open_choices_ = n;
  last_token_.resize(n);
  for (int32_t i = 0; i < n; ++i) {
    Request request = prototype;
    request.choice = static_cast<uint32_t>(i);
    absl::StatusOr<RequestId> id = daemon_.engine().Submit(
        std::move(request), std::make_shared<ChoiceSink>(weak_from_this(), i));
    if (!id.ok()) {
      for (int32_t other = 0; other < i; ++other) CancelRequest(other);
      choices_.clear();  // refused: no generation to be counted
      return WithRetryAfter(id.status(), absl::Seconds(1));
    }
    std::lock_guard lock(mutex_);
    requests_.push_back(*id);
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
  {
    std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = std::move(why);
    ready.swap(ready_);
    arrived_.notify_one();
  }
  for (size_t i = 0; i < choices_.size(); ++i) CancelRequest(static_cast<int32_t>(i));
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
    if (index > 0) return;  // the choices share the prompt
    usage_.cached_tokens = progress->cached_tokens;
    outputs_.push_back(*progress);
  } else if (const auto* token = std::get_if<Token>(&queued.event)) {
    ConvertToken(index, *token);
  } else {
    ConvertFinish(index, std::get<Finish>(queued.event));
  }
}

void Session::ConvertToken(int32_t index, const Token& token) {
  Choice& choice = choices_[index];
  ++choice.tokens;
  std::string text = choice.stop_strings.Push(choice.decoder.Push(token.id));
  outputs_.push_back(Delta{index, std::move(text), {token.id}});
  if (choice.stop_strings.matched()) {
    CancelRequest(index);
    EndChoice(index, FinishReason::kStop, choice.tokens);
  }
}

void Session::ConvertFinish(int32_t index, const Finish& finish) {
  if (!finish.status.ok()) {
    Cancel(finish.status);  // the next Next reports it
    return;
  }
  Choice& choice = choices_[index];
  std::string rest = choice.stop_strings.Push(choice.decoder.Flush());
  FinishReason reason = finish.reason;
  if (choice.stop_strings.matched()) {
    reason = FinishReason::kStop;
  } else {
    rest += choice.stop_strings.Flush();
  }
  if (!rest.empty()) outputs_.push_back(Delta{index, std::move(rest), {}});
  EndChoice(index, reason, finish.completion_tokens);
}

void Session::EndChoice(int32_t index, FinishReason reason, int32_t completion_tokens) {
  choices_[index].ended = true;
  usage_.completion_tokens += completion_tokens;
  daemon_.metrics().CountGeneration(OutcomeName(reason), absl::FromChrono(Clock::now() - began_));
  outputs_.push_back(ChoiceEnd{index, reason});
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
