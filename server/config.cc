#include "server/config.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/status_macros.h"
#include "server/listener.h"
#include "server/small_file.h"

namespace hearth::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Calls `visit(message, field)` for every singular number, bool and enum, set or not.
template <typename Visit>
void ForEachValue(Message& message, const Visit& visit) {
  const auto* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor& field = *descriptor->field(i);
    if (field.is_repeated() || field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) continue;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      ForEachValue(*message.GetReflection()->MutableMessage(&message, &field), visit);
    } else {
      visit(message, field);
    }
  }
}

void SetDefault(Message& message, const FieldDescriptor& field) {
  if (!field.options().HasExtension(v1::rules)) return;
  const int64_t value = field.options().GetExtension(v1::rules).by_default();
  const auto* reflection = message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      if (reflection->GetInt32(message, &field) == 0) {
        reflection->SetInt32(&message, &field, static_cast<int32_t>(value));
      }
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      if (reflection->GetInt64(message, &field) == 0) reflection->SetInt64(&message, &field, value);
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      if (reflection->GetEnumValue(message, &field) == 0) {
        reflection->SetEnumValue(&message, &field, static_cast<int>(value));
      }
      break;
    case FieldDescriptor::CPPTYPE_BOOL:  // only `optional` ones can be unset
      if (field.has_presence() && !reflection->HasField(message, &field)) {
        reflection->SetBool(&message, &field, value != 0);
      }
      break;
    default:
      break;
  }
}

int64_t IntegerOf(const Message& message, const FieldDescriptor& field) {
  const auto* reflection = message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection->GetInt64(message, &field);
    default:
      return 0;  // bools and enums have no range
  }
}

// "hearth.v1.Engine" names the section "engine".
std::string PathOf(const FieldDescriptor& field) {
  return absl::StrCat(absl::AsciiStrToLower(field.containing_type()->name()), ".", field.name());
}

void CheckListeners(const std::string& path,
                    const google::protobuf::RepeatedPtrField<std::string>& texts,
                    const v1::Config& config, std::vector<std::string>& errors) {
  for (int i = 0; i < texts.size(); ++i) {
    const auto address = ParseListenAddress(texts[i]);
    if (!address.ok()) {
      errors.push_back(absl::StrCat(path, "[", i, "]: ", address.status().message()));
      continue;
    }
    const absl::Status status =
        CheckListener(texts[i], address->is_loopback(), address->tls, config);
    if (!status.ok()) errors.push_back(absl::StrCat(path, "[", i, "]: ", status.message()));
  }
}

void CheckTls(const v1::Tls& tls, std::vector<std::string>& errors) {
  if (tls.certificate_file().empty() != tls.private_key_file().empty()) {
    errors.push_back("tls: expected both certificate_file and private_key_file, or neither");
  } else if (tls.certificate_file().empty() && !tls.client_ca_file().empty()) {
    errors.push_back("tls.client_ca_file: expected tls.certificate_file with it");
  }
}

// As browsers write them, RFC 6454: scheme, host, and a port that is not the scheme's own.
bool IsOrigin(absl::string_view origin) {
  const size_t scheme = origin.find("://");
  if (scheme == 0 || scheme == origin.npos) return false;
  const absl::string_view host = origin.substr(scheme + 3);
  return !host.empty() && host.find_first_of("/?#@* ") == host.npos;
}

void CheckOrigins(const google::protobuf::RepeatedPtrField<std::string>& origins,
                  std::vector<std::string>& errors) {
  for (int i = 0; i < origins.size(); ++i) {
    if (IsOrigin(origins[i])) continue;
    errors.push_back(absl::StrCat("listen.allowed_origins[", i, "]: ", origins[i],
                                  ", expected SCHEME://HOST or SCHEME://HOST:PORT"));
  }
}

void CheckUnixMode(const std::string& mode, std::vector<std::string>& errors) {
  const bool octal = !mode.empty() && mode.size() <= 4 &&
                     mode.find_first_not_of("01234567") == mode.npos &&
                     std::stoi(mode, nullptr, 8) <= 0777;
  if (!octal) errors.push_back("listen.unix_mode: expected octal permissions such as \"0660\"");
}

void CheckEngine(const v1::Engine& engine, std::vector<std::string>& errors) {
  if (engine.kv_tokens() > 0 && engine.max_context() > engine.kv_tokens()) {
    errors.push_back(absl::StrCat("engine.max_context: ", engine.max_context(),
                                  ", expected at most engine.kv_tokens, ", engine.kv_tokens()));
  }
  if (engine.max_batch_tokens() < engine.max_running()) {
    errors.push_back(absl::StrCat("engine.max_batch_tokens: ", engine.max_batch_tokens(),
                                  ", expected at least engine.max_running, ",
                                  engine.max_running()));
  }
}

}  // namespace

absl::StatusOr<v1::Config> ReadConfig(const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(const std::string content, ReadSmallFile(path));
  return ParseConfig(content, path);
}

v1::Config ResolveDefaults(v1::Config config) {
  ForEachValue(config, SetDefault);
  v1::Listen& listen = *config.mutable_listen();
  if (listen.http().empty()) listen.add_http("127.0.0.1:8080");
  if (listen.grpc().empty()) listen.add_grpc("127.0.0.1:8081");
  if (listen.unix_mode().empty()) listen.set_unix_mode("0660");
  v1::Engine& engine = *config.mutable_engine();
  // Of several directories, which colons part, the first.
  if (const char* cache = getenv("CACHE_DIRECTORY"); cache && engine.cache_directory().empty()) {
    const std::vector<std::string> directories = absl::StrSplit(cache, ':');
    engine.set_cache_directory(directories[0]);
  }
  return config;
}

std::optional<std::string> OutOfRange(const FieldDescriptor& field, int64_t value) {
  const v1::Rules& rules = field.options().GetExtension(v1::rules);
  if (value == 0 || (value >= rules.min() && value <= rules.max())) return std::nullopt;
  return absl::StrCat(value, ", expected ", rules.min(), " to ", rules.max());
}

absl::Status ValidateConfig(const v1::Config& config) {
  std::vector<std::string> errors;
  v1::Config copy = config;
  ForEachValue(copy, [&](Message& message, const FieldDescriptor& field) {
    if (const auto error = OutOfRange(field, IntegerOf(message, field))) {
      errors.push_back(absl::StrCat(PathOf(field), ": ", *error));
    }
  });
  CheckListeners("listen.http", config.listen().http(), config, errors);
  CheckListeners("listen.grpc", config.listen().grpc(), config, errors);
  CheckUnixMode(config.listen().unix_mode(), errors);
  CheckOrigins(config.listen().allowed_origins(), errors);
  CheckTls(config.tls(), errors);
  CheckEngine(config.engine(), errors);
  if (errors.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
}

absl::Status CheckListener(const std::string& name, bool loopback, bool tls,
                           const v1::Config& config) {
  if (tls && config.tls().certificate_file().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, " needs tls.certificate_file and tls.private_key_file"));
  }
  const bool asks_who =
      !config.auth().key_file().empty() || (tls && !config.tls().client_ca_file().empty());
  if (loopback || asks_who || config.auth().allow_unauthenticated()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(name, " is reachable from other machines; set auth.key_file, or ",
                   "auth.allow_unauthenticated to serve it without keys"));
}

}  // namespace hearth::server
