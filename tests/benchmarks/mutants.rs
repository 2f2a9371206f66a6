//! Small changes to programs, most of which break them.

use pspo::data::Seed;
use rand::seq::IndexedRandom;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A line becomes `pass`.
    DroppedLine,
    /// A comparison becomes its neighbour or its opposite.
    SwappedComparison,
    /// An integer becomes the next.
    OffByOne,
}

const COMPARISONS: &[(&str, &str)] =
    &[("<=", "<"), (">=", ">"), ("==", "!="), ("!=", "=="), ("<", "<="), (">", ">=")];

/// One mutant of each kind, where there is a place for it behind byte `from`.
pub fn of(id: &str, program: &str, from: usize) -> Vec<(Kind, String)> {
    let seed = Seed::root(3).child("mutants").child(id);
    let code = is_code(program);
    [
        (Kind::DroppedLine, lines(program, &code, from)),
        (Kind::SwappedComparison, comparisons(program, &code, from)),
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
fn is_code(program: &str) -> Vec<bool> {
    let bytes = program.as_bytes();
    let mut code = vec![true; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        match bytes[at] {
            b'#' => at += program[at..].find('\n').unwrap_or(bytes.len() - at),
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
fn lines(program: &str, code: &[bool], from: usize) -> Vec<Place> {
    let mut places = Vec::new();
    let mut depth = 0;
    let mut begin = 0;
    for line in program.split_inclusive('\n') {
        let text = line.trim();
        let at = begin + line.find(text).unwrap_or(0);
        let whole = depth == 0;
        for (_, byte) in line.bytes().enumerate().filter(|(offset, _)| code[begin + offset]) {
            depth += i32::from(b"([{".contains(&byte)) - i32::from(b")]}".contains(&byte));
        }
        begin += line.len();
        let starts = text.starts_with(|char: char| char.is_alphanumeric() || char == '_');
        let head = text.ends_with([':', '\\'])
            || ["import ", "from ", "pass"].iter().any(|word| text.starts_with(word));
        if at >= from && whole && depth == 0 && starts && !head && code[at] {
            places.push((at, text.len(), "pass".into()));
        }
    }
    places
}

fn comparisons(program: &str, code: &[bool], from: usize) -> Vec<Place> {
    let mut places = Vec::new();
    let mut at = from;
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
            Some((old, new)) if code[at] && !near("->") => {
                places.push((at, old.len(), (*new).to_owned()));
                at += old.len();
            }
            _ => at += 1,
        }
    }
    places
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
