// How the KV cache stores keys and values. Rank 0.
#ifndef HEARTH_ENGINE_KV_TYPE_H_
#define HEARTH_ENGINE_KV_TYPE_H_

#include <cstdint>
#include <string_view>

namespace hearth {

// kInt8: one f16 scale per (token, kv head), for keys and for values each.
enum class KvType : uint8_t { kInt8, kF16, kF32 };

constexpr std::string_view Name(KvType type) {
  switch (type) {
    case KvType::kInt8:
      return "int8";
    case KvType::kF16:
      return "f16";
    case KvType::kF32:
      return "f32";
  }
  return "?";
}

}  // namespace hearth

#endif  // HEARTH_ENGINE_KV_TYPE_H_
