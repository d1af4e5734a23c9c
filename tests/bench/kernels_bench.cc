// Every row of the kernel table. Products walk over weights that no cache holds, each thread over
// its own part; compare their bytes per second with Read's, which does nothing but read, and their
// GOPS with Int8Peak's. GOPS counts a multiplication and an addition as two.
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/kernels/declarations.h"
#include "engine/kernels/packing.h"
#include "engine/tensor/pages.h"

namespace hearth::kernels {
namespace {

using benchmark::Counter;
using benchmark::State;

constexpr int64_t kCols = 3072;
constexpr int64_t kSliceTiles = 16;  // of one call
constexpr size_t kWeightBytes = size_t{512} << 20;

// Memory that is a packed matrix of any type: bits below bit 30 only, so that nothing in it is NaN
// or infinite.
const std::byte* Weights() {
  static const Pages pages = [] {
    absl::StatusOr<Pages> memory = Pages::Allocate(kWeightBytes);
    HEARTH_CHECK(memory.ok());
    uint32_t x = 1;
    for (size_t at = 0; at < kWeightBytes; at += sizeof(x)) {
      x = x * 1664525u + 1013904223u;
      const uint32_t word = (x >> 2) & 0x3bff3bffu;
      std::memcpy(memory->data() + at, &word, sizeof(word));
    }
    return *std::move(memory);
  }();
  return pages.data();
}

std::vector<float> Floats(int64_t n) {
  std::mt19937 rng(1);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng() % 20001) * 1e-4f - 1.0f;
  return values;
}

struct Quantized {
  explicit Quantized(int64_t rows)
      : values(rows * kCols),
        scales(values.size() / kQuantBlock),
        offset(values.size() / kQuantBlock),
        view{values.data(), scales.data(), offset.data(), rows, kCols} {
    scalar::QuantizeRows(Floats(rows * kCols).data(), view);
  }
  std::vector<int8_t> values;
  std::vector<float> scales;
  std::vector<int32_t> offset;
  QuantizedRows view;
};

struct Super {
  explicit Super(int64_t rows) {
    view.rows = rows;
    view.cols = kCols;
    values.resize(rows * view.stride());
    scales.resize(rows * view.blocks());
    sums.resize(rows * view.padded() / 16);
    view.values = values.data();
    view.scales = scales.data();
    view.sums = sums.data();
    scalar::QuantizeSuperRows(Floats(rows * kCols).data(), view);
  }
  std::vector<int8_t> values;
  std::vector<float> scales;
  std::vector<int16_t> sums;
  SuperRows view = {};
};

void SetRates(State& state, double bytes, double operations) {
  const double iterations = static_cast<double>(state.iterations());
  state.counters["GB/s"] = Counter(bytes * iterations * 1e-9, Counter::kIsRate);
  state.counters["GOPS"] = Counter(operations * iterations * 1e-9, Counter::kIsRate);
}

void Read(State& state) {
  const size_t part = kWeightBytes / state.threads();
  const std::byte* begin = Weights() + part * state.thread_index();
  constexpr size_t kStep = size_t{1} << 20;
  size_t at = 0;
  for (auto _ : state) {
    uint64_t sum[16] = {};
    for (size_t i = 0; i < kStep; i += sizeof(sum)) {
      uint64_t words[16];
      std::memcpy(words, begin + at + i, sizeof(words));
      for (int j = 0; j < 16; ++j) sum[j] ^= words[j];
    }
    for (uint64_t& word : sum) benchmark::DoNotOptimize(word);
    at = at + 2 * kStep > part ? 0 : at + kStep;
  }
  SetRates(state, kStep, 0);
}
BENCHMARK(Read)->Threads(1)->Threads(2)->UseRealTime();

// multiply(w, out) is called for successive slices of a matrix.
template <typename Multiply>
void WalkWeights(State& state, Packing packing, Multiply multiply) {
  const size_t slice_bytes = kSliceTiles * TileBytes(packing, kCols);
  const size_t slices = kWeightBytes / slice_bytes / state.threads();
  const std::byte* begin = Weights() + state.thread_index() * slices * slice_bytes;
  const int64_t rows = state.range(0);
  std::vector<float> out(rows * kSliceTiles * kTileRows);
  size_t slice = 0;
  for (auto _ : state) {
    multiply(PackedRows{begin + slice * slice_bytes, kSliceTiles * kTileRows, kCols}, out.data());
    slice = (slice + 1) % slices;
  }
  SetRates(state, slice_bytes, 2.0 * out.size() * kCols);
}

void Plain(State& state, Packing packing, MatMulFloatFn* fn) {
  const int64_t rows = state.range(0);
  const std::vector<float> x = Floats(rows * kCols);
  WalkWeights(state, packing, [&](const PackedRows& w, float* out) {
    fn(w, x.data(), rows, out, kSliceTiles * kTileRows);
  });
}

void MultiplySuper(State& state, Packing packing, MatMulSuperFn* fn) {
  const Super x(state.range(0));
  WalkWeights(state, packing, [&](const PackedRows& w, float* out) {
    fn(w, x.view, out, kSliceTiles * kTileRows);
  });
}

void RunMatMulF32(State& state, MatMulFloatFn* fn) { Plain(state, Packing::kF32, fn); }
void RunMatMulF16(State& state, MatMulFloatFn* fn) { Plain(state, Packing::kF16, fn); }
void RunMatMulBF16(State& state, MatMulFloatFn* fn) { Plain(state, Packing::kBF16, fn); }
void RunMatMulQ8_0(State& state, MatMulQuantizedFn* fn) {
  const Quantized x(state.range(0));
  WalkWeights(state, Packing::kQ8_0, [&](const PackedRows& w, float* out) {
    fn(w, x.view, out, kSliceTiles * kTileRows);
  });
}
void RunMatMulInt4(State& state, MatMulSuperFn* fn) { MultiplySuper(state, Packing::kInt4, fn); }
void RunMatMulInt4Min(State& state, MatMulSuperFn* fn) {
  MultiplySuper(state, Packing::kInt4Min, fn);
}
void RunMatMulInt5(State& state, MatMulSuperFn* fn) { MultiplySuper(state, Packing::kInt5, fn); }
void RunMatMulInt5Min(State& state, MatMulSuperFn* fn) {
  MultiplySuper(state, Packing::kInt5Min, fn);
}
void RunMatMulInt6(State& state, MatMulSuperFn* fn) { MultiplySuper(state, Packing::kInt6, fn); }

void RunQuantizeSuperRows(State& state, QuantizeSuperRowsFn* fn) {
  Super x(1);
  const std::vector<float> values = Floats(kCols);
  for (auto _ : state) fn(values.data(), x.view);
  SetRates(state, kCols * 4, 0);
}

void RunQuantizeRows(State& state, QuantizeRowsFn* fn) {
  Quantized x(1);
  const std::vector<float> values = Floats(kCols);
  for (auto _ : state) fn(values.data(), x.view);
  SetRates(state, kCols * 4, 0);
}

void RunRmsNorm(State& state, RmsNormFn* fn) {
  const std::vector<float> x = Floats(kCols);
  std::vector<float> out(kCols);
  for (auto _ : state) fn(x.data(), kCols, x.data(), 1e-5f, out.data());
  SetRates(state, kCols * 4, 0);
}

void RunAdd(State& state, AddFn* fn) {
  std::vector<float> x(kCols, 0.0f);
  const std::vector<float> y = Floats(kCols);
  for (auto _ : state) fn(x.data(), y.data(), kCols);
  SetRates(state, kCols * 4, 0);
}

void RunSwiGlu(State& state, SwiGluFn* fn) {
  const std::vector<float> x = Floats(kCols);
  std::vector<float> out(kCols);
  for (auto _ : state) fn(x.data(), x.data(), kCols, out.data());
  SetRates(state, kCols * 4, 0);
}

void RunRope(State& state, RopeFn* fn) {
  constexpr int64_t kPairs = 48;
  std::vector<float> x = Floats(32 * 128);
  const std::vector<float> cosine(kPairs, 0.6f);
  const std::vector<float> sine(kPairs, 0.8f);
  for (auto _ : state) fn(x.data(), 32, 128, kPairs, cosine.data(), sine.data());
  SetRates(state, x.size() * 4, 0);
}
void RunRopeHalves(State& state, RopeFn* fn) { RunRope(state, fn); }
void RunRopeAdjacent(State& state, RopeFn* fn) { RunRope(state, fn); }

// A block of 32 cached tokens of one head of 128; range(0) is the number of queries.
constexpr int64_t kDim = 128;
constexpr int64_t kTokens = 32;
const std::vector<int8_t> kInt8(kTokens* kDim, 55);
const std::vector<uint16_t> kF16(kTokens* kDim, 0x2c55);
const std::vector<float> kF32(kTokens* kDim, 0.55f);

void RunQuantizeKv(State& state, QuantizeKvFn* fn) {
  const std::vector<float> x = Floats(kDim);
  std::vector<int8_t> out(kDim);
  uint16_t scale;
  for (auto _ : state) {
    fn(x.data(), kDim, out.data(), &scale);
    benchmark::DoNotOptimize(scale);
  }
  SetRates(state, kDim * 4, 0);
}

void RunNarrowKv(State& state, NarrowKvFn* fn) {
  const std::vector<float> x = Floats(kDim);
  std::vector<uint16_t> out(kDim);
  for (auto _ : state) fn(x.data(), kDim, out.data());
  SetRates(state, kDim * 4, 0);
}

template <typename Call>
void WalkBlock(State& state, int64_t element_bytes, Call call) {
  const int64_t rows = state.range(0);
  const std::vector<float> q = Floats(rows * kDim);
  std::vector<float> out(rows * kDim);
  for (auto _ : state) call(q.data(), rows, out.data());
  SetRates(state, kTokens * kDim * element_bytes, 2.0 * rows * kTokens * kDim);
}
struct Heads {
  explicit Heads(int64_t rows)
      : values(rows * kDim),
        scales(rows),
        offset(rows),
        view{values.data(), scales.data(), offset.data(), rows, kDim} {
    scalar::QuantizeHeads(Floats(rows * kDim).data(), view);
  }
  std::vector<int8_t> values;
  std::vector<float> scales;
  std::vector<int32_t> offset;
  QuantizedHeads view;
};

void RunQuantizeHeads(State& state, QuantizeHeadsFn* fn) {
  const Heads heads(3);
  const std::vector<float> x = Floats(3 * kDim);
  for (auto _ : state) fn(x.data(), heads.view);
  SetRates(state, 3 * kDim * 4, 0);
}
void RunQkInt8(State& state, QkInt8Fn* fn) {
  const Heads heads(state.range(0));
  WalkBlock(state, 1, [&](const float*, int64_t, float* out) {
    fn(heads.view, kInt8.data(), kF16.data(), kTokens, out, kTokens);
  });
}
void RunQkF16(State& state, QkF16Fn* fn) {
  WalkBlock(state, 2, [&](const float* q, int64_t rows, float* out) {
    fn(q, rows, kF16.data(), kTokens, kDim, out, kTokens);
  });
}
void RunQuantizeWeights(State& state, QuantizeWeightsFn* fn) {
  std::vector<float> p(kChunkTokens, 1.0f);
  std::vector<int16_t> w(kChunkTokens);
  std::vector<uint16_t> one(kCacheBlock, 0x3c00);
  const std::vector<const uint16_t*> scales(kChunkTokens / kCacheBlock, one.data());
  for (auto _ : state)
    benchmark::DoNotOptimize(fn(p.data(), scales.data(), kChunkTokens, w.data()));
  SetRates(state, kChunkTokens * 4, 0);
}
void RunPvInt8(State& state, PvInt8Fn* fn) {
  const int64_t rows = state.range(0);
  const std::vector<int16_t> w(rows * kChunkTokens, 12345);
  const std::vector<float> scales(rows, 1.0f);
  const std::vector<const int8_t*> values(kChunkTokens / kCacheBlock, kInt8.data());
  std::vector<float> out(rows * kDim);
  for (auto _ : state) {
    fn(w.data(), scales.data(), rows, values.data(), kChunkTokens, kDim, out.data());
  }
  SetRates(state, kChunkTokens * kDim, 2.0 * rows * kChunkTokens * kDim);
}
void RunPvF16(State& state, PvF16Fn* fn) {
  WalkBlock(state, 2, [&](const float* p, int64_t rows, float* out) {
    fn(p, kTokens, rows, kF16.data(), kTokens, kDim, out);
  });
}

void RunQkF32(State& state, QkF32Fn* fn) {
  WalkBlock(state, 4, [&](const float* q, int64_t rows, float* out) {
    fn(q, rows, kF32.data(), kTokens, kDim, out, kTokens);
  });
}
void RunPvF32(State& state, PvF32Fn* fn) {
  WalkBlock(state, 4, [&](const float* p, int64_t rows, float* out) {
    fn(p, kTokens, rows, kF32.data(), kTokens, kDim, out);
  });
}

void RunSoftmax(State& state, SoftmaxFn* fn) {
  const std::vector<float> scores = Floats(kChunkTokens);
  std::vector<float> p(kChunkTokens);
  float max, sum;
  for (auto _ : state) {
    std::memcpy(p.data(), scores.data(), kChunkTokens * 4);
    fn(p.data(), kChunkTokens, &max, &sum);
    benchmark::DoNotOptimize(sum);
  }
  SetRates(state, kChunkTokens * 4, 0);
}

void RunFold(State& state, FoldFn* fn) {
  std::vector<float> total(kDim + 2, 1.0f);
  std::vector<float> chunk(kDim + 2, 1.0f);
  chunk[0] = -1000.0f;  // adds nothing, so that nothing grows
  for (auto _ : state) {
    fn({&total[0], &total[1], &total[2]}, {&chunk[0], &chunk[1], &chunk[2]}, kDim);
  }
  SetRates(state, kDim * 4, 0);
}

void RunInt8Peak(State& state, Int8PeakFn* fn) {
  constexpr int64_t kRounds = 1000;
  int64_t products = 0;
  for (auto _ : state) benchmark::DoNotOptimize(products = fn(kRounds));
  SetRates(state, 0, 2.0 * static_cast<double>(products));
}

// What a model's first start does with all of its file; bytes are the file's.
void RunPack(State& state, DType dtype) {
  const size_t row_bytes = RowBytes(dtype, kCols);
  const size_t tile_bytes = kTileRows * row_bytes;
  std::vector<std::byte> tile(TileBytes(PackingOf(dtype), kCols) + 64);
  const size_t aligned = -reinterpret_cast<uintptr_t>(tile.data()) % 64;
  size_t at = 0;
  for (auto _ : state) {
    const std::byte* rows[kTileRows];
    for (int64_t r = 0; r < kTileRows; ++r) rows[r] = Weights() + at + r * row_bytes;
    HEARTH_CHECK(PackTile(dtype, rows, kCols, tile.data() + aligned));
    at = at + 2 * tile_bytes <= kWeightBytes ? at + tile_bytes : 0;
  }
  SetRates(state, static_cast<int64_t>(tile_bytes), 0);
}

template <typename Run>
void Register(const std::string& op, const std::string& isa, Run run) {
  benchmark::internal::Benchmark* row = benchmark::RegisterBenchmark((op + "/" + isa).c_str(), run);
  if (op.rfind("MatMul", 0) == 0) {
    if (isa != "scalar") row->Arg(8)->Arg(512);
    row->Arg(1)->Threads(1)->Threads(2)->UseRealTime();
  } else if (op.rfind("Qk", 0) == 0 || op.rfind("Pv", 0) == 0) {
    row->Arg(3)->Arg(32);
  }
}

void RegisterTable() {
  for (std::string_view name : SupportedIsas()) {
#define KERNEL(op, isa) \
  if (name == #isa) Register(#op, #isa, [](State& state) { Run##op(state, isa::op); });
#include "engine/kernels/kernels.inc"
  }
  for (const DType dtype : kDTypes) {
    const std::string name = absl::StrCat("Pack/", std::string(Traits(dtype).name));
    benchmark::RegisterBenchmark(name.c_str(), [dtype](State& state) { RunPack(state, dtype); });
  }
}

}  // namespace
}  // namespace hearth::kernels

int main(int argc, char** argv) {
  hearth::kernels::RegisterTable();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
