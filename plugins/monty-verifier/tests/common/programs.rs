//! Random programs of a few lines.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// A program of 2 to 8 statements over the variables `a`, `b`, `n`, `xs`, `ys` and `s`. About one in
/// ten has a line cut short.
pub fn program(rng: &mut impl Rng) -> String {
    let mut lines = Vec::new();
    for _ in 0..rng.random_range(2..=8) {
        statement(rng, 0, &mut lines);
    }
    lines.push("print(a, b, n, xs, ys, s)".into());
    if rng.random_ratio(1, 10) {
        let line = rng.random_range(0..lines.len());
        let keep = rng.random_range(0..=lines[line].len());
        lines[line].truncate(keep);
    }
    lines.join("\n") + "\n"
}

fn one_of(rng: &mut impl Rng, choices: &[&str]) -> String {
    (*choices.choose(rng).unwrap_or(&"")).to_owned()
}

fn statement(rng: &mut impl Rng, depth: usize, lines: &mut Vec<String>) {
    let indent = "    ".repeat(depth);
    let text = match rng.random_range(0..if depth < 2 { 16 } else { 12 }) {
        0 | 1 => {
            // In a loop, products would soon have more digits than time allows.
            let value = integer(rng, 0);
            let bounded = if value.contains('*') { format!("{value} % 100003") } else { value };
            format!("{} = {bounded}", one_of(rng, &["a", "b", "n"]))
        }
        2 => format!("{} = {}[:8]", one_of(rng, &["xs", "ys"]), list(rng, 0)),
        3 => format!("s = {}[:20]", string(rng, 0)),
        4 => format!("print({}, {})", integer(rng, 0), string(rng, 1)),
        5 => format!("print({})", list(rng, 0)),
        6 => {
            let operator = one_of(rng, &["+=", "-=", "//=", "%="]);
            format!("{} {operator} {}", one_of(rng, &["a", "b", "n"]), integer(rng, 1))
        }
        7 => {
            let value = integer(rng, 1);
            let method = match rng.random_range(0..7) {
                0 => format!("append({value})"),
                1 => "pop()".into(),
                2 => "pop(0)".into(),
                3 => "sort(reverse=True)".into(),
                4 => "reverse()".into(),
                5 => format!("remove({value})"),
                _ => format!("insert(1, {value})"),
            };
            format!("{}.{method}", one_of(rng, &["xs", "ys"]))
        }
        8 => format!("xs[{}] = {}", one_of(rng, &["0", "-1", "a"]), integer(rng, 1)),
        9 => "# a comment: x = 1".into(),
        10 => "a, b = b, a".into(),
        11 => format!("ys += {}[:3]", list(rng, 1)),
        12 => {
            lines.push(format!("{indent}if {}:", condition(rng, 0)));
            block(rng, depth, lines);
            lines.push(format!("{indent}else:"));
            return block(rng, depth, lines);
        }
        13 => {
            // Over a copy: the body may append to the list.
            lines.push(format!("{indent}for x in {}[:6]:", list(rng, 1)));
            return block(rng, depth, lines);
        }
        14 => {
            lines.push(format!("{indent}for i, x in enumerate({}):", list(rng, 1)));
            lines.push(format!("{indent}    print(i, x)"));
            return;
        }
        _ => {
            lines.push(format!("{indent}for i in range({}):", rng.random_range(0..5)));
            block(rng, depth, lines);
            lines.push(format!("{indent}    if {}:", condition(rng, 1)));
            format!("        {}", one_of(rng, &["break", "continue"]))
        }
    };
    lines.push(format!("{indent}{text}"));
}

fn block(rng: &mut impl Rng, depth: usize, lines: &mut Vec<String>) {
    for _ in 0..rng.random_range(1..=2) {
        statement(rng, depth + 1, lines);
    }
    // A comment alone is no block.
    lines.push(format!("{}pass", "    ".repeat(depth + 1)));
}

fn integer(rng: &mut impl Rng, depth: usize) -> String {
    if depth > 2 || rng.random_ratio(2, 5) {
        let number = rng.random_range(-9..=20).to_string();
        return match rng.random_range(0..5) {
            0 | 1 => number,
            2 => "123456789012345678901".into(),
            _ => one_of(rng, &["a", "b", "n"]),
        };
    }
    let (left, right) = (integer(rng, depth + 1), integer(rng, depth + 1));
    match rng.random_range(0..10) {
        0..=2 => format!("({left} {} {right})", one_of(rng, &["+", "-", "*"])),
        3 | 4 => format!("({left} {} {right})", one_of(rng, &["//", "%"])),
        5 => format!("{}({})", one_of(rng, &["min", "max", "sum", "len"]), list(rng, depth + 1)),
        6 => format!("max({left}, {right})"),
        7 => format!("abs({left})"),
        8 => format!("xs[{}]", one_of(rng, &["0", "-1", "2", "7"])),
        _ => format!("({left} if {} else {right})", condition(rng, depth + 1)),
    }
}

fn list(rng: &mut impl Rng, depth: usize) -> String {
    if depth > 2 || rng.random_ratio(1, 3) {
        return match rng.random_range(0..4) {
            0 => "[]".into(),
            1 => format!("[{}, {}]", integer(rng, 2), integer(rng, 2)),
            2 => "ys".into(),
            _ => "xs".into(),
        };
    }
    let inner = list(rng, depth + 1);
    match rng.random_range(0..9) {
        0 => format!("{inner}[::-1]"),
        1 => format!("{inner}[{}:{}]", rng.random_range(-4..4), rng.random_range(-4..5)),
        2 => format!("{inner}[::{}]", one_of(rng, &["2", "-2", "3"])),
        3 => format!("sorted({inner})"),
        4 => format!("sorted({inner}, key=lambda v: -v)"),
        5 => format!("({inner} + {})", list(rng, depth + 1)),
        6 => format!("[{} for x in {inner} if x % 2 == 0]", one_of(rng, &["x", "x * x", "-x"])),
        7 => format!("list(range({}))", rng.random_range(-2..6)),
        _ => format!("{inner} * 2"),
    }
}

fn string(rng: &mut impl Rng, depth: usize) -> String {
    if depth > 1 || rng.random_ratio(1, 3) {
        return one_of(rng, &["s", "'a b'", "''", "'it is'", "\"x's\""]);
    }
    let inner = string(rng, depth + 1);
    match rng.random_range(0..8) {
        0 => format!("str({})", integer(rng, 1)),
        1 => format!("f'{{a}} {{b:>4}} {{n:05d}} {{xs}} {{s!r}}{{{}}}'", one_of(rng, &["a + b", "len(xs)"])),
        2 => format!("{inner}.{}()", one_of(rng, &["upper", "lower", "strip", "title"])),
        3 => format!("{inner}[{}]", one_of(rng, &["::-1", "1:", "0", "-1", ":2"])),
        4 => format!("'-'.join(str(x) for x in {})", list(rng, 1)),
        5 => format!("({inner} + {})", string(rng, depth + 1)),
        6 => format!("{inner}.replace('l', 'L')"),
        _ => format!("str({inner}.split())"),
    }
}

fn condition(rng: &mut impl Rng, depth: usize) -> String {
    let (left, right) = (integer(rng, depth + 1), integer(rng, depth + 1));
    match rng.random_range(0..5) {
        0 | 1 => format!("{left} {} {right}", one_of(rng, &["<", ">", "==", "!=", "<=", ">="])),
        2 => format!("{left} in {}", list(rng, 2)),
        3 => format!("not {}", list(rng, 2)),
        _ => format!("a < b {} {left} > {right}", one_of(rng, &["and", "or"])),
    }
}
