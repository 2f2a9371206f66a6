//! [`Matching`]'s rules applied to printed text and to values.

use serde_json::{Number, Value};

use super::compare::{same_output, same_value};
use crate::data::Matching;
use crate::plugin::VerifyError;

/// Whether `printed` is what was `expected`, by `rule`.
///
/// - `exact`: [`same_output`].
/// - `words`: the same words between white space.
/// - `decimal_lines`: with white space at the ends of both texts and of each line put aside, as many lines, of
///   which each is the same, or the same sequence of decimal numbers (`1.0` is `1`).
/// - `loose_words`: as many words, of which each is the same up to the case of ASCII letters, or a finite number less
///   than 10⁻⁵ away. Whole numbers written in digits alone are the same or not.
/// - `numbers`: as many words, of which each is the same, or a finite number within the tolerance. Infinity is
///   itself alone, NaN is nothing.
///
/// ```
/// use pspo::data::Matching;
/// use pspo::verify::matches_output;
///
/// let numbers = Matching::Numbers { absolute: 0.0, relative: 1e-6 };
/// assert!(matches_output(&numbers, "x 1000000.0\n", "x 1000000.5")?);
/// assert!(!matches_output(&numbers, "x 1.0\n", "x nan")?);
/// assert!(matches_output(&Matching::DecimalLines, "1 2.50\nYES", " 1.0  2.5\nYES \n\n")?);
/// # Ok::<(), pspo::plugin::VerifyError>(())
/// ```
///
/// # Errors
/// [`VerifyError::Unsupported`] for [`Matching::Checker`], whose program is to be run.
pub fn matches_output(rule: &Matching, expected: &str, printed: &str) -> Result<bool, VerifyError> {
    let words = |same: &dyn Fn(&str, &str) -> bool| {
        let (mut expected, mut printed) = (expected.split_whitespace(), printed.split_whitespace());
        loop {
            match (expected.next(), printed.next()) {
                (None, None) => return true,
                (Some(expected), Some(printed)) if same(expected, printed) => {}
                _ => return false,
            }
        }
    };
    Ok(match rule {
        Matching::Exact => same_output(expected, printed),
        Matching::Words => words(&|expected, printed| expected == printed),
        Matching::DecimalLines => {
            let lines = |text: &'_ str| {
                text.trim().split('\n').map(|line| line.trim().to_owned()).collect::<Vec<_>>()
            };
            let (expected, printed) = (lines(expected), lines(printed));
            expected.len() == printed.len()
                && expected.iter().zip(&printed).all(|(expected, printed)| {
                    expected == printed || decimals(expected).is_some_and(|e| decimals(printed) == Some(e))
                })
        }
        Matching::LooseWords => words(&|expected, printed| {
            expected.eq_ignore_ascii_case(printed)
                || !(is_whole(expected) && is_whole(printed))
                    && are_numbers(expected, printed, |e, p| (e - p).abs() < 1e-5)
        }),
        Matching::Numbers { absolute, relative } => words(&|expected, printed| {
            expected == printed || are_numbers(expected, printed, |e, p| near(e, p, *absolute, *relative))
        }),
        Matching::Checker { .. } => return Err(no_checker()),
    })
}

/// Whether `got` is the value that was `expected`, by `rule`.
///
/// By `exact`, `words` and `loose_words`, [`same_value`]. By `decimal_lines`, numbers are equal as numbers, and `true`
/// and `false` are 1 and 0, as in Python. By `numbers`, numbers are within the tolerance. Whether a tuple counts as a
/// list is for who reads the program's value: [`Matching::tuples_are_lists`].
///
/// # Errors
/// [`VerifyError::Unsupported`] for [`Matching::Checker`], whose program is to be run.
pub fn matches_value(rule: &Matching, expected: &Value, got: &Value) -> Result<bool, VerifyError> {
    Ok(match rule {
        Matching::Exact | Matching::Words | Matching::LooseWords => same_value(expected, got),
        Matching::DecimalLines => same_shape(expected, got, &|expected, got| {
            let exact = |value: &Value| match value {
                Value::Bool(truth) => Some(Number::from(u8::from(*truth))),
                Value::Number(number) => Some(number.clone()),
                _ => None,
            };
            match (exact(expected), exact(got)) {
                (Some(expected), Some(got)) => equal(&expected, &got),
                _ => expected == got,
            }
        }),
        Matching::Numbers { absolute, relative } => {
            same_shape(expected, got, &|expected, got| match (expected, got) {
                (Value::Number(e), Value::Number(g)) => {
                    equal(e, g)
                        || matches!((e.as_f64(), g.as_f64()), (Some(e), Some(g)) if near(e, g, *absolute, *relative))
                }
                _ => expected == got,
            })
        }
        Matching::Checker { .. } => return Err(no_checker()),
    })
}

/// Whether two words are numbers, and as near as `near` says.
fn are_numbers(expected: &str, printed: &str, near: impl Fn(f64, f64) -> bool) -> bool {
    matches!((expected.parse(), printed.parse()), (Ok(expected), Ok(printed)) if near(expected, printed))
}

