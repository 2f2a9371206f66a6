"""Training steps and decoding on a CUDA device by PyTorch and transformers, in turn with `benches/gpu.rs`.

    cargo bench --features cuda --bench gpu --no-run            # prints where the bench lies
    python benches/peers/gpu.py --pspo target/release/deps/gpu-... [--rounds 5] [--quick] [--json FILE]

Prints Markdown tables of medians. Weights are random on both sides, each side's own: no time depends on them. A peer whose
package is missing is skipped. `--quick` does the same on a tiny shape, on the CPU where PyTorch finds no CUDA device.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from torch_llama import Dims, Llama, llama_config

# As src/pretrained/presets.rs has them. Qwen's biases are left out: they are a ten-thousandth of the work.
SHAPES: dict[str, dict[str, Any]] = {
    "smollm2-135m": {
        "vocabulary": 49152, "width": 576, "layers": 30, "heads": 9, "kv_heads": 3, "head_size": 64, "hidden": 1536,
        "positions": 8192, "rope_theta": 100_000.0, "norm_epsilon": 1e-5, "tied": True,
    },
    "qwen2.5-coder-0.5b": {
        "vocabulary": 151936, "width": 896, "layers": 24, "heads": 14, "kv_heads": 2, "head_size": 64, "hidden": 4864,
        "positions": 32768, "rope_theta": 1_000_000.0, "norm_epsilon": 1e-6, "tied": True,
    },
}
TINY = {
    "tiny": {
        "vocabulary": 96, "width": 64, "layers": 2, "heads": 2, "kv_heads": 1, "head_size": 32, "hidden": 80,
        "positions": 256, "rope_theta": 10_000.0, "norm_epsilon": 1e-5, "tied": False,
    }
}
PROMPT = 64


class Scale:
    """How much is measured, as the bench has it."""

    def __init__(self, quick: bool) -> None:
        self.rows, self.length = (2, 100) if quick else (16, 1024)
        self.decoded = (1, 3) if quick else (1, 32, 256, 1024)
        self.steps = 3 if quick else 64


def dims_of(sizes: dict[str, Any]) -> Dims:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "dims.json").write_text(json.dumps(sizes))
        return Dims(Path(folder))


def seconds(device: str, work: Callable[[], Any]) -> float:
    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    wait()
    begun = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - begun


class Training:
    """Log-probabilities of all tokens but the first, their mean's gradient, AdamW: parameters in float, as pspo's masters
    are, and products in bfloat16."""

    def __init__(self, dims: Dims, scale: Scale, device: str) -> None:
        self.device, self.count = device, scale.rows * scale.length
        self.model = Llama(dims).to(device)
        self.tokens = torch.randint(dims.vocabulary, (scale.rows, scale.length), device=device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)
        self.compiled = torch.compile(self.loss)
        # memory is allocated, and code compiled
        self.rate(self.loss)
        self.rate(self.compiled)

    def loss(self) -> torch.Tensor:
        logits = self.model.logits(self.model(self.tokens)[:, :-1])
        return F.cross_entropy(logits.float().flatten(0, 1), self.tokens[:, 1:].flatten())

    def step(self, loss_of: Callable[[], torch.Tensor]) -> None:
        with torch.autocast(self.device, torch.bfloat16):
            loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def rate(self, loss_of: Callable[[], torch.Tensor]) -> float:
        return self.count / seconds(self.device, lambda: self.step(loss_of))


class Generate:
    """`generate` of transformers, in bfloat16, at temperature 1."""

    def __init__(self, dims: Dims, scale: Scale, device: str) -> None:
        from transformers import LlamaForCausalLM

        self.model = LlamaForCausalLM(llama_config(dims)).to(device, torch.bfloat16).eval()
        self.vocabulary, self.device, self.steps = dims.vocabulary, device, scale.steps
        self.sample(scale.decoded[0], scale.steps)

    @torch.inference_mode()
    def sample(self, rows: int, steps: int) -> None:
        prompts = torch.randint(self.vocabulary, (rows, PROMPT), device=self.device)
        self.model.generate(
            prompts, attention_mask=torch.ones_like(prompts), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            min_new_tokens=steps, max_new_tokens=steps,
        )

    def rate(self, rows: int) -> float:
        """Of the steps behind the first ones, as the bench has it."""
        few, many = (seconds(self.device, lambda: self.sample(rows, n)) for n in (self.steps, 2 * self.steps))
        return rows * self.steps / (many - few)


Measure = tuple[str, str, Callable[[], float]]  # work, runner, tokens per second
Figure = tuple[str, str, float]


def peers(shapes: dict[str, dict[str, Any]], scale: Scale, device: str) -> list[Measure]:
    measures: list[Measure] = []
    for name, sizes in shapes.items():
        dims = dims_of(sizes)
        training = Training(dims, scale, device)
        measures += [
            (f"{name}: training step", "torch", partial(training.rate, training.loss)),
            (f"{name}: training step", "torch-compiled", partial(training.rate, training.compiled)),
        ]
        if importlib.util.find_spec("transformers") is None:
            print("transformers is not installed: skipped", file=sys.stderr)
            continue
        generate = Generate(dims, scale, device)
        measures += [
            (f"{name}: decoding {rows}", "transformers", partial(generate.rate, rows)) for rows in scale.decoded
        ]
    return measures


def of_pspo(bench: Path, quick: bool) -> Iterator[tuple[Figure, float]]:
    """One round of the bench, and the share of the device's rate or bandwidth that it tells."""
    command = [str(bench), "--bench", "--rounds", "1", *(["--quick"] if quick else [])]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"the bench measured nothing: {printed.strip()}")
    for line in lines[1:]:
        if "training_step" in line:
            work, share = f"{line['training_step']}: training step", line["of_matrix_rate"]
        else:
            work, share = f"{line['decoding']}: decoding {line['rows']}", line["of_bandwidth"]
        yield (work, "pspo", line["tokens_per_second"]), share


