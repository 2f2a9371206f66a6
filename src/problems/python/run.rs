//! Runs programs of the subset as Python would.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value as Json;
use thiserror::Error;

use super::{
    Comparison, Condition, Expression, Function, Header, Method, NAMES, Operator, Simple, Statement, Target,
    Variable,
};

/// More statements than this, and a program counts as one that does not end: those of the problems run
/// a few dozen, and `for x in xs: xs.append(x)` has no end.
const MOST_STATEMENTS: usize = 10_000;

/// A variable's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An integer.
    Integer(i64),
    /// A list of integers, shared with no other variable.
    List(Vec<i64>),
}

/// Why a program did not run to its end.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// Python raises an exception here, or the program does not end.
    #[error("it raises {0}")]
    Raised(&'static str),
    /// This evaluator cannot say what Python does here.
    #[error("{0} is outside the subset of Python that can be judged")]
    Outside(&'static str),
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
                Json::Array(items) => Value::List(items.iter().map(Json::as_i64).collect::<Option<_>>()?),
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

    /// Runs `statements` and appends what they print to `output`.
    ///
    /// # Errors
    /// If Python raises an exception, or does something that this evaluator does not know. State and
    /// output are then those of the moment.
    pub fn run(&mut self, statements: &[Statement], output: &mut String) -> Result<(), Stop> {
        let mut left = MOST_STATEMENTS;
        statements.iter().try_for_each(|statement| self.statement(statement, output, &mut left))
    }

    fn statement(
        &mut self,
        statement: &Statement,
        output: &mut String,
        left: &mut usize,
    ) -> Result<(), Stop> {
        match statement {
            Statement::Simple(simple) => self.simple(simple, output, left),
            Statement::Compound(Header::If(condition), body) => match self.holds(condition)? {
                true => body.iter().try_for_each(|simple| self.simple(simple, output, left)),
                false => Ok(()),
            },
            Statement::Compound(Header::For(item, Expression::Variable(list)), body) => {
                let assigned = body.iter().any(|simple| assigns(simple, *list));
                if assigned || item == list {
                    return Err(Stop::Outside("a loop that replaces the list it goes over"));
                }
                // Python goes on to the items that the body appends.
                let mut place = 0;
                while let Some(&value) = self.list(*list)?.get(place) {
                    self.set(*item, Value::Integer(value));
                    body.iter().try_for_each(|simple| self.simple(simple, output, left))?;
                    place += 1;
                    spend(left)?;
                }
                Ok(())
            }
            Statement::Compound(Header::For(item, values), body) => {
                for value in self.value(values)?.into_list()? {
                    self.set(*item, Value::Integer(value));
                    body.iter().try_for_each(|simple| self.simple(simple, output, left))?;
                }
                Ok(())
            }
        }
    }

    fn simple(&mut self, simple: &Simple, output: &mut String, left: &mut usize) -> Result<(), Stop> {
        spend(left)?;
        match simple {
            Simple::Assign(targets, values) => {
                if values.iter().any(|value| matches!(self.kept_list(value), Ok(Some(_)))) {
                    return Err(Stop::Outside("a list with two names"));
                }
                let values = values.iter().map(|value| self.value(value)).collect::<Result<Vec<_>, _>>()?;
                targets.iter().zip(values).try_for_each(|(target, value)| self.assign(target, value))
            }
            Simple::Update(Target::Variable(variable), operator, value) => {
                self.variable(*variable)?;
                // The value comes first: in `xs += [xs.pop()]` it changes the list that is extended.
                let value = self.value(value)?;
                let new = binary(self.variable(*variable)?.clone(), *operator, value)?;
                self.set(*variable, new);
                Ok(())
            }
            Simple::Update(Target::Item(list, index), operator, value) => {
                self.list(*list)?;
                let index = self.value(index)?.into_integer()?;
                let items = self.list(*list)?;
                let old = items[place(items, index)?];
                let value = self.value(value)?;
                let new = binary(Value::Integer(old), *operator, value)?;
                self.assign(&Target::Item(*list, Expression::Integer(index)), new)
            }
            Simple::Method(list, method, arguments) => self.method(*list, *method, arguments),
            Simple::Delete(list, index) => self.take(*list, Some(index)).map(drop),
            Simple::Print(values) => {
                let values = values.iter().map(|value| self.value(value)).collect::<Result<Vec<_>, _>>()?;
                for (place, value) in values.iter().enumerate() {
                    if place > 0 {
                        output.push(' ');
                    }
                    value.write(output);
                }
                output.push('\n');
                Ok(())
            }
            Simple::Evaluate(value) => self.value(value).map(drop),
            Simple::Pass => Ok(()),
        }
    }

    fn method(&mut self, list: Variable, method: Method, arguments: &[Expression]) -> Result<(), Stop> {
        self.list_or(list, "AttributeError")?;
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(argument)?);
        }
        let items = self.list_or(list, "AttributeError")?;
        match (method, values.as_slice()) {
            (Method::Append, [Value::Integer(value)]) => items.push(*value),
            (Method::Clear, []) => items.clear(),
            (Method::Extend, [Value::List(more)]) => items.extend(more),
            (Method::Extend, [Value::Integer(_)]) => return Err(Stop::Raised("TypeError")),
            (Method::Insert, [Value::Integer(index), Value::Integer(value)]) => {
                let len = items.len() as i64;
                let index = if *index < 0 { (index.saturating_add(len)).max(0) } else { (*index).min(len) };
                items.insert(index as usize, *value);
            }
            (Method::Insert, [Value::List(_), _]) => return Err(Stop::Raised("TypeError")),
            (Method::Remove, [Value::Integer(value)]) => {
                let place = items.iter().position(|item| item == value);
                items.remove(place.ok_or(Stop::Raised("ValueError"))?);
            }
            (Method::Remove, [Value::List(_)]) => return Err(Stop::Raised("ValueError")),
            (Method::Reverse, []) => items.reverse(),
            (Method::Sort, []) => items.sort_unstable(),
            (Method::SortDown, []) => items.sort_unstable_by(|a, b| b.cmp(a)),
            _ => return Err(Stop::Outside("a list in a list")),
        }
        Ok(())
    }

    fn holds(&mut self, condition: &Condition) -> Result<bool, Stop> {
        Ok(match condition {
            Condition::Compare(left, comparison, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                let order = match (&left, &right) {
                    (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
                    (Value::List(left), Value::List(right)) => left.cmp(right),
                    _ => match comparison {
                        Comparison::Equal => return Ok(false),
                        Comparison::Unequal => return Ok(true),
                        _ => return Err(Stop::Raised("TypeError")),
                    },
                };
                match comparison {
                    Comparison::Above => order.is_gt(),
                    Comparison::Below => order.is_lt(),
                    Comparison::AtLeast => order.is_ge(),
                    Comparison::AtMost => order.is_le(),
                    Comparison::Equal => order.is_eq(),
                    Comparison::Unequal => order.is_ne(),
                }
            }
            Condition::Truth(value) => match self.value(value)? {
                Value::Integer(value) => value != 0,
                Value::List(items) => !items.is_empty(),
            },
        })
    }

    fn value(&mut self, expression: &Expression) -> Result<Value, Stop> {
        Ok(match expression {
            Expression::Integer(value) => Value::Integer(*value),
            Expression::Variable(variable) => self.variable(*variable)?.clone(),
            Expression::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    match self.value(item)? {
                        Value::Integer(value) => list.push(value),
                        Value::List(_) => return Err(Stop::Outside("a list in a list")),
                    }
                }
                Value::List(list)
            }
            Expression::Negative(inner) => {
                let value = self.value(inner)?.into_integer()?;
                Value::Integer(value.checked_neg().ok_or(TOO_LARGE)?)
            }
            Expression::Binary(left, operator, right) => {
                let left = self.value(left)?;
                binary(left, *operator, self.value(right)?)?
            }
            Expression::Item(list, index) => {
                self.list(*list)?;
                let index = self.value(index)?.into_integer()?;
                let items = self.list(*list)?;
                Value::Integer(items[place(items, index)?])
            }
            Expression::Pop(list, index) => {
                self.list_or(*list, "AttributeError")?;
                Value::Integer(self.take(*list, index.as_deref())?)
            }
            Expression::Call(function, arguments) => self.call(*function, arguments)?,
        })
    }

    fn call(&mut self, function: Function, arguments: &[Expression]) -> Result<Value, Stop> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(argument)?);
        }
        if values.len() > 1 {
            // The subset gives several arguments to `max` and `min` alone.
            let lists = values.iter().filter(|value| matches!(value, Value::List(_))).count();
            if lists > 0 {
                let all = lists == values.len();
                return Err(if all { Stop::Outside("the larger of two lists") } else { TYPE_ERROR });
            }
            let values = values.into_iter().map(Value::into_integer).collect::<Result<_, _>>()?;
            return extreme(function, values);
        }
        let value = values.pop().ok_or(TYPE_ERROR)?;
        Ok(match function {
            Function::Abs => Value::Integer(value.into_integer()?.checked_abs().ok_or(TOO_LARGE)?),
            Function::Len => Value::Integer(value.into_list()?.len() as i64),
            Function::Sum => {
                let mut items = value.into_list()?.into_iter();
                let sum = items.try_fold(0_i64, i64::checked_add);
                Value::Integer(sum.ok_or(TOO_LARGE)?)
            }
            Function::Sorted => {
                let mut items = value.into_list()?;
                items.sort_unstable();
                Value::List(items)
            }
            Function::Max | Function::Min => extreme(function, value.into_list()?)?,
        })
    }

    /// Takes an item out of a list: the one at `index`, or the last.
    fn take(&mut self, list: Variable, index: Option<&Expression>) -> Result<i64, Stop> {
        self.list(list)?;
        let index = match index {
            Some(index) => self.value(index)?.into_integer()?,
            None => -1,
        };
        let items = self.list(list)?;
        let place = place(items, index)?;
        Ok(items.remove(place))
    }

    fn assign(&mut self, target: &Target, value: Value) -> Result<(), Stop> {
        match (target, value) {
            (Target::Variable(variable), value) => self.set(*variable, value),
            (Target::Item(list, index), value) => {
                self.list(*list)?;
                let index = self.value(index)?.into_integer()?;
                let items = self.list(*list)?;
                let place = place(items, index)?;
                match value {
                    Value::Integer(value) => items[place] = value,
                    Value::List(_) => return Err(Stop::Outside("a list in a list")),
                }
            }
        }
        Ok(())
    }

    /// The list that `expression` names, if its value is a list that a variable holds.
    fn kept_list(&self, expression: &Expression) -> Result<Option<Variable>, Stop> {
        Ok(match expression {
            Expression::Variable(variable) => match self.variable(*variable)? {
                Value::List(_) => Some(*variable),
                Value::Integer(_) => None,
            },
            _ => None,
        })
    }

    fn variable(&self, variable: Variable) -> Result<&Value, Stop> {
        self.get(variable).ok_or(Stop::Raised("NameError"))
    }

    fn list(&mut self, variable: Variable) -> Result<&mut Vec<i64>, Stop> {
        self.list_or(variable, "TypeError")
    }

    fn list_or(&mut self, variable: Variable, error: &'static str) -> Result<&mut Vec<i64>, Stop> {
        match &mut self.values[usize::from(variable.0)] {
            Some(Value::List(items)) => Ok(items),
            Some(Value::Integer(_)) => Err(Stop::Raised(error)),
            None => Err(Stop::Raised("NameError")),
        }
    }
}

