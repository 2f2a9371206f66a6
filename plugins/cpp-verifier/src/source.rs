//! C++ source as far as it must be understood: where there is code, and where a function's head stands.

/// The bytes of `source`, of which those in comments, in quotes and in preprocessor directives are blanks. Line ends stay,
/// so places are the same in both.
pub(crate) fn code_only(source: &str) -> Vec<u8> {
    let bytes = source.as_bytes();
    let mut code = bytes.to_vec();
    let find = |from: usize, what: &[u8]| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.windows(what.len()).position(|window| window == what).map_or(bytes.len(), |at| from + at)
    };
    let mut at = 0;
    let mut line_is_blank = true;
    while at < bytes.len() {
        let begin = at;
        let rest = &bytes[at..];
        match bytes[at] {
            b'/' if rest.starts_with(b"//") => at = end_of_line(bytes, at),
            b'/' if rest.starts_with(b"/*") => at = (find(at + 2, b"*/") + 2).min(bytes.len()),
            b'#' if line_is_blank => at = end_of_line(bytes, at),
            b'R' if rest.starts_with(b"R\"")
                && !at.checked_sub(1).is_some_and(|before| is_word(bytes[before])) =>
            {
                let open = find(at, b"(");
                let end = [b")", bytes.get(at + 2..open).unwrap_or_default(), b"\""].concat();
                at = (find(open, &end) + end.len()).min(bytes.len());
            }
            // In a number, `1'000`, it stands for nothing.
            b'\'' if at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_digit()) => at += 1,
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote && bytes[at] != b'\n' {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at = (at + 1).min(bytes.len());
            }
            byte => {
                line_is_blank = byte == b'\n' || line_is_blank && byte.is_ascii_whitespace();
                at += 1;
                continue;
            }
        }
        code[begin..at].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    code
}

/// The end of a line, which a backslash continues.
fn end_of_line(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'\n' {
        at += 1 + usize::from(bytes[at] == b'\\');
    }
    at.min(bytes.len())
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The place behind the bracket that closes the one at `open`.
pub(crate) fn closed(code: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'(' | b'{' | b'[' => depth += 1,
            b')' | b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Where `name` stands before a `(`, outside of any braces.
pub(crate) fn heads(code: &[u8], name: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while at < code.len() {
        match code[at] {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            byte if is_word(byte) => {
                let end = (at..code.len()).find(|&end| !is_word(code[end])).unwrap_or(code.len());
                let next = code[end..].iter().find(|byte| !byte.is_ascii_whitespace());
                if depth == 0 && &code[at..end] == name.as_bytes() && next == Some(&b'(') {
                    found.push(at);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Whether a class of this name is defined.
pub(crate) fn has_class(code: &[u8], name: &str) -> bool {
    let text = String::from_utf8_lossy(code);
    let mut words =
        text.split(|char: char| !char.is_alphanumeric() && char != '_').filter(|word| !word.is_empty());
    let mut before = "";
    words.any(|word| {
        let named = matches!(before, "class" | "struct") && word == name;
        before = word;
        named
    })
}

/// The `#include` lines.
pub(crate) fn includes(source: &str) -> impl Iterator<Item = &str> {
    source.lines().map(str::trim).filter(|line| {
        line.strip_prefix('#').is_some_and(|directive| directive.trim_start().starts_with("include"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_quotes_and_directives_are_blank() {
        for (source, left) in [
            ("a // f(\nb", "a b"),
            ("a /* \n */ b", "a b"),
            ("x = '{'; y = \"}\\\"{\";", "x = ; y = ;"),
            ("1'000 'a'", "1 000"),
            ("#define f(x) \\\n {\nf", "f"),
            ("R\"x()\")x\" a", "a"),
            ("/* open", ""),
            ("\"open\nf", "f"),
        ] {
            let code = String::from_utf8(code_only(source)).unwrap();
            assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), left, "{source}");
            assert_eq!(code.len(), source.len());
            assert_eq!(code.find('\n'), source.find('\n'));
        }
    }

    #[test]
    fn heads_stand_outside_of_braces() {
        let source = "int f(int); struct A { int f(); };\nint g() { return f(1); }\nint f (int x) {";
        assert_eq!(heads(&code_only(source), "f"), [4, source.rfind("f (").unwrap()]);
        assert!(has_class(b"class  Solution {", "Solution") && !has_class(b"Solution class;", "Solution"));
        assert_eq!(
            includes("#include <a>\n # include<b>\nx").collect::<Vec<_>>(),
            ["#include <a>", "# include<b>"]
        );
    }
}
