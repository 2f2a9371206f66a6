"""Runs one runner on a list of tasks, in a process of its own, and says what it took.

    python drive.py NAME JOBS TIMEOUT WORD

When the runner's package is imported it prints `ready`, so that who started it can look at the clock, and reads the
tasks, a pickle, from standard input: they lie in no folder where a program could find them. Its last line is WORD and
JSON: a program that prints cannot know the word.
"""

import concurrent.futures
import json
import multiprocessing
import os
import pickle
import resource
import sys
import time
from typing import Any, List, Optional, Tuple

from runners import RUNNERS, Judge
from tasks import Task

# Set before the pool forks: a closure does not go through a pool's queue.
STATE: List[Any] = []


def one(number: int) -> Optional[bool]:
    """Whether a task's program passed; None if its runner failed."""
    judge: Judge = STATE[0]
    task: Task = STATE[1][number]
    try:
        return bool(judge(task, STATE[2]))
    except Exception as error:
        print(f"{task['name']}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def processor_seconds() -> float:
    """Of this process and of all that were waited for below it."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def drive(threads: bool, jobs: int, count: int) -> Tuple[List[Optional[bool]], float]:
    """Judges all tasks by `jobs` at a time."""
    context = multiprocessing.get_context("fork")
    begin = time.perf_counter()
    if threads:
        pool: concurrent.futures.Executor = concurrent.futures.ThreadPoolExecutor(jobs)
    else:
        pool = concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context)
    with pool:
        told = list(pool.map(one, range(count)))
    return told, time.perf_counter() - begin


def start() -> None:
    name, jobs, timeout, word = sys.argv[1:]
    multiprocessing.set_start_method("fork")
    judge = RUNNERS[name].load()
    print("ready", flush=True)
    tasks = pickle.load(sys.stdin.buffer)
    STATE.extend((judge, tasks, int(timeout)))
    before = processor_seconds()
    told, seconds = drive(RUNNERS[name].threads, int(jobs), len(tasks))
    used = processor_seconds() - before
    print("\n" + word + json.dumps({"told": told, "seconds": seconds, "cpu": used}), flush=True)
    # What a program left behind must not keep this process.
    os._exit(0)


if __name__ == "__main__":
    start()
