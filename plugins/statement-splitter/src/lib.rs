#![doc = include_str!("../README.md")]

use pspo::data::{Step, StepKind};
use pspo::plugin::{SplitError, SplitterConfig, StepSplitter};
use pspo::steps::python::{LineKind, scan};
use serde::{Deserialize, Serialize};

pspo::card! {
    kind: StepSplitter,
    name: "statements",
    summary: "A step is a logical statement of Python, however many lines it takes; comments are neutral.",
    example: r#"type = "statements""#,
}

/// Splits Python where a statement ends with its line.
///
/// Several statements on one line, and a header with its body on the same line, are one step. Blank
/// lines join the step before them. A bracket or string that is never closed takes the rest of the
/// program into its step, as it does for Python.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statements;

impl StepSplitter for Statements {
    fn split(&self, program: &str) -> Result<Vec<Step>, SplitError> {
        let mut steps: Vec<Step> = Vec::new();
        let mut begun = false; // whether the last step goes on
        for line in scan(program) {
            let code = line.kind == LineKind::Code;
            match steps.last_mut() {
                Some(step) if begun || line.kind == LineKind::Blank => {
                    step.span.end = line.span.end;
                    if code {
                        step.kind = StepKind::Code;
                    }
                }
                _ if line.kind == LineKind::Blank => {}
                last => {
                    let start = if last.is_some() { line.span.start } else { 0 };
                    let kind = if code { StepKind::Code } else { StepKind::Comment };
                    steps.push(Step { span: start..line.span.end, kind });
                }
            }
            begun = line.continues;
        }
        Ok(steps)
    }
}

#[typetag::serde(name = "statements")]
impl SplitterConfig for Statements {
    fn build(&self) -> Result<Box<dyn StepSplitter>, SplitError> {
        Ok(Box::new(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StepKind::{Code, Comment};
    use pspo::plugin::{Kind, build, testkit};

    #[track_caller]
    fn check(expected: &[(&str, StepKind)]) {
        let program: String = expected.iter().map(|(text, _)| *text).collect();
        let steps = Statements.split(&program).unwrap();
        let steps: Vec<_> = steps.iter().map(|step| (&program[step.span.clone()], step.kind)).collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn the_contract_holds() {
        testkit::splitter(&Statements);
    }

    #[test]
    fn a_statement_goes_on() {
        check(&[("x = f(\n  # inside\n\n  1,\n)\n", Code), ("y = 2\n", Code)]);
        check(&[("x = 1 + \\\n  2\n", Code), ("y", Code)]);
        check(&[("s = '''\n# a\n\n'''\n\n", Code), ("y = [\r\n]\r\n", Code), ("z", Code)]);
        check(&[("f(\n", Code)]);
        check(&[("x = (1\ny = 2\n", Code)]);
    }

    #[test]
    fn comments_stand_alone_between_statements() {
        check(&[("\n# a\n\n", Comment), ("# b\n", Comment), ("x  # c\n", Code), ("  # d", Comment)]);
        check(&[("def f(a,\n      b):\n", Code), ("  '''a\n  b'''\n\n", Comment), ("  return a\n", Code)]);
    }

    #[test]
    fn a_statement_that_begins_with_a_comment_line_is_code() {
        // Behind a joined line end the comment is a line of the statement, and the code comes later.
        check(&[("\\\n# a\n", Code), ("x", Code)]);
        check(&[("'''a\n'''; x = 1\n", Code), ("y", Code)]);
    }

    #[test]
    fn a_config_names_it() {
        let table = serde_json::json!({"type": "statements"});
        let config: Box<dyn SplitterConfig> = build(Kind::StepSplitter, table).unwrap();
        assert_eq!(config.build().unwrap().split("f(\n)").unwrap().len(), 1);
        let table = serde_json::json!({"type": "statements", "lines": 3});
        let Err(error) = build::<Box<dyn SplitterConfig>>(Kind::StepSplitter, table) else { panic!() };
        assert!(error.to_string().contains("`statements`"), "{error}");
    }
}
