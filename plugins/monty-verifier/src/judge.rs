//! One program judged by its tests, on the thread of a worker.

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
use crate::failure;
use crate::meter::{Alarm, Metered};
use crate::output::{Output, Stopped};
use crate::value::{into_python, is_expected};

/// What one test came to: `Ok(None)` where it passed.
type TestResult = Result<Option<(Outcome, String)>, VerifyError>;

/// Judges `program` by `tests`; `begin` is told where compiling and where each test begins.
pub(crate) fn judge(
    program: &str,
    tests: &[TestCase],
    config: &MontyConfig,
    begin: &dyn Fn(),
) -> Result<Verdict, VerifyError> {
    let start = Instant::now();
    let mut compiled = Compiled { program, runs: Vec::new() };
    let (mut passed, mut first_failure) = (0, None);
    for (number, test) in (1..).zip(tests) {
        begin();
        match run_test(&mut compiled, test, config)? {
            None => passed += 1,
            Some((outcome, what)) => {
                first_failure.get_or_insert((outcome, format!("test {number} of {}: {what}", tests.len())));
                if !config.run_all || outcome == Outcome::Compile {
                    break;
                }
            }
        }
    }
    let (outcome, detail) = first_failure.unwrap_or((Outcome::Pass, String::new()));
    Ok(Verdict { outcome, passed, total: tests.len(), detail, seconds: start.elapsed().as_secs_f64() })
}

/// A program compiled once for all tests that have the same variables and the same last lines.
struct Compiled<'a> {
    program: &'a str,
    runs: Vec<(Vec<String>, String, MontyRun)>,
}

impl Compiled<'_> {
    /// The program with `epilogue` as its last lines and `names` as variables that are set before.
    fn get(&mut self, names: Vec<String>, epilogue: String) -> Result<&MontyRun, MontyException> {
        let known = self.runs.iter().position(|(n, e, _)| *n == names && *e == epilogue);
        let index = match known {
            Some(index) => index,
            None => {
                // The empty line between ends a statement that the program's last line continues.
                let source = format!("{}\n\n{epilogue}\n", self.program);
                let options = CompileOptions { assert_message_annotations: AssertMessageAnnotations::Off };
                let run = MontyRun::new(source, "program.py", names.clone(), options)?;
                self.runs.push((names, epilogue, run));
                self.runs.len() - 1
            }
        };
        Ok(&self.runs[index].2)
    }
}

fn run_test(compiled: &mut Compiled<'_>, test: &TestCase, config: &MontyConfig) -> TestResult {
    match test {
        TestCase::Script { variables, stdout } => {
            let names = variables.keys().map(|name| python_name(name)).collect::<Result<_, _>>()?;
            // `None` keeps the value of the program's own last line from being carried out.
            let finished = match run(compiled, names, "None".into(), variables.values(), config)? {
                Ok(finished) => finished,
                Err(failed) => return Ok(Some(failed)),
            };
            let wrong = || format!("printed {}, not {}", excerpt(&finished.printed), excerpt(stdout));
            Ok((!same_output(stdout, &finished.printed)).then(|| (Outcome::Wrong, wrong())))
        }
        TestCase::Call { function, arguments, expected } => {
            let names: Vec<_> = (0..arguments.len()).map(|index| format!("__argument_{index}")).collect();
            let epilogue = format!("{}({})", python_name(function)?, names.join(", "));
            let finished = match run(compiled, names, epilogue, arguments, config)? {
                Ok(finished) => finished,
                Err(failed) => return Ok(Some(failed)),
            };
            let wrong = || {
                let got = excerpt(&finished.value.py_repr());
                format!("returned {got}, not {}", excerpt(&expected.to_string()))
            };
            Ok((!is_expected(expected, &finished.value)?).then(|| (Outcome::Wrong, wrong())))
        }
        other => Err(VerifyError::Unsupported(format!("a test of this kind: {other:?}"))),
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
    compiled: &mut Compiled<'_>,
    names: Vec<String>,
    epilogue: String,
    values: impl IntoIterator<Item = &'a Value>,
    config: &MontyConfig,
) -> Result<Result<Finished, (Outcome, String)>, VerifyError> {
    let inputs = values.into_iter().map(into_python).collect::<Result<Vec<_>, _>>()?;
    let run = match compiled.get(names, epilogue) {
        Ok(run) => run,
        Err(error) => return Ok(Err((failure::of_compiling(&error)?, failure::last_line(&error)))),
    };
    let (result, printed, stopped) = run_alone(run, &inputs, config)?;
    let stopped = stopped.map(|why| match why {
        Stopped::Output => (Outcome::Output, format!("printed more than {} bytes", config.output_bytes)),
        Stopped::Steps => (Outcome::Timeout, format!("took more than {} steps", config.steps)),
        Stopped::Memory => (Outcome::Memory, format!("held more than {} bytes", config.memory_bytes)),
    });
    Ok(match (stopped, result) {
        (Some(stopped), _) => Err(stopped),
        (None, Ok(value)) => Ok(Finished { printed, value }),
        (None, Err(error)) => Err((failure::of_running(&error)?, failure::last_line(&error))),
    })
}

/// What the interpreter says, what the program printed, and what stopped it, if something did.
type Ran = (Result<MontyObject, MontyException>, String, Option<Stopped>);

/// Runs the program until no other program's memory alarm has disturbed it.
fn run_alone(run: &MontyRun, inputs: &[MontyObject], config: &MontyConfig) -> Result<Ran, VerifyError> {
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
            return Ok((result, printed, stopped));
        }
        drop(metered);
        let wait_until = Instant::now() + Duration::from_secs_f64(config.seconds);
        while Alarm::any_raised() && Instant::now() < wait_until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Err(VerifyError::Failed(format!("{ATTEMPTS} times, another program's memory use stopped this one")))
}
