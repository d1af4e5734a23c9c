#include "tests/tools/gguf_writer.h"

#include <type_traits>

namespace hearth {
namespace {

// Numbers of value types in the GGUF specification.
constexpr uint32_t kUint32 = 4;
constexpr uint32_t kInt32 = 5;
constexpr uint32_t kFloat32 = 6;
constexpr uint32_t kBool = 7;
constexpr uint32_t kString = 8;
constexpr uint32_t kArray = 9;
constexpr uint32_t kUint64 = 10;

template <typename T>
void Append(std::string* out, const T& value) {
  static_assert(std::is_arithmetic_v<T>);
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendString(std::string* out, absl::string_view text) {
  Append(out, uint64_t{text.size()});
  out->append(text.data(), text.size());
}

template <typename T>
std::string Payload(const T& value) {
  std::string payload;
  Append(&payload, value);
  return payload;
}

template <typename T>
std::string ArrayPayload(uint32_t type, absl::Span<const T> values) {
  std::string payload = Payload(type);
  Append(&payload, uint64_t{values.size()});
  for (const T& value : values) Append(&payload, value);
  return payload;
}

uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

uint32_t GgufTypeId(DType type) {
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ5_0:
      return 6;
    case DType::kQ5_1:
      return 7;
    case DType::kQ8_0:
      return 8;
    case DType::kQ4_K:
      return 12;
    case DType::kQ5_K:
      return 13;
    case DType::kQ6_K:
      return 14;
    case DType::kBF16:
      return 30;
  }
  return ~uint32_t{0};
}

void GgufWriter::AddUint32(absl::string_view key, uint32_t value) {
  metadata.push_back({std::string(key), kUint32, Payload(value)});
}

void GgufWriter::AddInt32(absl::string_view key, int32_t value) {
  metadata.push_back({std::string(key), kInt32, Payload(value)});
}

void GgufWriter::AddUint64(absl::string_view key, uint64_t value) {
  metadata.push_back({std::string(key), kUint64, Payload(value)});
}

void GgufWriter::AddFloat32(absl::string_view key, float value) {
  metadata.push_back({std::string(key), kFloat32, Payload(value)});
}

void GgufWriter::AddBool(absl::string_view key, bool value) {
  metadata.push_back({std::string(key), kBool, Payload(uint8_t{value})});
}

void GgufWriter::AddString(absl::string_view key, absl::string_view value) {
  std::string payload;
  AppendString(&payload, value);
  metadata.push_back({std::string(key), kString, std::move(payload)});
}

void GgufWriter::AddStrings(absl::string_view key, absl::Span<const std::string> values) {
  std::string payload = Payload(kString);
  Append(&payload, uint64_t{values.size()});
  for (const std::string& value : values) AppendString(&payload, value);
  metadata.push_back({std::string(key), kArray, std::move(payload)});
}

void GgufWriter::AddInt32s(absl::string_view key, absl::Span<const int32_t> values) {
  metadata.push_back({std::string(key), kArray, ArrayPayload(kInt32, values)});
}

void GgufWriter::AddFloat32s(absl::string_view key, absl::Span<const float> values) {
  metadata.push_back({std::string(key), kArray, ArrayPayload(kFloat32, values)});
}

void GgufWriter::Add(const GgufMetadata::Entry& entry) {
  const GgufValue& value = entry.value;
  std::string payload;
  if (value.type == GgufType::kString) {
    AppendString(&payload, value.bytes);
  } else {
    if (value.type == GgufType::kArray) {
      Append(&payload, static_cast<uint32_t>(value.element));
      Append(&payload, value.count);
    }
    payload.append(value.bytes.data(), value.bytes.size());
  }
  metadata.push_back(
      {std::string(entry.key), static_cast<uint32_t>(value.type), std::move(payload)});
}

void GgufWriter::AddVocabulary(const Vocabulary& vocabulary) {
  AddString("tokenizer.ggml.model", vocabulary.model);
  AddString("tokenizer.ggml.pre", vocabulary.pre);
  AddStrings("tokenizer.ggml.tokens", vocabulary.tokens);
  if (!vocabulary.types.empty()) {
    std::vector<int32_t> types;
    for (TokenType type : vocabulary.types) types.push_back(static_cast<int32_t>(type));
    AddInt32s("tokenizer.ggml.token_type", types);
  }
  if (!vocabulary.scores.empty()) AddFloat32s("tokenizer.ggml.scores", vocabulary.scores);
  if (!vocabulary.merges.empty()) AddStrings("tokenizer.ggml.merges", vocabulary.merges);
  const auto add_id = [this](absl::string_view key, TokenId id) {
    if (id >= 0) AddUint32(key, static_cast<uint32_t>(id));
  };
  add_id("tokenizer.ggml.bos_token_id", vocabulary.bos);
  add_id("tokenizer.ggml.eos_token_id", vocabulary.eos);
  add_id("tokenizer.ggml.eot_token_id", vocabulary.eot);
  add_id("tokenizer.ggml.unknown_token_id", vocabulary.unknown);
  if (vocabulary.add_bos) AddBool("tokenizer.ggml.add_bos_token", *vocabulary.add_bos);
  AddBool("tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
  if (!vocabulary.chat_template.empty()) {
    AddString("tokenizer.chat_template", vocabulary.chat_template);
  }
}

void GgufWriter::AddTensor(absl::string_view name, absl::Span<const int64_t> shape, DType type) {
  TensorEntry tensor{std::string(name), {shape.rbegin(), shape.rend()}, GgufTypeId(type), 0, 0};
  tensor.offset = DataBytes();
  tensor.bytes = RowBytes(type, shape.back());
  for (int64_t dim : shape.first(shape.size() - 1)) tensor.bytes *= static_cast<uint64_t>(dim);
  tensors.push_back(std::move(tensor));
}

std::string GgufWriter::Header() const {
  std::string out = "GGUF";
  Append(&out, version);
  Append(&out, uint64_t{tensors.size()});
  Append(&out, uint64_t{metadata.size()});
  for (const Entry& entry : metadata) {
    AppendString(&out, entry.key);
    Append(&out, entry.type);
    out += entry.payload;
  }
  for (const TensorEntry& tensor : tensors) {
    AppendString(&out, tensor.name);
    Append(&out, static_cast<uint32_t>(tensor.dims.size()));
    for (uint64_t dim : tensor.dims) Append(&out, dim);
    Append(&out, tensor.type);
    Append(&out, tensor.offset);
  }
  out.resize(AlignUp(out.size(), alignment), '\0');
  return out;
}

uint64_t GgufWriter::DataBytes() const {
  if (tensors.empty()) return 0;
  return AlignUp(tensors.back().offset + tensors.back().bytes, alignment);
}

}  // namespace hearth
