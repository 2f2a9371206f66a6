//! Values on their way into the interpreter and out of it: plain data both times.

use monty_types::{DictPairs, MontyObject};
use pspo::data::Matching;
use pspo::plugin::VerifyError;
use pspo::verify::matches_value;
use serde_json::{Number, Value};

/// The Python value of a JSON value: `null` is `None`, an array a list, an object a dict; a number
/// written with a point or an exponent is a float, any other an int.
///
/// # Errors
/// [`VerifyError::Unsupported`] for an integer beyond 64 bits.
pub(crate) fn into_python(value: &Value) -> Result<MontyObject, VerifyError> {
    Ok(match value {
        Value::Null => MontyObject::None,
        Value::Bool(value) => MontyObject::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => MontyObject::Int(int),
            (None, Some(float)) if number.is_f64() => MontyObject::Float(float),
            _ => {
                let what = format!("{number} as an argument: integers there must fit 64 bits");
                return Err(VerifyError::Unsupported(what));
            }
        },
        Value::String(text) => MontyObject::String(text.clone()),
        Value::Array(values) => MontyObject::List(values.iter().map(into_python).collect::<Result<_, _>>()?),
        Value::Object(pairs) => MontyObject::Dict(
            pairs
                .iter()
                .map(|(key, value)| Ok((MontyObject::String(key.clone()), into_python(value)?)))
                .collect::<Result<DictPairs, VerifyError>>()?,
        ),
    })
}

/// Whether a call returned what it should: compared by [`matches_value`]; a tuple is not a list but
/// by the rules that say so, and a
/// value that JSON does not have (a set, an object of a class, NaN) is never the one expected.
///
/// # Errors
/// [`VerifyError::Unsupported`] where an integer beyond 64 bits was returned and one may have been
/// expected: reading the problem turned that into a float.
pub(crate) fn is_expected(
    matching: &Matching,
    expected: &Value,
    got: &MontyObject,
) -> Result<bool, VerifyError> {
    match into_json(got, matching.tuples_are_lists()) {
        Ok(got) => matches_value(matching, expected, &got),
        Err(NotJson::BigInteger) if any_number(expected, &is_huge) => Err(VerifyError::Unsupported(format!(
            "the expected value {expected}: integers there must fit 64 bits"
        ))),
        Err(_) => Ok(false),
    }
}

enum NotJson {
    BigInteger,
    Other,
}

fn into_json(object: &MontyObject, tuples_are_lists: bool) -> Result<Value, NotJson> {
    let into_json = |object| into_json(object, tuples_are_lists);
    Ok(match object {
        MontyObject::None => Value::Null,
        MontyObject::Bool(value) => Value::Bool(*value),
        MontyObject::Int(value) => Value::from(*value),
        MontyObject::BigInt(value) => match value.to_string().parse::<u64>() {
            Ok(value) => Value::from(value),
            Err(_) => return Err(NotJson::BigInteger),
        },
        MontyObject::Float(value) => Value::Number(Number::from_f64(*value).ok_or(NotJson::Other)?),
        MontyObject::String(text) => Value::String(text.clone()),
        MontyObject::List(values) => Value::Array(values.iter().map(into_json).collect::<Result<_, _>>()?),
        MontyObject::Tuple(values) if tuples_are_lists => {
            Value::Array(values.iter().map(into_json).collect::<Result<_, _>>()?)
        }
        MontyObject::Dict(pairs) => Value::Object(
            pairs
                .into_iter()
                .map(|(key, value)| match key {
                    MontyObject::String(key) => Ok((key.clone(), into_json(value)?)),
                    _ => Err(NotJson::Other),
                })
                .collect::<Result<_, _>>()?,
        ),
        _ => return Err(NotJson::Other),
    })
}

/// Whether `value` is such a number or has one inside.
pub(crate) fn any_number(value: &Value, is_such: &dyn Fn(&Number) -> bool) -> bool {
    match value {
        Value::Number(number) => is_such(number),
        Value::Array(values) => values.iter().any(|value| any_number(value, is_such)),
        Value::Object(pairs) => pairs.values().any(|value| any_number(value, is_such)),
        _ => false,
    }
}

/// Whether `number` may have been an integer that was too large to be read as one.
fn is_huge(number: &Number) -> bool {
    number.is_f64() && number.as_f64().is_some_and(|float| float.abs() >= 2f64.powi(63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_comes_back_as_it_went_in() {
        let value = json!({"a": [null, true, 1, 1.0, -0.5, "é", i64::MIN], "b": {}, "c": []});
        assert!(is_expected(&Matching::Exact, &value, &into_python(&value).unwrap()).unwrap());
        assert!(into_python(&json!([u64::MAX])).is_err());
    }

    #[test]
    fn types_and_foreign_values_are_told_apart() {
        let list = || vec![MontyObject::Int(1)];
        for (expected, got) in [
            (json!([1]), MontyObject::Tuple(list())),
            (json!([1]), MontyObject::Set(list())),
            (json!([true]), MontyObject::List(list())),
            (json!([1.0]), MontyObject::List(list())),
            (json!(1), MontyObject::Bool(true)),
            (json!(null), MontyObject::Float(f64::NAN)),
            (json!("x"), MontyObject::Repr("x".into())),
            (json!({"1": 1}), MontyObject::Dict(vec![(MontyObject::Int(1), MontyObject::Int(1))].into())),
        ] {
            assert!(!is_expected(&Matching::Exact, &expected, &got).unwrap(), "{expected} {got:?}");
        }
        assert!(is_expected(&Matching::Exact, &json!([1]), &MontyObject::List(list())).unwrap());
    }
}
