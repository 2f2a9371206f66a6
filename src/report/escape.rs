//! Text of any origin, made harmless in HTML.

use std::fmt;

/// Displays as the text it holds, in an element or in a quoted attribute.
///
/// Control characters, which would vanish, and those that reorder the text around them are made
/// visible: a program that hides something must not hide it in a report.
pub(super) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => write!(f, "{char}")?,
                '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                    write!(f, "⟨U+{:04X}⟩", u32::from(char))?;
                }
                char if char.is_control() => write!(f, "⟨U+{:04X}⟩", u32::from(char))?,
                char => write!(f, "{char}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_leave_its_place() {
        assert_eq!(
            Escaped(r#"</td><b a="x" b='y'>&amp;"#).to_string(),
            "&lt;/td&gt;&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(Escaped("a\u{202e}b\0\u{1b}[0m\tc\n").to_string(), "a⟨U+202E⟩b⟨U+0000⟩⟨U+001B⟩[0m\tc\n");
        assert_eq!(Escaped("größer ≥ 𝛼 日本").to_string(), "größer ≥ 𝛼 日本");
    }
}
