//! Every outcome, from programs that are right, wrong or hostile.

mod common;

use std::time::{Duration, Instant};

use common::{call, problem, script, verifier};
use pspo::plugin::{
    self, CheckedVerifier, Kind, Outcome, Submission, Verdict, VerifierConfig, VerifyError, testkit,
};
use pspo_monty_verifier::{MontyConfig, MontyVerifier};
use serde_json::{Value, json};

/// Judges `program` by `tests` with `config`.
fn judge(config: MontyConfig, tests: Value, program: &str) -> Result<Verdict, VerifyError> {
    let verifier = CheckedVerifier::new(MontyVerifier::new(config).unwrap());
    verifier.verify(Submission::rewarded(&problem(tests), program))
}

fn outcome(tests: Value, program: &str) -> Outcome {
    // Steps are counted, so that a busy machine does not change the outcome; the clock is for the rest.
    let config =
        MontyConfig { seconds: 10.0, steps: 2_000_000, memory_bytes: 8 << 20, ..MontyConfig::default() };
    match judge(config, tests, program) {
        Ok(verdict) => verdict.outcome,
        Err(error) => panic!("{program:?} was not judged: {error}"),
    }
}

#[test]
fn it_keeps_the_contract_on_scripts() {
    let tests = json!([
        script(json!({"a": 3, "xs": [1, 2]}), "5\n[1, 2, 3]\n"),
        script(json!({"a": -1, "xs": []}), "1\n[-1]\n"),
    ]);
    let wrong = [
        "",
        "print(a + 2)",
        "print(a + 2)\nprint(xs + [a + 1])",
        "print(a + 2)\nprint(xs + [a]",
        "print(a + 2)\nprint(xs + a)",
        "print(a + 2, end='')\nprint(xs + [a])",
        "while a: pass",
    ];
    testkit::verifier(verifier(), &problem(tests), "print(a + 2)\nxs.append(a)\nprint(xs)", &wrong);
}

#[test]
fn it_keeps_the_contract_on_calls() {
    let tests = json!([call("f", json!([[3, 1, 2]]), json!([1, 2, 3])), call("f", json!([[]]), json!([]))]);
    let wrong = [
        "",
        "def f(xs): return xs",
        "def f(xs): return tuple(sorted(xs))",
        "def f(xs): print(sorted(xs))",
        "def f(): return []",
        "f = 3",
        "def f(xs): return sorted(xs",
        "def f(xs): return f(xs)",
    ];
    testkit::verifier(verifier(), &problem(tests), "def f(xs):\n    return sorted(xs)", &wrong);
}

#[test]
fn variables_and_state_are_fresh_for_every_test() {
    let tests = json!([
        script(json!({"xs": [1]}), "[1, 0]"),
        script(json!({"xs": [1]}), "[1, 0]"),
        script(json!({"xs": [2]}), "[2, 0]"),
    ]);
    assert_eq!(outcome(tests, "xs.append(0)\nprint(xs)"), Outcome::Pass);
    let tests = json!([call("f", json!([]), json!([1])), call("f", json!([]), json!([1]))]);
    assert_eq!(outcome(tests, "seen = []\ndef f():\n    seen.append(1)\n    return seen"), Outcome::Pass);
}

