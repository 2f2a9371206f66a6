//! Python's `==`, truth and `abs(a - b)` of plain data.

use std::collections::HashMap;

use serde_json::Value;

use super::number::Number;

/// Whether Python says `a == b`. Something that is not plain equals nothing.
///
/// As there, `1`, `1.0` and `True` are equal, a list is not equal to a tuple, and sets and dicts have no order. `a` is the
/// expected one. `b` may be a program's forgery: it is then some value or none, and no concern of anybody's.
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
        // The expected one has each item and key once; as many, of which each is found, are all.
        (Kind::Set(a), Kind::Set(b)) => {
            a.len() == b.len() && {
                let found = Index::of(b.iter());
                a.iter().all(|item| found.place(item).is_some())
            }
        }
        (Kind::Dict(a), Kind::Dict(b)) => {
            let pairs =
                |items: &[Value]| items.iter().all(|it| it.as_array().is_some_and(|it| it.len() == 2));
            a.len() == b.len() && pairs(a) && pairs(b) && {
                let found = Index::of(b.iter().map(|pair| &pair[0]));
                a.iter().all(|pair| found.place(&pair[0]).is_some_and(|at| equal(&pair[1], &b[at][1])))
            }
        }
        _ => false,
    }
}

/// Items of a set, or keys of a dict, by value.
pub(super) struct Index<'a> {
    scalars: HashMap<Scalar<'a>, usize>,
    others: Vec<(&'a Value, usize)>,
}

impl<'a> Index<'a> {
    pub fn of(items: impl Iterator<Item = &'a Value>) -> Self {
        let mut index = Self { scalars: HashMap::new(), others: Vec::new() };
        items.enumerate().for_each(|(place, item)| index.insert(item, place));
        index
    }

    /// Adds an item; the first of equal ones stays.
    pub fn insert(&mut self, item: &'a Value, place: usize) {
        match Scalar::of(item) {
            Some(scalar) => _ = self.scalars.entry(scalar).or_insert(place),
            None => self.others.push((item, place)),
        }
    }

    /// Where the first item stands that is equal to `item`.
    pub fn place(&self, item: &Value) -> Option<usize> {
        match Scalar::of(item) {
            Some(scalar) => self.scalars.get(&scalar).copied(),
            None => self.others.iter().find(|(other, _)| equal(item, other)).map(|(_, place)| *place),
        }
    }
}

/// What is equal to another value exactly if it is the same here. NaN, equal to nothing, is none.
#[derive(PartialEq, Eq, Hash)]
enum Scalar<'a> {
    None,
    Text(&'a str),
    Surrogates(&'a str),
    Bytes(&'a str),
    Integer(i64),
    BigInteger(String),
    /// The bits of a number that is no integer, or whose imaginary part is not 0.
    Real(u64, u64),
}

impl<'a> Scalar<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        Some(match Kind::of(value) {
            Kind::None => Self::None,
            Kind::Text(text) => Self::Text(text),
            Kind::Surrogates(hex) => Self::Surrogates(hex),
            Kind::Bytes(hex) => Self::Bytes(hex),
            Kind::Number(number) => match number.simplified() {
                Number::Small(int) => Self::Integer(int),
                Number::Big(digits) => Self::BigInteger(digits),
                Number::Float(float) if float.is_nan() => return None,
                Number::Float(float) => Self::Real(float.to_bits(), 0),
                Number::Complex(real, imaginary) if real.is_nan() || imaginary.is_nan() => return None,
                // Both zeros are one.
                Number::Complex(real, imaginary) => Self::Real((real + 0.0).to_bits(), imaginary.to_bits()),
            },
            _ => return None,
        })
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

/// Whether NaN is in it: of that every comparison is false, also one that is to find what is too far off.
pub(super) fn has_nan(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_nan),
        Value::Object(object) => {
            object.get("float").is_some_and(|float| float == "nan") || object.values().any(has_nan)
        }
        _ => false,
    }
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
