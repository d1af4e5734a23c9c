#include "engine/sampling/ranking.h"

#include <algorithm>

#include "engine/check.h"
#include "engine/tensor/detmath.h"

namespace hearth {
namespace {

constexpr float kBucketsPerUnit = 64;
constexpr float kLowest = detmath::expf::kMin;  // below it a weight is 0
constexpr int32_t kBuckets = static_cast<int32_t>(-kLowest * kBucketsPerUnit) + 1;
constexpr size_t kStride = 256;  // tokens per inner loop, which the compiler vectorises

float BucketPosition(float z) { return -z * kBucketsPerUnit; }

void Weigh(absl::Span<const float> logits, float max, float temperature, float* z, float* weight) {
  for (size_t i = 0; i < logits.size(); ++i) {
    z[i] = (logits[i] - max) / temperature;
    weight[i] = detmath::Exp(z[i]);
  }
}

// Which of `logits` lie in a bucket; false if none does.
bool FindInside(absl::Span<const float> logits, float max, float temperature, float bucket,
                int32_t* inside) {
  int32_t any = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float position = BucketPosition((logits[i] - max) / temperature);
    inside[i] = (position >= bucket ? 1 : 0) & (position < bucket + 1 ? 1 : 0);
    any |= inside[i];
  }
  return any != 0;
}

}  // namespace

void Ranking::Reset(absl::Span<const float> logits, float max, float temperature) {
  logits_ = logits;
  max_ = max;
  temperature_ = temperature;
  sorted_bucket_ = -1;
  buckets_.assign(kBuckets, {});
  float z[kStride];
  float weight[kStride];
  for (size_t start = 0; start < logits.size(); start += kStride) {
    const absl::Span<const float> part = logits.subspan(start, kStride);
    Weigh(part, max, temperature, z, weight);
    for (size_t i = 0; i < part.size(); ++i) {
      if (z[i] < kLowest) continue;
      Bucket& bucket = buckets_[static_cast<int32_t>(BucketPosition(z[i]))];
      bucket.mass += static_cast<double>(weight[i]);
      ++bucket.count;
    }
  }
  double mass = 0;
  for (int32_t bucket = 0; bucket < kBuckets; ++bucket) {
    if (buckets_[bucket].count == 0) continue;
    mass += buckets_[bucket].mass;
    last_ = {bucket, buckets_[bucket].count - 1, mass};
  }
}

void Ranking::Sort(int32_t bucket) {
  if (sorted_bucket_ == bucket) return;
  sorted_bucket_ = bucket;
  sorted_.clear();
  int32_t inside[kStride];
  for (size_t start = 0; start < logits_.size(); start += kStride) {
    const absl::Span<const float> part = logits_.subspan(start, kStride);
    if (!FindInside(part, max_, temperature_, static_cast<float>(bucket), inside)) continue;
    for (size_t i = 0; i < part.size(); ++i) {
      if (inside[i]) sorted_.push_back({part[i], static_cast<TokenId>(start + i)});
    }
  }
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  if (std::is_sorted(sorted_.begin(), sorted_.end(), before)) return;  // as equal logits are
  std::sort(sorted_.begin(), sorted_.end(), before);
}

// The first candidate of `bucket` at which stop(candidate, mass up to and including it) holds, or
// the last one that is left there. `before`: the mass of the buckets in front.
template <typename Stop>
Ranking::Place Ranking::Walk(int32_t bucket, double before, Stop stop) {
  Sort(bucket);
  const int32_t end = bucket == last_.bucket ? last_.rank : buckets_[bucket].count - 1;
  double mass = before;
  for (int32_t rank = 0;; ++rank) {
    mass += static_cast<double>(detmath::Exp(Tempered(sorted_[rank].logit)));
    if (rank == end || stop(rank, mass)) return {bucket, rank, mass};
  }
}

// The first candidate up to which the weight reaches `mass` (or exceeds it, when `strictly`).
Ranking::Place Ranking::FirstReaching(double mass, bool strictly) {
  const auto reached = [&](double so_far) { return strictly ? so_far > mass : so_far >= mass; };
  double before = 0;
  int32_t bucket = 0;
  for (; bucket < last_.bucket; ++bucket) {
    if (buckets_[bucket].count > 0 && reached(before + buckets_[bucket].mass)) break;
    before += buckets_[bucket].mass;
  }
  return Walk(bucket, before, [&](int32_t, double so_far) { return reached(so_far); });
}

void Ranking::KeepCount(int32_t count) {
  HEARTH_CHECK(count >= 1);
  double before = 0;
  for (int32_t bucket = 0; bucket <= last_.bucket; ++bucket) {
    if (buckets_[bucket].count >= count) {
      last_ = Walk(bucket, before, [&](int32_t rank, double) { return rank + 1 == count; });
      return;
    }
    count -= buckets_[bucket].count;
    before += buckets_[bucket].mass;
  }
}

void Ranking::KeepMass(double probability) {
  last_ = FirstReaching(probability * last_.mass, /*strictly=*/false);
}

void Ranking::KeepAbove(float z) {
  HEARTH_CHECK(z <= 0);
  if (z < kLowest) return;
  const auto limit = static_cast<int32_t>(BucketPosition(z));
  if (limit > last_.bucket) return;
  double before = 0;
  for (int32_t bucket = 0; bucket < limit; ++bucket) {
    if (buckets_[bucket].count == 0) continue;
    before += buckets_[bucket].mass;
  }
  Sort(limit);
  int32_t kept = 0;
  while (kept < buckets_[limit].count && Tempered(sorted_[kept].logit) >= z) ++kept;
  if (kept > 0) {
    last_ = Walk(limit, before, [&](int32_t rank, double) { return rank + 1 == kept; });
    return;
  }
  int32_t bucket = limit - 1;  // bucket 0 holds the largest logit, so there is one
  while (buckets_[bucket].count == 0) --bucket;
  last_ = {bucket, buckets_[bucket].count - 1, before};
}

TokenId Ranking::Pick(double u) {
  return sorted_[FirstReaching(u * last_.mass, /*strictly=*/true).rank].token;
}

}  // namespace hearth
