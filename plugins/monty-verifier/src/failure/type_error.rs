//! `TypeError`s that CPython raises too.

use super::quoted;
use crate::dialect::Facts;

const NUMBERS: &[&str] = &["int", "float", "bool"];
const SEQUENCES: &[&str] = &["str", "list", "tuple"];
const SETS: &[&str] = &["set", "frozenset"];
const OTHERS: &[&str] = &["dict", "NoneType", "function", "range"];

/// What follows a type's name in a message, and the types of which CPython says it.
const OF_ONE_TYPE: &[(&str, &[&str])] = &[
    ("object is not iterable", &["int", "float", "bool", "NoneType", "function"]),
    ("object is not subscriptable", &["int", "float", "bool", "NoneType", "function", "set"]),
    ("object is not callable", &["int", "float", "bool", "str", "list", "tuple", "dict", "set", "NoneType"]),
    (
        "object does not support item assignment",
        &["str", "tuple", "int", "float", "bool", "NoneType", "range", "set"],
    ),
    ("has no len()", &["int", "float", "bool", "NoneType", "function"]),
    ("cannot be interpreted as an integer", &["str", "float", "list", "tuple", "NoneType", "dict"]),
    ("is not a container or iterable", &["int", "float", "bool", "NoneType", "function"]),
];

/// How other messages begin, whatever follows.
const ALWAYS: &[&str] = &[
    "can only concatenate str (not ",
    "can only concatenate tuple (not ",
    "exceptions must derive from BaseException",
    "sum() can't sum strings",
    "ord() expected a character",
    "slice indices must be integers or None",
];

/// How messages about the number of a built-in's arguments begin, where CPython takes as many.
const ARITIES: &[&str] = &[
    "divmod expected 2 arguments, got ",
    "insert expected 2 arguments, got ",
    "isinstance expected 2 arguments, got ",
    "list.clear() takes no arguments (",
    "list.copy() takes no arguments (",
    "list.index expected at least 1 argument, got ",
    "list.pop expected at most 1 argument, got ",
    "list.reverse() takes no arguments (",
    "max expected at least 1 argument, got ",
    "min expected at least 1 argument, got ",
    "range expected at least 1 argument, got ",
    "range expected at most 3 arguments, got ",
    "sort expected at most 0 arguments, got ",
    "sorted expected 1 argument, got ",
    "sum() takes at least 1 positional argument (",
];

/// What other messages say anywhere.
const UNHASHABLE: &[&str] = &["unhashable type: 'list'", "unhashable type: 'dict'", "unhashable type: 'set'"];

/// Whether CPython raises a `TypeError` where monty raises the one that says `message`.
pub(super) fn is_cpythons(message: &str, facts: &Facts) -> bool {
    let always = ALWAYS.iter().any(|start| message.starts_with(start));
    if always || UNHASHABLE.iter().any(|what| message.contains(what)) {
        return true;
    }
    let mut names = quoted(message);
    let (first, second) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    if let Some(rest) = message.strip_prefix("unsupported operand type(s) for ") {
        let operator = rest.split(": ").next().unwrap_or_default();
        return is_known(first) && is_known(second) && !is_supported(operator, first, second);
    }
    if message.contains("not supported between instances of") {
        // The operator comes in quotes before the types.
        let third = names.next().unwrap_or_default();
        return is_unordered(second, third, facts);
    }
    let mut of_one_type = OF_ONE_TYPE.iter().filter(|(what, _)| message.contains(what));
    if let Some((_, types)) = of_one_type.next() {
        return types.contains(&first) || facts.classes.contains(first);
    }
    if let Some(rest) = message.strip_prefix("cannot unpack non-iterable ") {
        return ["int ", "float ", "bool ", "NoneType ", "function "]
            .iter()
            .any(|name| rest.starts_with(name));
    }
    if let Some(other) = message.strip_prefix("can only concatenate list (not \"") {
        // `+=` takes any iterable in CPython.
        return ["int\"", "float\"", "bool\"", "NoneType\""].iter().any(|name| other.starts_with(name));
    }
    if let Some((_, index)) = message.split_once(" indices must be integers") {
        let types = ["str", "float", "list", "tuple", "NoneType", "dict"];
        return types.iter().any(|name| index.trim_end_matches('\'').ends_with(name));
    }
    if message.starts_with("int() argument must be") || message.starts_with("float() argument must be") {
        return ["list", "dict", "tuple", "NoneType", "set"].contains(&first);
    }
    if message.starts_with("bad operand type for ") {
        return ["str", "list", "dict", "tuple", "NoneType", "set"].contains(&first);
    }
    if message.starts_with("sequence item ") {
        return message.contains("expected str instance");
    }
    is_arity(message, facts)
}

/// `f() missing 1 required positional argument: 'x'` and the like, of a function of the program's own or of
/// a built-in that takes as many in CPython.
fn is_arity(message: &str, facts: &Facts) -> bool {
    if ARITIES.iter().any(|start| message.starts_with(start)) {
        return true;
    }
    let Some((function, problem)) = message.split_once("() ") else { return false };
    let problems = ["missing ", "takes ", "got an unexpected keyword argument", "got multiple values for"];
    let own = function == "<lambda>" || facts.functions.contains(function);
    (own && problems.iter().any(|start| problem.starts_with(start)))
        || problem.starts_with("takes exactly one argument (")
}

fn is_known(type_name: &str) -> bool {
    [NUMBERS, SEQUENCES, SETS, OTHERS].iter().any(|types| types.contains(&type_name))
}

/// Whether CPython has `left operator right` for these types, `operator=` included.
fn is_supported(operator: &str, left: &str, right: &str) -> bool {
    let both = |types: &[&str]| types.contains(&left) && types.contains(&right);
    let repeats = |a: &str, b: &str| SEQUENCES.contains(&a) && ["int", "bool"].contains(&b);
    match operator.trim_end_matches('=') {
        "+" => both(NUMBERS) || (left == right && SEQUENCES.contains(&left)) || left == "list",
        "-" => both(NUMBERS) || both(SETS),
        "*" => both(NUMBERS) || repeats(left, right) || repeats(right, left),
        "%" => both(NUMBERS) || left == "str",
        "<<" | ">>" => both(&["int", "bool"]),
        "&" | "^" => both(&["int", "bool"]) || both(SETS),
        "|" => both(&["int", "bool"]) || both(SETS) || both(&["dict"]),
        // Also what is spelt in words: `** or pow()`, `divmod()`.
        _ => both(NUMBERS),
    }
}

/// Whether CPython does not order these types. Sequences of one type it does, though not whatever
/// their elements are; which elements those were the message does not say.
fn is_unordered(left: &str, right: &str, facts: &Facts) -> bool {
    let own = |name: &str| facts.classes.contains(name);
    let known = |name: &str| is_known(name) || own(name);
    let both = |types: &[&str]| types.contains(&left) && types.contains(&right);
    let ordered = both(NUMBERS) || both(SETS) || (left == right && SEQUENCES.contains(&left));
    known(left) && known(right) && !ordered
}
