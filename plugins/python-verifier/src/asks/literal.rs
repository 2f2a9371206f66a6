//! Constant expressions.

use ruff_python_ast::{Expr, ExprStringLiteral, Int, Number, Operator, UnaryOp};
use serde_json::{Value, json};

use super::compare::{Index, is_true};

/// The plain data of a constant expression; `None` if it is not one, or one whose value is not computed here.
pub(super) fn literal(expr: &Expr) -> Option<Value> {
    let all = |items: &[Expr]| items.iter().map(literal).collect::<Option<Vec<_>>>();
    match expr {
        Expr::NoneLiteral(_) => Some(Value::Null),
        Expr::BooleanLiteral(truth) => Some(truth.value.into()),
        Expr::StringLiteral(text) => string(text),
        Expr::BytesLiteral(bytes) => {
            let hex: String = bytes.value.bytes().map(|byte| format!("{byte:02x}")).collect();
            Some(json!({ "bytes": hex }))
        }
        Expr::NumberLiteral(number) => match &number.value {
            Number::Int(int) => integer(int),
            Number::Float(value) => Some(float(*value)),
            Number::Complex { real, imag } => Some(complex(*real, *imag)),
        },
        Expr::List(list) => all(&list.elts).map(Value::Array),
        Expr::Tuple(tuple) => all(&tuple.elts).map(|items| json!({ "tuple": items })),
        Expr::Set(set) => {
            let items = all(&set.elts)?;
            let first = Index::of(items.iter());
            let once = (0..).zip(&items).filter(|(at, item)| first.place(item) == Some(*at));
            items
                .iter()
                .all(is_hashable)
                .then(|| json!({ "set": once.map(|(_, item)| item).collect::<Vec<_>>() }))
        }
        Expr::Dict(dict) => {
            let keys =
                dict.items.iter().map(|item| literal(item.key.as_ref()?)).collect::<Option<Vec<_>>>()?;
            let first = Index::of(keys.iter());
            // As in Python, the first of equal keys stays, with the last one's value.
            let mut pairs: Vec<(usize, &Value, Value)> = Vec::new();
            for (place, (key, item)) in keys.iter().zip(&dict.items).enumerate() {
                let (at, value) = (first.place(key)?, literal(&item.value)?);
                match pairs.binary_search_by_key(&at, |pair| pair.0) {
                    Ok(known) => pairs[known].2 = value,
                    Err(_) => pairs.push((place, key, value)),
                }
            }
            let pairs = pairs.iter().map(|(_, key, value)| json!([key, value])).collect::<Vec<_>>();
            keys.iter().all(is_hashable).then(|| json!({ "dict": pairs }))
        }
        Expr::UnaryOp(operation) => {
            let operand = literal(&operation.operand)?;
            match operation.op {
                UnaryOp::Not => Some((!is_true(&operand)?).into()),
                UnaryOp::USub => negated(&operand),
                _ => None,
            }
        }
        Expr::BinOp(operation) => {
            let (left, right) = (literal(&operation.left)?, literal(&operation.right)?);
            arithmetic(operation.op, &left, &right)
        }
        _ => None,
    }
}

fn string(text: &ExprStringLiteral) -> Option<Value> {
    // Where an escape names half of a surrogate pair, the parser has put something else.
    let text = text.value.to_str();
    (!text.contains(char::REPLACEMENT_CHARACTER)).then(|| text.into())
}

/// An integer, as `plain.py` writes it.
fn integer(int: &Int) -> Option<Value> {
    if let Some(small) = int.as_i64() {
        return Some(small.into());
    }
    // Beyond 64 bits the parser keeps the digits as they are written.
    let text = int.to_string();
    let value = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => u128::from_str_radix(digits, 16),
        None => text.parse(),
    };
    value.ok().map(|value| json!({ "int": format!("{value:#x}") }))
}

fn float(value: f64) -> Value {
    if value.is_finite() {
        value.into()
    } else {
        // A literal that is too large is infinite; none is NaN.
        json!({ "float": if value > 0.0 { "inf" } else { "-inf" } })
    }
}

fn complex(real: f64, imag: f64) -> Value {
    json!({ "complex": [float(real), float(imag)] })
}

fn negated(operand: &Value) -> Option<Value> {
    match operand {
        Value::Number(number) => match number.as_i64() {
            Some(int) => int.checked_neg().map(Value::from),
            None => number.as_f64().map(|value| float(-value)),
        },
        Value::Object(object) => {
            let digits = object.get("int")?.as_str().filter(|digits| !digits.starts_with('-'))?;
            // The one that is as small as 64 bits hold is written as itself.
            let smallest = u128::from(i64::MIN.unsigned_abs());
            let small = u128::from_str_radix(digits.strip_prefix("0x")?, 16).is_ok_and(|it| it == smallest);
            Some(if small { i64::MIN.into() } else { json!({ "int": format!("-{digits}") }) })
        }
        _ => None,
    }
}

/// What a few operators come to, where it is exact or what any machine computes.
fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Option<Value> {
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
        let value = match operator {
            Operator::Add => left.checked_add(right),
            Operator::Sub => left.checked_sub(right),
            Operator::Mult => left.checked_mul(right),
            Operator::Pow => u32::try_from(right).ok().and_then(|power| left.checked_pow(power)),
            _ => None,
        };
        return value.map(Value::from);
    }
    if let (Value::String(left), Value::String(right), Operator::Add) = (left, right, operator) {
        return Some(format!("{left}{right}").into());
    }
    let imaginary = |value: &Value| match value.get("complex")?.as_array()?.as_slice() {
        [real, imag] if real.as_f64() == Some(0.0) => imag.as_f64(),
        _ => None,
    };
    // An integer of 53 bits is a float without loss.
    let real = |value: &Value| {
        value.as_f64().filter(|_| value.as_i64().is_none_or(|int| int.unsigned_abs() < 1 << 53))
    };
    let left = real(left)?;
    if let Some(imag) = imaginary(right) {
        return match operator {
            Operator::Add => Some(complex(left, imag)),
            Operator::Sub => Some(complex(left, -imag)),
            _ => None,
        };
    }
    let right = real(right)?;
    let value = match operator {
        Operator::Add => left + right,
        Operator::Sub => left - right,
        Operator::Mult => left * right,
        Operator::Div if right != 0.0 => left / right,
        _ => return None,
    };
    value.is_finite().then(|| value.into())
}

/// Whether a set or a dict takes it as a key. The test would fail by itself otherwise.
fn is_hashable(value: &Value) -> bool {
    match value {
        Value::Array(_) => false,
        Value::Object(object) => object.iter().all(|(tag, inner)| match tag.as_str() {
            "dict" | "set" => false,
            "tuple" => inner.as_array().is_some_and(|items| items.iter().all(is_hashable)),
            _ => true,
        }),
        _ => true,
    }
}
