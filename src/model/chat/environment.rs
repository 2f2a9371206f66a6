//! The environment that `transformers` renders templates in: what it sets, what it adds and what it replaces.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::Date;
use super::error::Refusal;

pub(super) fn environment(fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters differ from each other"));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(fuel));
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        let failed = Error::new(ErrorKind::InvalidOperation, "raise_exception");
        Err(failed.with_source(Refusal(message)))
    });
    environment.add_filter("tojson", tojson);
    environment
}

/// Defines `strftime_now`.
pub(super) fn set_date(environment: &mut Environment<'static>, date: Date) {
    environment.add_function("strftime_now", move |format: String| date.format(&format));
}

/// `json.dumps`, whose way of writing models know from their training: a blank behind commas and colons, and no
/// escapes for HTML.
fn tojson(state: &State, value: Value, options: Kwargs) -> Result<String, Error> {
    let indent = match options.get::<Option<Value>>("indent")? {
        Some(indent) if !indent.is_none() => Some(usize::try_from(indent)?.min(16)),
        _ => None,
    };
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    if ascii || options.get::<Option<bool>>("sort_keys")?.unwrap_or(false) {
        let message = "tojson does not know ensure_ascii=true and sort_keys=true";
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    options.assert_all_used()?;
    let mut json = Vec::new();
    let written = match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut json, Spaced)),
        Some(width) => {
            let indent = " ".repeat(width);
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut json, formatter))
        }
    };
    let failed = |error: &dyn std::fmt::Display| Error::new(ErrorKind::InvalidOperation, error.to_string());
    written.map_err(|error| failed(&error))?;
    state.consume_fuel(json.len() as u64 / 64)?;
    String::from_utf8(json).map_err(|error| failed(&error))
}

/// JSON in one line as Python writes it.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.begin_array_value(writer, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

impl Date {
    /// The day at 0:00 in Python's `strftime` format.
    fn format(self, format: &str) -> Result<String, Error> {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        const DAYS: [&str; 7] =
            ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
        let Self { year, month, day } = self;
        let (name, weekday) = (MONTHS[usize::from(month) - 1], DAYS[self.weekday()]);
        let mut text = String::new();
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                text.push(char);
                continue;
            }
            let mut directive = chars.next();
            let padded = directive != Some('-');
            if !padded {
                directive = chars.next();
            }
            let number = |n: u8| if padded { format!("{n:02}") } else { n.to_string() };
            match directive {
                Some('Y') => text += &year.to_string(),
                Some('y') => text += &number((year % 100) as u8),
                Some('m') => text += &number(month),
                Some('d') => text += &number(day),
                Some('B') => text += name,
                Some('b') => text += &name[..3],
                Some('A') => text += weekday,
                Some('a') => text += &weekday[..3],
                Some('H' | 'M' | 'S') => text += &number(0),
                Some('F') => text += &format!("{year}-{month:02}-{day:02}"),
                Some('%') => text.push('%'),
                other => {
                    let what = other.map_or("the end".to_owned(), |char| format!("`{char}`"));
                    let message = format!("strftime_now does not know % before {what}");
                    return Err(Error::new(ErrorKind::InvalidOperation, message));
                }
            }
        }
        Ok(text)
    }

    /// 0 for Sunday, by Sakamoto's method.
    fn weekday(self) -> usize {
        const SHIFTS: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = usize::from(self.year) - usize::from(self.month < 3);
        let shift = SHIFTS[usize::from(self.month) - 1];
        (year + year / 4 - year / 100 + year / 400 + shift + usize::from(self.day)) % 7
    }
}

/// A template in which `{% generation %}`, by which trainers find the assistant's tokens, is a block that is always
/// rendered: Jinja's language has no such tag.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        text += before;
        let length = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, behind) = tag.split_at(length);
        let name = tag.trim_start_matches(['{', '%', '-', '+']).trim_end_matches(['}', '%', '-', '+']).trim();
        match name {
            "generation" => text += &tag.replace("generation", "if true"),
            "endgeneration" => text += &tag.replace("endgeneration", "endif"),
            _ => text += tag,
        }
        rest = behind;
    }
    text + rest
}
