#include "engine/benchmark.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/batch.h"
#include "engine/mix.h"
#include "engine/ops/limits.h"
#include "engine/ops/workers.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

using Time = Clock::time_point;

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// When the tokens of one request came.
class Timeline final : public EventSink {
 public:
  void OnEvent(const Event& event) override {
    const std::lock_guard lock(mutex_);
    if (std::holds_alternative<Token>(event)) tokens_.push_back(Clock::now());
    if (const auto* finish = std::get_if<Finish>(&event)) finish_ = *finish;
    changed_.notify_one();
  }

  // When token `index` came, counted from 0; waits for it. Why it does not come, if it does not.
  absl::StatusOr<Time> Await(size_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return finish_ || tokens_.size() > index; });
    if (tokens_.size() > index) return tokens_[index];
    if (!finish_->status.ok()) return finish_->status;
    return absl::InternalError(absl::StrCat("a stream ended after ", tokens_.size(), " tokens"));
  }

  Finish AwaitEnd() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return finish_.has_value(); });
    return *finish_;
  }

  std::vector<Time> tokens() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }

 private:
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<Time> tokens_;
  std::optional<Finish> finish_;
};

// Requests that end with this object.
class Streams {
 public:
  explicit Streams(Engine& engine) : engine_(engine) {}
  ~Streams() {
    for (const Stream& stream : streams_) engine_.Cancel(stream.id);
    for (const Stream& stream : streams_) stream.timeline->AwaitEnd();
  }

  absl::Status Start(std::vector<TokenId> prompt, int32_t max_tokens) {
    Request request;
    request.prompt = std::move(prompt);
    request.max_tokens = max_tokens;
    request.sampling.temperature = 0;
    auto timeline = std::make_shared<Timeline>();
    HEARTH_ASSIGN_OR_RETURN(const RequestId id, engine_.Submit(std::move(request), timeline));
    streams_.push_back({id, std::move(timeline)});
    return absl::OkStatus();
  }

  size_t size() const { return streams_.size(); }
  Timeline& operator[](size_t i) const { return *streams_[i].timeline; }

  // The one whose first token comes last. From that step on each has a token in every step.
  absl::StatusOr<Timeline*> AwaitLast() const {
    Timeline* last = nullptr;
    Time latest = {};
    for (const Stream& stream : streams_) {
      HEARTH_ASSIGN_OR_RETURN(const Time first, stream.timeline->Await(0));
      if (last == nullptr || first > latest) last = stream.timeline.get();
      latest = std::max(latest, first);
    }
    return last;
  }

 private:
  struct Stream {
    RequestId id;
    std::shared_ptr<Timeline> timeline;
  };
  Engine& engine_;
  std::vector<Stream> streams_;
};

// Steps in which a prompt is computed while so many streams decode: they leave it the rest of what
// a step has at least, a block.
int32_t StepsOf(int32_t prompt, int32_t streams) {
  return prompt / std::max(1, kBlockTokens - streams) + 1;
}

// What a stream of a test has behind it: not nothing, for decoding begins somewhere.
int32_t ContextOf(int32_t depth) { return std::max(depth, 1); }

bool Wants(const BenchmarkOptions& options, BenchmarkTest test) {
  return std::find(options.tests.begin(), options.tests.end(), test) != options.tests.end();
}

// Tokens that a stream must be able to draw: while the others begin, each with what of its context
// is no whole cached block, while it is timed, and until it is cancelled.
int32_t RoomOf(const BenchmarkOptions& options, int32_t streams, int32_t depth) {
  constexpr int32_t kUntilCancelled = 16;
  const int32_t uncached = (ContextOf(depth) - 1) % kBlockTokens + 1;
  int32_t timed = options.generate;
  for (int32_t prompt : options.prompts) {
    if (Wants(options, BenchmarkTest::kMixed)) timed = std::max(timed, StepsOf(prompt, streams));
  }
  return streams * StepsOf(uncached, streams) + timed + kUntilCancelled;
}

