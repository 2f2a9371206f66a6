//! The benchmarks' own programs, judged: canonical ones pass, mutants fail, and both interpreters say the same.
#![cfg(target_os = "linux")]

#[path = "benchmarks/mutants.rs"]
mod mutants;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use mutants::{Kind, Language};
use pspo::data::{Problem, ProblemSet};
use pspo::plugin::{CheckedVerifier, Outcome, Submission, Verdict, VerifyError};
use pspo::problems::datasets;
use pspo::sandbox::Limits;
use pspo_monty_verifier::{MontyConfig, MontyVerifier};
use pspo_python_verifier::{PythonConfig, PythonVerifier};
use rayon::prelude::*;

fn data(name: &str) -> std::path::PathBuf {
    Path::new("tests/data").join(name)
}

fn human_eval() -> ProblemSet {
    datasets::human_eval(data("HumanEval.jsonl.gz")).unwrap()
}

fn mbpp() -> ProblemSet {
    datasets::mbpp(data("mbpp.jsonl.gz")).unwrap()
}

fn python(cpu_seconds: f64) -> CheckedVerifier {
    let limits = Limits { cpu_seconds, wall_seconds: 4.0 * cpu_seconds, ..Limits::default() };
    CheckedVerifier::new(PythonVerifier::new(PythonConfig { limits, ..PythonConfig::default() }).unwrap())
}

/// The verdict on a program by all tests of the problem, those held out too.
fn judge(verifier: &CheckedVerifier, problem: &Problem, program: &str) -> Result<Verdict, VerifyError> {
    let mut all = problem.clone();
    all.tests.append(&mut all.held_out_tests);
    verifier.verify(Submission::rewarded(&all, program))
}

