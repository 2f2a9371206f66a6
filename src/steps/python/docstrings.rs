//! Which strings are docstrings.

use super::tokens::{Token, TokenKind};

/// Where the first statement of a body may stand. Headers are known by their column.
#[derive(Clone, Copy)]
enum Body {
    /// No body begins here.
    No,
    /// The module's begins.
    Module,
    /// Behind the colon of a header, on its line.
    Inline(usize),
    /// On a later line, deeper than the header.
    Below(usize),
}

/// The statement being read.
struct Statement {
    /// Its first token.
    first: usize,
    /// The column where it begins.
    column: usize,
    begins_body: bool,
    /// Whether its next colon outside brackets begins the body of a `def` or `class`.
    header: bool,
    /// Whether it could be a docstring: plain strings and nothing else.
    strings_only: bool,
}

/// Turns every string token that is a docstring, or a part of one, into [`TokenKind::Docstring`].
pub(super) fn mark(program: &str, tokens: &mut [Token]) {
    let mut body = Body::Module;
    let mut statement: Option<Statement> = None;
    for index in 0..tokens.len() {
        let token = &tokens[index];
        match token.kind {
            TokenKind::Comment => {}
            TokenKind::Newline => {
                finish(statement.take(), &mut tokens[..index]);
                if let Body::Inline(column) = body {
                    body = Body::Below(column);
                }
            }
            TokenKind::Semicolon => finish(statement.take(), &mut tokens[..index]),
            TokenKind::Colon if statement.as_ref().is_some_and(|statement| statement.header) => {
                body = statement.take().map_or(Body::No, |header| Body::Inline(header.column));
            }
            kind => {
                let statement = statement.get_or_insert_with(|| {
                    let column = column(&program[..token.span.start]);
                    let begins_body = match body {
                        Body::No => false,
                        Body::Module | Body::Inline(_) => true,
                        Body::Below(header) => column > header,
                    };
                    Statement { first: index, column, begins_body, header: false, strings_only: true }
                });
                body = Body::No;
                statement.strings_only &= kind == TokenKind::String { plain: true };
                statement.header |= match &program[token.span.clone()] {
                    "def" => {
                        index == statement.first || follows_async(program, &tokens[statement.first..index])
                    }
                    "class" => index == statement.first,
                    _ => false,
                };
            }
        }
    }
    finish(statement, tokens);
}

/// Marks the strings of a statement that ends with `tokens`, if they are a docstring.
fn finish(statement: Option<Statement>, tokens: &mut [Token]) {
    let Some(statement) = statement.filter(|statement| statement.begins_body && statement.strings_only)
    else {
        return;
    };
    for token in &mut tokens[statement.first..] {
        if matches!(token.kind, TokenKind::String { .. }) {
            token.kind = TokenKind::Docstring;
        }
    }
}

fn follows_async(program: &str, tokens: &[Token]) -> bool {
    matches!(tokens, [token] if &program[token.span.clone()] == "async")
}

/// The column behind `before`, the program up to there. A tab leads to the next multiple of 8.
fn column(before: &str) -> usize {
    let line = before.rfind(['\n', '\r']).map_or(before, |end| &before[end + 1..]);
    line.chars().fold(0, |column, c| if c == '\t' { column / 8 * 8 + 8 } else { column + 1 })
}
