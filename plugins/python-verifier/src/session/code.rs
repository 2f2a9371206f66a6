//! Tests that are code, run by a trusted process.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use pspo::plugin::{Outcome, VerifyError};
use pspo::sandbox::{Event, Running};
use pspo::verify::failed;
use serde_json::{Value, json};

use super::{Loaded, Session, TestResult, tampered};
use crate::channel::Incoming;
use crate::outcome::{failure, raised};
use crate::servers::judge;

impl Session<'_> {
    /// Tests that are code, run by a trusted process that reaches the program through plain data alone. As for
    /// [`Session::calls`], not all need have been run.
    pub fn asserts(&mut self, tests: &[(&str, &[String])]) -> Result<Vec<TestResult>, VerifyError> {
        let (peer, judges_peer) = UnixStream::pair().map_err(failed)?;
        let mut judge = judge(self.server)?;
        let loaded = self.load(tests.len(), &[peer.as_fd()])?;
        drop(peer);
        let Loaded { running: mut candidate, channel: mut claims, names } = match loaded {
            Ok(loaded) => loaded,
            Err(failure) => return Ok(vec![Err(failure); tests.len()]),
        };
        // Those that the tests can mean; a program may define any number, of any length.
        let meant = |name: &String| {
            tests.iter().any(|(code, calls)| calls.contains(name) || code.contains(name.as_str()))
        };
        let names: Vec<_> = names.iter().filter(|name| meant(name)).collect();
        let job = json!({"role": "tests", "tests": tests, "names": names, "run_all": self.run_all});
        judge.channel.send_with(&job, Some(judges_peer.as_fd()))?;
        drop(judges_peer);

        let mut results = Vec::new();
        let mut until = Instant::now() + self.limits.wall();
        let (mut candidate_ended, mut gone) = (false, false);
        loop {
            let message = match judge.channel.receive() {
                Incoming::Message(message) => message,
                Incoming::Nothing => {
                    let mut both = vec![&mut judge.running];
                    if !candidate_ended {
                        both.push(&mut candidate);
                    }
                    match Running::wait_for(&mut both, judge.channel.watch(), until).map_err(failed)? {
                        (_, Event::Ready) | (0, Event::Ended) => {}
                        (1, Event::Ended) => candidate_ended = true,
                        (_, event @ Event::Deadline) | (1, event) => {
                            results.push(Err(self.conclude(candidate, event, until)?));
                            return Ok(results);
                        }
                        (_, _) => {
                            return Err(VerifyError::Unsupported("test code that prints without end".into()));
                        }
                    }
                    continue;
                }
                Incoming::Closed | Incoming::Garbage | Incoming::TooMuch => {
                    let ended = judge.running.end().map_err(failed)?;
                    let why =
                        failure(Event::Ended, &ended, self.limits).map_or(String::new(), |(_, what)| what);
                    return Err(VerifyError::Failed(format!("the process that runs the tests ended: {why}")));
                }
            };
            if message.get("done").is_some() {
                break;
            }
            if message.get("gone").is_some() {
                gone = true;
                continue;
            }
            results.push(judged(&message)?);
            until = Instant::now() + self.limits.wall();
        }
        if gone {
            results.push(Err(self.conclude(candidate, Event::Ended, until)?));
            return Ok(results);
        }
        // Nothing was asked of it there.
        if !matches!(claims.receive(), Incoming::Nothing | Incoming::Closed) {
            results.pop();
            results.push(Err(tampered()));
        }
        Ok(results)
    }
}

/// What a trusted process says of a test.
pub(super) fn judged(message: &Value) -> Result<TestResult, VerifyError> {
    let text = |key: &str| message.get(key).and_then(Value::as_str);
    if message.get("passed") == Some(&json!(true)) {
        Ok(Ok(()))
    } else if let Some(what) = text("wrong") {
        Ok(Err((Outcome::Wrong, what.to_owned())))
    } else if let Some(line) = text("raised") {
        Ok(Err((raised(line), line.to_owned())))
    } else if message.get("tampered").is_some() {
        Ok(Err(tampered()))
    } else if let Some(what) = text("unsupported") {
        Err(VerifyError::Unsupported(what.to_owned()))
    } else {
        Err(VerifyError::Failed(format!("the process that runs the tests said {message}")))
    }
}
