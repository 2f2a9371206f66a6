//! What an exception of the interpreter says: about the program, or about what the interpreter lacks.
//!
//! Where monty lacks something it raises, and often the same exception as CPython raises for a mistake.
//! So only exceptions that CPython is known to raise too are the program's; the others are ours.

mod type_error;

use monty_types::{ExcType, MontyException};
use pspo::plugin::{Outcome, VerifyError};

use crate::dialect::{Facts, has_attribute, is_cpython_builtin};

/// The outcome of a program that monty did not compile, though it parses.
///
/// # Errors
/// [`VerifyError::Unsupported`] for what is Python but not monty's.
pub(crate) fn of_compiling(error: &MontyException) -> Result<Outcome, VerifyError> {
    const CPYTHONS: &[&str] = &[
        "'break' outside loop",
        "'continue' not properly in loop",
        "Expected name, got starred expression",
        "duplicate argument '",
        "no binding for nonlocal '",
    ];
    let message = error.message().unwrap_or_default();
    let cpythons = CPYTHONS.iter().any(|start| message.starts_with(start));
    if error.exc_type() == ExcType::SyntaxError && cpythons {
        Ok(Outcome::Compile)
    } else {
        Err(unsupported(error))
    }
}

/// The outcome of a program that raised and did not catch. `recursion` is the limit it ran under.
///
/// # Errors
/// [`VerifyError::Unsupported`] for exceptions that CPython need not raise, and for all of a program that
/// computes early what CPython may never compute.
pub(crate) fn of_running(
    error: &MontyException,
    facts: &Facts,
    recursion: usize,
) -> Result<Outcome, VerifyError> {
    if facts.eager {
        return Err(unsupported(error));
    }
    let message = error.message().unwrap_or_default();
    match error.exc_type() {
        ExcType::TimeoutError if message.starts_with("time limit exceeded") => return Ok(Outcome::Timeout),
        ExcType::MemoryError if message.starts_with("memory limit exceeded") => return Ok(Outcome::Memory),
        _ => {}
    }
    let cpythons = is_raised_by_the_program(error, facts) || is_cpythons(error, facts, recursion);
    if cpythons { Ok(Outcome::Runtime) } else { Err(unsupported(error)) }
}

/// monty marks the frames of `raise` statements to print no caret; also those of attribute and import
/// errors, and of what a `try` let through.
fn is_raised_by_the_program(error: &MontyException, facts: &Facts) -> bool {
    let lacking = matches!(
        error.exc_type(),
        ExcType::AttributeError | ExcType::ImportError | ExcType::ModuleNotFoundError
    );
    !lacking && !facts.has_try && error.traceback().last().is_some_and(|frame| frame.hide_caret)
}

fn is_cpythons(error: &MontyException, facts: &Facts, recursion: usize) -> bool {
    let message = error.message().unwrap_or_default();
    match error.exc_type() {
        ExcType::ArithmeticError
        | ExcType::AssertionError
        | ExcType::IndexError
        | ExcType::KeyError
        | ExcType::LookupError
        | ExcType::UnboundLocalError
        | ExcType::ZeroDivisionError => true,
        ExcType::OverflowError => {
            const CPYTHONS: &[&str] =
                &["math range error", "int too large to convert to float", "cannot convert float infinity"];
            CPYTHONS.iter().any(|start| message.starts_with(start))
        }
        ExcType::ValueError => {
            const OURS: &[&str] =
                &["pow() 2nd", "Unknown format code 'n'", "list modified", "Exceeds the limit"];
            message.is_ascii() && !OURS.iter().any(|start| message.starts_with(start))
        }
        ExcType::NameError => quoted(message).next().is_some_and(|name| !is_cpython_builtin(name)),
        ExcType::AttributeError => lacks_attribute(message, facts),
        ExcType::TypeError => type_error::is_cpythons(message, facts),
        // What recurses through a callback of `sorted` or the like, or through nested lists, meets a
        // limit of monty's own, long before this one.
        ExcType::RecursionError => error.traceback().len() + 10 > recursion,
        ExcType::RuntimeError => message.contains("changed size during iteration"),
        _ => false,
    }
}

/// `'list' object has no attribute 'push'`, `type object 'list' has no attribute 'push'`.
fn lacks_attribute(message: &str, facts: &Facts) -> bool {
    let mut names = quoted(message);
    let (Some(type_name), Some(attribute)) = (names.next(), names.next()) else { return false };
    if message.starts_with("module") || !message.contains("has no attribute") {
        return false;
    }
    match has_attribute(type_name, attribute) {
        Some(has) => !has,
        None => facts.classes.contains(type_name) && !attribute.starts_with("__"),
    }
}

/// The parts of `message` in single quotes.
fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('\'').skip(1).step_by(2)
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
