use std::sync::atomic::AtomicUsize;

use serde_json::json;

use super::*;
use crate::data::Problem;
use crate::plugin::{Outcome, verifier_fn};

fn problem(id: &str, stdout: &str) -> Problem {
    let tests = json!([{"kind": "script", "variables": {}, "stdout": stdout}]);
    serde_json::from_value(json!({"id": id, "prompt": "?", "tests": tests, "held_out_tests": [
        {"kind": "script", "variables": {}, "stdout": "held out"}
    ]}))
    .unwrap()
}

/// Passes the program that is the expected output; fails on `error`, panics on `panic`.
fn echo(calls: Arc<AtomicUsize>) -> CheckedVerifier {
    CheckedVerifier::new(verifier_fn(move |submission: Submission<'_>| {
        calls.fetch_add(1, Ordering::Relaxed);
        let crate::data::TestCase::Script { stdout, .. } = &submission.tests[0] else { unreachable!() };
        match submission.program {
            "error" => Err(VerifyError::Failed("no sandbox".into())),
            "panic" => panic!("on {}", submission.program),
            program => {
                let passes = program == stdout;
                Ok(Verdict {
                    outcome: if passes { Outcome::Pass } else { Outcome::Wrong },
                    passed: usize::from(passes),
                    total: 1,
                    detail: "other output".into(),
                    seconds: 0.5,
                })
            }
        }
    }))
}

fn pool(window: usize, share: f32) -> (VerifierPool, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let limit =
        ErrorLimit { window: NonZeroUsize::new(window).unwrap(), share: Fraction::try_new(share).unwrap() };
    (VerifierPool::new(echo(Arc::clone(&calls)), limit), calls)
}

#[test]
fn answers_come_in_order_and_each_program_is_judged_once() {
    let (pool, calls) = pool(10, 1.0);
    let problem = problem("a", "7");
    let programs: Vec<_> = (0..3000).map(|n| (n % 100).to_string()).collect();
    let submissions: Vec<_> =
        programs.iter().map(|program| Submission::rewarded(&problem, program)).collect();
    let answers = pool.verify_all(&submissions).unwrap();
    for (program, answer) in programs.iter().zip(&answers) {
        assert_eq!(answer.as_ref().unwrap().passes(), program == "7", "{program}");
    }
    assert_eq!((calls.load(Ordering::Relaxed), pool.judged(), pool.memo_hits()), (100, 100, 2900));

    let (forgetful, _) = self::pool(10, 1.0);
    let forgetful = forgetful.with_memo_bytes(0);
    for (with, without) in answers.iter().zip(forgetful.verify_all(&submissions).unwrap()) {
        assert_eq!(**with.as_ref().unwrap(), *without.unwrap());
    }
    assert!(forgetful.judged() > 100);
}

#[test]
fn the_memo_knows_problems_and_tests_apart() {
    let (pool, calls) = pool(10, 1.0);
    let (a, b, other_a) = (problem("a", "7"), problem("b", "7"), problem("a", "8"));
    let submissions = [
        Submission::rewarded(&a, "7"),
        Submission::held_out(&a, "7"),
        Submission::rewarded(&b, "7"),
        Submission::rewarded(&other_a, "7"),
    ];
    let passes = |pool: &VerifierPool| -> Vec<_> {
        pool.verify_all(&submissions).unwrap().iter().map(|v| v.as_ref().unwrap().passes()).collect()
    };
    assert_eq!(passes(&pool), [true, false, true, false]);
    assert_eq!(passes(&pool), [true, false, true, false]);
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[test]
fn a_panic_and_an_error_mask_one_submission_and_are_not_remembered() {
    let (pool, _) = pool(10, 1.0);
    let problem = problem("a", "7");
    for round in 1..=2 {
        let submissions = ["7", "panic", "error", "8"].map(|p| Submission::rewarded(&problem, p));
        let answers = pool.verify_all(&submissions).unwrap();
        assert!(answers[0].as_ref().unwrap().passes());
        let panic = answers[1].as_ref().unwrap_err();
        assert_eq!(panic.to_string(), "the verifier failed: it panicked: on panic");
        assert!(matches!(**answers[2].as_ref().unwrap_err(), VerifyError::Failed(_)));
        assert!(!answers[3].as_ref().unwrap().passes());
        assert_eq!(pool.errors(), 2 * round);
    }
}

#[test]
fn an_empty_batch_is_no_error() {
    assert!(pool(1, 0.0).0.verify_all(&[]).unwrap().is_empty());
}

#[test]
fn the_run_stops_when_errors_pass_the_limit() {
    let problem = problem("a", "7");
    let ask = |pool: &VerifierPool, program: &str| {
        // Different blanks, so that no program is asked about twice in a batch.
        pool.verify_all(&[Submission::rewarded(&problem, program)]).map(|_| ())
    };
    let (pool, _) = pool(4, 0.5);
    for program in ["error", "1", "error", "2", "3", "4", "error", "error"] {
        ask(&pool, program).unwrap();
    }
    let error = ask(&pool, "error").unwrap_err();
    assert_eq!((error.errors, error.window), (3, 4));
    assert_eq!(
        error.to_string(),
        "3 of the last 4 programs could not be judged, where at most a share of 0.5 may fail; the last \
         failure: the verifier failed: no sandbox"
    );
    assert!(ask(&self::pool(10, 0.0).0, "error").is_err());
}

#[test]
fn the_rest_of_a_batch_is_not_judged_after_the_limit() {
    let (pool, calls) = pool(100, 0.1);
    let problems: Vec<_> = (0..5000).map(|n| problem(&n.to_string(), "7")).collect();
    let submissions: Vec<_> = problems.iter().map(|p| Submission::rewarded(p, "error")).collect();
    let error = pool.verify_all(&submissions).unwrap_err();
    assert_eq!(error.errors, 11, "the first to pass the limit is reported");
    assert!(calls.load(Ordering::Relaxed) <= CHUNK);
}
