//! [`MontyVerifier`].

use pspo::plugin::{Submission, Verdict, Verifier, VerifyError};

use crate::MontyConfig;
use crate::meter;
use crate::workers::{Job, Workers};

/// Judges Python programs by running them in the embedded interpreter monty.
///
/// A verdict is one that CPython would give too. Where monty differs from CPython, as far as that can
/// be told, the answer is [`VerifyError::Unsupported`].
pub struct MontyVerifier {
    workers: Workers,
    run_all: bool,
}

impl MontyVerifier {
    /// A verifier by `config`. Threads are started when they are needed.
    ///
    /// # Errors
    /// If a limit is out of its bounds, or if the program's global allocator is not a
    /// [`MeteredAllocator`](crate::MeteredAllocator), without which memory cannot be limited.
    pub fn new(config: MontyConfig) -> Result<Self, VerifyError> {
        config.check()?;
        if !meter::is_installed() {
            return Err(VerifyError::Failed(
                "memory cannot be limited: make `MeteredAllocator` the global allocator, or turn on the \
                 feature `global-allocator` of pspo-monty-verifier"
                    .into(),
            ));
        }
        Ok(Self { run_all: config.run_all, workers: Workers::new(config) })
    }
}

impl Verifier for MontyVerifier {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        let Submission { program, tests, problem, .. } = submission;
        if tests.is_empty() {
            return Err(VerifyError::NoTests(problem.id.clone()));
        }
        let (program, matching) = (program.to_owned(), problem.matching.clone());
        self.workers.judge(Job { program, tests: tests.to_vec(), matching })
    }

    fn counts_all(&self) -> bool {
        self.run_all
    }
}
