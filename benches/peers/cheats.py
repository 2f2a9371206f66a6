"""Who pays which cheat: the programs of tests/hostile and of cheats/, through every runner.

A program's header says by which tests it is judged and how it must end, as tests/hostile.rs reads it. Each is run by
each runner that can express its tests, in a process of its own that is shut in: own namespaces, no network, a
read-only file system, limits, and an end by the clock.

Programs that could harm the host (bombs of processes, threads, memory and output, full disks, signals to all), and
those whose success would not show in the verdict or would depend on where they are shut in, are given to pspo alone.
"""

import argparse
import concurrent.futures
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from typing import Any, Callable, Dict, List, Tuple

from corpus import Cheat, corpus, task
from processes import HERE, for_peers, pspo_lines
from runners import RUNNERS
from tasks import Task

# The numbers of tests/hostile that the peers are given.
GROUPS = (
    ("Forging a verdict", [*range(1, 21), 47, 57, 61, 70, 72, 73, 74, 79, 80, 81, 82, 84, 85, 88, 89, 90, 91, 92, 93]),
    ("Reading what is not its own", [23, 24, 25]),
    ("Time", [26, 27, 28, 29, 30, 31, 32]),
    ("Crashes", [42, 43, 49]),
    ("Right programs, which must be paid", [33, 39, 62, 63, 64]),
)
# Single programs of those numbers that they are not given: without a limit on memory, or through a shell.
LEFT_OUT = {"42_recursion_without_limit", "57_pickle_bomb", "30_power"}

# A peer's own limits are seconds for each of two tests and some more; after this it hangs.
HANGS_AFTER = 40
MEMORY_BYTES = 4 << 30


def shut_in(scratch: str, command: List[str]) -> List[str]:
    """The command in namespaces of its own, on a read-only file system but for small folders in memory."""
    script = f"""
set -e
mount -o remount,bind,ro /
mount -t tmpfs -o size=256m tmpfs /dev/shm
mount -t tmpfs -o size=256m tmpfs {shlex.quote(scratch)}
cd {shlex.quote(scratch)}
ulimit -c 0 -n 256 -u 256 -v {MEMORY_BYTES >> 10}
export TMPDIR={shlex.quote(scratch)} HOME={shlex.quote(scratch)}
exec {shlex.join(command)}
"""
    spaces = ["--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts"]
    return ["unshare", *spaces, "--fork", "--kill-child=KILL", "--mount-proc", "bash", "-c", script]