const TYPE_ERROR: Stop = Stop::Raised("TypeError");
const TOO_LARGE: Stop = Stop::Outside("an integer of more than 64 bits");

impl Value {
    fn into_integer(self) -> Result<i64, Stop> {
        match self {
            Self::Integer(value) => Ok(value),
            Self::List(_) => Err(TYPE_ERROR),
        }
    }

    fn into_list(self) -> Result<Vec<i64>, Stop> {
        match self {
            Self::Integer(_) => Err(TYPE_ERROR),
            Self::List(items) => Ok(items),
        }
    }

    /// Appends what `print` writes for it.
    fn write(&self, output: &mut String) {
        // To write into a string cannot fail.
        match self {
            Self::Integer(value) => _ = write!(output, "{value}"),
            Self::List(items) => _ = write!(output, "{items:?}"),
        }
    }
}

fn spend(left: &mut usize) -> Result<(), Stop> {
    *left = left.checked_sub(1).ok_or(Stop::Raised("no exception, but does not end"))?;
    Ok(())
}

/// Whether a statement gives `variable` another value, rather than changing the list it holds.
fn assigns(simple: &Simple, variable: Variable) -> bool {
    match simple {
        Simple::Assign(targets, _) => targets.contains(&Target::Variable(variable)),
        _ => false,
    }
}

