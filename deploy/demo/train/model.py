"""Phi-4-mini's architecture (Phi3ForCausalLM) in PyTorch, with Hugging Face's tensor names."""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Config:
    vocab_size: int = 4096
    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 8
    num_key_value_heads: int = 4
    intermediate_size: int = 768
    rotary_dim: int = 24  # of 32 per head: partial_rotary_factor 0.75
    rope_theta: float = 10000.0
    max_position_embeddings: int = 2048
    original_max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    @property
    def head_dim(self):
        return self.hidden_size // self.num_attention_heads

    @property
    def short_factor(self):
        return [1.0] * (self.rotary_dim // 2)

    @property
    def long_factor(self):
        """Growing from 1 to 8: fast dimensions stay, slow ones stretch."""
        count = self.rotary_dim // 2
        return [round(8.0 ** (i / (count - 1)), 4) for i in range(count)]

    @property
    def attention_factor(self):
        stretch = self.max_position_embeddings / self.original_max_position_embeddings
        return math.sqrt(1 + math.log(stretch) / math.log(self.original_max_position_embeddings))


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


def rope_table(config, positions, long, dtype):
    """cos and sin of [positions, rotary_dim], scaled as LongRoPE asks, for short and long alike."""
    # The files hold the factors as F32.
    factors = torch.tensor(config.long_factor if long else config.short_factor).double()
    exponents = torch.arange(0, config.rotary_dim, 2, dtype=torch.float64) / config.rotary_dim
    angles = torch.outer(positions.double(), 1.0 / (factors * config.rope_theta**exponents))
    angles = torch.cat((angles, angles), dim=-1)
    return (
        (angles.cos() * config.attention_factor).to(dtype),
        (angles.sin() * config.attention_factor).to(dtype),
    )


def rotate(x, cos, sin):
    """NEOX pairs (i, i + rotary_dim / 2); what lies beyond rotary_dim passes through."""
    turned, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    first, second = turned.chunk(2, dim=-1)
    return torch.cat((turned * cos + torch.cat((-second, first), dim=-1) * sin, rest), dim=-1)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        rows = (self.heads + 2 * self.kv_heads) * self.head_dim
        self.qkv_proj = nn.Linear(config.hidden_size, rows, bias=False)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        heads = self.qkv_proj(x).view(batch, length, -1, self.head_dim).transpose(1, 2)
        q, k, v = heads.split((self.heads, self.kv_heads, self.kv_heads), dim=1)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        # PyTorch's attention on the CPU is faster in fp32 than in bf16.
        with torch.autocast("cpu", enabled=False):
            q, k, v = (t if t.dtype == torch.float64 else t.float() for t in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).to(x.dtype)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x):
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Phi3(nn.Module):
    """Token ids [batch, length] to hidden states; `logits` of those that matter. Tied embedding."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                scale = 1 / math.sqrt(2 * config.num_hidden_layers) if residual else 1.0
                nn.init.normal_(parameter, std=config.initializer_range * scale)

    def forward(self, ids, long=False):
        x = self.model.embed_tokens(ids)
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        cos, sin = rope_table(self.config, torch.arange(ids.shape[1]), long, x.dtype)
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        return self.model.norm(x)

    def logits(self, hidden):
        return F.linear(hidden, self.model.embed_tokens.weight)
