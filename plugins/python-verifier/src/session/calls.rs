//! Tests that ask what a program's functions return.

use std::time::Instant;

use pspo::plugin::{Outcome, VerifyError};
use pspo::sandbox::{Event, Running};
use serde_json::{Value, json};

use super::{Answer, Loaded, Session, TestResult, tampered};
use crate::asks::Ask;
use crate::channel::Channel;
use crate::outcome::{Failure, raised};

impl Session<'_> {
    /// Tests that ask what functions return, up to the first that fails unless all are to be run, or as far as the
    /// program lives: the rest is for another process.
    pub fn calls(&mut self, tests: &[&[Ask]]) -> Result<Vec<TestResult>, VerifyError> {
        let Loaded { mut running, mut channel, .. } = match self.load(tests.len(), &[])? {
            Ok(loaded) => loaded,
            Err(failure) => return Ok(vec![Err(failure); tests.len()]),
        };
        let mut results = Vec::new();
        let mut first = 0;
        for asks in tests {
            let until = Instant::now() + self.limits.wall();
            let asked = self.ask_all(&mut running, &mut channel, first, asks, until)?;
            first += asks.len();
            let result = match asked {
                Asked::Answered(result) => result,
                Asked::Failed(failure) => {
                    results.push(Err(failure));
                    break;
                }
                Asked::Over(event) => {
                    results.push(Err(self.conclude(running, event, until)?));
                    break;
                }
            };
            let failed = result.is_err();
            results.push(result);
            if failed && !self.run_all {
                break;
            }
        }
        Ok(results)
    }

    /// Asks what one test asks, under the numbers from `first` on, up to an answer that is wrong.
    fn ask_all(
        &self,
        running: &mut Running,
        channel: &mut Channel,
        first: usize,
        asks: &[Ask],
        until: Instant,
    ) -> Result<Asked, VerifyError> {
        // Behind a wrong answer nothing more may be asked, since that could show in later tests; if those will not be
        // run, all is asked at once.
        let ahead = if self.run_all { 1 } else { asks.len() };
        let numbered: Vec<_> = (first..).zip(asks).collect();
        for some in numbered.chunks(ahead.max(1)) {
            for (id, ask) in some {
                channel.send(&ask.message(*id));
            }
            for &(id, ask) in some {
                let result = match self.answer(running, channel, until)? {
                    Answer::Message(answer) => self.answered(ask, id, &answer)?,
                    Answer::Failed(failure) => return Ok(Asked::Failed(failure)),
                    Answer::Over(event) => return Ok(Asked::Over(event)),
                };
                match result {
                    Ok(()) => {}
                    Err(failure @ (Outcome::Tamper, _)) => return Ok(Asked::Failed(failure)),
                    wrong => return Ok(Asked::Answered(wrong)),
                }
            }
        }
        Ok(Asked::Answered(Ok(())))
    }

    /// What a program's answer to a question comes to.
    fn answered(&self, ask: &Ask, id: usize, answer: &Value) -> Result<TestResult, VerifyError> {
        if answer.get("id") != Some(&json!(id)) {
            return Ok(Err(tampered()));
        }
        if let Some(got) = answer.get("value") {
            return ask.judge(self.matching, got);
        }
        Ok(Err(if let Some(name) = answer.get("missing").and_then(Value::as_str) {
            (Outcome::Wrong, format!("it does not define `{name}`"))
        } else if let Some(line) = answer.pointer("/raised/1").and_then(Value::as_str) {
            (raised(line), line.to_owned())
        } else {
            tampered()
        }))
    }
}

/// What came of the questions of a test.
enum Asked {
    /// The test's result, by a process that goes on.
    Answered(TestResult),
    /// The process is not to be asked again.
    Failed(Failure),
    Over(Event),
}
