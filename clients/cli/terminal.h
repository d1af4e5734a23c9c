// What the terminal is told, and what it is spared.
#ifndef HEARTH_CLIENTS_CLI_TERMINAL_H_
#define HEARTH_CLIENTS_CLI_TERMINAL_H_

#include <absl/strings/string_view.h>
#include <google/protobuf/message.h>

#include <string>
#include <string_view>

namespace hearth::cli {

bool InputIsTerminal();
// Of stdout and stderr both: a transcript on a terminal, not half of one in a file.
bool OutputIsTerminal();
// Whether stdout is a terminal that moves its cursor when told to.
bool OutputCanRedraw();

// `text` with control characters other than newline and tab as U+FFFD, so that what a model says
// cannot drive the terminal. `text` is UTF-8.
std::string Printable(std::string_view text);

// Writes to stdout and flushes; text for a terminal is made printable. False when stdout takes no
// more.
bool Print(std::string_view text);
// Likewise, but escapes reach the terminal. REQUIRES: `text` is our own.
bool PrintRaw(std::string_view text);
// One line of JSON, with the field names of the .proto file.
bool PrintJson(const google::protobuf::Message& message);

// The exit code of a command that has printed; says on stderr when stdout takes no more.
int Written(bool printed);

// "hearth: " and `message` made printable, as one line on stderr.
void PrintError(absl::string_view message);

// On stderr, dimmed where NO_COLOR and TERM allow; for terminals only.
void PrintAside(const std::string& line);

}  // namespace hearth::cli

#endif  // HEARTH_CLIENTS_CLI_TERMINAL_H_
