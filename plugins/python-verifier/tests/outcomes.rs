//! Every kind of test, and what each outcome says.

use pspo::data::Problem;
use pspo::plugin::{CheckedVerifier, Outcome, Submission, Verdict, testkit};
use pspo::sandbox::Limits;
use pspo_python_verifier::{PythonConfig, PythonVerifier};
use serde_json::{Value, json};

fn verifier(config: PythonConfig) -> CheckedVerifier {
    CheckedVerifier::new(PythonVerifier::new(config).unwrap())
}

fn problem(tests: Value) -> Problem {
    serde_json::from_value(json!({"id": "p", "prompt": "?", "tests": tests})).unwrap()
}

fn add() -> Problem {
    let call =
        |a: i64, b: i64| json!({"kind": "call", "function": "add", "arguments": [a, b], "expected": a + b});
    problem(json!([call(1, 2), call(-1, 1), call(10, 5)]))
}

fn echo() -> Problem {
    let stdio = |stdin: &str| json!({"kind": "stdio", "stdin": stdin, "stdout": stdin});
    problem(json!([stdio("1 2\n"), stdio("é\n\n3")]))
}

fn asserts() -> Problem {
    problem(json!([
        {"kind": "assert", "code": "assert add(1, 2) == 3", "calls": ["add"]},
        {"kind": "assert", "code": "def check(f):\n    assert f(0.5, 0.25) == 0.75\n    assert f('a', 'b') == 'ab'\ncheck(add)"},
    ]))
}

#[test]
fn it_keeps_the_contract() {
    let verifier = || PythonVerifier::new(PythonConfig::default()).unwrap();
    testkit::verifier(
        verifier(),
        &add(),
        "def add(a, b):\n    return a + b",
        &[
            "",
            "def add(a, b):\n    return a - b",
            "def add(a, b):\n    return float(a + b)",
            "def add(a):\n  return",
            "x =",
        ],
    );
    testkit::verifier(
        verifier(),
        &echo(),
        "import sys\nsys.stdout.write(sys.stdin.read())",
        &["", "print(input())", "raise ValueError('é')", "exit(3)"],
    );
    testkit::verifier(
        verifier(),
        &asserts(),
        "def add(a, b):\n    return a + b",
        &["", "def add(a, b):\n    return a", "add = 3", "def add(a, b):\n    return [a + b]"],
    );
}

