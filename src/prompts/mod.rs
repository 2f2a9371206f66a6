//! From a problem to a prompt and from a response back to a program: [`Exchange`].
//!
//! An instruction model is asked in a conversation and answers in a fenced block, a base model goes on where code
//! begins. [`PromptStyle`] says how the policy is asked, [`Extraction`] where its program is, and each
//! style knows which extraction answers it.

mod error;
mod style;

pub use error::PromptError;
use serde::{Deserialize, Serialize};
pub use style::{PromptStyle, Shot};

use crate::answer::{Extraction, Program};
use crate::data::{Problem, Task};
use crate::model::Tokenizer;
use crate::model::chat::ChatTemplate;

/// An [`Exchange`], as a config file says it.
///
/// ```toml
/// [exchange.prompt]
/// type = "chat"
/// template = "models/instruct"    # with tokenizer_config.json
/// system = "Answer with one Python program."
///
/// [exchange.extraction]           # may be left out
/// type = "fenced"
/// languages = ["python", "py"]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExchangeConfig {
    /// How a problem is put to the policy.
    pub prompt: PromptStyle,
    /// Where in a response the program is; where absent, what answers the prompt's style.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extraction: Option<Extraction>,
}

impl ExchangeConfig {
    /// The exchange, its chat template read.
    ///
    /// # Errors
    /// If there is no such template, or the instruction has no place for a problem.
    pub fn build(&self) -> Result<Exchange, PromptError> {
        self.build_for(None)
    }

    /// The exchange with a model whose chat template this is: it is taken where the config names none.
    ///
    /// # Errors
    /// Those of [`ExchangeConfig::build`].
    pub fn build_for(&self, template: Option<ChatTemplate>) -> Result<Exchange, PromptError> {
        let extraction = self.extraction.clone().unwrap_or_else(|| self.prompt.extraction());
        Ok(Exchange { prompt: self.prompt.load(template)?, extraction })
    }
}

/// How problems become prompts and responses programs. By default a prompt is the problem's as it is, and a program
/// the whole response.
///
/// ```
/// use pspo::data::ProblemSet;
/// use pspo::prompts::{Exchange, ExchangeConfig};
///
/// let jsonl = r#"{"id": "inc", "prompt": "def inc(x):\n", "tests": [{"kind": "assert", "code": "assert inc(1) == 2"}]}"#;
/// let problems = ProblemSet::read_jsonl(jsonl.as_bytes())?;
/// let problem = problems.get(0).unwrap();
/// let config: ExchangeConfig = serde_json::from_str(r#"{"prompt": {"type": "code"}}"#)?;
/// let exchange = config.build()?;
/// assert_eq!(exchange.text(problem)?, "def inc(x):\n");
/// let program = exchange.program(problem, "    return x + 1\n\nprint(inc(2))").unwrap();
/// assert_eq!(program.text(), "def inc(x):\n    return x + 1\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    prompt: style::Loaded,
    extraction: Extraction,
}

impl Exchange {
    /// A conversation by a chat template that is at hand; the program is in the answer's last fenced block, or all of
    /// the answer where it has none.
    pub fn chat(template: ChatTemplate, system: Option<String>) -> Self {
        Self { prompt: style::Loaded::chat(template, system), extraction: Extraction::fenced() }
    }

    /// The same conversation, in which the user says `instruction`, with `{prompt}` for the problem's prompt. Changes
    /// nothing where there is no conversation.
    ///
    /// # Errors
    /// If the instruction has no place for a problem.
    pub fn with_instruction(mut self, instruction: impl Into<String>) -> Result<Self, PromptError> {
        self.prompt.set_instruction(instruction.into())?;
        Ok(self)
    }

    /// The same prompts, and programs from elsewhere in the responses.
    #[must_use]
    pub fn with_extraction(mut self, extraction: Extraction) -> Self {
        self.extraction = extraction;
        self
    }

    /// How a problem is put to the policy.
    pub fn style(&self) -> &PromptStyle {
        self.prompt.style()
    }

    /// The prompt of a problem as text.
    ///
    /// # Errors
    /// If the problem lacks what the style takes from it, or the chat template refuses it.
    pub fn text(&self, problem: &Problem) -> Result<String, PromptError> {
        Ok(self.prompt.text(problem)?.0)
    }

    /// The prompt of a problem as tokens: special tokens that a chat template spells are tokens, in all other prompts
    /// they are text, and the token that begins a sequence stands before it where the tokenizer has one.
    ///
    /// # Errors
    /// Those of [`Exchange::text`], or if the prompt cannot be tokenized.
    pub fn tokens(&self, problem: &Problem, tokenizer: &Tokenizer) -> Result<Vec<u32>, PromptError> {
        let (text, special) = self.prompt.text(problem)?;
        Ok(if special { tokenizer.encode_special(&text)? } else { tokenizer.prompt(&text)? })
    }

    /// The prompts of problems as tokens, in their order.
    ///
    /// # Errors
    /// Those of [`Exchange::tokens`], of the first problem that has one.
    pub fn prompts<'a>(
        &self,
        problems: impl IntoIterator<Item = &'a Problem>,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<Vec<u32>>, PromptError> {
        problems.into_iter().map(|problem| self.tokens(problem, tokenizer)).collect()
    }

    /// The program in a response to a problem; `None` where there is none. A response to a problem that is not code is
    /// taken whole.
    pub fn program(&self, problem: &Problem, response: &str) -> Option<Program> {
        match problem.task {
            Task::Code => self.extraction.program(self.prompt.given(problem), response),
            Task::Chat => Some(Program::whole(response)),
        }
    }

    /// Stop sequences with which nothing is sampled that the extraction takes off again; none where it takes off
    /// nothing at the end. The trainer, labels and evaluations add them to those of
    /// [`Sampling::stop`](crate::rollouts::Sampling::stop).
    pub fn stops(&self) -> &[String] {
        match &self.extraction {
            Extraction::Completion { stop } => stop,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests;
