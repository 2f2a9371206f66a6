//! Reads Python text line by line, as far as it lies in the subset.
//!
//! Two answers other than a tree are kept apart: text that no Python accepts ([`ParseError::Invalid`],
//! a wrong indentation), and text on which this parser has no opinion ([`ParseError::Outside`]), be it
//! richer Python or none at all.

use thiserror::Error;

use super::{
    Comparison, Condition, Expression, Function, Header, Method, Operator, Simple, Statement, Target,
    Variable,
};

/// Text that is not a program of the subset.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// The line is not in the subset; it may be Python or not.
    #[error("the line {0:?} is outside the subset of Python that can be judged")]
    Outside(String),
    /// Python rejects the indentation of this line, whatever follows.
    #[error("the line {0:?} is indented as no Python program may be")]
    Invalid(String),
}

/// One line of code, before it has a place in a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    indent: usize,
    code: Code,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Code {
    Simple(Simple),
    /// A header, with the statement behind its colon if there is one.
    Header(Header, Option<Simple>),
}

/// Where the next line may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Block {
    /// At the margin.
    #[default]
    None,
    /// Indented: a header stands without a body.
    Open,
    /// At the margin or indented by this much, as the body so far.
    Body(usize),
}

/// A program, or the beginning of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    statements: Vec<Statement>,
    block: Block,
}

impl Line {
    /// The code on `text`, one line; `None` for a blank line or a comment.
    ///
    /// # Errors
    /// [`ParseError::Outside`] if it is not in the subset.
    pub fn parse(text: &str) -> Result<Option<Self>, ParseError> {
        // A `#` begins a comment: the subset has no strings that it could stand in.
        let code = text.split('#').next().unwrap_or_default().trim_end();
        let content = code.trim_start_matches(' ');
        if content.is_empty() {
            return Ok(None);
        }
        let mut cursor = Cursor { text: content };
        match cursor.line().filter(|_| cursor.text.is_empty()) {
            Some(parsed) => {
                let indent = code.len() - content.len();
                Ok(Some(Self { indent, code: parsed, text: text.to_owned() }))
            }
            None => Err(ParseError::Outside(text.to_owned())),
        }
    }
}

impl Program {
    /// Reads a program, or the beginning of one that ends with a line.
    ///
    /// # Errors
    /// The first line that is not in the subset or wrongly indented.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut program = Self::default();
        for line in text.lines() {
            if let Some(line) = Line::parse(line)? {
                program.push(line)?;
            }
        }
        Ok(program)
    }

    /// Appends a line.
    ///
    /// # Errors
    /// [`ParseError::Invalid`] if it cannot stand there, [`ParseError::Outside`] for a block in a block.
    pub fn push(&mut self, line: Line) -> Result<(), ParseError> {
        let Line { indent, code, text } = line;
        match (self.block, indent) {
            (Block::None, 0) => {}
            (Block::Body(_), 0) => self.block = Block::None,
            (Block::Open, 1..) => self.block = Block::Body(indent),
            (Block::Body(body), _) if body == indent => {}
            _ => return Err(ParseError::Invalid(text)),
        }
        match (code, self.statements.last_mut()) {
            (Code::Simple(simple), Some(Statement::Compound(_, body))) if indent > 0 => body.push(simple),
            (Code::Simple(simple), _) => self.statements.push(Statement::Simple(simple)),
            (Code::Header(..), _) if indent > 0 => return Err(ParseError::Outside(text)),
            (Code::Header(header, body), _) => {
                self.block = if body.is_some() { Block::None } else { Block::Open };
                self.statements.push(Statement::Compound(header, body.into_iter().collect()));
            }
        }
        Ok(())
    }

    /// The statements so far. The last one may still grow, see [`Program::closed`].
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// How many statements no further line can change: all, or all but the last.
    pub fn closed(&self) -> usize {
        self.statements.len() - usize::from(self.block != Block::None)
    }

    /// Whether it ends right after a header, so that it is no program yet.
    pub fn is_open(&self) -> bool {
        self.block == Block::Open
    }

    /// Whether a line indented by `indent`, more than 0, may follow.
    pub fn accepts(&self, indent: usize) -> bool {
        match self.block {
            Block::None => false,
            Block::Open => true,
            Block::Body(body) => body == indent,
        }
    }
}

