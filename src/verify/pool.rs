//! Many programs judged at once: in parallel, each once, until too many cannot be judged.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::memo::{Key, Memo};
use crate::data::numbers::Fraction;
use crate::plugin::{CheckedVerifier, Submission, Verdict, VerifyError};

/// Bytes that the memo of a [`VerifierPool`] takes at most, unless
/// [`VerifierPool::with_memo_bytes`] says otherwise.
pub const MEMO_BYTES: usize = 64 << 20;

/// Programs judged between two looks at the [`ErrorLimit`].
const CHUNK: usize = 1024;

/// The judgement of one submission; an error means that it could not be judged and is to be masked.
pub type Judged = Result<Arc<Verdict>, Arc<VerifyError>>;

/// When "could not judge" has happened too often to go on: more than `share` of the last `window`
/// programs.
///
/// A broken verifier from the start is noticed after `share * window` programs. A share of 1 is never
/// passed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorLimit {
    /// How many of the last programs are looked at.
    pub window: NonZeroUsize,
    /// The share of them that may fail to be judged.
    pub share: Fraction,
}

impl Default for ErrorLimit {
    /// A fifth of the last 500 programs.
    fn default() -> Self {
        const WINDOW: NonZeroUsize = NonZeroUsize::new(500).unwrap();
        const SHARE: Fraction = Fraction::new(0.2);
        Self { window: WINDOW, share: SHARE }
    }
}

/// Too many programs could not be judged.
#[derive(Clone, Debug, Error)]
#[error(
    "{errors} of the last {window} programs could not be judged, where at most a share of {share} may \
     fail; the last failure: {last}"
)]
pub struct TooManyErrors {
    /// How many of the last programs failed.
    pub errors: usize,
    /// How many were looked at, at most.
    pub window: usize,
    /// The share that may fail.
    pub share: f32,
    /// The last failure.
    pub last: Arc<VerifyError>,
}

/// Judges batches of programs with one verifier.
///
/// ```
/// use pspo::data::{Problem, ProblemSet};
/// use pspo::plugin::{CheckedVerifier, Submission};
/// use pspo::verify::{AnswerMatch, ErrorLimit, VerifierPool};
///
/// let jsonl = r#"{"id": "sum", "prompt": "1 + 2?",
///     "tests": [{"kind": "stdio", "stdin": "", "stdout": "3"}]}"#.replace('\n', " ");
/// let problems = ProblemSet::read_jsonl(jsonl.as_bytes())?;
/// let problem = problems.get(0).unwrap();
///
/// let pool = VerifierPool::new(CheckedVerifier::new(AnswerMatch::default()), ErrorLimit::default());
/// let submissions = ["3", "4", "3"].map(|answer| Submission::rewarded(problem, answer));
/// let judged = pool.verify_all(&submissions)?;
/// let passes: Vec<_> = judged.iter().map(|verdict| verdict.as_ref().unwrap().passes()).collect();
/// assert_eq!(passes, [true, false, true]);
/// assert_eq!((pool.judged(), pool.memo_hits()), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct VerifierPool {
    verifier: CheckedVerifier,
    limit: ErrorLimit,
    memo: Mutex<Memo>,
    recent: Mutex<Recent>,
    judged: AtomicU64,
    memo_hits: AtomicU64,
    errors: AtomicU64,
}

