// Runs a fuzz target over a seed corpus and seeded mutations of it, where libFuzzer is not at
// hand: `NAME_fuzz CORPUS_DIR [-v]`. With -v each input is named first, so that the last line
// before a crash names the culprit. The inputs are the same on every run; how many of them fit
// into the time is not.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;
using Random = std::mt19937_64;

constexpr int kMutations = 100000;
constexpr std::chrono::seconds kTime(5);
constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxInsertion = 64;

struct Seed {
  std::string name;
  Input bytes;
};

std::vector<Seed> ReadCorpus(const std::string& directory) {
  std::vector<Seed> corpus;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    corpus.push_back({entry.path().filename(), {std::istreambuf_iterator<char>(file), {}}});
  }
  std::sort(corpus.begin(), corpus.end(),
            [](const Seed& a, const Seed& b) { return a.name < b.name; });
  return corpus;
}

size_t Below(Random& random, size_t limit) { return limit == 0 ? 0 : random() % limit; }

void FlipBits(Random& random, Input& input) {
  if (input.empty()) return;
  input[Below(random, input.size())] ^= static_cast<uint8_t>(1u << Below(random, 8));
}

void SetByte(Random& random, Input& input) {
  if (!input.empty()) input[Below(random, input.size())] = static_cast<uint8_t>(random());
}

// Values at which arithmetic on sizes breaks, in a random width.
void PlantInteger(Random& random, Input& input) {
  constexpr uint64_t kEdges[] = {0,
                                 1,
                                 ~uint64_t{0},
                                 ~uint64_t{0} - 31,
                                 uint64_t{1} << 63,
                                 (uint64_t{1} << 63) - 1,
                                 uint64_t{1} << 62,
                                 uint64_t{1} << 32,
                                 0xffffffff,
                                 0x80000000,
                                 0x7fffffff,
                                 0xffff,
                                 0x8000,
                                 0x7fff,
                                 0xff,
                                 0x80,
                                 0x7f};
  const uint64_t value = kEdges[Below(random, std::size(kEdges))];
  const size_t width = size_t{1} << Below(random, 4);
  if (input.size() < width) return;
  std::memcpy(&input[Below(random, input.size() - width + 1)], &value, width);
}

void Truncate(Random& random, Input& input) { input.resize(Below(random, input.size() + 1)); }

void Erase(Random& random, Input& input) {
  const size_t from = Below(random, input.size() + 1);
  const size_t count = Below(random, std::min(kMaxInsertion, input.size() - from) + 1);
  input.erase(input.begin() + static_cast<ptrdiff_t>(from),
              input.begin() + static_cast<ptrdiff_t>(from + count));
}

void Insert(Random& random, Input& input) {
  Input bytes(1 + Below(random, kMaxInsertion));
  const bool repeated = random() & 1;
  for (uint8_t& byte : bytes) byte = repeated ? bytes[0] : static_cast<uint8_t>(random());
  const size_t at = Below(random, input.size() + 1);
  input.insert(input.begin() + static_cast<ptrdiff_t>(at), bytes.begin(), bytes.end());
}

// The beginning of one input and the end of another.
void Splice(Random& random, const Input& other, Input& input) {
  input.resize(Below(random, input.size() + 1));
  const size_t from = Below(random, other.size() + 1);
  input.insert(input.end(), other.begin() + static_cast<ptrdiff_t>(from), other.end());
}

// A function of the corpus and the number alone.
Input Mutation(const std::vector<Seed>& corpus, int number) {
  Random random(static_cast<uint64_t>(number));
  Input input = corpus[Below(random, corpus.size())].bytes;
  const Input& other = corpus[Below(random, corpus.size())].bytes;
  for (size_t edits = 1 + Below(random, 4); edits > 0; --edits) {
    switch (Below(random, 7)) {
      case 0:
        FlipBits(random, input);
        break;
      case 1:
        SetByte(random, input);
        break;
      case 2:
        PlantInteger(random, input);
        break;
      case 3:
        Truncate(random, input);
        break;
      case 4:
        Erase(random, input);
        break;
      case 5:
        Insert(random, input);
        break;
      default:
        Splice(random, other, input);
        break;
    }
  }
  if (input.size() > kMaxBytes) input.resize(kMaxBytes);
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  const bool verbose = argc == 3 && std::strcmp(argv[2], "-v") == 0;
  if (argc != 2 && !verbose) {
    std::fprintf(stderr, "usage: %s CORPUS_DIR [-v]\n", argv[0]);
    return 2;
  }
  const std::vector<Seed> corpus = ReadCorpus(argv[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no seed inputs there\n", argv[1]);
    return 1;
  }
  const auto deadline = std::chrono::steady_clock::now() + kTime;
  for (const Seed& seed : corpus) {
    if (verbose) std::fprintf(stderr, "seed %s\n", seed.name.c_str());
    LLVMFuzzerTestOneInput(seed.bytes.data(), seed.bytes.size());
  }
  int number = 0;
  for (; number < kMutations && std::chrono::steady_clock::now() < deadline; ++number) {
    if (verbose) std::fprintf(stderr, "mutation %d\n", number);
    const Input input = Mutation(corpus, number);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu seeds, %d mutations\n", corpus.size(), number);
  return 0;
}
