//! [`Toolchain`]: the compiler, in a sandbox of its own.

use pspo::plugin::VerifyError;
use pspo::sandbox::{InnerFile, Program, Sandbox, SandboxConfig};
use pspo::verify::{Failure, build_failure, failed};

use crate::CppConfig;
use crate::generate::{Around, CANDIDATE, HEADERS, WIRE};

/// Bytes of a program, at most.
const LARGEST_PROGRAM: u64 = 64 << 20;

/// Bytes of a precompiled header, at most.
const LARGEST_HEADER: u64 = 256 << 20;

/// Quiet but for one error: of what is written to standard error, the end is kept.
const QUIET: &[&str] = &["-w", "-fmax-errors=1", "-fdiagnostics-color=never"];

/// A compiler that works.
pub(crate) struct Toolchain {
    config: CppConfig,
    sandbox: Sandbox,
    /// What stands before every program that tests call.
    header: String,
    /// The same as the compiler reads it fastest; empty where it does not.
    precompiled: Vec<u8>,
    pub version: String,
}

/// A program's binary, or why there is none.
pub(crate) type Built = Result<Vec<u8>, Failure>;

impl Toolchain {
    /// Finds the compiler and compiles what is the same for all programs.
    pub fn new(config: &CppConfig) -> Result<Self, VerifyError> {
        let sandbox = SandboxConfig {
            limits: config.build_limits.clone(),
            require: config.require.clone(),
            readable: config.readable.clone(),
        };
        let sandbox = Sandbox::new(sandbox).map_err(failed)?;
        let mut this = Self {
            config: config.clone(),
            sandbox,
            header: [HEADERS, WIRE, CANDIDATE].concat(),
            precompiled: Vec::new(),
            version: String::new(),
        };
        let (_, ended) = this.run(this.command().args(["--version"]))?;
        let said = String::from_utf8_lossy(&ended.stdout);
        this.version = said.lines().next().unwrap_or("a compiler").to_owned();
        // Clang compares times of headers, and here they are of the moment.
        let output = if this.version.contains("clang") { "/dev/null" } else { "before.hpp.gch" };
        let header = this
            .command()
            .args(&config.flags)
            .args(QUIET)
            .args(["-x", "c++-header", "before.hpp", "-o", output])
            .file(InnerFile { name: "before.hpp", contents: this.header.as_bytes(), executable: false })
            .brings("before.hpp.gch", LARGEST_HEADER);
        let (event, mut ended) = this.run(header)?;
        if let Some((_, what)) = build_failure(event, &ended, this.sandbox.limits()) {
            let (compiler, flags) = (&config.compiler, &config.flags);
            return Err(VerifyError::Failed(format!("{compiler:?} with {flags:?} does not compile C++20: {what}")));
        }
        this.precompiled = ended.files.swap_remove(0);
        Ok(this)
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Compiles a program, alone or with code around it.
    pub fn program(&self, program: &str, around: Option<&Around>) -> Result<Built, VerifyError> {
        let Some(Around { before, behind }) = around else { return self.build(program, self.command()) };
        let file = |name, contents| InnerFile { name, contents, executable: false };
        let mut command = self
            .command()
            .args(["-include", "before.hpp", "-include", "types.hpp"])
            .file(file("before.hpp", self.header.as_bytes()))
            .file(file("types.hpp", before.as_bytes()));
        if !self.precompiled.is_empty() {
            command = command.file(file("before.hpp.gch", &self.precompiled));
        }
        self.build(&format!("{program}{behind}"), command)
    }

    /// Compiles what is trusted: a subscript out of bounds, which a program's answers can lead to, ends it.
    pub fn judge(&self, source: &str) -> Result<Built, VerifyError> {
        self.build(source, self.command().args(["-D_GLIBCXX_ASSERTIONS"]))
    }

    fn build(&self, source: &str, command: Program<'_>) -> Result<Built, VerifyError> {
        let command = command
            .args(QUIET)
            .args(["-o", "main", "main.cpp"])
            .args(&self.config.flags)
            .args(["-UNDEBUG"])
            .file(InnerFile { name: "main.cpp", contents: source.as_bytes(), executable: false })
            .brings("main", LARGEST_PROGRAM);
        let (event, mut ended) = self.run(command)?;
        if let Some(failure) = build_failure(event, &ended, self.sandbox.limits()) {
            return Ok(Err(failure));
        }
        let binary = ended.files.swap_remove(0);
        if binary.is_empty() {
            return Ok(Err((pspo::plugin::Outcome::Compile, "compiling made no program".into())));
        }
        Ok(Ok(binary))
    }

    fn command<'a>(&self) -> Program<'a> {
        Program::new(&self.config.compiler)
    }

    fn run(&self, program: Program<'_>) -> Result<(pspo::sandbox::Event, pspo::sandbox::Ended), VerifyError> {
        self.sandbox.start(&program).and_then(|it| it.wait_to_end()).map_err(failed)
    }
}
