//! The config: how a program is built and run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pspo::plugin::{Verifier, VerifierConfig, VerifyError};
use pspo::sandbox::{Layer, Limits};
use serde::{Deserialize, Serialize};

use crate::CommandVerifier;

/// The config of [`CommandVerifier`]: its `type` is `command`.
///
/// ```
/// use pspo::plugin::VerifierConfig;
/// use pspo_command_verifier::CommandConfig;
///
/// let shell = CommandConfig::new("main.sh", ["/bin/sh", "main.sh"]).build()?;
/// # let _ = shell;
/// # Ok::<(), pspo::plugin::VerifyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// The file that the program is written to, in a folder that holds nothing else.
    pub file: String,
    /// The command that builds it, in that folder; empty where nothing is to be built. A program at which it does not
    /// end with exit status 0 does not compile.
    #[serde(default)]
    pub build: Vec<String>,
    /// The files that come of building, which the run finds in its folder beside `file`: at most four.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// The command that runs it, once for each test.
    pub run: Vec<String>,
    /// What one run may use.
    #[serde(default)]
    pub limits: Limits,
    /// What building may use.
    #[serde(default = "build_limits")]
    pub build_limits: Limits,
    /// Layers of the sandbox without which nothing is run, beside those that are never done without.
    #[serde(default)]
    pub require: BTreeSet<Layer>,
    /// Folders that programs, and what builds them, can read beside `/usr` and the like.
    #[serde(default)]
    pub readable: Vec<PathBuf>,
    /// Whether to run every test, so that [`Verdict::passed`](pspo::plugin::Verdict::passed) counts all
    /// that pass. Otherwise the first failure is the last test run.
    #[serde(default)]
    pub run_all: bool,
}

/// A compiler takes longer than a program, and more memory.
fn build_limits() -> Limits {
    Limits {
        cpu_seconds: 20.0,
        wall_seconds: 30.0,
        memory_bytes: 2 << 30,
        disk_bytes: 256 << 20,
        ..Limits::default()
    }
}

impl CommandConfig {
    /// Programs in `file` that `run` runs, with nothing to build.
    pub fn new(file: impl Into<String>, run: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            file: file.into(),
            build: Vec::new(),
            artifacts: Vec::new(),
            run: run.into_iter().map(Into::into).collect(),
            limits: Limits::default(),
            build_limits: build_limits(),
            require: BTreeSet::new(),
            readable: Vec::new(),
            run_all: false,
        }
    }

    /// C++ programs by `g++ -O2 -std=c++20`.
    pub fn cpp() -> Self {
        let build = ["g++", "-O2", "-std=c++20", "-o", "main", "main.cpp"].map(str::to_owned).to_vec();
        Self { build, artifacts: vec!["main".into()], ..Self::new("main.cpp", ["./main"]) }
    }
}

pspo::card! {
    kind: Verifier,
    name: "command",
    summary: "Runs programs of any language, built by one command and run by another, in a sandbox; Linux.",
    example: r#"
type = "command"
file = "main.cpp"
build = ["g++", "-O2", "-std=c++20", "-o", "main", "main.cpp"]
artifacts = ["main"]
run = ["./main"]
require = ["landlock"]
readable = []
run_all = false

[limits]
cpu_seconds = 3.0
wall_seconds = 6.0
memory_bytes = 1_073_741_824
processes = 32
output_bytes = 4_194_304
disk_bytes = 67_108_864
open_files = 128

[build_limits]
cpu_seconds = 20.0
wall_seconds = 30.0
memory_bytes = 2_147_483_648
processes = 32
output_bytes = 4_194_304
disk_bytes = 268_435_456
open_files = 128
"#,
}

#[typetag::serde(name = "command")]
impl VerifierConfig for CommandConfig {
    fn build(&self) -> Result<Box<dyn Verifier>, VerifyError> {
        Ok(Box::new(CommandVerifier::new(self.clone())?))
    }
}
