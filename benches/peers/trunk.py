#!/usr/bin/env python3
"""pspo's trunk beside PyTorch, transformers and TRL: updates, decoding, whole iterations.

    python trunk.py [--works step decode decode-1 iteration] [--shapes 128 256 576] [--threads N] [--rounds 5]
                    [--runners pspo pspo-bf16 torch torch-compiled torch-bf16 transformers trl] [--pspo PATH] [--json FILE]

Every runner is a process that waits until it is asked. In each round each does the work once, one after another, and so
does the floor: a large product and a copy, which say what the machine could do at that moment. The first round is not
counted. Tables are Markdown. README.md says what each column means and what is not comparable.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from workers import Worker

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORKS = ["step", "decode", "decode-1", "iteration"]
SHAPES = ["128", "256", "576"]
# Losses and gradient norms may differ by this much of pspo's: sums are taken in another order.
TOLERANCE = 1e-3
# A share of a core's time: beyond it other processes are named as a disturbance.
DISTURBED = 0.1


class Peer(NamedTuple):
    """What a runner is called in tables, the works that it does, and the packages that it needs."""

    title: str
    works: list[str]
    packages: list[str]


PEERS = {
    "pspo-bf16": Peer("pspo, bfloat16", ["step", "decode", "decode-1"], []),
    "torch": Peer("PyTorch", ["step", "decode", "decode-1"], ["torch", "safetensors"]),
    "torch-compiled": Peer("PyTorch, compiled", ["step"], ["torch", "safetensors"]),
    "torch-bf16": Peer("PyTorch, bfloat16", ["step"], ["torch", "safetensors"]),
    "transformers": Peer("transformers", ["step", "decode", "decode-1"], ["torch", "safetensors", "transformers"]),
    "trl": Peer(
        "TRL", ["decode", "decode-1", "iteration"], ["torch", "safetensors", "transformers", "trl", "datasets"]
    ),
}
# Not held to float32's losses, and run only where they are asked for: PyTorch takes forty times as long on a processor
# without instructions for bfloat16.
HALF = {"pspo-bf16", "torch-bf16"}
DEFAULT = ["pspo", *(name for name in PEERS if name not in HALF)]


class Measured(NamedTuple):
    """A work of one shape: what there was to do, and what each runner said in each round, the first one too."""

    work: str
    shape: str
    amount: dict[str, Any]
    ready: dict[str, dict[str, Any]]
    told: dict[str, list[dict[str, Any]]]
    peak: dict[str, int]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def built() -> Path:
    """The bench's executable, built where it is not."""
    command = ["cargo", "bench", "--bench", "side_by_side", "--no-run", "--message-format=json"]
    printed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
    for line in printed.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "side_by_side":
            return Path(message["executable"])
    raise SystemExit("cargo built no side_by_side")


def command(name: str, work: str, shape: str, folder: Path, options: argparse.Namespace) -> list[str]:
    if name == "pspo-bf16":
        # In a folder of its own: what it writes there is not what the others read.
        return [str(options.pspo), f"{work}-bf16", shape, str(folder / name)]
    if name in PEERS:
        return [sys.executable, str(HERE / "torch_worker.py"), name, work, str(folder), str(options.threads)]
    return [str(options.pspo), "floor" if name == "floor" else work, shape, str(folder)]


def measure(work: str, shape: str, options: argparse.Namespace) -> Measured:
    """All runners of a work, round by round; the order turns by one from round to round."""
    names = ["floor", "pspo", *(name for name in options.runners if name in PEERS and work in PEERS[name].works)]
    workers: dict[str, Worker] = {}
    told: dict[str, list[dict[str, Any]]] = {}

    def give_up(name: str, error: RuntimeError) -> None:
        """A peer that fails is left out; without floor or pspo there is nothing to compare with."""
        if name not in PEERS:
            raise error
        say(f"{work} {shape}: left out: {error}")
        workers.pop(name, None)
        told.pop(name, None)

    with tempfile.TemporaryDirectory() as folder:
        try:
            # pspo writes what the peers read.
            for name in names:
                try:
                    worker = Worker(name, command(name, work, shape, Path(folder), options), options.threads)
                    workers[name], told[name] = worker, []
                except RuntimeError as error:
                    give_up(name, error)
            for number in range(options.rounds + 1):
                order = list(workers)
                turn = number % len(order)
                for name in order[turn:] + order[:turn]:
                    try:
                        told[name].append(workers[name].round())
                        which = f"round {number}" if number else "first round"
                        say(f"{work} {shape}, {which}: {name}: {told[name][-1]['seconds']:.3f} s")
                    except RuntimeError as error:
                        give_up(name, error)
            peak = {name: worker.peak_bytes() for name, worker in workers.items()}
            ready = {name: worker.ready for name, worker in workers.items()}
        finally:
            for worker in workers.values():
                worker.stop()
    return Measured(work, shape, ready["pspo"], ready, told, peak)


