//! One program judged: its processes, and what is said to them and by them.
//!
//! What a program's process says is a claim. It is held against the protocol, and whatever does not fit (a message
//! too many, an answer to no question, bytes that are none) is tampering.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use pspo::data::{Matching, TestCase};
use pspo::plugin::{Outcome, VerifyError};
use pspo::sandbox::{Event, ForkServer, Group, Limits, Running, Watch};
use pspo::verify::{excerpt, failed, matches_output};
use serde_json::{Value, json};

use crate::channel::{Channel, Incoming};
use crate::outcome::{Failure, failure, raised};
use crate::plain;
use crate::servers::{CANDIDATE, judge};

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
        let Ok(printed) = String::from_utf8(ended.stdout) else {
            return Ok(Err((Outcome::Wrong, "printed bytes that are no UTF-8".into())));
        };
        if let Matching::Checker { code } = self.matching {
            return self.check(code, stdin, expected, &printed);
        }
        if matches_output(self.matching, expected, &printed)? {
            return Ok(Ok(()));
        }
        Ok(Err((Outcome::Wrong, format!("printed {}, not {}", excerpt(&printed), excerpt(expected)))))
    }

    /// Tests that call functions, up to the first that fails unless all are to be run, or as far as the program
    /// lives: the rest is for another process.
    pub fn calls(&mut self, tests: &[TestCase]) -> Result<Vec<TestResult>, VerifyError> {
        let Loaded { mut running, mut channel, .. } = match self.load(tests.len(), &[])? {
            Ok(loaded) => loaded,
            Err(failure) => return Ok(vec![Err(failure); tests.len()]),
        };
        let mut results = Vec::new();
        for (id, test) in tests.iter().enumerate() {
            let TestCase::Call { function, arguments, expected } = test else { break };
            let arguments: Vec<_> = arguments.iter().map(plain::from_json).collect();
            channel.send(&json!({"id": id, "do": "call", "target": function, "with": [arguments, {}]}));
            let until = Instant::now() + self.limits.wall();
            let answer = match self.answer(&mut running, &mut channel, until)? {
                Answer::Message(answer) => answer,
                Answer::Failed(failure) => {
                    results.push(Err(failure));
                    return Ok(results);
                }
                Answer::Over(event) => {
                    results.push(Err(self.conclude(running, event, until)?));
                    return Ok(results);
                }
            };
            let text = |key: &str| answer.get(key).and_then(Value::as_str);
            let result = if answer.get("id") != Some(&json!(id)) {
                Err(tampered())
            } else if let Some(got) = answer.get("value") {
                let wrong = || {
                    format!(
                        "returned {}, not {}",
                        excerpt(&plain::shown(got)),
                        excerpt(&expected.to_string())
                    )
                };
                plain::is_expected(self.matching, expected, got)?
                    .then_some(())
                    .ok_or_else(|| (Outcome::Wrong, wrong()))
            } else if let Some(name) = text("missing") {
                Err((Outcome::Wrong, format!("it does not define `{name}`")))
            } else if let Some(line) = answer.pointer("/raised/1").and_then(Value::as_str) {
                Err((raised(line), line.to_owned()))
            } else {
                Err(tampered())
            };
            let goes_on = match &result {
                Ok(()) => true,
                Err((Outcome::Tamper, _)) => false,
                Err(_) => self.run_all,
            };
            results.push(result);
            if !goes_on {
                break;
            }
        }
        Ok(results)
    }

    /// Tests that are code, run by a trusted process that reaches the program through plain data alone. As for
    /// [`Session::calls`], not all need have been run.
    pub fn asserts(&mut self, tests: &[TestCase]) -> Result<Vec<TestResult>, VerifyError> {
        let (peer, judges_peer) = UnixStream::pair().map_err(failed)?;
        let mut judge = judge(self.server)?;
        let loaded = self.load(tests.len(), &[peer.as_fd()])?;
        drop(peer);
        let Loaded { running: mut candidate, channel: mut claims, names } = match loaded {
            Ok(loaded) => loaded,
            Err(failure) => return Ok(vec![Err(failure); tests.len()]),
        };
        let codes: Vec<_> = tests
            .iter()
            .filter_map(|test| match test {
                TestCase::Assert { code, calls } => Some((code, calls)),
                _ => None,
            })
            .collect();
        // Those that the tests can mean; a program may define any number, of any length.
        let meant = |name: &String| {
            codes.iter().any(|(code, calls)| calls.contains(name) || code.contains(name.as_str()))
        };
        let names: Vec<_> = names.iter().filter(|name| meant(name)).collect();
        let job = json!({"role": "tests", "tests": codes, "names": names, "run_all": self.run_all});
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
                Incoming::Closed | Incoming::Garbage => {
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
        if matches!(claims.receive(), Incoming::Message(_) | Incoming::Garbage) {
            results.pop();
            results.push(Err(tampered()));
        }
        Ok(results)
    }

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

    /// The next message of a process, if one comes.
    fn answer(
        &self,
        running: &mut Running,
        channel: &mut Channel,
        until: Instant,
    ) -> Result<Answer, VerifyError> {
        loop {
            match channel.receive() {
                Incoming::Message(message) => return Ok(Answer::Message(message)),
                Incoming::Garbage => return Ok(Answer::Failed(tampered())),
                Incoming::Closed => return Ok(Answer::Over(Event::Ended)),
                Incoming::Nothing => {}
            }
            match running.wait(channel.watch(), until).map_err(failed)? {
                Event::Ready => {}
                // What it said last may still be there to read.
                Event::Ended => match channel.receive() {
                    Incoming::Message(message) => return Ok(Answer::Message(message)),
                    Incoming::Garbage => return Ok(Answer::Failed(tampered())),
                    Incoming::Closed | Incoming::Nothing => return Ok(Answer::Over(Event::Ended)),
                },
                event => return Ok(Answer::Over(event)),
            }
        }
    }

    /// How a program failed that answers no more. It may have closed its end and run on.
    fn conclude(&self, mut running: Running, event: Event, until: Instant) -> Result<Failure, VerifyError> {
        let event = match event {
            Event::Ended => {
                running.wait(Watch::Nothing, until.max(Instant::now() + SETTLE)).map_err(failed)?
            }
            event => event,
        };
        let ended = running.end().map_err(failed)?;
        let exited = || (Outcome::Wrong, "it exited before the tests were done".into());
        Ok(failure(event, &ended, self.limits).unwrap_or_else(exited))
    }

    /// What a process is to do, for `tests` tests.
    fn job(&self, role: &str, variables: Vec<Value>, tests: usize) -> Value {
        let cpu_seconds = self.limits.whole_cpu_seconds().saturating_mul(tests as u64).min(3600);
        json!({"role": role, "program": self.program, "variables": variables, "cpu_seconds": cpu_seconds})
    }
}

