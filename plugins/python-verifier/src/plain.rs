//! Values as plain data, as `plain.py` writes them: what a test gives to a program, and what comes back.

use pspo::data::Matching;
use pspo::plugin::VerifyError;
use pspo::verify::matches_value;
use serde_json::{Number, Value, json};

/// The plain data of a JSON value: an object becomes a dict, everything else is itself.
pub(crate) fn from_json(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(from_json).collect(),
        Value::Object(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| json!([key, from_json(value)])).collect();
            json!({ "dict": pairs })
        }
        Value::Number(number) if number.is_u64() && number.as_i64().is_none() => {
            json!({ "int": format!("{:#x}", number.as_u64().unwrap_or_default()) })
        }
        plain => plain.clone(),
    }
}

/// Whether a call returned what it should, by `matching`. A value that JSON does not have (a set, an object of a
/// class, NaN) is never the one expected.
///
/// # Errors
/// [`VerifyError::Unsupported`] where an integer beyond 64 bits was returned and one may have been
/// expected: reading the problem turned that into a float.
pub(crate) fn is_expected(matching: &Matching, expected: &Value, got: &Value) -> Result<bool, VerifyError> {
    match to_json(got, matching.tuples_are_lists()) {
        Ok(got) => matches_value(matching, expected, &got),
        Err(NotJson::BigInteger) if any_huge(expected) => Err(VerifyError::Unsupported(format!(
            "the expected value {expected}: integers there must fit 64 bits"
        ))),
        Err(_) => Ok(false),
    }
}

enum NotJson {
    BigInteger,
    Other,
}

fn to_json(data: &Value, tuples_are_lists: bool) -> Result<Value, NotJson> {
    let to_json = |data: &Value| to_json(data, tuples_are_lists);
    let list = |items: &Value| match items.as_array() {
        Some(items) => items.iter().map(to_json).collect::<Result<Value, _>>(),
        None => Err(NotJson::Other),
    };
    let Value::Object(object) = data else {
        return if data.is_array() { list(data) } else { Ok(data.clone()) };
    };
    let mut entries = object.iter();
    match (entries.next(), entries.next()) {
        (Some((tag, inner)), None) => match tag.as_str() {
            "dict" => {
                let pairs = inner.as_array().ok_or(NotJson::Other)?;
                let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
                    Some([Value::String(key), value]) => Ok((key.clone(), to_json(value)?)),
                    _ => Err(NotJson::Other),
                };
                pairs.iter().map(pair).collect::<Result<Value, _>>()
            }
            "tuple" if tuples_are_lists => list(inner),
            "int" => {
                let digits = inner.as_str().and_then(|int| int.strip_prefix("0x"));
                let int = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                int.map(|int| Value::Number(Number::from(int))).ok_or(NotJson::BigInteger)
            }
            _ => Err(NotJson::Other),
        },
        _ => Err(NotJson::Other),
    }
}

/// Whether a number in `value` may have been an integer that was too large to be read as one.
fn any_huge(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            number.is_f64() && number.as_f64().is_some_and(|float| float.abs() >= 2f64.powi(63))
        }
        Value::Array(items) => items.iter().any(any_huge),
        Value::Object(pairs) => pairs.values().any(any_huge),
        _ => false,
    }
}

/// A value for a verdict's detail, nearly as Python writes it.
pub(crate) fn shown(data: &Value) -> String {
    let items = |items: &Value| {
        let items = items.as_array().map(|items| items.iter().map(shown).collect::<Vec<_>>());
        items.unwrap_or_default().join(", ")
    };
    match data {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Array(_) => format!("[{}]", items(data)),
        Value::Object(object) => match object.iter().next().map(|(tag, inner)| (tag.as_str(), inner)) {
            Some(("tuple", inner)) => format!("({})", items(inner)),
            Some(("dict", inner)) => {
                let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
                    Some([key, value]) => format!("{}: {}", shown(key), shown(value)),
                    _ => "?".into(),
                };
                let pairs = inner.as_array().map(|pairs| pairs.iter().map(pair).collect::<Vec<_>>());
                format!("{{{}}}", pairs.unwrap_or_default().join(", "))
            }
            Some(("int" | "float" | "type", Value::String(text))) => text.clone(),
            Some(("object", inner)) => {
                let name = inner.get(1).and_then(Value::as_str).unwrap_or("?");
                format!("an object of type {name}")
            }
            Some((tag, inner)) => format!("{tag}({})", items(inner)),
            None => "?".into(),
        },
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back_as_it_went_in() {
        let value = json!({"a": [null, true, 1, 1.0, -0.5, "é", i64::MIN, u64::MAX], "b": {}, "c": []});
        assert!(is_expected(&Matching::Exact, &value, &from_json(&value)).unwrap());
    }

    #[test]
    fn types_and_foreign_values_are_told_apart() {
        for (expected, got) in [
            (json!([1]), json!({"tuple": [1]})),
            (json!([1]), json!({"set": [1]})),
            (json!([true]), json!([1])),
            (json!(1), json!({"object": [0, "int"]})),
            (json!(null), json!({"float": "nan"})),
            (json!({"1": 1}), json!({"dict": [[1, 1]]})),
            (json!({"dict": []}), json!({"dict": []})),
            (json!([]), json!({})),
            (json!([]), json!({"dict": 3})),
        ] {
            assert!(!is_expected(&Matching::Exact, &expected, &got).unwrap(), "{expected} {got}");
        }
        assert!(is_expected(&Matching::DecimalLines, &json!([1]), &json!({"tuple": [1.0]})).unwrap());
        assert!(
            is_expected(&Matching::Exact, &json!(1e30), &json!({"int": "0xffffffffffffffffff"})).is_err()
        );
        assert_eq!(
            shown(&json!({"tuple": [1, {"dict": [["a", null]]}, {"object": [0, "E"]}]})),
            r#"(1, {"a": None}, an object of type E)"#
        );
    }
}