#[test]
fn canonical_solutions_pass() {
    let verifier = python(10.0);
    let sanitized = datasets::mbpp(data("sanitized_mbpp.json")).unwrap();
    let contests = datasets::code_contests(data("code_contests.jsonl")).unwrap();
    let mut failed = Vec::new();
    for (name, set, expected) in [
        ("HumanEval", human_eval(), 164),
        ("MBPP", mbpp(), 974),
        ("sanitized MBPP", sanitized, 1),
        ("APPS", datasets::apps(data("apps")).unwrap(), 5),
        ("CodeContests", contests, 2),
    ] {
        let problems: Vec<_> = set.iter().filter(|problem| problem.solution.is_some()).collect();
        assert_eq!(problems.len(), expected, "{name}");
        let verdicts: Vec<_> = problems
            .par_iter()
            .map(|problem| judge(&verifier, problem, problem.solution.as_ref().unwrap()))
            .collect();
        let passed = verdicts.iter().filter(|verdict| verdict.as_ref().is_ok_and(Verdict::passes)).count();
        println!("{name}: {passed} of {expected} canonical solutions pass");
        for (problem, verdict) in problems.iter().zip(verdicts) {
            if !verdict.as_ref().is_ok_and(Verdict::passes) {
                failed.push((problem.id.clone(), verdict.map(|verdict| verdict.detail)));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn solutions_of_apps_pass() {
    let verifier = python(10.0);
    for problem in datasets::apps(data("apps")).unwrap().iter() {
        let typing = "from typing import *\n";
        let solutions = problem.metadata["solutions"].as_array().unwrap();
        let passed = solutions.par_iter().filter(|solution| {
            let program = format!("{typing}{}", solution.as_str().unwrap());
            judge(&verifier, problem, &program).is_ok_and(|verdict| verdict.passes())
        });
        let passed = passed.count();
        println!("{}: {passed} of {} solutions pass", problem.id, solutions.len());
        // Three of them have a `return` outside any function: the benchmark makes a function of every program.
        let no_programs = if problem.id == "APPS/2287" { 3 } else { 0 };
        assert_eq!(passed, solutions.len() - no_programs, "{}", problem.id);
    }
}

#[test]
fn live_code_bench_is_judged_by_its_rule() {
    let verifier = python(10.0);
    let set = datasets::live_code_bench(data("live_code_bench.jsonl")).unwrap();
    let halves = "n = input()\nxs = [int(x) / 2 for x in input().split()]\n";
    let method = |body: &str| format!("class Solution:\n    def pairSums(self, xs, n):\n        {body}\n");
    for (index, program, passes) in [
        (0, format!("{halves}print(*xs[:2])\nif xs[2:]: print(*xs[2:])"), true),
        (
            0,
            format!(
                "{halves}print(*map('{{:.3f}} '.format, xs[:2]), end='\\n' if xs[2:] else '')\nprint(*xs[2:])"
            ),
            true,
        ),
        (0, format!("{halves}print(*xs)"), false),
        (1, "print(int(input()) and sum(map(int, input().split())))".into(), true),
        (1, "print(3)".into(), false),
        (2, method("return [x + n for x in xs]"), true),
        (2, method("return tuple(x + n for x in xs)"), true),
        (2, method("return [float(x + n) for x in xs]"), true),
        (2, method("return [2, 3, 4]"), false),
        (2, method("print([x + n for x in xs])"), false),
        (3, "def words(text):\n    return text.split()".into(), true),
        (3, "class Solution:\n    def words(self, text):\n        return text.split()".into(), true),
        (3, "def words(text):\n    return text".into(), false),
    ] {
        let verdict = judge(&verifier, set.get(index).unwrap(), &program).unwrap();
        assert_eq!(verdict.passes(), passes, "{program}\n{verdict:?}");
    }
}

#[test]
fn the_embedded_interpreter_leaves_methods_of_solution_to_others() {
    let monty = CheckedVerifier::new(MontyVerifier::new(MontyConfig::default()).unwrap());
    let set = datasets::live_code_bench(data("live_code_bench.jsonl")).unwrap();
    let program = "class Solution:\n    def pairSums(self, xs, n):\n        return [x + n for x in xs]\n";
    let judged = judge(&monty, set.get(2).unwrap(), program);
    assert!(matches!(judged, Err(VerifyError::Unsupported(_))), "{judged:?}");
}

/// A mutant, and what CPython says of it.
struct Mutant {
    problem: Arc<Problem>,
    kind: Kind,
    program: String,
    verdict: Verdict,
}

/// One mutant of each kind for each problem, of every `nth` problem, judged.
fn mutants(set: &ProblemSet, nth: usize) -> Vec<Mutant> {
    let verifier = python(1.0);
    let of = |problem: &Problem| {
        let program = problem.solution.clone().unwrap();
        // HumanEval's prompts are not the program's own.
        let from = if program.starts_with(&problem.prompt) { problem.prompt.len() } else { 0 };
        mutants::of(Language::Python, &problem.id, &program, from)
    };
    let problems: Vec<_> = set.iter().step_by(nth).collect();
    let all: Vec<_> = problems
        .iter()
        .flat_map(|problem| of(problem).into_iter().map(move |mutant| (*problem, mutant)))
        .collect();
    let judged = all.into_par_iter().map(|(problem, (kind, program))| {
        let verdict = judge(&verifier, problem, &program);
        let verdict = verdict.unwrap_or_else(|error| panic!("{}: {error}\n{program}", problem.id));
        Mutant { problem: problem.clone(), kind, program, verdict }
    });
    judged.collect()
}

static HUMAN_EVAL_MUTANTS: LazyLock<Vec<Mutant>> = LazyLock::new(|| mutants(&human_eval(), 1));
static MBPP_MUTANTS: LazyLock<Vec<Mutant>> = LazyLock::new(|| mutants(&mbpp(), 5));

#[test]
fn mutants_fail() {
    for (name, mutants, most) in [("HumanEval", &HUMAN_EVAL_MUTANTS, 0.12), ("MBPP", &MBPP_MUTANTS, 0.2)] {
        let mut counts = BTreeMap::<Kind, (usize, usize)>::new();
        for Mutant { problem, kind, program, verdict } in mutants.iter() {
            let (of_them, all) = counts.entry(*kind).or_default();
            *of_them += usize::from(verdict.passes());
            *all += 1;
            // To look at them: some are no mistakes (a loop without its `break`), others show what tests miss.
            if verdict.passes() && std::env::var_os("SURVIVORS").is_some() {
                println!("-- {} {kind:?}\n{program}", problem.id);
            }
        }
        for (kind, (survived, all)) in &counts {
            println!("{name}: {survived} of {all} mutants survive: {kind:?}");
        }
        let survived: usize = counts.values().map(|(survived, _)| survived).sum();
        let share = survived as f64 / mutants.len() as f64;
        println!("{name}: {:.1} % survive", 100.0 * share);
        assert!(share < most && mutants.len() > 300, "{name}: {share} of {} survive", mutants.len());
    }
}

/// Outcomes that depend on limits, which the two verifiers measure differently.
fn by_limit(verdict: &Verdict) -> bool {
    matches!(verdict.outcome, Outcome::Timeout | Outcome::Memory | Outcome::Output)
}

#[test]
fn the_embedded_interpreter_agrees() {
    let monty = CheckedVerifier::new(MontyVerifier::new(MontyConfig::default()).unwrap());
    let of = |set: ProblemSet, mutants: &[Mutant]| {
        // Canonical solutions pass under CPython: see above.
        let pass =
            Verdict { outcome: Outcome::Pass, passed: 1, total: 1, detail: String::new(), seconds: 0.0 };
        let canonical =
            set.iter().map(|problem| (problem.clone(), problem.solution.clone().unwrap(), pass.clone()));
        let mutants = mutants
            .iter()
            .map(|mutant| (mutant.problem.clone(), mutant.program.clone(), mutant.verdict.clone()));
        canonical.chain(mutants).collect::<Vec<_>>()
    };
    for (name, programs) in
        [("HumanEval", of(human_eval(), &HUMAN_EVAL_MUTANTS)), ("MBPP", of(mbpp(), &MBPP_MUTANTS))]
    {
        let compare = |(problem, program, of_python): &(Arc<Problem>, String, Verdict)| {
            let of_monty = match judge(&monty, problem, program) {
                Ok(verdict) => verdict,
                Err(VerifyError::Unsupported(_)) => return None,
                Err(error) => panic!("{}: {error}\n{program}", problem.id),
            };
            let agree = of_monty.passes() == of_python.passes();
            let limit = by_limit(&of_monty) || by_limit(of_python);
            let told = format!("{}: {of_monty:?}, CPython {of_python:?}\n{program}", problem.id);
            Some(((agree, limit), told))
        };
        let compared: Vec<_> = programs.par_iter().filter_map(compare).collect();
        let limits = compared.iter().filter(|((agree, limit), _)| !agree && *limit).count();
        println!(
            "{name}: {} of {} programs judged by both, {limits} with another limit",
            compared.len(),
            programs.len()
        );
        let others: Vec<_> =
            compared.iter().filter(|((agree, limit), _)| !agree && !limit).map(|(_, told)| told).collect();
        for told in &others {
            println!("{told}");
        }
        assert!(others.is_empty(), "{name}: {} verdicts differ", others.len());
        assert!(limits <= 3, "{name}: {limits} stopped by a limit of one alone");
        assert!(compared.len() > programs.len() / 2, "{name}: {}", compared.len());
    }
}
