//! One program judged by its tests, on the thread of a worker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use monty::MontyRun;
use monty_types::{
    AssertMessageAnnotations, CompileOptions, ExcType, MontyException, MontyObject, PrintWriter,
    ResourceLimits, ResourceTracker,
};
use pspo::data::TestCase;
use pspo::plugin::{Outcome, Verdict, VerifyError};
use pspo::verify::{excerpt, same_output};
use serde_json::Value;

use crate::MontyConfig;
use crate::dialect::{self, Facts, Given, Refused};
use crate::failure;
use crate::meter::{Alarm, Metered};
use crate::output::{Output, Stopped};
use crate::value::{any_number, into_python, is_expected};

/// The last value of a test that asserts.
const REACHED: &str = "reached";

/// What one test came to: `Ok(None)` where it passed.
type TestResult = Result<Option<(Outcome, String)>, VerifyError>;

/// Judges `program` by `tests`; `begin` is told where reading it and where each test begins.
pub(crate) fn judge(
    program: &str,
    tests: &[TestCase],
    config: &MontyConfig,
    begin: &dyn Fn(),
) -> Result<Verdict, VerifyError> {
    let start = Instant::now();
    begin();
    let (mut passed, mut first_failure) = (0, None);
    let mut fail = |number: usize, outcome, what: &str| {
        let detail = format!("test {number} of {}: {what}", tests.len());
        first_failure.get_or_insert((outcome, detail));
    };
    match read(program, tests) {
        Ok(facts) => {
            let mut program = Program { text: program, facts, runs: Vec::new() };
            for (number, test) in (1..).zip(tests) {
                begin();
                match run_test(&mut program, test, config)? {
                    None => passed += 1,
                    Some((outcome, what)) => {
                        fail(number, outcome, &what);
                        if !config.run_all || outcome == Outcome::Compile {
                            break;
                        }
                    }
                }
            }
        }
        Err(Refused::Syntax(what)) => fail(1, Outcome::Compile, &format!("SyntaxError: {what}")),
        Err(Refused::Differs(what)) => return Err(VerifyError::Unsupported(what)),
    }
    let (outcome, detail) = first_failure.unwrap_or((Outcome::Pass, String::new()));
    Ok(Verdict { outcome, passed, total: tests.len(), detail, seconds: start.elapsed().as_secs_f64() })
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

/// A program, and what it was compiled to: once for all tests that have the same variables and the same
/// last lines.
struct Program<'a> {
    text: &'a str,
    facts: Facts,
    runs: Vec<(Vec<String>, String, MontyRun)>,
}

impl Program<'_> {
    /// The program with `epilogue` as its last lines and `names` as variables that are set before.
    fn compiled(&mut self, names: Vec<String>, epilogue: &str) -> Result<&MontyRun, MontyException> {
        let known = self.runs.iter().position(|(n, e, _)| *n == names && e == epilogue);
        let index = match known {
            Some(index) => index,
            None => {
                let options = CompileOptions { assert_message_annotations: AssertMessageAnnotations::Off };
                let run = MontyRun::new(self.with(epilogue), "program.py", names.clone(), options)?;
                self.runs.push((names, epilogue.to_owned(), run));
                self.runs.len() - 1
            }
        };
        Ok(&self.runs[index].2)
    }

    /// The empty line between ends a statement that the program's last line continues.
    fn with(&self, epilogue: &str) -> String {
        format!("{}\n\n{epilogue}\n", self.text)
    }

    /// Whether an exception came from the lines after the program's own.
    fn is_beyond(&self, error: &MontyException) -> bool {
        let line_ends = self.text.replace("\r\n", "\n").matches(['\n', '\r']).count();
        let line = error.traceback().last().map_or(0, |frame| frame.start.line);
        line as usize > line_ends + 1
    }
}

fn run_test(program: &mut Program<'_>, test: &TestCase, config: &MontyConfig) -> TestResult {
    match test {
        TestCase::Script { variables, stdout } => {
            let names = variables.keys().map(|name| python_name(name)).collect::<Result<_, _>>()?;
            // `None` keeps the value of the program's own last line from being carried out.
            let finished = match run(program, names, "None", variables.values(), config)? {
                Ok(finished) => finished,
                Err(failed) => return Ok(Some(failed)),
            };
            let wrong = || format!("printed {}, not {}", excerpt(&finished.printed), excerpt(stdout));
            Ok((!same_output(stdout, &finished.printed)).then(|| (Outcome::Wrong, wrong())))
        }
        TestCase::Call { function, arguments, expected } => {
            let names: Vec<_> = (0..arguments.len()).map(|index| format!("__argument_{index}")).collect();
            let epilogue = format!("{}({})", python_name(function)?, names.join(", "));
            let finished = match run(program, names, &epilogue, arguments, config)? {
                Ok(finished) => finished,
                Err(failed) => return Ok(Some(failed)),
            };
            let wrong = || {
                let got = excerpt(&finished.value.py_repr());
                format!("returned {got}, not {}", excerpt(&expected.to_string()))
            };
            Ok((!is_expected(expected, &finished.value)?).then(|| (Outcome::Wrong, wrong())))
        }
        TestCase::Assert { code } => {
            check_assert(program, code)?;
            let epilogue = format!("{code}\n\n{REACHED:?}");
            Ok(match run(program, vec![], &epilogue, [], config)? {
                Ok(finished) if finished.value == MontyObject::String(REACHED.into()) => None,
                Ok(_) => Some((Outcome::Wrong, "the test's end was not reached".into())),
                Err(failed) => Some(failed),
            })
        }
        other => Err(VerifyError::Unsupported(format!("a test of this kind: {other:?}"))),
    }
}

