//! What a program's functions are asked, and what they must answer.
//!
//! A test that is a call is one question. Most test code is a list of assertions about calls with constant arguments;
//! read here, it needs no process to run it: the calls are made, and Python's comparisons are made of plain data. What
//! is of any other form is for the process that is trusted with test code; the verdict is the same.

mod compare;
mod literal;
mod number;
mod read;

use pspo::data::Matching;
use pspo::plugin::{Outcome, VerifyError};
use pspo::verify::excerpt;
use serde_json::{Map, Value, json};

use crate::outcome::Failure;
use crate::plain::{from_json, is_expected, shown};
use compare::{distance, equal, has_nan, is_true};
pub(crate) use read::asks;

/// A call, and what must be true of the value that it returns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    function: String,
    /// Plain data.
    arguments: Vec<Value>,
    /// Plain data by name.
    keywords: Map<String, Value>,
    expect: Expect,
}

/// What is asserted of a value, with the expected one as plain data, or else as JSON.
#[derive(Clone, Debug, PartialEq)]
enum Expect {
    /// The expected value by the problem's rule.
    Matching(Value),
    /// What an assertion says, with its message and its line, from 1.
    Asserted(Asserted, Option<String>, usize),
}

/// What test code asserts of a value, with the expected one as plain data.
#[derive(Clone, Debug, PartialEq)]
enum Asserted {
    /// `f() == x`, or `f() != x`.
    Equal(Value, bool),
    /// `f() is None`, `True` or `False`.
    Is(Value),
    /// `f()`, or `not f()`.
    True(bool),
    /// `abs(f() - x) < limit`, or `<=`.
    Near { to: Value, limit: f64, or_equal: bool },
}

impl Ask {
    /// The question of a test that is a call.
    pub fn call(function: &str, arguments: &[Value], expected: &Value) -> Self {
        Self {
            function: function.to_owned(),
            arguments: arguments.iter().map(from_json).collect(),
            keywords: Map::new(),
            expect: Expect::Matching(expected.clone()),
        }
    }

    /// The message that asks a program.
    pub fn message(&self, id: usize) -> Value {
        // A function that test code names is a global one; a test that is a call may mean a method.
        let operation = if matches!(self.expect, Expect::Matching(_)) { "call or solve" } else { "call" };
        json!({"id": id, "do": operation, "target": self.function, "with": [self.arguments, self.keywords]})
    }

    /// Whether the call returned what it should.
    ///
    /// # Errors
    /// [`VerifyError::Unsupported`] where that cannot be told.
    pub fn judge(&self, matching: &Matching, got: &Value) -> Result<Result<(), Failure>, VerifyError> {
        let wrong = match &self.expect {
            Expect::Matching(expected) => (!is_expected(matching, expected, got)?).then(|| {
                format!("returned {}, not {}", excerpt(&shown(got)), excerpt(&expected.to_string()))
            }),
            Expect::Asserted(asserted, message, line) => asserted.wrong(got).map(|what| {
                let message =
                    message.as_ref().map_or(String::new(), |message| format!(": {}", excerpt(message)));
                format!("{what} (line {line} of the test{message})")
            }),
        };
        Ok(wrong.map_or(Ok(()), |what| Err((Outcome::Wrong, what))))
    }
}

impl Asserted {
    /// What is wrong about a value of which it is not true.
    fn wrong(&self, got: &Value) -> Option<String> {
        let returned = || format!("returned {}", excerpt(&shown(got)));
        let no_value = || format!("{}, where a value was expected", returned());
        if has_nan(got) {
            return Some(format!("{}, where the test speaks of no NaN", returned()));
        }
        match self {
            Self::Equal(expected, true) => {
                (!equal(expected, got)).then(|| format!("{}, not {}", returned(), excerpt(&shown(expected))))
            }
            Self::Equal(expected, false) => {
                equal(expected, got).then(|| format!("{}, which it should not", returned()))
            }
            Self::Is(expected) => {
                (expected != got).then(|| format!("{}, not {}", returned(), shown(expected)))
            }
            Self::True(expected) => match is_true(got) {
                Some(truth) => (truth != *expected).then(returned),
                None => Some(no_value()),
            },
            Self::Near { to, limit, or_equal } => match distance(got, to) {
                Some(distance) if distance < *limit || *or_equal && distance == *limit => None,
                Some(_) => Some(format!("{}, more than {limit} from {}", returned(), shown(to))),
                None => Some(no_value()),
            },
        }
    }
}

#[cfg(test)]
mod tests;
