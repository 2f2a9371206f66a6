//! The C++ programs of the corpus, `tests/hostile/*.cpp`: as in `hostile.rs`.
#![cfg(target_os = "linux")]

#[path = "support/hostile.rs"]
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pspo::data::{Matching, Problem};
use pspo::plugin::{CheckedVerifier, Submission, Verdict};
use pspo::sandbox::Limits;
use pspo_cpp_verifier::{CppConfig, CppVerifier};
use rayon::prelude::*;
use serde_json::{Value, json};
use support::{AS_NOBODY, Hostile, as_an_ordinary_user, corpus, descendants, is_root};

const WALL_SECONDS: f64 = 1.5;
/// A right program takes half a second to compile, on a machine that has nothing else to do.
const BUILD_SECONDS: f64 = 10.0;

/// What a busy machine may add to the limits before it counts as a program that was not stopped.
const PATIENCE: f64 = 5.0;

/// The tests look at the processes of all of this program, so they run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn verifier() -> CheckedVerifier {
    let limits = Limits {
        cpu_seconds: 1.0,
        wall_seconds: WALL_SECONDS,
        memory_bytes: 512 << 20,
        disk_bytes: 16 << 20,
        ..Limits::default()
    };
    let default = CppConfig::default();
    let build_limits = Limits { cpu_seconds: 5.0, wall_seconds: BUILD_SECONDS, ..default.build_limits };
    CheckedVerifier::new(CppVerifier::new(CppConfig { limits, build_limits, ..default }).unwrap())
}

/// The problem for a sort of tests: the sum of two numbers, as far as it can be.
fn problem(sort: &str) -> Problem {
    let call = |arguments: Value, expected: Value| json!({"kind": "call", "function": "solve", "arguments": arguments, "expected": expected});
    let assert = |body: &str| json!([{"kind": "assert", "code": format!("#undef NDEBUG\n#include <assert.h>\nint main() {{ {body} }}"), "calls": ["solve"]}]);
    let stdio = |stdin: &str, stdout: &str| json!([{"kind": "stdio", "stdin": stdin, "stdout": stdout}]);
    let (result, tests) = match sort {
        "call" => ("int", json!([call(json!([1, 2]), json!(3)), call(json!([20, 5]), json!(25))])),
        "list" => ("std::vector<int>", json!([call(json!([1, 2]), json!([1, 2]))])),
        "float" => ("float", json!([call(json!([1, 2]), json!(0.5))])),
        "assert" => ("int", assert("assert(solve(1, 2) == 3); assert(solve(20, 5) == 25);")),
        "assert_list" => {
            ("std::vector<int>", assert("assert(solve(1, 2)[1] == 2); assert(solve(1, 2).size() == 2);"))
        }
        "assert_float" => ("float", assert("assert(abs(solve(1, 2) - 0.5) < 1e-6);")),
        "stdio" => ("int", stdio("1 2\n", "3\n")),
        "empty" => ("int", stdio("", "")),
        other => panic!("there are no tests of the sort {other}"),
    };
    let prompt = format!("#include <vector>\n{result} solve(int a, int b) {{");
    let mut problem: Problem =
        serde_json::from_value(json!({"id": sort, "prompt": prompt, "tests": tests})).unwrap();
    if sort == "float" {
        problem.matching = Matching::Numbers { absolute: 1e-6, relative: 0.0 };
    }
    problem
}

fn judge_good(verifier: &CheckedVerifier, sort: &str) -> Verdict {
    let good = "int solve(int a, int b) { return a + b; }";
    verifier.verify(Submission::rewarded(&problem(sort), good)).unwrap()
}

#[test]
fn none_passes_none_harms() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let verifier = verifier();
    assert!(judge_good(&verifier, "assert").passes());
    let done = AtomicBool::new(false);
    let mut programs = corpus("cpp", "//");
    assert!(programs.len() > 60, "{} programs", programs.len());
    // Most of the time is the compiler's, which takes as long whoever is the user.
    if std::env::var_os(AS_NOBODY).is_some() {
        let mut number = 0;
        programs.retain(|_| {
            number += 1;
            number % 3 == 1
        });
    }
    let judged: Vec<_> = thread::scope(|scope| {
        let beside = scope.spawn(|| {
            for sort in ["call", "assert"].iter().cycle() {
                let verdict = judge_good(&verifier, sort);
                assert!(verdict.passes(), "beside the corpus, the good program got {verdict:?}");
                if done.load(Ordering::SeqCst) {
                    break;
                }
                thread::sleep(Duration::from_millis(500));
            }
        });
        let judged = programs.par_iter().flat_map_iter(by_sorts).map(|(hostile, sort)| {
            let begin = Instant::now();
            let verdict = verifier.verify(Submission::rewarded(&problem(sort), &hostile.program));
            (format!("{} by {sort} tests", hostile.name), hostile, verdict, begin.elapsed().as_secs_f64())
        });
        let judged = judged.collect();
        done.store(true, Ordering::SeqCst);
        beside.join().unwrap();
        judged
    });
    assert!(judge_good(&verifier, "call").passes());
    let mut wrong = Vec::new();
    for (what, Hostile { outcomes, .. }, verdict, seconds) in &judged {
        match verdict {
            Ok(verdict) if outcomes.contains(&verdict.outcome) => {}
            other => wrong.push(format!("{what}: {other:?}, not {outcomes:?}")),
        }
        if std::env::var_os("PSPO_SHOW").is_some() {
            println!("{seconds:.2} s {what}: {verdict:?}");
        }
    }
    let slowest = judged.iter().max_by(|a, b| a.3.total_cmp(&b.3)).unwrap();
    println!("slowest: {:.2} s, {}", slowest.3, slowest.0);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(slowest.3 < BUILD_SECONDS + WALL_SECONDS + PATIENCE, "{}: {}", slowest.0, slowest.3);
    for path in ["/etc/written", "/usr/x", "/tmp/main"] {
        assert!(!Path::new(path).exists(), "{path} was written");
    }
    drop(verifier);
    assert_eq!(descendants(), 0, "processes are left");
}

fn by_sorts(hostile: &Hostile) -> impl Iterator<Item = (&Hostile, &str)> {
    hostile.sorts.iter().map(move |sort| (hostile, sort.as_str()))
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    if !is_root() {
        println!("skipped: not root, so the other test was it");
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    as_an_ordinary_user("none_passes_none_harms");
}
