//! [`Prefix`]: what stands before many sources and is compiled once.

use std::sync::Arc;

use pspo::plugin::VerifyError;
use pspo::sandbox::{InnerFile, Program};
use pspo::verify::build_failure;

use crate::toolchain::{QUIET, Toolchain};

/// Bytes of a precompiled header, at most. There are two of some 50 MB, held in memory.
const LARGEST: u64 = 256 << 20;

/// A header, precompiled when it is first needed: reading the standard library takes most of the time otherwise.
pub(crate) struct Prefix {
    text: Text,
    tried: bool,
}

/// A header as a compiler is given it.
#[derive(Clone)]
pub(crate) struct Text {
    name: &'static str,
    /// The name under which the compiler looks for it precompiled.
    precompiled_name: Arc<str>,
    text: Arc<str>,
    options: &'static [&'static str],
    /// Empty where the compiler reads the text.
    precompiled: Arc<Vec<u8>>,
}

impl Prefix {
    pub fn new(name: &'static str, text: String, options: &'static [&'static str]) -> Self {
        let precompiled_name = format!("{name}.gch").into();
        let text = Text { name, precompiled_name, text: text.into(), options, precompiled: Arc::default() };
        Self { text, tried: false }
    }

    /// The header, which is compiled now if it was not before.
    ///
    /// # Errors
    /// If it does not compile: no program is to blame.
    pub fn text(&mut self, toolchain: &Toolchain) -> Result<Text, VerifyError> {
        if self.tried {
            return Ok(self.text.clone());
        }
        let Text { name, options, .. } = self.text;
        let precompiled = Arc::clone(&self.text.precompiled_name);
        // Clang compares the times of headers, and here they are of the moment.
        let output = if toolchain.version.contains("clang") { "/dev/null" } else { &precompiled };
        let command = toolchain
            .command()
            .args(options)
            .args(QUIET)
            .args(toolchain.config.flags.iter().filter(compiles))
            .args(["-x", "c++-header", name, "-o", output])
            .file(self.text.file())
            .brings(&precompiled, LARGEST);
        let (event, mut ended) = toolchain.run(command)?;
        if let Some((_, what)) = build_failure(event, &ended, toolchain.sandbox.limits()) {
            let flags = &toolchain.config.flags;
            return Err(VerifyError::Failed(format!(
                "tests that call functions need C++20, with {flags:?}: {what}"
            )));
        }
        self.text.precompiled = Arc::new(ended.files.swap_remove(0));
        self.tried = true;
        Ok(self.text.clone())
    }
}

/// Whether a flag is one for compiling: with a library, the header would be linked.
fn compiles(flag: &&String) -> bool {
    !["-l", "-L", "-Wl,"].iter().any(|start| flag.starts_with(start))
}

impl Text {
    fn file(&self) -> InnerFile<'_> {
        InnerFile { name: self.name, contents: self.text.as_bytes(), executable: false }
    }

    /// The command with this before what it compiles.
    pub fn before<'a>(&'a self, command: Program<'a>) -> Program<'a> {
        let command = command.args(self.options).args(["-include", self.name]).file(self.file());
        if self.precompiled.is_empty() {
            return command;
        }
        command.file(InnerFile {
            name: &self.precompiled_name,
            contents: &self.precompiled,
            executable: false,
        })
    }
}
