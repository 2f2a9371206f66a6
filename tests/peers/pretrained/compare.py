"""Compares what is read from a model's file with what others read from it.

    cargo build --release --example read_files
    python compare.py READER tensors MODEL.gguf
    python compare.py READER json TOKENIZER.json PRE [MODEL.gguf]
    python compare.py READER llama MODEL.gguf [PRE]
    python compare.py READER folder FOLDER

READER is the program built. `tensors`: each tensor against `gguf`, by the bits of its numbers. `json`: token ids
against the `tokenizers` package with a model's own tokenizer.json; MODEL.gguf is a file of the same vocabulary, or
one that is made of TOKENIZER.json. `llama`: token ids against llama.cpp, in the package `xllamacpp`, with the name of
the pre-tokenizer in the file replaced by PRE. `folder`: token ids against the `AutoTokenizer` of transformers, for a folder
that has a `tokenizer.json`.

The texts are this Python's standard library, line by line and whole files, and strings of odd characters.
"""

import json
import pathlib
import random
import subprocess
import sys
import sysconfig
import tempfile
import unicodedata
import urllib.request
import zlib

LINES = 30_000
FILES = 60
ODD = 4_000


def texts():
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    sources = sorted(path for path in library.rglob("*.py") if "site-packages" not in path.parts)
    # Not all of the same kind: evenly from the list.
    sources = sources[:: max(1, len(sources) // 400)]
    lines, files = [], []
    for path in sources:
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        lines += text.splitlines(keepends=True)
        if len(text) < 30_000:
            files.append(text)
    lines = lines[:: max(1, len(lines) // LINES)]
    choose = random.Random(5)
    alphabet = (
        list("aZé ß漢字かな한글עבר١२Ⅷ½²_-'\"`.,;:(){}[]<>=+*/\\|&^%$#@!?~ \t\n\r\u00a0\u2028\u3000\u200d\u0301\u007f")
        + ["🦀", "👩‍💻", "'s", "'LL", "\r\n", "   ", "\t\t", "12345", "0x1F", "ﬁ", "ſ", "İ", "e\u0301", "\U0001d7d8"]
    )
    odd = ["".join(choose.choices(alphabet, k=choose.randint(1, 24))) for _ in range(ODD)]
    return lines + files[:FILES] + odd


def read_tokens(reader, model, all_texts):
    stdin = "".join(json.dumps(text) + "\n" for text in all_texts)
    done = subprocess.run([reader, "tokens", model], input=stdin, capture_output=True, text=True, check=True)
    print(done.stderr.strip())
    # Not splitlines: some texts have other line ends in them.
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def compare_tensors(reader, model):
    from gguf import GGUFReader, quants

    theirs = {tensor.name: tensor for tensor in GGUFReader(model).tensors}
    done = subprocess.run([reader, "tensors", model], capture_output=True, text=True, check=True)
    ours = [json.loads(line) for line in done.stdout.splitlines()]
    assert {name for name, *_ in ours} == set(theirs), "the files have other tensors"
    different, elements, seconds, types = [], 0, 0.0, {}
    for name, shape, dtype, crc, took in ours:
        tensor = theirs[name]
        values = quants.dequantize(tensor.data, tensor.tensor_type).astype("<f4")
        if (list(values.shape), tensor.tensor_type.name, zlib.crc32(values.tobytes())) != (shape, dtype, crc):
            different.append(name)
        elements += values.size
        seconds += took
        types[dtype] = types.get(dtype, 0) + 1
    print(f"{len(ours)} tensors, {types}, {elements} elements in {seconds:.2f} s, {len(different)} differ {different[:3]}")
    return not different


def compare(name, reader, model, reference, all_texts, round_trip=lambda text: text):
    ours = read_tokens(reader, model, all_texts)
    assert len(ours) == len(all_texts)
    differ, changed = [], 0
    for text, (ids, back) in zip(all_texts, ours):
        if ids != reference(text):
            differ.append((text, ids, reference(text)))
        changed += back != round_trip(text)
    tokens = sum(len(ids) for ids, _ in ours)
    print(f"{name}: {len(all_texts)} texts, {tokens} tokens, {len(differ)} differ, {changed} decode to another text")
    for text, ids, theirs in differ[:5]:
        print(f"  {text[:80]!r}: {ids[:12]} and {theirs[:12]}")
    return not differ


def compare_json(reader, path, pre, model=None):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.encode_special_tokens = True
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            model = f"{folder}/vocabulary.gguf"
            write_vocabulary(path, pre, model)
        composed = pre == "qwen2"
        round_trip = (lambda text: unicodedata.normalize("NFC", text)) if composed else (lambda text: text)
        reference = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
        return compare(f"tokenizers, {pre}", reader, model, reference, texts(), round_trip)


def write_vocabulary(path, pre, model):
    from gguf import GGUFWriter, TokenType

    saved = json.loads(pathlib.Path(path).read_text("utf-8"))
    ids = {token: (id, TokenType.NORMAL) for token, id in saved["model"]["vocab"].items()}
    for token in saved["added_tokens"]:
        kind = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
        ids[token["content"]] = (token["id"], kind)
    tokens = sorted(ids, key=lambda token: ids[token][0])
    assert [ids[token][0] for token in tokens] == list(range(len(tokens)))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in saved["model"]["merges"]]
    writer = GGUFWriter(model, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens + ["[PAD0]", "[PAD1]"])
    writer.add_token_types([ids[token][1] for token in tokens] + [TokenType.UNUSED] * 2)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def compare_folder(reader, folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    composed = type(tokenizer.backend_tokenizer.normalizer).__name__ == "NFC"
    round_trip = (lambda text: unicodedata.normalize("NFC", text)) if composed else (lambda text: text)
    reference = lambda text: tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    return compare(f"transformers, {folder}", reader, folder, reference, texts(), round_trip)


def compare_llama(reader, model, pre=None):
    import xllamacpp

    with tempfile.TemporaryDirectory() as folder:
        if pre is not None:
            changed = f"{folder}/model.gguf"
            replace_pre(model, pre, changed)
            model = changed
        parameters = xllamacpp.CommonParams()
        parameters.model.path = model
        parameters.n_ctx = 256
        parameters.warmup = False
        server = xllamacpp.Server(parameters)
        url = server.listening_address + "/tokenize"

        def reference(text):
            body = {"content": text, "add_special": False, "parse_special": False}
            request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)["tokens"]

        return compare(f"llama.cpp, {pre or 'as in the file'}", reader, model, reference, texts())


def replace_pre(model, pre, to):
    """A copy of a file with another `tokenizer.ggml.pre`; the data behind it are aligned anew."""
    from gguf import GGUFReader

    read = GGUFReader(model)
    field = read.fields["tokenizer.ggml.pre"]
    head = sum(part.nbytes for part in field.parts[:-2])
    begin = field.offset + head
    end = begin + sum(part.nbytes for part in field.parts[-2:])
    last = read.tensors[-1].field
    infos = last.offset + sum(part.nbytes for part in last.parts)
    data = pathlib.Path(model).read_bytes()
    value = len(pre).to_bytes(8, "little") + pre.encode()
    front = data[:begin] + value + data[end:infos]
    front += bytes(-len(front) % read.alignment)
    pathlib.Path(to).write_bytes(front + data[read.data_offset :])


def main():
    reader, command, *rest = sys.argv[1:]
    commands = {"tensors": compare_tensors, "json": compare_json, "llama": compare_llama, "folder": compare_folder}
    same = commands[command](reader, *rest)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
