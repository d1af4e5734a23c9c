// hearth cancel, pin, unpin, flush, drain: what changes the daemon.
#include <cstdio>
#include <memory>
#include <string>

#include "clients/cli/command.h"
#include "clients/cli/connection.h"
#include "clients/cli/input.h"
#include "clients/cli/prompt.h"
#include "clients/cli/terminal.h"

namespace hearth::cli {
namespace {

struct Flags {
  ConnectionFlags connection;
  std::string name;  // of a generation or a pin
  PromptFlags prompt;
  std::string text;
  std::string cache_key;
  bool json = false;
};

int Cancel(const Flags& flags, const Connection& connection) {
  v1::CancelRequest request;
  request.set_id(flags.name);
  const auto response = connection.client().Cancel(request, connection.options());
  if (!response.ok()) return connection.Report(response.status());
  if (response->found()) return kExitOk;
  PrintError(flags.name + ": no generation of yours that is under way");
  return kExitFailure;
}

int Pin(const Flags& flags, const Connection& connection) {
  v1::PinPrefixRequest request;
  request.set_name(flags.name);
  request.set_cache_key(flags.cache_key);
  const std::string text = TextOrInput(flags.text);
  if (flags.prompt.plain) {
    request.set_text(text);
  } else {
    FillChat(flags.prompt.chat, text, *request.mutable_chat());
  }
  const auto response = connection.client().PinPrefix(request, connection.options());
  if (!response.ok()) return connection.Report(response.status());
  const bool printed = flags.json
                           ? PrintJson(*response)
                           : Print(std::to_string(response->tokens()) + " tokens stay cached\n");
  return Written(printed);
}

int Unpin(const Flags& flags, const Connection& connection) {
  v1::UnpinPrefixRequest request;
  request.set_name(flags.name);
  return connection.Report(connection.client().UnpinPrefix(request, connection.options()));
}

int Flush(const Flags&, const Connection& connection) {
  return connection.Report(connection.client().FlushCache(connection.options()));
}

int Drain(const Flags& flags, const Connection& connection) {
  const auto response = connection.client().Drain(connection.options());
  if (!response.ok()) return connection.Report(response.status());
  const bool printed =
      flags.json ? PrintJson(*response)
                 : Print(std::to_string(response->under_way()) + " generations still run\n");
  return Written(printed);
}

using Action = int (*)(const Flags&, const Connection&);

struct Added {
  CLI::App& command;
  Flags& flags;  // live as long as the command
};

// Each has flags of its own: CLI11 reads HEARTH_ADDRESS for commands that were not named, too.
Added Add(CLI::App& app, Run& run, const char* name, const char* description, Action action) {
  CLI::App& command = *app.add_subcommand(name, description);
  const auto flags = std::make_shared<Flags>();
  AddConnectionFlags(command, flags->connection);
  command.callback([flags, action, &run] {
    run = [flags, action](Interrupt&) {
      const std::optional<Connection> connection = Connection::Open(flags->connection);
      return connection ? action(*flags, *connection) : kExitUsage;
    };
  });
  return {command, *flags};
}

}  // namespace

void AddControl(CLI::App& app, Run& run) {
  const auto [cancel, cancel_flags] =
      Add(app, run, "cancel", "Ends a generation of the same client", Cancel);
  cancel.add_option("ID", cancel_flags.name, "As its first event has it (chat --json)")->required();
  const auto [pin, pin_flags] =
      Add(app, run, "pin", "Computes a prefix of at least 32 tokens and keeps it cached", Pin);
  pin.add_option("NAME", pin_flags.name, "To unpin it by; an older pin of it is replaced")
      ->required();
  pin.add_option("MESSAGE", pin_flags.text, "The last message; -: what stdin holds");
  AddPromptFlags(pin, pin_flags.prompt);
  pin.add_option("--cache-key", pin_flags.cache_key, "Of the requests that it is for");
  pin.add_flag("--json", pin_flags.json, "Print JSON");
  const auto [unpin, unpin_flags] = Add(app, run, "unpin", "Lets a pinned prefix go", Unpin);
  unpin.add_option("NAME", unpin_flags.name, "As it was pinned")->required();
  Add(app, run, "flush", "Forgets every cached prefix that is not in use; for admins", Flush);
  const auto [drain, drain_flags] =
      Add(app, run, "drain",
          "Lets the daemon finish what runs, take nothing more, and end; for admins", Drain);
  drain.add_flag("--json", drain_flags.json, "Print JSON");
}

}  // namespace hearth::cli
