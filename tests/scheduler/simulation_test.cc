// Deterministic simulation: a scheduler under random load, with a model whose every output shows
// what it was computed from. HEARTH_SEED=<n> replays one run.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/scheduler/scheduler.h"

namespace hearth {
namespace {

using std::chrono::milliseconds;

constexpr TokenId kVocabulary = 40;
constexpr int kMostSteps = 20000;  // far more than any run needs: beyond it is a livelock

uint64_t current_seed = 0;

// A failed HEARTH_CHECK aborts; the seed must be known even then.
void PrintSeed(int) { std::fprintf(stderr, "HEARTH_SEED=%lu\n", current_seed); }

uint64_t Scramble(uint64_t x) {
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
  return x ^ (x >> 32);
}

// What a real model would keep as keys and values of a token: it depends on every token before.
uint64_t Entry(uint64_t before, TokenId token) { return Scramble(before * 31 + token + 1); }

uint64_t WeakKey(uint64_t parent, absl::Span<const TokenId> tokens) {
  return ChainKey(parent, tokens) % 7;
}

bool IsStop(const Request& request, TokenId token) {
  return std::count(request.stop_tokens.begin(), request.stop_tokens.end(), token) > 0;
}

TokenId DrawFrom(const Request& request, uint64_t last_entry, int32_t output_index) {
  uint64_t state = Scramble(last_entry + request.choice * 977);
  TokenId token = static_cast<TokenId>(state % kVocabulary);
  while (output_index < request.min_tokens && IsStop(request, token)) {
    token = (token + 1) % kVocabulary;
  }
  return token;
}

// What the request must produce whatever else runs.
struct Alone {
  std::vector<TokenId> tokens;
  FinishReason reason = FinishReason::kLength;
};

Alone RunAlone(const Request& request) {
  Alone alone;
  uint64_t entry = request.prefix_seed;
  for (const TokenId token : request.prompt) entry = Entry(entry, token);
  for (int32_t i = 0; i < request.max_tokens; ++i) {
    const TokenId token = DrawFrom(request, entry, i);
    if (i >= request.min_tokens && IsStop(request, token)) {
      alone.reason = FinishReason::kStop;
      break;
    }
    alone.tokens.push_back(token);
    entry = Entry(entry, token);
  }
  return alone;
}

struct Client {  // the far side of one request
  Request request;
  Alone alone;
  int32_t error_at = -1;  // output index at which the engine's draw fails
  int32_t foretold = 0;   // positions whose logits were computed, those that were drawn from too
  int32_t pooled = 0;
  std::vector<TokenId> received;
  std::optional<Progress> progress;
  std::optional<Finish> finish;
  bool cancelled = false;

  TokenId TokenAt(int32_t position) const {
    const auto prompt = static_cast<int32_t>(request.prompt.size());
    return position < prompt ? request.prompt[position] : received.at(position - prompt);
  }
};

struct Load {  // what kind of run it is
  SchedulerOptions options;
  int requests = 0;
  int cancel_percent = 0;     // per step
  int deadline_percent = 0;   // per request
  int error_percent = 0;      // per request
  int of_prompt_percent = 0;  // per request
  int32_t max_prompt = 0;
  int32_t max_output = 0;
  int32_t max_budget = 0;
};

class Simulation {
 public:
  Simulation(uint64_t seed, const Load& load)
      : random_(seed), load_(load), scheduler_(load.options), kv_(load.options.num_blocks) {
    for (std::vector<TokenId>& prompt : shared_) prompt = RandomTokens(load.max_prompt);
  }

  void Run() {
    int added = 0;
    for (int step = 0; added < load_.requests || !scheduler_.idle(); ++step) {
      ASSERT_LT(step, kMostSteps) << "no progress";
      now_ += milliseconds(Below(20));
      while (added < load_.requests && Below(3) == 0) added += AddRequests();
      if (Percent(load_.cancel_percent)) CancelOne();
      Step();
      if (testing::Test::HasFailure()) return;
    }
    CheckEnd();
  }

  const SchedulerStats stats() const { return scheduler_.stats(); }
  // How often each full block of a prompt was computed, but for those that a prompt ends with:
  // their logits are wanted, so they are computed even if they are cached.
  const std::map<uint64_t, int>& computed() const { return computed_; }
  const std::map<RequestId, Client>& clients() const { return clients_; }

 private:
  int32_t Below(int32_t n) { return static_cast<int32_t>(random_() % n); }
  bool Percent(int32_t percent) { return Below(100) < percent; }

