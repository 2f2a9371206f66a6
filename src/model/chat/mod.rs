//! Chat templates: a conversation as the text that an instruction model was trained on.
//!
//! A model's template is a program in Jinja's language that comes with its tokenizer. It is rendered here as
//! `transformers` renders it (`apply_chat_template`), by the crate `minijinja`, and within a budget: a template is
//! somebody else's program.

mod config;
mod environment;
mod error;

use std::fmt;
use std::path::Path;

pub use config::SpecialTokens;
pub(crate) use config::special_token;
pub use error::ChatError;
use minijinja::{Environment, Value};
use serde::{Deserialize, Serialize};

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Who tells the model how to behave.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// Its name in templates: `system`, `user` or `assistant`.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// What.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A day, for templates that tell the model which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DateFields", into = "DateFields")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DateFields {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// A day of the Gregorian calendar.
    ///
    /// # Errors
    /// If there is no such day, or its year does not have four digits.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, ChatError> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            1..=12 => 31,
            _ => 0,
        };
        match (1000..=9999).contains(&year) && (1..=days).contains(&day) {
            true => Ok(Self { year, month, day }),
            false => Err(ChatError::Date { year, month, day }),
        }
    }
}

impl TryFrom<DateFields> for Date {
    type Error = ChatError;

    fn try_from(DateFields { year, month, day }: DateFields) -> Result<Self, ChatError> {
        Self::new(year, month, day)
    }
}

impl From<Date> for DateFields {
    fn from(Date { year, month, day }: Date) -> Self {
        Self { year, month, day }
    }
}

/// A chat template, and the special tokens that it may name.
///
/// ```
/// use pspo::model::chat::{ChatTemplate, Message, Role, SpecialTokens};
///
/// let template = ChatTemplate::new(
///     "{% for message in messages %}\n<|{{ message.role }}|>{{ message.content | trim }}{{ eos_token }}\n\
///      {% endfor %}\n{% if add_generation_prompt %}<|assistant|>{% endif %}",
///     SpecialTokens::new([("eos_token", "</s>")]),
/// )?;
/// let messages = [Message::new(Role::User, " Write f. ")];
/// assert_eq!(template.render(&messages, true)?, "<|user|>Write f.</s>\n<|assistant|>");
/// assert_eq!(template.render(&messages, false)?, "<|user|>Write f.</s>\n");
/// # Ok::<(), pspo::model::chat::ChatError>(())
/// ```
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    tokens: SpecialTokens,
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").field("source", &self.source).finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// What a template may use up in rendering: about as many instructions, or 64 times as many bytes.
    pub const FUEL: u64 = 1_000_000;

    /// The template in `source`.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(source: impl Into<String>, tokens: SpecialTokens) -> Result<Self, ChatError> {
        let source = environment::without_generation_tags(&source.into());
        let environment = environment::environment(Self::FUEL);
        environment.template_from_str(&source).map_err(|source| ChatError::Syntax { source })?;
        Ok(Self { environment, source, tokens })
    }

    /// The template of the model whose tokenizer's files are in `folder`: `chat_template.jinja` where there is one,
    /// otherwise `chat_template` of `tokenizer_config.json`. Where there are several, the one called `name`, or
    /// `default`; named ones may be files of `additional_chat_templates` as well.
    ///
    /// # Errors
    /// If a file cannot be read, is not what it should be, or has no such template.
    pub fn from_folder(folder: impl AsRef<Path>, name: Option<&str>) -> Result<Self, ChatError> {
        config::from_folder(folder.as_ref(), name)
    }

    /// The template in the text of a `tokenizer_config.json`, as [`ChatTemplate::from_folder`] chooses it.
    ///
    /// # Errors
    /// If the text is not such a file or has no such template.
    pub fn from_config(json: &str, name: Option<&str>) -> Result<Self, ChatError> {
        config::Config::parse(json, Path::new("tokenizer_config.json"))?.template(name)
    }

    /// Tells the template that it is `date`, at 0:00. `strftime_now` is defined then alone, since a prompt must not
    /// depend on the clock: templates that ask whether it is say something else without, and others fail.
    #[must_use]
    pub fn with_date(mut self, date: Date) -> Self {
        environment::set_date(&mut self.environment, date);
        self
    }

    /// The template's text, without the tags that mark an answer for training.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The special tokens that it may name.
    pub fn tokens(&self) -> &SpecialTokens {
        &self.tokens
    }

    /// The special token that a config calls `name`, such as `eos_token`.
    pub fn token(&self, name: &str) -> Option<&str> {
        self.tokens.get(name)
    }

    /// A conversation as text; with `add_generation_prompt` up to where the model's next answer begins.
    ///
    /// Special tokens are text here: [`Tokenizer::encode_special`](super::Tokenizer::encode_special) makes tokens of
    /// it. So a message that spells one is as good as the token, as it is in `transformers`.
    ///
    /// # Errors
    /// If the template refuses the conversation, fails, or uses up [`ChatTemplate::FUEL`].
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, ChatError> {
        let mut context = self.tokens.context();
        let pair = |Message { role, content }: &Message| {
            Value::from_pairs([
                ("role", Value::from(role.name())),
                ("content", Value::from(content.as_str())),
            ])
        };
        context.insert("messages".into(), messages.iter().map(pair).collect());
        context.insert("add_generation_prompt".into(), add_generation_prompt.into());
        // There, and nothing in them: templates ask `if tools is not none`.
        context.insert("tools".into(), ().into());
        context.insert("documents".into(), ().into());
        let template = self.environment.template_from_str(&self.source);
        let rendered = template.and_then(|template| template.render(Value::from_pairs(context)));
        rendered.map_err(ChatError::of_render)
    }
}

#[cfg(test)]
mod tests;
