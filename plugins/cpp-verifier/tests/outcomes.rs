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
    problem(
        "?",
        json!([{"kind": "call", "function": function, "arguments": arguments, "expected": expected}]),
    )
}

fn judge(problem: &Problem, program: &str) -> Verdict {
    VERIFIER
        .verify(Submission::rewarded(problem, program))
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn add() -> Problem {
    let call =
        |a: i64, b: i64| json!({"kind": "call", "function": "add", "arguments": [a, b], "expected": a + b});
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
    let wrong = [
        "",
        "int add(int a, int b) { return a - b; }",
        "double add(int a, int b) { return a + b; }",
        "int add",
    ];
    testkit::verifier(verifier(), &add(), "int add(int a, int b) { return a + b; }", &wrong);
    let head = "#include <iostream>\nint main() { long a, b; std::cin >> a >> b;";
    let wrong = [
        format!("{head} }}"),
        format!("{head} std::cout << a; }}"),
        format!("{head} std::cout << a + b; return 1; }}"),
    ];
    let wrong: Vec<_> = wrong.iter().map(String::as_str).collect();
    testkit::verifier(verifier(), &sum(), &format!("{head} std::cout << a + b; }}"), &wrong);
    let wrong = [
        PROMPT.to_owned(),
        format!("{PROMPT} return 3; }}"),
        format!("{PROMPT} while (true); }}"),
        format!("{PROMPT} throw 1; }}"),
    ];
    let wrong: Vec<_> = wrong.iter().map(String::as_str).collect();
    testkit::verifier(verifier(), &asserts(), &format!("{PROMPT}{ADD}"), &wrong);
}

#[test]
fn verdicts_say_what_happened() {
    let call = |body: &str| {
        (
            add(),
            format!(
                "#include <sys/wait.h>\n#include <unistd.h>\nint f(int x) {{ volatile int y[1000]; y[0] = x; return f(x + 1) + y[0]; }}\nint add(int a, int b) {{ {body} }}"
            ),
        )
    };
    let assert = |body: &str| (asserts(), format!("{PROMPT} {body} }}"));
    let run = |body: &str| (sum(), format!("#include <iostream>\nint main() {{ {body} }}"));
    for ((problem, program), outcome, detail) in [
        (call("return a * b;"), Outcome::Wrong, "test 1 of 3: returned \"2\", not \"3\""),
        (call("return a + c;"), Outcome::Compile, "error: ‘c’ was not declared"),
        (call("return *(int*)nullptr;"), Outcome::Runtime, "test 1 of 3: killed by signal 11"),
        (call("return std::vector<int>(a).at(b);"), Outcome::Runtime, "what():  vector::_M_range_check"),
        (call("return std::vector<int>(1 << 30, a).size();"), Outcome::Memory, "std::bad_alloc"),
        (call("return f(a);"), Outcome::Runtime, "killed by signal 11"),
        (call("for (volatile int i = 0;; ++i); return a;"), Outcome::Timeout, ""),
        (call("sleep(9); return a;"), Outcome::Timeout, "ran for more than 1.5 s"),
        (call("exit(0);"), Outcome::Wrong, "exited before the tests were done"),
        (call("exit(3);"), Outcome::Runtime, "exit status 3"),
        (call("while (true) puts(\"more\");"), Outcome::Output, "wrote more than"),
        (call("while (fork() >= 0); sleep(9); return a;"), Outcome::Processes, "processes and threads"),
        (assert("return 3;"), Outcome::Wrong, "test 1 of 1: failed at line 5: add({}, 0.5) == 0"),
        (assert("return s;"), Outcome::Compile, "error: ‘s’ was not declared"),
        (assert("throw 1;"), Outcome::Runtime, "killed by signal 6"),
        (assert("for (volatile int i = 0;; ++i);"), Outcome::Timeout, ""),
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

const STD: &str = "#include <array>\n#include <deque>\n#include <list>\n#include <map>\n#include <optional>\n#include <set>\n#include <unordered_map>\nusing namespace std;\n";

/// Functions of every type that is plain data, in one program; those that are right, and those that are not.
#[test]
fn calls_take_and_return_plain_data() {
    let flags = ["-std=c++20", "-O0", "-lm"].map(str::to_owned).to_vec();
    let config = CppConfig { run_all: true, flags, ..CppConfig::default() };
    let verifier = CheckedVerifier::new(CppVerifier::new(config).unwrap());
    let mut program = STD.to_owned();
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for (number, (function, arguments, expected, outcome)) in [
        ("long long f(vector<vector<int>>& a, string s) { a.push_back({1}); return a.size() + s.size(); }", json!([[[], [1]], "é\""]), json!(6), Outcome::Pass),
        ("vector<string> f(const vector<string>& a) { return {a.rbegin(), a.rend()}; }", json!([["a", "b"]]), json!(["b", "a"]), Outcome::Pass),
        ("vector<string> f(vector<string> a) { return a; }", json!([[]]), json!([]), Outcome::Pass),
        ("double f(double a, float b) { return a * b; }", json!([1e300, 2]), json!(2e300), Outcome::Pass),
        ("float f(float a) { return a; }", json!([0.1]), json!(0.1), Outcome::Pass),
        ("double f(int a) { return a; }", json!([1]), json!(1), Outcome::Wrong),
        ("int f(double a) { return a; }", json!([1]), json!(1.0), Outcome::Wrong),
        ("int f(bool a) { return a; }", json!([true]), json!(true), Outcome::Wrong),
        ("bool f(bool a) { return !a; }", json!([true]), json!(false), Outcome::Pass),
        ("bool f(bool a) { return !a; }", json!([1]), json!(false), Outcome::Wrong),
        ("int f(int a) { return a; }", json!([2147483648_u64]), json!(2147483648_u64), Outcome::Wrong),
        ("unsigned long long f(unsigned long long a) { return a; }", json!([u64::MAX]), json!(u64::MAX), Outcome::Pass),
        ("int f(int a) { return a; }", json!([1.5]), json!(1), Outcome::Wrong),
        ("char f(char a) { return a + 1; }", json!(["a"]), json!("b"), Outcome::Pass),
        ("vector<char> f(string a) { return {a.begin(), a.end()}; }", json!(["ab"]), json!(["a", "b"]), Outcome::Pass),
        ("string f(string a) { return a + '\\xff'; }", json!(["a"]), json!("a"), Outcome::Wrong),
        ("double f(double a) { return a / 0; }", json!([0]), json!(0), Outcome::Wrong),
        ("map<string, vector<bool>> f(map<string, bool> a) { map<string, vector<bool>> b; for (auto [k, v] : a) b[k] = {v, !v}; return b; }", json!([{"x": true}]), json!({"x": [true, false]}), Outcome::Pass),
        ("unordered_map<int, int> f(int a) { return {{a, 1}}; }", json!([7]), json!({"7": 1}), Outcome::Pass),
        ("pair<int, tuple<char, double>> f(array<int, 2> a) { return {a[1], {'x', 0.5}}; }", json!([[1, 2]]), json!([2, ["x", 0.5]]), Outcome::Pass),
        ("pair<int, int> f(array<int, 2> a) { return {a[1], a[0]}; }", json!([[1, 2, 3]]), json!([2, 1]), Outcome::Wrong),
        ("optional<int> f(optional<int> a) { if (a) return nullopt; return 3; }", json!([null]), json!(3), Outcome::Pass),
        ("set<int> f(deque<int> a, list<int> b) { set<int> c(a.begin(), a.end()); c.insert(b.begin(), b.end()); return c; }", json!([[3, 1], [2]]), json!([1, 2, 3]), Outcome::Pass),
        ("void f(vector<int>& a) { a.clear(); }", json!([[1]]), json!(null), Outcome::Pass),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("f{number}");
        program += &function.replacen(" f(", &format!(" {name}("), 1);
        program += "\n";
        let test = json!({"kind": "call", "function": name, "arguments": arguments, "expected": expected});
        if outcome == Outcome::Pass { right.push(test) } else { wrong.push(test) }
    }
    for (tests, outcome) in [(right, Outcome::Pass), (wrong, Outcome::Wrong)] {
        let problem = problem("?", tests.into());
        let verdict = verifier.verify(Submission::rewarded(&problem, &program)).unwrap();
        assert_eq!(verdict.outcome, outcome, "{verdict:?}");
        assert_eq!(verdict.passed, if outcome == Outcome::Pass { problem.tests.len() } else { 0 });
    }
}

/// Functions whose types are found in other ways, and what programs have beside the function.
#[test]
fn calls_find_their_function() {
    for (program, arguments, expected, outcome) in [
        ("int f(int* a) { return *a; }", json!([1]), json!(1), Outcome::Compile),
        (
            "int f(int a, int b) { return a + b; } int f(int a) { return f(a, 1); }",
            json!([1]),
            json!(2),
            Outcome::Pass,
        ),
        ("int f(int a, int b = 5) { return a + b; }", json!([1]), json!(6), Outcome::Pass),
        ("auto f(int a) { return to_string(a); }", json!([1]), json!("1"), Outcome::Pass),
        ("int f(int&& a) noexcept;", json!([1]), json!(1), Outcome::Compile),
        (
            "class Solution { int n = 1; public: int f(vector<int>& a) { return a.size() + n++; } };",
            json!([[1]]),
            json!(2),
            Outcome::Pass,
        ),
        ("struct Solution { static int f(int a) { return a; } };", json!([3]), json!(3), Outcome::Pass),
        (
            "class Solution { public: int f(int a) const { return a; } }; // int f(int a)",
            json!([3]),
            json!(3),
            Outcome::Pass,
        ),
        ("class Solution { public: int g(int a) { return a; } };", json!([3]), json!(3), Outcome::Compile),
        (
            "#define int long long\nint f(vector<int> a) { return a[0] * 2; }\nsigned main() { cout << f({1}); }",
            json!([[1_u64 << 40]]),
            json!(1_u64 << 41),
            Outcome::Pass,
        ),
        (
            "#define read(x) cin >> x\n#define state 7\n#define auto 1\n#define return throw\nint f(int a) {\n#undef return\nreturn a + state; }",
            json!([1]),
            json!(8),
            Outcome::Pass,
        ),
        (
            "int read() { return 1; } int link(int) { return 2; } int f(int a) { return a + read() + link(1); } // \\",
            json!([1]),
            json!(4),
            Outcome::Pass,
        ),
        ("namespace { int f(int a) { return a; } }", json!([1]), json!(1), Outcome::Pass),
        (
            "int f(vector<int> a) { if (a.empty()) return 0; a.pop_back(); return 1 + f(a); } int main() { return f({}); }",
            json!([[1, 1]]),
            json!(2),
            Outcome::Pass,
        ),
    ] {
        let verdict = judge(&call("f", arguments, expected), &format!("{STD}{program}"));
        assert_eq!(verdict.outcome, outcome, "{program}\n{verdict:?}");
    }
}

#[test]
fn test_code_calls_across_a_channel() {
    let assert = |prompt: &str, code: &str, calls: Value| {
        problem(
            prompt,
            json!([{"kind": "assert", "code": format!("#include <assert.h>\n{code}"), "calls": calls}]),
        )
    };
    const TYPES: &str = "#include <map>\n#include <string>\n#include <vector>\nusing namespace std;\n";
    let rotate = assert(
        &format!("{TYPES}// in place\nvoid rotate(vector<int>& a, const int& by = 1) {{"),
        "int main() { vector<int> a = {1, 2, 3}; rotate(a); assert((a == vector<int>{2, 3, 1})); rotate(a, 2); assert(a[0] == 1); }",
        json!(["rotate"]),
    );
    let both = assert(
        &format!("{TYPES}map<char, float> count(string s);\nbool is_even(long n) {{"),
        "int main() { assert(count(\"aab\\xff\")['a'] == 2 && count(\"\").empty()); assert(is_even(1L << 40)); assert(!is_even(-1)); }",
        json!(["is_even", "count"]),
    );
    let subscript = assert(
        &format!("{TYPES}vector<int> f(int n) {{"),
        "int main() { assert(f(2)[1] == 1); }",
        json!(["f"]),
    );
    let narrow = assert("int f(int n) {", "int main() { assert(f(1) == 1); }", json!(["f"]));
    let body = "{ if (by > 0) { a.push_back(a[0]); a.erase(a.begin()); rotate(a, by - 1); } }";
    for (problem, program, outcome, says) in [
        (&rotate, format!("{TYPES}void rotate(vector<int>& a, int by) {body}"), Outcome::Pass, ""),
        (
            &rotate,
            format!("{TYPES}void rotate(vector<int> a, int by) {body}"),
            Outcome::Wrong,
            "line 2: (a == vector<int>{2, 3, 1})",
        ),
        (
            &both,
            format!(
                "{TYPES}map<char, float> count(string s) {{ map<char, float> c; for (char x : s) c[x]++; return c; }} bool is_even(long n) {{ return n % 2 == 0; }}"
            ),
            Outcome::Pass,
            "",
        ),
        (
            &both,
            format!("{TYPES}map<char, float> count(string s) {{ return {{}}; }}"),
            Outcome::Compile,
            "is_even",
        ),
        (&subscript, format!("{TYPES}vector<int> f(int n) {{ return {{0, 1}}; }}"), Outcome::Pass, ""),
        (
            &subscript,
            format!("{TYPES}vector<int> f(int n) {{ return {{}}; }}"),
            Outcome::Runtime,
            "with what it returned, the tests ended: killed by signal 6",
        ),
        (&narrow, "bool f(double n) { return n; }".into(), Outcome::Pass, ""),
        (&narrow, "void f(int n) {}".into(), Outcome::Wrong, "another type"),
        (&narrow, "struct A {}; A f(int n) { return {}; }".into(), Outcome::Compile, "aka ‘int’"),
    ] {
        let verdict = judge(problem, &program);
        assert_eq!(verdict.outcome, outcome, "{program}\n{verdict:?}");
        assert!(verdict.detail.contains(says), "{program}\n{verdict:?}");
    }
}

#[test]
fn what_cannot_be_judged_is_an_error() {
    let assert = |prompt: &str, code: &str| {
        problem(
            prompt,
            json!([{"kind": "assert", "code": format!("#include <assert.h>\n{code}"), "calls": ["f"]}]),
        )
    };
    let main = "int main() { f(1); }";
    for (problem, says) in [
        (assert("#include <no/such.hpp>\nint f(int n) {", main), "no/such.hpp"),
        (assert("struct A {}; int f(A n) {", main), "‘A’ was not declared"),
        (
            assert("#include <memory>\nint f(std::shared_ptr<int> n) {", "int main() {}"),
            "`std::shared_ptr<int>` is no plain data",
        ),
        (assert("int f(int* n) {", main), "`int* n`"),
        (assert("int g(int n) {", main), "the prompt must hold its head"),
        (assert("int f(int n) {", "int main() { return g(); }"), "‘g’ was not declared"),
        (assert("int f(int n) {", "int main() { abort(); }"), "killed by signal 6"),
        (problem("int f(int n) {", json!([{"kind": "assert", "code": main}])), "`calls`"),
        (call("f(); //", json!([]), json!(1)), "the name of a function"),
        (problem("?", json!([{"kind": "script", "variables": {}, "stdout": ""}])), "a test of this kind"),
    ] {
        match VERIFIER.verify(Submission::rewarded(&problem, "int f(int n) { return n; }")) {
            Err(error @ (VerifyError::Unsupported(_) | VerifyError::Failed(_))) => {
                assert!(error.to_string().contains(says), "{problem:?}: {error}");
            }
            other => panic!("{problem:?}: {other:?}"),
        }
    }
    let missing =
        CppVerifier::new(CppConfig { compiler: "/no/such/compiler".into(), ..CppConfig::default() });
    assert!(matches!(missing.err(), Some(VerifyError::Failed(what)) if what.contains("/no/such/compiler")));
    let flags = CppVerifier::new(CppConfig { flags: vec!["-std=c++2".into()], ..CppConfig::default() });
    assert!(matches!(flags.err(), Some(VerifyError::Failed(what)) if what.contains("-std=c++2")));
}

#[test]
fn nan_is_no_number_that_is_near_enough() {
    // As HumanEval-X looks for what is too far off.
    let prompt = "#include <vector>\n#include <math.h>\nusing namespace std;\nvector<float> halves(int n){\n";
    let near = "bool near(vector<float> a, vector<float> b) {\n  if (a.size() != b.size()) return false;\n  for (int i = 0; i < a.size(); i++) if (abs(a[i] - b[i]) > 1e-4) return false;\n  return true;\n}\n";
    let verdict = |more: &str, body: &str| {
        let code = format!(
            "#include <assert.h>\n{near}int main() {{ assert(near(halves(2), {{0.5, 0.5}})); }}{more}"
        );
        let problem = problem(prompt, json!([{"kind": "assert", "code": code, "calls": ["halves"]}]));
        judge(&problem, &format!("{prompt}return vector<float>(n, {body}); }}"))
    };
    assert!(verdict("", "0.5").passes());
    let wrong = verdict("", "NAN");
    assert_eq!(wrong.outcome, Outcome::Wrong, "{wrong:?}");
    assert!(verdict(" // but for NaN", "NAN").passes());
}
