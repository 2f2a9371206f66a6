//! The tokens of Python that tell where statements and comments are; everything else is `Code`.

use std::ops::Range;

use super::strings::string_end;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// From `#` to before the line's end.
    Comment,
    /// A string whole, with its prefix and quotes. `plain`: neither bytes nor formatted, so that it
    /// could be a docstring.
    String { plain: bool },
    /// A string that is a docstring: never made here, only by [`super::docstrings`].
    Docstring,
    /// The end of a line outside brackets, where a statement ends if one has begun.
    Newline,
    /// `:` outside brackets.
    Colon,
    /// `;` outside brackets.
    Semicolon,
    /// A name, keyword or number.
    Word,
    /// Anything else, brackets included.
    Code,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub span: Range<usize>,
    pub kind: TokenKind,
}

/// The tokens of `program` in order. White space, joined line ends and line ends inside brackets are
/// in none.
pub(super) fn tokens(program: &str) -> Vec<Token> {
    let text = program.as_bytes();
    let mut tokens = Vec::new();
    let mut brackets = 0_usize;
    let mut at = if program.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while let Some(&byte) = text.get(at) {
        let start = at;
        let kind = match byte {
            b' ' | b'\t' | b'\x0c' => {
                at += 1;
                continue;
            }
            b'\n' | b'\r' => {
                at += line_end_len(text, at);
                if brackets > 0 {
                    continue;
                }
                TokenKind::Newline
            }
            b'\\' if line_end_len(text, at + 1) > 0 => {
                at += 1 + line_end_len(text, at + 1);
                continue;
            }
            b'#' => {
                at = end_while(text, at, |byte| !matches!(byte, b'\n' | b'\r'));
                TokenKind::Comment
            }
            b'"' | b'\'' => {
                at = string_end(text, at, false);
                TokenKind::String { plain: true }
            }
            _ if is_word(byte) => {
                at = end_while(text, at, is_word);
                match (StringPrefix::of(&text[start..at]), text.get(at)) {
                    (Some(prefix), Some(b'"' | b'\'')) => {
                        at = string_end(text, at, prefix.formatted);
                        TokenKind::String { plain: !prefix.formatted && !prefix.bytes }
                    }
                    _ => TokenKind::Word,
                }
            }
            _ => {
                at += 1;
                match byte {
                    b'(' | b'[' | b'{' => brackets += 1,
                    b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
                    _ => {}
                }
                match byte {
                    b':' if brackets == 0 => TokenKind::Colon,
                    b';' if brackets == 0 => TokenKind::Semicolon,
                    _ => TokenKind::Code,
                }
            }
        };
        tokens.push(Token { span: start..at, kind });
    }
    tokens
}

/// What stands before a string's quote.
pub(super) struct StringPrefix {
    pub bytes: bool,
    pub formatted: bool,
}

impl StringPrefix {
    /// The prefix `word`, if it is one: `r`, `b`, `u`, `f`, `t` and their pairs, in either case.
    pub fn of(word: &[u8]) -> Option<Self> {
        let mut lower = [0; 2];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        let (bytes, formatted) = match &*lower {
            b"r" | b"u" => (false, false),
            b"b" | b"br" | b"rb" => (true, false),
            b"f" | b"fr" | b"rf" | b"t" | b"tr" | b"rt" => (false, true),
            _ => return None,
        };
        Some(Self { bytes, formatted })
    }
}

/// Part of a name, keyword or number. Bytes outside ASCII are taken for letters.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// The length of the line end at `at`, 0 if there is none. Python takes `\r` alone for one.
pub(super) fn line_end_len(text: &[u8], at: usize) -> usize {
    match text.get(at..).unwrap_or_default() {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

fn end_while(text: &[u8], at: usize, hold: impl Fn(u8) -> bool) -> usize {
    text[at..].iter().position(|&byte| !hold(byte)).map_or(text.len(), |len| at + len)
}
