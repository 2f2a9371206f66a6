//! A scan of Python source: what each line holds, and whether its statement goes on in the next.
//!
//! Not a parser: it knows strings, comments, brackets, line joins and where a docstring may stand. It
//! reads any text, however broken.

mod docstrings;
mod strings;
mod tokens;

use std::ops::Range;

use tokens::{Token, TokenKind};

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// White space alone, also inside a string.
    Blank,
    /// Nothing but a comment, or a part of a docstring.
    Comment,
    /// Anything else: code with or without a comment behind it, a part of a string.
    Code,
}

/// A physical line, which ends with its line feed or with the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bytes of the program, the line feed included. The spans of all lines tile the program.
    pub span: Range<usize>,
    /// What it holds.
    pub kind: LineKind,
    /// Whether the statement goes on in the next line: inside brackets, inside a string, or after a
    /// backslash. Never true for the last line.
    pub continues: bool,
}

/// The lines of a Python program.
///
/// A docstring is a string that is the first statement of the module, of a `def` or of a `class`, and
/// the whole of that statement; parts that Python joins count as one string. A formatted string or one
/// in parentheses is none. Where the program does not close a string, the string ends at the line's
/// end, or at the program's when it is triple-quoted.
///
/// A carriage return alone ends a comment, as it does in Python, but not the line: code after it
/// makes the line code.
///
/// ```
/// use pspo::steps::python::{LineKind, scan};
///
/// let lines = scan("def f(a,\n      # the second\n      b):\n    '''Adds.'''\n    return a + b\n");
/// let kinds: Vec<_> = lines.iter().map(|line| line.kind).collect();
/// use LineKind::{Code, Comment};
/// assert_eq!(kinds, [Code, Comment, Code, Comment, Code]);
/// let continues: Vec<_> = lines.iter().map(|line| line.continues).collect();
/// assert_eq!(continues, [true, true, false, false, false]);
/// ```
pub fn scan(program: &str) -> Vec<Line> {
    let mut tokens = tokens::tokens(program);
    docstrings::mark(program, &mut tokens);
    let mut start = 0;
    let lines = program.split_inclusive('\n').map(|text| {
        let span = start..start + text.len();
        start = span.end;
        let kind = if text.trim().is_empty() { LineKind::Blank } else { LineKind::Code };
        Line { span, kind, continues: start < program.len() }
    });
    let mut lines: Vec<Line> = lines.collect();
    let (comments, rest): (Vec<_>, Vec<_>) =
        tokens.into_iter().partition(|token| matches!(token.kind, TokenKind::Comment | TokenKind::Docstring));
    for comment in comments {
        touched(&mut lines, &comment)
            .filter(|line| line.kind == LineKind::Code)
            .for_each(|line| line.kind = LineKind::Comment);
    }
    for token in rest {
        let newline = token.kind == TokenKind::Newline;
        for line in touched(&mut lines, &token) {
            if newline {
                line.continues &= token.span.end < line.span.end;
            } else if line.kind == LineKind::Comment {
                line.kind = LineKind::Code;
            }
        }
    }
    lines
}

/// The lines that hold a byte of `token`.
fn touched<'a>(lines: &'a mut [Line], token: &Token) -> impl Iterator<Item = &'a mut Line> {
    let first = lines.partition_point(|line| line.span.end <= token.span.start);
    let end = token.span.end;
    lines[first..].iter_mut().take_while(move |line| line.span.start < end)
}

#[cfg(test)]
mod tests;
