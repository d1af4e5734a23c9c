// A model file of any bytes is refused or read, and what is read lies inside the file.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "engine/check.h"
#include "engine/formats/gguf.h"
#include "engine/formats/gguf_checkpoint.h"
#include "engine/models/model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<hearth::GgufFile> gguf = hearth::ParseGguf(bytes);
  if (!gguf.ok()) return 0;
  for (const hearth::GgufTensor& tensor : gguf->tensors) {
    HEARTH_CHECK(tensor.offset <= size && tensor.bytes <= size - tensor.offset);
  }
  const hearth::FileListing listing = hearth::ListGguf(*gguf);
  HEARTH_CHECK(listing.metadata.size() == gguf->metadata.entries().size());
  const absl::StatusOr<hearth::Vocabulary> vocabulary = hearth::GgufVocabulary(gguf->metadata);
  if (vocabulary.ok()) {
    const auto tokens = static_cast<hearth::TokenId>(vocabulary->tokens.size());
    HEARTH_CHECK(vocabulary->bos < tokens && vocabulary->eos < tokens);
  }
  const absl::StatusOr<hearth::Checkpoint> checkpoint = hearth::GgufCheckpoint(*gguf);
  if (checkpoint.ok()) {
    const hearth::Hyperparameters& h = checkpoint->hparams;
    HEARTH_CHECK(h.layers > 0 && h.heads > 0 && h.heads % h.kv_heads == 0 && h.vocab > 0);
    HEARTH_CHECK(h.rope_dims % 2 == 0 && h.rope_dims <= h.head_dim);
    const absl::Status planned =
        hearth::PlanModel(*checkpoint,
                          {.max_batch_tokens = 8, .max_logit_rows = 1, .max_context = h.context})
            .status();
    HEARTH_CHECK(planned.ok() || absl::IsDataLoss(planned));
  }
  return 0;
}
