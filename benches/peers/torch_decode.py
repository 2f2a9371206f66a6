"""Responses of a fixed length to the bench's prompts: by hand, by transformers, and as TRL's PPOTrainer takes them."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torch_llama import Cache, by_hand, of_transformers


class Prompts:
    """What `prompts.json` says."""

    def __init__(self, folder: Path) -> None:
        read = json.loads((folder / "prompts.json").read_text())
        self.tokens = torch.tensor(read["prompts"])
        self.new_tokens: int = read["new_tokens"]


# Rows whose distributions are compared: those of all rows would not fit at a large vocabulary.
CHECKED = 2


def gap(logits: Tensor, said: Tensor) -> float:
    """The largest difference between log-probabilities as sampling had them and those of a pass over whole rows.

    Of all tokens, not of the sampled ones alone: where a policy is sure of one, that one's are 0 either way.
    """
    return (logits[:, -said.shape[1] - 1 : -1].log_softmax(-1) - said).abs().max().item()


class ByHand:
    """Sampling by hand, with a cache that has room from the start, and each token's log-probability beside it."""

    def __init__(self, folder: Path) -> None:
        self.model, self.prompts = by_hand(folder).eval(), Prompts(folder)

    @torch.inference_mode()
    def sample(self, kept: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Rows and the log-probabilities of their new tokens; into `kept` go those of all tokens, of a few rows."""
        rows, length = self.prompts.tokens.shape
        cache = Cache(self.model.dims, rows, length + self.prompts.new_tokens)
        step, tokens, said = self.prompts.tokens, [self.prompts.tokens], []
        for _ in range(self.prompts.new_tokens):
            log_probs = self.model.logits(self.model(step, cache)[:, -1]).log_softmax(-1)
            step = torch.multinomial(log_probs.exp(), 1)
            tokens.append(step)
            said.append(log_probs.gather(-1, step))
            if kept is not None:
                kept.append(log_probs[:CHECKED])
        return torch.cat(tokens, 1), torch.cat(said, 1)

    def check(self) -> dict[str, Any]:
        kept: list[Tensor] = []
        tokens, _ = self.sample(kept)
        with torch.inference_mode():
            return {"gap": gap(self.model.logits(self.model(tokens[:CHECKED])), torch.stack(kept, 1))}

    def __call__(self) -> dict[str, Any]:
        _, log_probs = self.sample()
        return {"tokens": log_probs.numel()}


class Transformers:
    """`generate` as a user calls it: it gives no log-probabilities."""

    def __init__(self, folder: Path) -> None:
        self.model, self.prompts = of_transformers(folder).eval(), Prompts(folder)
        count = self.prompts.new_tokens
        self.options = {
            "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0,
            "min_new_tokens": count, "max_new_tokens": count,
        }  # fmt: skip

    def __call__(self) -> dict[str, Any]:
        tokens = self.prompts.tokens
        whole = self.model.generate(tokens, attention_mask=torch.ones_like(tokens), **self.options)
        return {"tokens": whole[:, tokens.shape[1] :].numel()}


class Trl:
    """TRL's PPOTrainer, as it takes responses and their log-probabilities: `batch_generation`, then log-softmax."""

    def __init__(self, folder: Path) -> None:
        from transformers import GenerationConfig
        from trl.experimental.ppo import PPOConfig

        self.model, self.prompts = of_transformers(folder).eval(), Prompts(folder)
        # As `PPOTrainer.train` makes it.
        self.options = GenerationConfig(
            max_new_tokens=self.prompts.new_tokens, temperature=1.0 + 1e-7, top_k=0.0, top_p=1.0, do_sample=True
        )
        self.batch = PPOConfig.local_rollout_forward_batch_size
        # No token that the model knows, so that none is taken for padding.
        self.pad = self.model.config.vocab_size

    def generate(self) -> tuple[Tensor, Tensor]:
        from trl.experimental.ppo.ppo_trainer import batch_generation

        return batch_generation(self.model, self.prompts.tokens, self.batch, self.pad, self.options)

    def check(self) -> dict[str, Any]:
        tokens, logits = self.generate()
        with torch.inference_mode():
            return {"gap": gap(self.model(tokens[:CHECKED]).logits, logits[:CHECKED].log_softmax(-1))}

    @torch.no_grad()
    def __call__(self) -> dict[str, Any]:
        from trl.experimental.ppo.ppo_trainer import selective_log_softmax

        tokens, logits = self.generate()
        return {"tokens": selective_log_softmax(logits, tokens[:, self.prompts.tokens.shape[1] :]).numel()}


DECODERS = {"torch": ByHand, "transformers": Transformers, "trl": Trl}
