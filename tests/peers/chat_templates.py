"""Renders conversations by transformers' `apply_chat_template`, for `tests/chat_templates.rs` to do the same.

    python chat_templates.py > ../data/chat_templates.json       # the templates below
    python chat_templates.py MODEL.. > /tmp/real.json            # those of models: GGUF files, or folders with a
    PSPO_CHAT_TEMPLATES=/tmp/real.json cargo test --test chat_templates    # tokenizer_config.json

The templates below are ours. Each has the constructs of a family of templates: where blanks are cut, what is tested
and which of Python's methods are called.
"""

import json
import pathlib
import struct
import sys

import jinja2
import tokenizers
import transformers

OURS = {
    # A default system prompt, tools that are not there, blanks cut at both ends of each tag (as Qwen2.5).
    "marks": """{%- if tools %}
    {{- '<|begin|>system\\n' + (tools | tojson) }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|begin|>system\\n' + messages[0]['content'] + '<|over|>\\n' }}
    {%- else %}
        {{- '<|begin|>system\\nYou write programs.<|over|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|begin|>' + message.role + '\\n' + message.content + '<|over|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- for call in message.tool_calls %}
            {{- call.name }}
        {%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|begin|>assistant\\n' }}
{%- endif %}
""",
    # All in one line, with line feeds in its strings (as SmolLM2).
    "one_line": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|begin|>system\nWrite programs.<|over|>\n' }}{% endif %}{{'<|begin|>' + message['role'] + '\n' + "
    "message['content'] + '<|over|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|begin|>assistant\n' }}{% endif %}",
    # A namespace, tests of what is defined, text outside of tags at line ends (as DeepSeek-Coder).
    "headings": """{% if not add_generation_prompt is defined %}
{% set add_generation_prompt = false %}
{% endif %}
{%- set found = namespace(system=false) -%}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}
        {%- set found.system = true -%}
    {%- endif -%}
{%- endfor -%}
{{bos_token}}{%- if not found.system -%}
{{'You write programs.\\n'}}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}
{{ message['content'] }}
    {%- else %}
        {%- if message['role'] == 'user' %}
{{'### Task:\\n' + message['content'] + '\\n'}}
        {%- else %}
{{'### Answer:\\n' + message['content'] + '\\n' + eos_token + '\\n'}}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}
{{'### Answer:'}}
{% endif %}""",
    # Turns that must alternate, and no system prompt (as Gemma and Mistral).
    "strict": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system prompt') }}{% endif %}
{% for message in messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('user and assistant must take turns') }}
    {% endif %}
    {% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{- '[' + role + ']\\n' + message['content'] | trim + '[/' ~ role ~ ']\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '[model]\\n' }}{% endif %}
""",
    # Slices, Python's methods, JSON, macros, loops that are left (as Llama 3 and Qwen3).
    "methods": """{%- macro say(role, content) -%}
    <{{ role }}>{{ content }}</{{ role }}>
{% endmacro %}
{%- if messages[0].role == 'system' %}
    {%- set rules = messages[0].content.strip() %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set rules = '' %}
{%- endif %}
{{- say('rules', rules | tojson) }}
{%- for message in messages[::-1] %}
    {%- if message.role == 'user' and not message.content.startswith('#') %}
        {%- set last = message.content %}
        {{- 'last: ' ~ last.split('\\n')[0].rstrip('? ').upper() ~ '\\n' }}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'assistant' and '</think>' in message.content %}
        {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
    {%- else %}
        {%- set content = message.content %}
    {%- endif %}
    {%- generation %}{{ say(message.role, content | replace('\\t', '    ')) }}{% endgeneration %}
{%- endfor %}
{{- loop_is_over | default('') }}{{ messages | length }} {{ none }} {{ true }} {{ {'a': [1, 'é']} | tojson(indent=2) }}
{{- {'b': messages[0].content, 'a': none} | tojson }}
""",
}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

SYSTEM = {"role": "system", "content": "  Be <brief> & \"clear\".\n"}
USER = {"role": "user", "content": "Write f(x).\n\tIt returns x? 'ü' "}
ASSISTANT = {"role": "assistant", "content": "<think>\nhm\n</think>\n\n```python\ndef f(x): return x\n```\n"}
SHARP = {"role": "user", "content": "# f\nagain\n"}
CONVERSATIONS = [
    [USER],
    [SYSTEM, USER],
    [USER, ASSISTANT],
    [SYSTEM, USER, ASSISTANT, SHARP],
    [USER, ASSISTANT, SHARP, ASSISTANT, USER],
    [USER, USER],
    [{"role": "user", "content": ""}],
]


def tokenizer(template: str, tokens: dict[str, str]):
    empty = tokenizers.Tokenizer(tokenizers.models.WordLevel({"x": 0}, unk_token="x"))
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=empty, **tokens)
    made.chat_template = template
    return made


def rendered(template: str, tokens: dict[str, str]) -> list[dict]:
    model = tokenizer(template, tokens)
    cases = []
    for messages in CONVERSATIONS:
        for add in (False, True):
            case = {"messages": messages, "add_generation_prompt": add}
            try:
                case["text"] = model.apply_chat_template(messages, tokenize=False, add_generation_prompt=add)
            except jinja2.exceptions.TemplateError as refused:
                case["refused"] = str(refused)
            cases.append(case)
    return cases


def gguf(path: pathlib.Path) -> tuple[str, dict[str, str]]:
    """The chat template and the special tokens in a GGUF file's metadata."""
    plain = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    with path.open("rb") as file:

        def number(code: str):
            return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]

        def text() -> str:
            return file.read(number("Q")).decode("utf-8", "replace")

        def value(kind: int):
            if kind == 8:
                return text()
            if kind == 9:
                inner, count = number("I"), number("Q")
                return [value(inner) for _ in range(count)]
            return number(plain[kind])

        assert file.read(4) == b"GGUF", path
        number("I"), number("Q")
        fields = {}
        for _ in range(number("Q")):
            key = text()
            fields[key] = value(number("I"))
    names = fields["tokenizer.ggml.tokens"]
    ids = {kind: fields.get(f"tokenizer.ggml.{kind}_token_id") for kind in ("bos", "eos")}
    tokens = {f"{kind}_token": names[at] for kind, at in ids.items() if at is not None}
    return fields["tokenizer.chat_template"], tokens


def folder(path: pathlib.Path) -> tuple[str, dict[str, str]]:
    config = json.loads((path / "tokenizer_config.json").read_text())
    beside = path / "chat_template.jinja"
    template = beside.read_text() if beside.exists() else config["chat_template"]
    if isinstance(template, list):
        template = next(one["template"] for one in template if one["name"] == "default")
    tokens = {}
    for name in ("bos_token", "eos_token"):
        token = config.get(name)
        if token is not None:
            tokens[name] = token["content"] if isinstance(token, dict) else token
    return template, tokens


def main() -> None:
    if sys.argv[1:]:
        paths = map(pathlib.Path, sys.argv[1:])
        templates = {path.name: folder(path) if path.is_dir() else gguf(path) for path in paths}
    else:
        templates = {name: (template, TOKENS) for name, template in OURS.items()}
    found = [
        {"name": name, "template": template, "tokens": tokens, "cases": rendered(template, tokens)}
        for name, (template, tokens) in templates.items()
    ]
    json.dump(found, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