fn judge(problem: &Problem, program: &str) -> Verdict {
    let limits = Limits { cpu_seconds: 1.0, wall_seconds: 1.5, ..Limits::default() };
    let verifier = verifier(PythonConfig { limits, ..PythonConfig::default() });
    verifier
        .verify(Submission::rewarded(problem, program))
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

#[test]
fn verdicts_say_what_happened() {
    let in_call = |body: &str| format!("def add(a, b):\n    {body}");
    for (problem, program, outcome, detail) in [
        (add(), in_call("return a * b"), Outcome::Wrong, "test 1 of 3: returned \"2\", not \"3\""),
        (
            add(),
            in_call("return (a, {'b': b})"),
            Outcome::Wrong,
            "test 1 of 3: returned \"(1, {\\\"b\\\": 2})\", not \"3\"",
        ),
        (add(), "def add(a, b)".into(), Outcome::Compile, "test 1 of 3: SyntaxError: expected ':'"),
        (add(), "x = 1".into(), Outcome::Wrong, "test 1 of 3: it does not define `add`"),
        (
            add(),
            in_call("return a / 0"),
            Outcome::Runtime,
            "test 1 of 3: ZeroDivisionError: division by zero",
        ),
        (
            add(),
            in_call("return a + b if a > 0 else [][0]"),
            Outcome::Runtime,
            "test 2 of 3: IndexError: list index out of range",
        ),
        (add(), in_call("return [0] * (1 << 40)"), Outcome::Memory, "test 1 of 3: MemoryError"),
        (add(), in_call("while True: pass"), Outcome::Timeout, "test 1 of 3: ran for more than 1.5 s"),
        (
            echo(),
            "print('x' * (5 << 20))".into(),
            Outcome::Output,
            "test 1 of 2: wrote more than 4194304 bytes",
        ),
        (
            echo(),
            "print(1)\nimport ctypes\nctypes.string_at(0)".into(),
            Outcome::Runtime,
            "test 1 of 2: killed by signal 11",
        ),
        (echo(), "import sys\nprint(1, 2)\nsys.exit('bye')".into(), Outcome::Runtime, "test 1 of 2: bye"),
        (
            echo(),
            "def f(): f()\nf()".into(),
            Outcome::Runtime,
            "test 1 of 2: RecursionError: maximum recursion depth exceeded",
        ),
        (asserts(), in_call("return 3"), Outcome::Wrong, "test 2 of 2: AssertionError (line 2 of the test)"),
        (asserts(), in_call("raise KeyError(a)"), Outcome::Runtime, "test 1 of 2: KeyError: 1"),
    ] {
        let verdict = judge(&problem, &program);
        assert_eq!((verdict.outcome, verdict.detail.as_str()), (outcome, detail), "{program}");
    }
}

#[test]
fn all_tests_are_run_if_the_config_says_so() {
    let first = verifier(PythonConfig::default());
    let verifier = verifier(PythonConfig { run_all: true, ..PythonConfig::default() });
    assert!(verifier.counts_all() && !first.counts_all());
    for (program, passed) in [
        ("def add(a, b):\n    return a + b if a > 0 else None", 2),
        ("import os\ndef add(a, b):\n    return a + b if a > 0 else os._exit(0)", 2),
        ("def add(a, b):\n    return 3 / 0 if a == 1 else a + b", 2),
        ("1 / 0", 0),
    ] {
        let verdict = verifier.verify(Submission::rewarded(&add(), program)).unwrap();
        assert_eq!((verdict.passed, verdict.total), (passed, 3), "{program} {verdict:?}");
    }
}

#[test]
fn test_code_reaches_what_the_program_made() {
    let code = "
t = Tree(1)
t.left = Tree(2)
t.left.items.append(5)
assert t.left.value == 2 and depth(t) == 2 and t.left.items == []
assert [x for x in count(3)] == [0, 1, 2] and len(names) == 2 and names['a'] == {1, 2}
xs = [3, 1, 2]
assert order(xs) is None and xs == [1, 2, 3]
try:
    order(None)
    assert False
except AttributeError:
    pass
assert math.isclose(half(3), 1.5)
assert pair(int, [str]) == ([str], int)
squares = forever()
assert next(squares) == 0 and next(squares) == 1
for square in squares:
    if square > 20:
        break
assert square == 25 and next(squares) == 36 and next(count(0), 'none') == 'none'
assert [x for x, _ in zip(Forever(), range(3))] == [1, 1, 1] and sum(Three()) == 6
assert isinstance(t, Tree) and isinstance(t.left, Tree) and not isinstance(3, Tree) and isinstance(half(3), float)
assert pair(10**30, (1, [2.5, None], b'x')) == ((1, [2.5, None], b'x'), 10**30)
";
    let program = "
import math
class Tree:
    def __init__(self, value):
        self.value, self.left, self.items = value, None, []
def depth(t):
    return 1 + (depth(t.left) if t.left else 0)
def count(n):
    yield from range(n)
class Forever:
    def __iter__(self):
        while True:
            yield 1
class Three:
    def __iter__(self):
        return iter([1, 2, 3])
def forever():
    n = 0
    while True:
        yield n * n
        n += 1
names = {'a': {1, 2}, 'b': 3}
def order(xs):
    xs.sort()
def half(x):
    return x / 2
def pair(a, b):
    return b, a
";
    let verdict = judge(&problem(json!([{"kind": "assert", "code": code}])), program);
    assert_eq!(verdict.outcome, Outcome::Pass, "{verdict:?}");
}

#[test]
fn a_method_of_the_class_solution_is_called_where_there_is_no_such_function() {
    for (program, detail) in [
        (
            "class Solution:\n    n = 0\n    def add(self, a, b):\n        self.n += 1\n        return a + b * self.n",
            "",
        ),
        ("class Solution:\n    @staticmethod\n    def add(a, b):\n        return a + b", ""),
        ("class Solution:\n    def add(self, a, b):\n        return 0\ndef add(a, b):\n    return a + b", ""),
        (
            "class Solution:\n    def sub(self, a, b):\n        return 3",
            "test 1 of 3: it does not define `add`",
        ),
        ("class Other:\n    def add(self, a, b):\n        return 3", "test 1 of 3: it does not define `add`"),
        (
            "class Solution:\n    def __init__(self):\n        1 / 0\n    add = 3",
            "test 1 of 3: ZeroDivisionError: division by zero",
        ),
    ] {
        assert_eq!(judge(&add(), program).detail, detail, "{program}");
    }
}

#[test]
fn a_program_does_not_define_what_its_test_means() {
    let verifier = verifier(PythonConfig::default());
    let judge = |code: &str, program: &str| {
        let problem = problem(json!([{"kind": "assert", "code": code, "calls": ["solve"]}]));
        verifier.verify(Submission::rewarded(&problem, program))
    };
    // `inf` is neither the test's nor a builtin: the test is at fault, whatever the program says.
    let judged = judge("assert solve(1) == inf", "inf = 0\ndef solve(x): return 0");
    assert!(judged.unwrap_err().to_string().contains("the test uses `inf`"));
    let cheat = "class math:\n    isclose = lambda a, b: True\ndef solve(x): return 0";
    assert_eq!(judge("assert math.isclose(solve(1), 4.0)", cheat).unwrap().outcome, Outcome::Wrong);
    // What one test changes in the process that it runs in is not there for the next.
    let sets = "import decimal\ndecimal.getcontext().prec = 2\nassert solve(1) == 1";
    assert!(judge(sets, "def solve(x): return x").unwrap().passes());
    let needs = "import decimal\nassert str(decimal.Decimal(1) / 3) == solve(1)";
    assert!(judge(needs, "def solve(x): return '0.' + '3' * 28").unwrap().passes());
    // What is the same object there is the same here.
    let node = "class N:\n    pass\ndef solve(xs):\n    n = N()\n    n.me = n\n    return n";
    assert!(
        judge("n = solve([1])\nassert n.me == n and n.me.me == n and solve([1]) != n", node)
            .unwrap()
            .passes()
    );
    // All attributes are the program's.
    let account = "class A:\n    def __init__(self, n): self.number = n\n    def outward(self): return 5\ndef solve(n): return A(n)";
    assert!(judge("a = solve(7)\nassert a.number == 7 and a.outward() == 5", account).unwrap().passes());
}

#[test]
fn what_an_object_of_the_programs_is_the_program_knows() {
    let verifier = verifier(PythonConfig::default());
    let judge = |code: &str, program: &str| {
        let code = format!("from collections.abc import Iterator, Sized\nimport numbers, typing\n{code}");
        let problem = problem(json!([{"kind": "assert", "code": code, "calls": ["f", "C"]}]));
        verifier.verify(Submission::rewarded(&problem, program))
    };
    let (generator, object) = ("def f():\n    yield 1", "class C:\n    pass\ndef f():\n    return C()");
    for (code, program, outcome) in [
        ("assert isinstance(f(), Iterator) and not isinstance(f(), Sized)", generator, Outcome::Pass),
        (
            "assert isinstance(f(), (list, typing.Iterator)) and not isinstance(f(), list)",
            generator,
            Outcome::Pass,
        ),
        ("assert isinstance(f(), Iterator)", object, Outcome::Wrong),
        ("assert isinstance(f(), list)", object, Outcome::Wrong),
        ("assert isinstance(f(), object) and isinstance(int, type)", object, Outcome::Pass),
        (
            "x = f()\nassert type(x) is C and type(x) == type(f()) and type(x).__name__ == 'C'",
            object,
            Outcome::Pass,
        ),
        ("assert type(f()) is not C", object, Outcome::Wrong),
        ("assert type(f()) is list", object, Outcome::Wrong),
        ("T = type('T', (), {})\nassert type(f()) is not T and issubclass(T, object)", object, Outcome::Pass),
    ] {
        let verdict = judge(code, program).unwrap();
        assert_eq!(verdict.outcome, outcome, "{code} {verdict:?}");
    }
    for code in ["assert issubclass(type(f()), C)", "assert isinstance(f(), numbers.Number)"] {
        assert!(judge(code, object).unwrap_err().to_string().contains("the test asks whether"), "{code}");
    }
}

#[test]
fn a_checker_of_the_problems_decides() {
    let mut problem = echo();
    let code = "def check(stdin, expected, printed):\n    return sorted(printed.split()) == sorted(expected.split())";
    problem.matching = pspo::data::Matching::Checker { code: code.into() };
    assert!(judge(&problem, "import sys\nprint(*sys.stdin.read().split()[::-1])").passes());
    assert_eq!(judge(&problem, "print(1)").detail, "test 1 of 2: the checker says no");
    let code = "def check(stdin, expected, printed):\n    return len(range(int(printed))) > 0 and len(list(range(int(printed)))) > 0";
    problem.matching = pspo::data::Matching::Checker { code: code.into() };
    assert_eq!(judge(&problem, "print(1)").outcome, Outcome::Pass);
    assert!(judge(&problem, "print('x')").detail.contains("the checker cannot read it: ValueError"));
    assert_eq!(judge(&problem, "print('\\x01' * 4000000)").outcome, Outcome::Wrong);
    assert_eq!(judge(&problem, "print(10**10)").outcome, Outcome::Wrong);
    problem.matching = pspo::data::Matching::Checker { code: "def check(*_): return 1".into() };
    let verdict = verifier(PythonConfig::default()).verify(Submission::rewarded(&problem, "print(1)"));
    assert!(verdict.unwrap_err().to_string().contains("neither True nor False"));
}

#[test]
fn processor_time_is_limited_beside_the_clock() {
    // However busy the machine is, the processor time is used up first.
    let limits = Limits { cpu_seconds: 1.0, wall_seconds: 60.0, ..Limits::default() };
    let verifier = verifier(PythonConfig { limits, ..PythonConfig::default() });
    let verdict = verifier.verify(Submission::rewarded(&echo(), "while True: pass")).unwrap();
    assert_eq!(verdict.outcome, Outcome::Timeout);
    assert_eq!(verdict.detail, "test 1 of 2: took more than 1 s of processor time");
}

#[test]
fn nan_is_no_number_that_is_near_enough() {
    // As some benchmarks look for what is too far off.
    let code = "def near(a, b):\n    for x, y in zip(a, b):\n        if abs(x - y) > 1e-6: return False\n    return True\n";
    let verdict = |more: &str, program: &str| {
        let code = format!("{code}assert near(f(), [0.5, 1.5]){more}");
        judge(&problem(json!([{"kind": "assert", "code": code, "calls": ["f"]}])), program)
    };
    assert!(verdict("", "def f(): return [0.5, 1.5]").passes());
    let wrong = verdict("", "def f(): return [float('nan')] * 2");
    assert_eq!(wrong.outcome, Outcome::Wrong, "{wrong:?}");
    assert!(verdict(" # but for nan", "def f(): return [float('nan')] * 2").passes());
}

#[test]
fn a_prelude_is_there_before_the_program() {
    let prelude = "from math import *\nimport collections\ndef helper(): return [1]";
    let verifier = verifier(PythonConfig { prelude: prelude.into(), ..PythonConfig::default() });
    let root = json!({"kind": "call", "function": "root", "arguments": [9.0], "expected": 3.0});
    let script = json!({"kind": "script", "variables": {"x": 4.0}, "stdout": "2.0 [1]"});
    let outcome = |test: &Value, program: &str| {
        let problem = problem(json!([test]));
        verifier.verify(Submission::rewarded(&problem, program)).unwrap().outcome
    };
    assert_eq!(outcome(&root, "def root(x): return sqrt(x)"), Outcome::Pass);
    // It is made once; what a program does to it is gone with the program.
    assert_eq!(
        outcome(&script, "print(sqrt(x), helper())\nhelper.__code__ = (lambda: 2).__code__"),
        Outcome::Pass
    );
    assert_eq!(outcome(&script, "print(sqrt(x), helper())"), Outcome::Pass);
    assert_eq!(outcome(&script, "sqrt = 3\nprint(sqrt)"), Outcome::Wrong);
    let broken = PythonConfig { prelude: "import nothing_of_this_name".into(), ..PythonConfig::default() };
    let error = PythonVerifier::new(broken).err().unwrap().to_string();
    assert!(error.contains("ModuleNotFoundError: No module named 'nothing_of_this_name'"), "{error}");
}

/// Values of every kind that crosses as plain data, and some that do not.
const VALUES: &str = "
import collections, math

class Equal:
    def __eq__(self, other): return True

class Int(int):
    def __eq__(self, other): return True

VALUES = [
    None, True, False, 0, 1, 3, -1, 1.0, 0.5, 3.0000001, -0.0, 2**63, -2**63, 2**64, 1e19, 10**19, 10**300, 10**400,
    float('inf'), float('nan'), 1j, 1+0j, 3.5+0j, '', 'a', 'é', '\\ud800', b'', b'a', bytearray(b'a'),
    [], [1], [True], [1.0], [[1], 'a'], (), (1,), ([1], 'a'), set(), {1}, {1, 2}, frozenset([1, 2]),
    {}, {'a': 1}, {1: 'a'}, {(1, 2): [None]}, collections.OrderedDict(a=1), collections.Counter('a'),
    collections.defaultdict(list), collections.deque(), collections.deque([1]), range(0), range(3), range(3, 0, -1),
    int, math, object, object(), Equal(), Int(7), [Equal()], lambda: 1,
]

def f(number, twice=False):
    return VALUES[number]
";

/// What is read as calls and what a trusted process runs come to the same, for each assertion about each value.
#[test]
fn test_code_that_is_read_is_judged_as_python_judges_it() {
    let verifier = verifier(PythonConfig { run_all: true, ..PythonConfig::default() });
    let count = 62;
    for assertion in [
        "assert f(_) == 1",
        "assert f(_) != 1",
        "assert 1.0 == f(_)",
        "assert f(_) == 0.0",
        "assert f(_) == True",
        "assert f(_) == 9223372036854775808",
        "assert f(_) == -9223372036854775808",
        "assert f(_) == 1e19",
        "assert f(_) == 1e999",
        "assert f(_) == 1 + 0j",
        "assert f(_) == 'a'",
        "assert f(_) == b'a'",
        "assert f(_) == [1]",
        "assert f(_) == [[1], 'a']",
        "assert f(_, twice=None) == (1,)",
        "assert f(_) == ([1.0], 'a')",
        "assert f(_) == {1, 2, 1.0}",
        "assert f(_) == {}",
        "assert f(_) == {'a': 2, 'a': 1}",
        "assert f(_) == {(1, 2): [None]}",
        "assert f(_) is None",
        "assert f(_) is True",
        "assert f(_)",
        "assert not f(_)",
        "assert abs(f(_) - 3) < 1e-6",
        "assert abs(3.5 - f(_)) <= 0.5",
        "assert abs(f(_) - 2) < 1e200",
    ] {
        let passed = |more: &str| {
            let test = |number: usize| {
                let code = format!("{}{more}", assertion.replace('_', &number.to_string()));
                json!({"kind": "assert", "code": code, "calls": ["f"]})
            };
            let problem = problem((0..count).map(test).collect());
            let verdict = verifier.verify(Submission::rewarded(&problem, VALUES)).unwrap();
            (verdict.passed, verdict.detail.split(':').next().map(str::to_owned))
        };
        // `len` stands there to be in no form that is read.
        assert_eq!(passed(""), passed("\nlen"), "{assertion}");
    }
}
