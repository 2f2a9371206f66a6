//! As much of Python's text as the loaders need to know: words, and what stands at the top level.

use std::collections::BTreeSet;

/// A word of a program, and where it stands.
struct Word<'a> {
    text: &'a str,
    /// Behind a point: an attribute, no name.
    attribute: bool,
}

/// The logical lines of a program, strings and comments left out, each with its indentation.
fn lines(code: &str) -> Vec<(usize, String)> {
    let mut lines = vec![(0, String::new())];
    let (mut rest, mut depth, mut at_start) = (code, 0_usize, true);
    while let Some(char) = rest.chars().next() {
        let mut length = char.len_utf8();
        let (indentation, line) = lines.last_mut().expect("there is always one");
        match char {
            ' ' | '\t' if at_start => *indentation += 1,
            '#' => length = rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' => {
                length = string_length(rest, char);
                line.push('"');
                at_start = false;
            }
            '\\' if rest[1..].starts_with("\r\n") => length = 3,
            '\\' if rest[1..].starts_with('\n') => length = 2,
            '\n' if depth == 0 => {
                lines.push((0, String::new()));
                at_start = true;
            }
            _ => {
                match char {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at_start = at_start && char == '\r';
                line.push(char);
            }
        }
        rest = &rest[length..];
    }
    lines
}

/// Bytes of the string that `text` begins with.
fn string_length(text: &str, quote: char) -> usize {
    let triple = quote.to_string().repeat(3);
    let end = if text.starts_with(&triple) { &triple[..] } else { &triple[..1] };
    let mut at = end.len();
    while let Some(char) = text[at..].chars().next() {
        if text[at..].starts_with(end) {
            return at + end.len();
        }
        at += char.len_utf8();
        if char == '\\' {
            at += text[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    line.split(move |char| !is_word(char)).filter(|word| !word.is_empty()).filter_map(move |text| {
        let before = line[..text.as_ptr() as usize - line.as_ptr() as usize].trim_end();
        let starts = !text.starts_with(|char: char| char.is_ascii_digit());
        starts.then(|| Word { text, attribute: before.ends_with('.') && !before.ends_with("..") })
    })
}

/// The names that a program uses or defines, attributes left out.
pub(super) fn names(code: &str) -> BTreeSet<String> {
    let lines = lines(code);
    let words = lines.iter().flat_map(|(_, line)| words(line));
    words.filter(|word| !word.attribute).map(|word| word.text.to_owned()).collect()
}

/// The functions, classes and variables that a program defines at its top level.
pub(super) fn defined(code: &str) -> BTreeSet<String> {
    let mut defined = BTreeSet::new();
    for (_, line) in lines(code).iter().filter(|(indentation, _)| *indentation == 0) {
        let mut words = words(line).map(|word| word.text);
        let (first, second) = (words.next(), words.next());
        match (first, second) {
            (Some("def" | "class"), Some(name)) => defined.extend([name.to_owned()]),
            (Some("async"), Some("def")) => defined.extend(words.next().map(str::to_owned)),
            (Some(name), _) => {
                let after = line.trim_start().strip_prefix(name).unwrap_or_default().trim_start();
                if after.starts_with('=') && !after.starts_with("==") || after.starts_with(':') {
                    defined.extend((!["try", "else", "finally"].contains(&name)).then(|| name.to_owned()));
                }
            }
            _ => {}
        }
    }
    defined
}

/// Whether a program returns outside any function, which is no Python but allowed by harnesses that make it a function.
pub(super) fn returns_at_top(code: &str) -> bool {
    let mut functions = Vec::new();
    lines(code).iter().filter(|(_, line)| !line.trim().is_empty()).any(|(indentation, line)| {
        functions.retain(|function| function < indentation);
        let mut words = words(line).map(|word| word.text);
        if line.starts_with("def ") || line.starts_with("async def ") {
            functions.push(*indentation);
        }
        functions.is_empty() && words.any(|word| word == "return")
    })
}

/// The imports at a program's top level, each with the names that it binds.
pub(super) fn imports(code: &str) -> Vec<(String, BTreeSet<String>)> {
    let of_line = |line: &str| {
        let line = line.trim();
        let (_, list) = match (line.strip_prefix("import "), line.strip_prefix("from ")) {
            (Some(list), _) => ("", list),
            (_, Some(rest)) => rest.split_once(" import ")?,
            _ => return None,
        };
        let bound = list.split(',').filter_map(|item| {
            let item = item.trim_matches(|char: char| char.is_whitespace() || "();".contains(char));
            let name = item.rsplit_once(" as ").map_or(item.split('.').next(), |(_, name)| Some(name));
            name.map(|name| name.trim().to_owned())
        });
        Some((line.to_owned(), bound.collect()))
    };
    let lines = lines(code);
    lines.iter().filter(|(indentation, _)| *indentation == 0).filter_map(|(_, line)| of_line(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "import math, os.path as p\r\nfrom heapq import (heappush,\n  heappop)\nR: int = 3\nx == 3\n\
                        s = '''\ndef no(): pass\n''' # def neither\nclass A:\n    def inner(self): self.top = 1\n\
                        def f(a, b='def g'): return a.b\ntry:\n    pass\nexcept E:\n    y = 1\n";

    #[test]
    fn what_a_program_defines_imports_and_names() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(defined(CODE), set(&["A", "R", "f", "s"]));
        let bound: Vec<_> = imports(CODE).into_iter().map(|(_, names)| names).collect();
        assert_eq!(bound, [set(&["math", "p"]), set(&["heappush", "heappop"])]);
        assert!(
            !returns_at_top(CODE)
                && !returns_at_top("class A:\n  def f(s):\n\n    x = 1\n# c\n    return x\n")
        );
        assert!(returns_at_top("def f():\n  return 1\nif f():\n  return") && returns_at_top("if 1: return"));
        let names = names("assert f(1, [x.y for x in 'z'], 3e5) == R # c");
        assert_eq!(names, set(&["R", "assert", "f", "for", "in", "x"]));
        for unfinished in ["'", "'''a", "x = (", "\\", "#", "'\\", "é = 'é\\é"] {
            let _ = (defined(unfinished), imports(unfinished), super::names(unfinished));
        }
    }
}
