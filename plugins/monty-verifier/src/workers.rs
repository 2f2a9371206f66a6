//! Threads that run programs: with a stack of their own, and given up when they do not come back.
//!
//! An interpreter in process can be asked to stop, not made to: an instruction that computes for minutes
//! (the power of large integers modulo a third) is not interrupted. Then its thread is left behind, to
//! end when it ends, and another takes its place. The program has its verdict in time all the same.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pspo::data::{Matching, TestCase};
use pspo::plugin::{Outcome, Verdict, VerifyError};

use crate::MontyConfig;
use crate::judge::judge;
use crate::meter::Alarm;

/// Bytes of address space for a worker's stack; only what is used takes memory. The interpreter bounds
/// how deep it calls itself, to less than this by far.
pub(crate) const STACK_BYTES: usize = 64 << 20;

/// Time beyond a test's own limit after which its thread is given up.
const GRACE: Duration = Duration::from_millis(400);

/// How many threads may be left behind at one time.
const LEFT_BEHIND: usize = 8;

/// A program and its tests.
pub(crate) struct Job {
    pub program: String,
    pub tests: Vec<TestCase>,
    pub matching: Matching,
}

/// What a worker does: [`judge`], or less in a test.
type Judge = fn(&str, &[TestCase], &Matching, &MontyConfig, &dyn Fn()) -> Result<Verdict, VerifyError>;

/// Idle threads; one is started whenever none is idle, so there are as many as callers at a time.
pub(crate) struct Workers {
    config: Arc<MontyConfig>,
    judge: Judge,
    idle: Mutex<Vec<Worker>>,
    left_behind: Arc<AtomicUsize>,
    most_left_behind: usize,
}

struct Worker {
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
    clock: Arc<Clock>,
    alarm: &'static Alarm,
}

enum Answer {
    Judged(Result<Verdict, VerifyError>),
    Panicked(String),
}

/// When a worker began what it is at.
struct Clock {
    epoch: Instant,
    began_micros: AtomicU64,
}

impl Clock {
    fn begin(&self) {
        let micros = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.began_micros.store(micros, Ordering::Relaxed);
    }

    fn since_begin(&self) -> Duration {
        let began = Duration::from_micros(self.began_micros.load(Ordering::Relaxed));
        self.epoch.elapsed().saturating_sub(began)
    }
}

impl Workers {
    pub fn new(config: MontyConfig) -> Self {
        Self {
            config: Arc::new(config),
            judge,
            idle: Mutex::default(),
            left_behind: Arc::default(),
            most_left_behind: LEFT_BEHIND,
        }
    }

