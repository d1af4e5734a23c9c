// JSON from outside: one document (RFC 8259) in UTF-8, or the reason why it is none. No document is
// built that is deep, ambiguous or large beyond the limits, and nothing is thrown.
#ifndef HEARTH_ENGINE_STRICT_JSON_H_
#define HEARTH_ENGINE_STRICT_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace hearth {

struct StrictJsonLimits {
  size_t max_depth = 64;
  size_t max_keys = 10'000;        // of one object
  size_t max_containers = 65'536;  // objects and arrays of the document; bounds its memory
  size_t max_number_bytes = 128;
  bool unique_keys = true;  // else the last of several holds, as most readers have it
};

// Builds a document from the parser's events and stops it at the first that breaks a limit, before
// the value exists. (The library's own builder keeps the last of duplicate keys and has no limits.)
// Json is nlohmann::json or ordered_json.
template <typename Json>
class StrictJsonBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit StrictJsonBuilder(const StrictJsonLimits& limits) : limits_(limits) {}

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(typename Json::number_integer_t value) override { return Add(value); }
  bool number_unsigned(typename Json::number_unsigned_t value) override { return Add(value); }
  bool number_float(typename Json::number_float_t value, const std::string& text) override {
    if (text.size() > limits_.max_number_bytes) return Refuse("a number has too many digits");
    return Add(value);
  }
  bool string(std::string& value) override { return Add(std::move(value)); }
  bool binary(typename Json::binary_t&) override { return Refuse("not JSON"); }

  bool start_object(size_t) override { return Open(Json::value_t::object); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Json::value_t::array); }
  bool end_array() override { return Close(); }
  bool key(std::string& name) override {
    Container& object = open_.back();
    if (object.keys.size() == limits_.max_keys) return Refuse("an object has too many keys");
    auto& members = *object.place->template get_ptr<typename Json::object_t*>();
    const auto [known, is_new] = object.keys.try_emplace(name, members.size());
    if (!is_new && limits_.unique_keys) return Refuse("an object has a key twice");
    if constexpr (std::is_same_v<Json, nlohmann::ordered_json>) {
      if (is_new) members.emplace_back(std::move(name), nullptr);
      object.member = &(members.begin() + static_cast<ptrdiff_t>(known->second))->second;
    } else {
      object.member = &members.emplace(std::move(name), nullptr).first->second;
    }
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    if (error.id == 406) return Refuse("a number is too large");
    return Refuse(absl::StrCat("not valid JSON in UTF-8 at byte ", position));
  }

  absl::StatusOr<Json> Take(bool parsed) && {
    if (!parsed) return absl::InvalidArgumentError(refusal_);
    return std::move(root_);
  }

 private:
  struct Container {
    Json* place;
    Json* member = nullptr;  // of an object: the value of the latest key
    absl::flat_hash_map<std::string, size_t> keys = {};  // and where they stand
  };

  template <typename T>
  bool Add(T&& value) {
    *Place() = Json(std::forward<T>(value));
    return true;
  }

  bool Open(typename Json::value_t type) {
    if (open_.size() == limits_.max_depth) return Refuse("nested too deeply");
    if (++containers_ > limits_.max_containers) return Refuse("too many objects and arrays");
    Json* place = Place();
    *place = Json(type);
    open_.push_back({place});
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  // Where the next value goes. Addresses of open containers hold: one grows only while its last
  // element is closed.
  Json* Place() {
    if (open_.empty()) return &root_;
    if (open_.back().place->is_object()) return open_.back().member;
    return &open_.back().place->template get_ptr<typename Json::array_t*>()->emplace_back();
  }

  bool Refuse(std::string reason) {
    refusal_ = std::move(reason);
    return false;
  }

  const StrictJsonLimits limits_;
  Json root_;
  std::vector<Container> open_;
  size_t containers_ = 0;
  std::string refusal_;
};

// InvalidArgument says why not.
template <typename Json>
absl::StatusOr<Json> ParseStrictJson(std::string_view text, const StrictJsonLimits& limits = {}) {
  StrictJsonBuilder<Json> builder(limits);
  const bool parsed = Json::sax_parse(text.begin(), text.end(), &builder);
  return std::move(builder).Take(parsed);
}

}  // namespace hearth

#endif  // HEARTH_ENGINE_STRICT_JSON_H_
