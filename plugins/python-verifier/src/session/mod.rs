//! One program judged: its processes, and what is said to them and by them.
//!
//! What a program's process says is a claim. It is held against the protocol, and whatever does not fit (a message
//! too many, an answer to no question, bytes that are none) is tampering.

mod calls;
mod code;
mod run;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use pspo::data::Matching;
use pspo::plugin::{Outcome, VerifyError};
use pspo::sandbox::{Event, ForkServer, Group, Heard, Limits, Running};
use pspo::verify::{failed, silence};
use serde_json::{Value, json};

use crate::channel::{Channel, Incoming, read};
use crate::outcome::{Failure, failure, raised};
use crate::servers::CANDIDATE;

/// What one test came to.
pub(crate) type TestResult = Result<(), Failure>;

/// A program that is being judged.
pub(crate) struct Session<'a> {
    pub server: &'a mut ForkServer,
    pub program: &'a str,
    pub matching: &'a Matching,
    pub limits: &'a Limits,
    pub run_all: bool,
}

/// A program that has run once and answers.
struct Loaded {
    running: Running,
    channel: Channel,
    /// The names that it defines.
    names: Vec<String>,
}

impl Session<'_> {
    /// Runs the program once, up to where it answers.
    fn load(
        &mut self,
        tests: usize,
        peers: &[BorrowedFd<'_>],
    ) -> Result<Result<Loaded, Failure>, VerifyError> {
        let (mut channel, inner) = Channel::new()?;
        let fds = [&[inner.as_fd()], peers].concat();
        let mut running = self.server.fork(CANDIDATE, Group::Program, b"", &fds).map_err(failed)?;
        drop(inner);
        channel.send(&self.job("serve", Vec::new(), tests));
        let until = running.started() + self.limits.wall();
        let mut begun = false;
        loop {
            let message = match self.answer(&mut running, &mut channel, until)? {
                Answer::Message(message) => message,
                Answer::Failed(failure) => return Ok(Err(failure)),
                Answer::Over(event) if begun => return Ok(Err(self.conclude(running, event, until)?)),
                Answer::Over(event) => {
                    let ended = running.end().map_err(failed)?;
                    return not_begun(failure(event, &ended, self.limits)).map(Err);
                }
            };
            let text = |key: &str| message.get(key).and_then(Value::as_str);
            if !begun && message == json!({"begun": true}) {
                begun = true;
            } else if let (false, Some(line)) = (begun, text("compile")) {
                return Ok(Err((Outcome::Compile, line.to_owned())));
            } else if let (true, Some(names)) = (begun, message.get("ready").and_then(Value::as_array)) {
                let Some(names) = names.iter().map(Value::as_str).collect::<Option<Vec<_>>>() else {
                    return Ok(Err(tampered()));
                };
                let names = names.into_iter().map(str::to_owned).collect();
                return Ok(Ok(Loaded { running, channel, names }));
            } else if let (true, Some(line)) = (begun, text("raised")) {
                return Ok(Err((raised(line), line.to_owned())));
            } else if let (true, Some(status)) = (begun, message.get("exited").and_then(Value::as_i64)) {
                let outcome = if status == 0 { Outcome::Wrong } else { Outcome::Runtime };
                return Ok(Err((outcome, format!("it exited with status {status} before the tests"))));
            } else {
                return Ok(Err(tampered()));
            }
        }
    }

    /// The next message of a process, if one comes.
    fn answer(
        &self,
        running: &mut Running,
        channel: &mut Channel,
        until: Instant,
    ) -> Result<Answer, VerifyError> {
        Ok(match running.hear(&mut channel.0, until).map_err(failed)? {
            Heard::Message(bytes) => match read(&bytes) {
                Incoming::Message(message) => Answer::Message(message),
                Incoming::TooMuch => Answer::Failed(too_much()),
                _ => Answer::Failed(tampered()),
            },
            Heard::Garbage => Answer::Failed(tampered()),
            Heard::Over(event) => Answer::Over(event),
        })
    }

    /// How a program failed that answers no more.
    fn conclude(&self, running: Running, event: Event, until: Instant) -> Result<Failure, VerifyError> {
        silence(running, event, until, self.limits, raised)
    }

    /// What a process is to do, for `tests` tests.
    fn job(&self, role: &str, variables: Vec<Value>, tests: usize) -> Value {
        let cpu_seconds = self.limits.whole_cpu_seconds().saturating_mul(tests as u64).min(3600);
        json!({"role": role, "program": self.program, "variables": variables, "cpu_seconds": cpu_seconds})
    }
}

/// What came of waiting for a message.
enum Answer {
    Message(Value),
    Failed(Failure),
    Over(Event),
}

fn too_much() -> Failure {
    (Outcome::Output, "returned more values than are read".into())
}

fn tampered() -> Failure {
    (Outcome::Tamper, "it wrote to the verifier's own channel".into())
}

/// A program at which the interpreter failed before the program had begun: what it did was to compile it.
fn not_begun(failure: Option<Failure>) -> Result<Failure, VerifyError> {
    match failure {
        Some((Outcome::Runtime, what)) => Ok((Outcome::Compile, format!("while it was compiled: {what}"))),
        Some(failure) => Ok(failure),
        None => Err(VerifyError::Failed("the interpreter ended before the program began".into())),
    }
}
