#include "clients/cli/terminal.h"

#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "clients/cli/command.h"

namespace hearth::cli {
namespace {

bool TakesEscapes() {
  const char* const term = std::getenv("TERM");
  return term != nullptr && std::string_view(term) != "dumb";
}

bool Colour() {
  const char* const no_color = std::getenv("NO_COLOR");
  return (no_color == nullptr || *no_color == '\0') && TakesEscapes();
}

}  // namespace

bool InputIsTerminal() { return isatty(STDIN_FILENO) == 1; }

bool OutputIsTerminal() { return isatty(STDOUT_FILENO) == 1 && isatty(STDERR_FILENO) == 1; }

bool OutputCanRedraw() { return isatty(STDOUT_FILENO) == 1 && TakesEscapes(); }

std::string Printable(std::string_view text) {
  static constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) {
      out += kReplacement;
    } else if (byte == 0xC2 && next >= 0x80 && next < 0xA0) {  // C1: U+0080 to U+009F
      out += kReplacement;
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool Print(std::string_view text) {
  return isatty(STDOUT_FILENO) == 1 ? PrintRaw(Printable(text)) : PrintRaw(text);
}

bool PrintRaw(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

bool PrintJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok()) return false;
  return PrintRaw(json += '\n');
}

int Written(bool printed) {
  if (printed) return kExitOk;
  PrintError("stdout: cannot write");
  return kExitFailure;
}

void PrintError(absl::string_view message) {
  std::string line = Printable({message.data(), message.size()});
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::fprintf(stderr, "hearth: %s\n", line.c_str());
}

void PrintAside(const std::string& line) {
  if (!OutputIsTerminal()) return;
  const bool colour = Colour();
  std::fprintf(stderr, "%s%s%s\n", colour ? "\x1b[2m" : "", line.c_str(), colour ? "\x1b[0m" : "");
}

}  // namespace hearth::cli
