//! [`UnconfinedVerifier`].

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use pspo::data::TestCase;
use pspo::plugin::{Outcome, Submission, Verdict, Verifier, VerifyError};
use pspo::verify::{Failure, Tally, excerpt, failed, output_failure};

use crate::UnconfinedConfig;
use crate::process::{End, Ended, run};

/// Time that building may take, in runs.
const BUILD_FACTOR: u32 = 10;

/// Judges programs by running them as ordinary processes of this user, within limits alone: **no sandbox**.
///
/// It runs tests with standard input and expected output ([`TestCase::Stdio`]).
pub struct UnconfinedVerifier {
    config: UnconfinedConfig,
}

impl UnconfinedVerifier {
    /// A verifier by `config`.
    ///
    /// # Errors
    /// If a limit is out of its bounds, or there is no command to run.
    pub fn new(config: UnconfinedConfig) -> Result<Self, VerifyError> {
        config.check()?;
        Ok(Self { config })
    }

    /// Builds the program, where there is something to build: how that failed, if it did.
    fn build(&self, folder: &Path) -> Result<Option<Failure>, VerifyError> {
        let Self { config } = self;
        if config.build.is_empty() {
            return Ok(None);
        }
        let (cpu, wall) = (config.cpu_seconds * BUILD_FACTOR, config.wall_seconds * f64::from(BUILD_FACTOR));
        let ended = run(config, &config.build, folder, "", cpu, wall).map_err(failed)?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let error = said.lines().find(|line| line.contains("error")).map(excerpt);
        // Whatever a compiler fails at, it is the program that makes it do so.
        Ok(self.failure(&ended, cpu, wall).map(|(_, what)| (Outcome::Compile, error.unwrap_or(what))))
    }

    /// One test: how it failed, if it did.
    fn test(
        &self,
        submission: &Submission<'_>,
        folder: &Path,
        test: &TestCase,
    ) -> Result<Option<Failure>, VerifyError> {
        let Self { config } = self;
        let TestCase::Stdio { stdin, stdout } = test else {
            let what = format!("a test of this kind: {test:?}; a command can be run on standard input alone");
            return Err(VerifyError::Unsupported(what));
        };
        let (cpu, wall) = (config.cpu_seconds, config.wall_seconds);
        let ended = run(config, &config.run, folder, stdin, cpu, wall).map_err(failed)?;
        if let Some(failure) = self.failure(&ended, cpu, wall) {
            return Ok(Some(failure));
        }
        output_failure(&submission.problem.matching, stdout, &ended.stdout)
    }

    /// How a process failed, if it did, whatever it printed.
    fn failure(&self, ended: &Ended, cpu_seconds: u32, wall_seconds: f64) -> Option<Failure> {
        let said = String::from_utf8_lossy(&ended.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).map(excerpt);
        let status = match ended.end {
            End::Deadline => return Some((Outcome::Timeout, format!("ran for more than {wall_seconds} s"))),
            End::TooMuchOutput => {
                let what = format!("wrote more than {} bytes", self.config.output_bytes);
                return Some((Outcome::Output, what));
            }
            End::Exited(status) if status.success() => return None,
            End::Exited(status) => status,
        };
        Some(match status.signal() {
            // Those by which a system tells of time that is used up differ.
            Some(_) if said.contains("CPU time limit exceeded") => {
                (Outcome::Timeout, format!("took more than {cpu_seconds} s of processor time"))
            }
            Some(signal) if signal == SIGXCPU || signal == SIGKILL => {
                (Outcome::Timeout, format!("took more than {cpu_seconds} s of processor time"))
            }
            Some(signal) => (Outcome::Runtime, last.unwrap_or_else(|| format!("killed by signal {signal}"))),
            None => {
                let memory = ["MemoryError", "bad_alloc"].iter().any(|word| said.contains(word));
                let outcome = if memory { Outcome::Memory } else { Outcome::Runtime };
                let code = status.code().unwrap_or_default();
                (outcome, last.unwrap_or_else(|| format!("exit status {code}")))
            }
        })
    }
}

/// The same on Linux, macOS and the BSDs.
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

impl Verifier for UnconfinedVerifier {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        let mut tally = Tally::begin(&submission)?;
        let folder = tempfile::Builder::new().prefix("pspo-unconfined-").tempdir().map_err(failed)?;
        fs::write(folder.path().join(&self.config.file), submission.program).map_err(failed)?;
        if let Some(failure) = self.build(folder.path())? {
            return Ok(tally.failed(failure));
        }
        for test in submission.tests {
            if !tally.add(self.test(&submission, folder.path(), test)?) && !self.config.run_all {
                break;
            }
        }
        Ok(tally.verdict())
    }

    fn counts_all(&self) -> bool {
        self.config.run_all
    }

    fn about(&self) -> String {
        "no sandbox: programs run as this user, with its files and its network, within limits alone".into()
    }
}
