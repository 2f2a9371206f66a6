use super::read::LONGEST;
use super::*;
use serde_json::json;

/// What the one assertion of `code` says of what a call returned.
fn passes(code: &str, got: Value) -> bool {
    let asks = asks(code, &["f".to_owned()]).unwrap_or_else(|| panic!("{code} is not read"));
    let [ask] = &asks[..] else { panic!("{code}: {asks:?}") };
    ask.judge(&Matching::Exact, &got).unwrap().is_ok()
}

#[test]
fn assertions_hold_as_in_python() {
    for (code, got, holds) in [
        ("assert f(1) == 2", json!(2), true),
        ("assert f(1) == 2", json!(2.0), true),
        ("assert 1 == f(1)", json!(true), true),
        ("assert f(1) == 2", json!({"object": [0, "int"]}), false),
        ("assert f(1) != 2", json!({"object": [0, "int"]}), true),
        ("assert f(1) != 2", json!(2), false),
        ("assert f() == [1, 2]", json!({"tuple": [1, 2]}), false),
        ("assert f() == (1, [2])", json!({"tuple": [1.0, [2]]}), true),
        ("assert f() == {1, 2, 1.0}", json!({"set": [2, 1]}), true),
        ("assert f() == {1, 2}", json!({"frozenset": [2, 2]}), false),
        ("assert f() == {'a': 1, 'a': 2}", json!({"OrderedDict": [["a", 2]]}), true),
        ("assert f() == {'a': 1}", json!({"dict": [["a", 2]]}), false),
        ("assert f() == {'a': 1}", json!({"dict": [["a"]]}), false),
        ("assert f() == b'\\x00a'", json!({"bytearray": "0061"}), true),
        ("assert f() == 'é' 'x'", json!("éx"), true),
        ("assert f() == 10000000000000000000", json!({"int": "0x8ac7230489e80000"}), true),
        ("assert f() == -0x8000000000000000", json!(i64::MIN), true),
        ("assert f() == -9223372036854775809", json!({"int": "-0x8000000000000001"}), true),
        ("assert f() == 1e999", json!({"float": "inf"}), true),
        ("assert f() == -2+2.5j", json!({"complex": [-2.0, 2.5]}), true),
        ("assert f() == 1 / 3.0", json!(1.0 / 3.0), true),
        ("assert f() == None", json!(null), true),
        ("assert f() is None", json!(null), true),
        ("assert f() is True", json!(1), false),
        ("assert f()", json!([0]), true),
        ("assert f()", json!({"range": [3, 3, 1]}), false),
        ("assert f()", json!({"type": "int"}), true),
        ("assert f()", json!({"object": [0, "Truthy"]}), false),
        ("assert not f()", json!({"object": [0, "Falsy"]}), false),
        ("assert not f()", json!({"dict": []}), true),
        ("assert not f()", json!(0.5), false),
        ("assert f()", json!([{"float": "nan"}]), false),
        ("assert f() != 1", json!({"float": "nan"}), false),
        ("assert abs(f() - 1.5) < 1e-6", json!(1.500_000_1), true),
        ("assert abs(f() - 1.5) < 1e-6", json!(1.501), false),
        ("assert abs(f() - 2) <= 0.5", json!(2.5), true),
        ("assert abs(f() - 2) < 0.5", json!({"float": "nan"}), false),
        ("assert abs(2 - f()) < 0.5", json!({"object": [0, "float"]}), false),
        ("assert abs(2 - f()) < 1e300", json!({"int": format!("0x1{}", "0".repeat(300))}), false),
        ("assert abs(2 - f()) < 0.5", json!("2"), false),
    ] {
        assert_eq!(passes(code, got.clone()), holds, "{code} of {got}");
    }
}

#[test]
fn a_check_is_read_where_it_is_called() {
    let code = "from typing import Any as Anything, List

METADATA = {'author': 'x', 'dataset': 'test'}

def check(candidate):
    \"\"\"What it says.\"\"\"
    assert True, 'always'
    assert candidate([1], key=(2, None)) == 3, 'the first'
    pass
    assert candidate(-1) \\
        == 4

check(f)
";
    let asks = asks(code, &["f".to_owned()]).unwrap();
    let with = json!([[[1]], {"key": {"tuple": [2, null]}}]);
    assert_eq!(asks[0].message(3), json!({"id": 3, "do": "call", "target": "f", "with": with}));
    let wrong = |ask: &Ask| ask.judge(&Matching::Exact, &json!([5])).unwrap().unwrap_err();
    let what = "returned \"[5]\", not \"3\" (line 8 of the test: \"the first\")";
    assert_eq!(wrong(&asks[0]), (Outcome::Wrong, what.to_owned()));
    let what = "returned \"[5]\", not \"4\" (line 10 of the test)";
    assert_eq!(wrong(&asks[1]), (Outcome::Wrong, what.to_owned()));
}

