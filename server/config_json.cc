// ParseConfig: a SAX reader that fills a Config by reflection and keeps going after an error in
// a value, so that one run tells everything that is wrong.
#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "engine/check.h"
#include "server/config.h"

namespace hearth::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::json;

constexpr size_t kMaxBytes = 1 << 20;
constexpr int kMaxDepth = 16;
constexpr size_t kMaxErrors = 64;

// Tells the reader how far the parser has read: SAX callbacks carry no positions.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* read) : at_(at), read_(read) {}
  const char& operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*read_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  size_t* read_;
};

using Scalar = std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string>;

// The first bytes of a text from the file, fit for a terminal.
std::string Shown(const std::string& text, size_t bytes) {
  const std::string shown =
      absl::StrReplaceAll(absl::Utf8SafeCHexEscape(text.substr(0, bytes)), {{"\\'", "'"}});
  return text.size() > bytes ? absl::StrCat(shown, "…") : shown;
}

std::string Quoted(const std::string& text) { return absl::StrCat("\"", Shown(text, 64), "\""); }

std::string Describe(const Scalar& value) {
  struct Visitor {
    std::string operator()(std::nullptr_t) const { return "null"; }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(int64_t n) const { return absl::StrCat(n); }
    std::string operator()(uint64_t n) const { return absl::StrCat(n); }
    std::string operator()(double d) const { return absl::StrCat(d); }
    std::string operator()(const std::string& s) const {
      return absl::StrCat("the string ", Quoted(s));
    }
  };
  return std::visit(Visitor(), value);
}

std::string Names(const EnumDescriptor& type) {
  std::string names;
  const int last = type.value_count() - 1;
  for (int i = 1; i <= last; ++i) {  // 0 is "not set"
    const char* separator = i == 1 ? "" : i == last ? " or " : ", ";
    absl::StrAppend(&names, separator, Quoted(type.value(i)->name()));
  }
  return names;
}

std::string Expected(const FieldDescriptor& field, bool element) {
  if (field.is_repeated() && !element) return "an array";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      if (field.name().ends_with("_bytes")) return "an integer number of bytes";
      if (field.name().ends_with("_ms")) return "an integer number of milliseconds";
      return "an integer";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return "a string";
    case FieldDescriptor::CPPTYPE_ENUM:
      return Names(*field.enum_type());
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "an object";
    default:
      return "a value";
  }
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// "engine.threads" for "threads": the key is right and its place is wrong.
std::string FindElsewhere(std::string_view key, const Descriptor& root, const std::string& prefix) {
  for (int i = 0; i < root.field_count(); ++i) {
    const FieldDescriptor& field = *root.field(i);
    if (field.name() == key) return absl::StrCat(prefix, field.name());
    if (field.message_type() == nullptr) continue;
    const std::string found =
        FindElsewhere(key, *field.message_type(), absl::StrCat(prefix, field.name(), "."));
    if (!found.empty()) return found;
  }
  return "";
}

std::string Suggestion(std::string_view key, const Descriptor& type) {
  constexpr size_t kLongestKey = 64;
  std::vector<std::string> known;
  std::string nearest;
  size_t best = key.size() / 3 + 2;  // farther is no typing error
  for (int i = 0; i < type.field_count() && key.size() <= kLongestKey; ++i) {
    known.push_back(type.field(i)->name());
    const size_t distance = EditDistance(key, known.back());
    if (distance < best) {
      best = distance;
      nearest = known.back();
    }
  }
  if (nearest.empty()) nearest = FindElsewhere(key, *v1::Config::descriptor(), "");
  if (!nearest.empty()) return absl::StrCat("unknown key, did you mean \"", nearest, "\"?");
  if (known.empty()) return "unknown key";
  return absl::StrCat("unknown key, expected one of ", absl::StrJoin(known, ", "));
}

class Reader final : public nlohmann::json_sax<Json> {
 public:
  Reader(std::string_view text, std::string name, v1::Config& config)
      : text_(text), name_(std::move(name)), config_(config) {}

  size_t* read() { return &read_; }
  absl::Status status() const {
    if (errors_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(errors_, "\n"));
  }

