use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::data::numbers::Fraction;
use crate::data::{Problem, Seed};
use crate::plugin::{Outcome, verifier_fn};
use rand::RngExt;

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

fn jobs(jobs: usize) -> NonZeroUsize {
    NonZeroUsize::new(jobs).unwrap()
}

/// A verifier that counts how many verdicts it makes at a time, and waits with each until there are `meet` of
/// them or a second has passed.
fn counting(meet: usize) -> (CheckedVerifier, Arc<AtomicUsize>) {
    let (running, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let verifier = verifier_fn(move |_: Submission<'_>| {
        seen.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let begun = Instant::now();
        while seen.load(Ordering::SeqCst) < meet && begun.elapsed() < Duration::from_secs(1) {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(1));
        running.fetch_sub(1, Ordering::SeqCst);
        Ok(Verdict { outcome: Outcome::Wrong, passed: 0, total: 1, detail: String::new(), seconds: 0.0 })
    });
    (CheckedVerifier::new(verifier), most)
}

#[test]
fn as_many_verdicts_are_made_at_a_time_as_there_are_jobs_whoever_asks() {
    let (verifier, most) = counting(5);
    let pool = VerifierPool::new(verifier, ErrorLimit::default()).with_jobs(jobs(5)).unwrap();
    let problem = problem("a", "7");
    let ask = |from: usize| {
        let programs: Vec<_> = (from..from + 20).map(|n| n.to_string()).collect();
        let submissions: Vec<_> = programs.iter().map(|p| Submission::rewarded(&problem, p)).collect();
        let groups: Vec<_> = submissions.chunks(3).collect();
        pool.verify_all(&submissions[..10]).unwrap();
        pool.verify_until_pass(&groups).unwrap();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| ask(0));
        scope.spawn(|| ask(20));
        // From a thread of rayon's as well.
        scope.spawn(|| rayon::scope(|scope| scope.spawn(|_| ask(40))));
    });
    assert_eq!((most.load(Ordering::SeqCst), pool.judged()), (5, 60));
}

#[test]
fn a_verifier_may_use_rayon_though_all_of_its_threads_wait_for_verdicts() {
    let verifier = CheckedVerifier::new(verifier_fn(|submission: Submission<'_>| {
        use rayon::prelude::*;
        let passes = (0..50).into_par_iter().all(|_| submission.program.len() < 5);
        let (outcome, passed) = if passes { (Outcome::Pass, 1) } else { (Outcome::Wrong, 0) };
        Ok(Verdict { outcome, passed, total: 1, detail: String::new(), seconds: 0.0 })
    }));
    let problem = problem("a", "7");
    let pool = VerifierPool::new(verifier, ErrorLimit::default()).with_jobs(jobs(2)).unwrap();
    let callers = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    callers.scope(|scope| {
        for caller in 0..8 {
            let (pool, problem) = (&pool, &problem);
            scope.spawn(move |_| {
                let programs = [format!("{caller}"), format!("{caller} long")];
                let submissions = programs.each_ref().map(|program| Submission::rewarded(problem, program));
                let answers = pool.verify_all(&submissions).unwrap();
                assert!(answers[0].as_ref().unwrap().passes() && !answers[1].as_ref().unwrap().passes());
            });
        }
    });
    assert_eq!(pool.judged(), 16);
}

/// What a verifier was asked, in order.
fn recording() -> (CheckedVerifier, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (record, inner) = (Arc::clone(&asked), echo(Arc::default()));
    let verifier = verifier_fn(move |submission: Submission<'_>| {
        lock(&record).push(submission.program.to_owned());
        inner.verify(submission)
    });
    (CheckedVerifier::new(verifier), asked)
}

/// Answers in short: `+` for a pass, `-` for a failure, `!` for an error.
fn shown(answers: &[Vec<Judged>]) -> Vec<String> {
    let of = |judged: &Judged| match judged {
        Ok(verdict) if verdict.passes() => '+',
        Ok(_) => '-',
        Err(_) => '!',
    };
    answers.iter().map(|group| group.iter().map(of).collect()).collect()
}

