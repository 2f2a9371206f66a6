//! [`Signature`]: a function's head, as a problem's prompt gives it.

use pspo::plugin::VerifyError;

use crate::source::{closed, code_only, heads, is_word};

/// The head of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub name: String,
    /// The type of its result, without references.
    pub result: String,
    pub parameters: Vec<Parameter>,
    /// Where its declaration begins in the source, and where it ends: behind its body, or the end of the source where
    /// the body is not closed.
    pub begin: usize,
    pub end: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// As it is written, without a name, a default and references.
    pub kind: String,
    /// As it is written behind the `=`.
    pub default: Option<String>,
    /// Whether the function can change the caller's.
    pub changes: bool,
}

/// Words that say nothing about a function's type.
const SPECIFIERS: &[&str] = &["static", "inline", "constexpr", "extern", "virtual"];

/// Words that are types, or a part of one, and no names.
const TYPES: &[&str] = &[
    "int", "long", "short", "char", "bool", "float", "double", "unsigned", "signed", "const", "void", "auto",
];

impl Signature {
    /// The last head of `name` in `source`.
    ///
    /// # Errors
    /// [`VerifyError::Unsupported`] if there is none, or a call of it cannot be passed on.
    pub fn of(source: &str, name: &str) -> Result<Self, VerifyError> {
        let code = code_only(source);
        let unsupported = |what: String| VerifyError::Unsupported(what);
        let Some(&at) = heads(&code, name).last() else {
            return Err(unsupported(format!(
                "a test that calls `{name}`: the prompt must hold its head, as `int {name}(int x)`"
            )));
        };
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let begin = code[..at].iter().rposition(|byte| b";{}".contains(byte)).map_or(0, |end| end + 1);
        let blank = code[begin..at].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let begin = begin + blank;
        let open = at + code[at..].iter().position(|&byte| byte == b'(').unwrap_or_default();
        let Some(close) = closed(&code, open) else {
            return Err(unsupported(format!("the head of `{name}` in the prompt, which does not end")));
        };
        let end = match code[close..].iter().position(|byte| b";{".contains(byte)) {
            Some(offset) if code[close + offset] == b';' => close + offset + 1,
            Some(offset) => closed(&code, close + offset).unwrap_or(code.len()),
            None => code.len(),
        };
        let result = text(&code[begin..at]);
        let result =
            result.split(' ').filter(|word| !SPECIFIERS.contains(word)).collect::<Vec<_>>().join(" ");
        let result = result.trim_end_matches(['&', ' ']).to_owned();
        if result.is_empty()
            || result.contains(['*', ':', '(']) && !result.contains("std::")
            || result.starts_with("template")
            || result == "auto"
        {
            return Err(unsupported(format!(
                "`{name}` of the type `{result}`: its result must be plain data"
            )));
        }
        // Of the source, as defaults may hold quotes.
        let inner = &source[open + 1..close - 1];
        let pieces = split(inner, &code[open + 1..close - 1]);
        let parameters = pieces.into_iter().map(|piece| {
            parameter(piece).ok_or_else(|| {
                unsupported(format!("the parameter `{}` of `{name}`: it must be plain data", piece.trim()))
            })
        });
        let parameters = parameters.collect::<Result<Vec<_>, _>>()?;
        if result == "void" && !parameters.iter().any(|parameter| parameter.changes) {
            return Err(unsupported(format!(
                "`{name}`, which neither returns a value nor changes an argument"
            )));
        }
        Ok(Self { name: name.to_owned(), result, parameters, begin, end })
    }
}

/// The parameters between a head's parentheses; `code` is `inner` without quotes and comments.
fn split<'a>(inner: &'a str, code: &[u8]) -> Vec<&'a str> {
    let (mut pieces, mut begin, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, byte) in code.iter().enumerate() {
        match byte {
            b'<' | b'(' | b'{' | b'[' => depth += 1,
            b'>' | b')' | b'}' | b']' => depth -= 1,
            b',' if depth == 0 => {
                pieces.push(&inner[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&inner[begin..]);
    if pieces.len() == 1 && matches!(pieces[0].trim(), "" | "void") {
        return Vec::new();
    }
    pieces
}

/// One parameter, if it can be plain data.
fn parameter(piece: &str) -> Option<Parameter> {
    let (declared, default) = match piece.split_once('=') {
        Some((declared, default)) => (declared, Some(default.trim().to_owned())),
        None => (piece, None),
    };
    let declared = String::from_utf8(code_only(declared)).ok()?;
    let declared = declared.trim();
    if declared.is_empty() || declared.contains(['*', '[', '(', '.']) {
        return None;
    }
    let name = declared.bytes().rev().take_while(|&byte| is_word(byte)).count();
    let (before, word) = declared.split_at(declared.len() - name);
    let unnamed = name == 0
        || before.trim().is_empty()
        || TYPES.contains(&word)
        || before.ends_with("::")
        || before.split_whitespace().all(|word| word == "const");
    let kind = if unnamed { declared } else { before };
    let references = kind.bytes().filter(|&byte| byte == b'&').count();
    let kind = kind.replace('&', " ");
    let mut depth = 0;
    let outer: String = kind
        .chars()
        .filter(|char| {
            depth += i32::from(*char == '<') - i32::from(*char == '>');
            depth == 0
        })
        .collect();
    let is_const =
        outer.split(|char: char| !char.is_alphanumeric() && char != '_').any(|word| word == "const");
    let kind = kind.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Parameter { kind, default, changes: references == 1 && !is_const })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Signature {
        Signature::of(source, "f").unwrap()
    }

    #[test]
    fn heads_are_read() {
        let source = "#include <vector>\nint f(int);\nint g(){ return f(1); }\n// f(x)\nstatic vector<pair<int, char>> f( vector<int>a, const string & b, map<string, int> &c,\n unsigned long, std::string = \"a,b\", const int d=3) { // body (";
        let signature = of(source);
        assert_eq!(signature.result, "vector<pair<int, char>>");
        let expected = [
            ("vector<int>", None, false),
            ("const string", None, false),
            ("map<string, int>", None, true),
            ("unsigned long", None, false),
            ("std::string", Some("\"a,b\""), false),
            ("const int", Some("3"), false),
        ];
        let found: Vec<_> = signature
            .parameters
            .iter()
            .map(|it| (it.kind.as_str(), it.default.as_deref(), it.changes))
            .collect();
        assert_eq!(found, expected);
        assert!(source[signature.begin..].starts_with("static vector") && signature.end == source.len());
        assert_eq!(of("void f(vector<int>& a);\nint x;").end, 23);
        assert_eq!(of("int f() { return 1; } int g();").end, 21);
        assert!(of("int f(void){").parameters.is_empty());
    }

    #[test]
    fn what_cannot_be_passed_on_is_named() {
        for (source, says) in [
            ("int g(int);", "the prompt must hold its head"),
            ("int f(int* a) {", "`int* a`"),
            ("int f(int a[]) {", "`int a[]`"),
            ("int* f(int a) {", "`int*`"),
            ("template <class T> T f(T a) {", "template"),
            ("void f(int a) {", "neither returns"),
            ("int f(int a, ...) {", "`...`"),
            ("int f(int a", "does not end"),
        ] {
            let error = Signature::of(source, "f").unwrap_err().to_string();
            assert!(error.contains(says), "{source}: {error}");
        }
    }
}
