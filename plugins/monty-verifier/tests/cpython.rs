//! Agreement with CPython: generated programs run by both print the same, or fail the same way.
//!
//! The programs are drawn from what a small policy writes: integers, lists and strings, `print`, `if`
//! and `for`, and the mistakes that go with them. What is not judged counts as agreement, as long as it
//! is little.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::programs::program;
use common::{problem, script, verifier};
use pspo::data::Seed;
use pspo::plugin::{CheckedVerifier, Outcome, Submission, VerifyError};
use serde_json::{Value, json};

const PROGRAMS: u64 = 400;

/// Runs each program of a JSON list, and prints a list of what it printed and what it raised.
const RUN_ALL: &str = r"
import contextlib, io, json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
results = []
for source, variables in json.load(sys.stdin):
    printed, raised = io.StringIO(), None
    try:
        code = compile(source, 'program', 'exec')
        with contextlib.redirect_stdout(printed):
            exec(code, {'__name__': '__main__', **variables})
    except BaseException as error:
        raised = type(error).__name__
    results.append([printed.getvalue(), raised])
json.dump(results, sys.stdout)
";

fn variables() -> Value {
    json!({"a": 3, "b": -7, "n": 12, "xs": [5, 3, -2, 8], "ys": [1, 1], "s": "Hello"})
}

