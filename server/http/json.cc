#include "server/http/json.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/status.h"

namespace hearth::server {
namespace {

// Builds a document from the parser's events and stops it at the first that breaks a limit, before
// the value exists. (The library's own builder keeps the last of duplicate keys and has no limits.)
class Builder final : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (text.size() > limits_.max_number_bytes) return Refuse("a number has too many digits");
    return Add(value);
  }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return Refuse("not JSON"); }

  bool start_object(size_t) override { return Open(Json::value_t::object); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Json::value_t::array); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    Json::object_t& object = *open_.back()->get_ptr<Json::object_t*>();
    if (object.size() == limits_.max_keys) return Refuse("an object has too many keys");
    const auto [at, added] = object.emplace(std::move(name), nullptr);
    if (!added) return Refuse("an object has a key twice");
    member_ = &at->second;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    if (error.id == 406) return Refuse("a number is too large");
    return Refuse(absl::StrCat("the body is not valid JSON in UTF-8 at byte ", position));
  }

  absl::StatusOr<Json> Take(bool parsed) && {
    if (!parsed) return InvalidParam("", refusal_);
    return std::move(root_);
  }

 private:
  template <typename T>
  bool Add(T&& value) {
    *Place() = Json(std::forward<T>(value));
    return true;
  }

  bool Open(Json::value_t type) {
    if (open_.size() == limits_.max_depth) return Refuse("the JSON is nested too deeply");
    if (++containers_ > limits_.max_containers) return Refuse("too many objects and arrays");
    Json* place = Place();
    *place = Json(type);
    open_.push_back(place);
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  // Where the next value goes. Addresses of open containers hold: an array grows only while its
  // last element is closed.
  Json* Place() {
    if (open_.empty()) return &root_;
    if (open_.back()->is_object()) return member_;
    Json::array_t& array = *open_.back()->get_ptr<Json::array_t*>();
    return &array.emplace_back();
  }

  bool Refuse(std::string reason) {
    refusal_ = std::move(reason);
    return false;
  }

  const JsonLimits limits_;
  Json root_;
  std::vector<Json*> open_;
  Json* member_ = nullptr;  // of the innermost object
  size_t containers_ = 0;
  std::string refusal_;
};

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.empty()) return InvalidParam("", "the body is empty; JSON is expected");
  Builder builder(limits);
  const bool parsed = Json::sax_parse(text.begin(), text.end(), &builder);
  return std::move(builder).Take(parsed);
}

std::string DumpJson(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

const Json* FindMember(const Json& object, std::string_view name) {
  const auto& members = *object.get_ptr<const Json::object_t*>();
  const auto at = members.find(name);
  return at == members.end() || at->second.is_null() ? nullptr : &at->second;
}

absl::StatusOr<int64_t> ToInteger(const Json& value, std::string_view param) {
  if (const auto* positive = value.get_ptr<const Json::number_unsigned_t*>()) {
    if (*positive <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return static_cast<int64_t>(*positive);
    }
    return InvalidParam(param, "must be an integer of 64 bits");
  }
  if (const auto* any = value.get_ptr<const Json::number_integer_t*>()) return *any;
  return InvalidParam(param, "must be an integer");
}

absl::StatusOr<double> ToNumber(const Json& value, std::string_view param) {
  if (const auto* real = value.get_ptr<const Json::number_float_t*>()) return *real;
  if (const auto* positive = value.get_ptr<const Json::number_unsigned_t*>()) {
    return static_cast<double>(*positive);
  }
  if (const auto* any = value.get_ptr<const Json::number_integer_t*>()) {
    return static_cast<double>(*any);
  }
  return InvalidParam(param, "must be a number");
}

absl::StatusOr<std::optional<int64_t>> GetInteger(const Json& object, std::string_view name) {
  const Json* value = FindMember(object, name);
  if (value == nullptr) return std::nullopt;
  return ToInteger(*value, name);
}

absl::StatusOr<std::optional<double>> GetNumber(const Json& object, std::string_view name) {
  const Json* value = FindMember(object, name);
  if (value == nullptr) return std::nullopt;
  return ToNumber(*value, name);
}

absl::StatusOr<std::optional<bool>> GetBool(const Json& object, std::string_view name) {
  const Json* value = FindMember(object, name);
  if (value == nullptr) return std::nullopt;
  const auto* flag = value->get_ptr<const bool*>();
  if (flag == nullptr) return InvalidParam(name, "must be true or false");
  return *flag;
}

absl::StatusOr<std::optional<std::string>> GetString(const Json& object, std::string_view name) {
  const Json* value = FindMember(object, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return InvalidParam(name, "must be a string");
  return StringOf(*value);
}

const std::string& StringOf(const Json& value) { return *value.get_ptr<const std::string*>(); }

}  // namespace hearth::server
