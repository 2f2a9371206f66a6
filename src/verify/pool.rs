//! Many programs judged at once: in parallel, each once, until one passes or too many cannot be judged.

mod batch;
mod jobs;
mod limit;

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use jobs::JobsError;
pub use limit::{ErrorLimit, TooManyErrors};

use super::memo::{Key, Memo};
use batch::Batch;
use jobs::{Jobs, in_parallel};
use limit::Recent;

use crate::plugin::{CheckedVerifier, Submission, Verdict, VerifyError};

/// Bytes that the memo of a [`VerifierPool`] takes at most, unless
/// [`VerifierPool::with_memo_bytes`] says otherwise.
pub const MEMO_BYTES: usize = 64 << 20;

/// Programs judged between two looks at the [`ErrorLimit`].
const CHUNK: usize = 1024;

/// The judgement of one submission; an error means that it could not be judged and is to be masked.
pub type Judged = Result<Arc<Verdict>, Arc<VerifyError>>;

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
    /// Threads of its own, if it has them.
    jobs: Option<Jobs>,
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
            jobs: None,
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

    /// The same with at most `jobs` verdicts being made at a time, on threads of its own, whoever asks. A verifier
    /// that waits for processes rather than computes may take more than there are processors; one whose programs
    /// take much memory, fewer. Otherwise verdicts are made on rayon's threads.
    ///
    /// ```
    /// use pspo::plugin::CheckedVerifier;
    /// use pspo::verify::{AnswerMatch, ErrorLimit, VerifierPool};
    ///
    /// let pool = VerifierPool::new(CheckedVerifier::new(AnswerMatch::default()), ErrorLimit::default());
    /// let pool = pool.with_jobs(16.try_into()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If so many threads cannot be started.
    pub fn with_jobs(self, jobs: NonZeroUsize) -> Result<Self, JobsError> {
        Ok(Self { jobs: Some(Jobs::start(jobs)?), ..self })
    }

    /// Judges every submission, in parallel, on rayon's threads or on its own, and answers in the order asked.
    ///
    /// A program that was judged before by the same tests of the same problem gets the same verdict,
    /// [`Verdict::seconds`] included, without being run. Errors are not remembered. A verifier that
    /// panics is [`VerifyError::Failed`] for that submission.
    ///
    /// # Errors
    /// [`TooManyErrors`] when the [`ErrorLimit`] is passed; the rest of the batch is not judged then.
    pub fn verify_all(&self, submissions: &[Submission<'_>]) -> Result<Vec<Judged>, TooManyErrors> {
        let mut answers = Vec::with_capacity(submissions.len());
        let alone: Vec<&[Submission<'_>]> = submissions.chunks(1).collect();
        for chunk in alone.chunks(CHUNK) {
            answers.extend(self.judge(chunk, false)?.into_iter().flatten());
        }
        Ok(answers)
    }

    /// Judges groups of submissions, each up to its first pass: best-of-K, where one pass answers for all. A
    /// group's answers are in the order asked and end with the first submission in that order that passes;
    /// what comes after it is not needed, and has neither verdict nor error.
    ///
    /// Answers do not depend on the number of threads or on which verdict comes first. How much is judged in vain
    /// does: what has not begun when a submission before it passes is not begun any more, but a verdict that is
    /// being made then is made, and forgotten. [`VerifierPool::judged`] counts it, and must not get into what the
    /// same seed repeats; the memo, [`VerifierPool::errors`] and the [`ErrorLimit`] do not know of it. Groups go on side by side, the first
    /// submission of each before the second of any, so with more groups than threads little is in vain.
    ///
    /// Called on one of rayon's threads it judges there, one by one, unless the pool has jobs of its own
    /// ([`VerifierPool::with_jobs`]): that caller is one of many, and were it to wait for rayon it would begin
    /// another one's work.
    ///
    /// ```
    /// # use pspo::data::ProblemSet;
    /// # use pspo::plugin::{CheckedVerifier, Submission};
    /// # use pspo::verify::{AnswerMatch, ErrorLimit, VerifierPool};
    /// # let jsonl = r#"{"id": "sum", "prompt": "1 + 2?", "tests": [{"kind": "stdio", "stdin": "", "stdout": "3"}]}"#;
    /// # let problems = ProblemSet::read_jsonl(jsonl.as_bytes())?;
    /// # let problem = problems.get(0).unwrap();
    /// let pool = VerifierPool::new(CheckedVerifier::new(AnswerMatch::default()), ErrorLimit::default());
    /// let pool = pool.with_jobs(1.try_into()?)?;
    /// let first = ["1", "3", "4", "5"].map(|answer| Submission::rewarded(problem, answer));
    /// let second = ["6", "7"].map(|answer| Submission::rewarded(problem, answer));
    /// let answers = pool.verify_until_pass(&[&first, &second])?;
    /// let passes = |judged: &pspo::verify::Judged| judged.as_ref().unwrap().passes();
    /// let passes: Vec<Vec<bool>> = answers.iter().map(|group| group.iter().map(passes).collect()).collect();
    /// assert_eq!(passes, [vec![false, true], vec![false, false]]);
    /// assert_eq!(pool.judged(), 4); // of 6: "4" and "5" were never looked at
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TooManyErrors`] when the [`ErrorLimit`] is passed; the rest is not judged then.
    pub fn verify_until_pass(&self, groups: &[&[Submission<'_>]]) -> Result<Vec<Vec<Judged>>, TooManyErrors> {
        let here = rayon::current_thread_index().is_some();
        let mut answers = Vec::with_capacity(groups.len());
        let mut rest = groups;
        while !rest.is_empty() {
            let mut submissions = 0;
            let fits = |group: &&&[Submission<'_>]| {
                submissions += group.len();
                submissions <= CHUNK
            };
            let (chunk, after) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            answers.extend(self.judge(chunk, here)?);
            rest = after;
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

    /// Judges groups, at most about [`CHUNK`] submissions. With `here`, on this thread alone, unless the pool has
    /// jobs of its own.
    fn judge(&self, groups: &[&[Submission<'_>]], here: bool) -> Result<Vec<Vec<Judged>>, TooManyErrors> {
        let batch = {
            let keys = Batch::keys(groups, here);
            Batch::new(groups, keys, &mut lock(&self.memo))
        };
        let begun = AtomicUsize::new(0);
        // Whoever is free takes the next run, so that those that may turn out not to be needed come last.
        self.run_all(batch.runs.len(), here, &|| {
            let run = &batch.runs[begun.fetch_add(1, Ordering::Relaxed)];
            if batch.is_needed(run) {
                self.judged.fetch_add(1, Ordering::Relaxed);
                batch.settle(run, self.verify(run.submission));
            }
        });

        let (mut memo, mut recent) = (lock(&self.memo), lock(&self.recent));
        let mut passed_limit = None;
        let mut runs = 0;
        for (key, judged) in batch.told() {
            runs += 1;
            match judged {
                Ok(verdict) => memo.insert(Key::clone(key), Arc::clone(verdict)),
                Err(_) => _ = self.errors.fetch_add(1, Ordering::Relaxed),
            }
            passed_limit = passed_limit.or(recent.push(judged, &self.limit));
        }
        let answers = batch.answers();
        let told: usize = answers.iter().map(Vec::len).sum();
        self.memo_hits.fetch_add((told - runs) as u64, Ordering::Relaxed);
        passed_limit.map_or(Ok(answers), Err)
    }

    /// Calls `work` so many times.
    fn run_all(&self, times: usize, here: bool, work: &(dyn Fn() + Sync)) {
        match &self.jobs {
            Some(jobs) => jobs.run(times, work),
            None if here || times < 2 => (0..times).for_each(|_| work()),
            None => in_parallel(times, work),
        }
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