/// Whether a word is an integer without a leading zero: two such words are the same number only if they are the same.
fn is_whole(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let leading = digits.starts_with('0') && digits.len() > 1 || word == "-0";
    !digits.is_empty() && !leading && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn no_checker() -> VerifyError {
    VerifyError::Unsupported("a problem with a checker, which this verifier cannot run".into())
}

/// Whether a number is within the tolerance of a finite one.
fn near(expected: f64, got: f64, absolute: f64, relative: f64) -> bool {
    let finite = expected.is_finite() && got.is_finite();
    finite && (expected - got).abs() <= absolute.max(relative * expected.abs())
}

/// Equality of the numbers' values, exact also between integers and floats.
fn equal(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.as_f64() == b.as_f64(),
        (Some(int), None) => is_float(int, b),
        (None, Some(int)) => is_float(int, a),
    }
}

fn is_float(int: i128, float: &Number) -> bool {
    // Integers here fit 65 bits; a float that is whole and of that size is one of them exactly.
    float.as_f64().is_some_and(|float| float.fract() == 0.0 && float.abs() < 1e30 && float as i128 == int)
}

/// Whether two values have the same arrays and keys, and leaves that are the same by `same`.
fn same_shape(expected: &Value, got: &Value, same: &dyn Fn(&Value, &Value) -> bool) -> bool {
    match (expected, got) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b, same))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_shape(a, b, same)))
        }
        _ => same(expected, got),
    }
}

/// The decimal numbers of a line, normalized: sign, digits without zeros at their ends, exponent. `None` if a
/// word is no number.
fn decimals(line: &str) -> Option<Vec<(bool, String, i64)>> {
    line.split_whitespace().map(decimal).collect()
}

fn decimal(word: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok().filter(|e: &i64| e.abs() < 1 << 40)?),
        None => (word, 0),
    };
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let stripped = digits.trim_start_matches('0').trim_end_matches('0');
    if stripped.is_empty() {
        return Some((false, String::new(), 0));
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let exponent = exponent - i64::try_from(fraction.len()).ok()? + i64::try_from(zeros).ok()?;
    Some((negative, stripped.to_owned(), exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn printed_text_by_rule() {
        let numbers = Matching::Numbers { absolute: 1e-6, relative: 1e-3 };
        for (rule, expected, printed, same) in [
            (&Matching::Words, "a b\nc", " a  b c\n", true),
            (&Matching::Words, "a b", "ab", false),
            (&Matching::Words, "1.0", "1", false),
            (&Matching::DecimalLines, "1\n2", "1 \n2\n\n", true),
            (&Matching::DecimalLines, "1\n2", "1 2", false),
            (&Matching::DecimalLines, "1.50 -0 100", "1.5 0.0 1e2", true),
            (&Matching::DecimalLines, "0.1", "0.1000000000000000055", false),
            (&Matching::DecimalLines, "nan", "nan", true),
            (&Matching::DecimalLines, "1", "nan", false),
            (&Matching::DecimalLines, "1e99999999999999999999", "1", false),
            (&Matching::LooseWords, "Yes\n0.5 07", "YES 0.500009 7", true),
            (&Matching::LooseWords, "2 9007199254740992", "2.0 9007199254740992", true),
            (&Matching::LooseWords, "0.5", "0.50002", false),
            (&Matching::LooseWords, "9007199254740992", "9007199254740993", false),
            (&Matching::LooseWords, "1", "nan", false),
            (&Matching::LooseWords, "inf", "1e308", false),
            (&numbers, "1000 x", "1000.9 x", true),
            (&numbers, "1000 x", "1001.1 x", false),
            (&numbers, "0", "0.0000009", true),
            (&numbers, "0", "nan", false),
            (&numbers, "1", "inf", false),
            (&numbers, "inf", "1e308", false),
            (&numbers, "inf", "inf", true),
            (&numbers, "1 2", "1", false),
            (&numbers, "", "0", false),
        ] {
            assert_eq!(
                matches_output(rule, expected, printed).unwrap(),
                same,
                "{rule:?} {expected:?} {printed:?}"
            );
        }
        let checker = Matching::Checker { code: String::new() };
        assert!(
            matches_output(&checker, "", "").is_err()
                && matches_value(&checker, &json!(0), &json!(0)).is_err()
        );
    }

    #[test]
    fn values_by_rule() {
        let numbers = Matching::Numbers { absolute: 1e-6, relative: 0.0 };
        for (rule, expected, got, same) in [
            (&Matching::Exact, json!(1), json!(1.0), false),
            (&Matching::DecimalLines, json!([1, {"a": 2.0}]), json!([1.0, {"a": 2}]), true),
            (&Matching::DecimalLines, json!(true), json!(1), true),
            (&Matching::DecimalLines, json!("1"), json!(1), false),
            (&Matching::DecimalLines, json!(u64::MAX), json!(u64::MAX as f64), false),
            (&Matching::DecimalLines, json!(0), json!(null), false),
            (&numbers, json!([0.5]), json!([0.500_000_1]), true),
            (&numbers, json!([0.5]), json!([0.500_01]), false),
            (&numbers, json!(true), json!(1), false),
            (&numbers, json!([1]), json!([1, 2]), false),
        ] {
            assert_eq!(matches_value(rule, &expected, &got).unwrap(), same, "{rule:?} {expected} {got}");
        }
    }
}
