//! [`Lines`]: a step is a line of the response.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::python::{self, LineKind};
use crate::data::{Step, StepKind};
use crate::plugin::{SplitError, SplitterConfig, StepSplitter};

crate::card! {
    kind: StepSplitter,
    name: "lines",
    summary: "A step is a line; comments and docstrings are neutral. Python, or any language with line comments.",
    example: "type = \"lines\"\nlanguage = \"generic\"\ncomment_markers = [\"//\"]",
}

/// Splits at line feeds. A blank line is no step: it joins the step before it.
///
/// In Python a comment is found by a [scan](python) that knows strings, and docstrings count as
/// comments. In other languages a comment is a line that begins with one of the given markers, blanks
/// aside; block comments and strings of several lines are not known there.
///
/// ```
/// use pspo::data::StepKind::{Code, Comment};
/// use pspo::plugin::StepSplitter;
/// use pspo::steps::Lines;
///
/// let steps = Lines::python().split("# sum\n\nx = 1  # note\ns = '''\n# text\n'''")?;
/// let kinds: Vec<_> = steps.iter().map(|step| step.kind).collect();
/// assert_eq!(kinds, [Comment, Code, Code, Code, Code]);
/// assert_eq!(steps[0].span, 0..7); // with the blank line after it
/// # Ok::<(), pspo::plugin::SplitError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Lines(Syntax);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Syntax {
    #[default]
    Python,
    Generic(Vec<String>),
}

impl Lines {
    /// Lines of Python.
    pub fn python() -> Self {
        Self(Syntax::Python)
    }

    /// Lines of a language whose comments begin with one of `comment_markers` and end with the line.
    /// Without a marker every line is code.
    ///
    /// # Errors
    /// If a marker is blank, for every line begins with that.
    pub fn generic(comment_markers: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, SplitError> {
        let markers: Vec<String> = comment_markers.into_iter().map(Into::into).collect();
        match markers.iter().find(|marker| marker.trim() != marker.as_str() || marker.is_empty()) {
            Some(marker) => Err(SplitError::Config(format!(
                "the comment marker {marker:?} is empty or has blanks around it: it must be what a comment \
                 begins with, such as \"//\""
            ))),
            None => Ok(Self(Syntax::Generic(markers))),
        }
    }
}

impl StepSplitter for Lines {
    fn split(&self, program: &str) -> Result<Vec<Step>, SplitError> {
        let lines = match &self.0 {
            Syntax::Python => python::scan(program).into_iter().map(|line| (line.span, line.kind)).collect(),
            Syntax::Generic(markers) => generic(program, markers),
        };
        let mut steps: Vec<Step> = Vec::new();
        for (span, kind) in lines {
            let kind = match kind {
                LineKind::Code => StepKind::Code,
                LineKind::Comment => StepKind::Comment,
                LineKind::Blank => {
                    if let Some(step) = steps.last_mut() {
                        step.span.end = span.end;
                    }
                    continue;
                }
            };
            // Blank lines before the first step belong to it.
            let start = if steps.is_empty() { 0 } else { span.start };
            steps.push(Step { span: start..span.end, kind });
        }
        Ok(steps)
    }
}

fn generic(program: &str, markers: &[String]) -> Vec<(Range<usize>, LineKind)> {
    let kind = |line: &str| match line.trim() {
        "" => LineKind::Blank,
        line if markers.iter().any(|marker| line.starts_with(marker)) => LineKind::Comment,
        _ => LineKind::Code,
    };
    let mut start = 0;
    let spans = program.split_inclusive('\n').map(|line| {
        let span = start..start + line.len();
        start = span.end;
        (span, kind(line))
    });
    spans.collect()
}

#[typetag::serde(name = "lines")]
impl SplitterConfig for Lines {
    fn build(&self) -> Result<Box<dyn StepSplitter>, SplitError> {
        Ok(Box::new(self.clone()))
    }
}

/// [`Lines`] as a config file has it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    language: Language,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment_markers: Option<Vec<String>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Language {
    #[default]
    Python,
    Generic,
}

