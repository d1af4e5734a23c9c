// Any bytes as a regular expression: an InvalidArgument or an automaton, within its budget, from
// whose every state there is a way on or an end.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/check.h"
#include "engine/constrain/regex.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth;
  const std::string_view pattern(reinterpret_cast<const char*>(data), size);
  for (const RegexMatch match : {RegexMatch::kWhole, RegexMatch::kAnywhere}) {
    CompileBudget budget(/*steps=*/300'000);
    const auto text = CompileRegex(pattern, match, budget);
    if (!text.ok()) {
      HEARTH_CHECK(absl::IsInvalidArgument(text.status()));
      continue;
    }
    for (uint32_t state = 0; state < (*text)->states(); ++state) {
      HEARTH_CHECK((*text)->Accepts(state) || (*text)->Allows(state, 0, kLastChar));
    }
  }
  return 0;
}
