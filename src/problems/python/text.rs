//! The text of a syntax tree: one statement per line, as the style guide of Python spaces it.

use std::fmt;

use super::{
    Comparison, Condition, Expression, Function, Header, INDENT, Method, Operator, Simple, Statement, Target,
    Variable,
};

impl Operator {
    fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::FloorDivide => "//",
            Self::Modulo => "%",
        }
    }

    /// Sums bind less than products.
    fn is_sum(self) -> bool {
        matches!(self, Self::Add | Self::Subtract)
    }
}

impl Comparison {
    fn text(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::Below => "<",
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::Unequal => "!=",
        }
    }
}

impl Function {
    fn text(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Len => "len",
            Self::Max => "max",
            Self::Min => "min",
            Self::Sorted => "sorted",
            Self::Sum => "sum",
        }
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Writes `items` with commas between them.
fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(place, item)| match place {
        0 => write!(f, "{item}"),
        _ => write!(f, ", {item}"),
    })
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Variable(variable) => write!(f, "{variable}"),
            Self::List(items) => {
                f.write_str("[")?;
                list(f, items)?;
                f.write_str("]")
            }
            Self::Negative(inner) => match **inner {
                Self::Binary(..) => write!(f, "-({inner})"),
                _ => write!(f, "-{inner}"),
            },
            Self::Binary(left, operator, right) => {
                // Parentheses only where the tree is not the one that precedence gives.
                let bracket = |side: &Self, is_right: bool| match side {
                    Self::Binary(_, inner, _) if is_right => !operator.is_sum() || inner.is_sum(),
                    Self::Binary(_, inner, _) => !operator.is_sum() && inner.is_sum(),
                    _ => false,
                };
                for (side, is_right) in [(left, false), (right, true)] {
                    if is_right {
                        write!(f, " {} ", operator.text())?;
                    }
                    match bracket(side, is_right) {
                        true => write!(f, "({side})")?,
                        false => write!(f, "{side}")?,
                    }
                }
                Ok(())
            }
            Self::Item(variable, index) => write!(f, "{variable}[{index}]"),
            Self::Pop(variable, None) => write!(f, "{variable}.pop()"),
            Self::Pop(variable, Some(index)) => write!(f, "{variable}.pop({index})"),
            Self::Call(function, arguments) => {
                write!(f, "{}(", function.text())?;
                list(f, arguments)?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(left, comparison, right) => write!(f, "{left} {} {right}", comparison.text()),
            Self::Truth(value) => write!(f, "{value}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) => write!(f, "{variable}"),
            Self::Item(variable, index) => write!(f, "{variable}[{index}]"),
        }
    }
}

impl fmt::Display for Simple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assign(targets, values) => {
                list(f, targets)?;
                f.write_str(" = ")?;
                list(f, values)
            }
            Self::Update(target, operator, value) => write!(f, "{target} {}= {value}", operator.text()),
            Self::Method(variable, method, arguments) => {
                let (name, tail) = match method {
                    Method::Append => ("append", ""),
                    Method::Clear => ("clear", ""),
                    Method::Extend => ("extend", ""),
                    Method::Insert => ("insert", ""),
                    Method::Remove => ("remove", ""),
                    Method::Reverse => ("reverse", ""),
                    Method::Sort => ("sort", ""),
                    Method::SortDown => ("sort", "reverse=True"),
                };
                write!(f, "{variable}.{name}(")?;
                list(f, arguments)?;
                write!(f, "{tail})")
            }
            Self::Delete(variable, index) => write!(f, "del {variable}[{index}]"),
            Self::Print(values) => {
                f.write_str("print(")?;
                list(f, values)?;
                f.write_str(")")
            }
            Self::Evaluate(value) => write!(f, "{value}"),
            Self::Pass => f.write_str("pass"),
        }
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::If(condition) => write!(f, "if {condition}:"),
            Self::For(variable, values) => write!(f, "for {variable} in {values}:"),
        }
    }
}

/// The statement's lines, each with its line end.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(simple) => writeln!(f, "{simple}"),
            Self::Compound(header, body) => {
                writeln!(f, "{header}")?;
                body.iter().try_for_each(|simple| writeln!(f, "{:INDENT$}{simple}", ""))
            }
        }
    }
}