/// What is left of a line. Every method takes what it reads off the front, or returns `None`; blanks
/// after a token are passed over.
struct Cursor<'a> {
    text: &'a str,
}

impl<'a> Cursor<'a> {
    fn line(&mut self) -> Option<Code> {
        let header = if self.word("if") {
            Header::If(self.condition()?)
        } else if self.word("for") {
            let variable = self.variable()?;
            if !self.word("in") {
                return None;
            }
            Header::For(variable, self.expression()?)
        } else {
            return Some(Code::Simple(self.simple()?));
        };
        self.symbol(":")?;
        let body = if self.text.is_empty() { None } else { Some(self.simple()?) };
        Some(Code::Header(header, body))
    }

    fn simple(&mut self) -> Option<Simple> {
        if self.word("pass") {
            return Some(Simple::Pass);
        }
        if self.word("print") {
            self.symbol("(")?;
            // Without arguments it prints an empty line, which comparisons pass over in some places.
            return self.expressions(")").filter(|values| !values.is_empty()).map(Simple::Print);
        }
        if self.word("del") {
            return match self.atom()? {
                Expression::Item(variable, index) => Some(Simple::Delete(variable, *index)),
                _ => None,
            };
        }
        if let Some(method) = self.method() {
            return Some(method);
        }
        let mut left = vec![self.expression()?];
        while self.symbol(",").is_some() {
            left.push(self.expression()?);
        }
        for (symbol, operator) in [
            ("+=", Operator::Add),
            ("-=", Operator::Subtract),
            ("*=", Operator::Multiply),
            ("//=", Operator::FloorDivide),
            ("%=", Operator::Modulo),
        ] {
            if self.symbol(symbol).is_some() {
                let target = target(left.pop()?)?;
                return left.is_empty().then_some(Simple::Update(target, operator, self.expression()?));
            }
        }
        if self.text.starts_with('=') && !self.text.starts_with("==") {
            self.symbol("=")?;
            let targets = left.into_iter().map(target).collect::<Option<Vec<_>>>()?;
            let mut values = vec![self.expression()?];
            while self.symbol(",").is_some() {
                values.push(self.expression()?);
            }
            return (targets.len() == values.len()).then_some(Simple::Assign(targets, values));
        }
        let value = left.pop()?;
        left.is_empty().then_some(Simple::Evaluate(value))
    }

    /// A method called for its effect, if the line is one.
    fn method(&mut self) -> Option<Simple> {
        let mut ahead = Cursor { text: self.text };
        let variable = ahead.variable()?;
        ahead.symbol(".")?;
        let name = ahead.name()?;
        ahead.symbol("(")?;
        let (method, arguments) = match name {
            "append" => (Method::Append, 1),
            "clear" => (Method::Clear, 0),
            "extend" => (Method::Extend, 1),
            "insert" => (Method::Insert, 2),
            "remove" => (Method::Remove, 1),
            "reverse" => (Method::Reverse, 0),
            "sort" if ahead.symbol("reverse=True").is_some() => (Method::SortDown, 0),
            "sort" => (Method::Sort, 0),
            _ => return None,
        };
        let values = ahead.expressions(")").filter(|values| values.len() == arguments)?;
        self.text = ahead.text;
        Some(Simple::Method(variable, method, values))
    }

    fn condition(&mut self) -> Option<Condition> {
        let left = self.expression()?;
        for (symbol, comparison) in [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            (">", Comparison::Above),
            ("<", Comparison::Below),
        ] {
            if self.symbol(symbol).is_some() {
                return Some(Condition::Compare(left, comparison, self.expression()?));
            }
        }
        Some(Condition::Truth(left))
    }

