//! [`Toolchain`]: the compiler, in a sandbox of its own.

use std::sync::{Mutex, PoisonError};

use pspo::plugin::{Outcome, VerifyError};
use pspo::sandbox::{Ended, Event, InnerFile, Program, Sandbox, SandboxConfig};
use pspo::verify::{Failure, build_failure, failed};

use crate::CppConfig;
use crate::generate::{Around, CANDIDATE, HEADERS, JUDGE, WIRE};
use crate::prefix::{Prefix, Text};

/// Quiet but for one error: of what is written to standard error, the end is kept.
pub(crate) const QUIET: &[&str] = &["-w", "-fmax-errors=1", "-fdiagnostics-color=never"];

/// Where a source is, within the sandbox.
const SOURCE: &str = "main.cpp";

/// A compiler that works.
pub(crate) struct Toolchain {
    pub config: CppConfig,
    pub sandbox: Sandbox,
    pub version: String,
    /// What stands before every program that tests call.
    before: Mutex<Prefix>,
    /// What stands before all tests.
    judges: Mutex<Prefix>,
}

/// A program's binary, or why there is none.
pub(crate) type Built = Result<Vec<u8>, Failure>;

impl Toolchain {
    /// Finds the compiler, and tries it.
    pub fn new(config: &CppConfig) -> Result<Self, VerifyError> {
        let sandbox = SandboxConfig {
            limits: config.build_limits.clone(),
            require: config.require.clone(),
            readable: config.readable.clone(),
        };
        let sandbox = Sandbox::new(sandbox).map_err(failed)?;
        let before = Prefix::new("before.hpp", [HEADERS, WIRE, CANDIDATE].concat(), &[]);
        // A subscript out of bounds, which a program's answers can lead to, ends the tests.
        let judges = Prefix::new("judge.hpp", [HEADERS, WIRE, JUDGE].concat(), &["-D_GLIBCXX_ASSERTIONS"]);
        let (before, judges) = (Mutex::new(before), Mutex::new(judges));
        let mut this = Self { config: config.clone(), sandbox, version: String::new(), before, judges };
        let (_, ended) = this.run(this.command().args(["--version"]))?;
        let said = String::from_utf8_lossy(&ended.stdout);
        this.version = said.lines().next().unwrap_or("a compiler").to_owned();
        match this.program("int main() {}", None)? {
            Ok(_) => Ok(this),
            Err((_, what)) => {
                let (compiler, flags) = (&config.compiler, &config.flags);
                Err(VerifyError::Failed(format!("{compiler:?} with {flags:?} does not compile: {what}")))
            }
        }
    }

    /// Compiles a program, alone or with code around it.
    pub fn program(&self, program: &str, around: Option<&Around>) -> Result<Built, VerifyError> {
        let Some(Around { before, behind }) = around else { return self.build(program, self.command()) };
        let prefix = self.text(&self.before)?;
        let types = InnerFile { name: "types.hpp", contents: before.as_bytes(), executable: false };
        let command = prefix.before(self.command()).args(["-include", "types.hpp"]).file(types);
        self.build(&format!("{program}{behind}"), command)
    }

    /// Compiles what is trusted.
    pub fn judge(&self, source: &str) -> Result<Built, VerifyError> {
        let prefix = self.text(&self.judges)?;
        self.build(source, prefix.before(self.command()))
    }

    fn text(&self, prefix: &Mutex<Prefix>) -> Result<Text, VerifyError> {
        prefix.lock().unwrap_or_else(PoisonError::into_inner).text(self)
    }

    fn build(&self, source: &str, command: Program<'_>) -> Result<Built, VerifyError> {
        // It is to be laid out in the folder where it runs, with room for what it writes there.
        let largest = self.config.limits.disk_bytes / 2;
        let command = command
            .args(QUIET)
            .args(["-o", "main", SOURCE])
            .args(&self.config.flags)
            // An assertion that is compiled away would hold.
            .args(["-UNDEBUG"])
            .file(InnerFile { name: SOURCE, contents: source.as_bytes(), executable: false })
            .brings("main", largest + 1);
        let (event, mut ended) = self.run(command)?;
        if let Some(failure) = build_failure(event, &ended, self.sandbox.limits()) {
            return Ok(Err(failure));
        }
        let binary = ended.files.swap_remove(0);
        if binary.is_empty() {
            return Ok(Err((Outcome::Compile, "compiling made no program".into())));
        }
        if binary.len() as u64 > largest {
            let what = format!("its binary has more than {largest} bytes, half of `disk_bytes`");
            return Ok(Err((Outcome::Compile, what)));
        }
        Ok(Ok(binary))
    }

    pub fn command<'a>(&self) -> Program<'a> {
        Program::new(&self.config.compiler)
    }

    pub fn run(&self, program: Program<'_>) -> Result<(Event, Ended), VerifyError> {
        self.sandbox.start(&program).and_then(|it| it.wait_to_end()).map_err(failed)
    }
}