  std::vector<TokenId> RandomTokens(int32_t count) {
    std::vector<TokenId> tokens(count);
    for (TokenId& token : tokens) token = Below(kVocabulary);
    return tokens;
  }

  Request RandomRequest() {
    Request request;
    const std::vector<TokenId>& base = shared_[Below(shared_.size())];
    const int32_t length = 1 + Below(load_.max_prompt);
    request.prompt.assign(base.begin(), base.begin() + length);
    for (int32_t i = Below(2) ? Below(length) : length; i < length; ++i) {
      request.prompt[i] = Below(kVocabulary);
    }
    const int32_t capacity = load_.options.num_blocks * kBlockTokens + 1 - length;
    request.max_tokens = 1 + Below(std::min(load_.max_output, capacity));
    AskOfThePrompt(request);
    request.min_tokens = Below(3) ? 0 : Below(request.max_tokens + 1);
    for (int i = std::max(0, Below(5) - 2); i > 0; --i)
      request.stop_tokens.push_back(Below(kVocabulary));
    request.priority = static_cast<Priority>(Below(3));
    request.client = std::string(1, static_cast<char>('a' + Below(4)));
    request.prefix_seed = 1 + Below(2);
    if (Percent(load_.deadline_percent)) request.queue_deadline = now_ + milliseconds(Below(400));
    if (Percent(load_.deadline_percent)) request.deadline = now_ + milliseconds(Below(1500));
    return request;
  }

  // Some want something of their prompt, some of them nothing else.
  void AskOfThePrompt(Request& request) {
    if (!Percent(load_.of_prompt_percent)) return;
    const auto length = static_cast<int32_t>(request.prompt.size());
    request.pooling = static_cast<Pooling>(Below(3));
    request.prompt_logits_from = Below(2) ? Below(length + 1) : -1;
    const bool pins = load_.options.prefix_cache && Below(2) == 0;
    if (pins) request.pin = std::string(1, static_cast<char>('a' + Below(3)));
    const bool of_prompt =
        request.prompt_logits_from >= 0 || request.pooling != Pooling::kNone || pins;
    if (pins || (of_prompt && Below(2))) request.max_tokens = 0;
  }

  int AddRequests() {
    Request request = RandomRequest();
    const int choices = Below(4) == 0 ? 1 + Below(4) : 1;
    for (int choice = 0; choice < choices; ++choice) {
      request.choice = choice;
      const bool full = scheduler_.stats().queued >= load_.options.max_queued;
      const RequestId id = ++last_id_;
      const absl::Status status = scheduler_.Add(id, request, now_);
      EXPECT_TRUE(status.ok() || full || !request.pin.empty()) << status;
      EXPECT_FALSE(status.ok() && full);
      if (!status.ok()) continue;
      Client& client = clients_[id];
      client.request = request;
      client.alone = RunAlone(request);
      if (request.max_tokens > 0 && Percent(load_.error_percent)) {
        client.error_at = Below(request.max_tokens);
      }
    }
    return choices;
  }

  void CancelOne() {
    if (last_id_ == 0) return;
    const RequestId id = 1 + Below(static_cast<int32_t>(last_id_));
    scheduler_.Cancel(id, absl::CancelledError("gone"));
    const auto found = clients_.find(id);
    if (found != clients_.end() && !found->second.finish) found->second.cancelled = true;
    TakeEvents();
    scheduler_.CheckInvariants();
  }

  void Step() {
    const uint64_t preemptions = scheduler_.stats().preemptions;
    const Budget budget{1 + Below(load_.max_budget), 1 + Below(load_.max_budget)};
    const std::set<RequestId> before = running_;
    const Batch batch = scheduler_.Schedule(budget, now_);
    scheduler_.CheckInvariants();
    TakeEvents();  // of expired requests
    const bool preempted = scheduler_.stats().preemptions != preemptions;
    CheckBatch(batch, budget, before, preempted);
    const std::vector<Drawn> drawn = Forward(batch);
    if (Percent(load_.cancel_percent)) CancelOne();
    scheduler_.Apply(batch, drawn);
    scheduler_.CheckInvariants();
    TakeEvents();
  }

