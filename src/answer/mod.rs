//! From an answer to a program: a chat model talks around its program, a base model goes on behind it.
//!
//! [`Extraction`] says where in a response the program is, [`Program`] what came out and which byte of the response
//! each of its bytes is: labels and rewards are given to lines of the program and reach the policy at the tokens of
//! the response.

mod fences;
mod program;

pub use fences::{Block, blocks};
pub use program::Program;
use serde::{Deserialize, Deserializer, Serialize};

/// Where in a response the program is.
///
/// Everything that takes a program from a response takes it by the same rule: what is judged, what is split into
/// steps and what completions of a prefix are made into.
///
/// ```
/// use pspo::answer::Extraction;
///
/// let extraction: Extraction = serde_json::from_str(
///     r#"{"type": "fenced", "block": "longest", "languages": ["python", "py"]}"#,
/// )?;
/// let response = "Use\n```sh\npip install x\n```\nand\n```python\nimport x\n```\n";
/// assert_eq!(extraction.program("", response).unwrap().text(), "import x\n");
///
/// let extraction = Extraction::completion();
/// let program = extraction.program("def f(x):\n", "    return x\nprint(f(1))").unwrap();
/// assert_eq!((program.text(), program.own()), ("def f(x):\n    return x\n", "    return x\n"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Extraction {
    /// All of it: what the prompt gave and the response behind it.
    #[default]
    #[serde(deserialize_with = "no_fields")]
    Whole,
    /// A fenced block (see [`Block`]) of what the prompt gave, if it opened one, and the response behind it. Blocks
    /// without content are passed over.
    Fenced {
        /// Which one.
        #[serde(default)]
        block: WhichBlock,
        /// The languages that a block may say it is in, whatever the case. Where no block with content says one of them,
        /// blocks that say nothing are taken; one that says another language never is. Empty: any.
        #[serde(default)]
        languages: Vec<String>,
        /// What a response is that has no block at all.
        #[serde(default)]
        without_block: WithoutBlock,
    },
    /// The response goes on where the prompt's code ends, up to the first of the stop sequences in it: what it goes
    /// on to write behind the function asked for is not the program. A stop sequence across the end of the
    /// prompt does not count. As the function stands behind it, the line feed that a stop sequence may begin with is kept.
    Completion {
        /// The stop sequences, an empty one aside.
        #[serde(default = "code_stops")]
        stop: Vec<String>,
    },
}

/// Which fenced block a program is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhichBlock {
    /// The first.
    First,
    /// The last, as a model corrects itself.
    #[default]
    Last,
    /// The one with the most bytes that are not white space; of equal ones the last.
    Longest,
}

/// What a response is that has no fenced block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutBlock {
    /// The program, whole.
    #[default]
    Whole,
    /// No program.
    NoProgram,
}

/// Where completions of a function end: at what begins a line behind it. HumanEval (Chen et al., 2021, section 3) stops
/// at `\nclass`, `\ndef`, `\n#`, `\nif` and `\nprint`. Here the stops are whole words, decorators are one, and comments
/// are none, since one may stand within a function at the beginning of a line.
pub const CODE_STOPS: [&str; 5] = ["\nclass ", "\ndef ", "\nif __name__", "\nprint(", "\n@"];

/// For a variant without fields, of whose unknown fields serde says nothing.
pub(crate) fn no_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    Nothing::deserialize(deserializer).map(|Nothing {}| ())
}

fn code_stops() -> Vec<String> {
    CODE_STOPS.map(str::to_owned).to_vec()
}

impl Extraction {
    /// The last fenced block in whatever language, or a whole response without one.
    pub fn fenced() -> Self {
        Self::Fenced {
            block: WhichBlock::default(),
            languages: Vec::new(),
            without_block: WithoutBlock::default(),
        }
    }

    /// A completion of a prompt's code, up to [`CODE_STOPS`].
    pub fn completion() -> Self {
        Self::Completion { stop: code_stops() }
    }

    /// The program in `response`; `given` is the end of the prompt that belongs to it, empty where there is none.
    /// `None` where there is no program.
    pub fn program(&self, given: &str, response: &str) -> Option<Program> {
        let everything =
            || Program::of_runs(given, response, std::iter::once(0..given.len() + response.len()));
        match self {
            Self::Whole => Some(everything()),
            Self::Fenced { block, languages, without_block } => {
                let joined = [given, response].concat();
                let blocks = blocks(&joined);
                if blocks.is_empty() && *without_block == WithoutBlock::Whole {
                    return Some(everything());
                }
                let chosen = choose(&joined, &blocks, *block, languages)?;
                Some(Program::of_runs(given, response, chosen.content.iter().cloned()))
            }
            Self::Completion { stop } => {
                let end = stop_at(response, stop)
                    .map_or(response.len(), |at| at + usize::from(response[at..].starts_with('\n')));
                Some(Program::of_runs(given, response, std::iter::once(0..given.len() + end)))
            }
        }
    }
}

/// Where in `text` the first of `stops` begins, an empty one aside; the text before it is what is kept.
pub fn stop_at(text: &str, stops: &[String]) -> Option<usize> {
    stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min()
}

/// The block that the program is, of those with content.
fn choose<'a>(
    text: &str,
    blocks: &'a [Block<'a>],
    which: WhichBlock,
    languages: &[String],
) -> Option<&'a Block<'a>> {
    let mut weighed: Vec<_> = blocks.iter().map(|block| (block.weight(text), block)).collect();
    weighed.retain(|(weight, _)| *weight > 0);
    if !languages.is_empty() {
        let named =
            |block: &Block<'_>| languages.iter().any(|name| name.eq_ignore_ascii_case(block.language));
        if weighed.iter().any(|(_, block)| named(block)) {
            weighed.retain(|(_, block)| named(block));
        } else {
            weighed.retain(|(_, block)| block.language.is_empty());
        }
    }
    let chosen = match which {
        WhichBlock::First => weighed.first(),
        WhichBlock::Last => weighed.last(),
        WhichBlock::Longest => weighed.iter().max_by_key(|(weight, _)| weight),
    };
    chosen.map(|(_, block)| *block)
}

#[cfg(test)]
mod tests;
