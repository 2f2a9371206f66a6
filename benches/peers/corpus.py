"""The corpus of programs that cheat, with their tests in the form that each runner takes."""

import re
from typing import Any, Dict, List, NamedTuple, Tuple

from processes import HERE
from tasks import ROOT, Task

FOLDERS = (ROOT / "tests/hostile", HERE / "cheats")


class Cheat(NamedTuple):
    name: str
    number: int
    about: str
    sorts: List[str]
    due: List[str]
    program: str


def corpus() -> List[Cheat]:
    """All programs, in the order of their numbers."""
    found = []
    for path in sorted((path for folder in FOLDERS for path in folder.glob("*.py")), key=lambda path: path.name):
        program = path.read_text()
        sorts, due = (re.search(f"^# {key}: (.*)$", program, re.M) for key in ("tests", "outcome"))
        if not sorts or not due:
            raise SystemExit(f"{path} has no `# tests:` or no `# outcome:`")
        about = program.splitlines()[0].lstrip("# ")
        number = int(path.name.split("_")[0])
        found.append(Cheat(path.stem, number, about, sorts[1].split(), due[1].split(), program))
    return found


def indented(code: str) -> str:
    return "def check(solve):\n" + "".join(f"    {line}\n" for line in code.splitlines())


def call(values: List[Tuple[List[int], Any]]) -> List[Dict[str, Any]]:
    return [{"kind": "call", "function": "solve", "arguments": a, "expected": value} for a, value in values]


def asserted(lines: List[str]) -> str:
    return "def check(candidate):\n" + "".join(f"    assert {line}\n" for line in lines)


SUMS: List[Tuple[List[int], Any]] = [([1, 2], 3), ([20, 5], 25)]
SUMS_ASSERTED = asserted(["candidate(1, 2) == 3", "candidate(20, 5) == 25"])
CODE = {
    "assert": SUMS_ASSERTED + "check(solve)",
    "assert_list": "assert list(solve(1, 2)) == [1, 2]\nassert solve(1, 2) == [1, 2]",
    "assert_float": "assert abs(solve(1, 2) - 0.5) < 1e-6 and all([abs(0.5 - solve(1, 2)) < 1e-6])",
    "assert_map": "for got, want in zip(map(solve, [1, 20], [2, 5]), [3, 25]):\n    assert got == want\n"
    "assert all(map(lambda a: solve(a, 2) == a + 2, [1, 2]))",
    "assert_isclose": "import math\nassert math.isclose(solve(1, 2), 3)",
    "assert_unittest": "import unittest\nclass T(unittest.TestCase):\n    def runTest(self): pass\n"
    "T().assertEqual(solve(1, 2), 3)",
}
CHECKER = "def check(stdin, expected, printed):\n    return sorted(printed.split()) == sorted(stdin.split())"


def task(cheat: Cheat, sort: str) -> Task:
    """A program with the tests of a sort, in all forms, as `problem` in tests/hostile.rs has them."""
    made: Task = {"name": f"{cheat.name} {sort}", "prompt": "", "program": cheat.program, "function": "solve"}
    made.update(test=None, pairs=None, stdio=None)
    problem: Dict[str, Any] = {"id": sort, "prompt": "?"}
    if sort in CODE:
        made["test"] = SUMS_ASSERTED if sort == "assert" else indented(CODE[sort])
        problem["tests"] = [{"kind": "assert", "code": CODE[sort], "calls": ["solve"]}]
    elif sort == "call":
        made.update(test=SUMS_ASSERTED, pairs=SUMS)
        problem["tests"] = call(SUMS)
    elif sort == "list":
        made.update(test=asserted(["candidate(1, 2) == [1, 2]"]), pairs=[([1, 2], [1, 2])])
        problem["tests"] = call(made["pairs"])
    elif sort == "float":
        made.update(test=asserted(["abs(candidate(1, 2) - 0.5) < 1e-6"]), pairs=[([1, 2], 0.5)], tolerance=1e-6)
        problem["tests"] = call(made["pairs"])
        problem["matching"] = {"rule": "numbers", "absolute": 1e-6, "relative": 0.0}
    else:
        stdin, stdout = {"empty": ("", ""), "checker": ("1 2\n", "1 2\n")}.get(sort, ("1 2\n", "3\n"))
        # A checker is nothing that the peers have.
        made["stdio"] = None if sort == "checker" else [(stdin, stdout)]
        problem["tests"] = [{"kind": "stdio", "stdin": stdin, "stdout": stdout}]
        if sort == "checker":
            problem["matching"] = {"rule": "checker", "code": CHECKER}
    return dict(made, problem=problem)
