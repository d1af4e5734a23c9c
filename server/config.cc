#include "server/config.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/status_macros.h"
#include "server/listener.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMaxFileBytes = 1 << 20;

struct SmallFile {
  std::string content;
  mode_t mode;
};

// A regular file of at most 1 MiB; judged and read through one descriptor.
absl::StatusOr<SmallFile> ReadSmallFile(const std::string& path) {
  // O_NONBLOCK: a FIFO must not hang the start.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  absl::Cleanup closer = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  SmallFile file{.content = std::string(kMaxFileBytes + 1, '\0'), .mode = info.st_mode};
  size_t size = 0;
  while (size < file.content.size()) {
    const ssize_t n = read(fd, file.content.data() + size, file.content.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, path);
    if (n == 0) break;
    size += n;
  }
  if (size > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": larger than ", kMaxFileBytes, " bytes"));
  }
  file.content.resize(size);
  return file;
}

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
                    const google::protobuf::RepeatedPtrField<std::string>& texts, bool network,
                    std::vector<std::string>& errors) {
  for (int i = 0; i < texts.size(); ++i) {
    const auto address = ParseListenAddress(texts[i]);
    if (!address.ok()) {
      errors.push_back(absl::StrCat(path, "[", i, "]: ", address.status().message()));
    } else if (!network && !address->is_loopback()) {
      errors.push_back(absl::StrCat(path, "[", i, "]: ", texts[i],
                                    " is reachable from other machines; set auth.key_file, or ",
                                    "auth.allow_unauthenticated to serve it without keys"));
    }
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

std::string Sha256(std::string_view text) {
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

bool IsKeyText(std::string_view key) {
  constexpr size_t kLongestKey = 512;
  return key.size() <= kLongestKey &&
         std::all_of(key.begin(), key.end(), [](char c) { return absl::ascii_isgraph(c); });
}

}  // namespace

absl::StatusOr<v1::Config> ReadConfig(const std::string& path) {
  HEARTH_ASSIGN_OR_RETURN(const SmallFile file, ReadSmallFile(path));
  return ParseConfig(file.content, path);
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
  CheckListeners("listen.http", config.listen().http(), MayServeNetwork(config), errors);
  CheckListeners("listen.grpc", config.listen().grpc(), MayServeNetwork(config), errors);
  CheckUnixMode(config.listen().unix_mode(), errors);
  CheckEngine(config.engine(), errors);
  if (errors.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
}

bool MayServeNetwork(const v1::Config& config) {
  return !config.auth().key_file().empty() || config.auth().allow_unauthenticated();
}

bool KeyFailures::Count(std::chrono::steady_clock::time_point now) {
  std::lock_guard<std::mutex> lock(mutex_);
  const double seconds = std::chrono::duration<double>(now - last_).count();
  left_ = std::min(kBurst, left_ + seconds * kPerSecond);
  last_ = now;
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

absl::StatusOr<ApiKeys> ApiKeys::Read(const std::string& path) {
  constexpr size_t kMaxKeys = 1024;
  HEARTH_ASSIGN_OR_RETURN(const SmallFile file, ReadSmallFile(path));
  if ((file.mode & (S_IRWXO | S_IWGRP)) != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s: permissions %04o, expected none for others, such as 0600", path, file.mode & 0777));
  }
  ApiKeys keys;
  int line_number = 0;
  for (const absl::string_view raw : absl::StrSplit(file.content, '\n')) {
    ++line_number;
    const std::string line(absl::StripAsciiWhitespace(raw));  // also of the CR of CRLF
    if (line.empty() || line[0] == '#') continue;
    if (!IsKeyText(line)) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ":", line_number, ": expected at most 512 printable ASCII characters, no spaces"));
    }
    if (keys.hashes_.size() == kMaxKeys) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": more than ", kMaxKeys, " keys"));
    }
    keys.hashes_.push_back(Sha256(line));
  }
  if (keys.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": holds no key"));
  return keys;
}

absl::StatusOr<std::string> ApiKeys::Authenticate(std::string_view key) const {
  const std::string hash = Sha256(key);
  bool known = false;
  for (const std::string& candidate : hashes_) {  // no early end: time tells nothing
    known |= CRYPTO_memcmp(candidate.data(), hash.data(), hash.size()) == 0;
  }
  if (!known && !failures_->Count(std::chrono::steady_clock::now())) {
    return WithRetryAfter(absl::ResourceExhaustedError("too many requests without a valid API key"),
                          absl::Seconds(1));
  }
  if (!known) {
    return absl::UnauthenticatedError("a valid API key is needed: Authorization: Bearer KEY");
  }
  return absl::StrCat("key-", absl::BytesToHexString(hash.substr(0, 4)));
}

}  // namespace hearth::server
