//! The page around tables, charts and responses.

use std::fmt::{self, Write};

use super::escape::Escaped;
use super::{Chart, Report, ReportError, Table, chart, response};

pub(super) fn render(report: &Report) -> Result<String, ReportError> {
    let charts = report.charts.iter().map(|chart| chart::svg(chart, false)).collect::<Result<Vec<_>, _>>()?;
    let mut page = String::new();
    // Writing to a string does not fail.
    let _: fmt::Result = write_page(&mut page, report, &charts);
    Ok(page)
}

fn write_page(out: &mut String, report: &Report, charts: &[Option<String>]) -> fmt::Result {
    let title = Escaped(&report.title);
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n<main>\n<header><h1>{title}</h1>\n\
         <p>Seed {}</p></header>",
        include_str!("style.css"),
        report.seed,
    )?;
    for note in &report.notes {
        writeln!(out, "<p class=\"note\">{}</p>", Escaped(note))?;
    }
    if !report.tables.is_empty() {
        out.push_str("<h2>Results</h2>\n");
        report.tables.iter().try_for_each(|table| write_table(out, table))?;
    }
    if !report.charts.is_empty() {
        out.push_str("<h2>Curves</h2>\n<div class=\"charts\">\n");
        report
            .charts
            .iter()
            .zip(charts)
            .try_for_each(|(chart, svg)| write_chart(out, chart, svg.as_deref()))?;
        out.push_str("</div>\n");
    }
    if !report.responses.is_empty() {
        out.push_str(
            "<h2>Responses</h2>\n<p class=\"scale\"><span>Score of the process reward model</span>\
             <span>−1</span><span class=\"bar\"></span><span>+1</span></p>\n",
        );
        report.responses.iter().try_for_each(|response| response::render(out, response))?;
    }
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

fn write_table(out: &mut String, table: &Table) -> fmt::Result {
    write!(
        out,
        "<div class=\"wide\"><table class=\"results\">\n<caption>{}</caption>\n",
        Escaped(&table.title)
    )?;
    out.push_str("<thead><tr>");
    for column in &table.columns {
        write!(out, "<th scope=\"col\">{}</th>", Escaped(column))?;
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let (open, close) = if at == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            write!(out, "<{open}>{}</{close}>", Escaped(cell))?;
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

fn write_chart(out: &mut String, chart: &Chart, svg: Option<&str>) -> fmt::Result {
    writeln!(out, "<figure>\n<figcaption>{}</figcaption>", Escaped(&chart.title))?;
    match svg {
        // A screen reader gets the title and, from the legend, each curve's name and last value.
        Some(svg) => writeln!(out, "<div aria-hidden=\"true\">{svg}</div>")?,
        None => out.push_str("<p class=\"empty\">no values</p>\n"),
    }
    out.push_str("<ul class=\"legend\">");
    for (number, series) in chart.series.iter().enumerate() {
        let colour = chart::colour(number);
        write!(out, "<li><span class=\"swatch c{colour}\"></span>{}", Escaped(&series.name))?;
        if let Some((_, last)) = series.points.last() {
            write!(out, " <span class=\"last\">{}</span>", rounded(*last))?;
        }
        out.push_str("</li>");
    }
    out.push_str("</ul>\n</figure>\n");
    Ok(())
}

/// A value to three significant digits or so.
fn rounded(value: f64) -> String {
    let text = match value.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => value.to_string(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    text.replace('-', "−")
}
