//! When an answer is the one expected: the rules for printed text and for values.
//!
//! Every verifier compares by these, so that a program gets the same verdict from each. They look at
//! plain data only: no `__eq__` of the program's is ever asked.

use serde_json::Value;

/// Whether `printed` is what was `expected`: the same lines, where blanks and tabs at the end of a
/// line, a `\r` before its end, and empty lines at the end of the text do not count.
///
/// Blanks before or within a line count, and so do empty lines before the last one with text.
///
/// ```
/// use pspo::verify::same_output;
///
/// assert!(same_output("1 2\n3\n", "1 2 \r\n3"));
/// assert!(!same_output("1 2\n3\n", "1  2\n3\n"));
/// assert!(!same_output("1\n3\n", "1\n\n3\n"));
/// ```
pub fn same_output(expected: &str, printed: &str) -> bool {
    lines(expected).eq(lines(printed))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let blank = [' ', '\t', '\r', '\n'];
    let text = text.trim_end_matches(blank);
    text.split('\n').map(move |line| line.trim_end_matches(blank))
}

/// Whether `got` is the value that was `expected`, of the same type all the way down.
///
/// `true` is not 1 and 1 is not 1.0, as a program that mixes them up is a wrong one. Floats are equal
/// as numbers (0.0 is −0.0); there is no tolerance. The keys of an object have no order.
///
/// ```
/// use pspo::verify::same_value;
/// use serde_json::json;
///
/// assert!(same_value(&json!({"a": [1, 2.5], "b": null}), &json!({"b": null, "a": [1, 2.5]})));
/// assert!(!same_value(&json!([1]), &json!([true])));
/// assert!(!same_value(&json!(1), &json!(1.0)));
/// ```
pub fn same_value(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same_value(value, other)))
        }
        _ => expected == got,
    }
}

/// `text` in quotes and on one line, its middle left out where it is long: for [`Verdict::detail`].
///
/// [`Verdict::detail`]: crate::plugin::Verdict::detail
pub fn excerpt(text: &str) -> String {
    const EACH_END: usize = 40;
    let Some((head, _)) = text.char_indices().nth(EACH_END) else { return format!("{text:?}") };
    let Some((tail, _)) = text.char_indices().nth_back(EACH_END - 1) else { return format!("{text:?}") };
    if head >= tail { format!("{text:?}") } else { format!("{:?}..{:?}", &text[..head], &text[tail..]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_trailing_blanks_and_line_ends_are_forgiven() {
        for (expected, printed, same) in [
            ("", "", true),
            ("", "\n \n", true),
            ("", "0", false),
            ("a\nb\n", "a\nb", true),
            ("a\nb\n", "a \t\nb\n\n\n", true),
            ("a\r\nb\r\n", "a\nb\n", true),
            ("a\nb", "a b", false),
            ("a\nb", "\na\nb", false),
            ("a", " a", false),
            ("a\n\nb", "a\nb", false),
            ("a", "A", false),
            ("a", "a\u{a0}", false),
            ("a", "a\0", false),
            ("\u{1b}[1ma", "a", false),
        ] {
            assert_eq!(same_output(expected, printed), same, "{expected:?} {printed:?}");
            assert_eq!(same_output(printed, expected), same, "{printed:?} {expected:?}");
        }
    }

    #[test]
    fn types_are_never_mixed_up() {
        let values = [
            json!(null),
            json!(false),
            json!(0),
            json!(0.5),
            json!(1),
            json!(1.0),
            json!(true),
            json!(""),
            json!("1"),
            json!([]),
            json!([1]),
            json!([1.0]),
            json!([1, 1]),
            json!({}),
            json!({"1": 1}),
            json!({"1": true}),
            json!(u64::MAX),
            json!(i64::MIN),
        ];
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(same_value(a, b), i == j, "{a} {b}");
            }
        }
        assert!(same_value(&json!(0.0), &json!(-0.0)));
    }

    #[test]
    fn an_excerpt_is_one_short_line_of_whole_characters() {
        assert_eq!(excerpt("a\n"), r#""a\n""#);
        assert_eq!(excerpt(&"é".repeat(80)), format!("{:?}", "é".repeat(80)));
        let long = excerpt(&"é\n".repeat(1000));
        assert!(long.chars().count() < 150 && !long.contains('\n'), "{long}");
    }
}
