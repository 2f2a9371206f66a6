//! One test run: its processes, and what is said to them and by them.
//!
//! What a program's process says is a claim. It is held against the protocol, and whatever does not fit (an answer to
//! no question, bytes that are none) is tampering. Tests and program have no connection but this process, which passes
//! whole messages on: neither has a descriptor of the other's, and who waits for whom is known here.

use std::os::fd::AsFd;
use std::time::Instant;

use pspo::data::Matching;
use pspo::plugin::{Outcome, VerifyError};
use pspo::sandbox::{Channel, Event, Heard, Incoming, InnerFile, Limits, Program, Running, Sandbox};
use pspo::verify::{self, Failure, excerpt, failed, matches_value, run_failure, silence};
use serde_json::Value;

use crate::wire::{self, NotJson};

/// Bytes of a message, at most; as in `wire.hpp`, and what stands around a value.
const LARGEST_MESSAGE: u64 = (16 << 20) + 64;

/// Where a process finds its end of the channel; as in `wire.hpp`.
const CHANNEL: &str = "PSPO_CHANNEL";

/// What one test came to.
pub(crate) type TestResult = Result<(), Failure>;

/// Runs binaries.
pub(crate) struct Runner(pub Sandbox);

/// A process that speaks on a channel.
struct Speaker {
    running: Running,
    channel: Channel,
}

/// What came of waiting for an answer.
enum Answer {
    Message(Vec<u8>),
    Failed(Failure),
    Over(Event),
}

impl Runner {
    /// One run whose output is compared.
    pub fn run(
        &self,
        binary: &[u8],
        stdin: &str,
        expected: &str,
        matching: &Matching,
    ) -> Result<TestResult, VerifyError> {
        let program = program(binary).stdin(stdin.as_bytes());
        let (event, ended) = self.0.start(&program).and_then(|it| it.wait_to_end()).map_err(failed)?;
        Ok(match run_failure(event, &ended, self.limits(), thrown, matching, expected)? {
            Some(failure) => Err(failure),
            None => Ok(()),
        })
    }

    /// One call of the function with this number.
    pub fn call(
        &self,
        binary: &[u8],
        function: u32,
        arguments: &[Value],
        expected: &Value,
        matching: &Matching,
    ) -> Result<TestResult, VerifyError> {
        let mut program = self.start(binary)?;
        let until = program.running.started() + self.limits().wall();
        let mut question = function.to_le_bytes().to_vec();
        arguments.iter().for_each(|argument| wire::from_json(argument, &mut question));
        let answer = match self.ask(&mut program, 1, &question, until)? {
            Answer::Message(answer) => answer,
            Answer::Failed(failure) => return Ok(Err(failure)),
            Answer::Over(event) => return self.conclude(program.running, event, until).map(Err),
        };
        let got = match wire::to_json(&answer) {
            Ok(got) => got,
            Err(NotJson::Malformed) => return Ok(Err(tampered())),
            Err(NotJson::Other(what)) => return Ok(Err((Outcome::Wrong, format!("returned {what}")))),
        };
        if matches_value(matching, expected, &got)? {
            return Ok(Ok(()));
        }
        let (got, expected) = (excerpt(&got.to_string()), excerpt(&expected.to_string()));
        Ok(Err((Outcome::Wrong, format!("returned {got}, not {expected}"))))
    }

    /// Tests that assert, with the program that they call.
    pub fn assert(&self, judge: &[u8], binary: &[u8]) -> Result<TestResult, VerifyError> {
        let mut judge = self.start(judge)?;
        let mut program = self.start(binary)?;
        let until = program.running.started() + self.limits().wall();
        let (mut questions, mut done, mut program_ended) = (0, false, false);
        loop {
            let message = match judge.channel.receive() {
                Incoming::Message(message) => message,
                Incoming::Nothing => {
                    let mut both = vec![&mut judge.running];
                    if !program_ended {
                        both.push(&mut program.running);
                    }
                    match Running::wait_for(&mut both, judge.channel.watch(), until).map_err(failed)? {
                        (_, Event::Ready) | (0, Event::Ended) => {}
                        // The tests may need it no more.
                        (1, Event::Ended) => program_ended = true,
                        (_, event @ Event::Deadline) | (1, event) => {
                            return self.conclude(program.running, event, until).map(Err);
                        }
                        // It may be an answer that they print.
                        (_, _) if questions > 0 => {
                            let what = "with what it returned, the tests wrote too much";
                            return Ok(Err((Outcome::Output, what.into())));
                        }
                        (_, _) => {
                            return Err(VerifyError::Unsupported("test code that prints without end".into()));
                        }
                    }
                    continue;
                }
                _ => break,
            };
            match message.split_first() {
                Some((b'c', question)) if !done => {
                    if !matches!(program.channel.receive(), Incoming::Nothing | Incoming::Closed) {
                        return Ok(Err(tampered()));
                    }
                    questions += 1;
                    match self.ask(&mut program, questions, question, until)? {
                        Answer::Message(answer) => judge.channel.send(&answer),
                        Answer::Failed(failure) => return Ok(Err(failure)),
                        Answer::Over(event) => return self.conclude(program.running, event, until).map(Err),
                    }
                }
                Some((b'w', what)) => {
                    const LONGEST: usize = 200;
                    let what: String = String::from_utf8_lossy(what).chars().take(LONGEST).collect();
                    return Ok(Err((Outcome::Wrong, format!("failed at {what}"))));
                }
                Some((b'x', _)) => {
                    return Ok(Err((Outcome::Wrong, "returned a value of another type, or NaN".into())));
                }
                Some((b't', _)) => return Ok(Err(tampered())),
                Some((b'd', [])) => done = true,
                _ => return Err(VerifyError::Failed(format!("the tests' process said {message:?}"))),
            }
        }
        self.judged(judge.running, done, questions, until, &mut program.channel)
    }

