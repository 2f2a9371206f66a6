//! Which modules of the crate a source file names: every path from `crate` or from as many `super` as
//! lead to the root, wherever it stands, outside of comments, strings and tests.

/// A module at the root, as a file names it.
pub struct Used {
    pub module: String,
    pub line: usize,
}

/// The path of the module that a file below `src/` holds.
pub fn module_of(path: &[&str]) -> Vec<String> {
    let mut module: Vec<_> = path.iter().map(|part| part.trim_end_matches(".rs").to_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// The modules at the root that a file names, its own among them.
pub fn used_modules(path: &[&str], source: &str) -> Vec<Used> {
    let tokens = without_tests(&tokens(source)).0;
    let mut used = Vec::new();
    // How deep the braces are, and how deep they were where each inline module began.
    let (mut depth, mut inline) = (0, Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
            }
            "mod" if text(&tokens, at + 2) == "{" => inline.push(depth),
            "crate" if is_path(&tokens, at + 1) => roots(&tokens, at + 3, &mut used),
            "super" => {
                let first = at;
                while is_path(&tokens, at + 1) && text(&tokens, at + 3) == "super" {
                    at += 3;
                }
                let supers = (at - first) / 3 + 1;
                if supers >= module_of(path).len() + inline.len() && is_path(&tokens, at + 1) {
                    roots(&tokens, at + 3, &mut used);
                }
            }
            _ => {}
        }
        at += 1;
    }
    used
}

/// The paths of the modules in files of their own that `source` declares for tests alone.
pub fn test_modules(path: &[&str], source: &str) -> Vec<Vec<String>> {
    let declared = without_tests(&tokens(source)).1;
    let within = |name| module_of(path).into_iter().chain([name]).collect();
    declared.into_iter().map(within).collect()
}

/// The first name behind `crate::`, or those of a group in braces.
fn roots(tokens: &[Token], start: usize, used: &mut Vec<Used>) {
    let mut name = |at: usize| {
        let Token { text, line } = &tokens[at];
        used.push(Used { module: text.clone(), line: *line });
    };
    if text(tokens, start) != "{" {
        return name(start);
    }
    let mut depth = 0;
    for at in start..tokens.len() {
        match tokens[at].text.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 1 && matches!(tokens[at].text.as_str(), "{" | ",") && text(tokens, at + 1) != "}" {
            name(at + 1);
        }
    }
}

/// The tokens without the items under `#[cfg(test)]`, and the names of the modules among these that
/// have files of their own.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut files) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if !(0..TEST.len()).all(|i| text(tokens, at + i) == TEST[i]) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        // The item ends with its first `;` outside of brackets, or with its first body.
        let (begin, mut depth) = (at + TEST.len(), 0);
        at = begin;
        while at < tokens.len() {
            match tokens[at].text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            at += 1;
            let ends = match text(tokens, at - 1) {
                ";" => depth == 0,
                // A group of a `use` is no body.
                "}" => depth == 0 && text(tokens, at) != ";",
                _ => false,
            };
            if ends {
                break;
            }
        }
        if let Some(name) = (begin..at).find(|&i| text(tokens, i) == "mod").map(|i| i + 1)
            && text(tokens, name + 1) == ";"
        {
            files.push(tokens[name].text.clone());
        }
    }
    (kept, files)
}

#[derive(Clone)]
struct Token {
    text: String,
    line: usize,
}

fn text(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| &token.text)
}

fn is_path(tokens: &[Token], at: usize) -> bool {
    text(tokens, at) == ":" && text(tokens, at + 1) == ":"
}

/// Words and single signs; comments, strings and characters left out.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(len) = string(rest) {
            len
        } else if first == '\'' {
            character(rest)
        } else if word > 0 {
            tokens.push(Token { text: rest[..word].to_owned(), line });
            word
        } else {
            if !first.is_whitespace() {
                tokens.push(Token { text: first.to_string(), line });
            }
            first.len_utf8()
        };
        line += rest[..skipped].matches('\n').count();
        rest = &rest[skipped..];
    }
    tokens
}

fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..rest.len().min(at + 2)] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string that `rest` begins with.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c: char| !matches!(c, 'b' | 'c' | 'r'))?;
    let hashes = rest[prefix..].find(|c| c != '#')?;
    let begin = prefix + hashes + 1;
    if rest[prefix + hashes..].chars().next()? != '"' || prefix > 2 {
        return None;
    }
    if rest[..prefix].ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len()));
    }
    if hashes > 0 {
        return None;
    }
    let mut escaped = false;
    for (at, c) in rest[begin..].char_indices() {
        match c {
            '"' if !escaped => return Some(begin + at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some(rest.len())
}

/// The length of a character, or of the quote of a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => rest[3..].find('\'').map_or(rest.len(), |at| at + 4),
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}
