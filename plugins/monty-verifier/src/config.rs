//! The config: what a program may use, and how much of it.

use pspo::plugin::{Verifier, VerifierConfig, VerifyError};
use serde::{Deserialize, Serialize};

use crate::MontyVerifier;

/// The config of [`MontyVerifier`]: its `type` is `monty`.
///
/// ```
/// use pspo::plugin::VerifierConfig;
/// use pspo_monty_verifier::MontyConfig;
///
/// let verifier = MontyConfig { seconds: 0.5, ..MontyConfig::default() }.build()?;
/// # let _ = verifier;
/// # Ok::<(), pspo::plugin::VerifyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MontyConfig {
    /// Seconds by the clock that one test may take, and that compiling may take; above 0, at most 3600.
    pub seconds: f64,
    /// Instructions of the interpreter that one test may take, at least 1. Counted by the 256, so that
    /// what takes long in one instruction is left to `seconds`.
    pub steps: u64,
    /// Bytes that one test may hold at a time, from 64 KiB to 64 GiB.
    pub memory_bytes: usize,
    /// How deep calls may be nested, from 10 to 1000, which is CPython's own limit.
    pub recursion: usize,
    /// Bytes that one test may print, at least 1.
    pub output_bytes: usize,
    /// Whether to run every test, so that [`Verdict::passed`](pspo::plugin::Verdict::passed) counts all
    /// that pass. Otherwise the first failure is the last test run.
    pub run_all: bool,
}

impl Default for MontyConfig {
    fn default() -> Self {
        Self {
            seconds: 2.0,
            steps: 20_000_000,
            memory_bytes: 64 << 20,
            recursion: 1000,
            output_bytes: 64 << 10,
            run_all: false,
        }
    }
}

pspo::card! {
    kind: Verifier,
    name: "monty",
    summary: "Runs Python programs in the embedded interpreter monty, in process; a subset of Python.",
    example: r#"
type = "monty"
seconds = 2.0
steps = 20_000_000
memory_bytes = 67_108_864
recursion = 1000
output_bytes = 65_536
run_all = false
"#,
}

#[typetag::serde(name = "monty")]
impl VerifierConfig for MontyConfig {
    fn build(&self) -> Result<Box<dyn Verifier>, VerifyError> {
        Ok(Box::new(MontyVerifier::new(self.clone())?))
    }
}

impl MontyConfig {
    /// Checks that every limit is one that can be held.
    pub(crate) fn check(&self) -> Result<(), VerifyError> {
        let wrong = |key, value: &dyn std::fmt::Display, valid| {
            Err(VerifyError::Unsupported(format!("monty's `{key}` = {value}: it must be {valid}")))
        };
        if !(self.seconds > 0.0 && self.seconds <= 3600.0) {
            return wrong("seconds", &self.seconds, "above 0 and at most 3600");
        }
        if self.steps == 0 {
            return wrong("steps", &self.steps, "at least 1");
        }
        if !(64 << 10..=64 << 30).contains(&self.memory_bytes) {
            return wrong("memory_bytes", &self.memory_bytes, "from 65536 (64 KiB) to 68719476736 (64 GiB)");
        }
        if !(10..=1000).contains(&self.recursion) {
            return wrong("recursion", &self.recursion, "from 10 to 1000");
        }
        if self.output_bytes == 0 {
            return wrong("output_bytes", &self.output_bytes, "at least 1");
        }
        Ok(())
    }
}
