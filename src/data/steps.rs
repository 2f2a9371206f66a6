//! Steps: the lines of a response, each to be judged by itself.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a step is, for the label it may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepKind {
    /// Code, with or without a comment behind it.
    Code,
    /// Nothing but a comment: its label is neutral, whatever else holds.
    Comment,
}

/// One step of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Bytes of the program, the line's end and blank lines after it included.
    pub span: Range<usize>,
    /// Code or comment.
    pub kind: StepKind,
}

/// A program and its steps, whose spans tile it: nothing is dropped and nothing counted twice.
///
/// ```
/// use pspo::data::{Step, StepKind, Steps};
///
/// let steps = Steps::new(
///     "a = 1\n\n# done\n",
///     vec![
///         Step { span: 0..7, kind: StepKind::Code },
///         Step { span: 7..14, kind: StepKind::Comment },
///     ],
/// )?;
/// assert_eq!(steps.text(0), "a = 1\n\n");
/// assert_eq!(steps.line_end(0), 6); // just past the line's own end, before the blank line
/// assert_eq!(steps.code_lines(), 1);
/// # Ok::<(), pspo::data::StepError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Steps {
    program: Arc<str>,
    steps: Vec<Step>,
}

/// [`Steps`] as they are read, before they are checked.
#[derive(Deserialize)]
struct Fields {
    program: Arc<str>,
    steps: Vec<Step>,
}

impl TryFrom<Fields> for Steps {
    type Error = StepError;

    fn try_from(Fields { program, steps }: Fields) -> Result<Self, StepError> {
        Self::new(program, steps)
    }
}

/// A splitter's spans do not tile the program.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepError {
    /// Bytes between two steps, or before the first or after the last, belong to no step.
    #[error("the splitter dropped bytes {0:?} of the program: spans must tile it")]
    Dropped(Range<usize>),
    /// A step begins before the one before it ends.
    #[error("step {step} begins at byte {begins}, before byte {expected} where the step before it ends")]
    Overlap {
        /// The step's number, from 0.
        step: usize,
        /// Where it begins.
        begins: usize,
        /// Where it should begin.
        expected: usize,
    },
    /// A step without text, or of blank text alone.
    #[error("step {0} is blank: a blank line is no step and belongs to the step before it")]
    Blank(usize),
    /// A span that ends beyond the program or inside a character.
    #[error("step {step} ends at byte {end}, which is not a character boundary of the {len}-byte program")]
    Boundary {
        /// The step's number, from 0.
        step: usize,
        /// Where it ends.
        end: usize,
        /// The program's length in bytes.
        len: usize,
    },
}

impl Steps {
    /// Steps of `program`, checked to tile it. A blank program has no steps.
    ///
    /// # Errors
    /// Names the first span that breaks the tiling.
    pub fn new(program: impl Into<Arc<str>>, steps: Vec<Step>) -> Result<Self, StepError> {
        let program = program.into();
        if steps.is_empty() && program.trim().is_empty() {
            return Ok(Self { program, steps });
        }
        let mut expected = 0;
        for (number, Step { span, .. }) in steps.iter().enumerate() {
            if span.start < expected {
                return Err(StepError::Overlap { step: number, begins: span.start, expected });
            }
            if span.start > expected {
                return Err(StepError::Dropped(expected..span.start));
            }
            if !program.is_char_boundary(span.end) || span.end < span.start {
                let (end, len) = (span.end, program.len());
                return Err(StepError::Boundary { step: number, end, len });
            }
            if program[span.clone()].trim().is_empty() {
                return Err(StepError::Blank(number));
            }
            expected = span.end;
        }
        if expected < program.len() {
            return Err(StepError::Dropped(expected..program.len()));
        }
        Ok(Self { program, steps })
    }

    /// The number of steps, M in the method.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether the program is blank.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The program.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The steps in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Step> {
        self.steps.iter()
    }

    /// The text of step `step` (from 0), blank lines around it included.
    ///
    /// # Panics
    /// If `step` is not below [`Steps::len`].
    pub fn text(&self, step: usize) -> &str {
        &self.program[self.steps[step].span.clone()]
    }

    /// The byte just past the line end of step `step`: past its first `\n` behind the last byte that
    /// is not blank, or the program's end where there is none.
    ///
    /// # Panics
    /// If `step` is not below [`Steps::len`].
    pub fn line_end(&self, step: usize) -> usize {
        let span = &self.steps[step].span;
        let text = &self.program[span.clone()];
        let content = text.trim_end().len();
        let newline = text[content..].find('\n').map_or(text.len(), |at| content + at + 1);
        span.start + newline
    }

    /// The first `steps` steps of the program: y≤m in the method.
    ///
    /// # Panics
    /// If `steps` is above [`Steps::len`].
    pub fn prefix(&self, steps: usize) -> &str {
        let end = if steps == 0 { 0 } else { self.steps[steps - 1].span.end };
        &self.program[..end]
    }

    /// Whether step `step` (from 0) is a comment.
    ///
    /// # Panics
    /// If `step` is not below [`Steps::len`].
    pub fn is_comment(&self, step: usize) -> bool {
        self.steps[step].kind == StepKind::Comment
    }

    /// How many steps are code.
    pub fn code_lines(&self) -> usize {
        self.steps.iter().filter(|step| step.kind == StepKind::Code).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(span: Range<usize>) -> Step {
        Step { span, kind: StepKind::Code }
    }

    #[test]
    fn spans_must_tile() {
        let program = "a\nb\n";
        assert_eq!(Steps::new(program, vec![code(0..2)]), Err(StepError::Dropped(2..4)));
        assert_eq!(Steps::new(program, vec![code(1..4)]), Err(StepError::Dropped(0..1)));
        assert_eq!(
            Steps::new(program, vec![code(0..3), code(2..4)]),
            Err(StepError::Overlap { step: 1, begins: 2, expected: 3 })
        );
        assert_eq!(Steps::new("a\n\n", vec![code(0..2), code(2..3)]), Err(StepError::Blank(1)));
        assert_eq!(
            Steps::new("é\n", vec![code(0..1), code(1..3)]),
            Err(StepError::Boundary { step: 0, end: 1, len: 3 })
        );
        assert!(Steps::new(program, vec![]).is_err());
        assert!(Steps::new(" \n", vec![]).unwrap().is_empty());
    }

    #[test]
    fn the_line_end_is_before_blank_lines_and_optional_at_the_end() {
        let steps = Steps::new("\n a \r\n\n\nb", vec![code(0..8), code(8..9)]).unwrap();
        assert_eq!(steps.line_end(0), 6);
        assert_eq!(steps.line_end(1), 9);
        assert_eq!(steps.prefix(1), "\n a \r\n\n\n");
        assert_eq!(steps.prefix(0), "");
    }

    #[test]
    fn what_is_read_is_checked() {
        let steps = Steps::new("a\nb", vec![code(0..2), code(2..3)]).unwrap();
        let written = serde_json::to_string(&steps).unwrap();
        assert_eq!(serde_json::from_str::<Steps>(&written).unwrap(), steps);
        for (good, bad, message) in [
            (r#""end":3"#, r#""end":9"#, "step 1 ends at byte 9"),
            (r#""start":2"#, r#""start":1"#, "step 1 begins at byte 1, before byte 2"),
        ] {
            let error = serde_json::from_str::<Steps>(&written.replace(good, bad)).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
