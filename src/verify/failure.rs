//! What the end of a program in the sandbox says: of a run by itself ([`failure`]), of one whose output is compared
//! ([`run_failure`]), of a compiler ([`build_failure`]).

use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use super::{Failure, excerpt, failed, output_failure};
use crate::data::Matching;
use crate::plugin::{Outcome, VerifyError};
use crate::sandbox::{Ended, Event, Limits, Running};

/// Signals, by their numbers here.
const SIGKILL: i32 = 9;
const SIGSYS: i32 = 31;

/// What `event` and the end that it led to say, if they say that something failed. `of_line` tells which outcome the last
/// line on standard error speaks of, as a language's own errors do.
///
/// Whether the answer is right is not asked here: `None` is a program that ended by itself, with exit status 0.
pub fn failure(
    event: Event,
    ended: &Ended,
    limits: &Limits,
    of_line: impl Fn(&str) -> Outcome,
) -> Option<Failure> {
    let seconds = limits.wall_seconds;
    match event {
        Event::Deadline if ended.at_process_limit => {
            let processes = limits.processes;
            return Some((Outcome::Processes, format!("{processes} processes and threads ran at the end")));
        }
        // Its main thread may be waiting for the threads that it could start.
        Event::Deadline if of_line(&last_line(&ended.stderr)) == Outcome::Processes => {
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
            signal => match last_line(&ended.stderr) {
                line if line.is_empty() => (Outcome::Runtime, format!("killed by signal {signal}")),
                line => (of_line(&line), format!("killed by signal {signal}: {line}")),
            },
        });
    }
    if status.success() {
        return None;
    }
    let line = last_line(&ended.stderr);
    let code = status.code().unwrap_or_default();
    Some((of_line(&line), if line.is_empty() { format!("exit status {code}") } else { line }))
}

/// How a run failed that is to print `expected` by `rule`: by itself, or by what it printed.
///
/// # Errors
/// As [`matches_output`](super::matches_output).
pub fn run_failure(
    event: Event,
    ended: &Ended,
    limits: &Limits,
    of_line: impl Fn(&str) -> Outcome,
    rule: &Matching,
    expected: &str,
) -> Result<Option<Failure>, VerifyError> {
    match failure(event, ended, limits, of_line) {
        Some(failure) => Ok(Some(failure)),
        None => output_failure(rule, expected, &ended.stdout),
    }
}

/// How a program failed that answers no more, by [`Heard::Over`](crate::sandbox::Heard::Over): it had tests to answer.
///
/// # Errors
/// If the sandbox fails.
pub fn silence(
    running: Running,
    event: Event,
    until: Instant,
    limits: &Limits,
    of_line: impl Fn(&str) -> Outcome,
) -> Result<Failure, VerifyError> {
    let (event, ended) = running.end_after(event, until).map_err(failed)?;
    let exited = || (Outcome::Wrong, "it exited before the tests were done".into());
    Ok(failure(event, &ended, limits, of_line).unwrap_or_else(exited))
}

/// How a program fails to compile, if it does: with the compiler's first error, or how the compiler ended. Whatever
/// that fails at, it is the program that makes it do so.
pub fn build_failure(event: Event, ended: &Ended, limits: &Limits) -> Option<Failure> {
    let (_, what) = failure(event, ended, limits, |_| Outcome::Compile)?;
    let said = String::from_utf8_lossy(&ended.stderr);
    let tells = |line: &&str| ["error", "undefined reference"].iter().any(|word| line.contains(word));
    let error = said.lines().find(tells).map(excerpt);
    Some((Outcome::Compile, error.unwrap_or(what)))
}

/// The last line with text, shortened, in printable characters.
fn last_line(stderr: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(LONGEST).map(|char| if char.is_control() { '?' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Program, Sandbox, SandboxConfig};

    fn ended(script: &str) -> Option<Failure> {
        let limits = Limits { wall_seconds: 0.5, output_bytes: 100, processes: 5, ..Limits::default() };
        let sandbox = Sandbox::new(SandboxConfig { limits, ..SandboxConfig::default() }).unwrap();
        let running = sandbox.start(&Program::new("/bin/sh").args(["-c", script])).unwrap();
        let (event, ended) = running.wait_to_end().unwrap();
        failure(event, &ended, sandbox.limits(), |_| Outcome::Runtime)
    }

    #[test]
    fn each_end_has_its_outcome() {
        assert_eq!(ended("true"), None);
        for (script, outcome, says) in [
            ("exit 3", Outcome::Runtime, "exit status 3"),
            ("echo one; echo two >&2; exit 1", Outcome::Runtime, "two"),
            ("printf 'a\\033[1m\\n' >&2; exit 1", Outcome::Runtime, "a?[1m"),
            ("kill -ABRT $$", Outcome::Runtime, "killed by signal 6"),
            ("kill -SYS $$", Outcome::Tamper, "killed by a forbidden system call"),
            ("sleep 10", Outcome::Timeout, "ran for more than 0.5 s"),
            ("while :; do echo more; done", Outcome::Output, "wrote more than 100 bytes"),
            (
                "for i in 1 2 3 4 5 6 7 8; do sleep 10 & done; sleep 10",
                Outcome::Processes,
                "processes and threads",
            ),
        ] {
            let (found, what) = ended(script).unwrap_or_else(|| panic!("{script} has not failed"));
            assert_eq!(found, outcome, "{script}: {what}");
            assert!(what.contains(says), "{script}: {what}");
        }
    }
}
