//! Where a Python string ends.

use super::tokens::{StringPrefix, is_word, line_end_len};

/// Formatted strings nest at most so deep here; deeper ones are read as before Python 3.12.
const NESTING: usize = 8;

/// The byte behind the string whose opening quote stands at `at`.
///
/// A string that is not closed ends before its line's end, or at the end of `text` when it is
/// triple-quoted. Since Python 3.12 a formatted string may hold its own quote within braces (PEP 701).
/// It is read so if that leads to an end, else by the older rule that the first such quote ends it.
pub(super) fn string_end(text: &[u8], at: usize, formatted: bool) -> usize {
    let quote = Quote::at(text, at);
    let nested = if formatted { formatted_end(text, at + quote.len(), quote, NESTING) } else { None };
    nested.unwrap_or_else(|| match plain_end(text, at + quote.len(), quote) {
        Ok(end) | Err(end) => end,
    })
}

#[derive(Clone, Copy)]
struct Quote {
    byte: u8,
    triple: bool,
}

impl Quote {
    fn at(text: &[u8], at: usize) -> Self {
        let byte = text[at];
        Self { byte, triple: text[at..].starts_with(&[byte; 3]) }
    }

    fn len(self) -> usize {
        if self.triple { 3 } else { 1 }
    }

    fn closes(self, text: &[u8], at: usize) -> bool {
        text[at..].starts_with(&[self.byte; 3][..self.len()])
    }
}

/// The end of a string whose content begins at `at`; as an error if nothing closes it.
fn plain_end(text: &[u8], mut at: usize, quote: Quote) -> Result<usize, usize> {
    while at < text.len() {
        if quote.closes(text, at) {
            return Ok(at + quote.len());
        }
        match text[at] {
            b'\\' => at += 1 + line_end_len(text, at + 1).max(1),
            b'\n' | b'\r' if !quote.triple => return Err(at),
            _ => at += 1,
        }
    }
    Err(text.len())
}

/// The end of a formatted string whose content begins at `at`, if it is closed and so are its fields.
fn formatted_end(text: &[u8], mut at: usize, quote: Quote, nesting: usize) -> Option<usize> {
    while at < text.len() {
        if quote.closes(text, at) {
            return Some(at + quote.len());
        }
        match &text[at..] {
            [b'{', b'{', ..] => at += 2,
            [b'{', ..] => at = field_end(text, at + 1, quote, nesting)?,
            [b'\\', b'{', ..] => at += 1, // a backslash does not escape a brace
            [b'\\', ..] => at += 1 + line_end_len(text, at + 1).max(1),
            [b'\n' | b'\r', ..] if !quote.triple => return None,
            _ => at += 1,
        }
    }
    None
}

/// The byte behind the `}` of a replacement field whose expression begins at `at`.
fn field_end(text: &[u8], mut at: usize, outer: Quote, nesting: usize) -> Option<usize> {
    let nesting = nesting.checked_sub(1)?;
    let mut brackets = 0_usize;
    while at < text.len() {
        match text[at] {
            b'}' if brackets == 0 => return Some(at + 1),
            b':' if brackets == 0 => return format_spec_end(text, at + 1, outer, nesting),
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.checked_sub(1)?,
            b'\n' | b'\r' if !outer.triple => return None,
            b'#' => return None, // a comment within a field: rare enough for the older rule
            b'"' | b'\'' => {
                let quote = Quote::at(text, at);
                let content = at + quote.len();
                at = if prefix_before(text, at).is_some_and(|prefix| prefix.formatted) {
                    formatted_end(text, content, quote, nesting)?
                } else {
                    plain_end(text, content, quote).ok()?
                };
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The byte behind the `}` that ends a format specification, which may hold fields of its own.
fn format_spec_end(text: &[u8], mut at: usize, outer: Quote, nesting: usize) -> Option<usize> {
    while at < text.len() {
        match text[at] {
            b'}' => return Some(at + 1),
            b'{' => at = field_end(text, at + 1, outer, nesting)?,
            b'\n' | b'\r' if !outer.triple => return None,
            _ if outer.closes(text, at) => return None,
            _ => at += 1,
        }
    }
    None
}

/// The prefix of the string whose quote stands at `at`.
fn prefix_before(text: &[u8], at: usize) -> Option<StringPrefix> {
    let start = text[..at].iter().rposition(|&byte| !is_word(byte)).map_or(0, |before| before + 1);
    StringPrefix::of(&text[start..at])
}
