//! Values as the bytes that `harness/wire.hpp` describes, from and to JSON.

use serde_json::{Map, Number, Value};

/// Lists within lists that are read, at most: no type of a program that compiles is deeper.
const DEEPEST: usize = 64;

/// Values that are read, at most: in memory one takes some 40 bytes. A map takes as much as some of them.
const MOST_VALUES: usize = 2_000_000;
const VALUES_OF_A_MAP: usize = 15;

/// The bytes of a JSON value.
pub(crate) fn from_json(value: &Value, to: &mut Vec<u8>) {
    let head = |to: &mut Vec<u8>, letter: u8, count: usize| {
        to.push(letter);
        to.extend((count as u64).to_le_bytes());
    };
    match value {
        Value::Null => to.push(b'n'),
        Value::Bool(truth) => to.extend([b'b', u8::from(*truth)]),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(int), _, _) => {
                to.push(b'i');
                to.extend(int.to_le_bytes());
            }
            (None, Some(int), _) => {
                to.push(b'u');
                to.extend(int.to_le_bytes());
            }
            (None, None, float) => {
                to.push(b'd');
                to.extend(float.unwrap_or(f64::NAN).to_le_bytes());
            }
        },
        Value::String(text) => {
            head(to, b's', text.len());
            to.extend(text.as_bytes());
        }
        Value::Array(items) => {
            head(to, b'[', items.len());
            items.iter().for_each(|item| from_json(item, to));
        }
        Value::Object(pairs) => {
            head(to, b'{', pairs.len());
            for (key, value) in pairs {
                from_json(&Value::String(key.clone()), to);
                from_json(value, to);
            }
        }
    }
}

/// Why bytes are no JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotJson {
    /// They are no value at all.
    Malformed,
    /// JSON has no such value: what it is.
    Other(&'static str),
}

/// The JSON value of these bytes, all of them. A pair, a tuple or a set is an array, a map whose keys are text or
/// integers an object, and a single-precision number the shortest decimal that is it.
pub(crate) fn to_json(mut bytes: &[u8]) -> Result<Value, NotJson> {
    let mut left = MOST_VALUES;
    let value = take(&mut bytes, 0, &mut left)?;
    if bytes.is_empty() { Ok(value) } else { Err(NotJson::Malformed) }
}

fn take(from: &mut &[u8], depth: usize, left: &mut usize) -> Result<Value, NotJson> {
    if depth > DEEPEST {
        return Err(NotJson::Malformed);
    }
    let cost = if from.first() == Some(&b'{') { VALUES_OF_A_MAP } else { 1 };
    *left = left.checked_sub(cost).ok_or(NotJson::Other("more values than are read"))?;
    let float = |float: f64| match Number::from_f64(float) {
        Some(number) => Ok(Value::Number(number)),
        None => Err(NotJson::Other("infinity, or no number")),
    };
    let [letter] = array(from)?;
    match letter {
        b'n' => Ok(Value::Null),
        b'b' => match array(from)? {
            [truth @ (0 | 1)] => Ok(Value::Bool(truth == 1)),
            _ => Err(NotJson::Malformed),
        },
        b'i' => Ok(i64::from_le_bytes(array(from)?).into()),
        b'u' => Ok(u64::from_le_bytes(array(from)?).into()),
        b'g' => {
            let single = f32::from_le_bytes(array(from)?);
            float(single.to_string().parse().unwrap_or(f64::NAN))
        }
        b'd' => float(f64::from_le_bytes(array(from)?)),
        b's' => {
            let length = count(from)?;
            let (text, rest) = from.split_at(length);
            *from = rest;
            let text = std::str::from_utf8(text).map_err(|_| NotJson::Other("text that is no UTF-8"))?;
            Ok(Value::String(text.to_owned()))
        }
        b'[' => (0..count(from)?).map(|_| take(from, depth + 1, left)).collect(),
        b'{' => {
            let mut map = Map::new();
            for _ in 0..count(from)? {
                let key = match take(from, depth + 1, left)? {
                    Value::String(text) => text,
                    Value::Number(number) if !number.is_f64() => number.to_string(),
                    _ => return Err(NotJson::Other("a map whose keys are neither text nor integers")),
                };
                if map.insert(key, take(from, depth + 1, left)?).is_some() {
                    return Err(NotJson::Other("a map that has a key twice"));
                }
            }
            Ok(Value::Object(map))
        }
        _ => Err(NotJson::Malformed),
    }
}

fn array<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], NotJson> {
    let (first, rest) = from.split_first_chunk().ok_or(NotJson::Malformed)?;
    *from = rest;
    Ok(*first)
}

/// A number of bytes or of values, of which there are no more than bytes.
fn count(from: &mut &[u8]) -> Result<usize, NotJson> {
    let count = u64::from_le_bytes(array(from)?);
    usize::try_from(count).ok().filter(|&count| count <= from.len()).ok_or(NotJson::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_comes_back_as_it_was() {
        let value = json!([null, true, -1, u64::MAX, 0.1, 1e300, "é\0\"", [], {}, {"a": [[]], "": 0.0}]);
        let mut bytes = Vec::new();
        from_json(&value, &mut bytes);
        assert_eq!(to_json(&bytes), Ok(value));
        for end in 0..bytes.len() {
            assert_eq!(to_json(&bytes[..end]), Err(NotJson::Malformed));
        }
        bytes.push(0);
        assert_eq!(to_json(&bytes), Err(NotJson::Malformed));
    }

    #[test]
    fn other_bytes_are_no_values() {
        let number = |letter: &[u8], bytes: &[u8]| [letter, bytes].concat();
        assert_eq!(to_json(&number(b"g", &0.1_f32.to_le_bytes())), Ok(json!(0.1)));
        assert!(matches!(to_json(&number(b"d", &f64::NAN.to_le_bytes())), Err(NotJson::Other(_))));
        assert!(matches!(to_json(b"s\x01\0\0\0\0\0\0\0\xff"), Err(NotJson::Other(_))));
        for bytes in [&b""[..], b"b\x02", b"[\xff\xff\xff\xff\xff\xff\xff\xff", b"PASS"] {
            assert_eq!(to_json(bytes), Err(NotJson::Malformed), "{bytes:?}");
        }
        let many = |item: &[u8], times: usize| {
            [b"[", &(times as u64).to_le_bytes()[..], &item.repeat(times)].concat()
        };
        assert!(to_json(&many(b"n", 1_000_000)).is_ok());
        assert!(matches!(to_json(&many(b"n", 2_000_000)), Err(NotJson::Other(_))));
        assert!(matches!(to_json(&many(b"{\0\0\0\0\0\0\0\0", 200_000)), Err(NotJson::Other(_))));
        let deep = b"[\x01\0\0\0\0\0\0\0".repeat(100_000);
        assert_eq!(to_json(&deep), Err(NotJson::Malformed));
        let keys = [
            &b"{\x02\0\0\0\0\0\0\0"[..],
            &number(b"i", &1_i64.to_le_bytes()),
            b"n",
            &number(b"u", &1_u64.to_le_bytes()),
            b"n",
        ];
        assert!(matches!(to_json(&keys.concat()), Err(NotJson::Other(_))));
    }
}
