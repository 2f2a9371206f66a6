//! The subset of Python that generated problems use: its the syntax tree.
//!
//! Integers and lists of integers in the variables [`NAMES`]; assignments, list methods, `print`, and
//! one level of `if` and `for`. [`parse::Program`] reads a program, [`state::State::run`] runs it and
//! `Display` writes it.

#[cfg(test)]
pub(in crate::problems) mod cpython;
mod evaluate;
pub mod parse;
mod run;
pub mod state;
mod text;

/// The names of the variables, by their number. The tests set all but `x`, which loops do.
pub const NAMES: [&str; 7] = ["a", "b", "c", "d", "x", "xs", "ys"];

/// How many blanks indent the body of a compound statement in the text of a tree.
pub const INDENT: usize = 4;

/// `x`: loops set it.
pub const LOOP_VARIABLE: Variable = Variable(4);

/// A variable, as its place in [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable(pub(crate) u8);

impl Variable {
    /// The variable called `name`, if it is one of [`NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|&known| known == name).map(|place| Self(place as u8))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

/// A binary operation on integers; `+` also joins lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `//`, rounding down
    FloorDivide,
    /// `%`, with the sign of the divisor
    Modulo,
}

/// How two integers compare in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Above,
    /// `<`
    Below,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
}

/// A built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `abs`
    Abs,
    /// `len`
    Len,
    /// `max`
    Max,
    /// `min`
    Min,
    /// `sorted`
    Sorted,
    /// `sum`
    Sum,
}

/// A method of lists that is called for its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `append(value)`
    Append,
    /// `clear()`
    Clear,
    /// `extend(list)`
    Extend,
    /// `insert(index, value)`
    Insert,
    /// `remove(value)`
    Remove,
    /// `reverse()`
    Reverse,
    /// `sort()`
    Sort,
    /// `sort(reverse=True)`
    SortDown,
}

/// What has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// `3`
    Integer(i64),
    /// `a`
    Variable(Variable),
    /// `[a, 3]`
    List(Vec<Expression>),
    /// `-a`
    Negative(Box<Expression>),
    /// `a + 3`
    Binary(Box<Expression>, Operator, Box<Expression>),
    /// `xs[0]`
    Item(Variable, Box<Expression>),
    /// `xs.pop()` or `xs.pop(0)`
    Pop(Variable, Option<Box<Expression>>),
    /// `sum(xs)`
    Call(Function, Vec<Expression>),
}

/// What decides an `if`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `a > 3`
    Compare(Expression, Comparison, Expression),
    /// `xs`: an integer other than 0, or a list that is not empty.
    Truth(Expression),
}

/// What can be assigned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `a`
    Variable(Variable),
    /// `xs[0]`
    Item(Variable, Expression),
}

/// A statement that stands on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simple {
    /// `a = 3`, or with several of each `a, b = b, a`; as many targets as values.
    Assign(Vec<Target>, Vec<Expression>),
    /// `a += 3`
    Update(Target, Operator, Expression),
    /// `xs.append(3)`
    Method(Variable, Method, Vec<Expression>),
    /// `del xs[0]`
    Delete(Variable, Expression),
    /// `print(a, xs)`
    Print(Vec<Expression>),
    /// `xs.pop()`
    Evaluate(Expression),
    /// `pass`
    Pass,
}

/// The first line of a compound statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// `if a > 3:`
    If(Condition),
    /// `for x in xs:`
    For(Variable, Expression),
}

/// A statement of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// One line.
    Simple(Simple),
    /// A header and the lines below it. The body is empty where a prefix ends right after the header.
    Compound(Header, Vec<Simple>),
}

impl Statement {
    /// How many lines its text has.
    pub fn lines(&self) -> usize {
        match self {
            Self::Simple(_) => 1,
            Self::Compound(_, body) => 1 + body.len(),
        }
    }
}
