//! The interpreter: where it is, and what it needs to see.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pspo::plugin::VerifyError;

/// An interpreter that was asked about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Python {
    /// Its executable; not a wrapper of the same name.
    pub executable: PathBuf,
    /// `3.11.2`
    pub version: String,
    /// Its folders.
    pub readable: Vec<PathBuf>,
}

const ASK: &str = "import sys; print(sys.implementation.name, '.'.join(map(str, sys.version_info[:3])), \
                   sys.executable, sys.base_prefix, sys.base_exec_prefix, sys.prefix, *filter(None, sys.path), sep='\\n')";

impl Python {
    /// Asks `python` about itself.
    pub fn ask(python: &Path) -> Result<Self, VerifyError> {
        let failed = |why: String| VerifyError::Failed(format!("the interpreter {python:?}: {why}"));
        let mut command = Command::new(python);
        command.args(["-I", "-B", "-c", ASK]).current_dir("/").stdin(Stdio::null());
        let asked = command.output().map_err(|error| failed(error.to_string()))?;
        if !asked.status.success() {
            return Err(failed(String::from_utf8_lossy(&asked.stderr).trim().to_owned()));
        }
        let told = String::from_utf8_lossy(&asked.stdout).into_owned();
        let mut lines = told.lines();
        let mut next =
            || lines.next().map(str::to_owned).ok_or_else(|| failed("it does not say what it is".into()));
        let (implementation, version, executable) = (next()?, next()?, next()?);
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next(), numbers.next());
        if implementation != "cpython" || major != Some(3) || minor < Some(9) {
            return Err(failed(format!("it is {implementation} {version}: it must be CPython 3.9 or newer")));
        }
        let readable = lines.map(PathBuf::from).chain(Path::new(&executable).parent().map(Path::to_path_buf));
        Ok(Self {
            readable: readable.filter(|path| path.is_absolute()).collect(),
            executable: executable.into(),
            version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_tells_what_it_is_and_others_are_refused() {
        let python = Python::ask(Path::new("python3")).unwrap();
        assert!(python.executable.is_absolute() && python.version.starts_with("3."), "{python:?}");
        for (path, says) in [("/no/such/python", "No such file"), ("true", "does not say what it is")] {
            let error = Python::ask(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
