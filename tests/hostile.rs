//! Programs that try to break their verifier, each with the outcomes that it may get: `tests/hostile/*.py`.
//!
//! The first lines of a program say what it tries, which sort of tests it is judged by, and how it must end. None
//! may pass but those that say so, none may be an error, and none may touch the host or who is judged beside it.
#![cfg(target_os = "linux")]

#[path = "support/hostile.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use pspo::data::{Matching, Problem};
use pspo::plugin::{CheckedVerifier, Submission, Verdict, VerifyError};
use pspo::sandbox::Limits;
use pspo_python_verifier::{PythonConfig, PythonVerifier};
use serde_json::{Value, json};
use support::{Hostile, as_an_ordinary_user, corpus, descendants, is_root};

const WALL_SECONDS: f64 = 1.5;

/// The tests look at the processes of all of this program, so they run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a busy machine may add to a limit before it counts as a program that was not stopped.
const PATIENCE: f64 = 5.0;

fn config() -> PythonConfig {
    let python = std::env::var("PSPO_PYTHON").map_or_else(|_| "python3".into(), PathBuf::from);
    let limits = Limits {
        cpu_seconds: 1.0,
        wall_seconds: WALL_SECONDS,
        memory_bytes: 512 << 20,
        disk_bytes: 16 << 20,
        ..Limits::default()
    };
    PythonConfig { python, limits, ..PythonConfig::default() }
}

fn verifier() -> CheckedVerifier {
    CheckedVerifier::new(PythonVerifier::new(config()).unwrap())
}

/// Test code that is read as calls; with anything behind it, it is run by a process of its own.
const CHECK: &str =
    "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(20, 5) == 25\ncheck(solve)";

/// The problem for a sort of tests: the sum of two numbers, as far as it can be.
fn problem(sort: &str) -> Problem {
    let call = |expected: Value| json!({"kind": "call", "function": "solve", "arguments": [1, 2], "expected": expected});
    let assert = |code: &str| json!([{"kind": "assert", "code": code, "calls": ["solve"]}]);
    let stdio = |stdin: &str, stdout: &str| json!([{"kind": "stdio", "stdin": stdin, "stdout": stdout}]);
    let tests = match sort {
        "call" => {
            let other = json!({"kind": "call", "function": "solve", "arguments": [20, 5], "expected": 25});
            json!([call(json!(3)), other])
        }
        "list" => json!([call(json!([1, 2]))]),
        "float" => json!([call(json!(0.5))]),
        "assert" => assert(CHECK),
        "assert_code" => assert(&format!("{CHECK}\nlen")),
        "assert_list" => assert("assert list(solve(1, 2)) == [1, 2]\nassert solve(1, 2) == [1, 2]"),
        "assert_float" => {
            assert("assert abs(solve(1, 2) - 0.5) < 1e-6 and all([abs(0.5 - solve(1, 2)) < 1e-6])")
        }
        "assert_map" => assert(
            "for got, want in zip(map(solve, [1, 20], [2, 5]), [3, 25]):\n    assert got == want\nassert all(map(lambda a: solve(a, 2) == a + 2, [1, 2]))",
        ),
        "assert_isclose" => assert("import math\nassert math.isclose(solve(1, 2), 3)"),
        "assert_unittest" => assert(
            "import unittest\nclass T(unittest.TestCase):\n    def runTest(self): pass\nT().assertEqual(solve(1, 2), 3)",
        ),
        "stdio" | "stdio_read_on" => stdio("1 2\n", "3\n"),
        "empty" => stdio("", ""),
        "checker" => stdio("1 2\n", "1 2\n"),
        other => panic!("there are no tests of the sort {other}"),
    };
    let mut problem: Problem =
        serde_json::from_value(json!({"id": sort, "prompt": "?", "tests": tests})).unwrap();
    problem.matching = match sort {
        "float" => Matching::Numbers { absolute: 1e-6, relative: 0.0 },
        "checker" => {
            let code = "def check(stdin, expected, printed):\n    return sorted(printed.split()) == sorted(stdin.split())";
            Matching::Checker { code: code.into() }
        }
        _ => Matching::Exact,
    };
    problem
}

