//! Tests that authors of plugins run on their own: each function panics with what is wrong.
//!
//! ```
//! use pspo::data::{Step, StepKind};
//! use pspo::plugin::{splitter_fn, testkit};
//!
//! // One step for the whole program: a valid splitter, if a coarse one.
//! testkit::splitter(&splitter_fn(|program: &str| {
//!     let blank = program.trim().is_empty();
//!     let step = Step { span: 0..program.len(), kind: StepKind::Code };
//!     Ok(if blank { vec![] } else { vec![step] })
//! }));
//! ```
#![allow(clippy::missing_panics_doc)] // to panic is what these functions are for

use super::labeler::{Answer, Answers, CheckedLabeler, Labeler, Next};
use super::prm::{CheckedPrm, PrmInput, ProcessRewardModel};
use super::splitter::StepSplitter;
use super::value_init::{CheckedValueInit, HEAD, HEAD_WEIGHT, TRUNK, ValueInit, ValueSources, head_layout};
use super::verifier::{CheckedVerifier, Submission, Verifier};
use crate::data::{Labels, Parameters, Problem, Step, StepKind, Steps};

/// Programs that splitters get wrong: blank, without a last line end, CRLF, cut inside a string,
/// Unicode, tabs, comments of every sort.
pub const HARD_PROGRAMS: &[&str] = &[
    "",
    "\n",
    " \t\r\n\n",
    "x",
    "x = 1",
    "x = 1\n",
    "\n\n  x = 1\n\n\ny = 2\n\n",
    "x = 1\r\ny = 2\r\n",
    "x = 1\r# still the same line to a splitter on line feeds",
    "# only a comment",
    "x = 1  # note\n# comment\n    # indented comment\ny = '# not a comment'\n",
    "s = \"\"\"\n# inside a string\n\"\"\"\n",
    "s = '''never closed\n# what is this\n",
    "for i in range(3):\n    print(i)\n\n    print('é🦀')\n",
    "print('a' \\\n      'b')\n",
    "\u{feff}x = 1\n",
    "\u{2028}x\u{85}y\n",
];

/// Checks that a splitter keeps its contract on [`HARD_PROGRAMS`] and on every prefix of them.
pub fn splitter(splitter: &(impl StepSplitter + ?Sized)) {
    for program in HARD_PROGRAMS {
        for end in (0..=program.len()).filter(|&end| program.is_char_boundary(end)) {
            let program = &program[..end];
            let split = || -> Vec<Step> {
                splitter.split(program).unwrap_or_else(|error| panic!("{program:?} was not split: {error}"))
            };
            if let Err(error) = Steps::new(program, split()) {
                panic!("the spans of {program:?} do not tile it: {error}");
            }
            assert_eq!(split(), split(), "two splits of {program:?} differ");
        }
    }
}

/// Checks a verifier on one problem: `right` must pass, each of `wrong` must get a verdict that is not
/// a pass, verdicts repeat, and a submission without tests is an error.
pub fn verifier(verifier: impl Verifier + 'static, problem: &Problem, right: &str, wrong: &[&str]) {
    let verifier = CheckedVerifier::new(verifier);
    let judge = |program: &str| match verifier.verify(Submission::rewarded(problem, program)) {
        Ok(verdict) => verdict,
        Err(error) => panic!("could not judge {program:?}: {error}"),
    };
    let verdict = judge(right);
    assert!(verdict.passes(), "the right program got {verdict:?}");
    for program in wrong {
        let verdict = judge(program);
        assert!(!verdict.passes(), "the wrong program {program:?} passed");
        assert!(!verdict.detail.is_empty(), "the verdict on {program:?} does not say what happened");
        let again = judge(program);
        assert_eq!(verdict.outcome, again.outcome, "two verdicts on {program:?} differ");
    }
    let no_tests = Submission { tests: &[], ..Submission::rewarded(problem, right) };
    assert!(verifier.verify(no_tests).is_err(), "a submission without tests was judged");
}

