//! HumanEval-X's own C++ programs, judged: canonical ones pass, mutants fail.
//!
//! A program takes half a second to compile, so it is every eighth here. All of them: `EVERY=1 cargo test --release
//! --test benchmarks_cpp -- --nocapture`.
#![cfg(target_os = "linux")]

#[path = "benchmarks/mutants.rs"]
mod mutants;

use std::sync::{Arc, LazyLock};

use mutants::Language;
use pspo::data::Problem;
use pspo::plugin::{CheckedVerifier, Outcome, Submission, VerifyError};
use pspo::problems::datasets;
use pspo::sandbox::Limits;
use pspo_cpp_verifier::{CppConfig, CppVerifier};
use rayon::prelude::*;

/// Problems whose prompts include what is not there everywhere, Boost and OpenSSL, and whose programs it is linked with.
const LIBRARIES: &[&str] = &["CPP/22", "CPP/137", "CPP/162"];

static VERIFIER: LazyLock<CheckedVerifier> = LazyLock::new(|| {
    // Wide: the machine may be busy.
    let default = CppConfig::default();
    let limits = Limits { cpu_seconds: 4.0, wall_seconds: 30.0, ..Limits::default() };
    let build_limits = Limits { wall_seconds: 120.0, ..default.build_limits };
    CheckedVerifier::new(CppVerifier::new(CppConfig { limits, build_limits, ..default }).unwrap())
});

fn problems() -> Vec<Arc<Problem>> {
    let every = std::env::var("EVERY").map_or(8, |every| every.parse().unwrap());
    let set = datasets::human_eval_x_cpp("tests/data/humaneval_x_cpp.jsonl.gz").unwrap();
    // The sixth and every eighth after it: CPP/22, which needs Boost, and CPP/38, which has a helper, are among them.
    set.iter().skip(if every == 1 { 0 } else { 6 }).step_by(every).cloned().collect()
}

#[test]
fn canonical_solutions_pass() {
    let (libraries, problems): (Vec<_>, Vec<_>) =
        problems().into_iter().partition(|problem| LIBRARIES.contains(&problem.id.as_str()));
    let judge = |problem: &Arc<Problem>| {
        VERIFIER.verify(Submission::rewarded(problem, problem.solution.as_ref().unwrap()))
    };
    let judged: Vec<_> = problems.par_iter().map(|problem| (&problem.id, judge(problem))).collect();
    let failed = judged.iter().filter(|(_, judged)| !judged.as_ref().is_ok_and(|verdict| verdict.passes()));
    let failed: Vec<_> = failed.collect();
    println!("HumanEval-X C++: {} of {} canonical solutions pass", judged.len() - failed.len(), judged.len());
    assert!(failed.is_empty(), "{failed:#?}");
    for problem in libraries {
        match judge(&problem) {
            Err(error @ VerifyError::Unsupported(_)) => println!("{}: {error}", problem.id),
            // Where the headers are installed, the library is still to be named in `flags`.
            Ok(verdict) => println!("{}: {verdict:?}", problem.id),
            Err(error) => panic!("{}: {error}", problem.id),
        }
    }
}

#[test]
fn mutants_fail() {
    let mut problems = problems();
    problems.retain(|problem| !LIBRARIES.contains(&problem.id.as_str()));
    let mutants: Vec<_> = problems
        .iter()
        .flat_map(|problem| {
            let program = problem.solution.as_ref().unwrap();
            let mutants = mutants::of(Language::Cpp, &problem.id, program, problem.prompt.len());
            mutants.into_iter().map(move |(kind, program)| (problem, kind, program))
        })
        .collect();
    let judged: Vec<_> = mutants
        .par_iter()
        .map(|(problem, kind, program)| {
            let verdict = VERIFIER.verify(Submission::rewarded(problem, program));
            (
                problem,
                kind,
                program,
                verdict.unwrap_or_else(|error| panic!("{}: {error}\n{program}", problem.id)),
            )
        })
        .collect();
    let count = |outcome: Outcome| judged.iter().filter(|judged| judged.3.outcome == outcome).count();
    let (survived, uncompiled) = (count(Outcome::Pass), count(Outcome::Compile));
    for (problem, kind, program, verdict) in &judged {
        if verdict.passes() && std::env::var_os("SURVIVORS").is_some() {
            println!("-- {} {kind:?}\n{program}", problem.id);
        }
    }
    let all = judged.len() - uncompiled;
    let share = survived as f64 / all as f64;
    println!("HumanEval-X C++: {survived} of {all} mutants that compile survive, {:.1} %", 100.0 * share);
    println!("{uncompiled} do not compile");
    assert!(share < 0.2 && all > 2 * problems.len(), "{survived} of {all}, for {} problems", problems.len());
}