const GOOD: &str = "def solve(a, b):\n    return a + b\n";

fn judge_good(verifier: &CheckedVerifier) -> Verdict {
    verifier.verify(Submission::rewarded(&problem("call"), GOOD)).unwrap()
}

#[test]
fn none_passes_none_harms() {
    let _alone = alone();
    let verifier = verifier();
    assert!(judge_good(&verifier).passes());
    let done = AtomicBool::new(false);
    let mut wrong = Vec::new();
    let mut slowest = (0.0, String::new());
    thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let mut judged = 0;
            while !done.load(Ordering::SeqCst) {
                let verdict = judge_good(&verifier);
                assert!(verdict.passes(), "beside the corpus, the good program got {verdict:?}");
                judged += 1;
                thread::sleep(Duration::from_millis(50));
            }
            judged
        });
        for Hostile { name, program, mut sorts, outcomes } in corpus("py", "#") {
            if sorts.iter().any(|sort| sort == "assert") {
                sorts.push("assert_code".into());
            }
            for sort in &sorts {
                let begin = Instant::now();
                let verdict = verifier.verify(Submission::rewarded(&problem(sort), &program));
                let seconds = begin.elapsed().as_secs_f64();
                match verdict {
                    Ok(verdict) if outcomes.contains(&verdict.outcome) => {}
                    other => wrong.push(format!("{name} by {sort} tests: {other:?}, not {outcomes:?}")),
                }
                if seconds > slowest.0 {
                    slowest = (seconds, format!("{name} by {sort} tests"));
                }
            }
        }
        done.store(true, Ordering::SeqCst);
        assert!(beside.join().unwrap() > 0);
    });
    assert!(judge_good(&verifier).passes());
    println!("slowest: {:.2} s, {}", slowest.0, slowest.1);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(slowest.0 < WALL_SECONDS + PATIENCE, "{slowest:?}");
    for path in ["/etc/x", "/usr/x", "/usr/pickled", "/etc/written", "/written", "/y"] {
        assert!(!Path::new(path).exists(), "{path} was written");
    }
    drop(verifier);
    assert_eq!(descendants(), 0, "processes are left");
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    let _alone = alone();
    if !is_root() {
        println!("skipped: not root, so the other test was it");
        return;
    }
    as_an_ordinary_user("none_passes_none_harms");
}

#[test]
fn no_tests_and_a_broken_helper_are_errors() {
    let _alone = alone();
    let verifier = verifier();
    let problem = problem("call");
    let none = Submission::held_out(&problem, GOOD);
    assert!(matches!(verifier.verify(none), Err(VerifyError::NoTests(_))));

    // Kill every helper: the program is not to blame, and the next one is judged by a new helper.
    assert!(judge_good(&verifier).passes());
    let own = std::process::id().to_string();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let stat = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if stat.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|pid| pid.trim() == own)) {
            let _ = Command::new("kill").arg("-9").arg(entry.file_name()).status();
        }
    }
    thread::sleep(Duration::from_millis(100));
    let error = verifier.verify(Submission::rewarded(&problem, GOOD)).unwrap_err();
    assert!(matches!(error, VerifyError::Failed(_)), "{error}");
    assert!(judge_good(&verifier).passes());
}

#[test]
fn a_slow_program_is_not_punished_for_a_busy_machine() {
    let _alone = alone();
    let limits = Limits { cpu_seconds: 2.0, wall_seconds: 60.0, ..Limits::default() };
    let verifier = CheckedVerifier::new(PythonVerifier::new(PythonConfig { limits, ..config() }).unwrap());
    let slow =
        "import time\ndef solve(a, b):\n    while time.process_time() < 0.7:\n        pass\n    return a + b";
    let problem = problem("call");
    thread::scope(|scope| {
        let judged: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| verifier.verify(Submission::rewarded(&problem, slow)).unwrap()))
            .collect();
        for verdict in judged {
            let verdict = verdict.join().unwrap();
            assert!(verdict.passes(), "{verdict:?}");
        }
    });
}
