//! What an exception of the interpreter says: about the program, or about what the interpreter lacks.

use monty_types::{ExcType, MontyException};
use pspo::plugin::{Outcome, VerifyError};

/// The outcome of a program that monty did not compile.
///
/// # Errors
/// [`VerifyError::Unsupported`] for what is Python but not monty's.
pub(crate) fn of_compiling(error: &MontyException) -> Result<Outcome, VerifyError> {
    match error.exc_type() {
        ExcType::SyntaxError => Ok(Outcome::Compile),
        _ => Err(unsupported(error)),
    }
}

/// The outcome of a program that raised and did not catch.
///
/// # Errors
/// [`VerifyError::Unsupported`] for exceptions that CPython need not raise.
pub(crate) fn of_running(error: &MontyException) -> Result<Outcome, VerifyError> {
    let message = error.message().unwrap_or_default();
    match error.exc_type() {
        ExcType::TimeoutError if message.starts_with("time limit exceeded") => Ok(Outcome::Timeout),
        ExcType::MemoryError if message.starts_with("memory limit exceeded") => Ok(Outcome::Memory),
        ExcType::NotImplementedError | ExcType::ImportError | ExcType::ModuleNotFoundError => {
            Err(unsupported(error))
        }
        _ => Ok(Outcome::Runtime),
    }
}

fn unsupported(error: &MontyException) -> VerifyError {
    VerifyError::Unsupported(last_line(error))
}

/// The last line of the traceback, shortened.
pub(crate) fn last_line(error: &MontyException) -> String {
    const LONGEST: usize = 200;
    let summary = error.summary();
    let line = summary.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}..", &line[..end]),
        None => line.to_owned(),
    }
}
