#include "engine/ops/workers.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/ops/scratch.h"
#include "engine/status_macros.h"

namespace hearth::ops {
namespace {

using Body = absl::FunctionRef<void(int32_t index, int32_t thread)>;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

// Long enough to bridge the gaps between the ops of a step, short enough to be no load.
constexpr int kSpins = 4000;

// Waits until value != old, spinning first, then asleep.
template <typename T>
void Await(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    Pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

// One job at a time. `left` is how many of its indices nobody has taken; taking one is a decrement,
// so a thread that comes late, or takes no part at all, finds zero and touches nothing. Job fields
// are written while left is zero and all taken indices are done, and read only by a thread that
// has taken one: the job cannot end before it. `posted` is what idle threads wait for.
struct Workers::State {
  kernels::Table kernels;
  Pages scratch;
  std::vector<std::thread> threads;

  const Body* body = nullptr;
  int32_t count = 0;
  alignas(64) std::atomic<int32_t> left{0};
  alignas(64) std::atomic<int32_t> done{0};
  alignas(64) std::atomic<uint32_t> posted{0};
  std::atomic<bool> stopping{false};

  // Takes and runs indices until none is left.
  void Work(int32_t thread) {
    int32_t n = left.load(std::memory_order_acquire);
    while (n > 0) {
      if (!left.compare_exchange_weak(n, n - 1, std::memory_order_acq_rel)) continue;
      const int32_t all = count;
      (*body)(all - n, thread);
      if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == all) done.notify_one();
      n = left.load(std::memory_order_acquire);
    }
  }

  void Run(int32_t thread) {
    uint32_t seen = 0;
    while (true) {
      Await(posted, seen);
      seen = posted.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_acquire)) return;
      Work(thread);
    }
  }

  void Stop() {
    stopping.store(true, std::memory_order_release);
    posted.fetch_add(1, std::memory_order_release);
    posted.notify_all();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }
};

size_t Workers::PlannedBytes(const WorkersOptions& options) {
  const int32_t threads = options.threads > 0 ? options.threads : AvailableCpus();
  return std::max(options.input_bytes + threads * Arena::Bytes<float>(options.max_cols),
                  AttentionBytes(options, threads));
}

absl::StatusOr<std::unique_ptr<Workers>> Workers::Create(const WorkersOptions& options) {
  auto state = std::make_unique<State>();
  HEARTH_ASSIGN_OR_RETURN(state->kernels, kernels::Select(options.isa));
  HEARTH_ASSIGN_OR_RETURN(state->scratch, Pages::Allocate(PlannedBytes(options)));
  const int32_t threads = options.threads > 0 ? options.threads : AvailableCpus();
  State* shared = state.get();
  try {
    for (int32_t i = 1; i < threads; ++i) {
      state->threads.emplace_back([shared, i] { shared->Run(i); });
    }
  } catch (const std::system_error& error) {
    state->Stop();
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start ", threads, " compute threads: ", error.what()));
  }
  return std::unique_ptr<Workers>(new Workers(std::move(state)));
}

Workers::Workers(std::unique_ptr<State> state) : state_(std::move(state)) {}

Workers::~Workers() { state_->Stop(); }

void Workers::ParallelFor(int32_t count, absl::FunctionRef<void(int32_t index)> body) {
  ParallelFor(count, [&body](int32_t index, int32_t) { body(index); });
}

void Workers::ParallelFor(int32_t count, Body body) {
  State& state = *state_;
  if (count <= 1 || state.threads.empty()) {
    for (int32_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  state.body = &body;
  state.count = count;
  state.done.store(0, std::memory_order_relaxed);
  state.left.store(count, std::memory_order_release);
  state.posted.fetch_add(1, std::memory_order_release);
  state.posted.notify_all();
  state.Work(0);
  for (int32_t done; (done = state.done.load(std::memory_order_acquire)) != count;) {
    Await(state.done, done);
  }
}

int32_t Workers::threads() const { return static_cast<int32_t>(state_->threads.size()) + 1; }

const kernels::Table& Workers::kernels() const { return state_->kernels; }

std::string_view Workers::isa() const { return state_->kernels.isa; }

absl::StatusOr<Pages> Workers::Allocate(size_t bytes) {
  constexpr size_t kPart = 16 * Pages::kHugePage;
  HEARTH_ASSIGN_OR_RETURN(Pages pages, Pages::Reserve(bytes));
  std::mutex mutex;
  absl::Status status;
  ParallelFor(static_cast<int32_t>((bytes + kPart - 1) / kPart), [&](int32_t index) {
    const size_t begin = index * kPart;
    absl::Status populated = pages.Populate(begin, std::min(kPart, bytes - begin));
    const std::lock_guard lock(mutex);
    status.Update(std::move(populated));
  });
  HEARTH_RETURN_IF_ERROR(status);
  return pages;
}

std::byte* Workers::scratch(size_t bytes) {
  HEARTH_CHECK(bytes <= state_->scratch.bytes());
  return state_->scratch.data();
}

}  // namespace hearth::ops
