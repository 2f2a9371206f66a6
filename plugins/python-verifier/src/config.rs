//! The config: which interpreter, and what a program may use.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pspo::plugin::{Verifier, VerifierConfig, VerifyError};
use pspo::sandbox::{Layer, Limits};
use serde::{Deserialize, Serialize};

use crate::PythonVerifier;

/// The config of [`PythonVerifier`]: its `type` is `python`.
///
/// ```
/// use pspo::plugin::VerifierConfig;
/// use pspo_python_verifier::PythonConfig;
///
/// let verifier = PythonConfig { run_all: true, ..PythonConfig::default() }.build()?;
/// # let _ = verifier;
/// # Ok::<(), pspo::plugin::VerifyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PythonConfig {
    /// The interpreter, CPython 3.9 or newer: a path, or a name that is looked up in `PATH`.
    pub python: PathBuf,
    /// What a program may use. Times are for each test; the processor time of tests that call functions, which share
    /// a process, is counted together.
    pub limits: Limits,
    /// Layers of the sandbox without which nothing is run, beside those that are never done without.
    pub require: BTreeSet<Layer>,
    /// Folders that programs can read beside the interpreter's.
    pub readable: Vec<PathBuf>,
    /// What is run before every program, under whose names the program then runs: some benchmarks' harnesses import
    /// modules that programs leave out. It is run once, is trusted, and may not start threads.
    pub prelude: String,
    /// Whether to run every test, so that [`Verdict::passed`](pspo::plugin::Verdict::passed) counts all
    /// that pass. Otherwise the first failure is the last test run.
    pub run_all: bool,
}

impl Default for PythonConfig {
    fn default() -> Self {
        Self {
            python: "python3".into(),
            limits: Limits::default(),
            require: BTreeSet::new(),
            readable: Vec::new(),
            prelude: String::new(),
            run_all: false,
        }
    }
}

pspo::card! {
    kind: Verifier,
    name: "python",
    summary: "Runs Python programs in CPython, each in a sandbox of its own; Linux.",
    example: r#"
type = "python"
python = "python3"
require = ["landlock"]
readable = []
prelude = ""
run_all = false

[limits]
cpu_seconds = 3.0
wall_seconds = 6.0
memory_bytes = 1_073_741_824
processes = 32
output_bytes = 4_194_304
disk_bytes = 67_108_864
open_files = 128
"#,
}

#[typetag::serde(name = "python")]
impl VerifierConfig for PythonConfig {
    fn build(&self) -> Result<Box<dyn Verifier>, VerifyError> {
        Ok(Box::new(PythonVerifier::new(self.clone())?))
    }
}
