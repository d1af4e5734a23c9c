// The engine thread: schedule, forward, read what was computed, apply.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/check.h"
#include "engine/state.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

// The position of the token after the entry's last.
int64_t NextPosition(const BatchEntry& entry) {
  return entry.start + static_cast<int64_t>(entry.tokens.size());
}

// Brings a vector to length 1.
absl::Status Normalise(std::vector<float>& values) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  if (!std::isfinite(squares)) return absl::InternalError("hidden state: not finite");
  if (squares == 0) return absl::OkStatus();
  const double length = std::sqrt(squares);
  for (float& value : values) value = static_cast<float>(value / length);
  return absl::OkStatus();
}

}  // namespace

void Engine::State::Run() {
  while (TakeInbox()) {
    Step();
    Deliver();
    const std::lock_guard lock(mutex);
    ++rounds;
  }
  Deliver();
}

// Sleeps while there is nothing to do. False when the engine stops.
bool Engine::State::TakeInbox() {
  std::vector<Submission> added;
  std::vector<RequestId> cancelled;
  bool stop = false;
  {
    std::unique_lock lock(mutex);
    if (live.empty()) {
      changed.wait(
          lock, [this] { return stopping || poked || !submissions.empty() || !cancels.empty(); });
    }
    added.swap(submissions);
    cancelled.swap(cancels);
    poked = false;
    stop = stopping;
  }
  const Clock::time_point now = Clock::now();
  for (Submission& submission : added) {
    const RequestId id = submission.sequence->id;
    live[id].sink = std::move(submission.sink);
    std::unique_lock lock(planning);
    const absl::Status status = scheduler.Add(std::move(submission.sequence), now);
    lock.unlock();
    if (status.ok()) {
      StartDrawing(id);
    } else {
      End(live.find(id), Finish{FinishReason::kError, status});
    }
  }
  const std::lock_guard lock(planning);
  for (RequestId id : cancelled) scheduler.Cancel(id, absl::CancelledError("cancelled"));
  if (stop) {
    for (const auto& [id, unused] : live) {
      scheduler.Cancel(id, absl::UnavailableError("the daemon is stopping"));
    }
  }
  return !stop;
}

void Engine::State::StartDrawing(RequestId id) {
  const Request& request = scheduler.request(id);
  Live& one = live[id];
  one.sampler = std::make_unique<Sampler>(request, info.vocab_size);
  if (request.constraint == nullptr) return;
  one.matcher = std::make_unique<Matcher>(request.constraint, *token_masks, request.stop_tokens,
                                          request.min_tokens);
}

void Engine::State::Step() {
  const Clock::time_point begin = Clock::now();
  Batch batch;
  {
    const std::lock_guard lock(planning);
    batch = scheduler.Schedule(Limits().Allow(cost, scheduler.decoding()), begin);
  }
  if (batch.empty()) return;
  model->Forward(batch, *kv);
  Pool(batch);
  const std::vector<Drawn> drawn = ReadLogits(batch);
  const Clock::time_point end = Clock::now();
  const std::lock_guard lock(planning);
  for (Failure& failure : failures) scheduler.Fail(failure.request, std::move(failure.status));
  failures.clear();
  scheduler.Apply(batch, drawn);
  cost.Observe(batch, end - begin);
}

void Engine::State::Pool(const Batch& batch) {
  int32_t row = 0;
  for (const BatchEntry& entry : batch.entries) {
    row += static_cast<int32_t>(entry.tokens.size());
    if (entry.pooled_rows == 0) continue;
    std::vector<int32_t> rows(entry.pooled_rows);
    std::iota(rows.begin(), rows.end(), row - entry.pooled_rows);
    const float* states = model->HiddenStates(rows);
    Live& request = live.find(entry.request)->second;
    request.pooled.resize(hidden);
    for (size_t r = 0; r < rows.size(); ++r, states += hidden) {
      for (int32_t i = 0; i < hidden; ++i) request.pooled[i] += states[i];
    }
    const auto prompt_tokens = static_cast<int64_t>(scheduler.request(entry.request).prompt.size());
    if (NextPosition(entry) < prompt_tokens) continue;
    Embedding embedding{std::move(request.pooled)};
    if (absl::Status status = Normalise(embedding.values); status.ok()) {
      request.sink->OnEvent(std::move(embedding));
    } else {
      failures.push_back({entry.request, std::move(status)});
    }
  }
}

