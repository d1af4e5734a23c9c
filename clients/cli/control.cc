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
  return printed ? kExitOk : kExitFailure;
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
  return printed ? kExitOk : kExitFailure;
}

using Action = int (*)(const Flags&, const Connection&);

CLI::App& Add(CLI::App& app, Run& run, const std::shared_ptr<Flags>& flags, const char* name,
              const char* description, Action action) {
  CLI::App& command = *app.add_subcommand(name, description);
  AddConnectionFlags(command, flags->connection);
  command.callback([flags, action, &run] {
    run = [flags, action](Interrupt&) {
      const std::optional<Connection> connection = Connection::Open(flags->connection);
      return connection ? action(*flags, *connection) : kExitUsage;
    };
  });
  return command;
}

}  // namespace

void AddControl(CLI::App& app, Run& run) {
  const auto flags = std::make_shared<Flags>();
  Add(app, run, flags, "cancel", "Ends a generation of the same client", Cancel)
      .add_option("ID", flags->name, "As its first event has it (chat --json)")
      ->required();
  CLI::App& pin = Add(app, run, flags, "pin", "Computes a prefix and keeps it cached", Pin);
  pin.add_option("NAME", flags->name, "To unpin it by; an older pin of it is replaced")->required();
  pin.add_option("MESSAGE", flags->text, "The last message; -: what stdin holds");
  AddPromptFlags(pin, flags->prompt);
  pin.add_option("--cache-key", flags->cache_key, "Of the requests that it is for");
  pin.add_flag("--json", flags->json, "Print JSON");
  Add(app, run, flags, "unpin", "Lets a pinned prefix go", Unpin)
      .add_option("NAME", flags->name, "As it was pinned")
      ->required();
  Add(app, run, flags, "flush", "Forgets every cached prefix that is not in use; for admins",
      Flush);
  Add(app, run, flags, "drain",
      "Lets the daemon finish what runs, take nothing more, and end; for admins", Drain)
      .add_flag("--json", flags->json, "Print JSON");
}

}  // namespace hearth::cli
