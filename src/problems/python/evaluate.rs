//! Computes expressions and conditions as Python would.

use std::sync::Arc;

use super::state::{State, Stop, Value};
use super::{Comparison, Condition, Expression, Function, Operator, Variable};

const TYPE_ERROR: Stop = Stop::Raised("TypeError");
const TOO_LARGE: Stop = Stop::Outside("an integer of more than 64 bits");
const NESTED: Stop = Stop::Outside("a list in a list");

/// More items than this in a list, and a program counts as one that does not end, as `for x in xs: xs.extend(xs)`, which would
/// take all memory first. Those of the problems have a handful.
const MOST_ITEMS: usize = 1_000;

impl State {
    pub(super) fn holds(&mut self, condition: &Condition) -> Result<bool, Stop> {
        let (left, comparison, right) = match condition {
            Condition::Compare(left, comparison, right) => {
                (self.value(left)?, comparison, self.value(right)?)
            }
            Condition::Truth(value) => {
                return Ok(match self.value(value)? {
                    Value::Integer(value) => value != 0,
                    Value::List(items) => !items.is_empty(),
                });
            }
        };
        let order = match (&left, &right, comparison) {
            (Value::Integer(left), Value::Integer(right), _) => left.cmp(right),
            (Value::List(left), Value::List(right), _) => left.cmp(right),
            (_, _, Comparison::Equal) => return Ok(false),
            (_, _, Comparison::Unequal) => return Ok(true),
            _ => return Err(TYPE_ERROR),
        };
        Ok(match comparison {
            Comparison::Above => order.is_gt(),
            Comparison::Below => order.is_lt(),
            Comparison::AtLeast => order.is_ge(),
            Comparison::AtMost => order.is_le(),
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
        })
    }

    pub(super) fn value(&mut self, expression: &Expression) -> Result<Value, Stop> {
        Ok(match expression {
            Expression::Integer(value) => Value::Integer(*value),
            Expression::Variable(variable) => self.read(*variable)?.clone(),
            Expression::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    match self.value(item)? {
                        Value::Integer(value) => list.push(value),
                        Value::List(_) => return Err(NESTED),
                    }
                }
                Value::List(Arc::new(list))
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
                let index = self.index(*list, index)?;
                let items = self.items(*list, "TypeError")?;
                Value::Integer(items[place(items, index)?])
            }
            Expression::Pop(list, index) => {
                self.items(*list, "AttributeError")?;
                Value::Integer(self.take(*list, index.as_deref())?)
            }
            Expression::Call(function, arguments) => {
                let values = self.values(arguments)?;
                call(*function, values)?
            }
        })
    }

    pub(super) fn values(&mut self, expressions: &[Expression]) -> Result<Vec<Value>, Stop> {
        let mut values = Vec::with_capacity(expressions.len());
        for expression in expressions {
            values.push(self.value(expression)?);
        }
        Ok(values)
    }

    /// The value of an index into `list`, which is looked up first, as Python does.
    pub(super) fn index(&mut self, list: Variable, index: &Expression) -> Result<i64, Stop> {
        self.items(list, "TypeError")?;
        self.value(index)?.into_integer()
    }

    /// Takes an item out of a list: the one at `index`, or the last.
    pub(super) fn take(&mut self, list: Variable, index: Option<&Expression>) -> Result<i64, Stop> {
        let index = index.map_or(Ok(-1), |index| self.index(list, index))?;
        let items = self.items_mut(list, "TypeError")?;
        let place = place(items, index)?;
        Ok(items.remove(place))
    }
}

/// The place in `items` that Python's `index` means.
pub(super) fn place(items: &[i64], index: i64) -> Result<usize, Stop> {
    let len = items.len() as i64;
    let place = if index < 0 { index.saturating_add(len) } else { index };
    usize::try_from(place).ok().filter(|&place| place < items.len()).ok_or(Stop::Raised("IndexError"))
}

/// Appends `more` to `items`.
pub(super) fn extend(items: &mut Vec<i64>, more: &[i64]) -> Result<(), Stop> {
    if items.len() + more.len() > MOST_ITEMS {
        return Err(Stop::Endless);
    }
    items.extend(more);
    Ok(())
}

pub(super) fn binary(left: Value, operator: Operator, right: Value) -> Result<Value, Stop> {
    let (left, right) = match (left, right, operator) {
        (Value::Integer(left), Value::Integer(right), _) => (left, right),
        (Value::List(mut left), Value::List(right), Operator::Add) => {
            extend(Arc::make_mut(&mut left), &right)?;
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
        // Rust rounds to zero and Python down: they differ where there is a rest and the signs differ.
        Operator::FloorDivide => left.checked_div(right).map(|quotient| {
            let differs = left.wrapping_rem(right) != 0 && (left < 0) != (right < 0);
            quotient - i64::from(differs)
        }),
        Operator::Modulo => left.checked_rem(right).map(|rest| {
            let differs = rest != 0 && (rest < 0) != (right < 0);
            if differs { rest + right } else { rest }
        }),
    };
    value.map(Value::Integer).ok_or(TOO_LARGE)
}

fn call(function: Function, mut values: Vec<Value>) -> Result<Value, Stop> {
    if values.len() > 1 {
        // The subset gives several arguments to `max` and `min` alone.
        if values.iter().all(|value| matches!(value, Value::List(_))) {
            return Err(Stop::Outside("the larger of two lists"));
        }
        let integers = values.into_iter().map(Value::into_integer).collect::<Result<Vec<_>, _>>()?;
        return extreme(function, &integers);
    }
    let value = values.pop().ok_or(TYPE_ERROR)?;
    Ok(match function {
        Function::Abs => Value::Integer(value.into_integer()?.checked_abs().ok_or(TOO_LARGE)?),
        Function::Len => Value::Integer(value.into_list()?.len() as i64),
        Function::Sum => {
            let items = value.into_list()?;
            let sum = items.iter().try_fold(0_i64, |sum, item| sum.checked_add(*item));
            Value::Integer(sum.ok_or(TOO_LARGE)?)
        }
        Function::Sorted => {
            let mut items = value.into_list()?;
            Arc::make_mut(&mut items).sort_unstable();
            Value::List(items)
        }
        Function::Max | Function::Min => extreme(function, &value.into_list()?)?,
    })
}

fn extreme(function: Function, values: &[i64]) -> Result<Value, Stop> {
    let found = match function {
        Function::Max => values.iter().max(),
        _ => values.iter().min(),
    };
    found.copied().map(Value::Integer).ok_or(Stop::Raised("ValueError"))
}