std::vector<Drawn> Engine::State::ReadLogits(const Batch& batch) {
  std::vector<LogitRow> rows;
  std::vector<int32_t> indices;  // in the batch
  int32_t next = 0;
  for (const BatchEntry& entry : batch.entries) {
    next += static_cast<int32_t>(entry.tokens.size());
    const auto prompt_tokens = static_cast<int64_t>(scheduler.request(entry.request).prompt.size());
    for (int32_t left = entry.logit_rows; left > 0; --left) {
      const LogitRow row{&entry, NextPosition(entry) - left + 1, entry.draws && left == 1};
      // Behind a prompt that ends its request there is no token; who observes may look.
      if (!row.draws && row.position >= prompt_tokens && !observer) continue;
      rows.push_back(row);
      indices.push_back(next - left);
    }
  }
  std::vector<Drawn> read(rows.size());
  for (size_t begin = 0; begin < rows.size(); begin += max_logit_rows) {
    const auto part = absl::MakeConstSpan(indices).subspan(begin, max_logit_rows);
    float* const logits = model->Logits(part);
    const auto row = [&](size_t i) {
      return absl::MakeSpan(logits + i * info.vocab_size, info.vocab_size);
    };
    for (size_t i = 0; observer && i < part.size(); ++i) {
      observer(rows[begin + i].entry->request, rows[begin + i].position, row(i));
    }
    // One after the other: they share what is kept of masks.
    std::vector<absl::StatusOr<TokenMask>> masks;
    for (size_t i = 0; i < part.size(); ++i) {
      masks.push_back(FillMask(rows[begin + i], row_masks[i]));
    }
    workers->ParallelFor(static_cast<int32_t>(part.size()), [&](int32_t i) {
      read[begin + i] =
          masks[i].ok() ? ReadRow(rows[begin + i], row(i), *masks[i]) : masks[i].status();
    });
  }
  return TakeDrawn(rows, std::move(read));
}

absl::StatusOr<Engine::State::TokenMask> Engine::State::FillMask(const LogitRow& row,
                                                                 MaskWords& words) {
  Live& one = live.find(row.entry->request)->second;
  if (!row.draws || one.matcher == nullptr) return TokenMask();
  HEARTH_RETURN_IF_ERROR(one.matcher->FillMask(absl::MakeSpan(words)));
  return TokenMask(words);
}

// The prompt token that the row foretells, or the next one, drawn.
Drawn Engine::State::ReadRow(const LogitRow& row, absl::Span<float> logits, TokenMask mask) {
  if (row.draws) return DrawOne(row, logits, mask);
  const Request& request = scheduler.request(row.entry->request);
  const bool of_prompt = row.position < static_cast<int64_t>(request.prompt.size());
  if (!of_prompt || request.top_logprobs < 0) return Token{};
  return Foretell(logits, request.prompt[row.position], request.top_logprobs);
}

Drawn Engine::State::DrawOne(const LogitRow& row, absl::Span<float> logits, TokenMask mask) {
  Live& one = live.find(row.entry->request)->second;
  const Request& request = scheduler.request(row.entry->request);
  const int64_t index = row.position - static_cast<int64_t>(request.prompt.size());
  HEARTH_ASSIGN_OR_RETURN(
      Token token, one.sampler->Draw(logits, row.position, static_cast<int32_t>(index), mask));
  one.sampler->Accept(token.id);
  if (one.matcher == nullptr) return DrawnToken(std::move(token));
  if (!one.matcher->Accept(token.id)) {
    return absl::InternalError("the constraint does not go on with a token of its mask");
  }
  return DrawnToken(std::move(token), one.matcher->IsOver());
}

// Sends what was foretold and returns what was drawn.
std::vector<Drawn> Engine::State::TakeDrawn(const std::vector<LogitRow>& rows,
                                            std::vector<Drawn> read) {
  std::vector<Drawn> drawn;
  for (size_t i = 0; i < rows.size();) {
    const BatchEntry& entry = *rows[i].entry;
    const Request& request = scheduler.request(entry.request);
    PromptTokens foretold{.first = static_cast<int32_t>(rows[i].position), .tokens = {}};
    absl::Status status;
    for (; i < rows.size() && rows[i].entry == &entry; ++i) {
      if (rows[i].draws) {
        drawn.push_back(std::move(read[i]));
      } else if (rows[i].position >= static_cast<int64_t>(request.prompt.size())) {
        continue;  // of a prompt's last row, when max_tokens is 0
      } else if (read[i].ok()) {
        foretold.tokens.push_back(std::move(read[i]->token));
      } else {
        status = read[i].status();
      }
    }
    if (request.top_logprobs >= 0 && !foretold.tokens.empty() && status.ok()) {
      live.find(entry.request)->second.sink->OnEvent(std::move(foretold));
    }
    if (!status.ok()) failures.push_back({entry.request, std::move(status)});
  }
  return drawn;
}

void Engine::State::Deliver() {
  std::vector<Emission> events;
  {
    const std::lock_guard lock(planning);
    events = scheduler.TakeEvents();
  }
  for (const Emission& emission : events) {
    const auto it = live.find(emission.request);
    HEARTH_CHECK(it != live.end());
    if (std::holds_alternative<Finish>(emission.event)) {
      End(it, emission.event);
    } else {
      it->second.sink->OnEvent(emission.event);
    }
  }
}

// The place is free before its client knows, who may come back at once.
void Engine::State::End(LiveMap::iterator it, const Event& finish) {
  {
    const std::lock_guard lock(mutex);
    --unfinished;
  }
  it->second.sink->OnEvent(finish);
  live.erase(it);
}

}  // namespace hearth