/// Whether `code` judges the program and not the program itself: an assertion is evaluated where the
/// program can have given operators and names a meaning of its own.
fn check_assert(program: &Program<'_>, code: &str) -> Result<(), VerifyError> {
    if let Some(class) = program.facts.classes.first() {
        let what = format!("the class `{class}` beside a test that asserts: it may equal everything");
        return Err(VerifyError::Unsupported(what));
    }
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    if let Some(word) = words.find(|word| program.facts.shadowed.contains(*word)) {
        let what = format!("a program that redefines `{word}`, which the test uses");
        return Err(VerifyError::Unsupported(what));
    }
    match dialect::check(&program.with(code), &Given::default()) {
        Ok(_) => Ok(()),
        Err(Refused::Syntax(what) | Refused::Differs(what)) => {
            Err(VerifyError::Unsupported(format!("in the test's code: {what}")))
        }
    }
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

/// A program that ran to its end.
struct Finished {
    printed: String,
    value: MontyObject,
}

/// Runs the program with variables, up to the limits.
fn run<'a>(
    program: &mut Program<'_>,
    names: Vec<String>,
    epilogue: &str,
    values: impl IntoIterator<Item = &'a Value>,
    config: &MontyConfig,
) -> Result<Result<Finished, (Outcome, String)>, VerifyError> {
    let inputs = values.into_iter().map(into_python).collect::<Result<Vec<_>, _>>()?;
    let run = match program.compiled(names, epilogue) {
        Ok(run) => run,
        Err(error) => return Ok(Err((failure::of_compiling(&error)?, failure::last_line(&error)))),
    };
    let Run { result, printed, stopped } = run_alone(run, &inputs, config)?;
    let stopped = stopped.map(|why| match why {
        Stopped::Output => (Outcome::Output, format!("printed more than {} bytes", config.output_bytes)),
        Stopped::Steps => (Outcome::Timeout, format!("took more than {} steps", config.steps)),
        Stopped::Memory => (Outcome::Memory, format!("held more than {} bytes", config.memory_bytes)),
    });
    Ok(match (stopped, result) {
        (Some(stopped), _) => Err(stopped),
        (None, Ok(value)) => Ok(Finished { printed, value }),
        (None, Err(error)) if error.exc_type() == ExcType::AssertionError && program.is_beyond(&error) => {
            Err((Outcome::Wrong, failure::last_line(&error)))
        }
        (None, Err(error)) => {
            let outcome = failure::of_running(&error, &program.facts, config.recursion)?;
            Err((outcome, failure::last_line(&error)))
        }
    })
}

/// What came of running a program.
struct Run {
    result: Result<MontyObject, MontyException>,
    printed: String,
    stopped: Option<Stopped>,
}

/// Runs the program until no other program's memory alarm has disturbed it.
fn run_alone(run: &MontyRun, inputs: &[MontyObject], config: &MontyConfig) -> Result<Run, VerifyError> {
    const ATTEMPTS: usize = 100;
    for _ in 0..ATTEMPTS {
        let limits = ResourceLimits::default()
            .max_duration(Duration::from_secs_f64(config.seconds))
            .max_memory(config.memory_bytes)
            .max_recursion_depth(config.recursion);
        let metered = Metered::start(config.memory_bytes);
        let mut output = Output::new(config.output_bytes, config.steps, &metered);
        let result =
            run.run(inputs.to_vec(), ResourceTracker::new(limits), PrintWriter::Callback(&mut output));
        let (printed, stopped) = output.finish();
        let out_of_memory = result.as_ref().is_err_and(|error| error.exc_type() == ExcType::MemoryError);
        if !(out_of_memory && stopped.is_none() && metered.disturbed()) {
            return Ok(Run { result, printed, stopped });
        }
        drop(metered);
        let wait_until = Instant::now() + Duration::from_secs_f64(config.seconds);
        while Alarm::any_raised() && Instant::now() < wait_until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Err(VerifyError::Failed(format!("{ATTEMPTS} times, another program's memory use stopped this one")))
}
