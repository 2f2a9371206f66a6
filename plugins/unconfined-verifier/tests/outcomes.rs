//! Each outcome, and what is left when a program has ended.
#![cfg(unix)]

use std::time::{Duration, Instant};

use pspo::data::Problem;
use pspo::plugin::{Outcome, Submission, Verdict, Verifier, testkit};
use pspo_unconfined_verifier::{UnconfinedConfig, UnconfinedVerifier};
use serde_json::json;

fn problem() -> Problem {
    let stdio = |stdin: &str, stdout: &str| json!({"kind": "stdio", "stdin": stdin, "stdout": stdout});
    let tests = json!([stdio("1 2\n", "3\n"), stdio("4 5\n", "9")]);
    serde_json::from_value(json!({"id": "sum", "prompt": "?", "tests": tests})).unwrap()
}

fn config() -> UnconfinedConfig {
    let shell = UnconfinedConfig::new("main.sh", ["/bin/sh", "main.sh"]);
    UnconfinedConfig { cpu_seconds: 1, wall_seconds: 3.0, output_bytes: 4096, ..shell }
}

fn judge(config: UnconfinedConfig, program: &str) -> Verdict {
    let verifier = UnconfinedVerifier::new(config).unwrap();
    verifier.verify(Submission::rewarded(&problem(), program)).unwrap()
}

#[test]
fn it_keeps_the_contract() {
    let verifier = UnconfinedVerifier::new(config()).unwrap();
    let right = "read a b; echo $((a + b))";
    testkit::verifier(verifier, &problem(), right, &["", "echo 3", "read a b; echo $a$b", "exit 3", "("]);
}

#[test]
fn verdicts_say_what_happened() {
    for (program, outcome, detail) in [
        ("read a b; echo $((a - b))", Outcome::Wrong, r#"test 1 of 2: printed "-1\n", not "3\n""#),
        ("read a b; echo 3", Outcome::Wrong, r#"test 2 of 2: printed "3\n", not "9""#),
        ("echo 3; exit 4", Outcome::Runtime, "test 1 of 2: exit status 4"),
        ("echo why >&2; exit 4", Outcome::Runtime, "test 1 of 2: \"why\""),
        ("kill -ABRT $$", Outcome::Runtime, "test 1 of 2: killed by signal 6"),
        ("while :; do :; done", Outcome::Timeout, "test 1 of 2: took more than 1 s of processor time"),
        ("sleep 60", Outcome::Timeout, "test 1 of 2: ran for more than 3 s"),
        ("while :; do echo more; done", Outcome::Output, "test 1 of 2: wrote more than 4096 bytes"),
        ("while :; do echo more >&2; done", Outcome::Output, "test 1 of 2: wrote more than 4096 bytes"),
        ("printf '\\377'", Outcome::Wrong, "test 1 of 2: printed bytes that are no UTF-8"),
    ] {
        let verdict = judge(config(), program);
        assert_eq!((verdict.outcome, verdict.detail.as_str()), (outcome, detail), "{program}");
    }
}

#[test]
fn it_builds_first_and_runs_all_if_told() {
    let build =
        ["/bin/sh", "-c", "grep -q bad source && { echo 'error: bad' >&2; exit 1; }; cp source main.sh"];
    let config = UnconfinedConfig {
        file: "source".into(),
        build: build.map(str::to_owned).to_vec(),
        run_all: true,
        ..config()
    };
    let verdict = judge(config.clone(), "bad");
    assert_eq!((verdict.outcome, verdict.detail.as_str()), (Outcome::Compile, "\"error: bad\""));
    let verdict = judge(config.clone(), "echo 9");
    assert_eq!((verdict.outcome, verdict.passed, verdict.total), (Outcome::Wrong, 1, 2));
    assert!(judge(config, "read a b; echo $((a + b))").passes());
}

#[test]
fn its_group_ends_with_it_and_nothing_of_ours_is_there() {
    // The sleeper holds standard output open; it is killed, and nobody waits for it.
    let begin = Instant::now();
    let verdict = judge(config(), "sleep 50 & read a b; echo $((a + b))");
    assert!(verdict.passes(), "{verdict:?}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    let verdict =
        judge(config(), "env | grep -v -e ^PATH= -e ^HOME= -e ^LANG= -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=");
    assert_eq!(verdict.detail, "test 1 of 2: exit status 1", "something else is in its environment");
    let verdict = judge(config(), "pwd; ls");
    assert!(verdict.detail.contains("pspo-unconfined-") && verdict.detail.contains("main.sh"), "{verdict:?}");
}

#[test]
fn what_it_cannot_do_is_an_error() {
    for (config, says) in [
        (UnconfinedConfig { run: vec![], ..config() }, "`run` = []"),
        (UnconfinedConfig { file: "../x".into(), ..config() }, "`file` = \"../x\""),
        (UnconfinedConfig { wall_seconds: f64::NAN, ..config() }, "`wall_seconds` = NaN"),
        (UnconfinedConfig { cpu_seconds: 0, ..config() }, "`cpu_seconds` = 0"),
    ] {
        let error = UnconfinedVerifier::new(config).err().expect("an error").to_string();
        assert!(error.contains(says), "{error}");
    }
    let call = json!([{"kind": "call", "function": "f", "arguments": [], "expected": 1}]);
    let problem: Problem = serde_json::from_value(json!({"id": "c", "prompt": "?", "tests": call})).unwrap();
    let verifier = UnconfinedVerifier::new(config()).unwrap();
    assert!(verifier.verify(Submission::rewarded(&problem, "")).is_err());
}
