"""Processes that do a piece of work once whenever they are asked, and wait in between.

Each writes a line of JSON when it is ready, and one for every line that it is sent: `benches/side_by_side` and
`torch_worker.py` speak so.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any


def environment(threads: int) -> dict[str, str]:
    """The same number of threads for all, and nothing from the network."""
    count = str(threads)
    return {
        **os.environ,
        "RAYON_NUM_THREADS": count,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        # Compiled in the worker itself: else processes that did it wait beside the measured one.
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


def busy_seconds() -> float:
    """Processor time of the whole host so far, of all processes."""
    user, nice, system, _, _, irq, softirq, steal = Path("/proc/stat").read_text().split()[1:9]
    ticks = sum(map(int, (user, nice, system, irq, softirq, steal)))
    return ticks / os.sysconf("SC_CLK_TCK")


class Worker:
    """A process that is ready for its first round. `ready` is what it said when it was."""

    def __init__(self, name: str, command: list[str], threads: int) -> None:
        self.name = name
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment(threads),
            text=True,
        )
        self.ready = self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            self.errors.seek(0)
            said = self.errors.read().decode(errors="replace")
            raise RuntimeError(f"{self.name} ended with status {self.process.returncode}: {said[-2000:]}")
        return json.loads(line)

    def round(self) -> dict[str, Any]:
        """What it says of doing the work once, and `other_cpu_seconds` that the rest of the host took meanwhile."""
        assert self.process.stdin
        before = busy_seconds()
        try:
            self.process.stdin.write("once\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # `read` says why
        told = self.read()
        return {**told, "other_cpu_seconds": busy_seconds() - before - told["cpu_seconds"]}

    def peak_bytes(self) -> int:
        """The most memory that was resident since the process started."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    def stop(self) -> None:
        """Ends it by the end of its input, or by force where that does not help."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
