// How long a step takes: a + b * tokens + c * attended positions + d * rows of logits, none of them
// negative, fitted online to the steps that ran. It answers how many tokens and rows a step may
// have to keep a target.
//
// Observations are kept apart by size (powers of two) and forgotten exponentially within a size,
// so that a thousand decode steps do not wash out what is known about large steps. A single step
// moves its size by a bounded factor, so that one page fault does not spoil the fit.
#ifndef HEARTH_ENGINE_SCHEDULER_COST_MODEL_H_
#define HEARTH_ENGINE_SCHEDULER_COST_MODEL_H_

#include <array>
#include <chrono>
#include <cstdint>

#include "engine/batch.h"
#include "engine/scheduler/scheduler.h"

namespace hearth {

class CostModel {
 public:
  explicit CostModel(int32_t max_batch_tokens) : max_batch_tokens_(max_batch_tokens) {}

  // Reads the sizes of `batch` only. Empty batches and durations <= 0 say nothing and are ignored.
  void Observe(const Batch& batch, std::chrono::nanoseconds duration);

  // How long a step of so many tokens should take, which attend to so many positions altogether and
  // give so many rows of logits. 0 before the first observation.
  std::chrono::nanoseconds Expect(int32_t tokens, double attended, int32_t logit_rows) const;

  // The most a step may compute: what is expected to stay within `target`, but at least kLeastChunk
  // tokens, and as many of prompts.
  Budget BudgetFor(std::chrono::nanoseconds target) const;

  // Below it a step is spent reading weights, not on tokens.
  static constexpr int32_t kLeastChunk = 8;

 private:
  // What a step's duration depends on: tokens, 1, attended positions, rows of logits; in that order
  // a tie between explanations goes to the cost per token, which is the careful one.
  static constexpr int kTerms = 4;
  using Terms = std::array<double, kTerms>;

  // Decayed sums over the steps of one size.
  struct Moments {
    double weight = 0;  // number of steps
    double mean = 0;    // of their durations, in milliseconds
    double yy = 0;
    Terms xy{};
    std::array<Terms, kTerms> xx{};
  };

  static void Add(const Terms& x, double milliseconds, Moments* moments);
  static bool Solve(const Moments& moments, unsigned subset, Terms* solution);
  static double Loss(const Moments& moments, const Terms& solution);
  void Fit();

  const int32_t max_batch_tokens_;
  std::array<Moments, 32> sizes_{};  // by the bit width of the number of tokens, less one
  Terms cost_{};                     // milliseconds per unit of each term
  double depth_ = 0;                 // attended positions per token in the latest step
  bool fitted_ = false;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SCHEDULER_COST_MODEL_H_
