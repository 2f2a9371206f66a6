//! Python's numbers in plain data.

use serde_json::Value;

/// A number as Python compares it: `True` is 1, and a complex number without an imaginary part is its real part.
#[derive(Clone, Debug)]
pub(super) enum Number {
    Small(i64),
    /// An integer beyond 64 bits, as `hex()` writes it.
    Big(String),
    Float(f64),
    Complex(f64, f64),
}

impl Number {
    /// The number that plain data is, if it is one.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(Self::Small(i64::from(*truth))),
            Value::Number(number) => Some(match (number.as_i64(), number.as_u64()) {
                (Some(small), _) => Self::Small(small),
                (None, Some(big)) => Self::Big(format!("{big:#x}")),
                (None, None) => Self::Float(number.as_f64()?),
            }),
            Value::Object(object) if object.len() == 1 => {
                if let Some(digits) = object.get("int") {
                    return Some(Self::Big(digits.as_str()?.to_owned()));
                }
                if let Some(text) = object.get("float") {
                    return text.as_str()?.parse().ok().map(Self::Float);
                }
                match object.get("complex")?.as_array()?.iter().map(Self::of).collect::<Vec<_>>()[..] {
                    [Some(Self::Float(real)), Some(Self::Float(imaginary))] => {
                        Some(Self::Complex(real, imaginary))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The same number in the first of the forms that it has: as an integer, a float, a complex number.
    pub fn simplified(self) -> Self {
        match self {
            Self::Complex(real, 0.0) => Self::Float(real).simplified(),
            Self::Float(float) if float.fract() == 0.0 => match big(float) {
                Some(digits) => Self::integer(digits),
                // Whole, and at most 2⁶³ either way.
                None => Self::Small(float as i64),
            },
            Self::Big(digits) => Self::integer(digits),
            other => other,
        }
    }

    /// An integer by its digits, of which the least of 64 bits is small.
    fn integer(digits: String) -> Self {
        if digits == "-0x8000000000000000" { Self::Small(i64::MIN) } else { Self::Big(digits) }
    }

    /// The number in floats, as arithmetic with a float takes it; `None` if none is as large.
    pub fn to_complex(&self) -> Option<(f64, f64)> {
        match self {
            Self::Small(int) => Some((*int as f64, 0.0)),
            Self::Big(hex) => {
                let (sign, digits) = match hex.strip_prefix('-') {
                    Some(digits) => (-1.0, digits),
                    None => (1.0, hex.as_str()),
                };
                let digits = digits.strip_prefix("0x")?;
                let (first, rest) = digits.split_at_checked(digits.len().min(16))?;
                let scale = 16f64.powi(i32::try_from(rest.len()).ok()?);
                let float = sign * u64::from_str_radix(first, 16).ok()? as f64 * scale;
                float.is_finite().then_some((float, 0.0))
            }
            Self::Float(float) => Some((*float, 0.0)),
            Self::Complex(real, imaginary) => Some((*real, *imaginary)),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Small(a), Self::Small(b)) => a == b,
            (Self::Big(a), Self::Big(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Complex(real, imaginary), Self::Complex(other, other_imaginary)) => {
                real == other && imaginary == other_imaginary
            }
            (Self::Complex(real, imaginary), number) | (number, Self::Complex(real, imaginary)) => {
                *imaginary == 0.0 && Self::Float(*real) == *number
            }
            // A whole float below 2¹²⁷ is an integer of 128 bits; one that is not is none of 64.
            (Self::Small(int), Self::Float(float)) | (Self::Float(float), Self::Small(int)) => {
                float.fract() == 0.0 && *float as i128 == i128::from(*int)
            }
            (Self::Big(hex), Self::Float(float)) | (Self::Float(float), Self::Big(hex)) => {
                big(*float).is_some_and(|float| float == *hex)
            }
            (Self::Small(_), Self::Big(_)) | (Self::Big(_), Self::Small(_)) => false,
        }
    }
}

/// The digits of a float that is an integer beyond 64 bits.
fn big(float: f64) -> Option<String> {
    const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
    if !float.is_finite() || float.abs() < 2f64.powi(63) {
        return None;
    }
    let bits = float.to_bits();
    let mantissa = bits & ((1 << FRACTION) - 1) | 1 << FRACTION;
    // The float is the mantissa times two to this, at least 11.
    let exponent = (bits >> FRACTION & 0x7ff) as usize - 1075;
    let sign = if float < 0.0 { "-" } else { "" };
    let leading = u128::from(mantissa) << (exponent % 4);
    Some(format!("{sign}{leading:#x}{}", "0".repeat(exponent / 4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equality_is_of_values() {
        let equal = |a: Value, b: Value| Number::of(&a).unwrap() == Number::of(&b).unwrap();
        for (a, b, same) in [
            (json!(1), json!(1.0), true),
            (json!(true), json!(1), true),
            (json!(false), json!(-0.0), true),
            (json!(i64::MAX), json!(i64::MAX as f64), false),
            (json!(i64::MIN), json!(i64::MIN as f64), true),
            (json!({"int": "0x8000000000000000"}), json!(2f64.powi(63)), true),
            (json!({"int": "0x8000000000000001"}), json!(2f64.powi(63)), false),
            // hex(10**22) and hex(10**23): the first is a float, the second lies between two.
            (json!({"int": "0x21e19e0c9bab2400000"}), json!(1e22), true),
            (json!({"int": "0x152d02c7e14af6800000"}), json!(1e23), false),
            (json!({"int": "-0x21e19e0c9bab2400000"}), json!(-1e22), true),
            (json!(1e22), json!({"float": "inf"}), false),
            (json!({"float": "inf"}), json!({"float": "inf"}), true),
            (json!({"float": "nan"}), json!({"float": "nan"}), false),
            (json!({"float": "nan"}), json!(0), false),
            (json!({"complex": [2.0, 0.0]}), json!(2), true),
            (json!({"complex": [2.0, 1.0]}), json!(2), false),
            (json!({"complex": [2.0, 1.0]}), json!({"complex": [2.0, 1.0]}), true),
        ] {
            assert_eq!(equal(a.clone(), b.clone()), same, "{a} == {b}");
            assert_eq!(equal(b.clone(), a.clone()), same, "{b} == {a}");
        }
        for no_number in
            [json!("1"), json!([1]), json!({"float": "x"}), json!({"complex": [1.0]}), json!({"int": 3})]
        {
            assert!(Number::of(&no_number).is_none(), "{no_number}");
        }
    }

    #[test]
    fn big_integers_become_floats_while_they_can() {
        let float = |hex: &str| Number::Big(hex.into()).to_complex().map(|it| it.0);
        assert_eq!(float("0x21e19e0c9bab2400000"), Some(1e22));
        assert_eq!(float("-0x10000000000000000"), Some(-2f64.powi(64)));
        assert_eq!(float(&format!("0x1{}", "0".repeat(256))), None);
        assert_eq!(float("0xé"), None);
    }
}