  void CheckBatch(const Batch& batch, const Budget& budget, const std::set<RequestId>& before,
                  bool preempted) {
    std::set<RequestId> ids;
    int32_t tokens = 0;
    for (const BatchEntry& entry : batch.entries) {
      EXPECT_TRUE(ids.insert(entry.request).second);
      EXPECT_FALSE(clients_.at(entry.request).finish) << "computed after its end";
      EXPECT_FALSE(preempted && !before.contains(entry.request)) << "admitted while preempting";
      const auto size = static_cast<int32_t>(entry.tokens.size());
      EXPECT_GE(size, 1);
      EXPECT_LE(size, budget.max_chunk);
      EXPECT_EQ(entry.blocks.size(), (entry.start + size + kBlockTokens - 1) / kBlockTokens);
      tokens += size;
      Client& client = clients_.at(entry.request);
      EXPECT_GE(entry.logit_rows, entry.draws ? 1 : 0);
      EXPECT_LE(std::max(entry.logit_rows, entry.pooled_rows), size);
      client.foretold += entry.logit_rows;
      client.pooled += entry.pooled_rows;
    }
    EXPECT_EQ(tokens, batch.num_tokens);
    EXPECT_LE(tokens, std::max(budget.max_tokens, scheduler_.stats().running));
    EXPECT_LE(tokens, load_.options.max_batch_tokens);
    EXPECT_EQ(batch.empty(), scheduler_.idle()) << "a step without progress";
    for (const RequestId id : decoding_) {
      const bool left_out = !ids.contains(id) && !clients_.at(id).finish && !preempted;
      EXPECT_FALSE(left_out) << "request " << id << " was due a token";
    }
    running_.insert(ids.begin(), ids.end());
    if (preempted) running_ = ids;  // a superset is all that the check of admission needs
  }

  // Computes as a model would: reads what the block table shows, writes the new positions.
  std::vector<Drawn> Forward(const Batch& batch) {
    std::map<BlockId, int> holders;
    for (const BatchEntry& entry : batch.entries) {
      for (const BlockId block : entry.blocks) ++holders[block];
    }
    std::vector<Drawn> drawn;
    for (const BatchEntry& entry : batch.entries) {
      const Client& client = clients_.at(entry.request);
      uint64_t last = client.request.prefix_seed;
      for (int32_t p = 0; p < entry.start; ++p) {
        last = Entry(last, client.TokenAt(p));
        EXPECT_EQ(Slot(entry, p), last) << "request " << entry.request << " position " << p;
      }
      for (size_t i = 0; i < entry.tokens.size(); ++i) {
        const int32_t p = entry.start + static_cast<int32_t>(i);
        EXPECT_EQ(entry.tokens[i], client.TokenAt(p));
        EXPECT_EQ(holders[entry.blocks[p / kBlockTokens]], 1) << "writes to a shared block";
        last = Entry(last, entry.tokens[i]);
        Slot(entry, p) = last;
        const bool shareable = p < MatchLimit(client.request.prompt.size()) * kBlockTokens;
        if ((p + 1) % kBlockTokens == 0 && shareable) ++computed_[last];
      }
      if (!entry.draws) continue;
      const auto index = static_cast<int32_t>(client.received.size());
      if (index == client.error_at) {
        drawn.push_back(absl::InternalError("logits: not a number"));
      } else {
        drawn.push_back(Token{DrawFrom(client.request, last, index), {}, {}});
      }
    }
    return drawn;
  }

  uint64_t& Slot(const BatchEntry& entry, int32_t position) {
    return kv_[entry.blocks[position / kBlockTokens]][position % kBlockTokens];
  }

  void TakeEvents() {
    decoding_.clear();
    for (const Emission& emission : scheduler_.TakeEvents()) {
      Client& client = clients_.at(emission.request);
      ASSERT_FALSE(client.finish) << "event after the end of request " << emission.request;
      if (const auto* token = std::get_if<Token>(&emission.event)) {
        ASSERT_FALSE(client.cancelled);
        client.received.push_back(token->id);
        decoding_.insert(emission.request);
      } else if (const auto* progress = std::get_if<Progress>(&emission.event)) {
        CheckProgress(client, *progress);
      } else {
        client.finish = std::get<Finish>(emission.event);
        decoding_.erase(emission.request);
        running_.erase(emission.request);
        CheckFinish(client);
      }
    }
  }

  void CheckProgress(Client& client, const Progress& progress) {
    EXPECT_TRUE(client.received.empty()) << "prompt progress after output";
    EXPECT_EQ(progress.prompt_tokens, static_cast<int32_t>(client.request.prompt.size()));
    EXPECT_LE(progress.computed_tokens, progress.prompt_tokens);
    EXPECT_LT(progress.cached_tokens, progress.computed_tokens);
    if (client.progress) {
      EXPECT_GT(progress.computed_tokens, client.progress->computed_tokens);
      EXPECT_GE(progress.cached_tokens, client.progress->cached_tokens);
    }
    client.progress = progress;
  }