#[test]
fn the_detail_says_which_test_failed_and_how() {
    let tests = || json!([script(json!({"a": 1}), "1"), script(json!({"a": 0}), "0")]);
    for (program, detail) in [
        ("print(1)", r#"test 2 of 2: printed "1\n", not "0""#),
        ("print(a)\n1 // a", "test 2 of 2: ZeroDivisionError: division by zero"),
        ("print(a", "test 1 of 2: SyntaxError: "),
    ] {
        let verdict = judge(MontyConfig::default(), tests(), program).unwrap();
        assert!(verdict.detail.starts_with(detail), "{}", verdict.detail);
    }
}

#[test]
fn the_first_failure_is_the_last_test_unless_all_are_run() {
    let tests = || json!([0, 1, 2].map(|a| script(json!({"a": a}), "1")));
    let verdict = judge(MontyConfig::default(), tests(), "print(a)").unwrap();
    assert_eq!((verdict.passed, verdict.total), (0, 3));
    let all = MontyConfig { run_all: true, ..MontyConfig::default() };
    let counts = |config: MontyConfig| CheckedVerifier::new(MontyVerifier::new(config).unwrap()).counts_all();
    assert!(counts(all.clone()) && !counts(MontyConfig::default()));
    let verdict = judge(all, tests(), "print(a)").unwrap();
    assert_eq!((verdict.passed, verdict.outcome), (1, Outcome::Wrong));
    assert!(verdict.detail.starts_with("test 1 of 3"));
}

#[test]
fn every_limit_has_its_outcome() {
    let tests = || json!([script(json!({}), "1")]);
    for (program, expected) in [
        ("print(1)", Outcome::Pass),
        ("while True:\n    pass", Outcome::Timeout),
        ("s = 'a'\nxs = []\nwhile True:\n    s = s + 'a'\n    xs.append(s)", Outcome::Memory),
        ("xs = [0]\nwhile True:\n    xs = xs + xs", Outcome::Memory),
        ("xs = list(range(10 ** 9))", Outcome::Memory),
        ("x = 'a' * 64_000_000_000", Outcome::Memory),
        ("x = 10 ** 10 ** 8", Outcome::Memory),
        ("while True:\n    print('a' * 100)", Outcome::Output),
        ("print('a' * 1_000_000)", Outcome::Output),
        ("def f(n):\n    return f(n + 1)\nf(0)", Outcome::Runtime),
        ("raise ValueError('1')", Outcome::Runtime),
        ("print(1)\nraise SystemExit", Outcome::Runtime),
        ("print(1)\nassert False", Outcome::Runtime),
        ("print(1", Outcome::Compile),
        ("print(2)", Outcome::Wrong),
        // The parser brings a letter that looks like another to its normal form, as CPython's does.
        ("x = 1\nprint(\u{ff58})", Outcome::Pass),
        ("\u{feff}print(1)", Outcome::Pass),
        ("print(1)\0", Outcome::Compile),
        ("print('PASSED')\nprint('OK')\nprint('{\"outcome\": \"pass\"}')", Outcome::Wrong),
        ("print('\\x1b[1A1')", Outcome::Wrong),
    ] {
        assert_eq!(outcome(tests(), program), expected, "{program}");
    }
    let empty = json!([script(json!({}), "")]);
    assert_eq!(outcome(empty, "raise ValueError"), Outcome::Runtime);
}

#[test]
fn the_clock_stops_what_takes_no_steps_to_speak_of() {
    let tests = || json!([script(json!({}), "1")]);
    let config = || MontyConfig { seconds: 0.05, steps: u64::MAX, ..MontyConfig::default() };
    for program in [
        "while True:\n    pass",
        "while True:\n    x = sorted(range(100), key=lambda i: -i)",
        "x = max(range(10 ** 12))",
    ] {
        let verdict = judge(config(), tests(), program).unwrap();
        assert_eq!(verdict.outcome, Outcome::Timeout, "{verdict:?}");
    }
}

#[test]
fn an_instruction_without_end_is_a_timeout_and_hinders_nothing_else() {
    let verifier =
        CheckedVerifier::new(MontyVerifier::new(MontyConfig { seconds: 0.2, ..Default::default() }).unwrap());
    let problem = problem(json!([script(json!({}), "1")]));
    let begin = Instant::now();
    // Some seconds in one call of `pow`, with all its numbers within the memory limit.
    let program = "print(pow(3, 7 ** 4000, 10 ** 6000 + 1))";
    let verdict = verifier.verify(Submission::rewarded(&problem, program)).unwrap();
    assert_eq!(verdict.outcome, Outcome::Timeout);
    assert!(begin.elapsed() < Duration::from_secs_f64(0.2 + 0.5), "{:?}", begin.elapsed());
    assert!(verifier.verify(Submission::rewarded(&problem, "print(1)")).unwrap().passes());
}

#[test]
fn a_value_that_claims_to_equal_everything_is_wrong() {
    let tests = json!([call("f", json!([]), json!(5))]);
    let program = "class Any:\n    def __eq__(self, other):\n        return True\ndef f():\n    return Any()";
    assert_eq!(outcome(tests, program), Outcome::Wrong);
    for (expected, program) in [
        (json!(1), "def f(): return True"),
        (json!(1), "def f(): return 1.0"),
        (json!(0.5), "def f(): return float('nan')"),
        (json!([1]), "def f(): return (1,)"),
        (json!(""), "def f(): return None"),
        (json!(null), "def f(): return 0"),
    ] {
        assert_eq!(outcome(json!([call("f", json!([]), expected)]), program), Outcome::Wrong, "{program}");
    }
}

#[test]
fn what_cannot_be_judged_is_an_error() {
    let scripts = || json!([script(json!({}), "1")]);
    let stdio = json!([{"kind": "stdio", "stdin": "", "stdout": "1"}]);
    for (tests, program) in [
        (stdio, "print(1)"),
        (scripts(), "import random\nprint(1)"),
        (scripts(), "def f():\n    yield 1\nprint(*f())"),
        (json!([call("f", json!([u64::MAX]), json!(1))]), "def f(x): return 1"),
        (json!([call("f", json!([]), json!(1e20))]), "def f(): return 10 ** 20"),
        (json!([script(json!({"not a name": 1}), "1")]), "print(1)"),
        (json!([script(json!({"lambda": 1}), "1")]), "print(1)"),
        (json!([call("f(1) or f", json!([1]), json!(1))]), "def f(x): return 1"),
    ] {
        let judged = judge(MontyConfig::default(), tests, program);
        assert!(matches!(judged, Err(VerifyError::Unsupported(_))), "{program:?}: {judged:?}");
    }
    let judged = judge(MontyConfig::default(), json!([]), "print(1)");
    assert!(matches!(judged, Err(VerifyError::NoTests(_))));
}

#[test]
fn a_program_over_its_memory_does_not_change_the_others_verdicts() {
    let config = MontyConfig { memory_bytes: 4 << 20, seconds: 5.0, ..MontyConfig::default() };
    let verifier = CheckedVerifier::new(MontyVerifier::new(config).unwrap());
    let problem = problem(json!([script(json!({}), "100000")]));
    // One instruction from below the limit to above twice the limit, where all programs are stopped.
    let bomb = "xs = [0]\nwhile True:\n    xs = xs + xs";
    let honest = "xs = []\nfor i in range(100000):\n    xs.append(i)\nprint(len(xs))";
    std::thread::scope(|scope| {
        for program in [bomb, honest, honest, bomb] {
            let (verifier, problem) = (&verifier, &problem);
            scope.spawn(move || {
                for _ in 0..20 {
                    let verdict = verifier.verify(Submission::rewarded(problem, program)).unwrap();
                    let expected = if program == bomb { Outcome::Memory } else { Outcome::Pass };
                    assert_eq!(verdict.outcome, expected, "{verdict:?}");
                }
            });
        }
    });
}

#[test]
fn the_config_names_the_value_that_is_out_of_bounds() {
    let good = MontyConfig::default;
    for (config, key) in [
        (MontyConfig { seconds: 0.0, ..good() }, "seconds"),
        (MontyConfig { seconds: f64::NAN, ..good() }, "seconds"),
        (MontyConfig { seconds: f64::INFINITY, ..good() }, "seconds"),
        (MontyConfig { steps: 0, ..good() }, "steps"),
        (MontyConfig { memory_bytes: 100, ..good() }, "memory_bytes"),
        (MontyConfig { memory_bytes: usize::MAX, ..good() }, "memory_bytes"),
        (MontyConfig { recursion: 0, ..good() }, "recursion"),
        (MontyConfig { recursion: 100_000, ..good() }, "recursion"),
        (MontyConfig { output_bytes: 0, ..good() }, "output_bytes"),
    ] {
        let error = config.build().err().unwrap().to_string();
        assert!(error.contains(&format!("`{key}`")) && error.contains("must be"), "{error}");
    }
}

#[test]
fn the_card_is_an_example_of_the_config() {
    let card = plugin::cards().into_iter().find(|card| card.name == "monty").unwrap();
    assert_eq!(card.krate, "pspo-monty-verifier");
    let mut table: Value = toml::from_str(card.example).unwrap();
    let config = plugin::build::<Box<dyn VerifierConfig>>(Kind::Verifier, table.clone()).unwrap();
    config.build().unwrap();
    table.as_object_mut().unwrap().remove("type");
    let config: MontyConfig = serde_json::from_value(table).unwrap();
    assert_eq!(config, MontyConfig::default(), "the example shows the defaults");
}
