"""What a verdict cannot go below: the tests themselves, and starting processes, forking them, giving them namespaces.

One after the other, on one core. A network namespace is taken down later by the kernel, in nobody's processor time: the
rate shows it, the CPU column does not.
"""

import contextlib
import ctypes
import io
import itertools
import os
import resource
import shutil
import statistics
import subprocess
import time
from typing import Any, Callable, Dict, List, Tuple

from runners import PYTHON
from tasks import Task, human_eval

# user, mount, pid, net, ipc, uts: what pspo's sandbox takes.
NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
# What a runner has in memory when it forks for a program: modules that programs commonly import.
COMMON = "collections, copy, datetime, decimal, fractions, functools, heapq, itertools, json, math, random, re, string"
TIMES = 200


def spawn(*command: str) -> Callable[[], None]:
    def once() -> None:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    return once


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def fork_into_namespaces() -> None:
    """A child that takes the six namespaces and forks the first process in them."""
    libc = ctypes.CDLL(None, use_errno=True)
    pid = os.fork()
    if pid == 0:
        if libc.unshare(NAMESPACES) != 0:
            os._exit(1)
        fork()
        os._exit(0)
    if os.waitpid(pid, 0)[1] != 0:
        raise OSError("namespaces are not to be had here")


def tests_of(tasks: List[Task]) -> Callable[[], None]:
    """One task after the other, with nothing around it."""
    turns = itertools.cycle(tasks)

    def once() -> None:
        task = next(turns)
        scope = {"__name__": "tested"}
        with contextlib.redirect_stdout(io.StringIO()):
            exec(task["program"] + "\n" + task["test"], scope)
            scope["check"](scope[task["function"]])

    return once


def timed(work: Callable[[], None], times: int) -> Tuple[float, float]:
    """Rate, and CPU milliseconds each."""
    used = []
    begin = time.perf_counter()
    for _ in range(2):
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        used.append(sum(usage.ru_utime + usage.ru_stime for usage in usages))
        if len(used) == 1:
            for _ in range(times):
                work()
    return times / (time.perf_counter() - begin), 1000 * (used[1] - used[0]) / times


def measured(
    works: List[Tuple[str, Callable[[], None]]], rounds: int, times: int
) -> List[Dict[str, Any]]:
    """Each in turn, round by round."""
    rows: List[Dict[str, Any]] = [{"what": what, "rate": [], "cpu_ms": []} for what, _ in works]
    for _ in range(rounds):
        for (_, work), figures in zip(works, rows):
            rate, cpu = timed(work, times)
            figures["rate"].append(rate)
            figures["cpu_ms"].append(cpu)
    return rows


def table(rounds: int) -> List[Dict[str, Any]]:
    exec(f"import {COMMON}", {})
    works: List[Tuple[str, Callable[[], None]]] = [
        ("`os.fork`, `os._exit`, wait, in a CPython with common modules", fork),
        ("the same, the child in six new namespaces with a first process of its own", fork_into_namespaces),
        ("start `true`", spawn("true")),
        ("start `unshare` with the six namespaces, and `true` in them", spawn(*unshare("true"))),
        ("start `python3 -S -c pass`", spawn(PYTHON, "-S", "-c", "pass")),
        ("start `python3 -c pass`", spawn(PYTHON, "-c", "pass")),
    ]
    rows = measured(works, rounds, TIMES)
    # Last, since what they leave in memory is copied by a fork.
    tasks = human_eval()
    tests = [("HumanEval's canonical solutions and their tests, in one process", tests_of(tasks))]
    rows += measured(tests, rounds, len(tasks))
    print("| what | per second | CPU-ms each |\n|---|---|---|")
    for figures in rows:
        cells = [
            f"{statistics.median(v):,.{d}f} ({min(v):,.{d}f}..{max(v):,.{d}f})"
            for v, d in ((figures["rate"], 0), (figures["cpu_ms"], 2))
        ]
        print(f"| {figures['what']} | {cells[0]} | {cells[1]} |")
    return rows


def unshare(*command: str) -> List[str]:
    if shutil.which("unshare") is None:
        raise SystemExit("--floor needs `unshare` of util-linux")
    return ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--ipc", "--uts", *command]