/// Time for a process that has closed its end to be seen to end.
const SETTLE: Duration = Duration::from_millis(100);

/// What came of waiting for a message.
enum Answer {
    Message(Value),
    Failed(Failure),
    Over(Event),
}

fn tampered() -> Failure {
    (Outcome::Tamper, "it wrote to the verifier's own channel".into())
}

/// Reads what a program that only runs may say: that it begins, or does not compile. The rest is tampering.
fn take_begin(channel: &mut Channel, begun: &mut bool) -> Option<Failure> {
    loop {
        match channel.receive() {
            Incoming::Nothing | Incoming::Closed => return None,
            Incoming::Garbage => return Some(tampered()),
            Incoming::Message(message) => match message.get("compile").and_then(Value::as_str) {
                Some(line) if !*begun => return Some((Outcome::Compile, line.to_owned())),
                _ if !*begun && message == json!({"begun": true}) => *begun = true,
                _ => return Some(tampered()),
            },
        }
    }
}

/// A program at which the interpreter failed before the program had begun: what it did was to compile it.
fn not_begun(failure: Option<Failure>) -> Result<Failure, VerifyError> {
    match failure {
        Some((Outcome::Runtime, what)) => Ok((Outcome::Compile, format!("while it was compiled: {what}"))),
        Some(failure) => Ok(failure),
        None => Err(VerifyError::Failed("the interpreter ended before the program began".into())),
    }
}

/// What a trusted process says of a test.
fn judged(message: &Value) -> Result<TestResult, VerifyError> {
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
