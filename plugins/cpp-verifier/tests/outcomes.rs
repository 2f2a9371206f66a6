//! Every kind of test, and what each outcome says.

use std::sync::LazyLock;

use pspo::data::Problem;
use pspo::plugin::{CheckedVerifier, Outcome, Submission, Verdict, VerifyError, testkit};
use pspo::sandbox::Limits;
use pspo_cpp_verifier::{CppConfig, CppVerifier};
use serde_json::{Value, json};

static VERIFIER: LazyLock<CheckedVerifier> = LazyLock::new(|| {
    let limits = Limits { cpu_seconds: 1.0, wall_seconds: 1.5, memory_bytes: 256 << 20, ..Limits::default() };
    CheckedVerifier::new(CppVerifier::new(CppConfig { limits, ..CppConfig::default() }).unwrap())
});

fn problem(prompt: &str, tests: Value) -> Problem {
    serde_json::from_value(json!({"id": "p", "prompt": prompt, "tests": tests})).unwrap()
}

fn call(function: &str, arguments: Value, expected: Value) -> Problem {
    problem("?", json!([{"kind": "call", "function": function, "arguments": arguments, "expected": expected}]))
}

fn judge(problem: &Problem, program: &str) -> Verdict {
    VERIFIER
        .verify(Submission::rewarded(problem, program))
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn add() -> Problem {
    let call = |a: i64, b: i64| json!({"kind": "call", "function": "add", "arguments": [a, b], "expected": a + b});
    problem("?", json!([call(1, 2), call(-1, 1), call(10, 5)]))
}

fn sum() -> Problem {
    let stdio = |stdin: &str, stdout: &str| json!({"kind": "stdio", "stdin": stdin, "stdout": stdout});
    problem("?", json!([stdio("1 2\n", "3\n"), stdio("20 5\n", "25\n")]))
}

const PROMPT: &str = "/* Adds. f(x) */\n#include <vector>\nusing namespace std;\nint two() { return 2; }\nint add(vector<int> numbers, float scale){\n";

fn asserts() -> Problem {
    let code = "#undef NDEBUG\n#include <assert.h>\nint main() {\n  assert(add({1, 2}, 1) == 3);\n  assert (add({}, 0.5) == 0);\n  assert(add({20, 5}, two()) == 50);\n}";
    problem(PROMPT, json!([{"kind": "assert", "code": code, "calls": ["add"]}]))
}

const ADD: &str = "int s = 0; for (int n : numbers) s += n; return s * scale; }";

#[test]
fn it_keeps_the_contract() {
    let limits = Limits { cpu_seconds: 1.0, wall_seconds: 1.5, ..Limits::default() };
    let verifier = || CppVerifier::new(CppConfig { limits: limits.clone(), ..CppConfig::default() }).unwrap();
    let wrong = ["", "int add(int a, int b) { return a - b; }", "double add(int a, int b) { return a + b; }", "int add"];
    testkit::verifier(verifier(), &add(), "int add(int a, int b) { return a + b; }", &wrong);
    let head = "#include <iostream>\nint main() { long a, b; std::cin >> a >> b;";
    let wrong = [format!("{head} }}"), format!("{head} std::cout << a; }}"), format!("{head} std::cout << a + b; return 1; }}")];
    let wrong: Vec<_> = wrong.iter().map(String::as_str).collect();
    testkit::verifier(verifier(), &sum(), &format!("{head} std::cout << a + b; }}"), &wrong);
    let wrong = [PROMPT.to_owned(), format!("{PROMPT} return 3; }}"), format!("{PROMPT} while (true); }}"), format!("{PROMPT} throw 1; }}")];
    let wrong: Vec<_> = wrong.iter().map(String::as_str).collect();
    testkit::verifier(verifier(), &asserts(), &format!("{PROMPT}{ADD}"), &wrong);
}

#[test]
fn verdicts_say_what_happened() {
    let call = |body: &str| (add(), format!("#include <bits/stdc++.h>\nint f(int x) {{ volatile int y[1000]; y[0] = x; return f(x + 1) + y[0]; }}\nint add(int a, int b) {{ {body} }}"));
    let assert = |body: &str| (asserts(), format!("{PROMPT} {body} }}"));
    let run = |body: &str| (sum(), format!("#include <bits/stdc++.h>\nint main() {{ {body} }}"));
    for ((problem, program), outcome, detail) in [
        (call("return a * b;"), Outcome::Wrong, "test 1 of 3: returned \"2\", not \"3\""),
        (call("return a + c;"), Outcome::Compile, "error: ‘c’ was not declared"),
        (call("return *(int*)nullptr;"), Outcome::Runtime, "test 1 of 3: killed by signal 11"),
        (call("return std::vector<int>(a).at(b);"), Outcome::Runtime, "what():  vector::_M_range_check"),
        (call("return std::vector<int>(1 << 30, a).size();"), Outcome::Memory, "std::bad_alloc"),
        (call("return f(a);"), Outcome::Runtime, "killed by signal 11"),
        (call("for (volatile int i = 0;; ++i); return a;"), Outcome::Timeout, "processor time"),
        (call("sleep(9); return a;"), Outcome::Timeout, "ran for more than 1.5 s"),
        (call("exit(0);"), Outcome::Wrong, "exited before the tests were done"),
        (call("exit(3);"), Outcome::Runtime, "exit status 3"),
        (call("while (true) puts(\"more\");"), Outcome::Output, "wrote more than"),
        (call("while (fork() >= 0); sleep(9); return a;"), Outcome::Processes, "processes and threads"),
        (assert("return 3;"), Outcome::Wrong, "test 1 of 1: failed at line 5: add({}, 0.5) == 0"),
        (assert("return s;"), Outcome::Compile, "error: ‘s’ was not declared"),
        (assert("throw 1;"), Outcome::Runtime, "killed by signal 6"),
        (assert("for (volatile int i = 0;; ++i);"), Outcome::Timeout, "processor time"),
        (assert("std::vector<char> v(1 << 30); return v[5];"), Outcome::Memory, "std::bad_alloc"),
        (assert("std::exit(0);"), Outcome::Wrong, "exited before the tests were done"),
        (run("std::cout << 3; return 1;"), Outcome::Runtime, "exit status 1"),
        (run("std::cout << \"\\xff\";"), Outcome::Wrong, "no UTF-8"),
        (run("abort();"), Outcome::Runtime, "killed by signal 6"),
        (run("#"), Outcome::Compile, "error: stray ‘#’"),
    ] {
        let verdict = judge(&problem, &program);
        assert_eq!(verdict.outcome, outcome, "{program}\n{verdict:?}");
        assert!(verdict.detail.contains(detail), "{program}\n{verdict:?}");
    }
}
