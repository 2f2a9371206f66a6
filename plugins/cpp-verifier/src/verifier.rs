//! [`CppVerifier`].

use std::cell::OnceCell;

use pspo::data::{Matching, Problem, TestCase};
use pspo::plugin::{Submission, Verdict, Verifier, VerifyError};
use pspo::sandbox::{Sandbox, SandboxConfig};
use pspo::verify::{Tally, failed};

use crate::CppConfig;
use crate::generate::{self, around_calls, around_signatures, is_name};
use crate::judges::Judges;
use crate::session::{Runner, TestResult};
use crate::signature::Signature;
use crate::toolchain::{Built, Toolchain};

/// Judges C++ programs: compiles them, and runs them in a sandbox.
///
/// What tests expect never enters a program's process: code that asserts is compiled apart from it, and calls it
/// across a channel of plain data.
pub struct CppVerifier {
    config: CppConfig,
    toolchain: Toolchain,
    runner: Runner,
    judges: Judges,
}

impl CppVerifier {
    /// A verifier by `config`; tries the compiler.
    ///
    /// # Errors
    /// If a limit is out of its bounds, the compiler cannot be used, or a layer of the sandbox is missing.
    pub fn new(config: CppConfig) -> Result<Self, VerifyError> {
        let (require, readable) = (config.require.clone(), config.readable.clone());
        let run = SandboxConfig { limits: config.limits.clone(), require, readable };
        let runner = Runner(Sandbox::new(run).map_err(failed)?);
        let toolchain = Toolchain::new(&config)?;
        Ok(Self { config, toolchain, runner, judges: Judges::default() })
    }

    /// What the compiler says that it is, as `g++ (GCC) 12.2.0`.
    pub fn compiler_version(&self) -> &str {
        &self.toolchain.version
    }
}

/// A program with its tests. It is compiled in up to three ways, each when the first test needs it.
struct Submitted<'a> {
    verifier: &'a CppVerifier,
    program: &'a str,
    problem: &'a Problem,
    /// Functions that tests call, and with how many arguments.
    calls: Vec<(&'a str, usize)>,
    /// Heads of the functions that test code calls.
    signatures: Vec<Signature>,
    plain: OnceCell<Built>,
    called: OnceCell<Built>,
    asserted: OnceCell<Built>,
}

impl<'a> Submitted<'a> {
    fn new(verifier: &'a CppVerifier, submission: &Submission<'a>) -> Result<Self, VerifyError> {
        let Submission { program, tests, problem, .. } = *submission;
        let mut names: Vec<&str> = Vec::new();
        let mut functions = Vec::new();
        for test in tests {
            match test {
                TestCase::Stdio { .. } => {}
                TestCase::Call { function, arguments, .. } => {
                    is_name(function)?;
                    let call = (function.as_str(), arguments.len());
                    if !functions.contains(&call) {
                        functions.push(call);
                    }
                }
                TestCase::Assert { calls, .. } if !calls.is_empty() => {
                    names.extend(calls.iter().map(String::as_str));
                }
                TestCase::Assert { .. } => {
                    let what = "test code that does not say which functions it `calls`";
                    return Err(VerifyError::Unsupported(what.into()));
                }
                other => return Err(VerifyError::Unsupported(format!("a test of this kind: {other:?}"))),
            }
        }
        let compares = tests.iter().any(|test| !matches!(test, TestCase::Assert { .. }));
        if compares && matches!(problem.matching, Matching::Checker { .. }) {
            let what = "a checker, which is a Python program: `pspo-python-verifier` runs them";
            return Err(VerifyError::Unsupported(what.into()));
        }
        names.sort_unstable();
        names.dedup();
        let head = |name: &&str| is_name(name).and_then(|()| Signature::of(&problem.prompt, name));
        let signatures = names.iter().map(head).collect::<Result<_, _>>()?;
        let (plain, called, asserted) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Ok(Self { verifier, program, problem, calls: functions, signatures, plain, called, asserted })
    }

    fn test(&self, test: &TestCase) -> Result<TestResult, VerifyError> {
        let CppVerifier { toolchain, runner, judges, .. } = self.verifier;
        let matching = &self.problem.matching;
        match test {
            TestCase::Stdio { stdin, stdout } => {
                match built(&self.plain, || toolchain.program(self.program, None))? {
                    Ok(binary) => runner.run(binary, stdin, stdout, matching),
                    Err(failure) => Ok(Err(failure.clone())),
                }
            }
            TestCase::Call { function, arguments, expected } => {
                let build =
                    || toolchain.program(self.program, Some(&around_calls(self.program, &self.calls)?));
                let call = (function.as_str(), arguments.len());
                let place = self.calls.iter().position(|it| *it == call).unwrap_or_default();
                match built(&self.called, build)? {
                    Ok(binary) => runner.call(binary, place as u32, arguments, expected, matching),
                    Err(failure) => Ok(Err(failure.clone())),
                }
            }
            TestCase::Assert { code, .. } => {
                let prompt = &self.problem.prompt;
                // First: that the code around the program compiles is known by it.
                let judge = judges.get(&generate::judge(prompt, &self.signatures, code), toolchain)?;
                let around = || around_signatures(prompt, &self.signatures);
                match built(&self.asserted, || toolchain.program(self.program, Some(&around())))? {
                    Ok(binary) => runner.assert(&judge, binary),
                    Err(failure) => Ok(Err(failure.clone())),
                }
            }
            other => Err(VerifyError::Unsupported(format!("a test of this kind: {other:?}"))),
        }
    }
}

fn built(
    cell: &OnceCell<Built>,
    build: impl FnOnce() -> Result<Built, VerifyError>,
) -> Result<&Built, VerifyError> {
    if let Some(built) = cell.get() {
        return Ok(built);
    }
    let built = build()?;
    Ok(cell.get_or_init(|| built))
}

impl Verifier for CppVerifier {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        let mut tally = Tally::begin(&submission)?;
        let submitted = Submitted::new(self, &submission)?;
        for test in submission.tests {
            if !tally.add(submitted.test(test)?.err()) && !self.config.run_all {
                break;
            }
        }
        Ok(tally.verdict())
    }

    fn counts_all(&self) -> bool {
        self.config.run_all
    }

    fn about(&self) -> String {
        format!("{}; {}", self.toolchain.version, self.toolchain.sandbox.layers())
    }
}
