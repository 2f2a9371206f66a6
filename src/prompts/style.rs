//! [`PromptStyle`]: how a problem is put to the policy.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::PromptError;
use crate::answer::{Extraction, no_fields};
use crate::data::Problem;
use crate::model::chat::{ChatTemplate, Date, Message, Role};

/// How a problem is put to the policy, as a config file says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum PromptStyle {
    /// The problem's prompt as it is.
    #[default]
    #[serde(deserialize_with = "no_fields")]
    Plain,
    /// In a conversation with an instruction model, by its chat template.
    Chat {
        /// The folder of the model's tokenizer, as [`ChatTemplate::from_folder`] reads it; where absent, the template
        /// is that of the model which the program loads.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        template: Option<PathBuf>,
        /// Which of several templates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The system prompt. Without one, some templates have one of their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        system: Option<String>,
        /// What the user says, with `{prompt}` for the problem's prompt without empty lines around it: HumanEval's begin
        /// with one or not, and some models take one behind an instruction's "```" for a part of the form.
        #[serde(default = "prompt_alone")]
        instruction: String,
        /// How the answer begins, such as "```python\n".
        #[serde(default, skip_serializing_if = "String::is_empty")]
        begin: String,
        /// The day that the template is told, see [`ChatTemplate::with_date`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        date: Option<Date>,
    },
    /// The prompt is the beginning of the program, as HumanEval's: a base model goes on behind it.
    #[serde(deserialize_with = "no_fields")]
    Code,
    /// The prompt is prose and stands in a docstring before the program, as base models are asked MBPP's problems
    /// (Fried et al., 2022, arXiv 2204.05999).
    Docstring {
        /// Problems that are shown with their programs, in the same form.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shots: Vec<Shot>,
        /// The field of a problem's metadata with the line or lines that its program must begin with, such as
        /// `starter_code`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
}

/// A problem that is shown with its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shot {
    /// The problem's prompt.
    pub prompt: String,
    /// The program.
    pub program: String,
}

const PROMPT: &str = "{prompt}";

fn prompt_alone() -> String {
    PROMPT.into()
}

/// Without empty lines at its beginning and white space at its end.
fn without_margin(prompt: &str) -> &str {
    let prompt = prompt.trim_end();
    let margin = prompt.len() - prompt.trim_start().len();
    &prompt[prompt[..margin].rfind('\n').map_or(0, |line_feed| line_feed + 1)..]
}

/// Where programs end that stand behind a docstring: more than one function may be asked for.
const DOCSTRING_STOPS: [&str; 4] = ["\n\"\"\"", "\nassert ", "\nif __name__", "\nprint("];

impl PromptStyle {
    /// Where in a response the program is that answers such a prompt.
    pub fn extraction(&self) -> Extraction {
        match self {
            Self::Plain => Extraction::Whole,
            Self::Chat { .. } => Extraction::fenced(),
            Self::Code => Extraction::completion(),
            Self::Docstring { signature: Some(_), .. } => Extraction::completion(),
            Self::Docstring { signature: None, .. } => {
                Extraction::Completion { stop: DOCSTRING_STOPS.map(str::to_owned).to_vec() }
            }
        }
    }

    /// The style with what it needs, read from where it says, or the model's chat template where it does not say.
    pub(super) fn load(&self, of_model: Option<ChatTemplate>) -> Result<Loaded, PromptError> {
        let mut template = None;
        if let Self::Chat { template: folder, name, instruction, date, .. } = self {
            must_have_place(instruction)?;
            let read = match folder {
                Some(folder) => ChatTemplate::from_folder(folder, name.as_deref())?,
                None => of_model.ok_or(PromptError::NoTemplate)?,
            };
            template = Some(match date {
                Some(date) => read.with_date(*date),
                None => read,
            });
        }
        Ok(Loaded { style: self.clone(), template: template.map(Arc::new) })
    }
}

fn must_have_place(instruction: &str) -> Result<(), PromptError> {
    if instruction.contains(PROMPT) { Ok(()) } else { Err(PromptError::NoPlace(instruction.to_owned())) }
}

/// A style, its template read.
#[derive(Clone, Debug, Default)]
pub(super) struct Loaded {
    style: PromptStyle,
    template: Option<Arc<ChatTemplate>>,
}

impl Loaded {
    /// With a template that is at hand.
    pub(super) fn chat(template: ChatTemplate, system: Option<String>) -> Self {
        let style = PromptStyle::Chat {
            template: None,
            name: None,
            system,
            instruction: prompt_alone(),
            begin: String::new(),
            date: None,
        };
        Self { style, template: Some(Arc::new(template)) }
    }

    pub(super) fn set_instruction(&mut self, text: String) -> Result<(), PromptError> {
        must_have_place(&text)?;
        if let PromptStyle::Chat { instruction, .. } = &mut self.style {
            *instruction = text;
        }
        Ok(())
    }

    pub(super) fn style(&self) -> &PromptStyle {
        &self.style
    }

    /// What the prompt gives of the program: it stands at the prompt's end.
    pub(super) fn given<'a>(&'a self, problem: &'a Problem) -> &'a str {
        match &self.style {
            PromptStyle::Plain => "",
            PromptStyle::Chat { begin, .. } => begin,
            PromptStyle::Code => &problem.prompt,
            PromptStyle::Docstring { signature, .. } => {
                signature.as_ref().and_then(|field| signature_of(problem, field)).unwrap_or_default()
            }
        }
    }

    /// The prompt as text, and whether special tokens are spelled in it.
    pub(super) fn text(&self, problem: &Problem) -> Result<(String, bool), PromptError> {
        match (&self.style, &self.template) {
            (PromptStyle::Chat { system, instruction, begin, .. }, Some(template)) => {
                let system = system.iter().map(|system| Message::new(Role::System, system));
                let user =
                    Message::new(Role::User, instruction.replace(PROMPT, without_margin(&problem.prompt)));
                let messages: Vec<Message> = system.chain([user]).collect();
                let rendered = template.render(&messages, true);
                let rendered =
                    rendered.map_err(|source| PromptError::Chat { problem: problem.id.clone(), source })?;
                Ok((rendered + begin, true))
            }
            (PromptStyle::Docstring { shots, signature }, _) => {
                let mut text = String::new();
                for Shot { prompt, program } in shots {
                    text += &docstring(prompt);
                    text += program.trim_end();
                    text += "\n\n\n";
                }
                text += &docstring(&problem.prompt);
                if let Some(field) = signature {
                    let missing =
                        || PromptError::NoSignature { problem: problem.id.clone(), field: field.clone() };
                    text += signature_of(problem, field).ok_or_else(missing)?;
                }
                Ok((text, false))
            }
            _ => Ok((problem.prompt.clone(), false)),
        }
    }
}

fn signature_of<'a>(problem: &'a Problem, field: &str) -> Option<&'a str> {
    problem.metadata.get(field).and_then(serde_json::Value::as_str)
}

/// A docstring of a module. Three quotes in a row would end it early.
fn docstring(text: &str) -> String {
    format!("\"\"\"\n{}\n\"\"\"\n", text.trim().replace("\"\"\"", "'''"))
}