impl TryFrom<Fields> for Lines {
    type Error = SplitError;

    fn try_from(fields: Fields) -> Result<Self, SplitError> {
        match (fields.language, fields.comment_markers) {
            (Language::Python, None) => Ok(Self::python()),
            (Language::Python, Some(_)) => Err(SplitError::Config(
                "`comment_markers` are for language = \"generic\": Python's comments begin with `#`".into(),
            )),
            (Language::Generic, markers) => Self::generic(markers.unwrap_or_default()),
        }
    }
}

impl From<Lines> for Fields {
    fn from(Lines(syntax): Lines) -> Self {
        match syntax {
            Syntax::Python => Self { language: Language::Python, comment_markers: None },
            Syntax::Generic(markers) => Self { language: Language::Generic, comment_markers: Some(markers) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Kind, build, testkit};
    use StepKind::{Code, Comment};

    fn steps(splitter: &Lines, program: &str) -> Vec<(String, StepKind)> {
        let steps = splitter.split(program).unwrap();
        steps.into_iter().map(|step| (program[step.span].to_owned(), step.kind)).collect()
    }

    #[test]
    fn the_contract_holds() {
        testkit::splitter(&Lines::python());
        testkit::splitter(&Lines::generic(["#", "//"]).unwrap());
    }

    #[test]
    fn blank_lines_join_the_step_before_them() {
        let program = "\n \nx = 1\r\n\r\n\t\n# note\n\ny = 2";
        let expected = [("\n \nx = 1\r\n\r\n\t\n", Code), ("# note\n\n", Comment), ("y = 2", Code)];
        for splitter in [Lines::python(), Lines::generic(["#"]).unwrap()] {
            assert_eq!(steps(&splitter, program), expected.map(|(text, kind)| (text.to_owned(), kind)));
        }
    }

    #[test]
    fn a_generic_comment_begins_with_a_marker() {
        let splitter = Lines::generic(["//", "--"]).unwrap();
        let kinds = steps(&splitter, "  // a\nx // b\n-- c\n- d\n/* e */\n# f\n");
        let kinds: Vec<_> = kinds.into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, [Comment, Code, Comment, Code, Code, Code]);
        assert!(steps(&Lines::generic([""; 0]).unwrap(), "# x").iter().all(|(_, kind)| *kind == Code));
    }

    #[test]
    fn configs_are_read_and_checked() {
        let read = |table: serde_json::Value| {
            build::<Box<dyn SplitterConfig>>(Kind::StepSplitter, table).map(|config| config.build().unwrap())
        };
        assert_eq!(
            read(serde_json::json!({"type": "lines"})).unwrap().split("# x").unwrap()[0].kind,
            Comment
        );
        let generic = serde_json::json!({"type": "lines", "language": "generic", "comment_markers": ["//"]});
        assert_eq!(read(generic.clone()).unwrap().split("// x").unwrap()[0].kind, Comment);
        assert_eq!(read(generic.clone()).unwrap().split("# x").unwrap()[0].kind, Code);
        let config: Box<dyn SplitterConfig> = serde_json::from_value(generic.clone()).unwrap();
        assert_eq!(serde_json::to_value(&config).unwrap(), generic);

        for (table, message) in [
            (serde_json::json!({"type": "lines", "comment_markers": ["#"]}), "language = \"generic\""),
            (
                serde_json::json!({"type": "lines", "language": "generic", "comment_markers": [" "]}),
                "the comment marker \" \" is empty or has blanks",
            ),
            (serde_json::json!({"type": "lines", "languag": "python"}), "unknown field `languag`"),
            (serde_json::json!({"type": "lines", "language": "lua"}), "unknown variant `lua`"),
        ] {
            let Err(error) = read(table) else { panic!("a wrong config was read: {message}") };
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
