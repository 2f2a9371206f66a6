//! Values, and the state of a program between two statements.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value as Json;
use thiserror::Error;

use super::{NAMES, Variable};

/// A variable's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An integer.
    Integer(i64),
    /// A list of integers. No other variable names the same list; copies of the state share it until
    /// one of them changes it.
    List(Arc<Vec<i64>>),
}

/// Why a program did not run to its end.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// Python raises this exception.
    #[error("it raises {0}")]
    Raised(&'static str),
    /// The program ran for so long, or held so much, that it counts as one that does not end.
    #[error("it does not end")]
    Endless,
    /// This evaluator cannot say what Python does.
    #[error("{0} is outside the subset of Python that can be judged")]
    Outside(&'static str),
}

impl Value {
    /// The integer.
    ///
    /// # Errors
    /// Python's `TypeError` for a list.
    pub(super) fn into_integer(self) -> Result<i64, Stop> {
        match self {
            Self::Integer(value) => Ok(value),
            Self::List(_) => Err(Stop::Raised("TypeError")),
        }
    }

    /// The list.
    ///
    /// # Errors
    /// Python's `TypeError` for an integer.
    pub(super) fn into_list(self) -> Result<Arc<Vec<i64>>, Stop> {
        match self {
            Self::Integer(_) => Err(Stop::Raised("TypeError")),
            Self::List(items) => Ok(items),
        }
    }

    /// Appends what `print` writes for it.
    pub(super) fn write(&self, output: &mut String) {
        // To write into a string cannot fail.
        _ = match self {
            Self::Integer(value) => write!(output, "{value}"),
            Self::List(items) => write!(output, "{items:?}"),
        };
    }
}

/// The values of the variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    values: [Option<Value>; NAMES.len()],
}

impl State {
    /// The state in which a test starts a program; `None` for a variable or value that the subset does
    /// not have.
    pub fn from_test(variables: &BTreeMap<String, Json>) -> Option<Self> {
        let mut state = Self::default();
        for (name, value) in variables {
            let value = match value {
                Json::Array(items) => {
                    Value::List(Arc::new(items.iter().map(Json::as_i64).collect::<Option<_>>()?))
                }
                value => Value::Integer(value.as_i64()?),
            };
            state.set(Variable::named(name)?, value);
        }
        Some(state)
    }

    /// The value of a variable, if it is set.
    pub fn get(&self, variable: Variable) -> Option<&Value> {
        self.values[usize::from(variable.0)].as_ref()
    }

    /// Sets a variable.
    pub fn set(&mut self, variable: Variable, value: Value) {
        self.values[usize::from(variable.0)] = Some(value);
    }

    /// Makes a variable one that is not set.
    pub fn unset(&mut self, variable: Variable) {
        self.values[usize::from(variable.0)] = None;
    }

    /// The variables that are set, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Variable, &Value)> {
        (0..)
            .map(Variable)
            .zip(&self.values)
            .filter_map(|(variable, value)| Some((variable, value.as_ref()?)))
    }

    /// The value of a variable.
    ///
    /// # Errors
    /// Python's `NameError` if it is not set.
    pub(super) fn read(&self, variable: Variable) -> Result<&Value, Stop> {
        self.get(variable).ok_or(Stop::Raised("NameError"))
    }

    /// The items of the list that a variable holds.
    ///
    /// # Errors
    /// Python's `NameError` if it is not set, the exception `error` if it holds no list.
    pub(super) fn items(&self, variable: Variable, error: &'static str) -> Result<&[i64], Stop> {
        match self.read(variable)? {
            Value::List(items) => Ok(items),
            Value::Integer(_) => Err(Stop::Raised(error)),
        }
    }

    /// The list that a variable holds, to be changed in place.
    ///
    /// # Errors
    /// As [`State::items`].
    pub(super) fn items_mut(
        &mut self,
        variable: Variable,
        error: &'static str,
    ) -> Result<&mut Vec<i64>, Stop> {
        match &mut self.values[usize::from(variable.0)] {
            Some(Value::List(items)) => Ok(Arc::make_mut(items)),
            Some(Value::Integer(_)) => Err(Stop::Raised(error)),
            None => Err(Stop::Raised("NameError")),
        }
    }
}
