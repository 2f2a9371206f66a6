//! Python's `==`, truth and `abs(a - b)` of plain data.

use serde_json::Value;

use super::number::Number;

/// Whether Python says `a == b`. Something that is not plain equals nothing.
///
/// As there, `1`, `1.0` and `True` are equal, a list is not equal to a tuple, and sets and dicts have no order. The
/// data may be a program's forgery: it is then some value or none, and no concern of anybody's.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (Kind::of(a), Kind::of(b)) {
        (Kind::None, Kind::None) => true,
        (Kind::Number(a), Kind::Number(b)) => a == b,
        (Kind::Text(a), Kind::Text(b))
        | (Kind::Surrogates(a), Kind::Surrogates(b))
        | (Kind::Bytes(a), Kind::Bytes(b)) => a == b,
        (Kind::Sequence(kind, a), Kind::Sequence(other, b)) => {
            kind == other && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Kind::Set(a), Kind::Set(b)) => {
            let within = |a: &[Value], b: &[Value]| a.iter().all(|item| b.iter().any(|it| equal(item, it)));
            a.len() == b.len() && within(a, b) && within(b, a)
        }
        (Kind::Dict(a), Kind::Dict(b)) => {
            let within = |a: &[Value], b: &[Value]| {
                a.iter().all(|pair| b.iter().any(|it| equal(&pair[0], &it[0]) && equal(&pair[1], &it[1])))
            };
            let pairs =
                |items: &[Value]| items.iter().all(|it| it.as_array().is_some_and(|it| it.len() == 2));
            a.len() == b.len() && pairs(a) && pairs(b) && within(a, b) && within(b, a)
        }
        _ => false,
    }
}

/// Whether Python takes a value for true; `None` for what is not plain.
pub(super) fn is_true(value: &Value) -> Option<bool> {
    Some(match Kind::of(value) {
        Kind::None => false,
        Kind::Number(number) => number != Number::Small(0),
        Kind::Text(text) | Kind::Surrogates(text) | Kind::Bytes(text) => !text.is_empty(),
        Kind::Sequence(_, items) | Kind::Set(items) | Kind::Dict(items) => !items.is_empty(),
        Kind::Range { start, stop, step } => {
            if step > 0 {
                start < stop
            } else {
                start > stop
            }
        }
        Kind::Named => true,
        Kind::NotPlain => return None,
    })
}

/// `abs(a - b)`; `None` where one is not a number, or one that no float holds.
pub(super) fn distance(a: &Value, b: &Value) -> Option<f64> {
    let (Kind::Number(a), Kind::Number(b)) = (Kind::of(a), Kind::of(b)) else { return None };
    if let (Number::Small(a), Number::Small(b)) = (&a, &b) {
        return Some(a.abs_diff(*b) as f64);
    }
    let ((a, a_imaginary), (b, b_imaginary)) = (a.to_complex()?, b.to_complex()?);
    Some((a - b).hypot(a_imaginary - b_imaginary))
}

/// A value as Python's operators take it.
enum Kind<'a> {
    None,
    Number(Number),
    Text(&'a str),
    /// A text with halves of surrogate pairs, in hexadecimal.
    Surrogates(&'a str),
    /// Of bytes or a bytearray, in hexadecimal.
    Bytes(&'a str),
    /// A list, a tuple or a deque, which are never equal to each other.
    Sequence(&'a str, &'a [Value]),
    /// A set or a frozenset.
    Set(&'a [Value]),
    /// Pairs of a dict or of what is derived from it.
    Dict(&'a [Value]),
    Range {
        start: i64,
        stop: i64,
        step: i64,
    },
    /// A type or a module.
    Named,
    NotPlain,
}

impl<'a> Kind<'a> {
    fn of(value: &'a Value) -> Self {
        if let Some(number) = Number::of(value) {
            return Self::Number(number);
        }
        let object = match value {
            Value::Null => return Self::None,
            Value::String(text) => return Self::Text(text),
            Value::Array(items) => return Self::Sequence("list", items),
            Value::Object(object) => object,
            Value::Bool(_) | Value::Number(_) => return Self::NotPlain,
        };
        let Some((tag, inner)) = object.iter().next().filter(|_| object.len() == 1) else {
            return Self::NotPlain;
        };
        match (tag.as_str(), inner) {
            ("surrogates", Value::String(hex)) => Self::Surrogates(hex),
            ("bytes" | "bytearray", Value::String(hex)) => Self::Bytes(hex),
            ("tuple" | "deque", Value::Array(items)) => Self::Sequence(tag, items),
            ("set" | "frozenset", Value::Array(items)) => Self::Set(items),
            ("dict" | "Counter" | "OrderedDict" | "defaultdict", Value::Array(pairs)) => Self::Dict(pairs),
            ("range", Value::Array(parts)) => match parts.iter().map(Value::as_i64).collect::<Vec<_>>()[..] {
                [Some(start), Some(stop), Some(step)] => Self::Range { start, stop, step },
                _ => Self::NotPlain,
            },
            ("type" | "module", _) => Self::Named,
            _ => Self::NotPlain,
        }
    }
}
