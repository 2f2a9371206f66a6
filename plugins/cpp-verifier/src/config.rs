//! The config: which compiler, and what it and a program may use.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pspo::plugin::{Verifier, VerifierConfig, VerifyError};
use pspo::sandbox::{Layer, Limits};
use serde::{Deserialize, Serialize};

use crate::CppVerifier;

/// The config of [`CppVerifier`]: its `type` is `cpp`.
///
/// ```
/// use pspo::plugin::VerifierConfig;
/// use pspo_cpp_verifier::CppConfig;
///
/// let verifier = CppConfig { run_all: true, ..CppConfig::default() }.build()?;
/// # let _ = verifier;
/// # Ok::<(), pspo::plugin::VerifyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CppConfig {
    /// The compiler, which takes the options of `g++`: a path, or a name that is looked up within the sandbox.
    pub compiler: PathBuf,
    /// Its options beside those that say what to compile. C++20 is the least that tests which call functions need.
    pub flags: Vec<String>,
    /// What a program may use. Times are for each test.
    pub limits: Limits,
    /// What compiling may use.
    pub build_limits: Limits,
    /// Layers of the sandbox without which nothing is run, beside those that are never done without.
    pub require: BTreeSet<Layer>,
    /// Folders that programs, and the compiler, can read beside `/usr` and the like.
    pub readable: Vec<PathBuf>,
    /// Whether to run every test, so that [`Verdict::passed`](pspo::plugin::Verdict::passed) counts all
    /// that pass. Otherwise the first failure is the last test run.
    pub run_all: bool,
}

impl Default for CppConfig {
    fn default() -> Self {
        Self {
            compiler: "g++".into(),
            // Reading headers is what takes the time: optimizing costs nothing that can be measured.
            flags: vec!["-std=c++20".into(), "-O1".into()],
            limits: Limits::default(),
            build_limits: Limits {
                cpu_seconds: 20.0,
                wall_seconds: 30.0,
                memory_bytes: 2 << 30,
                disk_bytes: 512 << 20,
                ..Limits::default()
            },
            require: BTreeSet::new(),
            readable: Vec::new(),
            run_all: false,
        }
    }
}

pspo::card! {
    kind: Verifier,
    name: "cpp",
    summary: "Compiles C++ programs and runs them in a sandbox, apart from the tests that judge them; Linux.",
    example: r#"
type = "cpp"
compiler = "g++"
flags = ["-std=c++20", "-O1"]
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
disk_bytes = 536_870_912
open_files = 128
"#,
}

#[typetag::serde(name = "cpp")]
impl VerifierConfig for CppConfig {
    fn build(&self) -> Result<Box<dyn Verifier>, VerifyError> {
        Ok(Box::new(CppVerifier::new(self.clone())?))
    }
}
