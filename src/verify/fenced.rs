//! [`Fenced`]: a verifier for responses that hold their program in a fenced block, as chat models answer.

use serde::{Deserialize, Serialize};

use crate::answer::{Extraction, WhichBlock, WithoutBlock};
use crate::plugin::{Outcome, Submission, Verdict, Verifier, VerifierConfig, VerifyError};

/// Judges the program in a response's fenced block by another verifier.
///
/// The program is the last block that has content; a response without one is [`Outcome::NoCode`]. Steps are lines of the
/// whole response: where lines of the program alone are to be labelled and rewarded, an [`Extraction`] takes it from
/// the response for all stages alike.
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
        const BLOCK: Extraction = Extraction::Fenced {
            block: WhichBlock::Last,
            languages: Vec::new(),
            without_block: WithoutBlock::NoProgram,
        };
        match BLOCK.program("", submission.program) {
            Some(program) => self.0.verify(Submission { program: program.text(), ..submission }),
            None => {
                let (total, detail) =
                    (submission.tests.len(), "the response has no fenced block with content".into());
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
