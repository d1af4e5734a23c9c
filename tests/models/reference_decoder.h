// The decoder in plain double arithmetic, straight from the papers and model-facts: no cache, no
// batching, no kernels. What the engine's forward pass is checked against.
#ifndef HEARTH_TESTS_MODELS_REFERENCE_DECODER_H_
#define HEARTH_TESTS_MODELS_REFERENCE_DECODER_H_

#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/request.h"

namespace hearth {

// Logits after the last of `tokens`. phi3 and llama; F32 weights.
std::vector<double> ReferenceLogits(const Checkpoint& checkpoint,
                                    const std::vector<TokenId>& tokens, RopeRegime regime);

// The hidden state of each of them after the final norm.
std::vector<std::vector<double>> ReferenceHiddenStates(const Checkpoint& checkpoint,
                                                       const std::vector<TokenId>& tokens,
                                                       RopeRegime regime);

}  // namespace hearth

#endif  // HEARTH_TESTS_MODELS_REFERENCE_DECODER_H_
