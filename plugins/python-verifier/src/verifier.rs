//! [`PythonVerifier`].

use pspo::data::TestCase;
use pspo::plugin::{Submission, Verdict, Verifier, VerifyError};
use pspo::sandbox::Layers;
use pspo::verify::Tally;

use crate::PythonConfig;
use crate::asks::{Ask, asks};
use crate::servers::Servers;
use crate::session::{Session, TestResult};

/// Judges Python programs by running them in CPython, each in a sandbox.
///
/// The interpreter is started once for each thread that judges, and forks for every program. What tests expect
/// never enters a program's process, and what comes back from it is plain data, compared here.
pub struct PythonVerifier {
    config: PythonConfig,
    servers: Servers,
}

impl PythonVerifier {
    /// A verifier by `config`; starts the first interpreter.
    ///
    /// # Errors
    /// If a limit is out of its bounds, the interpreter cannot be used, or a layer of the sandbox is missing.
    pub fn new(config: PythonConfig) -> Result<Self, VerifyError> {
        Ok(Self { servers: Servers::new(&config)?, config })
    }

    /// The layers of the sandbox that hold here.
    pub fn layers(&self) -> &Layers {
        self.servers.sandbox().layers()
    }

    /// The version of the interpreter, as `3.11.2`.
    pub fn python_version(&self) -> &str {
        &self.servers.python().version
    }
}

/// How a test is run.
enum Plan<'a> {
    /// A run of its own, whose output is compared.
    Run(&'a TestCase),
    /// Calls to functions of a program that was run once.
    Calls(Vec<Ask>),
    /// Test code, for a process of its own beside a program that was run once.
    Code(&'a str, &'a [String]),
}

impl<'a> Plan<'a> {
    fn of(test: &'a TestCase) -> Result<Self, VerifyError> {
        match test {
            TestCase::Script { .. } | TestCase::Stdio { .. } => Ok(Self::Run(test)),
            TestCase::Call { function, arguments, expected } => {
                Ok(Self::Calls(vec![Ask::call(function, arguments, expected)]))
            }
            TestCase::Assert { code, calls } => {
                Ok(asks(code, calls).map_or(Self::Code(code, calls), Self::Calls))
            }
            other => Err(VerifyError::Unsupported(format!("a test of this kind: {other:?}"))),
        }
    }
}

impl Verifier for PythonVerifier {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        let Submission { program, tests, problem, .. } = submission;
        let mut tally = Tally::begin(&submission)?;
        let plans = tests.iter().map(Plan::of).collect::<Result<Vec<_>, _>>()?;
        let results = self.servers.with(|server| {
            let run_all = self.config.run_all;
            let mut session = Session {
                server,
                program,
                matching: &problem.matching,
                limits: &self.config.limits,
                run_all,
            };
            let mut results: Vec<TestResult> = Vec::new();
            while results.len() < tests.len() && (run_all || results.iter().all(Result::is_ok)) {
                // Those of one kind, one after the other, share a process.
                let rest = &plans[results.len()..];
                let calls = rest.iter().map_while(|plan| match plan {
                    Plan::Calls(asks) => Some(&asks[..]),
                    _ => None,
                });
                let codes = rest.iter().map_while(|plan| match plan {
                    Plan::Code(code, calls) => Some((*code, *calls)),
                    _ => None,
                });
                results.extend(match &rest[0] {
                    Plan::Run(test) => vec![session.run(test)?],
                    Plan::Calls(_) => session.calls(&calls.collect::<Vec<_>>())?,
                    Plan::Code(..) => session.asserts(&codes.collect::<Vec<_>>())?,
                });
            }
            Ok(results)
        })?;
        for result in results {
            tally.add(result.err());
        }
        Ok(tally.verdict())
    }

    fn about(&self) -> String {
        let python = self.servers.python();
        format!("CPython {} at {}; {}", python.version, python.executable.display(), self.layers())
    }

    fn counts_all(&self) -> bool {
        self.config.run_all
    }
}
