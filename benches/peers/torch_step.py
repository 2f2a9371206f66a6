"""PPO's update of a policy in PyTorch: what `benches/side_by_side/step.rs` does, from the same weights and tokens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torch_llama import by_hand, of_transformers


def policy_loss(logits: Tensor, targets: Tensor, batch: dict[str, Any]) -> Tensor:
    """The clipped objective and the entropy bonus, means over all scored tokens (`src/ppo/loss.rs`)."""
    log_probs = logits.log_softmax(-1)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    own = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    ratio = (own - batch["old_log_probs"]).clamp(-20.0, 20.0).exp()
    clipped = ratio.clamp(1.0 - batch["clip"], 1.0 + batch["clip"])
    gain = torch.minimum(ratio * batch["advantages"], clipped * batch["advantages"])
    return -(gain + batch["entropy"] * entropy).mean()


class Step:
    """One update for each call. `variant` is `torch`, `torch-compiled`, `torch-bf16` or `transformers`."""

    def __init__(self, variant: str, folder: Path) -> None:
        self.batch = json.loads((folder / "batch.json").read_text())
        self.tokens, self.prompt = torch.tensor(self.batch["rows"]), self.batch["prompt"]
        self.targets = self.tokens[:, self.prompt :]
        for name in ("old_log_probs", "advantages"):
            self.batch[name] = torch.tensor(self.batch[name]).view(self.targets.shape)
        self.half = variant == "torch-bf16"
        self.model = of_transformers(folder) if variant == "transformers" else by_hand(folder)
        self.loss: Callable[[], Tensor] = self.of_transformers if variant == "transformers" else self.by_hand
        if variant == "torch-compiled":
            self.loss = torch.compile(self.by_hand)
        self.bound = self.batch["optimizer"]["gradient_norm"]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.batch["learning_rate"],
            betas=(self.batch["optimizer"]["beta1"], self.batch["optimizer"]["beta2"]),
            eps=self.batch["optimizer"]["epsilon"],
            weight_decay=self.batch["optimizer"]["weight_decay"],
            fused=True,
        )

    def by_hand(self) -> Tensor:
        """Logits of the places that are scored, and of no others."""
        hidden = self.model(self.tokens)[:, self.prompt - 1 : -1]
        return policy_loss(self.model.logits(hidden).float(), self.targets, self.batch)

    def of_transformers(self) -> Tensor:
        places = torch.arange(self.prompt - 1, self.tokens.shape[1] - 1)
        logits = self.model(self.tokens, use_cache=False, logits_to_keep=places).logits
        return policy_loss(logits, self.targets, self.batch)

    def __call__(self) -> dict[str, Any]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            loss = self.loss()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.bound)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {"loss": loss.item(), "gradient_norm": norm.item()}
