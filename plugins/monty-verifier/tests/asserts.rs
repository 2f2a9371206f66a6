//! Tests that are code: what passes, what fails, and what could fool them.

mod common;

use common::{assert, problem, verifier};
use pspo::plugin::{CheckedVerifier, Outcome, Submission, Verdict, VerifyError, testkit};
use serde_json::json;

fn judge(code: &str, program: &str) -> Result<Verdict, VerifyError> {
    let problem = problem(json!([assert(code)]));
    CheckedVerifier::new(verifier()).verify(Submission::rewarded(&problem, program))
}

#[test]
fn it_keeps_the_contract_on_asserts() {
    let tests = json!([
        assert("assert add(1, 2) == 3"),
        assert(
            "def check(candidate):\n    assert candidate(0, 0) == 0\n    assert candidate('a', 'b') == 'ab'\n\ncheck(add)"
        ),
    ]);
    let wrong = [
        "",
        "def add(a, b): return 3",
        "def add(a, b): return a - b",
        "def add(a): return a",
        "def add(a, b): return a +",
        "def add(a, b): print(a + b)",
        "def add(a, b): assert False",
        "raise SystemExit",
    ];
    testkit::verifier(verifier(), &problem(tests), "def add(a, b):\n    return a + b", &wrong);
}

#[test]
fn a_failed_assertion_is_wrong_and_one_of_the_programs_own_is_an_error_of_it() {
    let code = "assert f(1) == 2";
    for (program, expected) in [
        ("def f(x): return x + 1", Outcome::Pass),
        ("def f(x): return x", Outcome::Wrong),
        ("def f(x):\n    assert x > 1\n    return 2", Outcome::Runtime),
        ("assert False", Outcome::Runtime),
        ("def g(x): return 2", Outcome::Runtime),
        ("def f(x): return [1][x]", Outcome::Runtime),
        ("def f(x): raise AssertionError", Outcome::Runtime),
        ("def f(x): return f(x)", Outcome::Runtime),
        ("def f(x):\n    while x: pass", Outcome::Timeout),
        ("def f(x): return (", Outcome::Compile),
        ("return 2", Outcome::Compile),
        // The last line must not swallow the first of the test.
        ("def f(x): return 2 \\", Outcome::Compile),
        ("def f(x): return 2\n#", Outcome::Pass),
        ("def f(x): return 2\r\n\r\nx = 1 \\\r\n", Outcome::Compile),
    ] {
        let verdict = judge(code, program).unwrap_or_else(|error| panic!("{program}: {error}"));
        assert_eq!(verdict.outcome, expected, "{program}: {verdict:?}");
    }
}

#[test]
fn what_could_fool_an_assertion_is_not_judged() {
    for (code, program) in [
        (
            "assert f(1) == 2",
            "class Any:\n    def __eq__(self, other):\n        return True\ndef f(x): return Any()",
        ),
        ("assert len(f()) == 2", "def len(x): return 2\ndef f(): return []"),
        ("assert all(x > 0 for x in f())", "all = lambda xs: True\ndef f(): return [-1]"),
        ("assert isinstance(f(), int)", "from math import gcd as isinstance\ndef f(): return ''"),
        ("assert abs(f() - 1) < 0.1", "def f():\n    global abs\n    abs = min\n    return 0"),
        ("assert f() == [1", "def f(): return [1]"),
        // CPython stops at the first.
        ("assert any(1 // x for x in f())", "def f(): return [1, 0]"),
        ("import re\nassert re.match('a', f())", "def f(): return 'a'"),
    ] {
        let judged = judge(code, program);
        assert!(matches!(judged, Err(VerifyError::Unsupported(_))), "{program}: {judged:?}");
    }
}
