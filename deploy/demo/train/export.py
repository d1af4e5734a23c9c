"""Writes a checkpoint as a Hugging Face folder and as GGUF in F32, F16, Q8_0 and Q4_0."""

import argparse
import json
import os

import gguf
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import save_file
from tokenizers import Tokenizer

from chat import CONTROL, MARKERS, TEMPLATE
from model import Config, Phi3

# Whose rows are quantised; norms and RoPE factors stay F32.
TENSORS = {
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
FORMATS = {
    "f32": (Type.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (Type.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (Type.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (Type.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}


def gguf_name(name):
    """token_embd.weight, output_norm.weight, blk.N.*.weight"""
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, inner = name.split(".", 3)
    return f"blk.{layer}.{TENSORS[inner.removesuffix('.weight')]}.weight"


def huggingface_config(config, eos):
    return {
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "hidden_act": "silu",
        "rms_norm_eps": config.rms_norm_eps,
        "max_position_embeddings": config.max_position_embeddings,
        "original_max_position_embeddings": config.original_max_position_embeddings,
        "partial_rotary_factor": config.rotary_dim / config.head_dim,
        "rope_theta": config.rope_theta,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": config.short_factor,
            "long_factor": config.long_factor,
        },
        "sliding_window": 262144,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "torch_dtype": "float32",
        "bos_token_id": eos,
        "eos_token_id": eos,
        "pad_token_id": eos,
        "attention_dropout": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "initializer_range": config.initializer_range,
        "use_cache": True,
    }


def write_huggingface(folder, state, config, tokenizer):
    os.makedirs(folder, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()},
        os.path.join(folder, "model.safetensors"),
        metadata={"format": "pt"},
    )
    eos = tokenizer.token_to_id("<|endoftext|>")
    end = tokenizer.token_to_id("<|end|>")
    write_json(folder, "config.json", huggingface_config(config, eos))
    write_json(folder, "generation_config.json", {"eos_token_id": [eos, end], "pad_token_id": eos})
    write_json(
        folder,
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False,
            "chat_template": TEMPLATE,
        },
    )
    tokenizer.save(os.path.join(folder, "tokenizer.json"))


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
        json.dump(value, out, indent=2)


def add_keys(writer, config, file_type):
    writer.add_type("model")
    writer.add_name("hearth-demo")
    writer.add_description("The demo model of Hearth, trained from scratch on generated text")
    writer.add_size_label("5.8M")
    writer.add_languages(["en"])
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    writer.add_rope_scaling_attn_factors(config.attention_factor)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.rotary_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_sliding_window(262144)


def add_tokenizer(writer, tokenizer):
    model = json.loads(tokenizer.to_str())["model"]
    ids = tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(ids, key=ids.get)
    kinds = {
        marker: gguf.TokenType.CONTROL if marker in CONTROL else gguf.TokenType.USER_DEFINED
        for marker in MARKERS
    }
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-4o")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, gguf.TokenType.NORMAL) for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    eos = ids["<|endoftext|>"]
    writer.add_bos_token_id(eos)
    writer.add_eos_token_id(eos)
    writer.add_unk_token_id(eos)
    writer.add_pad_token_id(eos)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE)


def write_gguf(path, state, config, tokenizer, format_):
    type_, file_type = FORMATS[format_]
    writer = gguf.GGUFWriter(path, "phi3")
    add_keys(writer, config, file_type)
    add_tokenizer(writer, tokenizer)
    writer.add_tensor("rope_factors_long.weight", torch.tensor(config.long_factor).numpy())
    writer.add_tensor("rope_factors_short.weight", torch.tensor(config.short_factor).numpy())
    for name, tensor in state.items():
        data = tensor.float().numpy()
        if tensor.dim() == 2:
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(data, type_), raw_dtype=type_)
        else:
            writer.add_tensor(gguf_name(name), data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True, help="folder")
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(args.tokenizer)
    config = Config(vocab_size=tokenizer.get_vocab_size())
    state = torch.load(args.checkpoint)["model"]
    Phi3(config).load_state_dict(state)  # refuses another shape
    write_huggingface(os.path.join(args.out, "hf"), state, config, tokenizer)
    for format_ in FORMATS:
        write_gguf(
            os.path.join(args.out, f"hearth-demo-{format_}.gguf"), state, config, tokenizer, format_
        )


if __name__ == "__main__":
    main()