  void CheckFinish(const Client& client) {
    const Finish& finish = *client.finish;
    const auto received = static_cast<int32_t>(client.received.size());
    const bool whole =
        finish.reason == FinishReason::kStop || finish.reason == FinishReason::kLength;
    EXPECT_EQ(finish.status.ok(), whole);
    EXPECT_EQ(finish.prompt_tokens, static_cast<int32_t>(client.request.prompt.size()));
    EXPECT_EQ(finish.completion_tokens, received + (finish.reason == FinishReason::kStop ? 1 : 0));
    EXPECT_EQ(client.cancelled, finish.reason == FinishReason::kCancelled);
    ASSERT_LE(received, static_cast<int32_t>(client.alone.tokens.size()));
    EXPECT_TRUE(
        std::equal(client.received.begin(), client.received.end(), client.alone.tokens.begin()))
        << "tokens differ from those of the request alone";
    if (whole) {
      EXPECT_EQ(client.received, client.alone.tokens);
      EXPECT_EQ(finish.reason, client.alone.reason);
      EXPECT_EQ(client.progress->computed_tokens, client.progress->prompt_tokens);
      EXPECT_EQ(finish.cached_tokens, client.progress->cached_tokens);
      CheckOfThePrompt(client);
    } else if (finish.reason == FinishReason::kError) {
      CheckError(client);
    }
  }

  // Each row that was asked for was computed once, whatever was cached and preempted.
  void CheckOfThePrompt(const Client& client) {
    const Request& request = client.request;
    const auto length = static_cast<int32_t>(request.prompt.size());
    const int32_t drawn = client.finish->completion_tokens;
    const int32_t from = request.prompt_logits_from;
    int32_t rows = drawn;
    if (from >= 0) rows = length - std::max(0, from - 1) + std::max(0, drawn - 1);
    EXPECT_EQ(client.foretold, rows);
    EXPECT_EQ(client.pooled, request.pooling == Pooling::kNone   ? 0
                             : request.pooling == Pooling::kLast ? 1
                                                                 : length);
  }

  void CheckError(const Client& client) {
    const bool collides = load_.options.prefix_key == &WeakKey && !client.request.pin.empty();
    switch (client.finish->status.code()) {
      case absl::StatusCode::kInternal:
        EXPECT_EQ(static_cast<int32_t>(client.received.size()), client.error_at);
        break;
      case absl::StatusCode::kResourceExhausted:
        EXPECT_FALSE(client.request.pin.empty());
        break;
      case absl::StatusCode::kUnavailable:
        if (collides && client.progress) break;  // another prefix has one of its keys
        EXPECT_GE(now_, client.request.queue_deadline);
        EXPECT_FALSE(client.progress) << "expired in the queue after it was started";
        break;
      case absl::StatusCode::kDeadlineExceeded:
        EXPECT_GE(now_, client.request.deadline);
        break;
      default:
        ADD_FAILURE() << client.finish->status;
    }
  }

  void CheckEnd() {
    for (const auto& [id, client] : clients_) {
      EXPECT_TRUE(client.finish) << "request " << id << " has no end";
    }
    EXPECT_LE(scheduler_.stats().blocks_used, scheduler_.stats().blocks_pinned);
    scheduler_.FlushPrefixCache();
    EXPECT_EQ(scheduler_.stats().blocks_used, 0);
    EXPECT_EQ(scheduler_.stats().blocks_cached, 0);
    scheduler_.CheckInvariants();
  }

