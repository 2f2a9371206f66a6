//! A report of a run: one HTML file that needs nothing else.
//!
//! No script, no font, no picture and no style sheet is fetched, and the page forbids its reader's
//! browser to fetch any. Curves are inline SVG, light and dark follow the reader's system, and all
//! text is escaped: prompts and programs come from a model.

mod axis;
mod chart;
mod escape;
mod page;
mod response;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::data::Label;

/// What a report shows, in this order: notes, tables, charts, responses.
///
/// ```
/// use pspo::report::{Chart, Report, Series, Table};
///
/// let report = Report {
///     title: "Quickstart".to_owned(),
///     seed: 7,
///     tables: vec![Table {
///         title: "Pass@1".to_owned(),
///         columns: vec!["policy".to_owned(), "T = 0.2".to_owned()],
///         rows: vec![vec!["SFT".to_owned(), "0.31".to_owned()]],
///     }],
///     charts: vec![Chart {
///         title: "Pass rate".to_owned(),
///         x_label: "step".to_owned(),
///         y_label: "share of responses".to_owned(),
///         series: vec![Series::new("RL", vec![(1.0, 0.3), (2.0, 0.4)])],
///     }],
///     ..Report::default()
/// };
/// let html = report.to_html()?;
/// assert!(html.starts_with("<!doctype html>"));
/// # Ok::<(), pspo::report::ReportError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The page's title.
    pub title: String,
    /// The run's seed.
    pub seed: u64,
    /// Tables.
    pub tables: Vec<Table>,
    /// Curves.
    pub charts: Vec<Chart>,
    /// Responses, drawn line by line.
    pub responses: Vec<AnnotatedResponse>,
    /// Paragraphs about the run.
    pub notes: Vec<String>,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Its caption.
    pub title: String,
    /// The head of each column.
    pub columns: Vec<String>,
    /// Rows of cells; the first cell of each is the row's head.
    pub rows: Vec<Vec<String>>,
}

/// Curves over one axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// Its caption.
    pub title: String,
    /// What the horizontal axis shows.
    pub x_label: String,
    /// What the vertical axis shows, with its unit.
    pub y_label: String,
    /// The curves. Colours repeat after eleven.
    pub series: Vec<Series>,
}

/// One curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its name, for the legend.
    pub name: String,
    /// Points from left to right. At one that is not finite (or beyond ±1e200) the curve has a gap.
    pub points: Vec<(f64, f64)>,
    /// From where to where each point's interval goes, drawn as a line through it; empty where they have none.
    pub spread: Vec<(f64, f64)>,
}

impl Series {
    /// A curve without intervals.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, spread: Vec::new() }
    }
}

/// A response with what the process reward model and the labeler said about its lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnnotatedResponse {
    /// Its caption.
    pub title: String,
    /// What the policy was asked.
    pub prompt: String,
    /// The response.
    pub lines: Vec<AnnotatedLine>,
    /// The line (from 0) where the labeler put the first error.
    pub first_error: Option<usize>,
}

/// One line of a response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnnotatedLine {
    /// Its text.
    pub text: String,
    /// The process reward model's score, from −1 to 1.
    pub score: Option<f32>,
    /// Its label.
    pub label: Option<Label>,
}

/// A report cannot be drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A chart cannot be drawn.
    #[error("cannot draw the chart `{title}`: {message}")]
    Chart {
        /// Its title.
        title: String,
        /// What the drawing library says.
        message: String,
    },
}

impl Report {
    /// The report as one HTML page. The same report gives the same bytes.
    ///
    /// # Errors
    /// [`ReportError::Chart`] if the drawing library fails.
    pub fn to_html(&self) -> Result<String, ReportError> {
        page::render(self)
    }
}
