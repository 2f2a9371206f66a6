//! The config: how a program is built and run, and within which limits.

use pspo::plugin::{Verifier, VerifierConfig, VerifyError};
use serde::{Deserialize, Serialize};

use crate::UnconfinedVerifier;

/// The config of [`UnconfinedVerifier`]: its `type` is `unconfined`.
///
/// ```
/// use pspo::plugin::VerifierConfig;
/// use pspo_unconfined_verifier::UnconfinedConfig;
///
/// let shell = UnconfinedConfig::new("main.sh", ["/bin/sh", "main.sh"]);
/// let verifier = UnconfinedConfig { wall_seconds: 2.0, ..shell }.build()?;
/// # let _ = verifier;
/// # Ok::<(), pspo::plugin::VerifyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnconfinedConfig {
    /// The file that the program is written to, in a folder that holds nothing else.
    pub file: String,
    /// The command that builds it, in that folder; empty where nothing is to be built. It may take ten times as long
    /// as a run.
    #[serde(default)]
    pub build: Vec<String>,
    /// The command that runs it, once for each test, in the same folder.
    pub run: Vec<String>,
    /// Seconds of processor time that each process of a run may take, whole ones. Above 0, at most 3600.
    #[serde(default = "cpu_seconds")]
    pub cpu_seconds: u32,
    /// Seconds that a run may take by the clock. Above 0, at most 3600.
    #[serde(default = "wall_seconds")]
    pub wall_seconds: f64,
    /// Bytes of address space of each process, where the system limits it; at least 16 MiB.
    #[serde(default = "memory_bytes")]
    pub memory_bytes: u64,
    /// Bytes that it may write to each of standard output and standard error, and to a file; at least 1024.
    #[serde(default = "output_bytes")]
    pub output_bytes: usize,
    /// Whether to run every test, so that [`Verdict::passed`](pspo::plugin::Verdict::passed) counts all
    /// that pass. Otherwise the first failure is the last test run.
    #[serde(default)]
    pub run_all: bool,
}

fn cpu_seconds() -> u32 {
    3
}

fn wall_seconds() -> f64 {
    6.0
}

fn memory_bytes() -> u64 {
    1 << 30
}

fn output_bytes() -> usize {
    4 << 20
}

impl UnconfinedConfig {
    /// Programs in `file` that `run` runs, with nothing to build.
    pub fn new(file: impl Into<String>, run: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            file: file.into(),
            build: Vec::new(),
            run: run.into_iter().map(Into::into).collect(),
            cpu_seconds: cpu_seconds(),
            wall_seconds: wall_seconds(),
            memory_bytes: memory_bytes(),
            output_bytes: output_bytes(),
            run_all: false,
        }
    }

    /// Checks that the config can be used.
    ///
    /// # Errors
    /// Names the first value that cannot, and what would be valid.
    pub(crate) fn check(&self) -> Result<(), VerifyError> {
        let wrong = |what: String| Err(VerifyError::Unsupported(what));
        if self.file.is_empty() || self.file.contains('/') || self.file == ".." || self.file == "." {
            return wrong(format!("`file` = {:?}: it must be a name without a `/`", self.file));
        }
        if self.run.is_empty() {
            return wrong("`run` = []: it must be a program and its arguments".into());
        }
        if !(1..=3600).contains(&self.cpu_seconds) {
            return wrong(format!("`cpu_seconds` = {}: it must be from 1 to 3600", self.cpu_seconds));
        }
        if !(self.wall_seconds > 0.0 && self.wall_seconds <= 3600.0) {
            return wrong(format!(
                "`wall_seconds` = {}: it must be above 0, at most 3600",
                self.wall_seconds
            ));
        }
        if self.memory_bytes < 16 << 20 {
            return wrong(format!("`memory_bytes` = {}: it must be at least 16777216", self.memory_bytes));
        }
        if self.output_bytes < 1024 {
            return wrong(format!("`output_bytes` = {}: it must be at least 1024", self.output_bytes));
        }
        Ok(())
    }
}

pspo::card! {
    kind: Verifier,
    name: "unconfined",
    summary: "Runs programs as ordinary processes, within limits alone: no sandbox, for systems without one.",
    example: r#"
type = "unconfined"
file = "main.py"
build = []
run = ["python3", "main.py"]
cpu_seconds = 3
wall_seconds = 6.0
memory_bytes = 1_073_741_824
output_bytes = 4_194_304
run_all = false
"#,
}

#[typetag::serde(name = "unconfined")]
impl VerifierConfig for UnconfinedConfig {
    fn build(&self) -> Result<Box<dyn Verifier>, VerifyError> {
        Ok(Box::new(UnconfinedVerifier::new(self.clone())?))
    }
}
