"""What is judged: programs with their tests, in each form that one of the runners takes."""

import contextlib
import copy
import gzip
import io
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

ROOT = Path(__file__).resolve().parents[2]
HUMAN_EVAL = ROOT / "tests/data/HumanEval.jsonl.gz"

# A task is a dict, since it goes to other processes:
#   name      what it is called
#   prompt    the beginning of the program, "" where there is none
#   program   the whole program
#   function  the name of the function that is asked for
#   test      code that defines `check(candidate)`, or None
#   pairs     calls as (arguments, what they must return), or None
#   stdio     runs as (standard input, what must be printed), or None
#   tolerance how far a returned number may be off, where not 0
#   problem   the problem as pspo reads it
# No name here has `expect` or `result` in it: programs look for such names in the frames above them, a forked
# process has our frames above its own, and it is the runners that are on trial here, not this script.
Task = Dict[str, Any]


def recorded(program: str, test: str, function: str) -> List[Tuple[list, Any]]:
    """The calls that a HumanEval test makes, and what the canonical solution returns.

    Some runners take no code as a test, only arguments and values.
    """
    scope: Dict[str, Any] = {"__name__": "recorded"}
    calls: List[Tuple[list, Any]] = []

    def candidate(*arguments: Any) -> Any:
        before = copy.deepcopy(list(arguments))
        value = scope[function](*arguments)
        calls.append((before, copy.deepcopy(value)))
        return value

    with contextlib.redirect_stdout(io.StringIO()):
        exec(program + "\n" + test, scope)
        scope["check"](candidate)
    return calls


def is_json(value: Any) -> bool:
    """Whether a value is the same after a trip through JSON: no tuples, no sets, no keys that are numbers."""
    try:
        return repr(json.loads(json.dumps(value))) == repr(value)
    except (TypeError, ValueError):
        return False


def as_json(task: Task) -> Optional[Dict[str, Any]]:
    """The tests as LiveCodeBench and APPS have them, where JSON can say them."""
    if task["stdio"]:
        return {"inputs": [i for i, _ in task["stdio"]], "outputs": [o for _, o in task["stdio"]]}
    if not task["pairs"] or not is_json([list(pair) for pair in task["pairs"]]):
        return None
    return {
        "fn_name": task["function"],
        "inputs": ["\n".join(json.dumps(argument) for argument in a) for a, _ in task["pairs"]],
        "outputs": [json.dumps(value) for _, value in task["pairs"]],
    }


def human_eval(limit: Optional[int] = None) -> List[Task]:
    """HumanEval's canonical solutions."""
    tasks = []
    with gzip.open(HUMAN_EVAL, "rt") as file:
        for line in list(file)[:limit]:
            record = json.loads(line)
            prompt, function = record["prompt"], record["entry_point"]
            program = prompt + record["canonical_solution"]
            # As `datasets::human_eval` makes it: helpers of the prompt belong to the test.
            helpers = prompt[: max(prompt.rfind(f"\ndef {function}("), 0)]
            code = f"{helpers}\n{record['test']}\n\ncheck({function})\n"
            assertion = {"kind": "assert", "code": code, "calls": [function]}
            tasks.append(
                {
                    "name": record["task_id"],
                    "prompt": prompt,
                    "program": program,
                    "function": function,
                    "test": record["test"],
                    "pairs": recorded(program, record["test"], function),
                    "stdio": None,
                    # The one problem whose test looks at how good an answer is, and no value: |p(x)| < 1e-4.
                    "tolerance": 1e-4 if function == "find_zero" else 0,
                    "problem": {"id": record["task_id"], "prompt": prompt, "tests": [assertion]},
                }
            )
    return tasks


def repeated(tasks: List[Task], times: int) -> List[Task]:
    """The same tasks again, each time with another last comment, so that no runner can remember a verdict."""
    return [dict(task, program=f"{task['program']}\n# {number}\n") for number in range(times) for task in tasks]