#[test]
fn other_test_code_is_not_read() {
    for code in [
        "assert g(1) == 2",
        "x = 3\nassert f(x) == 2",
        "f = len\nassert f([]) == 0",
        "def f(x): return x\nassert f(1) == 1",
        "abs = f\nassert abs(f() - 1) < 0.5",
        "def check(abs):\n    assert abs(f() - 1) < 0.5\ncheck(f)",
        "def check(c):\n    for x in range(3):\n        assert c(x) == x\ncheck(f)",
        "def check(c, d=1):\n    assert c(1) == 2\ncheck(f)",
        "@wrapped\ndef check(c):\n    assert c(1) == 2\ncheck(f)",
        "def check(c):\n    return\n    assert c(1) == 2\ncheck(f)",
        "check(f)\ndef check(c):\n    assert c(1) == 2",
        "import math\nassert f(1) == math.pi",
        "import numpy\nassert f(1) == 2",
        "from typing import List as f\nassert f(1) == 2",
        "from typing import *\nassert f(1) == 2",
        "from typing import Lisp\nassert f(1) == 2",
        "from math import pi\nassert f(1) == 2",
        "from .typing import List\nassert f(1) == 2",
        "assert f(f(1)) == 2",
        "assert f(1) == f(2)",
        "assert f(*[1]) == 2",
        "assert f(**{'a': 1}) == 2",
        "assert f(1) == 2 == 2",
        "assert f(1) == 2 # or NaN",
        "assert f(a=1, b=2) == 2",
        "assert f(1) == '''a\r\nb'''",
        "assert abs(f() - 10**18 * 100) < 0.5",
        "assert abs(f() - 9223372036854775807) < 0.5",
        "assert abs(f() - 100000000000000000000) < 0.5",
        "assert f(1) is 1",
        "assert f(1) < 2",
        "assert sorted(f(1)) == [2]",
        "assert False",
        "assert True",
        "def check(c):\n    pass\ncheck(f)",
        "assert f(1) == 10**18 * 10",
        "assert f(1) == 'a' * 3",
        "assert f(1) == '\\ud800'",
        "assert f(1) == {[]}",
        "assert f(1) == 1 / 0",
        "assert f(1) == 5 ** -1",
        "assert f(1) == f'{1}'",
        "assert f(1) == ",
        "print(f(1))",
        "while True: pass",
    ] {
        assert_eq!(asks(code, &["f".to_owned()]), None, "{code}");
    }
    assert!(asks(&format!("assert f() == {}", "[".repeat(LONGEST)), &["f".to_owned()]).is_none());
    assert!(
        asks(&format!("assert f() == {}{}", "[".repeat(20_000), "]".repeat(20_000)), &["f".to_owned()])
            .is_none()
    );
    // However deep it is, no stack overflows.
    let deep = |more: &str| format!("assert f() == 1{}", more.repeat((LONGEST - 20) / more.len()));
    assert!(asks(&deep("+1"), &["f".to_owned()]).is_some());
    for more in ["()", ".a", "[0]", "-x", " if 1 else 1", " or 1"] {
        assert!(asks(&deep(more), &["f".to_owned()]).is_none(), "{more}");
    }
    for more in ["-", "(", "not ", "lambda:"] {
        assert!(
            asks(&format!("assert f() == {}1", more.repeat(LONGEST / 10)), &["f".to_owned()]).is_none(),
            "{more}"
        );
    }
}

#[test]
fn what_is_large_or_deep_is_compared_item_by_item() {
    // Dicts within dicts, which a comparison in both directions would look at 2⁴⁰ times.
    let (mut code, mut got) = ("0".to_owned(), json!(0));
    for _ in 0..40 {
        code = format!("{{1: {code}}}");
        got = json!({"dict": [[1, got]]});
    }
    assert!(passes(&format!("assert f() == {code}"), got.clone()));
    assert!(passes(&format!("assert f() != {code}"), json!({"dict": [[1, got]]})));
    // A large set, and keys that a forgery has many times.
    let numbers: Vec<_> = (10_000..19_000).collect();
    let set = format!("{{{}}}", numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(","));
    assert!(passes(&format!("assert f() == {set}"), json!({"set": numbers})));
    let mut other = numbers.clone();
    other[8_999] = 0;
    let keys = (1..100).map(|key| format!("{key}: 1")).collect::<Vec<_>>().join(",");
    let forged: Vec<_> = (0..100).map(|_| json!([0, {"set": other}])).collect();
    assert!(!passes(&format!("assert f() == {{0: {set}, {keys}}}"), json!({"dict": forged})));
}
