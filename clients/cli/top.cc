// hearth top: how busy the daemon is, again and again.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include "clients/cli/command.h"
#include "clients/cli/connection.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/load.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Flags {
  ConnectionFlags connection;
  bool json = false;
  double interval = 1;  // seconds
};

struct Rates {  // tokens a second, since the load before
  double prompt = 0;
  double cached = 0;
  double generated = 0;
};

class Meter {
 public:
  // Nothing yet from the first load, nor from a daemon that has started anew.
  std::optional<Rates> Measure(const v1::GetLoadResponse& load) {
    const Clock::time_point now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - at_).count();
    std::optional<Rates> rates;
    if (at_ != Clock::time_point() && seconds > 0 &&
        load.generated_tokens() >= before_.generated_tokens()) {
      const auto rate = [seconds](uint64_t from, uint64_t to) {
        return static_cast<double>(to - std::min(from, to)) / seconds;
      };
      rates = Rates{rate(before_.prompt_tokens(), load.prompt_tokens()),
                    rate(before_.prompt_tokens_cached(), load.prompt_tokens_cached()),
                    rate(before_.generated_tokens(), load.generated_tokens())};
    }
    before_ = load;
    at_ = now;
    return rates;
  }

 private:
  v1::GetLoadResponse before_;
  Clock::time_point at_;
};

std::string Bar(int percent) {
  constexpr int kWidth = 20;
  const int filled = std::clamp(percent * kWidth / 100, 0, kWidth);
  return absl::StrCat("[", std::string(filled, '#'), std::string(kWidth - filled, ' '), "]");
}

std::string Row(const char* name, int32_t part, int32_t whole, const std::string& figures) {
  return absl::StrFormat("%-8s %s %s\n", name, Bar(Percent(std::max(part, 0), std::max(whole, 0))),
                         figures);
}

std::string Screen(const v1::GetLoadResponse& load, const Rates& rates) {
  const auto of_kv = [&load](int32_t blocks) {
    return Percent(std::max(blocks, 0), std::max(load.kv_blocks_total(), 0));
  };
  std::string text = Row("running", load.running(), load.max_running(),
                         absl::StrFormat("%d of %d%s", load.running(), load.max_running(),
                                         load.draining() ? ", draining" : ""));
  text += Row("queued", load.queued(), load.max_queued(),
              absl::StrFormat("%d of %d", load.queued(), load.max_queued()));
  text += Row("KV cache", load.kv_blocks_used(), load.kv_blocks_total(),
              absl::StrFormat("%d %% of %d blocks, %d %% cached, %d %% pinned",
                              of_kv(load.kv_blocks_used()), load.kv_blocks_total(),
                              of_kv(load.kv_blocks_cached()), of_kv(load.kv_blocks_pinned())));
  absl::StrAppendFormat(&text, "tok/s    %.1f prompt, %.1f cached, %.1f generated\n", rates.prompt,
                        rates.cached, rates.generated);
  return text;
}

// What is shown takes the place of what was shown before.
class Display {
 public:
  bool Show(const std::string& screen) {
    std::string text = "\x1b[?7l";  // a line that is too long does not become two
    if (lines_ > 0) absl::StrAppend(&text, "\x1b[", lines_, "A");
    lines_ = 0;
    for (const char c : screen) {
      if (c == '\n') {
        text += "\x1b[K";
        ++lines_;
      }
      text += c;
    }
    return PrintRaw(text += "\x1b[?7h");
  }

 private:
  int lines_ = 0;
};

int Top(const Flags& flags, Interrupt& interrupt) {
  const std::optional<Connection> connection = Connection::Open(flags.connection);
  if (!connection) return kExitUsage;
  const Interrupt::Scope scope(interrupt);
  v1::WatchLoadRequest request;
  request.set_interval_ms(static_cast<int32_t>(flags.interval * 1000));
  LoadStream stream = connection->client().WatchLoad(request, connection->options(scope.token()));
  const bool redraw = !flags.json && OutputCanRedraw();
  Display display;
  Meter meter;
  for (const v1::GetLoadResponse& load : stream) {
    const std::optional<Rates> rates = meter.Measure(load);
    const bool printed =
        flags.json ? PrintJson(load)
        : redraw   ? display.Show(Screen(load, rates.value_or(Rates())))
                   : Print(LoadLine(load) +
                           (rates ? absl::StrFormat("  %.1f tok/s", rates->generated) : "") + "\n");
    if (!printed) return Written(false);
  }
  if (!scope.token().stop_requested()) return connection->Report(stream.status());
  if (redraw) Print("\n");  // behind the terminal's ^C
  return kExitInterrupted;
}

}  // namespace

void AddTop(CLI::App& app, Run& run) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("top", "Shows how busy the daemon is, until interrupted");
  command->add_option("--interval", flags->interval, "Seconds between two looks")
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
  AddConnectionFlags(*command, flags->connection);
  command->add_flag("--json", flags->json, "Print JSON, one line each");
  command->callback(
      [flags, &run] { run = [flags](Interrupt& interrupt) { return Top(*flags, interrupt); }; });
}

}  // namespace hearth::cli
