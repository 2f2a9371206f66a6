"""Whole iterations of TRL's PPOTrainer: responses, passes and updates as in `benches/side_by_side/iteration.rs`.

The trainer has no call for one iteration. Its data loader is therefore replaced by one that gives a batch when the
driver asks for a round, and a round ends when the trainer comes back for the next batch.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from torch_llama import Dims, llama_config, of_transformers, trunk_state

ROWS = 32
MINIBATCHES = 4


def value_model(folder: Path) -> Any:
    """A critic that is its own model, with the weights of `critic.safetensors`."""
    from transformers import LlamaForSequenceClassification

    dims, weights = Dims(folder), load_file(folder / "critic.safetensors")
    config = llama_config(dims)
    config.num_labels = 1
    model = LlamaForSequenceClassification(config)
    # transformers' head has no bias.
    model.score = nn.Linear(dims.width, 1)
    head = {name: weights[name] for name in weights if not name.startswith("trunk.")}
    assert len(head) == 2, f"a weight and a bias, not {list(head)}"
    state = trunk_state(dims, weights)
    for weight in head.values():
        state["score.weight" if weight.dim() == 2 else "score.bias"] = weight.T if weight.dim() == 2 else weight
    model.load_state_dict(state)
    return model


class Reward(nn.Module):
    """A reward that costs nothing: 1 for every other response, in the form in which the trainer asks a model."""

    base_model_prefix = "backbone"

    def backbone(self, input_ids: Tensor, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(hidden_states=[input_ids])

    def score(self, tokens: Tensor) -> Tensor:
        odd = torch.arange(tokens.shape[0]) % 2
        return odd.float()[:, None, None].expand(-1, tokens.shape[1], 1)


def tokenizer(vocabulary: int) -> Any:
    """Words for all tokens, and two that the model does not know: so no response is padding or ends early."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = {str(token): token for token in range(vocabulary)}
    words |= {"<pad>": vocabulary, "<end>": vocabulary + 1}
    inner = Tokenizer(WordLevel(words, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", padding_side="left")


class Iterations:
    """`serve` runs the trainer, which takes each batch from `batches`."""

    def __init__(self, folder: Path) -> None:
        from datasets import Dataset
        from trl.experimental.ppo import PPOConfig, PPOTrainer

        read = json.loads((folder / "prompts.json").read_text())
        dims = Dims(folder)
        assert len(read["prompts"]) == ROWS
        self.tokens = ROWS * read["new_tokens"]
        self.scratch = tempfile.TemporaryDirectory()
        config = PPOConfig(
            output_dir=self.scratch.name,
            # A minibatch is a quarter of the batch, and each is an update: nothing is accumulated.
            per_device_train_batch_size=ROWS,
            gradient_accumulation_steps=1,
            num_mini_batches=MINIBATCHES,
            num_ppo_epochs=1,
            total_episodes=ROWS * 1_000_000,
            response_length=read["new_tokens"],
            temperature=1.0,
            learning_rate=3e-4,
            num_sample_generations=0,
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        self.trainer = PPOTrainer(
            args=config,
            processing_class=tokenizer(dims.vocabulary),
            model=of_transformers(folder),
            ref_model=of_transformers(folder),
            reward_model=Reward(),
            value_model=value_model(folder),
            train_dataset=Dataset.from_dict({"input_ids": read["prompts"]}),
        )
        self.figures: dict[str, float] = {}
        self.trainer.log = self.keep

    def keep(self, logs: dict[str, float], *_: Any) -> None:
        """In place of a printed line: losses for the driver."""
        self.figures = {"loss": logs["loss/policy_avg"], "value_loss": logs["loss/value_avg"]}

    def serve(self, begin: Callable[[], bool], end: Callable[[dict[str, Any]], None]) -> None:
        """Rounds until `begin`, which waits for the driver, says that there are no more."""
        loader = self.trainer.dataloader

        class Done(Exception):
            pass

        class Asked:
            started = False

            def __iter__(asked) -> Iterator[Any]:  # noqa: N805
                for batch in loader:
                    if asked.started:
                        end({"tokens": self.tokens, **self.figures})
                    if not begin():
                        raise Done
                    asked.started = True
                    yield batch

        self.trainer.dataloader = Asked()
        try:
            self.trainer.train()
        except Done:
            self.scratch.cleanup()