    fn expression(&mut self) -> Option<Expression> {
        let mut left = self.product()?;
        loop {
            let operator = match self.operator() {
                Some(("+", rest)) => (Operator::Add, rest),
                Some(("-", rest)) => (Operator::Subtract, rest),
                _ => return Some(left),
            };
            self.text = operator.1;
            left = Expression::Binary(Box::new(left), operator.0, Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Option<Expression> {
        let mut left = self.factor()?;
        loop {
            let operator = match self.operator() {
                Some(("*", rest)) => (Operator::Multiply, rest),
                Some(("//", rest)) => (Operator::FloorDivide, rest),
                Some(("%", rest)) => (Operator::Modulo, rest),
                _ => return Some(left),
            };
            self.text = operator.1;
            left = Expression::Binary(Box::new(left), operator.0, Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Option<Expression> {
        match self.symbol("-") {
            Some(()) => Some(Expression::Negative(Box::new(self.factor()?))),
            None => self.atom(),
        }
    }

    fn atom(&mut self) -> Option<Expression> {
        if self.symbol("(").is_some() {
            let inner = self.expression()?;
            return self.symbol(")").map(|()| inner);
        }
        if self.symbol("[").is_some() {
            return self.expressions("]").map(Expression::List);
        }
        if self.text.starts_with(|first: char| first.is_ascii_digit()) {
            return self.integer();
        }
        let name = self.name()?;
        let Some(variable) = Variable::named(name) else {
            let function = match name {
                "abs" => Function::Abs,
                "len" => Function::Len,
                "max" => Function::Max,
                "min" => Function::Min,
                "sorted" => Function::Sorted,
                "sum" => Function::Sum,
                _ => return None,
            };
            self.symbol("(")?;
            let arguments = self.expressions(")")?;
            let fits = match function {
                Function::Max | Function::Min => !arguments.is_empty(),
                _ => arguments.len() == 1,
            };
            return fits.then_some(Expression::Call(function, arguments));
        };
        if self.symbol("[").is_some() {
            let index = self.expression()?;
            self.symbol("]")?;
            return Some(Expression::Item(variable, Box::new(index)));
        }
        if self.symbol(".").is_some() {
            self.symbol("pop")?;
            self.symbol("(")?;
            let mut index = self.expressions(")").filter(|index| index.len() <= 1)?;
            return Some(Expression::Pop(variable, index.pop().map(Box::new)));
        }
        Some(Expression::Variable(variable))
    }

    /// Expressions with commas between them, up to and including `end`.
    fn expressions(&mut self, end: &str) -> Option<Vec<Expression>> {
        let mut values = Vec::new();
        while self.symbol(end).is_none() {
            if !values.is_empty() {
                self.symbol(",")?;
            }
            values.push(self.expression()?);
        }
        Some(values)
    }

    fn integer(&mut self) -> Option<Expression> {
        let end = self.text.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.text.len());
        let (digits, rest) = self.text.split_at(end);
        // `007` is a syntax error, and `3a` or `3.5` is no integer.
        let plain = (digits.len() == 1 || !digits.starts_with('0'))
            && !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.'));
        self.text = rest.trim_start_matches(' ');
        digits.parse().ok().filter(|_| plain).map(Expression::Integer)
    }

    fn variable(&mut self) -> Option<Variable> {
        Variable::named(self.name()?)
    }

    fn name(&mut self) -> Option<&'a str> {
        let end = self.text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.text.len());
        let (name, rest) = self.text.split_at(end);
        self.text = rest.trim_start_matches(' ');
        (!name.is_empty()).then_some(name)
    }

    /// Takes `word` if the line goes on with it as a whole word.
    fn word(&mut self, word: &str) -> bool {
        let mut ahead = Cursor { text: self.text };
        let found = ahead.name() == Some(word);
        if found {
            self.text = ahead.text;
        }
        found
    }

    fn symbol(&mut self, symbol: &str) -> Option<()> {
        let rest = self.text.strip_prefix(symbol)?;
        self.text = rest.trim_start_matches(' ');
        Some(())
    }

    /// The binary operator that comes next and the text after it; not the beginning of `+=` or `**`.
    fn operator(&self) -> Option<(&'static str, &'a str)> {
        ["//", "+", "-", "*", "%"].into_iter().find_map(|symbol| {
            let rest = self.text.strip_prefix(symbol)?;
            (!rest.starts_with(['=', '*', '/'])).then(|| (symbol, rest.trim_start_matches(' ')))
        })
    }
}

fn target(value: Expression) -> Option<Target> {
    match value {
        Expression::Variable(variable) => Some(Target::Variable(variable)),
        Expression::Item(variable, index) => Some(Target::Item(variable, *index)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_the_style_of_the_subset_comes_back_unchanged() {
        for text in [
            "a = 3\n",
            "a, b = b, a\n",
            "a = -a\n",
            "a = b - (c - 2) * 3 % (4 // b)\n",
            "xs[0] += len(ys) - 1\n",
            "xs = [a, 3]\n",
            "a = max(a, -3)\n",
            "del ys[a + 1]\n",
            "xs.sort(reverse=True)\n",
            "xs.insert(0, b)\n",
            "xs.pop()\nys.pop(0)\n",
            "a = xs.pop()\n",
            "print(a, xs[-1], sorted(ys))\n",
            "if a % 2 == 1:\n    b *= 2\n    print(b)\nfor x in xs:\n    a += x\npass\n",
        ] {
            let program = Program::parse(text).unwrap();
            let again: String = program.statements().iter().map(ToString::to_string).collect();
            assert_eq!(again, text);
        }
    }

    #[test]
    fn other_spacing_comments_and_blank_lines_read_the_same() {
        let odd = "# first\nif a>3 :  # note\n  b+=1\n\n    # not a statement\n  print( a,xs )\r\n\na=(b)\n";
        let plain = "if a > 3:\n    b += 1\n    print(a, xs)\na = b\n";
        let (odd, plain) = (Program::parse(odd).unwrap(), Program::parse(plain).unwrap());
        assert_eq!(odd.statements(), plain.statements());
        let inline = Program::parse("for x in xs: print(x)\n").unwrap();
        let block = Program::parse("for x in xs:\n    print(x)\n").unwrap();
        assert_eq!(inline.statements(), block.statements());
    }

    #[test]
    fn the_end_of_a_prefix_tells_what_may_follow() {
        for (text, closed, open) in [
            ("", 0, false),
            ("a = 1\n", 1, false),
            ("a = 1\nif a:\n", 1, true),
            ("if a:\n    b = 1\n", 0, false),
            ("if a: b = 1\n", 1, false),
            ("if a:\n    b = 1\nc = 1\n", 2, false),
        ] {
            let program = Program::parse(text).unwrap();
            assert_eq!((program.closed(), program.is_open()), (closed, open), "{text:?}");
        }
    }

    #[test]
    fn wrong_indentation_is_no_python_and_the_rest_no_opinion() {
        for text in ["  a = 1\n", "if a:\nb = 1\n", "if a:\n  b = 1\n   c = 1\n", "if a: b = 1\n    c = 1\n"]
        {
            assert!(matches!(Program::parse(text), Err(ParseError::Invalid(_))), "{text:?}");
        }
        for text in [
            "e = 1\n",
            "a = 007\n",
            "a = 3.5\n",
            "a = b ** 2\n",
            "a = b / 2\n",
            "a = b == c\n",
            "a = b = c\n",
            "a, b = xs\n",
            "print()\n",
            "print(a, end='')\n",
            "print('# text')\n",
            "print(a\n",
            "print(a); b = 1\n",
            "a = xs[0:1]\n",
            "xs.append(1, 2)\n",
            "while a:\n",
            "else:\n",
            "\ta = 1\n",
            "if a:\n    if b:\n",
            "a = min()\n",
            "a = é\n",
        ] {
            assert!(matches!(Program::parse(text), Err(ParseError::Outside(_))), "{text:?}");
        }
    }
}