    /// Judges a program on an idle thread and waits for the verdict.
    pub fn judge(&self, job: Job) -> Result<Verdict, VerifyError> {
        let left_behind = self.left_behind.load(Ordering::SeqCst);
        if left_behind >= self.most_left_behind {
            let failed = format!("{left_behind} earlier programs still run, long after their time limit");
            return Err(VerifyError::Failed(failed));
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let worker = match idle {
            Some(worker) => worker,
            None => Worker::start(Arc::clone(&self.config), self.judge)?,
        };
        let total = job.tests.len();
        let begin = Instant::now();
        worker.clock.begin();
        let ended = || VerifyError::Failed("a worker thread ended without an answer".into());
        worker.jobs.send(job).map_err(|_| ended())?;

        let patience = Duration::from_secs_f64(self.config.seconds) + GRACE;
        let mut wait = patience;
        loop {
            match worker.answers.recv_timeout(wait) {
                Ok(Answer::Judged(judged)) => {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
                    return judged;
                }
                Ok(Answer::Panicked(message)) => {
                    return Err(VerifyError::Failed(format!("the interpreter panicked: {message}")));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => {
                    wait = patience.saturating_sub(worker.clock.since_begin());
                    if wait.is_zero() {
                        self.leave_behind(worker);
                        let detail = "one instruction ran beyond the time limit".into();
                        let seconds = begin.elapsed().as_secs_f64();
                        return Ok(Verdict { outcome: Outcome::Timeout, passed: 0, total, detail, seconds });
                    }
                }
            }
        }
    }

    fn leave_behind(&self, worker: Worker) {
        worker.alarm.mute();
        self.left_behind.fetch_add(1, Ordering::SeqCst);
        let left_behind = Arc::clone(&self.left_behind);
        let wait = move || {
            // Ends with the answer, whatever it is, or with the thread.
            let _ = worker.answers.recv();
            left_behind.fetch_sub(1, Ordering::SeqCst);
        };
        // Without a thread to wait on it, the count stays: too careful rather than too late.
        let _ = thread::Builder::new().name("monty-left-behind".into()).spawn(wait);
    }
}

impl Worker {
    fn start(config: Arc<MontyConfig>, judge: Judge) -> Result<Self, VerifyError> {
        let (jobs, to_do) = channel::<Job>();
        let (answer, answers) = channel();
        let (send_alarm, alarm) = channel();
        let clock = Arc::new(Clock { epoch: Instant::now(), began_micros: AtomicU64::new(0) });
        let worker_clock = Arc::clone(&clock);
        let work = move || {
            if send_alarm.send(Alarm::of_this_thread()).is_err() {
                return;
            }
            while let Ok(job) = to_do.recv() {
                let begin = || worker_clock.begin();
                // What a panic leaves behind is dropped with this thread.
                let judged = catch_unwind(AssertUnwindSafe(|| {
                    judge(&job.program, &job.tests, &job.matching, &config, &begin)
                }));
                let (message, goes_on) = match judged {
                    Ok(judged) => (Answer::Judged(judged), true),
                    Err(panic) => (Answer::Panicked(panic_message(panic.as_ref())), false),
                };
                if answer.send(message).is_err() || !goes_on {
                    return;
                }
            }
        };
        let failed = |what: &str| VerifyError::Failed(format!("cannot start a thread: {what}"));
        thread::Builder::new()
            .name("monty".into())
            .stack_size(STACK_BYTES)
            .spawn(work)
            .map_err(|error| failed(&error.to_string()))?;
        let alarm = alarm.recv().map_err(|_| failed("it ended at once"))?;
        Ok(Self { jobs, answers, clock, alarm })
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(program: &str) -> Job {
        Job {
            program: program.into(),
            tests: vec![TestCase::Assert { code: String::new(), calls: vec![] }],
            matching: Matching::Exact,
        }
    }

    /// Passes; panics on `panic`, and on `slow` goes on for two seconds, whatever the limit.
    fn quick(
        program: &str,
        tests: &[TestCase],
        _: &Matching,
        _: &MontyConfig,
        _: &dyn Fn(),
    ) -> Result<Verdict, VerifyError> {
        match program {
            "panic" => panic!("as asked"),
            "slow" => thread::sleep(Duration::from_secs(2)),
            _ => {}
        }
        let total = tests.len();
        Ok(Verdict { outcome: Outcome::Pass, passed: total, total, detail: String::new(), seconds: 0.0 })
    }

    fn workers(seconds: f64) -> Workers {
        let config = MontyConfig { seconds, ..MontyConfig::default() };
        Workers { judge: quick, most_left_behind: 1, ..Workers::new(config) }
    }

    #[test]
    fn a_panic_is_an_error_and_the_next_program_gets_another_thread() {
        // To print a backtrace takes a while.
        let workers = workers(30.0);
        let error = workers.judge(job("panic")).unwrap_err();
        assert_eq!(error.to_string(), "the verifier failed: the interpreter panicked: as asked");
        assert!(workers.judge(job("")).unwrap().passes());
        assert_eq!(workers.idle.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_thread_that_does_not_come_back_is_left_behind_until_it_does() {
        let workers = workers(0.01);
        let begin = Instant::now();
        assert_eq!(workers.judge(job("slow")).unwrap().outcome, Outcome::Timeout);
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        let error = workers.judge(job("")).unwrap_err();
        assert!(error.to_string().contains("1 earlier programs still run"), "{error}");
        let deadline = Instant::now() + Duration::from_secs(30);
        while workers.left_behind.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < deadline, "it was never noticed that the thread ended");
            thread::sleep(Duration::from_millis(10));
        }
        assert!(workers.judge(job("")).unwrap().passes());
    }
}
