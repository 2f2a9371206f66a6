use super::*;

fn read(program: &str) -> Result<Facts, Refused> {
    check(program, &Given::default())
}

#[test]
fn ordinary_programs_are_let_through() {
    for program in [
        "",
        "# nothing\n",
        "a = 3\nprint(a // 2, -a % 5, a ** 3, round(a))",
        "xs = [3, 1]\nxs.append(2)\nxs.sort(reverse=True)\nprint(xs[::-1], xs.pop(), max(xs), sum(xs))",
        "for i, x in enumerate([1, 2]):\n    print(f'{i}: {x:>3}')",
        "xs = [1, 2]\nfor i, x in enumerate(xs):\n    xs[i] = x + 1\nprint(xs)",
        "xs = [1, 2, 3]\nfor x in xs:\n    xs.remove(x)\nprint(xs)",
        "print(sum(x * x for x in range(3)), sorted(set([2, 1])), len({1, 2}), 3 in {1, 2})",
        "seen = set()\nfor x in [1, 1]:\n    if x not in seen:\n        seen.add(x)\nprint(len(seen))",
        "print(sorted(list(set([1]) | {2})), any(x > 1 for x in {1, 2}), {1} <= {1, 2})",
        "d = {}\nd['a'] = d.get('a', 0) + 1\nfor k, v in sorted(d.items(), key=lambda kv: -kv[1]):\n    print(k, v)",
        "a, b = map(int, '1 2'.split())\nprint(', '.join(str(x) for x in [a, b]), *map(str, [a]))",
        "def f(n: int, xs: list[int] = []) -> int:\n    return 1 if n < 2 else n * f(n - 1)\nprint(f(3))",
        "class Point:\n    def __init__(self, x):\n        self.x = x\n    def __repr__(self):\n        return f'P({self.x})'\nprint(Point(1))",
        "try:\n    print(1 // 0)\nexcept (ZeroDivisionError, KeyError):\n    print('no')\nfinally:\n    print('end')",
        "import math\nfrom collections import Counter, deque\nprint(math.gcd(4, 6) // 2, Counter('aab'), deque([1]))",
        "x = None\nprint(x is None, 1 / 4, 0.1 + 0.2, 3.0 ** 2)",
        "if __name__ == '__main__':\n    print(isinstance({1}, set), type(1) == int)",
        "list = [1, 2]\nprint(list)\nmax = 3",
    ] {
        assert!(read(program).is_ok(), "{program}: {:?}", read(program));
    }
}

