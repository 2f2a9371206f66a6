//! Small changes to programs, most of which break them.

use pspo::data::Seed;
use rand::seq::IndexedRandom;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A line becomes a statement that does nothing.
    DroppedLine,
    /// A comparison becomes its neighbour or its opposite.
    SwappedComparison,
    /// An integer becomes the next.
    OffByOne,
}

/// What a program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)] // each test has its own
pub enum Language {
    Python,
    Cpp,
}

/// Names before a `<` that is no comparison.
const TEMPLATES: &[&str] = &["vector", "map", "pair", "set", "list", "include", "unordered_map", "greater"];

const COMPARISONS: &[(&str, &str)] =
    &[("<=", "<"), (">=", ">"), ("==", "!="), ("!=", "=="), ("<", "<="), (">", ">=")];

/// One mutant of each kind, where there is a place for it behind byte `from`.
pub fn of(language: Language, id: &str, program: &str, from: usize) -> Vec<(Kind, String)> {
    let seed = Seed::root(3).child("mutants").child(id);
    let code = is_code(language, program);
    [
        (Kind::DroppedLine, lines(language, program, &code, from)),
        (Kind::SwappedComparison, comparisons(language, program, &code, from)),
        (Kind::OffByOne, integers(program, &code, from)),
    ]
    .into_iter()
    .filter_map(|(kind, places)| {
        let (at, length, new) = places.choose(&mut seed.child(&format!("{kind:?}")).rng())?.clone();
        Some((kind, format!("{}{new}{}", &program[..at], &program[at + length..])))
    })
    .collect()
}

/// A place, how many bytes there are replaced, and by what.
type Place = (usize, usize, String);

/// For every byte whether it is neither in a string nor in a comment.
fn is_code(language: Language, program: &str) -> Vec<bool> {
    let bytes = program.as_bytes();
    let mut code = vec![true; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        match bytes[at] {
            b'#' if language == Language::Python => {
                at += program[at..].find('\n').unwrap_or(bytes.len() - at);
            }
            b'/' if language == Language::Cpp && bytes[at..].starts_with(b"//") => {
                at += program[at..].find('\n').unwrap_or(bytes.len() - at);
            }
            b'/' if language == Language::Cpp && bytes[at..].starts_with(b"/*") => {
                at += program[at..].find("*/").map_or(bytes.len() - at, |end| end + 2);
            }
            quote @ (b'"' | b'\'') => {
                let width = if program.as_bytes()[at..].starts_with(&[quote; 3]) { 3 } else { 1 };
                at += width;
                while at < bytes.len() && !bytes[at..].starts_with(&[quote; 3][..width]) {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at = (at + width).min(bytes.len());
            }
            _ => {
                at += 1;
                continue;
            }
        }
        code[begin..at].fill(false);
    }
    code
}

/// Lines that are a statement by themselves, as far as one sees: no head of a block, no part of an expression.
fn lines(language: Language, program: &str, code: &[bool], from: usize) -> Vec<Place> {
    let mut places = Vec::new();
    let mut depth = 0;
    let mut begin = 0;
    for line in program.split_inclusive('\n') {
        let text = line.trim();
        let at = begin + line.find(text).unwrap_or(0);
        let whole = depth == 0;
        for (_, byte) in line.bytes().enumerate().filter(|(offset, _)| code[begin + offset]) {
            // Braces are blocks in C++.
            let (open, close) = if language == Language::Python { ("([{", ")]}") } else { ("([", ")]") };
            depth += i32::from(open.as_bytes().contains(&byte)) - i32::from(close.as_bytes().contains(&byte));
        }
        begin += line.len();
        let starts = text.starts_with(|char: char| char.is_alphanumeric() || char == '_');
        let (nothing, head) = match language {
            Language::Python => {
                let words = ["import ", "from ", "pass"];
                ("pass", text.ends_with([':', '\\']) || words.iter().any(|word| text.starts_with(word)))
            }
            Language::Cpp => {
                (";", !text.ends_with(';') || text.matches(';').count() > 1 || text.contains('}'))
            }
        };
        if at >= from && whole && depth == 0 && starts && !head && code[at] {
            places.push((at, text.len(), nothing.into()));
        }
    }
    places
}

fn comparisons(language: Language, program: &str, code: &[bool], from: usize) -> Vec<Place> {
    let mut places = Vec::new();
    let mut at = from;
    let before = |at: usize| {
        let text = program[..at].trim_end();
        let name = text.rsplit(|char: char| !char.is_alphanumeric() && char != '_').next();
        name.is_some_and(|name| TEMPLATES.contains(&name))
    };
    while at < program.len() {
        let found = COMPARISONS.iter().find(|(old, _)| program.as_bytes()[at..].starts_with(old.as_bytes()));
        // Neither shifts nor arrows.
        let near = |text: &str| program.as_bytes()[at.saturating_sub(1)..].starts_with(text.as_bytes());
        match found {
            _ if program.as_bytes()[at..].starts_with(b"<<")
                || program.as_bytes()[at..].starts_with(b">>") =>
            {
                at += 2
            }
            Some(("<", _)) if language == Language::Cpp && before(at) => at = end_of_arguments(program, at),
            Some((old, new)) if code[at] && !near("->") => {
                places.push((at, old.len(), (*new).to_owned()));
                at += old.len();
            }
            _ => at += 1,
        }
    }
    places
}

/// The place behind the `>` that ends a template's arguments.
fn end_of_arguments(program: &str, begin: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in program[begin..].bytes().enumerate() {
        depth += i32::from(byte == b'<') - i32::from(byte == b'>');
        if depth == 0 {
            return begin + offset + 1;
        }
    }
    program.len()
}

fn integers(program: &str, code: &[bool], from: usize) -> Vec<Place> {
    let bytes = program.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || byte >= 0x80;
    let mut places = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = (at..bytes.len()).find(|&end| !is_word(bytes[end])).unwrap_or(bytes.len());
        if let (true, true, Ok(int)) =
            (at >= from, code[at], program.get(at..end).unwrap_or("").parse::<u64>())
        {
            places.push((at, end - at, (int + 1).to_string()));
        }
        at = end.max(at + 1);
    }
    places
}