def judged_by_peer(name: str, one: Task, timeout: int) -> str:
    """What a peer makes of one program: pays, rejects, crashes or hangs."""
    word = secrets.token_hex(8)
    command = [sys.executable, str(HERE / "drive.py"), name, "1", str(timeout), word]
    with tempfile.TemporaryDirectory() as scratch:
        process = subprocess.Popen(
            shut_in(scratch, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            printed, _ = process.communicate(for_peers([one]), timeout=HANGS_AFTER)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return "hangs"
    lines = [line for line in printed.decode(errors="replace").splitlines() if line.startswith(word)]
    if not lines or b"ready" not in printed:
        return "crashes" if b"ready" in printed else "not started"
    told = json.loads(lines[-1][len(word) :])["told"][0]
    return "crashes" if told is None else "pays" if told else "rejects"


def works(name: str, timeout: int) -> None:
    """Stops where a peer, shut in, does not judge the right program and a wrong one as it should."""
    for program, due in (
        ("def solve(a, b):\n    return a + b\n", "pays"),
        ("def solve(a, b):\n    return 0\n", "rejects"),
    ):
        got = judged_by_peer(name, task(Cheat("right", 0, "", ["call"], [], program), "call"), timeout)
        if got != due:
            raise SystemExit(f"{name}, shut in, {got} a program that it {due} elsewhere: cheats cannot be tried here")


def by_pspo(cheats: List[Cheat], options: argparse.Namespace) -> Dict[str, str]:
    """pspo's outcomes, under the limits of tests/hostile.rs but for more time, since other work may run beside this."""
    tasks = [task(cheat, sort) for cheat in cheats for sort in cheat.sorts]
    limits = {"cpu_seconds": 2.0, "wall_seconds": 4.0, "memory_bytes": 512 << 20, "disk_bytes": 16 << 20}
    verdicts, _ = pspo_lines(options.pspo, tasks, options.jobs, limits)
    return {one["name"]: verdict["outcome"] for one, verdict in zip(tasks, verdicts)}


def by_peers(cheats: List[Cheat], names: List[str], options: argparse.Namespace) -> Dict[Tuple[str, str], str]:
    """Every peer's word on every program of the groups above, by the program's and the sort's name."""
    numbers = {number for _, group in GROUPS for number in group}
    given = [cheat for cheat in cheats if cheat.number in numbers and cheat.name not in LEFT_OUT]
    work = []
    for name in names:
        works(name, options.timeout)
        tasks = [task(cheat, sort) for cheat in given for sort in cheat.sorts]
        work += [(name, one) for one in tasks if RUNNERS[name].takes(one)]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        told = pool.map(lambda pair: judged_by_peer(pair[0], pair[1], options.timeout), work)
        return {(name, one["name"]): word for (name, one), word in zip(work, told)}


def cell(words: Counter[str]) -> str:
    """`pays`, or `pays 2, rejects 3` where programs or tests differ."""
    if not words:
        return "n/a"
    if len(words) == 1:
        return next(iter(words))
    return ", ".join(f"{word} {count}" for word, count in sorted(words.items()))


def table(names: List[str], options: argparse.Namespace, say: Callable[[str], None]) -> List[Dict[str, Any]]:
    """Prints which runner pays what, and gives every single word, a row for each number of the corpus."""
    cheats = corpus()
    peers = [name for name in names if name != "pspo"]
    outcomes = by_pspo(cheats, options) if "pspo" in names else {}
    say(f"pspo judged {len(outcomes)}")
    told = by_peers(cheats, peers, options)
    rows = []
    for title, numbers in GROUPS:
        for number in numbers:
            mine = [cheat for cheat in cheats if cheat.number == number]
            rows.append({"title": title, **line(mine, names, told, outcomes)})
    show(rows, names)
    given = {name for row in rows for name in row["programs"]}
    print(f"\nNot given to the peers: {sum(cheat.name not in given for cheat in cheats)} of {len(cheats)} programs.")
    if outcomes:
        wrong = [name for cheat in cheats for name in differing(cheat, outcomes)]
        print(f"pspo: {len(outcomes) - len(wrong)} of {len(outcomes)} as they must be. Differing: {wrong or 'none'}")
    return rows


def differing(cheat: Cheat, outcomes: Dict[str, str]) -> List[str]:
    found = [(f"{cheat.name} {sort}", outcomes.get(f"{cheat.name} {sort}")) for sort in cheat.sorts]
    return [f"{name}: {outcome}" for name, outcome in found if outcome and outcome not in cheat.due]


def line(
    mine: List[Cheat], names: List[str], told: Dict[Tuple[str, str], str], outcomes: Dict[str, str]
) -> Dict[str, Any]:
    """What each runner said to each program of a number that the peers are given."""
    given = [cheat for cheat in mine if cheat.name not in LEFT_OUT]
    ones = [f"{cheat.name} {sort}" for cheat in given for sort in cheat.sorts]
    single: Dict[str, Dict[str, str]] = {}
    for name in names:
        words = {one: outcomes.get(one) if name == "pspo" else told.get((name, one)) for one in ones}
        single[name] = {one: word for one, word in words.items() if word}
    due = list(dict.fromkeys(word for cheat in given for word in cheat.due))
    return {"number": mine[0].number, "programs": {one.name: one.about for one in given}, "due": due, "told": single}


def show(rows: List[Dict[str, Any]], names: List[str]) -> None:
    """The table, but for the numbers to which every peer says what it should."""
    for title in dict.fromkeys(row["title"] for row in rows):
        print(f"\n{title}:\n")
        print("| | program | must be | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 3) + "|")
        same = []
        for row in (row for row in rows if row["title"] == title):
            should = "pays" if row["due"] == ["pass"] else "rejects"
            said = {word for name in names if name != "pspo" for word in row["told"][name].values()}
            if said == {should}:
                same.append(str(row["number"]))
                continue
            about = min(row["programs"].values(), key=lambda about: about.startswith("the same"))
            if len(row["programs"]) > 1:
                about += f", and {len(row['programs']) - 1} more"
            cells = [cell(Counter(row["told"][name].values())) for name in names]
            print(f"| {row['number']} | {about} | {', '.join(row['due'])} | " + " | ".join(cells) + " |")
        if same:
            print(f"\nAll peers judge these as they should: {', '.join(same)}.")
