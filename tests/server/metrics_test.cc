#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/engine.h"
#include "server/version.h"

namespace hearth::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Everything set once, so that every family appears.
std::string FullText() {
  Metrics metrics;
  metrics.ObserveTimeToFirstToken(absl::Milliseconds(30));
  metrics.ObserveInterToken(absl::Milliseconds(20));
  metrics.CountGeneration("stop", absl::Seconds(2));
  metrics.CountRequest("http", "/v1/completions", "200");
  metrics.CountRequest("http", "/v1/completions", "200");
  metrics.CountRequest("grpc", "Generate", "OK");
  metrics.SetConnections("http", 3);
  metrics.CountShed("http");
  const EngineStats stats = {.queued = 1,
                             .running = 2,
                             .blocks_total = 256,
                             .blocks_used = 30,
                             .blocks_cached = 40,
                             .preemptions = 5,
                             .cancellations = 6,
                             .prompt_tokens_computed = 700,
                             .prompt_tokens_cached = 80,
                             .tokens_generated = 90,
                             .tokens_recomputed = 95,
                             .steps = 100,
                             .weight_cache_failed = true};
  ModelInfo info;
  info.architecture = "phi3";
  info.isa = "scalar";
  info.kv_type = "int8";
  info.weight_type = "Q4_0";
  info.memory = {.weights = 1000, .kv = 200, .buffers = 30, .limit = 4000};
  return metrics.Render(&stats, &info);
}

TEST(Metrics, FiguresOfTheEngineAreExportedAsTheyStand) {
  const std::string text = FullText();
  for (const char* line : {"hearth_requests_queued 1\n",
                           "hearth_requests_running 2\n",
                           "hearth_kv_blocks 256\n",
                           "hearth_kv_blocks_used 30\n",
                           "hearth_kv_blocks_cached 40\n",
                           "hearth_preemptions_total 5\n",
                           "hearth_cancellations_total 6\n",
                           "hearth_prompt_tokens_total 700\n",
                           "hearth_prompt_tokens_cached_total 80\n",
                           "hearth_generated_tokens_total 90\n",
                           "hearth_recomputed_tokens_total 95\n",
                           "hearth_engine_steps_total 100\n",
                           "hearth_weight_cache_failed 1\n",
                           "hearth_memory_planned_bytes{use=\"weights\"} 1000\n",
                           "hearth_memory_limit_bytes 4000\n",
                           "hearth_connections{transport=\"http\"} 3\n",
                           "hearth_connections_shed_total{transport=\"http\"} 1\n",
                           "hearth_time_to_first_token_seconds_count 1\n",
                           "hearth_time_to_first_token_seconds_bucket{le=\"0.05\"} 1\n",
                           "hearth_inter_token_latency_seconds_sum 0.02\n",
                           "hearth_generation_duration_seconds_count{outcome=\"stop\"} 1\n",
                           "# TYPE hearth_preemptions_total counter\n",
                           "# TYPE hearth_kv_blocks_used gauge\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, HasSubstr("route=\"/v1/completions\",status=\"200\",transport=\"http\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(absl::StrCat("hearth_build_info{version=\"", kVersion, "\"} 1\n")));
}

TEST(Metrics, ReadsWhileTheModelLoads) {
  Metrics metrics;
  const std::string text = metrics.Render(nullptr, nullptr);
  EXPECT_THAT(text, HasSubstr("hearth_build_info"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes"));
  EXPECT_THAT(text, Not(HasSubstr("hearth_kv_blocks")));
}

TEST(Metrics, ProcessFiguresAreReal) {
  const std::string text = Metrics().Render(nullptr, nullptr);
  double resident = 0;
  double start = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    sscanf(std::string(line).c_str(), "process_resident_memory_bytes %lf", &resident);
    sscanf(std::string(line).c_str(), "process_start_time_seconds %lf", &start);
  }
  EXPECT_GT(resident, 1e6);
  EXPECT_NEAR(start, absl::ToUnixSeconds(absl::Now()), 60);
}

TEST(Metrics, NamesFollowTheConventions) {
  int counters = 0;
  for (const absl::string_view line : absl::StrSplit(FullText(), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words[0] == "#" && words[1] == "TYPE") {
      counters += words[3] == "counter";
      EXPECT_EQ(words[3] == "counter", words[2].ends_with("_total")) << line;
    } else if (words[0] != "#") {
      const std::string name = words[0].substr(0, words[0].find('{'));
      EXPECT_TRUE(name.starts_with("hearth_") || name.starts_with("process_")) << line;
      EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), name.npos) << line;
    }
  }
  EXPECT_GE(counters, 8);
}

TEST(Metrics, PromtoolFindsNothing) {
  if (std::system("command -v promtool >/dev/null") != 0) {
    GTEST_SKIP() << "promtool is not installed (Debian package prometheus)";
  }
  const std::string path = absl::StrCat(testing::TempDir(), "hearth_metrics_", getpid(), ".txt");
  std::ofstream(path) << FullText();
  const std::string command = absl::StrCat("promtool check metrics <", path, " 2>&1");
  FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string output;
  char chunk[1024];
  while (fgets(chunk, sizeof(chunk), pipe) != nullptr) output += chunk;
  EXPECT_EQ(pclose(pipe), 0) << output;
  EXPECT_EQ(output, "");
  unlink(path.c_str());
}

TEST(Metrics, ManyThreadsCountEachOnce) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&metrics] {
      for (int i = 0; i < 1000; ++i) {
        metrics.CountRequest("http", "/health", "200");
        metrics.ObserveInterToken(absl::Milliseconds(1));
        if (i % 100 == 0) metrics.Render(nullptr, nullptr);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = metrics.Render(nullptr, nullptr);
  EXPECT_THAT(text, HasSubstr("status=\"200\",transport=\"http\"} 4000\n"));
  EXPECT_THAT(text, HasSubstr("hearth_inter_token_latency_seconds_count 4000\n"));
}

}  // namespace
}  // namespace hearth::server
