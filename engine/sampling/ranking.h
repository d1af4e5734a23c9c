// The candidates of one logits row in sampling order: logit descending, id ascending. A full sort
// of 200,000 tokens would take longer than a decode step can spare, and is not needed: the row is
// divided into narrow buckets of logits, the sums of the buckets tell where a limit or a draw
// falls, and only that bucket is sorted.
//
// Every result is a function of the row and the temperature alone. Weights are e^z, with z the
// tempered distance to the largest logit; sums are taken in double, bucket by bucket in sampling
// order, by ascending id within a whole bucket and in sampling order within a sorted one.
#ifndef HEARTH_ENGINE_SAMPLING_RANKING_H_
#define HEARTH_ENGINE_SAMPLING_RANKING_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/request.h"

namespace hearth {

class Ranking {
 public:
  // `logits` must outlive the use of the ranking and not change. Tokens whose weight is too small
  // for a normal f32 are no candidates. REQUIRES: max is the largest logit and finite, no logit
  // is NaN, temperature > 0.
  void Reset(absl::Span<const float> logits, float max, float temperature);

  // Each keeps a leading part of the candidates that are left, never none of them.
  void KeepCount(int32_t count);      // REQUIRES: count >= 1
  void KeepMass(double probability);  // the fewest whose share of the remaining weight reaches it
  void KeepAbove(float z);            // those not below z; REQUIRES: z <= 0

  // The candidate at the fraction `u` in [0, 1) of the remaining weight.
  TokenId Pick(double u);

 private:
  struct Bucket {
    double mass = 0;
    int32_t count = 0;
  };
  struct Candidate {
    float logit;
    TokenId token;
  };
  struct Place {  // of a candidate, and the weight of all up to and including it
    int32_t bucket;
    int32_t rank;  // within the bucket
    double mass;
  };

  float Tempered(float logit) const { return (logit - max_) / temperature_; }
  void Sort(int32_t bucket);
  template <typename Stop>
  Place Walk(int32_t bucket, double before, Stop stop);
  Place FirstReaching(double mass, bool strictly);

  absl::Span<const float> logits_;
  float max_ = 0;
  float temperature_ = 1;
  std::vector<Bucket> buckets_;
  Place last_{};                // the last candidate that is left
  int32_t sorted_bucket_ = -1;  // whose candidates `sorted_` holds
  std::vector<Candidate> sorted_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_SAMPLING_RANKING_H_