    /// What it means that the tests' process has closed its end.
    fn judged(
        &self,
        judge: Running,
        done: bool,
        questions: u64,
        until: Instant,
        claims: &mut Channel,
    ) -> Result<TestResult, VerifyError> {
        let (event, ended) = judge.end_after(Event::Ended, until).map_err(failed)?;
        match verify::failure(event, &ended, self.limits(), thrown) {
            None if done => {
                // Nothing was asked of it there.
                let silent = matches!(claims.receive(), Incoming::Nothing | Incoming::Closed);
                Ok(if silent { Ok(()) } else { Err(tampered()) })
            }
            // They have used what it returned, which may be no value that they can use: a vector that is too short.
            Some((outcome, what)) if questions > 0 => {
                Ok(Err((outcome, format!("with what it returned, the tests ended: {what}"))))
            }
            failure => {
                let what = failure.map_or("ended before its end".into(), |(_, what)| what);
                Err(VerifyError::Failed(format!("the tests' process: {what}")))
            }
        }
    }

    /// Starts a binary that speaks.
    fn start(&self, binary: &[u8]) -> Result<Speaker, VerifyError> {
        let (channel, other) = Channel::new(LARGEST_MESSAGE).map_err(failed)?;
        let program = program(binary).descriptor(CHANNEL, other.as_fd());
        Ok(Speaker { running: self.0.start(&program).map_err(failed)?, channel })
    }

    /// Asks a program, and returns the value that it answers.
    fn ask(
        &self,
        program: &mut Speaker,
        number: u64,
        question: &[u8],
        until: Instant,
    ) -> Result<Answer, VerifyError> {
        program.channel.send(&[&number.to_le_bytes()[..], question].concat());
        let message = match program.running.hear(&mut program.channel, until).map_err(failed)? {
            Heard::Message(message) => message,
            Heard::Garbage => return Ok(Answer::Failed(tampered())),
            Heard::Over(event) => return Ok(Answer::Over(event)),
        };
        Ok(match message.strip_prefix(&number.to_le_bytes()).and_then(<[u8]>::split_first) {
            Some((b'v', value)) => Answer::Message(value.to_vec()),
            Some((b'x', [])) => {
                Answer::Failed((Outcome::Wrong, "its parameters do not take the test's arguments".into()))
            }
            Some((b'o', [])) => Answer::Failed((Outcome::Output, "returned more than 16 MiB".into())),
            _ => Answer::Failed(tampered()),
        })
    }

    /// How a program failed that answers no more.
    fn conclude(&self, running: Running, event: Event, until: Instant) -> Result<Failure, VerifyError> {
        silence(running, event, until, self.limits(), thrown)
    }

    fn limits(&self) -> &Limits {
        self.0.limits()
    }
}

fn program(binary: &[u8]) -> Program<'_> {
    Program::new("./main").file(InnerFile { name: "main", contents: binary, executable: true })
}

/// The outcome that the last line on standard error speaks of: an exception that nobody caught.
fn thrown(line: &str) -> Outcome {
    if line.contains("std::bad_alloc") {
        Outcome::Memory
    } else if line.starts_with("what():") && line.ends_with("Resource temporarily unavailable") {
        Outcome::Processes
    } else {
        Outcome::Runtime
    }
}

fn tampered() -> Failure {
    (Outcome::Tamper, "it wrote to the verifier's own channel".into())
}
