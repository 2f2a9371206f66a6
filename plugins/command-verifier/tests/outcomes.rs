//! Programs in C++ and in the shell, and what each outcome says.

use pspo::data::Problem;
use pspo::plugin::{CheckedVerifier, Outcome, Submission, VerifyError, testkit};
use pspo::sandbox::Limits;
use pspo_command_verifier::{CommandConfig, CommandVerifier};
use serde_json::{Value, json};

fn problem(tests: Value) -> Problem {
    serde_json::from_value(json!({"id": "p", "prompt": "?", "tests": tests})).unwrap()
}

fn sum() -> Problem {
    let stdio = |stdin: &str, stdout: &str| json!({"kind": "stdio", "stdin": stdin, "stdout": stdout});
    problem(json!([stdio("1 2\n", "3\n"), stdio("20 5\n", "25\n")]))
}

#[test]
fn it_keeps_the_contract() {
    let shell = CommandConfig::new("main.sh", ["/bin/sh", "main.sh"]);
    let wrong = ["", "read a b; echo $a", "exit 1", "if", "cat /proc/1/environ"];
    testkit::verifier(CommandVerifier::new(shell).unwrap(), &sum(), "read a b; echo $((a + b))", &wrong);
}

const HEAD: &str = "#include <iostream>\n#include <vector>\n#include <unistd.h>\n#include <sys/ptrace.h>\nint f(int x) { volatile int y[1000]; y[0] = x; return f(x + 1) + y[0]; }\nint main() { long a, b; std::cin >> a >> b; ";

#[test]
fn cpp_programs_end_as_they_should() {
    let limits = Limits { cpu_seconds: 1.0, wall_seconds: 1.5, memory_bytes: 256 << 20, ..Limits::default() };
    let config = CommandConfig {
        limits,
        build_limits: Limits {
            wall_seconds: 20.0,
            cpu_seconds: 10.0,
            memory_bytes: 1 << 30,
            disk_bytes: 256 << 20,
            ..Limits::default()
        },
        ..CommandConfig::cpp()
    };
    let verifier = CheckedVerifier::new(CommandVerifier::new(config).unwrap());
    for (program, outcome, says) in [
        (format!("{HEAD} std::cout << a + b; }}"), Outcome::Pass, ""),
        (format!("{HEAD} std::cout << a; }}"), Outcome::Wrong, "test 1 of 2: printed \"1\", not \"3\\n\""),
        (format!("{HEAD} std::cout << a + c; }}"), Outcome::Compile, "was not declared"),
        (format!("{HEAD} while (true); }}"), Outcome::Timeout, "processor time"),
        (format!("{HEAD} sleep(100); }}"), Outcome::Timeout, "ran for more than 1.5 s"),
        (format!("{HEAD} std::cout << f(1); }}"), Outcome::Runtime, "killed by signal 11"),
        (format!("{HEAD} std::cout << *(int*)a; }}"), Outcome::Runtime, "killed by signal 11"),
        (format!("{HEAD} std::vector<std::vector<char>> v; for (;;) v.emplace_back(1 << 20, 'x'); }}"), Outcome::Memory, "bad_alloc"),
        (format!("{HEAD} while (true) std::cout << a; }}"), Outcome::Output, "wrote more than"),
        (format!("{HEAD} ptrace(PTRACE_TRACEME, 0, 0, 0); std::cout << a + b; }}"), Outcome::Tamper, "forbidden"),
        (format!("{HEAD} asm volatile(\"mov $101, %eax; syscall\"); std::cout << a + b; }}"), Outcome::Tamper, "forbidden"),
        (format!("{HEAD} while (fork() >= 0); sleep(100); }}"), Outcome::Processes, "processes and threads"),
        // bombs for the compiler
        ("#include \"/dev/zero\"\nint main() {}".into(), Outcome::Compile, ""),
        ("template <int N> struct T { typedef typename T<N + 1>::type type; }; int main() { T<0>::type x; }".into(), Outcome::Compile, ""),
        ("int a[1ull << 40] = {1}; int main(int c, char**) { return a[c]; }".into(), Outcome::Compile, ""),
        ("#include \"/etc/passwd\"\nint main() {}".into(), Outcome::Compile, "No such file"),
        ("int a[12 << 20] = {1}; int main() { return a[1]; }".into(), Outcome::Compile, "half of `disk_bytes`"),
    ] {
        let verdict = verifier.verify(Submission::rewarded(&sum(), &program)).unwrap();
        assert_eq!(verdict.outcome, outcome, "{program}\n{verdict:?}");
        assert!(verdict.detail.contains(says), "{program}\n{verdict:?}");
    }
}

#[test]
fn what_cannot_be_judged_is_an_error() {
    let call = problem(json!([{"kind": "call", "function": "f", "arguments": [], "expected": 1}]));
    let verifier = CommandVerifier::new(CommandConfig::new("a", ["/bin/true"])).unwrap();
    let judged = CheckedVerifier::new(verifier).verify(Submission::rewarded(&call, ""));
    assert!(matches!(judged, Err(VerifyError::Unsupported(_))));
    let missing = CommandVerifier::new(CommandConfig::new("a", ["/no/such/compiler"])).unwrap();
    let judged = CheckedVerifier::new(missing).verify(Submission::rewarded(&sum(), ""));
    assert!(matches!(judged, Err(VerifyError::Failed(what)) if what.contains("/no/such/compiler")));
    assert!(CommandVerifier::new(CommandConfig::new("a", Vec::<String>::new())).is_err());
}
