//! [`CommandVerifier`].

use pspo::data::TestCase;
use pspo::plugin::{Outcome, Submission, Verdict, Verifier, VerifyError};
use pspo::sandbox::{InnerFile, Program, Sandbox, SandboxConfig};
use pspo::verify::{Failure, Tally, build_failure, failed, run_failure};

use crate::CommandConfig;

/// The largest file that building may bring out.
const LARGEST_ARTIFACT: u64 = 256 << 20;

/// Judges programs of any language by a command that builds them, where there is one, and a command that runs them,
/// both in a sandbox.
///
/// It runs tests with standard input and expected output ([`TestCase::Stdio`]).
pub struct CommandVerifier {
    config: CommandConfig,
    build: Sandbox,
    run: Sandbox,
}

impl CommandVerifier {
    /// A verifier by `config`.
    ///
    /// # Errors
    /// If a limit is out of its bounds, a command is empty, or a layer of the sandbox is missing.
    pub fn new(config: CommandConfig) -> Result<Self, VerifyError> {
        if config.run.is_empty() {
            return Err(VerifyError::Unsupported(
                "`run` = []: it must be a program and its arguments".into(),
            ));
        }
        if config.build.is_empty() && !config.artifacts.is_empty() {
            let what = "`artifacts` without a command to `build` them: either both or neither";
            return Err(VerifyError::Unsupported(what.into()));
        }
        let sandbox = |limits: &pspo::sandbox::Limits| {
            let (require, readable) = (config.require.clone(), config.readable.clone());
            Sandbox::new(SandboxConfig { limits: limits.clone(), require, readable }).map_err(failed)
        };
        let (build, run) = (sandbox(&config.build_limits)?, sandbox(&config.limits)?);
        Ok(Self { config, build, run })
    }

    /// Builds the program: its artifacts, or how that failed.
    fn artifacts(&self, program: &str) -> Result<Result<Vec<Vec<u8>>, Failure>, VerifyError> {
        if self.config.build.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let mut building = command(&self.config.build).file(self.source(program));
        for artifact in &self.config.artifacts {
            building = building.brings(artifact, LARGEST_ARTIFACT);
        }
        let (event, ended) = self.build.start(&building).and_then(|it| it.wait_to_end()).map_err(failed)?;
        if let Some(failure) = build_failure(event, &ended, self.build.limits()) {
            return Ok(Err(failure));
        }
        // They are to be laid out in the folder where it runs.
        let bytes = program.len() as u64 + ended.files.iter().map(|file| file.len() as u64).sum::<u64>();
        let most = self.config.limits.disk_bytes / 2;
        if bytes > most {
            let what = format!("building made {bytes} bytes or more, where half of `disk_bytes` is {most}");
            return Ok(Err((Outcome::Compile, what)));
        }
        match ended.files.iter().position(Vec::is_empty) {
            Some(missing) => {
                let what = format!("building made no `{}`", self.config.artifacts[missing]);
                Ok(Err((Outcome::Compile, what)))
            }
            None => Ok(Ok(ended.files)),
        }
    }

    fn source<'a>(&'a self, program: &'a str) -> InnerFile<'a> {
        InnerFile { name: &self.config.file, contents: program.as_bytes(), executable: false }
    }

    /// One test: `None` if it passed.
    fn test(
        &self,
        submission: &Submission<'_>,
        artifacts: &[Vec<u8>],
        test: &TestCase,
    ) -> Result<Option<Failure>, VerifyError> {
        let TestCase::Stdio { stdin, stdout } = test else {
            let what = format!("a test of this kind: {test:?}; a command can be run on standard input alone");
            return Err(VerifyError::Unsupported(what));
        };
        let mut program =
            command(&self.config.run).file(self.source(submission.program)).stdin(stdin.as_bytes());
        for (name, contents) in self.config.artifacts.iter().zip(artifacts) {
            program = program.file(InnerFile { name, contents, executable: true });
        }
        let (event, ended) = self.run.start(&program).and_then(|it| it.wait_to_end()).map_err(failed)?;
        let memory = |line: &str| if line.contains("bad_alloc") { Outcome::Memory } else { Outcome::Runtime };
        let limits = self.run.limits();
        run_failure(event, &ended, limits, memory, &submission.problem.matching, stdout)
    }
}

/// A command, by a path or by a name that is looked up within the sandbox.
fn command(words: &[String]) -> Program<'static> {
    Program::new(&words[0]).args(&words[1..])
}

impl Verifier for CommandVerifier {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        let mut tally = Tally::begin(&submission)?;
        let artifacts = match self.artifacts(submission.program)? {
            Ok(artifacts) => artifacts,
            Err(failure) => return Ok(tally.failed(failure)),
        };
        for test in submission.tests {
            if !tally.add(self.test(&submission, &artifacts, test)?) && !self.config.run_all {
                break;
            }
        }
        Ok(tally.verdict())
    }

    fn about(&self) -> String {
        self.run.layers().to_string()
    }

    fn counts_all(&self) -> bool {
        self.config.run_all
    }
}
