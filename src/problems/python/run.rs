//! Runs statements as Python would.

use super::evaluate::{binary, extend, place};
use super::state::{State, Stop, Value};
use super::{Expression, Header, Method, Simple, Statement, Target, Variable};

/// More simple statements and rounds of loops than this, and a program counts as one that does not end:
/// those of the problems take a few dozen, and `for x in xs: xs.append(x)` has no end.
const MOST_STATEMENTS: usize = 1_000;

impl State {
    /// Runs `statements` and appends what they print to `output`.
    ///
    /// # Errors
    /// If Python raises an exception, or does something that this evaluator does not know. State and
    /// output are then those of the moment.
    pub fn run(&mut self, statements: &[Statement], output: &mut String) -> Result<(), Stop> {
        let mut left = MOST_STATEMENTS;
        statements.iter().try_for_each(|statement| match statement {
            Statement::Simple(simple) => self.simple(simple, output, &mut left),
            Statement::Compound(header, body) => self.compound(header, body, output, &mut left),
        })
    }

    fn compound(
        &mut self,
        header: &Header,
        body: &[Simple],
        output: &mut String,
        left: &mut usize,
    ) -> Result<(), Stop> {
        let mut round = |state: &mut Self| {
            spend(left)?;
            body.iter().try_for_each(|simple| state.simple(simple, output, left))
        };
        match header {
            Header::If(condition) => match self.holds(condition)? {
                true => round(self),
                false => Ok(()),
            },
            Header::For(item, Expression::Variable(list)) => {
                if item == list || body.iter().any(|simple| assigns(simple, *list)) {
                    return Err(Stop::Outside("a loop that replaces the list it goes over"));
                }
                // Not over a copy: Python goes on to the items that the body appends.
                let mut next = 0;
                while let Some(&value) = self.items(*list, "TypeError")?.get(next) {
                    self.set(*item, Value::Integer(value));
                    round(self)?;
                    next += 1;
                }
                Ok(())
            }
            Header::For(item, values) => {
                for &value in self.value(values)?.into_list()?.iter() {
                    self.set(*item, Value::Integer(value));
                    round(self)?;
                }
                Ok(())
            }
        }
    }

    fn simple(&mut self, simple: &Simple, output: &mut String, left: &mut usize) -> Result<(), Stop> {
        spend(left)?;
        match simple {
            Simple::Assign(targets, values) => {
                let names_a_list = |value: &Expression| match value {
                    Expression::Variable(variable) => matches!(self.get(*variable), Some(Value::List(_))),
                    _ => false,
                };
                if values.iter().any(names_a_list) {
                    return Err(Stop::Outside("a list with two names"));
                }
                let values = self.values(values)?;
                targets.iter().zip(values).try_for_each(|(target, value)| self.assign(target, value))
            }
            Simple::Update(Target::Variable(variable), operator, value) => {
                self.read(*variable)?;
                // The value comes first: in `xs += [xs.pop()]` it changes the list that is extended.
                let value = self.value(value)?;
                let new = binary(self.read(*variable)?.clone(), *operator, value)?;
                self.set(*variable, new);
                Ok(())
            }
            Simple::Update(Target::Item(list, index), operator, value) => {
                let index = self.index(*list, index)?;
                let items = self.items(*list, "TypeError")?;
                let old = items[place(items, index)?];
                let value = self.value(value)?;
                let new = binary(Value::Integer(old), *operator, value)?;
                self.assign(&Target::Item(*list, Expression::Integer(index)), new)
            }
            Simple::Method(list, method, arguments) => self.method(*list, *method, arguments),
            Simple::Delete(list, index) => self.take(*list, Some(index)).map(drop),
            Simple::Print(values) => {
                for (place, value) in self.values(values)?.iter().enumerate() {
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
        self.items(list, "AttributeError")?;
        let values = self.values(arguments)?;
        let items = self.items_mut(list, "AttributeError")?;
        match (method, values.as_slice()) {
            (Method::Append, [Value::Integer(value)]) => items.push(*value),
            (Method::Clear, []) => items.clear(),
            (Method::Extend, [Value::List(more)]) => extend(items, more)?,
            (Method::Extend, [Value::Integer(_)]) | (Method::Insert, [Value::List(_), _]) => {
                return Err(Stop::Raised("TypeError"));
            }
            (Method::Insert, [Value::Integer(index), Value::Integer(value)]) => {
                // An index beyond either end means that end.
                let len = items.len() as i64;
                let index = if *index < 0 { index.saturating_add(len) } else { *index };
                items.insert(index.clamp(0, len) as usize, *value);
            }
            (Method::Remove, [value]) => {
                let place = match value {
                    Value::Integer(value) => items.iter().position(|item| item == value),
                    Value::List(_) => None,
                };
                items.remove(place.ok_or(Stop::Raised("ValueError"))?);
            }
            (Method::Reverse, []) => items.reverse(),
            (Method::Sort, []) => items.sort_unstable(),
            (Method::SortDown, []) => items.sort_unstable_by(|a, b| b.cmp(a)),
            _ => return Err(Stop::Outside("a list in a list")),
        }
        Ok(())
    }

    fn assign(&mut self, target: &Target, value: Value) -> Result<(), Stop> {
        match (target, value) {
            (Target::Variable(variable), value) => self.set(*variable, value),
            (Target::Item(list, index), value) => {
                let index = self.index(*list, index)?;
                let items = self.items_mut(*list, "TypeError")?;
                let place = place(items, index)?;
                match value {
                    Value::Integer(value) => items[place] = value,
                    Value::List(_) => return Err(Stop::Outside("a list in a list")),
                }
            }
        }
        Ok(())
    }
}

fn spend(left: &mut usize) -> Result<(), Stop> {
    *left = left.checked_sub(1).ok_or(Stop::Endless)?;
    Ok(())
}

/// Whether a statement gives `variable` another value, rather than changing the list it holds.
fn assigns(simple: &Simple, variable: Variable) -> bool {
    match simple {
        Simple::Assign(targets, _) => targets.contains(&Target::Variable(variable)),
        _ => false,
    }
}
