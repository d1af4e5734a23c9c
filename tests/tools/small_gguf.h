// A valid GGUF file of about a kilobyte, for tests to spoil.
#ifndef HEARTH_TESTS_TOOLS_SMALL_GGUF_H_
#define HEARTH_TESTS_TOOLS_SMALL_GGUF_H_

#include <cstring>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/tools/gguf_writer.h"

namespace hearth {

// Architecture phi3 with 4 tokens, 8 wide, 2 heads, 1 kv head, and LongRoPE; one layer's norm
// stands for all layers, since no architecture is checked here.
GgufWriter SmallGguf();

// The entry of that key; the key must be there.
GgufWriter::Entry& EntryOf(GgufWriter& gguf, absl::string_view key);
void RemoveKey(GgufWriter& gguf, absl::string_view key);
GgufWriter::TensorEntry& TensorOf(GgufWriter& gguf, absl::string_view name);

// Overwrites bytes of a file in place.
template <typename T>
std::string Patched(std::string file, size_t offset, T value) {
  std::memcpy(&file.at(offset), &value, sizeof(value));
  return file;
}

// A path for a file of this test, and the file written there.
std::string TemporaryPath(absl::string_view name);
std::string WriteTemporary(absl::string_view name, absl::string_view content);

}  // namespace hearth

#endif  // HEARTH_TESTS_TOOLS_SMALL_GGUF_H_
