"""Compares what a model computes with transformers, in 32-bit floats on the same weights.

    cargo build --release --example run_model
    python models.py RUN judge MODEL [DTYPE]     token ids, log-probabilities, logits, greedy continuations
    python models.py RUN prm MODEL               the model's trunk with a random head, saved as a token classification
    python models.py RUN bfloat16 MODEL          the model, saved in bfloat16
    python models.py RUN families FOLDER         the small models of tests/data/transformers, saved anew
    python models.py RUN adapter MODEL           a random adapter of PEFT's beside the model, merged and saved anew

RUN is the program built. MODEL is a folder or a GGUF file, which transformers reads itself; DTYPE is what it computes
with: float32, or float64 to see how far off numbers of 32 bits are.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
import peft
import torch
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

LONG_PYTHON = pathlib.Path(json.__file__).with_name("encoder.py").read_text("utf-8")[:2000]
LONG_TEXT = (
    "The library reads its settings from a file beside the program. Each setting has a name, a type and a value that is "
    "taken where the file does not say otherwise; a name that is not known is an error which lists those that are. "
) * 11
CHAT = (
    "<|im_start|>system\nYou answer with code.<|im_end|>\n<|im_start|>user\nReverse a string in Go.<|im_end|>\n"
    "<|im_start|>assistant\n"
)
PROMPTS = [
    "def fibonacci(n):\n",
    "a",
    "The capital of France is",
    " ",
    "\n\n\n",
    "\t\t    \n  ",
    "    return x\n",
    "\r\n\r\nint main",
    "print('naïve café — “quoted” …')",
    "# 素数を列挙する関数\ndef primes(",
    "// Функция сортировки массива\nfunction sort(",
    "s = '🦀👩‍💻 e\u0301 \u200d ﬁ ½ ²'\nassert len(s) ==",
    "مرحبا بالعالم\nprint(",
    "fn main() {\n    let values: Vec<u32> = (0..10).map(|i| i * i).collect();\n",
    "#include <vector>\ntemplate <typename T>\nT sum(const std::vector<T>& values) {\n",
    "SELECT name, COUNT(*) FROM orders WHERE total > 100.50 GROUP BY name",
    "public class Main {\n\tpublic static void main(String[] args) {\n\t\t",
    "module Main where\n\nquicksort :: Ord a => [a] -> [a]\nquicksort [] =",
    "for f in $(ls *.txt); do\n  echo \"$f\" | sed 's/\\.txt$//'\n",
    "0x1F 3.14159 1_000_000 1e-9 12345678901234567890",
    CHAT,
    "text with <|endoftext|> inside, and <|im_end|>",
    '"""Docstring."""\n\nimport numpy as np\n\n\ndef softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:\n    ',
    LONG_PYTHON,
    LONG_TEXT,
    CHAT + "```go\n" + LONG_PYTHON[:1000],
]
# Two logits are a near tie when they differ by less.
TIE = 1e-3


def load(kind, path, **more):
    if path.endswith(".gguf"):
        folder, file = os.path.split(path)
        path, more = folder, dict(more, gguf_file=file)
    return kind.from_pretrained(path, **more)


def start(run, *arguments):
    process = subprocess.Popen([run, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    # They fit into the pipe together.
    process.stdin.write("".join(json.dumps(text) + "\n" for text in PROMPTS).encode())
    process.stdin.close()
    return process


def ends(process):
    assert not process.stdout.read(1) and process.wait() == 0, "it ended otherwise than it should"


def judge(run, path, dtype="float32"):
    tokenizer = load(AutoTokenizer, path)
    model = load(AutoModelForCausalLM, path, dtype=torch.float32).eval().to(getattr(torch, dtype))
    vocabulary = model.config.vocab_size
    process = start(run, "judge", path)
    log_prob, logit, last, sums, places, equal, tokens_of_all, good = 0.0, 0.0, 0.0, 0.0, 0, 0, 0, True
    for text in PROMPTS:
        ours = json.loads(process.stdout.readline())
        prompt, tokens = ours["prompt"], ours["prompt"] + ours["continuation"]
        said = process.stdout.read(4 * len(tokens) * vocabulary)
        logits = torch.from_numpy(numpy.frombuffer(said, "<f4").reshape(len(tokens), vocabulary).copy())
        ids = tokenizer(text, add_special_tokens=False).input_ids
        if ids != prompt:
            # Of a GGUF file transformers makes a tokenizer that cuts texts as GPT-2's does, whatever the file names.
            good = good and path.endswith(".gguf")
            print(f"token ids of {text[:40]!r} differ: {prompt[:12]} and {ids[:12]}")
        with torch.no_grad():
            expected = model(torch.tensor([tokens])).logits[0]
        log_probs = torch.log_softmax(expected[:-1].double(), -1).gather(1, torch.tensor(tokens)[1:, None])[:, 0]
        off = (torch.tensor(ours["log_probs"], dtype=torch.float64) - log_probs).abs()
        logits_off = (logits - expected).abs()
        log_prob, sums, places = max(log_prob, off.max().item()), sums + off.sum().item(), places + len(off)
        logit = max(logit, logits_off.max().item())
        last = max(last, logits_off[len(prompt) - 1].max().item())
        # Under the same tokens before it, each token of a greedy continuation is the one with the largest logit.
        for place in range(len(prompt), len(tokens)):
            row = expected[place - 1]
            gap = (row.max() - row[tokens[place]]).item()
            equal += gap == 0
            if gap > 0:
                two = row.topk(2).values
                good = good and gap < TIE
                print(f"{text[:30]!r}, new token {place - len(prompt)}: ours is {gap:.2e} below; {two.tolist()}")
        tokens_of_all += len(tokens)
        print(f"{len(prompt):4} tokens  {off.max().item():.1e}  {logits_off.max().item():.1e}  {text[:40]!r}", flush=True)
    ends(process)
    print(
        f"{len(PROMPTS)} prompts, {tokens_of_all} tokens: log-probabilities {log_prob:.1e} (mean {sums / places:.1e}), "
        f"logits {logit:.1e}, at the prompts' last tokens {last:.1e}, {equal} of {40 * len(PROMPTS)} new tokens equal"
    )
    return good and log_prob < 1e-3


def prm(run, path):
    with tempfile.TemporaryDirectory() as folder:
        process = start(run, "prm", path, folder)
        ours = [json.loads(line) for line in process.stdout]
        assert process.wait() == 0
        model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    largest, size, count = 0.0, 0.0, 0
    for row in ours:
        if len(row["tokens"]) == 1:
            continue
        with torch.no_grad():
            expected = model(torch.tensor([row["tokens"]])).logits[0, 1:, 0]
        largest = max(largest, (torch.tensor(row["numbers"]) - expected).abs().max().item())
        size = max(size, expected.abs().max().item())
        count += len(expected)
    print(f"{type(model).__name__}, {model.config.id2label}, {model.config.pspo}")
    print(f"{count} numbers up to {size:.2f}, largest difference {largest:.1e}")
    return largest < 1e-4 * size


def bfloat16(run, path):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([run, "save", path, folder, "bfloat16"], check=True)
        rounded = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert rounded.dtype == torch.bfloat16, rounded.dtype
    exact = load(AutoModelForCausalLM, path, dtype=torch.float32)
    return same(rounded, exact, lambda tensor: tensor.to(torch.bfloat16))


def same(model, other, change=lambda tensor: tensor):
    ours, theirs = model.state_dict(), other.state_dict()
    assert set(ours) == set(theirs), set(ours) ^ set(theirs)
    different = [name for name in ours if not torch.equal(ours[name], change(theirs[name]))]
    print(f"{type(model).__name__}: {len(ours)} tensors, {len(different)} differ {different[:3]}")
    return not different


def families(run, path):
    good = True
    for folder in sorted(pathlib.Path(path).iterdir()):
        kind = AutoModelForTokenClassification if folder.name.endswith("_scalar") else AutoModelForCausalLM
        expected = json.loads((folder / "expected.json").read_text())
        theirs = kind.from_pretrained(folder)
        with tempfile.TemporaryDirectory() as to:
            subprocess.run([run, "save", folder, to], check=True)
            ours = kind.from_pretrained(to)
        good = same(ours, theirs) and good
        for prompt, response in expected["rows"]:
            tokens = torch.tensor([prompt + response])
            with torch.no_grad():
                difference = (ours(tokens).logits - theirs(tokens).logits).abs().max().item()
            print(f"  {folder.name}: largest difference of the logits {difference:.1e}")
            good = good and difference < 1e-6
    return good


def adapter(run, path):
    model = load(AutoModelForCausalLM, path, dtype=torch.float32)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=modules, init_lora_weights=False, task_type="CAUSAL_LM")
    torch.manual_seed(0)
    tokens = torch.tensor([[1 + 97 * place % 40_000 for place in range(60)]])
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        base = model(tokens).logits
        theirs = peft.get_peft_model(model, config)
        # Each module has an A of its own; PEFT's own start is too large for a model to say anything sensible.
        for name, weight in theirs.named_parameters():
            if "lora_B" in name:
                weight.mul_(0.1)
        expected = theirs(tokens).logits
        theirs.save_pretrained(folder + "/theirs")
        subprocess.run([run, "adapter", path, folder + "/theirs", folder], check=True)
        merged = AutoModelForCausalLM.from_pretrained(folder + "/merged", dtype=torch.float32)(tokens).logits
        again = peft.PeftModel.from_pretrained(theirs.unload(), folder + "/adapter")(tokens).logits
    moved = (expected - base).abs().max().item()
    differences = [(logits - expected).abs().max().item() for logits in (merged, again)]
    print(f"logits moved by up to {moved:.2f}; merged differ by {differences[0]:.1e}, saved anew by {differences[1]:.1e}")
    return max(differences) < 1e-3 * moved


def main():
    run, command, *rest = sys.argv[1:]
    commands = {"judge": judge, "prm": prm, "bfloat16": bfloat16, "families": families, "adapter": adapter}
    sys.exit(0 if commands[command](run, *rest) else 1)


if __name__ == "__main__":
    main()