def spread(values: list[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}..{high:,.{digits}f})"


def apart(mine: float, other: float) -> float:
    """The difference as a share of the other."""
    return abs(mine - other) / abs(other) if math.isfinite(mine) else math.inf


def agreement(name: str, measured: Measured) -> tuple[str, bool]:
    """How far a peer's results are from pspo's, and whether that is near enough.

    A step is checked by loss and gradient norm of the first round, then by the losses, each of which has the updates
    before it in it. Decoding is checked by its tokens and by the log-probabilities that a pass over whole rows gives.
    """
    mine, pspo = measured.told[name], measured.told["pspo"]
    if measured.work == "step":
        if name == "pspo":
            return "", True
        first = max(apart(mine[0][key], pspo[0][key]) for key in ("loss", "gradient_norm"))
        later = max((apart(here["loss"], there["loss"]) for here, there in zip(mine[1:], pspo[1:])), default=0.0)
        fits = name in HALF or max(first, later) <= TOLERANCE
        return f"{'' if fits else 'no: '}{first:.0e}, then {later:.0e}", fits
    if name in ("pspo", "pspo-bf16"):
        return "", True
    fits = all(told["tokens"] == measured.amount["tokens"] for told in mine)
    gap = measured.ready[name].get("gap")
    if gap is None:
        return "tokens" if fits else "no: tokens", fits
    fits = fits and gap <= TOLERANCE
    return f"{'' if fits else 'no: '}tokens, {gap:.0e}", fits


def figures(name: str, measured: Measured) -> dict[str, Any]:
    """The figures of one runner, a value for each counted round."""
    counted = [told[1:] for told in (measured.told[name], measured.told["pspo"], measured.told["floor"])]
    amount = measured.amount
    rows: dict[str, Any] = {"runner": name, "peak_bytes": measured.peak[name]}
    keys = ("seconds", "rate", "cpu_seconds", "floor_percent", "times_rate", "bandwidth_percent")
    values: dict[str, list[float]] = {key: [] for key in keys}
    for mine, pspo, floor in zip(*counted):
        # A response that ends before its length is less work.
        share = mine.get("tokens", amount["tokens"]) / amount["tokens"]
        rate = share * amount["tokens"] / mine["seconds"]
        values["seconds"].append(mine["seconds"])
        values["cpu_seconds"].append(mine["cpu_seconds"])
        values["rate"].append(rate)
        values["times_rate"].append(rate / (pspo.get("tokens", amount["tokens"]) / pspo["seconds"]))
        values["floor_percent"].append(100 * share * amount["flop"] / (floor["gflops"] * 1e9 * mine["seconds"]))
        if measured.work == "decode-1":
            bound = share * measured.ready[name].get("bytes", amount["bytes"]) / (floor["copied_gb_per_second"] * 1e9)
            values["bandwidth_percent"].append(100 * bound / mine["seconds"])
    rows |= {key: value for key, value in values.items() if value}
    rows["agreement"], rows["agrees"] = agreement(name, measured)
    return rows


def disturbance(measured: Measured) -> float:
    """The largest share of a core's time that the rest of the host took in a counted round of a quarter of a second.

    The host counts in hundredths of a second, so that a shorter round says nothing.
    """
    told = [one for name in measured.told for one in measured.told[name][1:] if one["seconds"] >= 0.25]
    return max((one["other_cpu_seconds"] / one["seconds"] for one in told), default=0.0)


