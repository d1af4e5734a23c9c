#include "engine/scheduler/cost_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace hearth {
namespace {

constexpr double kForget = 0.9;        // weight of a step after the next one of its size
constexpr double kOutlier = 2.0;       // a step counts at most so many times its size's mean
constexpr double kEvidence = 0.8;      // a term must bring the squared error down to so much
constexpr double kExact = 1e-9;        // squared relative error per step that needs no more terms
constexpr double kAttendedUnit = 1e4;  // brings the terms to similar magnitudes

enum Term : int { kTokens, kConstant, kAttended, kLogitRows };

double Milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double AttendedPositions(const Batch& batch) {
  double attended = 0;
  for (const BatchEntry& entry : batch.entries) {
    const double count = static_cast<double>(entry.tokens.size());
    attended += count * entry.start + count * (count + 1) / 2;
  }
  return attended;
}

int32_t LogitRows(const Batch& batch) {
  int32_t rows = 0;
  for (const BatchEntry& entry : batch.entries) rows += entry.logit_rows;
  return rows;
}

}  // namespace

void CostModel::Observe(const Batch& batch, std::chrono::nanoseconds duration) {
  if (batch.num_tokens <= 0 || duration.count() <= 0) return;
  const double attended = AttendedPositions(batch);
  depth_ = attended / batch.num_tokens;
  Moments& size = sizes_[std::bit_width(static_cast<uint32_t>(batch.num_tokens)) - 1];
  double milliseconds = Milliseconds(duration);
  if (size.weight > 0) {
    milliseconds = std::clamp(milliseconds, size.mean / kOutlier, size.mean * kOutlier);
  }
  Add({static_cast<double>(batch.num_tokens), 1.0, attended / kAttendedUnit,
       static_cast<double>(LogitRows(batch))},
      milliseconds, &size);
  Fit();
}

void CostModel::Add(const Terms& x, double milliseconds, Moments* moments) {
  moments->mean = (moments->mean * moments->weight * kForget + milliseconds) /
                  (moments->weight * kForget + 1.0);
  moments->weight = moments->weight * kForget + 1.0;
  moments->yy = moments->yy * kForget + milliseconds * milliseconds;
  for (int i = 0; i < kTerms; ++i) {
    moments->xy[i] = moments->xy[i] * kForget + x[i] * milliseconds;
    for (int j = 0; j < kTerms; ++j) {
      moments->xx[i][j] = moments->xx[i][j] * kForget + x[i] * x[j];
    }
  }
}

// Least squares without negative costs: of so few terms every subset can be tried.
void CostModel::Fit() {
  Moments all;
  for (const Moments& size : sizes_) {
    if (size.weight == 0) continue;
    const double w = 1.0 / (size.mean * size.mean);  // relative errors count alike in all sizes
    all.weight += size.weight;
    all.yy += w * size.yy;
    for (int i = 0; i < kTerms; ++i) {
      all.xy[i] += w * size.xy[i];
      for (int j = 0; j < kTerms; ++j) all.xx[i][j] += w * size.xx[i][j];
    }
  }
  fitted_ = false;
  double best = 0;
  for (const unsigned with_tokens : {1u << kTokens, 0u}) {
    for (unsigned others = 0; others < 1u << kTerms; others += 2u << kTokens) {
      const unsigned subset = with_tokens | others;
      Terms solution;
      if (subset == 0 || !Solve(all, subset, &solution)) continue;
      const double loss = Loss(all, solution);
      if (fitted_ && (loss >= kEvidence * best || best <= kExact * all.weight)) continue;
      best = loss;
      cost_ = solution;
      fitted_ = true;
    }
  }
}

// Gaussian elimination on the normal equations of the chosen terms. False when they cannot be
// told apart, or when one would be negative.
bool CostModel::Solve(const Moments& moments, unsigned subset, Terms* solution) {
  std::array<Terms, kTerms> a = moments.xx;
  Terms b = moments.xy;
  const auto chosen = [&](int term) { return (subset >> term & 1u) != 0; };
  for (int i = 0; i < kTerms; ++i) {
    if (!chosen(i)) continue;
    if (!(a[i][i] > 1e-9 * moments.xx[i][i])) return false;
    for (int row = i + 1; row < kTerms; ++row) {
      if (!chosen(row)) continue;
      const double factor = a[row][i] / a[i][i];
      for (int column = i; column < kTerms; ++column) a[row][column] -= factor * a[i][column];
      b[row] -= factor * b[i];
    }
  }
  *solution = {};
  for (int i = kTerms - 1; i >= 0; --i) {
    if (!chosen(i)) continue;
    double rest = b[i];
    for (int j = i + 1; j < kTerms; ++j) rest -= a[i][j] * (*solution)[j];
    (*solution)[i] = rest / a[i][i];
    if (!((*solution)[i] >= 0) || !std::isfinite((*solution)[i])) return false;
  }
  return true;
}

double CostModel::Loss(const Moments& moments, const Terms& solution) {
  double loss = moments.yy;
  for (int i = 0; i < kTerms; ++i) {
    loss -= 2 * solution[i] * moments.xy[i];
    for (int j = 0; j < kTerms; ++j) loss += solution[i] * solution[j] * moments.xx[i][j];
  }
  return loss;
}

std::chrono::nanoseconds CostModel::Expect(int32_t tokens, double attended,
                                           int32_t logit_rows) const {
  const double milliseconds = cost_[kTokens] * tokens + cost_[kConstant] +
                              cost_[kAttended] * attended / kAttendedUnit +
                              cost_[kLogitRows] * logit_rows;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double, std::milli>(milliseconds));
}

Budget CostModel::BudgetFor(std::chrono::nanoseconds target) const {
  const int32_t least = std::min(kLeastChunk, max_batch_tokens_);
  if (!fitted_) return {least, least, least};
  const double room = std::max(0.0, Milliseconds(target) - cost_[kConstant]);
  double per_token = cost_[kTokens] + cost_[kAttended] * depth_ / kAttendedUnit;
  double tokens = max_batch_tokens_;
  if (room < per_token * tokens) {
    tokens = room / per_token;
  } else {
    per_token = room / tokens;  // there is room to spare, of which rows take their part
  }
  const int32_t most = std::max(least, static_cast<int32_t>(tokens));
  return {most, most, least, per_token > 0 ? cost_[kLogitRows] / per_token : 0};
}

}  // namespace hearth