#[test]
fn what_monty_does_otherwise_is_refused() {
    for program in [
        // Lists at once, where CPython gives iterators.
        "print(reversed([1]))",
        "m = map(str, [1])\nprint(list(m), list(m))",
        "g = (x for x in [1])",
        "print(zip([1], [2]))",
        "map(print, [1])",
        "print(len(filter(None, [1])))",
        "def f(x):\n    print(x)\nfor y in map(f, [1, 2]):\n    print(y)",
        "xs = [1, 2]\nfor i, x in enumerate(xs):\n    xs.pop()",
        "xs = [1, 2]\nfor i, x in enumerate(xs):\n    xs[i + 1] = x",
        "xs = [1, 2]\nfor i, x in enumerate(xs, 1):\n    xs[i] = x",
        "xs = [1, 2]\nfor x in reversed(xs):\n    xs += [x]",
        "try:\n    for y in (1 // x for x in [1, 0]):\n        print(y)\nexcept ZeroDivisionError:\n    pass",
        "print(next(iter([1])))",
        "print(any(print(x) for x in [1, 2]))",
        "xs = [1, 2]\nprint(any(xs.pop() > 0 for _ in [1, 2]))",
        "def seen(x):\n    print(x)\n    return True\nprint(any(seen(x) for x in [1, 2]))",
        // The order of a set.
        "print({1, 2})",
        "for x in set([2, 1]):\n    print(x)",
        "xs = [2, 1]\nprint(list(set(xs)))",
        "s = {1}\nt = s\nprint(t)",
        "s = {3, 1}\nprint(s.pop())",
        "print(sorted({'aa', 'b', 'c'}, key=len))",
        "print([x for x in {2, 1}])",
        "def f(xs):\n    return set(xs)\nprint(f([2, 1]))",
        "print(list(map(set, ['ab'])))",
        "print(f'{ {1, 2} }')",
        // Numbers.
        "print(1 // 0.1)",
        "print(1.1 ** 10)",
        "print(round(2.675, 2))",
        "print(divmod(7.5, 2))",
        "print(123456789012345678901 / 7)",
        "import math\nprint(math.factorial(30) / 3)",
        "import math\nprint(math.gamma(3))",
        // What hides that something is missing.
        "try:\n    x = 1\nexcept:\n    pass",
        "try:\n    x = 1\nexcept Exception:\n    pass",
        "try:\n    x = 1\nexcept (ValueError, TypeError):\n    pass",
        "try:\n    x = int('a')\nexcept ValueError as error:\n    print(error)",
        "ValueError = Exception\ntry:\n    x = 1\nexcept ValueError:\n    pass",
        "print(hasattr('', 'translate'))",
        // Other things that are not the same.
        "print('ab'.center(5))",
        "a = 1000\nb = 1000\nprint(a is b)",
        "print(hash('a'), id(1))",
        "import re",
        "from math import *",
        "class A:\n    def __len__(self):\n        return 0\nprint(bool(A()))",
        "class A(int):\n    pass",
        "def f(x: Undefined):\n    return x",
        "print(f.__name__)",
        "with open('x') as f:\n    pass",
        "print([y := 1, y])\nprint([y := x for x in [1]])",
        "def f(x):\n    print(x)\n    global y\n    y = x",
        "print(1, file=None)",
        "print(b'a')",
        "x = 1j",
        "del x",
        "x = f'{'a' + \"b\"}'",
    ] {
        assert!(matches!(read(program), Err(Refused::Differs(_))), "{program}: {:?}", read(program));
    }
}

#[test]
fn what_no_python_compiles_is_a_syntax_error() {
    for program in [
        "print(1",
        "x = ",
        "if x\n    pass",
        "for i in range(3):\nprint(i)",
        "x = 1\n    y = 2",
        "print 'a'",
        "return 1",
        "class = 3",
        "def f(a=1, b):\n    pass",
        "x = 'abc",
        "1 = x",
        "f(a=1, a=2)",
        "else:\n    pass",
    ] {
        assert!(matches!(read(program), Err(Refused::Syntax(_))), "{program}: {:?}", read(program));
    }
}

#[test]
fn what_is_given_counts() {
    let floats = Given { floats: true, ..Given::default() };
    assert!(check("print(a // 2)", &floats).is_err());
    assert!(check("print(a + 2)", &floats).is_ok());
    let large = Given { large_integers: true, ..Given::default() };
    assert!(check("print(a / 2)", &large).is_err());
    assert!(check("print(a // 2)", &large).is_ok());
    let input = Given { variables: vec!["input".into()], ..Given::default() };
    assert!(check("print(input)", &input).is_ok());
    assert!(read("print(input)").is_err());
}

#[test]
fn hostile_nesting_is_refused_without_harm() {
    // On a stack as large as a worker's.
    let work = || {
        for (open, times, close) in [
            ("(", 30_000, ")"),
            ("-", 60_000, ""),
            ("1+", 30_000, ""),
            ("not ", 10_000, ""),
            ("a.", 20_000, ""),
            ("lambda: ", 8_000, ""),
            ("[", 30_000, "]"),
            ("x if y else ", 5_000, ""),
            ("f'{", 100, "}'"),
        ] {
            let program = format!("{}1{}", open.repeat(times), close.repeat(times));
            assert!(read(&program).is_err(), "{open}");
        }
        let blocks: String = (0..25).map(|depth| format!("{}for x in y:\n", " ".repeat(depth))).collect();
        assert!(read(&format!("{blocks}{}pass", " ".repeat(25))).is_err());
        assert!(read(&"x = 1\n".repeat(20_000)).is_err());
        assert!(read("\0").is_err());
    };
    std::thread::Builder::new().stack_size(crate::workers::STACK_BYTES).spawn(work).unwrap().join().unwrap();
}
