//! The library's own problem set stays within what monty judges.

mod common;

use common::verifier;
use pspo::data::{Seed, TestCase};
use pspo::plugin::{CheckedVerifier, Submission};
use pspo::problems::{Pseudocode, Sizes};

#[test]
fn every_solution_is_judged_and_passes() {
    let sizes = Sizes { sft: 600, rl: 1, held_out: 1 };
    let splits = Pseudocode::default().splits(Seed::root(3), sizes).unwrap();
    let verifier = CheckedVerifier::new(verifier());
    for problem in splits.sft.iter() {
        let solution = problem.solution.as_deref().unwrap();
        for submission in [Submission::rewarded(problem, solution), Submission::held_out(problem, solution)] {
            let verdict = verifier.verify(submission).unwrap_or_else(|error| panic!("{error}:\n{solution}"));
            assert!(verdict.passes(), "{}:\n{solution}", verdict.detail);
        }
    }
    // What passes can also fail.
    let problem = splits.sft.get(0).unwrap();
    assert!(matches!(problem.tests[0], TestCase::Script { .. }));
    assert!(!verifier.verify(Submission::rewarded(problem, "print('?')")).unwrap().passes());
}
