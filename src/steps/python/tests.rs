//! Programs and what their lines hold. On those that are valid, CPython 3.13's `tokenize` and `ast` agree.

use super::{LineKind, scan};

/// One letter a line: `.` blank, `#` comment, `c` code; in upper case `C` where the statement goes on,
/// and so `%` for a comment and `:` for a blank line.
fn letters(program: &str) -> String {
    let letter = |line: super::Line| match (line.kind, line.continues) {
        (LineKind::Blank, false) => '.',
        (LineKind::Blank, true) => ':',
        (LineKind::Comment, false) => '#',
        (LineKind::Comment, true) => '%',
        (LineKind::Code, false) => 'c',
        (LineKind::Code, true) => 'C',
    };
    scan(program).into_iter().map(letter).collect()
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (program, expected) in cases {
        assert_eq!(letters(program), *expected, "{program}");
    }
}

#[test]
fn comments_are_lines_without_code() {
    check(&[
        ("", ""),
        ("\n", "."),
        ("# a", "#"),
        ("x = 1  # note\n  # b\n\ny", "c#.c"),
        ("x = '# a'\nprint('#', \"#\")\n", "cc"),
        ("x = 'it\\'s # a'\n# b\n", "c#"),
        ("\u{feff}# a\nx", "#c"),
        ("\x0c# a\n", "#"),
        ("# a\\\nx\n", "#c"),      // a backslash does not join comments
        ("x = \\\n# a\ny", "C#c"), // nor does a joined line hide one
        ("# a\r\nx\r\n# b\r\n", "#c#"),
        ("é = 1\n# é\n'é' # é\n", "c#c"),
    ]);
}

#[test]
fn a_carriage_return_hides_no_code() {
    check(&[("# a\rx = 1\n# b\n", "c#"), ("# a\r# b\nx", "#c"), ("f(\rx)\ny", "cc"), ("x\rf(\n)\ny", "Ccc")]);
}

#[test]
fn lines_inside_a_string_are_code() {
    check(&[
        ("s = '''\n# a\n\nb'''\n# c\n", "CC:c#"),
        ("x\n'''\n# a\n'''\n", "cCCc"),
        ("s = \"\"\"a\n'''\n# b\n\"\"\"\n# c", "CCCc#"),
        ("s = '''\n# never closed", "Cc"),
        ("s = 'never closed\n# a\n", "c#"),
        ("s = 'joined \\\n# a'\n# b", "Cc#"),
        ("s = 'joined \\\r\n# a'\r\n# b", "Cc#"),
        ("s = r'\\'\n# a", "c#"),
        ("s = '''\\'''\n# a'''\n# b", "Cc#"),
        ("s = ''\n# a\n", "c#"),
        ("s = ''''a'\n# b'''\n# c", "Cc#"),
    ]);
}

#[test]
fn docstrings_are_comments() {
    check(&[
        ("'''a\n# b\n\nc'''\nx", "%%:#c"),
        ("# a\n\n'b'\nx", "#.#c"),
        ("def f():\n  '''a\n  b'''\n  x", "c%#c"),
        ("def f(\n  a: int = 1,\n) -> {1: 2}[1]:\n\n  # a\n  'b'\n  x", "CCc.##c"),
        ("async def f():\n  'a'", "c#"),
        ("class A(B):\n\tr'''a\n\t'''\n\tdef f(self):\n\t\tU'b'", "c%#c#"),
        ("def f(): '''a\nb'''\nx", "C#c"),
        ("'a' 'b' \\\n 'c'\nx", "%#c"),
        ("'a'  # b\nx", "#c"),
        ("'''a\nb'''; x = 1\ny", "%cc"),
        ("def f():\n  '''never closed\n  b", "c%#"),
        ("def f():\n  '''a'''", "c#"),
    ]);
}

#[test]
fn other_strings_are_no_docstrings() {
    check(&[
        ("x\n'a'\n", "cc"),
        ("'a'\n'b'\n", "#c"),
        ("'a'; 'b'\n'c'", "cc"),
        ("'''a\nb'''.strip()\nx", "Ccc"),
        ("'a' + \\\n'b'\n", "Cc"),
        ("f'a'\n", "c"),
        ("b'a'\n", "c"),
        ("rb'''\n'''\n", "Cc"),
        ("('a')\n", "c"),
        ("if x:\n  'a'\n", "cc"),
        ("async with x:\n  'a'\n", "cc"),
        ("def f():\n'a'\n", "cc"), // not indented, so not the body
        ("  def f():\n  'a'\n", "cc"),
        ("def f():\n  x\n  'a'\n", "ccc"),
        ("classes = {}\ndef_ = lambda:\\\n  'a'\n", "cCc"),
        ("x = [def f():\n  'a'\n", "Cc"), // never closed: all is one statement
    ]);
}

#[test]
fn formatted_strings_may_hold_their_own_quotes() {
    // By the older rule, each of these would leave a bracket open.
    check(&[
        ("print(f'{d['#']}') # a\n# b", "c#"),
        ("print(f\"{\"(\".join(a)}\")\n# b", "c#"),
        ("print(f'{f'{'#'}'}')\n# b", "c#"),
        ("print(f'{a:(>{c['#']}}')\n# b", "c#"), // a bracket in a format specification is text
        ("print(f'\\{d['#']}')\n# b", "c#"),     // a backslash does not escape a brace
        ("print(f'''{\na['''#''']\n}\n# b''')\n# c", "CCCc#"),
        ("print(f'{{ {d['#']}')\n# b", "c#"), // a doubled brace begins no field
    ]);
    check(&[
        ("x = rf'{a}\\'\n# b'\n", "c#"),
        // Broken or older ones end at their first quote.
        ("print(f'{x')\n# b", "c#"),
        ("x = f'{' + '}'\n# b", "c#"),
        ("x = f'''{a\n# b'''\n# c", "Cc#"),
        ("x = f'{a", "c"),
        ("x = f'{a\\", "c"),
    ]);
    let deep = "f'{".repeat(10_000);
    assert_eq!(letters(&deep), "c");
}

#[test]
fn statements_go_on_in_brackets_and_after_backslashes() {
    check(&[
        ("f(a,\n\n  # b\n  c)\nx", "C:%cc"),
        ("x = 1 + \\\n  2\ny", "Ccc"),
        ("x = 1 + \\\n\ny", "C.c"),
        ("x = 1 \\ \ny", "cc"), // a blank behind the backslash: an error in Python, no join
        ("f(')')\nx", "cc"),
        ("f(  # )\n)\nx", "Ccc"),
        (")\nf(\n)\n", "cCc"),
        ("[\n{\n(", "CCc"),
    ]);
}

#[test]
fn spans_tile() {
    for program in crate::plugin::testkit::HARD_PROGRAMS {
        let mut expected = 0;
        for line in scan(program) {
            assert_eq!(line.span.start, expected);
            expected = line.span.end;
        }
        assert_eq!(expected, program.len());
    }
}