def table(measured: Measured) -> list[dict[str, Any]]:
    amount, floor = measured.amount, measured.told["floor"][1:]
    todo = f"{amount['tokens']:,} tokens, {amount['flop'] / 1e9:,.1f} GFLOP"
    product, copy = (spread([told[key] for told in floor], 1) for key in ("gflops", "copied_gb_per_second"))
    print(f"`{measured.work}`, width {measured.shape}: {todo}; floor {product} GFLOP/s, copies {copy} GB/s\n")
    bandwidth = measured.work == "decode-1"
    heads = ["runner", "seconds", "tokens/s", "rate, of pspo's", "CPU-seconds", "of the floor, %"]
    heads += ["of the bandwidth, %"] if bandwidth else []
    heads += ["peak MB", "agrees"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    rows = [figures(name, measured) for name in measured.told if name != "floor"]
    for row in rows:
        title = PEERS[row["runner"]].title if row["runner"] in PEERS else row["runner"]
        cells = [title, spread(row["seconds"], 3), spread(row["rate"], 0), spread(row["times_rate"], 2)]
        cells += [spread(row["cpu_seconds"], 2), spread(row["floor_percent"], 1)]
        cells += [spread(row["bandwidth_percent"], 1)] if bandwidth else []
        cells += [f"{row['peak_bytes'] / 1e6:,.0f}", row["agreement"]]
        print("| " + " | ".join(cells) + " |")
    if (most := disturbance(measured)) > DISTURBED:
        print(f"\nDisturbed: in a round other processes took {100 * most:.0f} % of a core's time.")
    print(flush=True)
    return rows


def host(options: argparse.Namespace) -> dict[str, Any]:
    """The processor's kind and the packages: figures mean nothing without them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    names = {package for name in options.runners if name in PEERS for package in PEERS[name].packages}
    versions = {name: importlib.metadata.version(name) for name in sorted(names)}
    return {"cpu": model, "cores": os.cpu_count(), "threads": options.threads, "rounds": options.rounds, **versions}


def chosen(names: list[str]) -> list[str]:
    """The runners that can be used here; the script says why others cannot."""
    usable = []
    for name in names:
        packages = PEERS[name].packages if name in PEERS else []
        missing = [package for package in packages if not importlib.util.find_spec(package)]
        if missing:
            say(f"{name} is skipped: there is no {', '.join(missing)}")
        else:
            usable.append(name)
    return usable


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="pspo's trunk beside PyTorch, transformers and TRL.")
    parser.add_argument("--works", nargs="+", default=WORKS, help=f"of {', '.join(WORKS)}")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help=f"widths, of {', '.join(SHAPES)}")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of each runner")
    parser.add_argument("--rounds", type=int, default=5, help="that count; one goes before")
    parser.add_argument("--runners", nargs="+", default=DEFAULT, help=f"of pspo, {', '.join(PEERS)}; pspo always runs")
    parser.add_argument("--pspo", type=Path, help="the built bench side_by_side")
    parser.add_argument("--json", type=Path, help="also write every round's figures there")
    options = parser.parse_args()
    for name, known in (("works", WORKS), ("shapes", SHAPES), ("runners", ["pspo", *PEERS])):
        # `a,b` as well as `a b`.
        listed = [part for value in getattr(options, name) for part in value.split(",")]
        for value in listed:
            if value not in known:
                parser.error(f"--{name}: {value} is not one of {', '.join(known)}")
        setattr(options, name, listed)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def main() -> None:
    options = arguments()
    options.runners = chosen(options.runners)
    options.pspo = options.pspo.resolve() if options.pspo else built()
    told: dict[str, Any] = {"host": host(options), "works": []}
    for work in options.works:
        for shape in options.shapes:
            measured = measure(work, shape, options)
            told["works"].append({**measured._asdict(), "rows": table(measured)})
    print(json.dumps(told["host"]))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    if not all(row["agrees"] for work in told["works"] for row in work["rows"]):
        raise SystemExit("a peer did other work than pspo: see the last column")


if __name__ == "__main__":
    main()
