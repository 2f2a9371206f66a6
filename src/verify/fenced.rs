//! [`Fenced`]: a verifier for responses that hold their program in a fenced block, as chat models answer.

use serde::{Deserialize, Serialize};

use crate::plugin::{Outcome, Submission, Verdict, Verifier, VerifierConfig, VerifyError};

/// Judges the program in a response's fenced block by another verifier.
///
/// The program is what [`last_block`] says; a response without a block is [`Outcome::NoCode`].
///
/// ```
/// use pspo::data::Problem;
/// use pspo::plugin::{Outcome, Submission, Verifier};
/// use pspo::verify::{AnswerMatch, Fenced};
///
/// let problem: Problem = serde_json::from_str(
///     r#"{"id": "p", "prompt": "?", "tests": [{"kind": "stdio", "stdin": "", "stdout": "3"}]}"#,
/// )?;
/// let verifier = Fenced::new(AnswerMatch::default());
/// let judge = |response| verifier.verify(Submission::rewarded(&problem, response)).unwrap().outcome;
/// assert_eq!(judge("Here it is:\n```python\n3\n```\nIt prints 3."), Outcome::Pass);
/// assert_eq!(judge("3"), Outcome::NoCode);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct Fenced<V>(V);

impl<V: Verifier> Fenced<V> {
    /// Judges by `verifier`.
    pub fn new(verifier: V) -> Self {
        Self(verifier)
    }
}

impl<V: Verifier> Verifier for Fenced<V> {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        match last_block(submission.program) {
            Some(program) => self.0.verify(Submission { program, ..submission }),
            None => {
                let (total, detail) = (submission.tests.len(), "the response has no fenced block".into());
                Ok(Verdict { outcome: Outcome::NoCode, passed: 0, total, detail, seconds: 0.0 })
            }
        }
    }

    fn about(&self) -> String {
        self.0.about()
    }

    fn counts_all(&self) -> bool {
        self.0.counts_all()
    }
}

/// The config of [`Fenced`]: the verifier that judges what is in the block.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FencedConfig {
    /// Its config.
    pub verifier: Box<dyn VerifierConfig>,
}

crate::card! {
    kind: Verifier,
    name: "fenced",
    summary: "Judges the program in a response's last fenced block, by another verifier.",
    example: "type = \"fenced\"\n\n[verifier]\ntype = \"answer_match\"",
}

#[typetag::serde(name = "fenced")]
impl VerifierConfig for FencedConfig {
    fn build(&self) -> Result<Box<dyn Verifier>, VerifyError> {
        Ok(Box::new(Fenced::new(self.verifier.build()?)))
    }
}

/// The text within the last fenced block of a response.
///
/// A block begins with a line of three or more backticks or tildes, behind at most three blanks, and whatever follows
/// them (the language); it ends with a line of at least as many of the same and nothing else. One that is not closed ends
/// with the response. Later blocks count more than earlier ones, as a model corrects itself.
pub fn last_block(response: &str) -> Option<&str> {
    let mut last = None;
    let mut open: Option<(char, usize, usize)> = None;
    let mut start = 0;
    for line in response.split_inclusive('\n') {
        let end = start + line.len();
        match (fence(line), open) {
            (Some((mark, length, rest)), None) if mark != '`' || !rest.contains('`') => {
                open = Some((mark, length, end));
            }
            (Some((mark, length, "")), Some((opened, least, from))) if mark == opened && length >= least => {
                last = Some(&response[from..start]);
                open = None;
            }
            _ => {}
        }
        start = end;
    }
    match open {
        Some((.., from)) => Some(&response[from..]),
        None => last,
    }
}

/// The mark, its length and what follows it, if a line may begin or end a block.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let text = line.trim_start_matches(' ');
    let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let rest = text.trim_start_matches(mark);
    let length = text.len() - rest.len();
    (length >= 3 && line.len() - text.len() <= 3).then(|| (mark, length, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_is_the_program() {
        for (response, block) in [
            ("", None),
            ("x = 1", None),
            ("``x``\n`` ` ``", None),
            ("```\nx\n```", Some("x\n")),
            ("```python\nx\n```\ntext\n```\ny\n```\nend", Some("y\n")),
            ("```\nx\n```\n```py\ny\nz", Some("y\nz")),
            ("```\nx\n```\n```", Some("")),
            ("~~~\n```\nx\n```\n~~~\n", Some("```\nx\n```\n")),
            ("````\n```\nx\n````", Some("```\nx\n")),
            ("```\nx\n``` not the end\ny\n```", Some("x\n``` not the end\ny\n")),
            ("   ```\r\nx\r\n   ```\r\n", Some("x\r\n")),
            ("    ```\nindented text\n    ```", None),
            ("```x``` is no block", None),
        ] {
            assert_eq!(last_block(response), block, "{response:?}");
        }
    }
}
