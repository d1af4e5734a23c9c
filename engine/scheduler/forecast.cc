#include "engine/scheduler/forecast.h"

#include <algorithm>
#include <deque>
#include <optional>

#include "engine/batch.h"
#include "engine/check.h"

namespace hearth {
namespace {

struct Runner {
  Work left;
  bool asked = false;
  int32_t blocks = 0;   // that its end sets free
  int32_t planned = 0;  // tokens of the current step
};

class Steps {
 public:
  Steps(const Workload& work, const StepLimits& limits, const CostModel& cost)
      : limits_(limits), cost_(cost), available_(work.blocks_available) {
    for (const Work& left : work.running) {
      const int32_t all = BlocksFor(left.computed + left.pending);
      available_ -= all - left.held;
      running_.push_back({.left = left, .blocks = all - left.shared});
    }
    for (size_t i = 0; i < work.queued.size(); ++i) {
      queue_.push_back({.left = work.queued[i], .asked = i == work.asked});
    }
    estimate_.cached_tokens = work.cached_tokens;
    estimate_.queue_position = static_cast<int32_t>(work.asked) + 1;
  }

  Estimate Run() {
    Admit();
    if (asked_runs_) estimate_.queue_position = 0;
    while (!done_) {
      Plan();
      const int32_t repeats = Repeats();
      now_ += Duration(repeats);
      Apply(repeats);
      Admit();
    }
    return estimate_;
  }

 private:
  void Admit() {
    while (!queue_.empty() && static_cast<int32_t>(running_.size()) < limits_.max_running) {
      Runner next = queue_.front();
      next.blocks = BlocksFor(next.left.computed + next.left.pending) - next.left.shared;
      const int32_t growth = static_cast<int32_t>(running_.size());
      if (!running_.empty() && next.blocks + growth > available_) return;
      available_ -= next.blocks;
      asked_runs_ |= next.asked;
      running_.push_back(next);
      queue_.pop_front();
    }
  }

  void Plan() {
    const bool decoding = std::any_of(running_.begin(), running_.end(), Decodes);
    const Budget budget = limits_.Allow(cost_, decoding);
    double room = std::min(budget.max_tokens, limits_.max_batch_tokens);
    int32_t free = limits_.max_batch_tokens;
    for (Runner& runner : running_) {
      runner.planned = Decodes(runner) ? 1 : 0;
      if (runner.planned > 0) room -= budget.Worth(1, runner.left.LogitRows(1));
      free -= runner.planned;
    }
    room = std::max<double>(room, std::min(budget.min_chunk, free));
    for (Runner& runner : running_) {
      if (Decodes(runner)) continue;
      runner.planned = budget.Chunk(runner.left.pending, runner.left.rows, room);
      room -= budget.Worth(runner.planned, runner.left.LogitRows(runner.planned));
    }
  }

  // How often the step comes again: until the next end, while all that is asked of it is decoding
  // what has begun.
  int32_t Repeats() const {
    int32_t repeats = running_.front().left.output;
    for (const Runner& runner : running_) {
      if (!Decodes(runner) || (runner.asked && !began_)) return 1;
      repeats = std::min(repeats, runner.left.output);
    }
    return std::max(repeats, 1);
  }

  std::chrono::nanoseconds Duration(int32_t repeats) const {
    int32_t tokens = 0, rows = 0;
    double attended = 0;
    for (const Runner& runner : running_) {
      const double count = runner.planned;
      tokens += runner.planned;
      rows += runner.left.LogitRows(runner.planned);
      attended += count * (runner.left.computed + (repeats - 1) / 2.0) + count * (count + 1) / 2;
    }
    return cost_.Expect(tokens, attended, rows) * repeats;
  }

  void Apply(int32_t repeats) {
    for (Runner& runner : running_) {
      Work& left = runner.left;
      left.computed += runner.planned * repeats;
      left.rows -= left.LogitRows(runner.planned);
      left.pending -= runner.planned;
      if (left.pending > 0) continue;
      left.output = std::max(0, left.output - repeats);
      left.pending = left.rows = 1;
      if (runner.asked && !began_) {
        began_ = true;
        estimate_.first_token = now_;
      }
      if (left.output > 0) continue;
      left.pending = 0;
      available_ += runner.blocks;
      done_ |= runner.asked;
      if (runner.asked) estimate_.total = now_;
    }
    std::erase_if(running_, [](const Runner& runner) { return runner.left.pending == 0; });
  }

  static bool Decodes(const Runner& runner) { return runner.left.pending == 1; }

  const StepLimits limits_;
  const CostModel& cost_;
  std::vector<Runner> running_;
  std::deque<Runner> queue_;
  int32_t available_;
  bool asked_runs_ = false;
  bool began_ = false;
  bool done_ = false;
  std::chrono::nanoseconds now_{0};
  Estimate estimate_;
};

}  // namespace

Budget StepLimits::Allow(const CostModel& cost, bool decoding) const {
  Budget budget = cost.BudgetFor(decoding ? decode_target : prefill_target);
  if (max_chunk > 0) budget.max_chunk = std::min(budget.max_chunk, max_chunk);
  return budget;
}

Estimate Forecast(const Workload& work, const StepLimits& limits, const CostModel& cost) {
  HEARTH_CHECK(work.asked < work.queued.size());
  return Steps(work, limits, cost).Run();
}

}  // namespace hearth
