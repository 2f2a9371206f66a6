//! One program judged by its tests, on the thread of a worker.

use std::collections::BTreeMap;

use monty_types::MontyObject;
use pspo::data::{Matching, TestCase};
use pspo::plugin::{Outcome, Verdict, VerifyError};
use pspo::verify::{Failure, Tally, excerpt, output_failure};
use serde_json::Value;

use crate::MontyConfig;
use crate::dialect::{self, Facts, Given, Refused};
use crate::program::Program;
use crate::value::{any_number, is_expected};

/// The last value of a test that asserts.
const REACHED: &str = "reached";

/// What one test came to: `Ok(None)` where it passed.
type TestResult = Result<Option<Failure>, VerifyError>;

/// Judges `program` by `tests`; `begin` is told whenever something begins that has the time limit to itself.
pub(crate) fn judge(
    program: &str,
    tests: &[TestCase],
    matching: &Matching,
    config: &MontyConfig,
    begin: &dyn Fn(),
) -> Result<Verdict, VerifyError> {
    let mut tally = Tally::of(tests.len());
    begin();
    match read(program, tests) {
        Ok(facts) => {
            let mut program = Program::new(program, config, begin);
            for test in tests {
                let failure = run_test(&mut program, &facts, test, matching)?;
                let compile = matches!(failure, Some((Outcome::Compile, _)));
                if !tally.add(failure) && (!config.run_all || compile) {
                    break;
                }
            }
        }
        Err(Refused::Syntax(what)) => {
            tally.add(Some((Outcome::Compile, format!("SyntaxError: {what}"))));
        }
        Err(Refused::Differs(what)) => return Err(VerifyError::Unsupported(what)),
    }
    Ok(tally.verdict())
}

/// Whether the program may be run, seeing what the tests give it.
fn read(program: &str, tests: &[TestCase]) -> Result<Facts, Refused> {
    let mut given = Given::default();
    let mut give = |value: &Value| {
        given.floats |= any_number(value, &|number| number.is_f64());
        given.large_integers |= any_number(value, &|number| {
            !number.is_f64() && number.as_i64().is_none_or(|int| int.unsigned_abs() > 1 << 53)
        });
    };
    for test in tests {
        match test {
            TestCase::Script { variables, .. } => variables.values().for_each(&mut give),
            TestCase::Call { arguments, .. } => arguments.iter().for_each(&mut give),
            _ => {}
        }
    }
    let scripts = tests.iter().filter_map(|test| match test {
        TestCase::Script { variables, .. } => Some(variables),
        _ => None,
    });
    given.variables = scripts.flat_map(BTreeMap::keys).cloned().collect();
    dialect::check(program, &given)
}

fn run_test(program: &mut Program<'_>, facts: &Facts, test: &TestCase, matching: &Matching) -> TestResult {
    match test {
        TestCase::Script { variables, stdout } => {
            let names = variables.keys().map(|name| python_name(name)).collect::<Result<_, _>>()?;
            // `None` keeps the value of the program's own last line from being carried out.
            let finished = match program.run(facts, names, variables.values(), "None")? {
                Ok(finished) => finished,
                Err(failed) => return Ok(Some(failed)),
            };
            output_failure(matching, stdout, finished.printed.as_bytes())
        }
        TestCase::Call { function, arguments, expected } => {
            if facts.classes.contains("Solution") {
                let what = format!("`{function}`, which may be a method of the class `Solution`");
                return Err(VerifyError::Unsupported(what));
            }
            let names: Vec<_> = (0..arguments.len()).map(|index| format!("__argument_{index}")).collect();
            let epilogue = format!("{}({})", python_name(function)?, names.join(", "));
            let finished = match program.run(facts, names, arguments, &epilogue)? {
                Ok(finished) => finished,
                Err(failed) => return Ok(Some(failed)),
            };
            let wrong =
                || format!("returned {}, not {}", shown(&finished.value), excerpt(&expected.to_string()));
            Ok((!is_expected(matching, expected, &finished.value)?).then(|| (Outcome::Wrong, wrong())))
        }
        TestCase::Assert { code, .. } => {
            let facts = check_assert(program, facts, code)?;
            let epilogue = format!("{code}\n\n{REACHED:?}");
            Ok(match program.run(&facts, vec![], [], &epilogue)? {
                Ok(finished) if finished.value == MontyObject::String(REACHED.into()) => None,
                Ok(_) => Some((Outcome::Wrong, "the test's end was not reached".into())),
                Err(failed) => Some(failed),
            })
        }
        other => Err(VerifyError::Unsupported(format!("a test of this kind: {other:?}"))),
    }
}

/// A value for the verdict's detail.
fn shown(value: &MontyObject) -> String {
    const LARGEST: usize = 1 << 20;
    if value.deep_host_size() > LARGEST { "a large value".into() } else { excerpt(&value.py_repr()) }
}

/// Whether `code` judges the program and not the program itself: an assertion is evaluated where the
/// program can have given operators and names a meaning of its own. Returns the facts of both together.
fn check_assert(program: &Program<'_>, facts: &Facts, code: &str) -> Result<Facts, VerifyError> {
    if let Some(class) = facts.classes.first() {
        let what = format!("the class `{class}` beside a test that asserts: it may equal everything");
        return Err(VerifyError::Unsupported(what));
    }
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    if let Some(word) = words.find(|word| facts.shadowed.contains(*word)) {
        let what = format!("a program that redefines `{word}`, which the test uses");
        return Err(VerifyError::Unsupported(what));
    }
    dialect::check(&program.with(code), &Given::default()).map_err(|refused| {
        let (Refused::Syntax(what) | Refused::Differs(what)) = refused;
        VerifyError::Unsupported(format!("in the test's code: {what}"))
    })
}

/// `name`, if it can name a variable.
fn python_name(name: &str) -> Result<String, VerifyError> {
    const KEYWORDS: &str = " False None True and as assert async await break class continue def del elif else \
                            except finally for from global if import in is lambda nonlocal not or pass raise \
                            return try while with yield ";
    let starts = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    let goes_on = name.chars().all(|next| next.is_alphanumeric() || next == '_');
    if starts && goes_on && !KEYWORDS.contains(&format!(" {name} ")) {
        Ok(name.to_owned())
    } else {
        Err(VerifyError::Unsupported(format!("{name:?} in a test: it is not a name in Python")))
    }
}
