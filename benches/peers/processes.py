"""Starts runners and measures what they take: seconds by the clock, and processor time of all their processes."""

import atexit
import json
import os
import pickle
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from runners import PYTHON
from tasks import ROOT, Task

HERE = Path(__file__).resolve().parent

# The time after which a runner as a whole is given up: the peers' own limits are for one program.
PATIENCE = 3600


class Measured(NamedTuple):
    """One run of a runner over all its tasks. `told` has a verdict for each, or None where the runner failed."""

    told: List[Optional[bool]]
    seconds: float
    cpu: float


class Account:
    """Processor time of a process and all that descend from it, by a control group where one can be made.

    Without one it is what processes say of the children that they waited for, which misses those that nobody waited
    for: `seconds` is then None.
    """

    def __init__(self) -> None:
        self.folder: Optional[Path] = None
        self.file = "cpuacct.usage"
        # Also where a runner fails: an empty group would stay until the host is started again.
        atexit.register(self.close)
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if "cpuacct" in names.split(",") or (names == "" and self.folder is None):
                root = Path("/sys/fs/cgroup") / names
                folder = root / path.lstrip("/") / f"peers-{os.getpid()}-{secrets.token_hex(4)}"
                try:
                    folder.mkdir()
                except OSError:
                    continue
                known = [name for name in ("cpuacct.usage", "cpu.stat") if (folder / name).exists()]
                if not known:
                    folder.rmdir()
                    continue
                self.close()
                self.folder, self.file = folder, known[0]

    def join(self) -> None:
        """Moves the calling process into the group."""
        if self.folder:
            (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self) -> Optional[float]:
        if not self.folder:
            return None
        text = (self.folder / self.file).read_text()
        if self.file == "cpuacct.usage":
            return int(text) / 1e9
        return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6

    def close(self) -> None:
        """Removes the group; processes that ended a moment ago may still count as its own."""
        for _ in range(50):
            try:
                if self.folder:
                    self.folder.rmdir()
                self.folder = None
                return
            except OSError:
                time.sleep(0.1)


def for_peers(tasks: List[Task]) -> bytes:
    """Tasks without pspo's form of them: programs search a forked process's memory for what they should return."""
    return pickle.dumps([{key: value for key, value in task.items() if key != "problem"} for task in tasks])


def run_peer(name: str, tasks: List[Task], jobs: int, timeout: int) -> Measured:
    """A peer's verdicts. Its start and the import of its package are not counted."""
    word = secrets.token_hex(8)
    account = Account()
    command = [sys.executable, str(HERE / "drive.py"), name, str(jobs), str(timeout), word]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, preexec_fn=account.join
        ) as process,
    ):
        assert process.stdout
        process.stdout.readline()
        before = account.seconds()
        printed, _ = process.communicate(for_peers(tasks), timeout=PATIENCE)
        after = account.seconds()
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    account.close()
    lines = [line for line in printed.decode(errors="replace").splitlines() if line.startswith(word)]
    if not lines:
        raise RuntimeError(f"{name} ended without a verdict: {said[-2000:]}")
    got = json.loads(lines[-1][len(word) :])
    cpu = got["cpu"] if before is None or after is None else after - before
    return Measured(got["told"], got["seconds"], cpu)


def verifier_toml(limits: Dict[str, Any]) -> str:
    lines = [f"{name} = {value}" for name, value in limits.items()]
    return "\n".join(['type = "python"', f"python = {json.dumps(PYTHON)}", "", "[limits]", *lines, ""])


def pspo_lines(pspo: Path, tasks: List[Task], jobs: int, limits: Dict[str, Any]) -> "tuple[list, Measured]":
    """The verdicts of pspo's `02_verify`, as it writes them.

    All of its run is counted, its start and that of its interpreters too.
    """
    problems = {task["problem"]["id"]: task["problem"] for task in tasks}
    account = Account()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lines(folder / "problems", list(problems.values()))
        candidates = [{"problem": task["problem"]["id"], "program": task["program"]} for task in tasks]
        write_lines(folder / "candidates", candidates)
        (folder / "verifier").write_text(verifier_toml(limits))
        command = [str(pspo), "--jobs", str(jobs)]
        for option in ("problems", "candidates", "verifier", "out"):
            command += [f"--{option}", str(folder / option)]
        begin, before = time.perf_counter(), os.times()
        done = subprocess.run(command, stderr=subprocess.PIPE, preexec_fn=account.join, timeout=PATIENCE, check=False)
        seconds, after = time.perf_counter() - begin, os.times()
        if done.returncode != 0:
            raise RuntimeError(f"pspo: {done.stderr.decode(errors='replace')[-2000:]}")
        verdicts = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    waited = after.children_user + after.children_system - before.children_user - before.children_system
    cpu = account.seconds()
    account.close()
    told = [None if verdict["outcome"] == "error" else verdict["outcome"] == "pass" for verdict in verdicts]
    return verdicts, Measured(told, seconds, waited if cpu is None else cpu)


def write_lines(path: Path, values: List[Any]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


def default_pspo() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return ROOT / target / "release/examples/02_verify"
