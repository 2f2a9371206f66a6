//! [`Verifier`]: whether a program passes its tests.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::data::{Problem, TestCase};

/// What a verifier judges.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Submission<'a> {
    /// The problem, for what its metadata tells; its tests are not necessarily those to run.
    pub problem: &'a Problem,
    /// The program's source.
    pub program: &'a str,
    /// The tests to run: those that the reward sees, or the held-out ones. Never empty.
    pub tests: &'a [TestCase],
}

impl<'a> Submission<'a> {
    /// Judges `program` by the tests that the reward sees.
    pub fn rewarded(problem: &'a Problem, program: &'a str) -> Self {
        Self { problem, program, tests: &problem.tests }
    }

    /// Judges `program` by the held-out tests.
    pub fn held_out(problem: &'a Problem, program: &'a str) -> Self {
        Self { problem, program, tests: &problem.held_out_tests }
    }
}

/// How a program fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Every test passed.
    Pass,
    /// A test's answer was wrong.
    Wrong,
    /// The program does not compile or parse.
    Compile,
    /// It raised or crashed.
    Runtime,
    /// It ran over its time or steps.
    Timeout,
    /// It ran over its memory.
    Memory,
    /// It printed too much.
    Output,
    /// It started too many processes or threads.
    Processes,
    /// It tampered with the verifier.
    Tamper,
    /// The response holds no program.
    NoCode,
}

/// A verifier's judgement of one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it fared: [`Outcome::Pass`] exactly when `passed == total`.
    pub outcome: Outcome,
    /// Tests that passed, as far as they were run.
    pub passed: usize,
    /// Tests there are.
    pub total: usize,
    /// Which test failed and how, in a line; empty for a pass.
    pub detail: String,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Verdict {
    /// Whether every test passed.
    pub fn passes(&self) -> bool {
        self.outcome == Outcome::Pass
    }
}

/// Judges programs by running them.
///
/// # Contract
/// - "The program is wrong", in whatever way, is `Ok` with its [`Outcome`]. "Could not judge" is `Err`:
///   the sample is masked and never gets a reward. An unsupported test or language feature is `Err`.
/// - The outcome is `Pass` exactly when `passed == total`, and `total` is the number of tests.
/// - The same submission gets the same outcome again.
/// - The program comes from a model that is rewarded for breaking the verifier: time, memory and
///   output are bounded, and nothing that the program does may reach the caller.
///
/// [`testkit::verifier`](super::testkit::verifier) tests this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not verify programs",
    note = "implement `pspo::plugin::Verifier`, or wrap a closure: `pspo::plugin::verifier_fn(|submission| ..)`"
)]
pub trait Verifier: Send + Sync {
    /// Judges one program.
    ///
    /// # Errors
    /// If the program could not be judged.
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError>;

    /// What a run should tell of it at its start, in a line: which interpreter, what holds programs back.
    /// Empty where there is nothing to tell.
    fn about(&self) -> String {
        String::new()
    }

    /// Whether [`Verdict::passed`] counts every test: false where judging ends at the first test that fails,
    /// so that a program that passes nine of ten may count none. Rewards that count tests are given by
    /// verifiers that say true alone, and one that does not say is not taken to.
    fn counts_all(&self) -> bool {
        false
    }
}

/// A verifier's config, as it stands in a config file under its `type`.
#[typetag::serde(tag = "type")]
pub trait VerifierConfig: fmt::Debug + Send + Sync {
    /// Makes the verifier.
    ///
    /// # Errors
    /// If it cannot be made here, for example because an interpreter is missing.
    fn build(&self) -> Result<Box<dyn Verifier>, VerifyError>;
}

/// A program could not be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is nothing to judge by.
    #[error("problem `{0}` was submitted without tests: every program would pass")]
    NoTests(String),
    /// The verifier cannot run this test or program.
    #[error("the verifier does not support this: {0}")]
    Unsupported(String),
    /// The verifier broke its contract.
    #[error("the verifier broke its contract: {0}")]
    Contract(String),
    /// The verifier itself failed.
    #[error("the verifier failed: {0}")]
    Failed(String),
}

/// A verifier whose promises are tested at every call.
pub struct CheckedVerifier(Box<dyn Verifier>);

impl CheckedVerifier {
    /// Wraps a verifier.
    pub fn new(verifier: impl Verifier + 'static) -> Self {
        Self(Box::new(verifier))
    }

    /// What it tells of itself: [`Verifier::about`].
    pub fn about(&self) -> String {
        self.0.about()
    }

    /// Whether a verdict counts every test: [`Verifier::counts_all`].
    pub fn counts_all(&self) -> bool {
        self.0.counts_all()
    }

    /// Judges one program.
    ///
    /// # Errors
    /// As [`Verifier::verify`]; [`VerifyError::NoTests`] for an empty test list and
    /// [`VerifyError::Contract`] for a verdict that contradicts itself.
    pub fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        if submission.tests.is_empty() {
            return Err(VerifyError::NoTests(submission.problem.id.clone()));
        }
        let verdict = self.0.verify(submission)?;
        if verdict.total != submission.tests.len() {
            let (total, tests) = (verdict.total, submission.tests.len());
            return Err(VerifyError::Contract(format!("its verdict counts {total} tests of {tests}")));
        }
        if verdict.passed > verdict.total || verdict.passes() != (verdict.passed == verdict.total) {
            let Verdict { outcome, passed, total, .. } = verdict;
            return Err(VerifyError::Contract(format!("{outcome:?} with {passed} of {total} tests passed")));
        }
        Ok(verdict)
    }
}

impl Verifier for Box<dyn Verifier> {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        self.as_ref().verify(submission)
    }

    fn about(&self) -> String {
        self.as_ref().about()
    }

    fn counts_all(&self) -> bool {
        self.as_ref().counts_all()
    }
}

/// A verifier from a closure. It does not say that it counts all tests ([`Verifier::counts_all`]).
///
/// ```
/// use pspo::plugin::{Outcome, Submission, Verdict, Verifier, verifier_fn};
///
/// let greets = verifier_fn(|submission: Submission<'_>| {
///     let passes = submission.program.contains("hello");
///     let total = submission.tests.len();
///     Ok(Verdict {
///         outcome: if passes { Outcome::Pass } else { Outcome::Wrong },
///         passed: if passes { total } else { 0 },
///         total,
///         detail: String::new(),
///         seconds: 0.0,
///     })
/// });
/// # fn takes(_: impl Verifier) {}
/// # takes(greets);
/// ```
pub fn verifier_fn<F>(verify: F) -> impl Verifier
where
    F: Fn(Submission<'_>) -> Result<Verdict, VerifyError> + Send + Sync,
{
    struct FromFn<F>(F);
    impl<F: Fn(Submission<'_>) -> Result<Verdict, VerifyError> + Send + Sync> Verifier for FromFn<F> {
        fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
            (self.0)(submission)
        }
    }
    FromFn(verify)
}