int32_t Most(const std::vector<int32_t>& values) {
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

// What was done between two times.
struct Run {
  Time begin, end;
  int64_t steps = 1;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t decoded_tokens = 0;
  double attended_tokens = 0;            // that the decoded ones looked back on, all together
  std::vector<double> inter_token = {};  // seconds
};

// `last` has a token in each of a run's steps, as every stream has.
void CountDecoded(const Streams& streams, const Timeline& last, int32_t depth, Run& run) {
  const auto timed = [&](Time time) { return time > run.begin && time <= run.end; };
  const std::vector<Time> clock = last.tokens();
  run.steps = std::count_if(clock.begin(), clock.end(), timed);
  run.decoded_tokens = run.steps * static_cast<int64_t>(streams.size());
  run.attended_tokens = static_cast<double>(run.decoded_tokens) *
                        (ContextOf(depth) + static_cast<double>(run.steps + 1) / 2);
  for (size_t i = 0; i < streams.size(); ++i) {
    const std::vector<Time> times = streams[i].tokens();
    for (size_t t = 1; t < times.size(); ++t) {
      if (timed(times[t])) run.inter_token.push_back(Seconds(times[t] - times[t - 1]));
    }
  }
}

class Bench {
 public:
  Bench(Engine& engine, const BenchmarkOptions& options, const MachineLimits& limits)
      : engine_(engine), options_(options), limits_(limits) {}

  // What the first steps of an engine pay for, and what it learns from them.
  absl::Status WarmUp() {
    constexpr int32_t kTokens = 256, kSteps = 4;
    Streams streams(engine_);
    HEARTH_RETURN_IF_ERROR(
        streams.Start(NewPrompt(std::clamp(Most(options_.prompts), 1, kTokens)), kSteps));
    return streams[0].AwaitEnd().status;
  }

  absl::StatusOr<BenchmarkRow> Prefill(int32_t prompt) {
    BenchmarkRow row{.test = BenchmarkTest::kPrefill, .prompt = prompt};
    return Repeat(row, [&] { return TimePrompt(prompt); });
  }

  absl::StatusOr<BenchmarkRow> Decode(int32_t streams, int32_t depth) {
    BenchmarkRow row{.test = BenchmarkTest::kDecode,
                     .streams = streams,
                     .depth = depth,
                     .generate = options_.generate};
    HEARTH_RETURN_IF_ERROR(ComputeContexts(streams, depth));
    return Repeat(row, [&] { return TimeDecoding(streams, depth); });
  }

  absl::StatusOr<BenchmarkRow> Mixed(int32_t streams, int32_t depth, int32_t prompt) {
    BenchmarkRow row{
        .test = BenchmarkTest::kMixed, .streams = streams, .depth = depth, .prompt = prompt};
    HEARTH_RETURN_IF_ERROR(ComputeContexts(streams, depth));
    return Repeat(row, [&] { return TimeMixed(streams, depth, prompt); });
  }

 private:
  // Random tokens: the same ones for the same key, the first for every key.
  std::vector<TokenId> Tokens(uint64_t key, int32_t count) const {
    std::vector<TokenId> tokens;
    for (int32_t i = 0; i < count; ++i) {
      const uint64_t word = Mix(Mix(i < options_.shared_prefix ? 0 : key) + i + 1);
      tokens.push_back(static_cast<TokenId>(word % engine_.info().vocab_size));
    }
    return tokens;
  }
  std::vector<TokenId> NewPrompt(int32_t count) { return Tokens(++new_prompts_ << 32, count); }

  // Stream `i` of `count` that a test has.
  absl::Status StartStream(int32_t i, int32_t count, int32_t depth, Streams& streams) {
    return streams.Start(Tokens(i + 1, ContextOf(depth)), RoomOf(options_, count, depth));
  }

  absl::Status StartStreams(int32_t count, int32_t depth, Streams& streams) {
    for (int32_t i = 0; i < count; ++i) {
      HEARTH_RETURN_IF_ERROR(StartStream(i, count, depth, streams));
    }
    return absl::OkStatus();
  }

  // So that streams that start find what they have behind them in the cache.
  absl::Status ComputeContexts(int32_t count, int32_t depth) {
    for (int32_t i = 0; i < count; ++i) {
      Streams alone(engine_);
      HEARTH_RETURN_IF_ERROR(StartStream(i, count, depth, alone));
      HEARTH_RETURN_IF_ERROR(alone[0].Await(0).status());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Run> TimePrompt(int32_t prompt) {
    Streams streams(engine_);
    const Time begin = Clock::now();
    HEARTH_RETURN_IF_ERROR(streams.Start(NewPrompt(prompt), 1));
    HEARTH_ASSIGN_OR_RETURN(const Time end, streams[0].Await(0));
    return Run{.begin = begin,
               .end = end,
               .prompt_tokens = prompt,
               .cached_tokens = streams[0].AwaitEnd().cached_tokens};
  }

  absl::StatusOr<Run> TimeDecoding(int32_t count, int32_t depth) {
    Streams streams(engine_);
    HEARTH_RETURN_IF_ERROR(StartStreams(count, depth, streams));
    HEARTH_ASSIGN_OR_RETURN(Timeline* const last, streams.AwaitLast());
    HEARTH_ASSIGN_OR_RETURN(const Time begin, last->Await(0));
    HEARTH_ASSIGN_OR_RETURN(const Time end, last->Await(options_.generate));
    Run run{.begin = begin, .end = end};
    CountDecoded(streams, *last, depth, run);
    return run;
  }

  absl::StatusOr<Run> TimeMixed(int32_t count, int32_t depth, int32_t prompt) {
    Streams streams(engine_);
    HEARTH_RETURN_IF_ERROR(StartStreams(count, depth, streams));
    HEARTH_ASSIGN_OR_RETURN(Timeline* const last, streams.AwaitLast());
    HEARTH_ASSIGN_OR_RETURN(Run run, TimePrompt(prompt));
    CountDecoded(streams, *last, depth, run);
    return run;
  }

  // The least time that a run takes at the machine's limits, and whether reading is what takes it.
  std::pair<double, bool> LeastSeconds(const Run& run) const {
    const ModelInfo& info = engine_.info();
    const double cached_token = static_cast<double>(info.memory.kv) / info.memory.kv_tokens;
    const double bytes =
        static_cast<double>(run.steps) * static_cast<double>(info.work.step_bytes) +
        run.attended_tokens * cached_token;
    const int64_t tokens = run.prompt_tokens - run.cached_tokens + run.decoded_tokens;
    const int64_t rows = run.decoded_tokens + (run.prompt_tokens > 0 ? 1 : 0);
    const double products =
        static_cast<double>(tokens * info.work.token_products + rows * info.work.logits_products);
    const double reading = bytes / limits_.read_bytes_per_second;
    const double multiplying = products / limits_.int8_products_per_second;
    return {std::max(reading, multiplying), reading >= multiplying};
  }

  template <typename TimeOne>
  absl::StatusOr<BenchmarkRow> Repeat(BenchmarkRow row, TimeOne time_one) {
    std::vector<double> prefill, decode, of_limit, inter_token;
    for (int32_t i = 0; i < options_.repeat; ++i) {
      HEARTH_ASSIGN_OR_RETURN(const Run run, time_one());
      const double seconds = Seconds(run.end - run.begin);
      if (run.prompt_tokens > 0) prefill.push_back(run.prompt_tokens / seconds);
      if (row.streams) decode.push_back(run.decoded_tokens / seconds);
      inter_token.insert(inter_token.end(), run.inter_token.begin(), run.inter_token.end());
      const auto [least, reading] = LeastSeconds(run);
      of_limit.push_back(least / seconds);
      row.bound_by_reading = reading;
      row.cached_tokens += run.cached_tokens;
      row.decoded_tokens += run.decoded_tokens;
    }
    row.runs = options_.repeat;
    if (!prefill.empty()) row.prefill_rate = SpreadOf(std::move(prefill));
    if (!decode.empty()) row.decode_rate = SpreadOf(std::move(decode));
    if (!inter_token.empty()) row.inter_token = QuantilesOf(std::move(inter_token));
    row.of_limit = SpreadOf(std::move(of_limit));
    return row;
  }

  Engine& engine_;
  const BenchmarkOptions& options_;
  const MachineLimits& limits_;
  uint64_t new_prompts_ = 0;
};

}  // namespace

absl::StatusOr<MachineLimits> MeasureLimits(int32_t threads, const std::string& isa) {
  ops::WorkersOptions options;
  options.threads = threads;
  options.isa = isa;
  HEARTH_ASSIGN_OR_RETURN(const std::unique_ptr<ops::Workers> workers,
                          ops::Workers::Create(options));
  MachineLimits limits;
  limits.isa = std::string(workers->isa());
  limits.threads = workers->threads();
  HEARTH_ASSIGN_OR_RETURN(limits.read_bytes_per_second, ops::MeasureReadBandwidth(*workers));
  limits.int8_products_per_second = ops::MeasureInt8Products(*workers);
  return limits;
}

Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

Quantiles QuantilesOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto quantile = [&](int percent) {
    const size_t rank = (values.size() * percent + 99) / 100;  // from 1
    return values[std::max<size_t>(rank, 1) - 1];
  };
  return {quantile(50), quantile(95), quantile(99)};
}

EngineOptions BenchmarkEngineOptions(const BenchmarkOptions& options) {
  EngineOptions engine;
  const int32_t prompt = Most(options.prompts), streams = Most(options.streams);
  int32_t stream = 0;
  for (int32_t depth : options.depths) {
    stream = std::max(stream, ContextOf(depth) + RoomOf(options, streams, depth));
  }
  int32_t blocks = BlocksFor(prompt + 1);
  engine.max_context = prompt + 1;
  if (Wants(options, BenchmarkTest::kDecode) || Wants(options, BenchmarkTest::kMixed)) {
    blocks += streams * (BlocksFor(stream) + 1);  // one each that starting a prompt leaves free
    engine.max_context = std::max(engine.max_context, stream);
    engine.max_running = std::max(engine.max_running, streams + 1);
  }
  engine.kv_tokens = blocks * kBlockTokens;
  return engine;
}

absl::Status RunBenchmark(Engine& engine, const BenchmarkOptions& options,
                          const MachineLimits& limits,
                          const std::function<void(const BenchmarkRow&)>& report) {
  Bench bench(engine, options, limits);
  HEARTH_RETURN_IF_ERROR(bench.WarmUp());
  for (int32_t prompt : options.prompts) {
    if (!Wants(options, BenchmarkTest::kPrefill)) break;
    HEARTH_ASSIGN_OR_RETURN(const BenchmarkRow row, bench.Prefill(prompt));
    report(row);
  }
  for (int32_t depth : options.depths) {
    for (int32_t streams : options.streams) {
      if (!Wants(options, BenchmarkTest::kDecode)) break;
      HEARTH_ASSIGN_OR_RETURN(const BenchmarkRow row, bench.Decode(streams, depth));
      report(row);
    }
  }
  for (int32_t depth : options.depths) {
    for (int32_t streams : options.streams) {
      for (int32_t prompt : options.prompts) {
        if (!Wants(options, BenchmarkTest::kMixed)) return absl::OkStatus();
        HEARTH_ASSIGN_OR_RETURN(const BenchmarkRow row, bench.Mixed(streams, depth, prompt));
        report(row);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace hearth