def table(figures: dict[tuple[str, str], list[float]], shares: dict[str, list[float]]) -> Iterator[str]:
    runners = list(dict.fromkeys(runner for _, runner in figures))
    yield f"| tokens per second | {' | '.join(runners)} | pspo, of the device's rate or bandwidth |"
    yield "|---" * (len(runners) + 2) + "|"
    for work in dict.fromkeys(work for work, _ in figures):
        own = statistics.median(figures[work, "pspo"])
        cells = []
        for runner in runners:
            rates = figures.get((work, runner))
            ratio = "" if rates is None or runner == "pspo" else f" ({own / statistics.median(rates):.2f} of it)"
            cells.append("" if rates is None else f"{statistics.median(rates):,.0f}{ratio}")
        yield f"| {work} | {' | '.join(cells)} | {statistics.median(shares[work]):.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pspo", type=Path, required=True, help="the bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, help="a file for every round's figures")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not options.quick:
        parser.error("PyTorch finds no CUDA device: only --quick runs without one")
    torch.set_float32_matmul_precision("high")
    scale, shapes = Scale(options.quick), TINY if options.quick else SHAPES
    figures: dict[tuple[str, str], list[float]] = {}
    shares: dict[str, list[float]] = {}
    measures = peers(shapes, scale, device)
    for _ in range(options.rounds):
        for (work, runner, rate), share in of_pspo(options.pspo, options.quick):
            figures.setdefault((work, runner), []).append(rate)
            shares.setdefault(work, []).append(share)
        for work, runner, rate in measures:
            figures.setdefault((work, runner), []).append(rate())
        if device == "cuda":
            torch.cuda.empty_cache()  # the bench is another process
    if options.json:
        rows = [{"work": work, "runner": runner, "rates": rates} for (work, runner), rates in figures.items()]
        options.json.write_text(json.dumps({"figures": rows, "shares": shares}))
    print("\n".join(table(figures, shares)))


if __name__ == "__main__":
    main()
