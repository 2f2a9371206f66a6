//! [`Tally`]: how the tests of a program came out, one by one, and the verdict that this makes.

use std::time::Instant;

use super::{excerpt, matches_output};
use crate::data::Matching;
use crate::plugin::{Outcome, Submission, Verdict, VerifyError};

/// How a test failed: the outcome, and in a line what happened.
pub type Failure = (Outcome, String);

/// Counts tests that pass, and keeps the first that does not.
///
/// ```
/// use pspo::plugin::{Outcome, Submission, Verdict, VerifyError};
/// use pspo::verify::Tally;
///
/// /// Asks that a program speaks of each test's number.
/// fn verify(submission: Submission<'_>) -> Result<Verdict, VerifyError> {
///     let mut tally = Tally::begin(&submission)?;
///     for number in 1..=submission.tests.len() {
///         let speaks = submission.program.contains(&number.to_string());
///         if !tally.add((!speaks).then(|| (Outcome::Wrong, format!("it says no {number}")))) {
///             break;
///         }
///     }
///     Ok(tally.verdict())
/// }
/// # use pspo::data::ProblemSet;
/// # let test = r#"{"kind": "stdio", "stdin": "", "stdout": "3"}"#;
/// # let jsonl = format!(r#"{{"id": "p", "prompt": "?", "tests": [{test}, {test}, {test}]}}"#);
/// # let problems = ProblemSet::read_jsonl(jsonl.as_bytes())?;
/// # let problem = problems.get(0).unwrap();
/// let verdict = verify(Submission::rewarded(problem, "1 and 3"))?;
/// assert_eq!((verdict.outcome, verdict.passed, verdict.total), (Outcome::Wrong, 1, 3));
/// assert_eq!(verdict.detail, "test 2 of 3: it says no 2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tally {
    began: Instant,
    total: usize,
    judged: usize,
    passed: usize,
    first: Option<Failure>,
}

impl Tally {
    /// Begins with the tests of a submission.
    ///
    /// # Errors
    /// [`VerifyError::NoTests`] if there are none.
    pub fn begin(submission: &Submission<'_>) -> Result<Self, VerifyError> {
        match submission.tests.len() {
            0 => Err(VerifyError::NoTests(submission.problem.id.clone())),
            total => Ok(Self::of(total)),
        }
    }

    /// Begins with a number of tests.
    pub fn of(total: usize) -> Self {
        Self { began: Instant::now(), total, judged: 0, passed: 0, first: None }
    }

    /// Takes how the next test failed, if it did; returns whether it passed.
    pub fn add(&mut self, failure: Option<Failure>) -> bool {
        self.judged += 1;
        let Some((outcome, what)) = failure else {
            self.passed += 1;
            return true;
        };
        let (number, total) = (self.judged, self.total);
        self.first.get_or_insert_with(|| (outcome, format!("test {number} of {total}: {what}")));
        false
    }

    /// The verdict by the tests that were judged: those that were not count as not passed.
    pub fn verdict(self) -> Verdict {
        let (outcome, detail) = self.first.unwrap_or((Outcome::Pass, String::new()));
        let Self { began, total, passed, .. } = self;
        Verdict { outcome, passed, total, detail, seconds: began.elapsed().as_secs_f64() }
    }

    /// The verdict on a program that came to no test: it cannot be built.
    pub fn failed(mut self, failure: Failure) -> Verdict {
        self.first = Some(failure);
        self.verdict()
    }
}

/// How what a program printed is not what is `expected` by `rule`.
///
/// # Errors
/// As [`matches_output`].
pub fn output_failure(
    rule: &Matching,
    expected: &str,
    stdout: &[u8],
) -> Result<Option<Failure>, VerifyError> {
    let Ok(printed) = std::str::from_utf8(stdout) else {
        return Ok(Some((Outcome::Wrong, "printed bytes that are no UTF-8".into())));
    };
    let wrong = || (Outcome::Wrong, format!("printed {}, not {}", excerpt(printed), excerpt(expected)));
    Ok((!matches_output(rule, expected, printed)?).then(wrong))
}

/// A failure of the system or of the sandbox, which says nothing about the program.
pub fn failed(error: impl std::fmt::Display) -> VerifyError {
    VerifyError::Failed(error.to_string())
}
