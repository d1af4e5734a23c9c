"""Checks model.py against Hugging Face transformers and writes golden logits for the C++ test.

The weights are those of the shipped GGUF file, dequantised to F32. Goldens are computed in
float64 from them, with the RoPE factors as the F32 numbers the file holds. Two variants: as
shipped, and with an original context of 256, where the long factors apply to longer sequences
and the attention factor to all.
"""

import argparse
import dataclasses
import json
import os

import torch
from gguf import GGUFReader, dequantize
from transformers import Phi3Config, Phi3ForCausalLM

from chat import Renderer
from export import gguf_name, huggingface_config
from model import Config, Phi3
from vocabulary import tokenizer_of

TOP = 20
# Sharp attention amplifies rounding at some positions: there fp32 is compared with fp32 in vain.
# Goldens are of those where two fp32 computations, transformers' and model.py's, are this close to
# float64.
STEADY = 5e-5


def weights(path, names):
    tensors = {
        tensor.name: torch.tensor(dequantize(tensor.data, tensor.tensor_type))
        for tensor in GGUFReader(path).tensors
    }
    return {name: tensors[gguf_name(name)] for name in names}


def conversations(renderer, held_out, length):
    """Token ids of whole conversations, one after the other, cut to length."""
    ids = []
    with open(held_out, encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            ids += renderer.prompt(row["messages"], row["tools"])
            ids += renderer.text(row["expected"]) + [renderer.marker["<|end|>"]]
            if len(ids) >= length:
                return ids[:length]
    raise ValueError(f"{held_out} has fewer than {length} tokens")


def reference(config, state, ids, long, dtype=torch.float64):
    """Logits of every position."""
    model = Phi3(config).to(dtype)
    model.load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()})
    with torch.no_grad():
        return model.logits(model(torch.tensor([ids]), long))[0]


def huggingface(config, state, ids):
    """The same by transformers in fp32; it picks the long factors by the length."""
    model = Phi3ForCausalLM(
        Phi3Config(**huggingface_config(config, 0), attn_implementation="eager")
    ).eval()
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and missing.missing_keys in ([], ["lm_head.weight"]), missing
    model.tie_weights()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def rounded(values):
    return [float(f"{value:.9g}") for value in values]


def golden(ids, long, logits, difference):
    """Every tenth position that is steady, and the whole row of the last of them."""
    steady = [position for position in range(len(ids)) if difference[position] <= STEADY]
    rows = []
    for position in steady[::10] + steady[-1:]:
        best = torch.topk(logits[position], TOP)
        rows.append(
            {
                "position": position,
                "ids": best.indices.tolist(),
                "logits": rounded(best.values.tolist()),
            }
        )
    whole = {"position": steady[-1], "logits": rounded(logits[steady[-1]].tolist())}
    return {"tokens": ids, "long": long, "top": rows, "full": whole}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", required=True, help="the shipped file")
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--out", required=True, help="folder of the goldens")
    args = parser.parse_args()
    renderer = Renderer(tokenizer_of(args.gguf))
    shipped = Config(vocab_size=renderer.tokenizer.get_vocab_size())
    switched = dataclasses.replace(shipped, original_max_position_embeddings=256)
    state = weights(args.gguf, Phi3(shipped).state_dict())
    os.makedirs(args.out, exist_ok=True)
    for name, config, lengths in (
        ("as_shipped", shipped, (60, 400)),
        ("original_256", switched, (60, 250, 400)),
    ):
        cases = []
        for length in lengths:
            ids = conversations(renderer, args.held_out, length)
            long = length > config.original_max_position_embeddings
            logits = reference(config, state, ids, long)
            difference = (huggingface(config, state, ids) - logits).abs().amax(-1)
            own = (reference(config, state, ids, long, torch.float32) - logits).abs().amax(-1)
            print(
                f"{name}, {length} tokens, {'long' if long else 'short'} factors: transformers "
                f"fp32 differs by {difference.median():.1e} (median), {difference.max():.1e} (most); "
                f"model.py fp32 by {own.median():.1e}, {own.max():.1e}"
            )
            cases.append(golden(ids, long, logits, torch.maximum(difference, own)))
        keys = {
            "phi3.context_length": config.max_position_embeddings,
            "phi3.rope.scaling.original_context_length": config.original_max_position_embeddings,
            "phi3.rope.scaling.attn_factor": config.attention_factor,
        }
        with open(os.path.join(args.out, f"{name}.json"), "w", encoding="utf-8") as out:
            json.dump({"keys": keys, "cases": cases}, out, separators=(",", ":"))
            out.write("\n")


if __name__ == "__main__":
    main()
