//! [`Jobs`]: threads of a pool's own, on which verdicts are made.

use std::num::NonZeroUsize;
use std::thread;

use rayon::prelude::*;
use thiserror::Error;

/// Threads for verdicts could not be started.
#[derive(Debug, Error)]
#[error("cannot start {jobs} threads to judge programs: {why}")]
pub struct JobsError {
    /// Threads asked for.
    pub jobs: usize,
    /// Why not.
    pub why: String,
}

/// Threads that do nothing else. That they are rayon's lets a verifier use rayon within.
pub(super) struct Jobs(rayon::ThreadPool);

impl Jobs {
    pub fn start(jobs: NonZeroUsize) -> Result<Self, JobsError> {
        let jobs = jobs.get();
        let threads =
            rayon::ThreadPoolBuilder::new().num_threads(jobs).thread_name(|n| format!("verdict-{n}"));
        threads.build().map(Self).map_err(|error| JobsError { jobs, why: error.to_string() })
    }

    /// Calls `work` so many times and waits.
    pub fn run(&self, times: usize, work: &(dyn Fn() + Sync)) {
        if times == 0 {
            return;
        }
        let run = || self.0.install(|| in_parallel(times, work));
        if rayon::current_thread_index().is_none() {
            return run();
        }
        // A thread of rayon's that waits for another pool begins work of its own pool meanwhile: a labeler's
        // thread would begin one shard within another. So another thread waits for it.
        thread::scope(|scope| {
            if thread::Builder::new().spawn_scoped(scope, run).is_err() {
                run();
            }
        });
    }
}

/// Calls `work` so many times, on rayon's threads. Calls may take very different times, so each is taken by itself.
pub(super) fn in_parallel(times: usize, work: &(dyn Fn() + Sync)) {
    (0..times).into_par_iter().with_max_len(1).for_each(|_| work());
}
