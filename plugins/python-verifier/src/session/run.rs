//! Tests that run a program and compare what it prints.

use std::os::fd::AsFd;
use std::time::Instant;

use pspo::data::{Matching, TestCase};
use pspo::plugin::{Outcome, VerifyError};
use pspo::sandbox::{Event, Group};
use pspo::verify::{failed, output_failure};
use serde_json::{Value, json};

use super::code::judged;
use super::{Answer, Session, TestResult, not_begun, tampered};
use crate::channel::{Channel, Incoming};
use crate::outcome::{Failure, failure};
use crate::plain;
use crate::servers::{CANDIDATE, judge};

impl Session<'_> {
    /// One test that runs the program and compares what it prints.
    pub fn run(&mut self, test: &TestCase) -> Result<TestResult, VerifyError> {
        let (variables, stdin, expected) = match test {
            TestCase::Script { variables, stdout } => {
                let variable = |(name, value): (&String, &Value)| json!([name, plain::from_json(value)]);
                (variables.iter().map(variable).collect(), "", stdout)
            }
            TestCase::Stdio { stdin, stdout } => (Vec::new(), stdin.as_str(), stdout),
            other => return Err(VerifyError::Unsupported(format!("a run for {other:?}"))),
        };
        let (mut channel, inner) = Channel::new()?;
        let mut running = self
            .server
            .fork(CANDIDATE, Group::Program, stdin.as_bytes(), &[inner.as_fd()])
            .map_err(failed)?;
        drop(inner);
        channel.send(&self.job("run", variables, 1));
        let mut begun = false;
        let mut said = None;
        let until = running.started() + self.limits.wall();
        let event = loop {
            match running.wait(channel.watch(), until).map_err(failed)? {
                Event::Ready => said = said.or(take_begin(&mut channel, &mut begun)),
                event => break event,
            }
            if said.is_some() {
                break Event::Ended;
            }
        };
        let ended = running.end().map_err(failed)?;
        if let Some(failure) = said.or_else(|| take_begin(&mut channel, &mut begun)) {
            return Ok(Err(failure));
        }
        let failure = failure(event, &ended, self.limits);
        if !begun {
            return not_begun(failure).map(Err);
        }
        if let Some(failure) = failure {
            return Ok(Err(failure));
        }
        if let (Matching::Checker { code }, Ok(printed)) = (self.matching, std::str::from_utf8(&ended.stdout))
        {
            return self.check(code, stdin, expected, printed);
        }
        Ok(output_failure(self.matching, expected, &ended.stdout)?.map_or(Ok(()), Err))
    }

    /// The problem's own checker says whether `printed` is right.
    fn check(
        &mut self,
        code: &str,
        stdin: &str,
        expected: &str,
        printed: &str,
    ) -> Result<TestResult, VerifyError> {
        let mut judge = judge(self.server)?;
        let job = json!({"role": "check", "code": code, "runs": [[stdin, expected, printed]]});
        judge.channel.send_with(&job, None)?;
        let until = Instant::now() + self.limits.wall();
        let mut result = None;
        loop {
            match self.answer(&mut judge.running, &mut judge.channel, until)? {
                Answer::Message(message) if message.get("done").is_some() => break,
                Answer::Message(message) => result = Some(judged(&message)?),
                // It is the program's output that it does not come to an end with.
                _ => return Ok(Err((Outcome::Wrong, "the checker does not come to an end with it".into()))),
            }
        }
        result.ok_or_else(|| VerifyError::Failed("the problem's checker said nothing".into()))
    }
}

/// Reads what a program that only runs may say: that it begins, or does not compile. The rest is tampering.
fn take_begin(channel: &mut Channel, begun: &mut bool) -> Option<Failure> {
    loop {
        match channel.receive() {
            Incoming::Nothing | Incoming::Closed => return None,
            Incoming::Garbage | Incoming::TooMuch => return Some(tampered()),
            Incoming::Message(message) => match message.get("compile").and_then(Value::as_str) {
                Some(line) if !*begun => return Some((Outcome::Compile, line.to_owned())),
                _ if !*begun && message == json!({"begun": true}) => *begun = true,
                _ => return Some(tampered()),
            },
        }
    }
}