  bool null() override { return Take(nullptr); }
  bool boolean(bool value) override { return Take(value); }
  bool number_integer(int64_t value) override { return Take(value); }
  bool number_unsigned(uint64_t value) override { return Take(value); }
  bool number_float(double value, const std::string&) override { return Take(value); }
  bool string(std::string& value) override { return Take(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // JSON text has none
  bool start_object(size_t) override { return Open(/*object=*/true); }
  bool start_array(size_t) override { return Open(/*object=*/false); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(std::string& key) override;
  bool parse_error(size_t, const std::string&, const Json::exception& error) override;

 private:
  struct Frame {
    Message* message;                        // being filled, or the owner of the array
    const FieldDescriptor* field = nullptr;  // of the key just read, or the array
    int elements = -1;                       // of the array so far; -1: an object
    absl::flat_hash_set<const FieldDescriptor*> seen = {};
  };

  bool Take(Scalar value);
  bool Open(bool object);
  bool Close();
  // Whether the value now read belongs to a key that was refused.
  bool Skipped() { return skip_depth_ > 0 || std::exchange(skip_next_, false); }
  // Stores the value or returns what is wrong with it.
  std::optional<std::string> Store(Frame& frame, const Scalar& value);
  std::optional<std::string> StoreInteger(Frame& frame, const Scalar& value);

  bool Fail(const std::string& what) { return FailAt(TokenStart(), what); }
  bool FailAt(size_t offset, const std::string& what);
  std::string Path() const;
  size_t TokenStart() const;

  const std::string_view text_;
  const std::string name_;
  v1::Config& config_;
  size_t read_ = 0;
  int depth_ = 0;
  int skip_depth_ = 0;
  bool skip_next_ = false;
  std::vector<Frame> frames_;
  std::vector<std::string> errors_;
};

// Walks back from where the parser stands to where the token it has just read begins.
size_t Reader::TokenStart() const {
  size_t at = std::min(read_, text_.size());
  if (at == 0) return 0;
  const auto in_word = [](char c) {
    return absl::ascii_isalnum(c) || c == '+' || c == '-' || c == '.';
  };
  if (text_[at - 1] == '"') {
    // Only the opening quote stands behind an even number of backslashes.
    size_t open = at - 1;
    while (open > 0) {
      if (text_[--open] != '"') continue;
      size_t backslashes = 0;
      while (backslashes < open && text_[open - 1 - backslashes] == '\\') ++backslashes;
      if (backslashes % 2 == 0) return open;
    }
    return open;
  }
  // The parser reads one character past a number.
  if (!in_word(text_[at - 1]) && at > 1 && in_word(text_[at - 2])) --at;
  if (!in_word(text_[at - 1])) return at - 1;  // a bracket
  while (at > 0 && in_word(text_[at - 1])) --at;
  return at;
}

std::string Reader::Path() const {
  std::string path;
  for (const Frame& frame : frames_) {
    if (frame.elements >= 0) {
      absl::StrAppend(&path, "[", frame.elements, "]");
    } else if (frame.field != nullptr) {
      absl::StrAppend(&path, path.empty() ? "" : ".", frame.field->name());
    }
  }
  return path;
}

bool Reader::FailAt(size_t offset, const std::string& what) {
  if (errors_.size() == kMaxErrors) {
    errors_.push_back("and more");
    return false;
  }
  const std::string_view before = text_.substr(0, offset);
  const size_t line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t newline = before.rfind('\n');
  const size_t column = offset - (newline == before.npos ? 0 : newline + 1) + 1;
  const std::string path = Path();
  errors_.push_back(
      absl::StrCat(name_, ":", line, ":", column, ": ", path, path.empty() ? "" : ": ", what));
  return true;
}

bool Reader::key(std::string& key) {
  if (skip_depth_ > 0) return true;
  Frame& frame = frames_.back();
  const FieldDescriptor* field = frame.message->GetDescriptor()->FindFieldByName(key);
  frame.field = nullptr;
  if (field == nullptr) {
    skip_next_ = true;
    return Fail(absl::StrCat(Quoted(key), ": ", Suggestion(key, *frame.message->GetDescriptor())));
  }
  frame.field = field;
  if (!frame.seen.insert(field).second) {
    skip_next_ = true;
    return Fail("stands twice, expected once");
  }
  return true;
}

bool Reader::Take(Scalar value) {
  if (Skipped()) return true;
  if (frames_.empty()) return Fail(absl::StrCat(Describe(value), ", expected an object"));
  Frame& frame = frames_.back();
  const bool element = frame.elements >= 0;
  bool keep_going = true;
  if (frame.field->is_repeated() != element) {
    keep_going =
        Fail(absl::StrCat(Describe(value), ", expected ", Expected(*frame.field, element)));
  } else if (const auto error = Store(frame, value)) {
    keep_going = Fail(*error);
  }
  if (element) ++frame.elements;
  return keep_going;
}

std::optional<std::string> Reader::Store(Frame& frame, const Scalar& value) {
  const FieldDescriptor& field = *frame.field;
  const auto* reflection = frame.message->GetReflection();
  const auto* text = std::get_if<std::string>(&value);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return StoreInteger(frame, value);
    case FieldDescriptor::CPPTYPE_BOOL:
      if (!std::holds_alternative<bool>(value)) break;
      reflection->SetBool(frame.message, &field, std::get<bool>(value));
      return std::nullopt;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* named = text ? field.enum_type()->FindValueByName(*text) : nullptr;
      if (named == nullptr || named->number() == 0) break;
      reflection->SetEnum(frame.message, &field, named);
      return std::nullopt;
    }
    case FieldDescriptor::CPPTYPE_STRING:
      if (text == nullptr) break;
      if (text->find('\0') != text->npos) return "a string with a NUL, expected none";
      if (field.is_repeated()) {
        reflection->AddString(frame.message, &field, *text);
      } else {
        reflection->SetString(frame.message, &field, *text);
      }
      return std::nullopt;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
    default:
      HEARTH_CHECK(false && "a kind of field config.proto does not use");
  }
  return absl::StrCat(Describe(value), ", expected ", Expected(field, /*element=*/true));
}

std::optional<std::string> Reader::StoreInteger(Frame& frame, const Scalar& value) {
  const FieldDescriptor& field = *frame.field;
  int64_t number;
  if (const auto* i = std::get_if<int64_t>(&value)) {
    number = *i;
  } else if (const auto* u = std::get_if<uint64_t>(&value)) {
    number = static_cast<int64_t>(std::min<uint64_t>(*u, INT64_MAX));  // beyond every rule
  } else {
    return absl::StrCat(Describe(value), ", expected ", Expected(field, /*element=*/true));
  }
  if (auto error = OutOfRange(field, number)) return error;
  const auto* reflection = frame.message->GetReflection();
  if (field.is_repeated()) {
    reflection->AddInt64(frame.message, &field, number);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    reflection->SetInt32(frame.message, &field, static_cast<int32_t>(number));
  } else {
    reflection->SetInt64(frame.message, &field, number);
  }
  return std::nullopt;
}

bool Reader::Open(bool object) {
  if (++depth_ > kMaxDepth) {
    Fail(absl::StrCat("nested deeper than ", kMaxDepth));
    return false;
  }
  if (Skipped()) {
    ++skip_depth_;
    return true;
  }
  const char* found = object ? "an object" : "an array";
  if (frames_.empty()) {
    if (object) {
      frames_.push_back({.message = &config_});
      return true;
    }
    ++skip_depth_;
    return Fail("an array, expected an object");
  }
  Frame& frame = frames_.back();
  const FieldDescriptor& field = *frame.field;
  const bool element = frame.elements >= 0;
  if (!element && !object && field.is_repeated()) {
    frames_.push_back({.message = frame.message, .field = &field, .elements = 0});
    return true;
  }
  if (!element && object && !field.is_repeated() && field.message_type() != nullptr) {
    Message* child = frame.message->GetReflection()->MutableMessage(frame.message, &field);
    frames_.push_back({.message = child});
    return true;
  }
  ++skip_depth_;
  const bool keep_going = Fail(absl::StrCat(found, ", expected ", Expected(field, element)));
  if (element) ++frame.elements;
  return keep_going;
}

bool Reader::Close() {
  --depth_;
  if (skip_depth_ > 0) {
    --skip_depth_;
  } else {
    frames_.pop_back();
  }
  return true;
}

bool Reader::parse_error(size_t, const std::string&, const Json::exception& error) {
  // "[json.exception.parse_error.101] parse error at line 1, column 3: syntax error …"
  std::string_view what = error.what();
  what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
  if (what.starts_with("parse error at")) {
    what.remove_prefix(std::min(what.find(": ") + 2, what.size()));
  }
  frames_.clear();  // the place says it all
  FailAt(read_ == 0 ? 0 : read_ - 1, Shown(std::string(what), 200));
  return false;
}

}  // namespace

absl::StatusOr<v1::Config> ParseConfig(std::string_view json, const std::string& name) {
  if (json.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ", json.size(), " bytes, expected at most ", kMaxBytes));
  }
  v1::Config config;
  Reader reader(json, name, config);
  const CountingIterator begin(json.data(), reader.read());
  const CountingIterator end(json.data() + json.size(), reader.read());
  const bool parsed = Json::sax_parse(begin, end, &reader);
  if (absl::Status status = reader.status(); !status.ok()) return status;
  HEARTH_CHECK(parsed);
  return config;
}

}  // namespace hearth::server
