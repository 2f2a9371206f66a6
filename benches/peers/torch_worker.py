"""A peer in a process of its own, which speaks as `benches/side_by_side` does.

    python torch_worker.py PEER WORK FOLDER THREADS

It loads what the bench wrote to the folder and prints a line of JSON. Then it does the work once for each line that it
reads, and prints a line with seconds by the clock, processor seconds and what came out; an empty line ends it.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# What a library prints must not come between the lines of the protocol.
LINES = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(value: dict[str, Any]) -> None:
    print(json.dumps(value), file=LINES, flush=True)


class Rounds:
    """Waits for the driver's line before a round, and answers after it."""

    def begin(self) -> bool:
        if not sys.stdin.readline().strip():
            return False
        self.begun, self.cpu = time.perf_counter(), time.process_time()
        return True

    def end(self, out: dict[str, Any]) -> None:
        took, cpu = time.perf_counter() - self.begun, time.process_time() - self.cpu
        say({"seconds": took, "cpu_seconds": cpu, **out})


def main() -> None:
    peer, work, folder, threads = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    rounds = Rounds()
    if work == "iteration":
        from trl_iteration import Iterations

        iterations = Iterations(folder)
        say({})
        iterations.serve(rounds.begin, rounds.end)
        return
    if work == "step":
        from torch_step import Step

        run: Any = Step(peer, folder)
        say({})
    else:
        from torch_decode import DECODERS

        run = DECODERS[peer](folder)
        say(run.check() if hasattr(run, "check") else {})
    while rounds.begin():
        rounds.end(run())


if __name__ == "__main__":
    main()