  std::mt19937_64 random_;
  const Load load_;
  Scheduler scheduler_;
  Clock::time_point now_{};
  RequestId last_id_ = 0;
  std::map<RequestId, Client> clients_;
  std::array<std::vector<TokenId>, 3> shared_;
  std::vector<std::array<uint64_t, kBlockTokens>> kv_;
  std::map<uint64_t, int> computed_;
  std::set<RequestId> decoding_;  // got a token in the latest step and goes on
  std::set<RequestId> running_;   // computed before, and not known to have stopped
};

Load RandomLoad(uint64_t seed) {
  std::mt19937_64 random(seed * 7919);
  const auto below = [&](int32_t n) { return static_cast<int32_t>(random() % n); };
  Load load;
  load.max_prompt = 1 + below(160);
  load.max_output = 1 + below(below(2) ? 20 : 250);
  const int32_t one_request = (load.max_prompt + kBlockTokens - 1) / kBlockTokens;
  load.options.num_blocks = one_request + below(below(4) ? 10 : 40);
  load.options.max_running = 1 + below(10);
  load.options.max_queued = 1 + below(20);
  load.options.max_batch_tokens = load.options.max_running + below(100);
  load.options.prefix_cache = below(5) != 0;
  if (below(5) == 0) load.options.prefix_key = &WeakKey;
  load.options.ageing = milliseconds(below(3) == 0 ? 0 : 1 + below(500));
  load.requests = 5 + below(30);
  load.cancel_percent = below(2) ? below(15) : 0;
  load.deadline_percent = below(2) ? below(40) : 0;
  load.error_percent = below(2) ? below(20) : 0;
  load.of_prompt_percent = below(2) ? below(60) : 0;
  load.max_budget = 1 + below(120);
  if (below(3) == 0) {  // short prompts that grow long in a small pool: it runs out all the time
    load.max_prompt = 1 + below(40);
    load.max_output = 250;
    load.options.num_blocks = 4 + below(6);
  }
  return load;
}

std::vector<uint64_t> Seeds(uint64_t count) {
  if (const char* replay = std::getenv("HEARTH_SEED")) return {std::strtoull(replay, nullptr, 10)};
  std::vector<uint64_t> seeds(count);
  for (uint64_t i = 0; i < count; ++i) seeds[i] = i + 1;
  return seeds;
}

class SimulationTest : public testing::Test {
 protected:
  SimulationTest() { std::signal(SIGABRT, PrintSeed); }
  ~SimulationTest() override { std::signal(SIGABRT, SIG_DFL); }
};

TEST_F(SimulationTest, EveryRequestEndsAsItWouldAlone) {
  SchedulerStats total;
  for (const uint64_t seed : Seeds(2000)) {
    current_seed = seed;
    SCOPED_TRACE("HEARTH_SEED=" + std::to_string(seed));
    Simulation simulation(seed, RandomLoad(seed));
    simulation.Run();
    total.preemptions += simulation.stats().preemptions;
    total.cancellations += simulation.stats().cancellations;
    total.prompt_tokens_cached += simulation.stats().prompt_tokens_cached;
    total.tokens_recomputed += simulation.stats().tokens_recomputed;
    if (HasFailure()) return;
  }
  if (std::getenv("HEARTH_SEED") != nullptr) return;
  // The runs reach what they are meant to test.
  EXPECT_GT(total.preemptions, 1000u);
  EXPECT_GT(total.cancellations, 1000u);
  EXPECT_GT(total.prompt_tokens_cached, 10000u);
  EXPECT_GT(total.tokens_recomputed, 10000u);
}

// With room for everything, each block of a prompt that could be shared is computed once.
TEST_F(SimulationTest, NoPrefixIsComputedTwice) {
  for (const uint64_t seed : Seeds(200)) {
    current_seed = seed;
    SCOPED_TRACE("HEARTH_SEED=" + std::to_string(seed));
    Load load = RandomLoad(seed);
    load.options.num_blocks = 2000;
    load.options.prefix_cache = true;
    load.options.prefix_key = &ChainKey;
    load.cancel_percent = load.deadline_percent = load.error_percent = load.of_prompt_percent = 0;
    Simulation simulation(seed, load);
    simulation.Run();
    if (HasFailure()) return;
    EXPECT_EQ(simulation.stats().preemptions, 0u);
    for (const auto& [id, client] : simulation.clients()) {
      const std::vector<TokenId>& prompt = client.request.prompt;
      uint64_t entry = client.request.prefix_seed;
      for (int32_t p = 0; p < MatchLimit(prompt.size()) * kBlockTokens; ++p) {
        entry = Entry(entry, prompt[p]);
        if ((p + 1) % kBlockTokens == 0) {
          const auto found = simulation.computed().find(entry);
          const int times = found == simulation.computed().end() ? 0 : found->second;
          EXPECT_LE(times, 1) << "request " << id << " block " << p / kBlockTokens;
        }
      }
    }
    if (HasFailure()) return;
  }
}

// Nothing depends on anything but the inputs: the same seed gives the same run, to the last event.
TEST_F(SimulationTest, RunsReplay) {
  for (const uint64_t seed : Seeds(20)) {
    Simulation first(seed, RandomLoad(seed)), second(seed, RandomLoad(seed));
    first.Run();
    second.Run();
    EXPECT_EQ(first.computed(), second.computed());
    EXPECT_EQ(first.stats().preemptions, second.stats().preemptions);
    EXPECT_EQ(first.stats().prompt_tokens_cached, second.stats().prompt_tokens_cached);
  }
}

}  // namespace
}  // namespace hearth