fn run_by_cpython(programs: &[String]) -> Vec<(String, Option<String>)> {
    let mut python = Command::new("python3")
        .args(["-W", "ignore", "-c", RUN_ALL])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there to compare with");
    let input: Vec<_> = programs.iter().map(|program| (program, variables())).collect();
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(serde_json::to_string(&input).unwrap().as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Programs, most of them with a mistake, that must be judged and as CPython runs them.
const JUDGED: &[&str] = &[
    "print(-7 // 2, -7 % 3, 7 // -2, 7 % -3, divmod(-7, 2), 2 ** 10, -2 ** 2)",
    "print([3, 1, 2][::-1], [1, 2, 3][-2:], [1, 2, 3][5:], 'abc'[::2])",
    "print(f'{a:>5}|{a:<5}|{a:^5}|{a:05}|{-a:+}|{1000000:,}|{255:x}|{255:b}|{0.5:.1%}|{2.675:.2f}|{s!r:>8}|{a=}')",
    "print(0.1 + 0.2, 1 / 3, 1e16, 1e-5, 5.0, -0.0, 1e100, 2.5 * 2, round(2.5), int(-3.7))",
    "print('{} {:>3}'.format(1, 'a'), 'a,b,,c'.split(','), ' a  b '.split(), 'x'.join('abc'))",
    "print(sorted(['b', 'A', 'c'], key=lambda w: w.lower()), max('abc'), min([[2], [1, 5]]))",
    "d = {'b': 1, 'a': 2}\nprint(d, list(d), d.pop('b'), d.get('z', 0), {**d, 'q': 1}, sorted(d.items()))",
    "print(True == 1, isinstance(True, int), [True] == [1], not [], None or 'x', 1 < 2 < 3)",
    "def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\nprint([f(i) for i in range(15)])",
    "def f(a, b=2, *c, d=4, **e):\n    return (a, b, c, d, e)\nprint(f(1), f(1, 2, 3, d=5, z=6), f(*[1, 2]))",
    "for i in range(5):\n    if i == 1:\n        continue\n    if i == 3:\n        break\n    print(i)\nelse:\n    print('no')",
    "from collections import Counter, defaultdict, deque\nc = Counter('abracadabra')\nprint(c, c.most_common(2))\nd = defaultdict(list)\nd['a'].append(1)\nprint(d)\nq = deque([1, 2], maxlen=2)\nq.append(3)\nprint(q)",
    "import math\nprint(math.gcd(12, 18), math.sqrt(2), math.floor(-1.5), math.pi, math.log(10), math.sin(1))",
    "class P:\n    def __init__(self, x):\n        self.x = x\n    def __repr__(self):\n        return f'P({self.x})'\n    def __eq__(self, other):\n        return self.x == other.x\nprint(P(1), [P(2)], P(1) == P(1))",
    "try:\n    print(int('x'))\nexcept ValueError:\n    print('caught')\nfinally:\n    print('end')",
    "n = 0\ndef up():\n    global n\n    n += 1\nup()\nup()\nprint(n)",
    "xs = [1, 2, 3, 4]\nfor x in xs:\n    xs.remove(x)\nprint(xs)",
    "zs = xs\nzs += [1]\nprint(xs, zs is None)",
    "print(2 ** 100, -2 ** 63, 10 ** 30 // 7, 123456789 ** 5 % 97, 1 << 70, ~5, 6 ^ 3)",
    "print(1 + 'a')",
    "print('a' + 1)",
    "print([1] + 1)",
    "xs.push(3)",
    "s.append(3)",
    "None.append(3)",
    "print(undefined)",
    "def f():\n    y += 1\nf()",
    "a()",
    "len(3)",
    "for i in 3:\n    pass",
    "x, y = 1",
    "x, y = [1, 2, 3]",
    "x, y = [1]",
    "print(a[0])",
    "print(xs['a'])",
    "print(xs[9])",
    "print(s[9])",
    "print({}['a'])",
    "print({[]: 1})",
    "print(sorted([1, 'a']))",
    "print('a' < 1)",
    "print(1 // 0)",
    "print(1.5 / 0)",
    "print(int('1.5'))",
    "print(float('abc'))",
    "print(min([]))",
    "print([].pop())",
    "print([1].index(2))",
    "[1].remove(2)",
    "print(range('a'))",
    "s[0] = 'x'",
    "def f(x):\n    return x\nf()",
    "def f(x):\n    return x\nf(1, 2)",
    "def f(x):\n    return x\nf(y=1)",
    "print(-'a', abs('a'))",
    "print(3 in 4)",
    "class A:\n    pass\nA().x",
    "xs.insert()",
    "xs.insert(1, 2, 3)",
    "xs.pop(1, 2)",
    "xs.reverse(1)",
    "xs.sort(a)",
    "xs.index()",
    "xs.clear(1)",
    "xs.copy(1)",
    "xs.append()",
    "print(max())",
    "print(min())",
    "print(sum())",
    "print(len())",
    "for i in range():\n    pass",
    "for i in range(1, 2, 3, 4):\n    pass",
    "print(sorted())",
    "print(isinstance(1))",
    "print(divmod(1))",
    "raise TypeError('mine')",
    "raise RuntimeError",
    "assert a == 4, 'no'",
    "def f(n):\n    return f(n + 1)\nf(0)",
    "d = {1: 1}\nfor k in d:\n    d[k + 1] = 1",
    "print(','.join([1, 2]))",
    "print(ord('ab'))",
    "print(chr(-1))",
    "break",
    "def f(x, x):\n    pass",
    "  x = 1",
    "if a:\nprint(1)",
    "print((1)",
    "x = 'abc",
    "print 1",
    "a = = 1",
    "for i in range(3) print(i)",
    "return a",
];

/// Programs that CPython runs to their end and monty does not, or not in the same way.
const NOT_JUDGED: &[&str] = &[
    "print(True + 1, sum([True, False]))",
    "xs += (2,)\nprint(xs)",
    "xs[0:1] = [9]\nprint(xs)",
    "xs[0], xs[1] = xs[1], xs[0]\nprint(xs)",
    "print('%d %s' % (a, s))",
    "print(dict.fromkeys(xs))",
    "print('abc'.translate({97: 98}))",
    "print((5).bit_length())",
    "print(list.copy(xs))",
    "def f(n):\n    return 0 if n == 0 else 1 + max(map(f, [n - 1]))\nprint(f(50))",
    "print(callable(print))",
    "print(any(x > 5 for x in range(10 ** 9)))",
    "print(any(10 // x > 5 for x in [1, 0]))",
    "for x in (10 // x for x in [1, 0]):\n    break\nprint(x)",
    "del a\nprint(b)",
    "def f():\n    yield 1\nprint(*f())",
    "import random\nprint(1)",
    "print(float(2 ** 70))",
    "print(pow(3, -1, 7))",
    "match a:\n    case 3:\n        print(a)",
    "print(list(map(lambda x: x, reversed(xs))), reversed(xs) is None)",
    "print('+'.join(str(i) for i in range(300)), eval('+'.join(str(i) for i in range(300))))",
];

#[test]
fn written_programs_mean_the_same_to_cpython() {
    let programs: Vec<_> = JUDGED.iter().map(|program| (*program).to_owned()).collect();
    let verifier = CheckedVerifier::new(verifier());
    for (program, (stdout, error)) in programs.iter().zip(run_by_cpython(&programs)) {
        let problem = problem(json!([script(variables(), &stdout)]));
        let verdict = verifier.verify(Submission::rewarded(&problem, program));
        let verdict = verdict.unwrap_or_else(|error| panic!("{program}\n{error}"));
        let expected = expected_outcome(error.as_deref());
        assert_eq!(verdict.outcome, expected, "{program}\n{verdict:?}, CPython: {error:?} {stdout:?}");
        if expected == Outcome::Runtime {
            let error = error.unwrap_or_default();
            assert!(verdict.detail.contains(&error), "{program}\n{verdict:?}, CPython: {error}");
        }
    }
}

#[test]
fn what_monty_lacks_is_no_verdict() {
    let programs: Vec<_> = NOT_JUDGED.iter().map(|program| (*program).to_owned()).collect();
    let verifier = CheckedVerifier::new(verifier());
    for (program, (stdout, error)) in programs.iter().zip(run_by_cpython(&programs)) {
        assert_eq!(error, None, "CPython on {program}");
        let problem = problem(json!([script(variables(), &stdout)]));
        let judged = verifier.verify(Submission::rewarded(&problem, program));
        assert!(matches!(judged, Err(VerifyError::Unsupported(_))), "{program}\n{judged:?}");
    }
}

fn expected_outcome(error: Option<&str>) -> Outcome {
    match error {
        None => Outcome::Pass,
        Some("SyntaxError" | "IndentationError") => Outcome::Compile,
        Some(_) => Outcome::Runtime,
    }
}

#[test]
fn generated_programs_mean_the_same_to_cpython() {
    let seed = Seed::root(1).child("programs");
    let programs: Vec<_> = (0..PROGRAMS).map(|index| program(&mut seed.index(index).rng())).collect();
    let verifier = CheckedVerifier::new(verifier());
    let (mut passed, mut raised, mut unsupported) = (0, 0, 0);
    for (program, (stdout, error)) in programs.iter().zip(run_by_cpython(&programs)) {
        let right = problem(json!([script(variables(), &stdout)]));
        let verdict = match verifier.verify(Submission::rewarded(&right, program)) {
            Ok(verdict) => verdict,
            Err(_) => {
                unsupported += 1;
                continue;
            }
        };
        let expected = expected_outcome(error.as_deref());
        assert_eq!(verdict.outcome, expected, "{program}\n{verdict:?}, CPython: {error:?} {stdout:?}");
        match error {
            Some(error) if verdict.outcome == Outcome::Runtime => {
                assert!(verdict.detail.contains(&error), "{program}\n{verdict:?}, CPython: {error}");
                raised += 1;
            }
            Some(_) => {}
            None => {
                // Another output is another verdict: the comparison above can fail.
                let wrong = problem(json!([script(variables(), &format!("{stdout}?"))]));
                let verdict = verifier.verify(Submission::rewarded(&wrong, program)).unwrap();
                assert_eq!(verdict.outcome, Outcome::Wrong, "{program}");
                passed += 1;
            }
        }
    }
    assert!(passed >= 200 && raised >= 20, "{passed} passed and {raised} raised: too few to tell");
    assert!(unsupported <= PROGRAMS / 20, "{unsupported} of {PROGRAMS} were not judged");
}
