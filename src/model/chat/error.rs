//! Why a conversation is not rendered.

use std::path::PathBuf;

use minijinja::ErrorKind;
use thiserror::Error;

/// What a template says that refuses a conversation, kept as an error's source.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// A chat template cannot be read or rendered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChatError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A tokenizer's config is not JSON.
    #[error("{} is not a JSON object: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A field of a tokenizer's config is not what it should be.
    #[error("{}: the field `{field}` must be {needed}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What it must be.
        needed: &'static str,
    },
    /// There is no template of that name.
    #[error("{}: there is no chat template `{name}`, only: {known}", path.display())]
    NoTemplate {
        /// The file or folder.
        path: PathBuf,
        /// The name.
        name: String,
        /// The names there are, or "none".
        known: String,
    },
    /// The template is no template.
    #[error("the chat template cannot be parsed: {source:#}")]
    Syntax {
        /// Why.
        source: minijinja::Error,
    },
    /// The template refuses the conversation.
    #[error("the chat template refuses the conversation: {0}")]
    Refused(String),
    /// The template does too much.
    #[error("the chat template was stopped: it used up its {0} units of work")]
    Fuel(u64),
    /// The template fails.
    #[error("the chat template fails: {source:#}")]
    Render {
        /// Why.
        source: minijinja::Error,
    },
    /// There is no such day.
    #[error("{year}-{month:02}-{day:02} is no day: it must be one of the calendar, in a year of four digits")]
    Date {
        /// Its year.
        year: u16,
        /// Its month.
        month: u8,
        /// Its day.
        day: u8,
    },
}

impl ChatError {
    /// What an error of rendering means.
    pub(super) fn of_render(source: minijinja::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&source);
        while let Some(error) = cause {
            if let Some(Refusal(message)) = error.downcast_ref() {
                return Self::Refused(message.clone());
            }
            cause = error.source();
        }
        match source.kind() {
            ErrorKind::OutOfFuel => Self::Fuel(super::ChatTemplate::FUEL),
            _ => Self::Render { source },
        }
    }
}
