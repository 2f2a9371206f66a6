//! The steps of what a response wrote of its program.

use crate::answer::Program;
use crate::data::{Step, Steps};
use crate::plugin::{CheckedSplitter, SplitError};

/// The steps of [`program.own()`](Program::own): those of the whole program, so that a line is read where it
/// stands, without what the prompt gave. A step that begins there keeps what the response wrote of it; where that is
/// blank it belongs to the step behind it.
///
/// ```
/// use pspo::answer::Extraction;
/// use pspo::plugin::CheckedSplitter;
/// use pspo::steps::{Lines, own_steps};
///
/// let prompt = "def f():\n    '''Returns\n";
/// let program = Extraction::Whole.program(prompt, "    one.'''\n    return 1\n").unwrap();
/// let steps = own_steps(&CheckedSplitter::new(Lines::python()), &program)?;
/// assert_eq!((steps.len(), steps.text(1)), (2, "    return 1\n"));
/// assert!(steps.is_comment(0)); // the end of a docstring, by what the prompt says
/// # Ok::<(), pspo::plugin::SplitError>(())
/// ```
///
/// # Errors
/// If the splitter fails or breaks its contract.
pub fn own_steps(splitter: &CheckedSplitter, program: &Program) -> Result<Steps, SplitError> {
    let steps = splitter.split(program.text())?;
    let (given, own) = (program.given(), program.own());
    if given == 0 {
        return Ok(steps);
    }
    let mut found: Vec<Step> = Vec::new();
    for step in steps.iter().filter(|step| step.span.end > given) {
        let span = step.span.start.saturating_sub(given)..step.span.end - given;
        if own[span.clone()].trim().is_empty() {
            continue; // the rest of a step of the prompt's
        }
        let start = if found.is_empty() { 0 } else { span.start };
        found.push(Step { span: start..span.end, kind: step.kind });
    }
    Ok(Steps::new(own, found)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Extraction;
    use crate::data::StepKind;
    use crate::steps::Lines;

    fn texts(given: &str, response: &str) -> Vec<(String, StepKind)> {
        let program = Extraction::Whole.program(given, response).unwrap();
        let steps = own_steps(&CheckedSplitter::new(Lines::python()), &program).unwrap();
        assert_eq!(steps.program(), response);
        steps.iter().map(|step| (response[step.span.clone()].to_owned(), step.kind)).collect()
    }

    #[test]
    fn the_prompts_lines_are_no_steps() {
        use StepKind::{Code, Comment};
        for (given, response, expected) in [
            ("", "a\nb", &[("a\n", Code), ("b", Code)][..]),
            ("a\n", "b\n# c", &[("b\n", Code), ("# c", Comment)]),
            ("a\n", "", &[]),
            ("a\n", "\n  \n", &[]),
            // Blank lines behind a line of the prompt's, which they would belong to.
            ("a\n", "\nb\n", &[("\nb\n", Code)]),
            ("a", "\nb\n", &[("\nb\n", Code)]),
            // A line that both wrote.
            ("a = ", "1\nb", &[("1\n", Code), ("b", Code)]),
            ("# a", " b\nc", &[(" b\n", Comment), ("c", Code)]),
            // A string of the prompt's that the response ends.
            ("s = '''\n", "# no comment\n'''", &[("# no comment\n", Code), ("'''", Code)]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&(text, kind)| (text.to_owned(), kind)).collect();
            assert_eq!(texts(given, response), expected, "{given:?} {response:?}");
        }
    }
}
