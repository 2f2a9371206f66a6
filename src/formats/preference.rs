//! Pairs of preference as TRL's reward data.

use serde::{Deserialize, Serialize};

use super::{Flaw, Record};
use crate::model::chat::Message;

/// A prompt or a response: text, or messages of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a string, or a list of messages with `role` and `content`")]
pub enum Text {
    /// Text.
    Plain(String),
    /// Messages, for a chat template to make text of.
    Chat(Vec<Message>),
}

impl Text {
    fn kind(&self) -> &'static str {
        match self {
            Self::Plain(_) => "text",
            Self::Chat(_) => "messages",
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Plain(text) => text.is_empty(),
            Self::Chat(messages) => messages.is_empty(),
        }
    }
}

/// A row of preference data, with its prompt apart (TRL calls that an explicit prompt).
///
/// ```
/// use pspo::formats::{PreferenceRow, Text};
///
/// let row: PreferenceRow = serde_json::from_str(
///     r#"{"prompt": [{"role": "user", "content": "1 + 1?"}],
///         "chosen": [{"role": "assistant", "content": "2"}],
///         "rejected": [{"role": "assistant", "content": "3"}], "score_chosen": 1.0}"#,
/// )?;
/// assert!(matches!(&row.chosen, Text::Chat(messages) if messages[0].content == "2"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreferenceRow {
    /// The prompt.
    pub prompt: Text,
    /// The preferred response.
    pub chosen: Text,
    /// The other one.
    pub rejected: Text,
}

impl Record for PreferenceRow {
    fn check(&self) -> Result<(), Flaw> {
        let kind = self.prompt.kind();
        for (field, text) in [("chosen", &self.chosen), ("rejected", &self.rejected)] {
            if text.kind() != kind {
                let problem = format!("is {}, but the prompt is {kind}: all must be the same", text.kind());
                return Err(Flaw::new(field, problem));
            }
        }
        match self.prompt.is_empty() {
            true => Err(Flaw::new("prompt", "is empty: a response needs something that it answers")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PreferenceRow, String> {
        let row: PreferenceRow = serde_json::from_str(text).map_err(|error| error.to_string())?;
        row.check().map_err(|flaw| flaw.to_string())?;
        Ok(row)
    }

    #[test]
    fn rows_come_back_as_they_were() {
        for text in [
            r#"{"prompt":"p","chosen":"","rejected":"r"}"#,
            r#"{"prompt":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"chosen":[{"role":"assistant","content":"c"}],"rejected":[]}"#,
        ] {
            assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        for (text, message) in [
            (r#"{"chosen": "c", "rejected": "r"}"#, "missing field `prompt`"),
            (r#"{"prompt": "", "chosen": "c", "rejected": "r"}"#, "the field `prompt` is empty"),
            (
                r#"{"prompt": "p", "chosen": [], "rejected": "r"}"#,
                "`chosen` is messages, but the prompt is text",
            ),
            (r#"{"prompt": 3, "chosen": "c", "rejected": "r"}"#, "expected a string, or a list of messages"),
            (
                r#"{"prompt": [{"role": "tool", "content": "x"}], "chosen": [], "rejected": []}"#,
                "expected a string, or a list of messages",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
