//! Which programs mean the same to monty and to CPython, as far as can be told by reading them.
//!
//! What monty does not know it mostly refuses itself. This is about the rest, where it goes on and does
//! something else: generator expressions, `map`, `zip` and the like are lists at once; sets keep the
//! order of insertion; `//` and `**` of floats and `round` to digits differ in the last place; operators
//! that a class defines are not called. The check lets through what is known to agree, by the syntax
//! tree, and refuses the rest. What it assumes about types it assumes to the program's disadvantage: a
//! program may be refused that would have agreed.

mod bindings;
mod calls;
mod definitions;
mod expressions;
mod mutations;
mod names;
mod place;
mod walk;

use std::collections::BTreeSet;

use ruff_python_ast::PythonVersion;
use ruff_python_parser::{Mode, ParseErrorType, ParseOptions, parse_unchecked};

use bindings::Bindings;
pub(crate) use names::{has_attribute, is_cpython_builtin};
use walk::Walk;

/// Programs above this many bytes are refused, which bounds how deep a syntax tree can be.
const LONGEST: usize = 64 << 10;

/// The oldest Python whose syntax counts: a program that only newer ones accept is refused.
const OLDEST: PythonVersion = PythonVersion::PY310;

/// What the check found out about a program that it let through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The classes that it defines.
    pub classes: BTreeSet<String>,
    /// The functions that it defines.
    pub functions: BTreeSet<String>,
    /// Names of builtins that it gives another meaning at the module's level.
    pub shadowed: BTreeSet<String>,
    /// It has a `try`.
    pub has_try: bool,
    /// It computes elements at once that CPython computes one by one as they are asked for, so that an
    /// exception may come too early, and one that never was asked for may come at all.
    pub eager: bool,
}

/// Why a program is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// CPython does not compile it.
    Syntax(String),
    /// monty does not run it as CPython does, or that is not known.
    Differs(String),
}

/// What tests give a program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Variables that it finds set.
    pub variables: Vec<String>,
    /// Some value is a float or has one inside.
    pub floats: bool,
    /// Some value is an integer that a float cannot hold, or has one inside.
    pub large_integers: bool,
}

/// Reads `program` as far as it needs for telling whether it may be run.
pub(crate) fn check(program: &str, given: &Given) -> Result<Facts, Refused> {
    if program.len() > LONGEST {
        return Err(Refused::Differs(format!("a program of more than {LONGEST} bytes")));
    }
    let options = ParseOptions::from(Mode::Module).with_target_version(OLDEST);
    let parsed = parse_unchecked(program, options);
    if let Some(error) = parsed.errors().first() {
        return Err(refused_by_parser(program, error));
    }
    if let Some(error) = parsed.unsupported_syntax_errors().first() {
        return Err(Refused::Differs(format!("syntax that not every Python accepts: {error}")));
    }
    let module = parsed.into_syntax().expect_module();
    let bindings = Bindings::of(&module.body, &given.variables);
    Walk::new(&bindings, given).module(&module.body)
}

fn refused_by_parser(program: &str, error: &ruff_python_parser::ParseError) -> Refused {
    // Tabs among the blanks of an indentation are counted differently from CPython, in some cases.
    let tabs = program.lines().any(|line| {
        let indentation = &line[..line.len() - line.trim_start().len()];
        indentation.contains(['\t', '\x0c'])
    });
    if error.error == ParseErrorType::RecursionLimitExceeded || tabs {
        Refused::Differs(error.to_string())
    } else {
        Refused::Syntax(error.error.to_string())
    }
}

#[cfg(test)]
mod tests;
