#include "engine/formats/gguf.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/formats/byte_reader.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr uint32_t kOldestVersion = 2;  // version 1 had 32-bit counts
constexpr uint32_t kNewestVersion = 3;
constexpr uint64_t kMaxMetadata = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 16;
constexpr uint64_t kMaxHeaderBytes = 32 << 20;  // 200,000 tokens and their merges take 8 MiB
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint64_t kMaxTensorNameBytes = 63;
constexpr uint32_t kMaxRank = 4;
constexpr uint32_t kDefaultAlignment = 32;
constexpr uint32_t kMinAlignment = 8;
constexpr uint32_t kMaxAlignment = 1 << 16;
constexpr uint64_t kMinMetadataBytes = 8 + 1 + 4 + 1;        // key length, key, type, value
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // name, rank, dim, type, offset

constexpr GgufTensorType kTensorTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
};

uint64_t AlignUp(uint64_t value, uint64_t alignment) {  // a power of two; value is far from 2^64
  return (value + alignment - 1) & ~(alignment - 1);
}

bool IsPrintable(absl::string_view name) {
  return std::none_of(name.begin(), name.end(), [](char c) {
    const unsigned char byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

class Parser {
 public:
  explicit Parser(absl::string_view bytes) : reader_(bytes) { file_.bytes = bytes; }

  absl::StatusOr<GgufFile> Parse() {
    HEARTH_RETURN_IF_ERROR(ParseHeader());
    for (uint64_t i = 0; i < metadata_count_; ++i) HEARTH_RETURN_IF_ERROR(ParseMetadata());
    HEARTH_RETURN_IF_ERROR(ReadAlignment());
    for (uint64_t i = 0; i < tensor_count_; ++i) HEARTH_RETURN_IF_ERROR(ParseTensor());
    HEARTH_RETURN_IF_ERROR(PlaceTensors());
    return std::move(file_);
  }

 private:
  absl::Status ParseHeader();
  absl::Status CheckCount(absl::string_view what, uint64_t count, uint64_t limit,
                          uint64_t bytes_each) const;
  absl::StatusOr<absl::string_view> TakeBytes(uint64_t count, absl::string_view what);
  absl::StatusOr<absl::string_view> ParseString(absl::string_view what);
  absl::StatusOr<absl::string_view> ParseName(absl::string_view what, uint64_t max_bytes);
  absl::Status ParseMetadata();
  absl::StatusOr<GgufType> ParseType(absl::string_view key);
  absl::StatusOr<GgufValue> ParseValue(absl::string_view key);
  absl::Status ParseArray(absl::string_view key, GgufValue* value);
  absl::Status ReadAlignment();
  absl::Status ParseTensor();
  absl::Status ParseShape(GgufTensor* tensor);
  absl::Status PlaceTensors();

  ByteReader reader_;
  GgufFile file_;
  uint64_t tensor_count_ = 0;
  uint64_t metadata_count_ = 0;
  uint32_t alignment_ = kDefaultAlignment;
  absl::flat_hash_set<absl::string_view> tensor_names_;
};

absl::Status Parser::ParseHeader() {
  HEARTH_ASSIGN_OR_RETURN(const absl::string_view magic, reader_.Take(4, "magic"));
  if (magic != kGgufMagic) {
    return ErrorAt(0, "magic \"", Printable(magic), "\", expected \"", kGgufMagic, "\"");
  }
  HEARTH_ASSIGN_OR_RETURN(file_.version, reader_.Read<uint32_t>("version"));
  if (file_.version != 0 && (file_.version & 0xffff) == 0) {
    return ErrorAt(4, "a big-endian file, expected little-endian");
  }
  if (file_.version < kOldestVersion || file_.version > kNewestVersion) {
    return ErrorAt(4, "version ", file_.version, ", expected ", kOldestVersion, " or ",
                   kNewestVersion);
  }
  HEARTH_ASSIGN_OR_RETURN(tensor_count_, reader_.Read<uint64_t>("tensor count"));
  HEARTH_ASSIGN_OR_RETURN(metadata_count_, reader_.Read<uint64_t>("metadata count"));
  HEARTH_RETURN_IF_ERROR(CheckCount("tensors", tensor_count_, kMaxTensors, kMinTensorBytes));
  return CheckCount("metadata keys", metadata_count_, kMaxMetadata, kMinMetadataBytes);
}

absl::Status Parser::CheckCount(absl::string_view what, uint64_t count, uint64_t limit,
                                uint64_t bytes_each) const {
  const uint64_t most = std::min(limit, reader_.remaining() / bytes_each);
  if (count <= most) return absl::OkStatus();
  return ErrorAt(reader_.offset(), count, " ", what, ", expected at most ", most,
                 " in a file of this size");
}

// What can be long; the rest is bounded by the number of keys and tensors.
absl::StatusOr<absl::string_view> Parser::TakeBytes(uint64_t count, absl::string_view what) {
  const uint64_t offset = reader_.offset();
  HEARTH_ASSIGN_OR_RETURN(const absl::string_view taken, reader_.Take(count, what));
  if (reader_.offset() > kMaxHeaderBytes) {
    return ErrorAt(offset, what, " of ", count,
                   " bytes, expected metadata and tensor table within ", kMaxHeaderBytes, " bytes");
  }
  return taken;
}

absl::StatusOr<absl::string_view> Parser::ParseString(absl::string_view what) {
  HEARTH_ASSIGN_OR_RETURN(const uint64_t length, reader_.Read<uint64_t>("string length"));
  return TakeBytes(length, what);
}

absl::StatusOr<absl::string_view> Parser::ParseName(absl::string_view what, uint64_t max_bytes) {
  const uint64_t offset = reader_.offset();
  HEARTH_ASSIGN_OR_RETURN(const absl::string_view name, ParseString(what));
  if (name.empty() || name.size() > max_bytes) {
    return ErrorAt(offset, what, " of ", name.size(), " bytes, expected 1..", max_bytes);
  }
  if (!IsPrintable(name)) {
    return ErrorAt(offset, what, " \"", Printable(name), "\", expected no control characters");
  }
  return name;
}

absl::Status Parser::ParseMetadata() {
  const uint64_t offset = reader_.offset();
  HEARTH_ASSIGN_OR_RETURN(const absl::string_view key, ParseName("metadata key", kMaxKeyBytes));
  HEARTH_ASSIGN_OR_RETURN(const GgufValue value, ParseValue(key));
  if (!file_.metadata.Insert(key, value)) {
    return ErrorAt(offset, "key ", Printable(key), " a second time, expected unique keys");
  }
  return absl::OkStatus();
}

absl::StatusOr<GgufType> Parser::ParseType(absl::string_view key) {
  const uint64_t offset = reader_.offset();
  HEARTH_ASSIGN_OR_RETURN(const uint32_t type, reader_.Read<uint32_t>("value type"));
  if (type > static_cast<uint32_t>(GgufType::kFloat64)) {
    return ErrorAt(offset, "key ", Printable(key), ": value type ", type, ", expected 0..12");
  }
  return static_cast<GgufType>(type);
}

absl::StatusOr<GgufValue> Parser::ParseValue(absl::string_view key) {
  GgufValue value;
  HEARTH_ASSIGN_OR_RETURN(value.type, ParseType(key));
  value.element = value.type;
  if (value.type == GgufType::kArray) {
    HEARTH_RETURN_IF_ERROR(ParseArray(key, &value));
    return value;
  }
  if (value.type == GgufType::kString) {
    HEARTH_ASSIGN_OR_RETURN(value.bytes, ParseString("string value"));
    value.offset = reader_.offset() - value.bytes.size();
    const size_t nul = value.bytes.find('\0');
    if (nul != absl::string_view::npos) {
      return ErrorAt(value.offset + nul, "key ", Printable(key),
                     ": a NUL byte in a string, expected text");
    }
    return value;
  }
  value.offset = reader_.offset();
  HEARTH_ASSIGN_OR_RETURN(value.bytes, reader_.Take(SizeOf(value.type), "value"));
  if (value.type == GgufType::kBool && static_cast<unsigned char>(value.bytes[0]) > 1) {
    return ErrorAt(value.offset, "key ", Printable(key), ": bool ",
                   static_cast<unsigned char>(value.bytes[0]), ", expected 0 or 1");
  }
  return value;
}

absl::Status Parser::ParseArray(absl::string_view key, GgufValue* value) {
  const uint64_t start = reader_.offset();
  HEARTH_ASSIGN_OR_RETURN(value->element, ParseType(key));
  if (value->element == GgufType::kArray) {
    return ErrorAt(start, "key ", Printable(key), ": an array of arrays, expected plain elements");
  }
  HEARTH_ASSIGN_OR_RETURN(value->count, reader_.Read<uint64_t>("array length"));
  value->offset = reader_.offset();
  const bool strings = value->element == GgufType::kString;
  const uint64_t least = strings ? sizeof(uint64_t) : SizeOf(value->element);
  if (value->count > reader_.remaining() / least) {
    return ErrorAt(start, "key ", Printable(key), ": array of ", value->count,
                   " elements, expected at most the ", reader_.remaining() / least,
                   " that fit in the file");
  }
  if (strings) {
    for (uint64_t i = 0; i < value->count; ++i) {
      HEARTH_RETURN_IF_ERROR(ParseString("string in an array").status());
    }
  } else {
    HEARTH_RETURN_IF_ERROR(TakeBytes(value->count * least, "array").status());
  }
  value->bytes = file_.bytes.substr(value->offset, reader_.offset() - value->offset);
  return absl::OkStatus();
}

absl::Status Parser::ReadAlignment() {
  constexpr absl::string_view kKey = "general.alignment";
  const GgufValue* value = file_.metadata.Find(kKey);
  if (value == nullptr) return absl::OkStatus();
  if (value->type != GgufType::kUint32) {
    return ErrorAt(value->offset, "key ", kKey, ": type ", TypeName(*value), ", expected u32");
  }
  alignment_ = LoadUnaligned<uint32_t>(value->bytes.data());
  if (alignment_ < kMinAlignment || alignment_ > kMaxAlignment ||
      !std::has_single_bit(alignment_)) {
    return ErrorAt(value->offset, "key ", kKey, ": value ", alignment_,
                   ", expected a power of two in ", kMinAlignment, "..", kMaxAlignment);
  }
  return absl::OkStatus();
}

absl::Status Parser::ParseTensor() {
  const uint64_t offset = reader_.offset();
  GgufTensor tensor;
  HEARTH_ASSIGN_OR_RETURN(tensor.name, ParseName("tensor name", kMaxTensorNameBytes));
  if (!tensor_names_.insert(tensor.name).second) {
    return ErrorAt(offset, "tensor ", Printable(tensor.name),
                   " a second time, expected unique names");
  }
  HEARTH_RETURN_IF_ERROR(ParseShape(&tensor));
  // From the start of the tensor data, which is not known yet.
  HEARTH_ASSIGN_OR_RETURN(tensor.offset, reader_.Read<uint64_t>("tensor offset"));
  file_.tensors.push_back(tensor);
  return absl::OkStatus();
}

absl::Status Parser::ParseShape(GgufTensor* tensor) {
  const uint64_t offset = reader_.offset();
  const std::string name = absl::StrCat("tensor ", Printable(tensor->name));
  HEARTH_ASSIGN_OR_RETURN(const uint32_t rank, reader_.Read<uint32_t>("tensor rank"));
  if (rank < 1 || rank > kMaxRank) {
    return ErrorAt(offset, name, ": ", rank, " dimensions, expected 1..", kMaxRank);
  }
  tensor->rank = static_cast<int32_t>(rank);
  int64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    HEARTH_ASSIGN_OR_RETURN(tensor->dims[i], reader_.Read<int64_t>("tensor dimension"));
    if (tensor->dims[i] <= 0 || __builtin_mul_overflow(elements, tensor->dims[i], &elements)) {
      return ErrorAt(offset, name, ": dimension ", i, " is ",
                     static_cast<uint64_t>(tensor->dims[i]),
                     ", expected positive ones with a product below 2^63");
    }
  }
  HEARTH_ASSIGN_OR_RETURN(const uint32_t id, reader_.Read<uint32_t>("tensor type"));
  tensor->type = FindGgufTensorType(id);
  if (tensor->type == nullptr) {
    return ErrorAt(offset, name, ": unknown type number ", id);
  }
  if (tensor->dims[0] % tensor->type->block_elements != 0) {
    return ErrorAt(offset, name, ": rows of ", tensor->dims[0],
                   " elements, expected a multiple of ", tensor->type->block_elements, " for type ",
                   tensor->type->name);
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / tensor->type->block_elements, tensor->type->block_bytes,
                             &bytes)) {
    return ErrorAt(offset, name, ": ", elements, " elements of type ", tensor->type->name,
                   ", expected fewer than 2^63 bytes");
  }
  tensor->bytes = static_cast<uint64_t>(bytes);
  return absl::OkStatus();
}

// Turns offsets into absolute ones and checks that the data follow each other without a hole or an
// overlap, each aligned, up to the end of the file.
absl::Status Parser::PlaceTensors() {
  const uint64_t size = file_.bytes.size();
  const uint64_t table_end = reader_.offset();
  file_.data_offset = AlignUp(table_end, alignment_);
  std::vector<GgufTensor*> by_offset;
  by_offset.reserve(file_.tensors.size());
  for (GgufTensor& tensor : file_.tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
  uint64_t end = table_end;
  for (GgufTensor* tensor : by_offset) {
    const uint64_t expected = AlignUp(end, alignment_);
    if (tensor->offset != expected - file_.data_offset) {
      return ErrorAt(table_end, "tensor ", Printable(tensor->name), ": data at ", tensor->offset,
                     " of the tensor data, expected ", expected - file_.data_offset);
    }
    tensor->offset = expected;
    if (expected > size || tensor->bytes > size - expected) {
      return ErrorAt(expected, "tensor ", Printable(tensor->name), ": ", tensor->bytes,
                     " bytes of data, expected them before the end of the file at ", size);
    }
    end = expected + tensor->bytes;
  }
  if (size > AlignUp(end, alignment_)) {
    return ErrorAt(end, size - end, " bytes after the last tensor, expected the end of the file");
  }
  return absl::OkStatus();
}

}  // namespace

const GgufTensorType* FindGgufTensorType(uint32_t id) {
  const auto* type = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                  [id](const GgufTensorType& t) { return t.id == id; });
  return type == std::end(kTensorTypes) ? nullptr : type;
}

absl::StatusOr<GgufFile> ParseGguf(absl::string_view bytes) { return Parser(bytes).Parse(); }

}  // namespace hearth