impl VerifierPool {
    /// A pool around `verifier`.
    pub fn new(verifier: CheckedVerifier, limit: ErrorLimit) -> Self {
        Self {
            verifier,
            limit,
            memo: Mutex::new(Memo::new(MEMO_BYTES)),
            recent: Mutex::default(),
            judged: AtomicU64::new(0),
            memo_hits: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    /// The same with a memo of at most about `bytes`; with 0, only equal programs of one batch are
    /// judged once.
    pub fn with_memo_bytes(self, bytes: usize) -> Self {
        Self { memo: Mutex::new(Memo::new(bytes)), ..self }
    }

    /// Judges every submission, in parallel on rayon's threads, and answers in the order asked.
    ///
    /// A program that was judged before by the same tests of the same problem gets the same verdict,
    /// [`Verdict::seconds`] included, without being run. Errors are not remembered. A verifier that
    /// panics is [`VerifyError::Failed`] for that submission.
    ///
    /// # Errors
    /// [`TooManyErrors`] when the [`ErrorLimit`] is passed; the rest of the batch is not judged then.
    pub fn verify_all(&self, submissions: &[Submission<'_>]) -> Result<Vec<Judged>, TooManyErrors> {
        let mut answers = Vec::with_capacity(submissions.len());
        for chunk in submissions.chunks(CHUNK) {
            self.verify_chunk(chunk, &mut answers)?;
        }
        Ok(answers)
    }

    /// What the verifier tells of itself: [`Verifier::about`](crate::plugin::Verifier::about).
    pub fn about(&self) -> String {
        self.verifier.about()
    }

    /// Whether a verdict counts every test: [`Verifier::counts_all`](crate::plugin::Verifier::counts_all).
    pub fn counts_all(&self) -> bool {
        self.verifier.counts_all()
    }

    /// Programs that the verifier was asked about, whether it could judge them or not.
    pub fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }

    /// Submissions answered without asking the verifier.
    pub fn memo_hits(&self) -> u64 {
        self.memo_hits.load(Ordering::Relaxed)
    }

    /// Programs that could not be judged.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn verify_chunk(&self, chunk: &[Submission<'_>], answers: &mut Vec<Judged>) -> Result<(), TooManyErrors> {
        enum Source {
            Memo(Arc<Verdict>),
            Run(usize),
        }
        let keys: Vec<_> = chunk.par_iter().map(Key::of).collect();
        let mut runs = Vec::new();
        let mut run_of = HashMap::new();
        let sources: Vec<_> = {
            let mut memo = lock(&self.memo);
            let source = |(submission, key)| match memo.get(key) {
                Some(verdict) => Source::Memo(verdict),
                None => Source::Run(*run_of.entry(key).or_insert_with(|| {
                    runs.push((submission, key));
                    runs.len() - 1
                })),
            };
            chunk.iter().zip(&keys).map(source).collect()
        };
        let judged: Vec<Judged> = runs.par_iter().map(|(submission, _)| self.verify(submission)).collect();

        self.judged.fetch_add(runs.len() as u64, Ordering::Relaxed);
        self.memo_hits.fetch_add((chunk.len() - runs.len()) as u64, Ordering::Relaxed);
        let mut passed_limit = None;
        {
            let (mut memo, mut recent) = (lock(&self.memo), lock(&self.recent));
            for ((_, key), judged) in runs.iter().zip(&judged) {
                match judged {
                    Ok(verdict) => memo.insert(Key::clone(key), Arc::clone(verdict)),
                    Err(_) => _ = self.errors.fetch_add(1, Ordering::Relaxed),
                }
                passed_limit = passed_limit.or(recent.push(judged, &self.limit));
            }
        }
        if let Some(too_many) = passed_limit {
            return Err(too_many);
        }
        answers.extend(sources.into_iter().map(|source| match source {
            Source::Memo(verdict) => Ok(verdict),
            Source::Run(run) => judged[run].clone(),
        }));
        Ok(())
    }

    fn verify(&self, submission: &Submission<'_>) -> Judged {
        // A verifier is shared between threads, so what it holds is behind locks or atomics; a lock
        // poisoned by the panic is its own next error.
        match catch_unwind(AssertUnwindSafe(|| self.verifier.verify(*submission))) {
            Ok(judged) => judged.map(Arc::new).map_err(Arc::new),
            Err(panic) => {
                let failed = format!("it panicked: {}", message(panic.as_ref()));
                Err(Arc::new(VerifyError::Failed(failed)))
            }
        }
    }
}

/// The last judgements, as far as the limit looks.
#[derive(Default)]
struct Recent {
    failed: VecDeque<bool>,
    errors: usize,
}

impl Recent {
    fn push(&mut self, judged: &Judged, limit: &ErrorLimit) -> Option<TooManyErrors> {
        let window = limit.window.get();
        while self.failed.len() >= window {
            self.errors -= usize::from(self.failed.pop_front() == Some(true));
        }
        self.failed.push_back(judged.is_err());
        let last = judged.as_ref().err()?;
        self.errors += 1;
        let (errors, share) = (self.errors, limit.share.get());
        let passed = errors as f64 > f64::from(share) * window as f64;
        passed.then(|| TooManyErrors { errors, window, share, last: Arc::clone(last) })
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// No code of a verifier runs under these locks, so a poisoned one still holds consistent data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
