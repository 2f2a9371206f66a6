"""Writes the fixtures of LiveCodeBench and CodeContests, whose problems here are our own, in the benchmarks' formats."""

import base64
import gzip
import json
import pickle
import zlib
from pathlib import Path

HERE = Path(__file__).parent


def pack(text, protocol=4):
    return base64.b64encode(zlib.compress(pickle.dumps(text, protocol=protocol), 9)).decode()


def case(input, output, kind="stdin"):
    return {"input": input, "output": output, "testtype": kind}


def problem(number, title, content, public, private, function=None, starter="", **other):
    return {
        "question_title": title,
        "question_content": content,
        "platform": "leetcode" if function else "atcoder",
        "question_id": number,
        "contest_id": "contest1",
        "contest_date": "2024-01-06T00:00:00",
        "starter_code": starter,
        "difficulty": "easy",
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        "metadata": json.dumps({"func_name": function} if function else {}),
        **other,
    }


STARTER = "class Solution:\n    def pairSums(self, xs: List[int], n: int) -> List[int]:\n        "
calls = [case("[1, 2, 3]\n1", "[2, 3, 4]", "functional"), case("[]\n7", "[]", "functional")]
halves = [case("3\n1 2 3\n", "0.5 1.0\n1.5\n"), case("1\n-5\n", "-2.5\n\n")]

LIVE_CODE_BENCH = [
    problem("abc1_a", "Halves", "Print the half of each of n numbers.", halves[:1], pack(json.dumps(halves[1:]))),
    problem("abc1_b", "Sum", "Print the sum of n numbers.", [case("2\n1 2\n", "3\n")], json.dumps([case("1\n9\n", "9")])),
    problem("3001", "Add to each", "Add n to each of xs.", calls[:1], pack(json.dumps(calls[1:]), 2), "pairSums", STARTER),
    problem("3002", "Words", "Return the words of a text.", [], pack(json.dumps([case('"a\\u00e9 b"', '["a\\u00e9", "b"]', "functional")])), "words"),
]


class Runs:
    """What a pickle may do when it is read."""

    def __reduce__(self):
        return eval, ("1 / 0",)


HOSTILE = [
    ("reduce", base64.b64encode(zlib.compress(pickle.dumps(Runs()))).decode(), "of the pickle is the instruction"),
    ("list", base64.b64encode(zlib.compress(pickle.dumps([case("", "")]))).decode(), "of the pickle is the instruction"),
    ("cut", pack(json.dumps(halves))[:-40], "not"),
    ("cut4", pack(json.dumps(halves))[:64], "not compressed by zlib"),
    ("no base64", "?" + pack("[]"), "not base64"),
    ("no zlib", base64.b64encode(b"[]" * 10).decode(), "not compressed by zlib"),
    ("no json", pack("[1,"), "not JSON"),
    ("no tests", pack('{"input": 1}'), "not JSON"),
    ("other tests", pack("[1]"), "an object with texts `input` and `output`"),
    ("bytes", base64.b64encode(zlib.compress(pickle.dumps(b"[]"))).decode(), "of the pickle is the instruction"),
    ("empty", "", "not compressed by zlib"),
    ("bomb", base64.b64encode(zlib.compress(b"\x80\x04" + bytes(513 << 20), 9)).decode(), "bytes when unpacked"),
]

CONTESTS = [
    {
        "name": "1_A. Twice",
        "description": "Print twice the number, and whether that is above ten.",
        "public_tests": {"input": ["3\n"], "output": ["6\nNO\n"]},
        "private_tests": {"input": ["5.5\n"], "output": ["11.000000\nYES\n"]},
        "generated_tests": {"input": ["0.1\n", "-4\n"], "output": ["0.2\nNo\n", "-8\nNo\n"]},
        "source": 2,
        "difficulty": 7,
        "solutions": {
            "language": [2, 3, 3],
            "solution": ["int main() {}", "x = 2 * float(input())\nprint(x)\nprint('Yes' if x > 10 else 'No')\n", ""],
        },
        "incorrect_solutions": {"language": [3], "solution": ["print(input())"]},
        "time_limit": {"seconds": 2, "nanos": 0},
        "memory_limit_bytes": 256000000,
        "cf_rating": 800,
        "cf_tags": ["math"],
        "input_file": "",
        "output_file": "",
    },
    {
        "source": 6,
        "name": "echo",
        "description": "Print the line.",
        "difficulty": 0,
        "solutions": [{"language": 3, "solution": "print(input())"}],
        "incorrect_solutions": [],
        "public_tests": [],
        "private_tests": [{"input": "a b\n", "output": "a b\n"}],
        "generated_tests": [],
        "time_limit": "seconds: 1\n",
        "memory_limit_bytes": 0,
        "is_description_translated": False,
    },
    {"name": "echo", "description": "The same of another site.", "private_tests": [{"input": "", "output": "1"}]},
    {"name": "files", "description": "Copy a file.", "public_tests": [{"input": "1", "output": "1"}], "input_file": "in.txt"},
]


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def compressed(name, text):
    (HERE / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    (HERE / "live_code_bench.jsonl").write_text(lines(LIVE_CODE_BENCH))
    (HERE / "code_contests.jsonl").write_text(lines(CONTESTS))
    hostile = [{**problem(name, name, "?", [], private), "refused": why} for name, private, why in HOSTILE]
    compressed("live_code_bench_hostile.jsonl.gz", lines(hostile))
    sanitized = [
        {
            "source_file": "ours",
            "task_id": 9001,
            "prompt": "Write a function to find the area of a circle.",
            "code": "import math\ndef area(r):\n    return math.pi * r * r",
            "test_imports": ["import math"],
            "test_list": ["assert math.isclose(area(1), 3.14159, rel_tol=1e-5)", "assert area(0) == 0"],
        }
    ]
    (HERE / "sanitized_mbpp.json").write_text(json.dumps(sanitized, indent=4) + "\n")
