"""Reads with datasets, pyarrow and TRL what `tests/formats.rs` writes, and writes what that test reads.

    PSPO_FORMATS=/tmp/formats cargo test --features parquet --test formats
    python formats.py /tmp/formats             # says what it found right, or fails
    python formats.py write ../data            # stepwise.parquet anew
"""

import os
import pathlib
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import datasets
import pyarrow.parquet
import trl.data_utils

PROGRAM = "# Grüße\ndef f(x):\n\n    return x\n"


def load(path: pathlib.Path) -> datasets.Dataset:
    kind = "json" if path.suffix == ".jsonl" else "parquet"
    cache = str(path.parent / "cache")
    return datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=cache)


def check_stepwise(rows: datasets.Dataset) -> None:
    assert rows.features["completions"].feature.dtype == "string", rows.features
    assert rows.features["labels"].feature.dtype == "bool", rows.features
    first, second = rows
    assert first == {
        "prompt": 'Return "x".\n',
        "completions": ["# Grüße\ndef f(x):\n", "    return x"],
        "labels": [True, False],
    }, first
    assert second["completions"] == ["# Grüße", "def f(x):\n", "    return x"], second
    assert second["labels"] == [True, True, False], second
    # A step and its separator, as TRL joins them, spell the program again.
    for row in rows:
        assert "".join(step + "\n" for step in row["completions"]) == PROGRAM
        assert not trl.data_utils.is_conversational(row)


def check_preferences(rows: datasets.Dataset) -> None:
    assert rows[0] == {"prompt": "1 + 1?", "chosen": "2", "rejected": "3 é\n"}, rows[0]
    assert rows[1]["rejected"] == ""
    assert not any(trl.data_utils.is_conversational(row) for row in rows)
    unpaired = trl.data_utils.unpair_preference_dataset(rows)
    assert unpaired["label"][:] == [True, True, False, False], unpaired["label"][:]
    assert unpaired["completion"][:] == ["2", "3", "3 é\n", ""]


def check_conversations(rows: datasets.Dataset) -> None:
    assert all(trl.data_utils.is_conversational(row) for row in rows)
    assert rows[0]["prompt"][1] == {"role": "user", "content": "1 + 1?"}, rows[0]
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "2"}], rows[0]


def check_rollouts(rows: datasets.Dataset) -> None:
    finished, empty = rows
    assert finished["schema"] == "pspo.rollout/1"
    assert finished["response"] == PROGRAM
    assert finished["response_tokens"] == [7, 151645]
    assert finished["token_ends"] == [len(PROGRAM.encode())] * 2
    assert [round(p, 6) for p in finished["log_probs"]] == [-0.25, -0.0015]
    assert (finished["finished"], finished["passes"]) == (True, True)
    assert empty["response_tokens"] == [] and empty["passes"] is None and not empty["finished"]


def check_labels(rows: datasets.Dataset) -> None:
    (row,) = rows
    assert row["schema"] == "pspo.labels/1" and row["program"] == PROGRAM
    program, start = row["program"].encode(), 0
    lines = []
    for end in row["step_ends"]:
        lines.append(program[start:end].decode())
        start = end
    assert lines == ["# Grüße\n", "def f(x):\n\n", "    return x\n"], lines
    assert row["labels"] == [0, 1, -1] and row["comments"] == [True, False, False]
    assert (row["step_tokens"], row["class"], row["passes"]) == ([2, 4, 7], "revised", False)


CHECKS = {
    "stepwise": check_stepwise,
    "preferences": check_preferences,
    "conversations": check_conversations,
    "rollouts": check_rollouts,
    "labels": check_labels,
}


def write(folder: pathlib.Path) -> None:
    rows = [
        {"prompt": "Return x.", "completions": ["def f(x):", "    retürn x"], "labels": [True, False], "more": 1.5},
        {"prompt": "Nothing.", "completions": [], "labels": [], "more": None},
    ]
    datasets.Dataset.from_list(rows).to_parquet(str(folder / "stepwise.parquet"))


def main() -> None:
    if sys.argv[1] == "write":
        return write(pathlib.Path(sys.argv[2]))
    folder = pathlib.Path(sys.argv[1])
    for name, check in CHECKS.items():
        for path in (folder / f"{name}.jsonl", folder / f"{name}.parquet"):
            # Conversations have no columns.
            if path.exists() or name != "conversations":
                rows = load(path)
                check(rows)
                print(f"{path.name}: {len(rows)} rows, {rows.features}")
                if path.suffix == ".parquet":
                    table = pyarrow.parquet.read_table(path)
                    assert table.to_pylist() == list(rows), path


if __name__ == "__main__":
    main()
