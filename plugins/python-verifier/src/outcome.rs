//! What the end of a program says.

use std::os::unix::process::ExitStatusExt;

use pspo::plugin::Outcome;
use pspo::sandbox::{Ended, Event, Limits};

/// How a test failed.
pub(crate) type Failure = (Outcome, String);

/// Signals, by their numbers here.
const SIGKILL: i32 = 9;
const SIGSYS: i32 = 31;

/// What `event` and the end that it led to say, if they say that something failed.
pub(crate) fn failure(event: Event, ended: &Ended, limits: &Limits) -> Option<Failure> {
    let seconds = limits.wall_seconds;
    match event {
        Event::Deadline if ended.at_process_limit => {
            let processes = limits.processes;
            return Some((Outcome::Processes, format!("{processes} processes and threads ran at the end")));
        }
        // Its main thread may be waiting for the threads that it could start.
        Event::Deadline if raised(&last_line(&ended.stderr)) == Outcome::Processes => {
            return Some((Outcome::Processes, last_line(&ended.stderr)));
        }
        Event::Deadline => return Some((Outcome::Timeout, format!("ran for more than {seconds} s"))),
        Event::TooMuchOutput => {
            return Some((Outcome::Output, format!("wrote more than {} bytes", limits.output_bytes)));
        }
        _ => {}
    }
    if ended.out_of_memory {
        return Some((Outcome::Memory, "all its processes together held too much memory".into()));
    }
    let Some(status) = ended.status else {
        return Some((Outcome::Runtime, "it ended without an exit status".into()));
    };
    if let Some(signal) = status.signal() {
        // The kernel counts ticks against the limit, which on a busy machine are more than the time taken.
        let out_of_time = ended.cpu_seconds.is_some_and(|cpu| cpu > 0.5 * limits.whole_cpu_seconds() as f64);
        return Some(match signal {
            SIGKILL if out_of_time => (
                Outcome::Timeout,
                format!("took more than {} s of processor time", limits.whole_cpu_seconds()),
            ),
            SIGSYS => (Outcome::Tamper, "killed by a forbidden system call".into()),
            signal => (Outcome::Runtime, format!("killed by signal {signal}")),
        });
    }
    if status.success() {
        return None;
    }
    let line = last_line(&ended.stderr);
    let code = status.code().unwrap_or_default();
    Some((raised(&line), if line.is_empty() { format!("exit status {code}") } else { line }))
}

/// The outcome that the last line of a traceback says.
pub(crate) fn raised(line: &str) -> Outcome {
    if line.starts_with("MemoryError") {
        Outcome::Memory
    } else if line.starts_with("BlockingIOError: [Errno 11]")
        || line.starts_with("RuntimeError: can't start new thread")
    {
        Outcome::Processes
    } else {
        Outcome::Runtime
    }
}

/// The last line with text, shortened, in printable characters.
fn last_line(stderr: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(LONGEST).map(|char| if char.is_control() { '?' } else { char }).collect()
}