/// The place in `items` that Python's `index` means.
fn place(items: &[i64], index: i64) -> Result<usize, Stop> {
    let len = items.len() as i64;
    let place = if index < 0 { index.saturating_add(len) } else { index };
    usize::try_from(place).ok().filter(|&place| place < items.len()).ok_or(Stop::Raised("IndexError"))
}

fn extreme(function: Function, values: Vec<i64>) -> Result<Value, Stop> {
    let found = match function {
        Function::Max => values.into_iter().max(),
        _ => values.into_iter().min(),
    };
    found.map(Value::Integer).ok_or(Stop::Raised("ValueError"))
}

fn binary(left: Value, operator: Operator, right: Value) -> Result<Value, Stop> {
    let (left, right) = match (left, right, operator) {
        (Value::Integer(left), Value::Integer(right), _) => (left, right),
        (Value::List(mut left), Value::List(right), Operator::Add) => {
            left.extend(right);
            return Ok(Value::List(left));
        }
        (Value::List(_), Value::Integer(_), Operator::Multiply)
        | (Value::Integer(_), Value::List(_), Operator::Multiply) => {
            return Err(Stop::Outside("a repeated list"));
        }
        _ => return Err(TYPE_ERROR),
    };
    let value = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::FloorDivide | Operator::Modulo if right == 0 => {
            return Err(Stop::Raised("ZeroDivisionError"));
        }
        Operator::FloorDivide => left.checked_div_euclid(right).map(|quotient| match right < 0 {
            // Euclid rounds away from the negative divisor where there is a remainder.
            true if left.wrapping_rem_euclid(right) != 0 => quotient - 1,
            _ => quotient,
        }),
        Operator::Modulo => {
            left.checked_rem(right).map(|rest| match rest != 0 && (rest < 0) != (right < 0) {
                true => rest + right,
                false => rest,
            })
        }
    };
    value.map(Value::Integer).ok_or(TOO_LARGE)
}
