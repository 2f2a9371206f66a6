"""The model in PyTorch, by hand and as transformers has it, with the weights that the bench wrote.

By hand it has what whoever writes a model for speed would give it: one product for queries, keys and values and one for
gate and factor, PyTorch's own attention, rotary positions computed once.
"""

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


class Dims:
    """The sizes of a model, as `dims.json` has them."""

    def __init__(self, folder: Path) -> None:
        sizes = json.loads((folder / "dims.json").read_text())
        self.vocabulary: int = sizes["vocabulary"]
        self.width: int = sizes["width"]
        self.layers: int = sizes["layers"]
        self.heads: int = sizes["heads"]
        self.kv_heads: int = sizes["kv_heads"]
        self.head_size: int = sizes["head_size"]
        self.hidden: int = sizes["hidden"]
        self.positions: int = sizes["positions"]
        self.rope_theta: float = sizes["rope_theta"]
        self.norm_epsilon: float = sizes["norm_epsilon"]
        self.tied: bool = sizes["tied"]


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: element j of a head is paired with element j + size / 2."""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Cache:
    """Keys and values of all layers, with room for whole rows from the start."""

    def __init__(self, dims: Dims, rows: int, length: int) -> None:
        shape = (dims.layers, rows, dims.kv_heads, length, dims.head_size)
        self.keys, self.values = torch.empty(shape), torch.empty(shape)
        self.filled = 0

    def put(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Appends a layer's keys and values, and gives all that it has by then."""
        end = self.filled + keys.shape[2]
        self.keys[layer, :, :, self.filled : end] = keys
        self.values[layer, :, :, self.filled : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class Layer(nn.Module):
    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        width, hidden = dims.width, dims.hidden
        self.attention_norm = nn.RMSNorm(width, dims.norm_epsilon)
        self.qkv = nn.Linear(width, (dims.heads + 2 * dims.kv_heads) * dims.head_size, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.RMSNorm(width, dims.norm_epsilon)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: Cache | None = None, number: int = 0) -> Tensor:
        dims, (rows, length, width) = self.dims, x.shape
        packed = self.qkv(self.attention_norm(x)).view(rows, length, -1, dims.head_size).transpose(1, 2)
        queries, keys, values = packed.split((dims.heads, dims.kv_heads, dims.kv_heads), 1)
        queries, keys = turned(queries, cos, sin), turned(keys, cos, sin)
        if cache is not None:
            keys, values = cache.put(number, keys, values)
        # A single query sees all that is cached: nothing is to be masked then.
        seen = F.scaled_dot_product_attention(
            queries, keys, values, is_causal=length > 1, enable_gqa=dims.heads != dims.kv_heads
        )
        x = x + self.attention_out(seen.transpose(1, 2).reshape(rows, length, width))
        gate, factor = self.gate_up(self.feed_forward_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * factor)


class Llama(nn.Module):
    """`forward` gives hidden states; `logits` makes of them what is needed."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        self.embedding = nn.Embedding(dims.vocabulary, dims.width)
        self.layers = nn.ModuleList(Layer(dims) for _ in range(dims.layers))
        self.norm = nn.RMSNorm(dims.width, dims.norm_epsilon)
        self.output = nn.Linear(dims.width, dims.vocabulary, bias=False)
        if dims.tied:
            self.output.weight = self.embedding.weight
        pairs = torch.arange(0, dims.head_size, 2, dtype=torch.float64) / dims.head_size
        angles = torch.outer(torch.arange(dims.positions, dtype=torch.float64), dims.rope_theta**-pairs)
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        start = cache.filled if cache is not None else 0
        end = start + tokens.shape[1]
        cos, sin = self.cos[start:end], self.sin[start:end]
        x = self.embedding(tokens)
        for number, layer in enumerate(self.layers):
            x = layer(x, cos, sin, cache, number)
        if cache is not None:
            cache.filled = end
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.output(hidden)


def by_hand(folder: Path) -> Llama:
    """The model with the weights of `policy.safetensors`, which lie as `[inputs, outputs]`."""
    model = Llama(Dims(folder))
    state = {}
    for name, weight in load_file(folder / "policy.safetensors").items():
        name = name.removeprefix("trunk.").removesuffix(".weight")
        is_product = weight.dim() == 2 and name != "embedding"
        state[f"{name}.weight"] = weight.T.contiguous() if is_product else weight
    if model.dims.tied:
        state["output.weight"] = state["embedding.weight"]
    model.load_state_dict(state)
    return model


def llama_config(dims: Dims) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=dims.vocabulary,
        hidden_size=dims.width,
        intermediate_size=dims.hidden,
        num_hidden_layers=dims.layers,
        num_attention_heads=dims.heads,
        num_key_value_heads=dims.kv_heads,
        head_dim=dims.head_size,
        max_position_embeddings=dims.positions,
        rope_parameters={"rope_type": "default", "rope_theta": dims.rope_theta},
        rms_norm_eps=dims.norm_epsilon,
        tie_word_embeddings=dims.tied,
        attn_implementation="sdpa",
        # Responses have a fixed length: no token ends them.
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def trunk_state(dims: Dims, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The trunk's weights under transformers' names, which have no packed ones."""
    sizes = [dims.heads * dims.head_size, dims.kv_heads * dims.head_size, dims.kv_heads * dims.head_size]
    state = {"model.embed_tokens.weight": weights["trunk.embedding"], "model.norm.weight": weights["trunk.norm"]}
    for number in range(dims.layers):
        there = f"model.layers.{number}"

        def own(part: str, number: int = number) -> Tensor:
            weight = weights[f"trunk.layers.{number}.{part}"]
            return weight.T if weight.dim() == 2 else weight

        queries, keys, values = own("qkv").split(sizes)
        gate, factor = own("gate_up").chunk(2)
        state |= {
            f"{there}.input_layernorm.weight": own("attention_norm"),
            f"{there}.self_attn.q_proj.weight": queries,
            f"{there}.self_attn.k_proj.weight": keys,
            f"{there}.self_attn.v_proj.weight": values,
            f"{there}.self_attn.o_proj.weight": own("attention_out"),
            f"{there}.post_attention_layernorm.weight": own("feed_forward_norm"),
            f"{there}.mlp.gate_proj.weight": gate,
            f"{there}.mlp.up_proj.weight": factor,
            f"{there}.mlp.down_proj.weight": own("down"),
        }
    return state


def of_transformers(folder: Path) -> Any:
    """`LlamaForCausalLM` with the weights of `policy.safetensors`."""
    from transformers import LlamaForCausalLM

    dims, weights = Dims(folder), load_file(folder / "policy.safetensors")
    model = LlamaForCausalLM(llama_config(dims))
    state = trunk_state(dims, weights)
    state["lm_head.weight"] = weights["trunk.embedding"] if dims.tied else weights["output.weight"].T
    model.load_state_dict(state)
    return model