#[test]
fn a_group_is_judged_up_to_its_first_pass_and_the_first_of_each_group_first() {
    let (verifier, asked) = recording();
    let all = ErrorLimit { share: Fraction::new(1.0), ..ErrorLimit::default() };
    let pool = VerifierPool::new(verifier, all).with_jobs(jobs(1)).unwrap();
    let (a, b) = (problem("a", "7"), problem("b", "8"));
    let group = |problem, programs: &[&'static str]| -> Vec<_> {
        programs.iter().map(|program| Submission::rewarded(problem, program)).collect()
    };
    // The fifth group has a program of the first group's that is not needed there, and needs it.
    let groups = [
        group(&a, &["1", "7", "never 1", "error"]),
        group(&b, &["8", "never 2", "panic"]),
        group(&a, &["error", "2", "3"]),
        group(&a, &[]),
        group(&a, &["4", "5", "never 1"]),
    ];
    let groups: Vec<&[Submission<'_>]> = groups.iter().map(Vec::as_slice).collect();
    let answers = pool.verify_until_pass(&groups).unwrap();
    assert_eq!(shown(&answers), ["-+", "+", "!--", "", "---"]);
    assert_eq!(*lock(&asked), ["1", "8", "error", "4", "7", "2", "5", "never 1", "3"]);
    assert_eq!((pool.judged(), pool.memo_hits(), pool.errors()), (9, 0, 1));

    // What is known passes at once, and what comes after it is not asked for.
    lock(&asked).clear();
    assert_eq!(shown(&pool.verify_until_pass(&groups).unwrap()), ["-+", "+", "!--", "", "---"]);
    assert_eq!(*lock(&asked), ["error"]);
    assert!(pool.verify_until_pass(&[]).unwrap().is_empty());
}

#[test]
fn errors_after_a_pass_do_not_count() {
    let problem = problem("a", "7");
    let of = |programs: [&'static str; 4]| programs.map(|program| Submission::rewarded(&problem, program));
    let (pool, calls) = pool(2, 0.0);
    let pool = pool.with_jobs(jobs(4)).unwrap();
    for _ in 0..20 {
        let answers = pool.verify_until_pass(&[&of(["7", "error", "panic", "error"])]).unwrap();
        assert_eq!(shown(&answers), ["+"]);
    }
    assert_eq!(pool.errors(), 0, "of {} that were asked for", calls.load(Ordering::Relaxed));
    let error = pool.verify_until_pass(&[&of(["1", "error", "7", "error"])]).unwrap_err();
    assert_eq!((error.errors, pool.errors()), (1, 1));
}

/// Groups of random lengths over few programs, so that many are asked about twice, in a group and across.
fn random_groups<'a>(
    seed: Seed,
    problems: &'a [Problem],
    programs: &'a [String],
) -> Vec<Vec<Submission<'a>>> {
    let mut rng = seed.rng();
    (0..rng.random_range(0..40))
        .map(|_| {
            let problem = &problems[rng.random_range(0..problems.len())];
            let length = rng.random_range(0..9);
            let program = |_| &programs[rng.random_range(0..programs.len())];
            (0..length).map(program).map(|program| Submission::rewarded(problem, program)).collect()
        })
        .collect()
}

#[test]
fn neither_jobs_nor_timing_change_an_answer_or_an_error() {
    let problems = [problem("a", "7"), problem("b", "8")];
    let programs: Vec<_> = ["7", "8", "error", "panic", "1", "2", "3", "4"].map(str::to_owned).into();
    let run = |how: Option<usize>, share: f32| {
        let inner = echo(Arc::default());
        let slow = verifier_fn(move |submission: Submission<'_>| {
            // Some verdicts take longer, so that later ones come first.
            let long = submission.program.len() == 1 && submission.program.as_bytes()[0] % 2 == 1;
            std::thread::sleep(Duration::from_micros(if long { 300 } else { 0 }));
            inner.verify(submission)
        });
        let limit = ErrorLimit { window: jobs(30), share: Fraction::try_new(share).unwrap() };
        let pool = VerifierPool::new(CheckedVerifier::new(slow), limit).with_memo_bytes(3000);
        let pool = match how {
            Some(count) => pool.with_jobs(jobs(count)).unwrap(),
            None => pool,
        };
        let answer = |round: u64| {
            let groups = random_groups(Seed::root(9).index(round), &problems, &programs);
            let groups: Vec<&[Submission<'_>]> = groups.iter().map(Vec::as_slice).collect();
            match pool.verify_until_pass(&groups) {
                Ok(answers) => {
                    // By definition: each as it is by itself, up to the first pass.
                    for (group, answers) in groups.iter().zip(&answers) {
                        let passes =
                            |s: &Submission<'_>| s.program == if s.problem.id == "a" { "7" } else { "8" };
                        let needed = group.iter().position(passes).map_or(group.len(), |first| first + 1);
                        assert_eq!(answers.len(), needed);
                        for (submission, answer) in group.iter().zip(answers) {
                            let fails = ["error", "panic"].contains(&submission.program);
                            assert_eq!(answer.is_err(), fails, "{}", submission.program);
                            assert!(fails || answer.as_ref().unwrap().passes() == passes(submission));
                        }
                    }
                    shown(&answers)
                }
                Err(error) => vec![error.to_string()],
            }
        };
        let answers: Vec<_> = (0..40).map(answer).collect();
        (answers, pool.errors(), pool.memo_hits())
    };
    for share in [1.0, 0.3] {
        let one = run(Some(1), share);
        assert!(one.1 > 100 && one.2 > 100, "too little happens");
        assert_eq!(one.0.iter().flatten().any(|line| line.contains("at most a share")), share < 1.0);
        for how in [Some(2), Some(7), None] {
            assert_eq!(run(how, share), one, "{how:?} jobs");
        }
    }
}
