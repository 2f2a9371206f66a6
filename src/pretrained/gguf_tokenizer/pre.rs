//! How text is cut into words, within which tokens are merged.

use serde_json::{Value, json};

/// A way to cut text into words, by the name that GGUF has for it. They differ in numbers, line ends and what a
/// blank belongs to.
///
/// Source: the `pre_tokenizer` and `normalizer` of the `tokenizer.json` of the models named; for [`Pre::Default`],
/// the expressions of `llama_vocab` in
/// [llama.cpp](https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp).
///
/// ```
/// use pspo::pretrained::gguf_tokenizer::Pre;
///
/// assert_eq!(Pre::named("qwen2"), Some(Pre::Qwen2));
/// assert_eq!(Pre::named("falcon"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pre {
    /// GPT-2: words with the blank before them, numbers, runs of signs.
    Gpt2,
    /// SmolLM and StarCoder: as GPT-2, and each digit is a word.
    Smollm,
    /// Qwen 2 and 2.5: each digit is a word, line ends go with the signs before them. Text is normalized to
    /// composed characters (NFC) first.
    Qwen2,
    /// Llama 3: as Qwen, but numbers are cut after every third digit, text is not normalized, and a word that is
    /// a token is that token, whatever the merges make of it.
    LlamaBpe,
    /// DeepSeek-Coder: each line end and each digit is a word.
    DeepseekCoder,
    /// What llama.cpp does for files that say no more.
    Default,
}

/// Words of GPT-2, without the last alternative of its expression: what that matches, blanks before a word, is
/// left over by the others.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Pre {
    pub(super) const NAMES: &str =
        "`default`, `deepseek-coder`, `gpt-2`, `llama-bpe`, `qwen2`, `smollm` and `starcoder`";

    /// The one with a name in GGUF's sense; `None` if it is not known here.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "default" => Self::Default,
            "deepseek-coder" => Self::DeepseekCoder,
            "gpt-2" => Self::Gpt2,
            "llama-bpe" => Self::LlamaBpe,
            "qwen2" => Self::Qwen2,
            "smollm" | "starcoder" => Self::Smollm,
            _ => return None,
        })
    }

    /// The `pre_tokenizer` of a `tokenizer.json`.
    pub(super) fn json(self) -> Value {
        let digits = || json!({ "type": "Digits", "individual_digits": true });
        let mut steps = match self {
            Self::Gpt2 => vec![split(GPT2)],
            Self::Smollm => vec![digits(), split(GPT2)],
            Self::Qwen2 => vec![split(QWEN2)],
            Self::LlamaBpe => vec![split(LLAMA3)],
            Self::DeepseekCoder => vec![
                split(r"[\r\n]"),
                split(r"\s?\p{L}+"),
                split(r"\s?\p{P}+"),
                split("[一-龥ࠀ-一가-퟿]+"),
                digits(),
            ],
            Self::Default => {
                vec![split(r"[\p{P}\$\+<=>\^~\|]+"), split(GPT2), split(r"\p{N}+"), split("[0-9][0-9][0-9]")]
            }
        };
        steps.push(byte_level());
        json!({ "type": "Sequence", "pretokenizers": steps })
    }

    /// The `normalizer` of a `tokenizer.json`.
    pub(super) fn normalizer(self) -> Value {
        if self == Self::Qwen2 { json!({ "type": "NFC" }) } else { Value::Null }
    }

    /// Whether a word that is a token is taken as it is.
    pub(super) fn whole_words(self) -> bool {
        self == Self::LlamaBpe
    }
}

/// Bytes to the characters that stand for them, and back.
pub(super) fn byte_level() -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false })
}

/// What an expression matches, and what lies between, each a word of its own.
fn split(expression: &str) -> Value {
    json!({ "type": "Split", "pattern": { "Regex": expression }, "behavior": "Isolated", "invert": false })
}
