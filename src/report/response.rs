//! One response, line by line.

use std::fmt::{self, Write};

use super::escape::Escaped;
use super::{AnnotatedLine, AnnotatedResponse};
use crate::data::Label;

/// The strongest tint: at a score of −1 or 1 the text must still be readable on it.
const STRONGEST: f32 = 0.5;

pub(super) fn render(out: &mut String, response: &AnnotatedResponse) -> fmt::Result {
    writeln!(out, "<section class=\"response\">\n<h3>{}</h3>", Escaped(&response.title))?;
    writeln!(out, "<p class=\"head\">Prompt</p>\n<pre class=\"prompt\">{}</pre>", Escaped(&response.prompt))?;
    out.push_str(
        "<p class=\"head\">Response</p>\n<div class=\"wide\"><table class=\"lines\">\n<thead><tr>\
         <th scope=\"col\">line</th><th scope=\"col\">label</th><th scope=\"col\">score</th>\
         <th scope=\"col\" class=\"text\">text</th></tr></thead>\n<tbody>\n",
    );
    for (number, line) in response.lines.iter().enumerate() {
        render_line(out, number, line, response.first_error == Some(number))?;
    }
    out.push_str("</tbody></table></div>\n</section>\n");
    Ok(())
}

fn render_line(out: &mut String, number: usize, line: &AnnotatedLine, first_error: bool) -> fmt::Result {
    let AnnotatedLine { text, score, label } = line;
    let class = if first_error { " class=\"error\"" } else { "" };
    let label = match label {
        Some(Label::Good) => "+1",
        Some(Label::Bad) => "−1",
        Some(Label::Neutral) => "0",
        None => "",
    };
    write!(out, "<tr{class}><td>{}</td><td>{label}</td><td{}>", number + 1, tint(*score, 1.0))?;
    if let Some(score) = score {
        // No sign for what rounds to zero.
        let shown = format!("{score:+.2}");
        let shown = if shown == "-0.00" || shown == "+0.00" { "0.00".to_owned() } else { shown };
        out.push_str(&shown.replace('-', "−"));
    }
    // A line's own end would be drawn as an empty one.
    let text = text.trim_end_matches(['\n', '\r']);
    write!(out, "</td><td class=\"text\"{}><code>{}</code>", tint(*score, 0.4), Escaped(text))?;
    if first_error {
        out.push_str(" <mark>first error</mark>");
    }
    out.push_str("</td></tr>\n");
    Ok(())
}

/// The colour of a score, from orange by way of nothing to blue: see-through, so that it is right on
/// light and on dark ground, and a pair that readers who do not tell red from green tell apart.
fn tint(score: Option<f32>, strength: f32) -> String {
    let Some(score) = score.filter(|score| score.is_finite()) else { return String::new() };
    let alpha = score.abs().min(1.0) * STRONGEST * strength;
    let colour = if score < 0.0 { "230,97,0" } else { "0,119,200" };
    format!(" style=\"background:rgba({colour},{alpha:.3})\"")
}
