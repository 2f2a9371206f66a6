"""Writes tests/data/transformers/: small models that transformers made and saved, what they say of tokens, and gradients.

    python record_gradients.py ../../data/transformers

A folder for each model: what `save_pretrained` writes, `expected.json` with rows of tokens, log-probabilities of the
response tokens (of a token classification: numbers at the response tokens) and the loss, and `gradients/`, which has the
gradient of the loss by each tensor under the tensor's name. The loss of a policy is the mean of −log π over the response
tokens of both rows, that of a token classification the mean squared difference from 1, −1, 1, ….
"""

import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForTokenClassification
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2ForTokenClassification

SIZES = dict(
    vocab_size=20,
    hidden_size=16,
    intermediate_size=12,
    max_position_embeddings=64,
    bos_token_id=None,
    eos_token_id=0,
    use_cache=False,
    attn_implementation="eager",
)
LLAMA = dict(
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    rms_norm_eps=1e-5,
    rope_parameters=dict(
        rope_type="llama3",
        rope_theta=500.0,
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=32,
    ),
)
LLAMA_TIED = dict(
    num_hidden_layers=1,
    num_attention_heads=4,
    num_key_value_heads=2,
    rms_norm_eps=1e-3,
    rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=4.0),
    tie_word_embeddings=True,
)
QWEN2 = dict(
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    rms_norm_eps=1e-6,
    rope_parameters=dict(rope_type="default", rope_theta=1000.0),
    tie_word_embeddings=True,
)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES, **LLAMA)),
    "llama_tied": (LlamaForCausalLM, LlamaConfig(**SIZES, **LLAMA_TIED)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES, **QWEN2)),
    "llama_scalar": (LlamaForTokenClassification, LlamaConfig(**SIZES, **LLAMA_TIED, num_labels=1)),
    "qwen2_scalar": (Qwen2ForTokenClassification, Qwen2Config(**SIZES, **QWEN2, num_labels=1)),
}
# Prompt and response of each row. The longer one goes beyond the positions that `llama3` counts from.
ROWS = [(7, 38), (3, 9)]


def randomize(model, generator):
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            values = 1 + 0.2 * values
        elif "embed_tokens" in name:
            values = 0.4 * values
        elif parameter.dim() == 2:
            values = values / parameter.shape[1] ** 0.5
        else:
            values = 0.5 * values
        parameter.data.copy_(values)


def run(model, rows):
    """What is said of each response token, `[tokens of all rows]`."""
    said = []
    for prompt, response in rows:
        tokens = torch.tensor([prompt + response])
        logits = model(tokens).logits[0]
        if logits.shape[1] == 1:
            said.append(logits[len(prompt) :, 0])
        else:
            log_probs = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
            said.append(log_probs.gather(1, tokens[0, len(prompt) :, None])[:, 0])
    return torch.cat(said)


def loss_of(model, said):
    if model.config.num_labels == 1:
        labels = torch.tensor([1.0, -1.0]).repeat(len(said))[: len(said)]
        return ((said - labels) ** 2).mean()
    return -said.mean()


def record(folder, kind, config, seed):
    generator = torch.Generator().manual_seed(seed)
    model = kind(config).eval()
    randomize(model, generator)
    draw = lambda n: torch.randint(0, config.vocab_size, (n,), generator=generator).tolist()
    rows = [(draw(prompt), draw(response)) for prompt, response in ROWS]
    said = run(model, rows)
    loss = loss_of(model, said)
    loss.backward()
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "gradients").mkdir()
    gradients = {name: parameter.grad.contiguous() for name, parameter in model.named_parameters()}
    save_file(gradients, folder / "gradients" / "model.safetensors", {"format": "pt"})
    (folder / "gradients" / "config.json").write_text((folder / "config.json").read_text())
    expected = {"rows": rows, "said": said.tolist(), "loss": loss.item()}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)
    print(f"{folder.name}: {len(gradients)} tensors, loss {loss.item():.6f}")


def main():
    to = pathlib.Path(sys.argv[1])
    for seed, (name, (kind, config)) in enumerate(MODELS.items()):
        record(to / name, kind, config, seed)


if __name__ == "__main__":
    main()
