#include "engine/evaluation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <future>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

using Logits = absl::Span<const float>;
// Called on the engine thread with what foretells tokens[index].
using Visit = std::function<void(size_t index, Logits logits)>;

class FinishSink final : public EventSink {
 public:
  void OnEvent(const Event& event) override {
    if (const auto* finish = std::get_if<Finish>(&event)) finished_.set_value(finish->status);
  }
  absl::Status Wait() { return finished_.get_future().get(); }

 private:
  std::promise<absl::Status> finished_;
};

// One engine, its observer turned to one passage after the other.
class Reader {
 public:
  explicit Reader(Engine& engine) : engine_(engine) {
    engine_.set_logit_observer([this](RequestId, int64_t position, Logits logits) {
      if (position >= first_) visit_(static_cast<size_t>(position), logits);
    });
  }
  ~Reader() { engine_.set_logit_observer({}); }

  absl::Status Read(const Passage& passage, Visit visit) {
    first_ = passage.first_scored;
    visit_ = std::move(visit);
    Request request;
    request.prompt.assign(passage.tokens.begin(), passage.tokens.end() - 1);
    request.prompt_logits_from = 0;
    request.max_tokens = 1;
    auto sink = std::make_shared<FinishSink>();
    HEARTH_RETURN_IF_ERROR(engine_.Submit(std::move(request), sink).status());
    return sink->Wait();
  }

 private:
  Engine& engine_;
  int64_t first_ = 0;
  Visit visit_;
};

size_t Top(Logits logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

// log of the sum of exp(logits).
double LogSum(Logits logits) {
  const double most = logits[Top(logits)];
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return most + std::log(sum);
}

double KlDivergence(Logits p, Logits q) {
  const double p_sum = LogSum(p), q_sum = LogSum(q);
  double kl = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double p_log = p[i] - p_sum;
    kl += std::exp(p_log) * (p_log - (q[i] - q_sum));
  }
  return std::max(kl, 0.0);  // less is rounding
}

// Sums over the scored tokens.
struct Totals {
  double nll = 0;
  double reference_nll = 0;
  int64_t same_top = 0;
  std::vector<double> kl;
  int64_t tokens = 0;
};

Evaluation Summarise(Totals totals, bool against) {
  const auto count = static_cast<double>(totals.tokens);
  Evaluation result;
  result.scored_tokens = totals.tokens;
  result.perplexity = std::exp(totals.nll / count);
  if (!against) return result;
  std::sort(totals.kl.begin(), totals.kl.end());
  double sum = 0;
  for (const double kl : totals.kl) sum += kl;
  result.divergence = {.mean_kl = sum / count,
                       .p99_kl = totals.kl[static_cast<size_t>(0.99 * (count - 1))],
                       .max_kl = totals.kl.back(),
                       .same_top = static_cast<double>(totals.same_top) / count,
                       .reference_perplexity = std::exp(totals.reference_nll / count)};
  return result;
}

absl::Status CheckFits(const Engine& engine, absl::Span<const Passage> passages) {
  for (const Passage& passage : passages) {
    if (passage.tokens.size() <= static_cast<size_t>(engine.info().max_context)) continue;
    return absl::InvalidArgumentError(absl::StrCat("a passage has ", passage.tokens.size(),
                                                   " tokens, the context holds ",
                                                   engine.info().max_context));
  }
  return absl::OkStatus();
}

}  // namespace

EngineOptions EvaluationOptions(int32_t longest_passage) {
  EngineOptions options;
  options.kv_tokens = longest_passage;
  options.max_running = 1;
  options.max_batch_tokens = 64;
  options.max_logit_rows = 64;
  options.prefix_cache = false;
  return options;
}

absl::StatusOr<Evaluation> Evaluate(Engine& subject, Engine* reference,
                                    absl::Span<const Passage> passages) {
  HEARTH_RETURN_IF_ERROR(CheckFits(subject, passages));
  Reader reader(subject);
  std::optional<Reader> reference_reader;
  if (reference != nullptr) {
    HEARTH_RETURN_IF_ERROR(CheckFits(*reference, passages));
    if (reference->info().vocab_size != subject.info().vocab_size) {
      return absl::InvalidArgumentError("the models have vocabularies of different sizes");
    }
    reference_reader.emplace(*reference);
  }
  Totals totals;
  for (const Passage& passage : passages) {
    std::vector<std::vector<float>> expected(reference == nullptr ? 0 : passage.tokens.size());
    if (reference_reader) {
      HEARTH_RETURN_IF_ERROR(reference_reader->Read(passage, [&](size_t i, Logits logits) {
        expected[i].assign(logits.begin(), logits.end());
        totals.reference_nll += LogSum(logits) - logits[passage.tokens[i]];
      }));
    }
    HEARTH_RETURN_IF_ERROR(reader.Read(passage, [&](size_t i, Logits logits) {
      ++totals.tokens;
      totals.nll += LogSum(logits) - logits[passage.tokens[i]];
      if (expected.empty()) return;
      totals.kl.push_back(KlDivergence(expected[i], logits));
      totals.same_top += Top(expected[i]) == Top(logits);
    }));
  }
  return Summarise(std::move(totals), reference != nullptr);
}

}  // namespace hearth