/// Labels `steps` with a labeler whose questions `recoverable` answers, and returns the labels with
/// the number of questions.
pub fn label_with(
    labeler: &CheckedLabeler,
    steps: &Steps,
    passes: bool,
    mut recoverable: impl FnMut(usize, usize) -> bool,
) -> (Labels, usize) {
    let mut answers = Answers { passes, asked: vec![] };
    loop {
        match labeler.next(steps, &answers).unwrap_or_else(|error| panic!("{error}")) {
            Next::Ask { prefix, completions } => {
                let recoverable = recoverable(prefix, completions);
                answers.asked.push(Answer { prefix, recoverable });
            }
            Next::Labeled(labels) => return (labels, answers.asked.len()),
        }
    }
}

/// A program of `kinds.len()` lines, one per kind, for tests of labelers.
pub fn lines_of(kinds: &[StepKind]) -> Steps {
    let mut program = String::new();
    let mut steps = Vec::new();
    for kind in kinds {
        let start = program.len();
        program.push_str(if *kind == StepKind::Comment { "# c\n" } else { "x()\n" });
        steps.push(Step { span: start..program.len(), kind: *kind });
    }
    Steps::new(program, steps).expect("the spans tile the program by construction")
}

/// Checks that a labeler keeps its contract, on programs of 1 to 12 lines with every place of the
/// first error and with answers that contradict each other.
pub fn labeler(labeler: impl Labeler + 'static) {
    let labeler = CheckedLabeler::new(labeler);
    for lines in 1..=12 {
        for comment in 0..=lines {
            let kinds: Vec<_> =
                (0..lines).map(|l| if l == comment { StepKind::Comment } else { StepKind::Code }).collect();
            let steps = lines_of(&kinds);
            let (_, questions) = label_with(&labeler, &steps, true, |_, _| true);
            assert!(questions < lines.max(2), "{questions} questions about {lines} lines");
            for first_error in 0..lines {
                label_with(&labeler, &steps, false, |prefix, _| prefix <= first_error);
                // Sampling errs: the answers need not be monotone.
                label_with(&labeler, &steps, false, |prefix, _| (prefix ^ first_error) & 1 == 0);
            }
        }
    }
}

/// Checks that a PRM keeps its contract on `responses`: one score in [−1, 1] per step, the same alone
/// as in a batch.
pub fn prm(prm: impl ProcessRewardModel + 'static, responses: &[PrmInput<'_>]) {
    let prm = CheckedPrm::new(prm);
    let together = prm.scores(responses).unwrap_or_else(|error| panic!("{error}"));
    for (row, response) in responses.iter().enumerate() {
        let alone = prm.scores(&[*response]).unwrap_or_else(|error| panic!("{error}"));
        for (a, b) in alone[0].iter().zip(&together[row]) {
            assert!((a - b).abs() < 1e-4, "response {row} scores {a} alone and {b} in a batch");
        }
    }
    let none = prm.scores(&[]).unwrap_or_else(|error| panic!("no response: {error}"));
    assert!(none.is_empty());
}

/// Checks that a value initialization keeps its contract on `sources`.
pub fn value_init(init: impl ValueInit + 'static, sources: ValueSources<'_>) {
    let init = CheckedValueInit::new(init);
    let first = init.init(sources).unwrap_or_else(|error| panic!("{error}"));
    let again = init.init(sources).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first, again, "the same sources gave other parameters");
    let Ok(weight) = first.tensor(HEAD_WEIGHT) else { return };
    let is_on = |trunk: &Parameters, head: Option<Parameters>, whose: &str| {
        let Some(head) = head else { return };
        for (name, _, place) in first.layout().iter() {
            let source = if name.starts_with(TRUNK) { trunk } else { &head };
            let needed = source.tensor(name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                &first.values()[place],
                needed,
                "`{name}` is not that of the head on the {whose}'s trunk"
            );
        }
    };
    let head = init.head_on_policy(weight.len()).unwrap_or_else(|error| panic!("{error}"));
    is_on(sources.policy, head, "policy");
    if let Some(prm) = sources.prm {
        let mut head = Parameters::zeros(head_layout(weight.len()));
        // A PRM of another shape is none that a critic goes on from.
        if head.copy_prefix_from(prm, HEAD).is_ok() {
            let head = init.head_on_prm(&head).unwrap_or_else(|error| panic!("{error}"));
            is_on(prm, head, "PRM");
        }
    }
}
