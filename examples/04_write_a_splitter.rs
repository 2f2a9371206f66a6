//! A splitter of one's own: a step is a paragraph, the lines up to a blank one.
//!
//! Prints a program split into lines and into paragraphs, how many questions the labeler asks about each to
//! find the first error, and what comes of a splitter that loses text.

use pspo::data::{Step, StepKind, Steps};
use pspo::label::BinarySearch;
use pspo::plugin::testkit::{self, label_with};
use pspo::plugin::{
    self, CheckedLabeler, CheckedSplitter, Kind, SplitError, SplitterConfig, StepSplitter, splitter_fn,
};
use pspo::steps::Lines;
use pspo::steps::python::{LineKind, scan};
use serde::{Deserialize, Serialize};

// ANCHOR: splitter
/// Splits Python at blank lines, except those inside a string or in brackets.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paragraphs;

impl StepSplitter for Paragraphs {
    fn split(&self, program: &str) -> Result<Vec<Step>, SplitError> {
        let mut steps: Vec<Step> = Vec::new();
        let mut open = false; // whether the last paragraph goes on
        for line in scan(program) {
            let blank = line.kind == LineKind::Blank;
            let kind = if line.kind == LineKind::Code { StepKind::Code } else { StepKind::Comment };
            match steps.last_mut() {
                Some(step) if open || blank => {
                    step.span.end = line.span.end;
                    if kind == StepKind::Code {
                        step.kind = kind;
                    }
                }
                None if blank => {}
                // Blank lines before the first paragraph belong to it.
                None => steps.push(Step { span: 0..line.span.end, kind }),
                Some(_) => steps.push(Step { span: line.span, kind }),
            }
            open = !blank || line.continues;
        }
        Ok(steps)
    }
}
// ANCHOR_END: splitter

// ANCHOR: config
#[typetag::serde(name = "paragraphs")]
impl SplitterConfig for Paragraphs {
    fn build(&self) -> Result<Box<dyn StepSplitter>, SplitError> {
        Ok(Box::new(*self))
    }
}

pspo::card! {
    kind: StepSplitter,
    name: "paragraphs",
    summary: "A step is a paragraph of Python: the lines up to a blank one.",
    example: r#"type = "paragraphs""#,
}
// ANCHOR_END: config

const PROGRAM: &str = "\
# The squares below the limit.
squares = []
n = 0
while n * n < limit:
    squares.append(n * n)
    n += 1

# Their sum, the odd ones aside.

total = 0
for square in squares:
    if square % 2 == 0:
        total -= square

print(total)
";

/// Prints steps, and what it takes to label them if the program goes wrong at byte `error`.
fn show(name: &str, steps: &Steps, error: usize) {
    println!("{name}: {} steps", steps.len());
    for (step, kind) in steps.iter().map(|step| step.kind).enumerate() {
        for (line, text) in steps.text(step).lines().enumerate() {
            let mark = if line == 0 { format!("{step:>3} {kind:?}") } else { String::new() };
            println!("{mark:<12}| {text}");
        }
    }
    let labeler = CheckedLabeler::new(BinarySearch::best_of(20));
    // What ends before the error can still be completed. In a real run, rollouts tell.
    let (labels, questions) =
        label_with(&labeler, steps, false, |prefix, _| steps.prefix(prefix).len() <= error);
    println!("first error in step {:?}, after {questions} questions\n", labels.first_error());
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // ANCHOR: testkit
    testkit::splitter(&Paragraphs);
    // ANCHOR_END: testkit
    println!("The splitter keeps its contract.\n");

    // ANCHOR: named
    let table = toml::from_str(r#"type = "paragraphs""#)?;
    let config: Box<dyn SplitterConfig> = plugin::build(Kind::StepSplitter, table)?;
    let paragraphs = CheckedSplitter::new(config.build()?);
    // ANCHOR_END: named
    let error = PROGRAM.find("        total -= square").ok_or("the program has an error")?;
    show("Lines", &CheckedSplitter::new(Lines::python()).split(PROGRAM)?, error);
    show("Paragraphs", &paragraphs.split(PROGRAM)?, error);

    // ANCHOR: lossy
    let trimmed = splitter_fn(|program: &str| {
        let end = program.trim_end().len();
        Ok(vec![Step { span: 0..end, kind: StepKind::Code }])
    });
    let Err(error) = CheckedSplitter::new(trimmed).split("x = 1\n") else {
        return Err("a splitter that drops a byte was not caught".into());
    };
    println!("{error}");
    // ANCHOR_END: lossy
    Ok(())
}
