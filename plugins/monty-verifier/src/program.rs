//! A program compiled and run, up to its limits.

use std::time::{Duration, Instant};

use monty::MontyRun;
use monty_types::{
    AssertMessageAnnotations, CompileOptions, ExcType, MontyException, MontyObject, PrintWriter,
    ResourceLimits, ResourceTracker,
};
use pspo::plugin::{Outcome, VerifyError};
use pspo::verify::Failure;
use serde_json::Value;

use crate::MontyConfig;
use crate::dialect::Facts;
use crate::failure;
use crate::meter::{Alarm, Metered};
use crate::output::{Output, Stopped};
use crate::value::into_python;

/// A program, and what it was compiled to: once for all tests that have the same variables and the same
/// last lines.
pub(crate) struct Program<'a> {
    text: &'a str,
    config: &'a MontyConfig,
    /// Told whenever the time for a run begins.
    begin: &'a dyn Fn(),
    compiled: Vec<(Vec<String>, String, MontyRun)>,
}

/// A program that ran to its end.
pub(crate) struct Finished {
    /// What it printed.
    pub printed: String,
    /// The value of its last line.
    pub value: MontyObject,
}

impl<'a> Program<'a> {
    pub fn new(text: &'a str, config: &'a MontyConfig, begin: &'a dyn Fn()) -> Self {
        Self { text, config, begin, compiled: Vec::new() }
    }

    /// The program's text with `epilogue` as its last lines. The empty line between ends a statement that
    /// the program's own last line continues.
    pub fn with(&self, epilogue: &str) -> String {
        format!("{}\n\n{epilogue}\n", self.text)
    }

    /// Runs the program and then `epilogue`, with the variables `names` set to `values` before. The facts
    /// are those of both together.
    pub fn run<'v>(
        &mut self,
        facts: &Facts,
        names: Vec<String>,
        values: impl IntoIterator<Item = &'v Value>,
        epilogue: &str,
    ) -> Result<Result<Finished, Failure>, VerifyError> {
        let inputs = values.into_iter().map(into_python).collect::<Result<Vec<_>, _>>()?;
        let index = match self.compile(names, epilogue) {
            Ok(index) => index,
            Err(error) => return Ok(Err((failure::of_compiling(&error)?, failure::last_line(&error)))),
        };
        let Run { result, printed, stopped } = self.run_undisturbed(index, &inputs)?;
        let config = self.config;
        let stopped = stopped.map(|why| match why {
            Stopped::Output => (Outcome::Output, format!("printed more than {} bytes", config.output_bytes)),
            Stopped::Steps => (Outcome::Timeout, format!("took more than {} steps", config.steps)),
            Stopped::Memory => (Outcome::Memory, format!("held more than {} bytes", config.memory_bytes)),
        });
        Ok(match (stopped, result) {
            (Some((_, what)), _) if facts.eager => {
                return Err(VerifyError::Unsupported(format!("{what}, computing elements early")));
            }
            (Some(stopped), _) => Err(stopped),
            (None, Ok(value)) => Ok(Finished { printed, value }),
            (None, Err(error)) if error.exc_type() == ExcType::AssertionError && self.is_beyond(&error) => {
                Err((Outcome::Wrong, failure::last_line(&error)))
            }
            (None, Err(error)) => {
                let outcome = failure::of_running(&error, facts, config.recursion)?;
                Err((outcome, failure::last_line(&error)))
            }
        })
    }

    /// Where in `compiled` the program is with these names and last lines.
    fn compile(&mut self, names: Vec<String>, epilogue: &str) -> Result<usize, MontyException> {
        let known = self.compiled.iter().position(|(n, e, _)| *n == names && e == epilogue);
        if let Some(index) = known {
            return Ok(index);
        }
        let options = CompileOptions { assert_message_annotations: AssertMessageAnnotations::Off };
        let run = MontyRun::new(self.with(epilogue), "program.py", names.clone(), options)?;
        self.compiled.push((names, epilogue.to_owned(), run));
        Ok(self.compiled.len() - 1)
    }

    /// Runs until no other program's memory alarm has disturbed this one.
    fn run_undisturbed(&self, index: usize, inputs: &[MontyObject]) -> Result<Run, VerifyError> {
        const ATTEMPTS: usize = 100;
        let (config, (_, _, compiled)) = (self.config, &self.compiled[index]);
        let limit = Duration::from_secs_f64(config.seconds);
        for _ in 0..ATTEMPTS {
            (self.begin)();
            let limits = ResourceLimits::default()
                .max_duration(limit)
                .max_memory(config.memory_bytes)
                .max_recursion_depth(config.recursion);
            let metered = Metered::start(config.memory_bytes);
            let mut output = Output::new(config.output_bytes, config.steps, &metered);
            let print = PrintWriter::Callback(&mut output);
            let result = compiled.run(inputs.to_vec(), ResourceTracker::new(limits), print);
            let (printed, stopped) = output.finish();
            let out_of_memory = result.as_ref().is_err_and(|error| error.exc_type() == ExcType::MemoryError);
            if !(out_of_memory && stopped.is_none() && metered.disturbed()) {
                return Ok(Run { result, printed, stopped });
            }
            drop(metered);
            let wait_until = Instant::now() + limit;
            (self.begin)();
            while Alarm::any_raised() && Instant::now() < wait_until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let failed = format!("{ATTEMPTS} times, another program's memory use stopped this one");
        Err(VerifyError::Failed(failed))
    }

    /// Whether an exception came from the lines after the program's own.
    fn is_beyond(&self, error: &MontyException) -> bool {
        let line_ends = self.text.replace("\r\n", "\n").matches(['\n', '\r']).count();
        let line = error.traceback().last().map_or(0, |frame| frame.start.line);
        line as usize > line_ends + 1
    }
}

/// What came of running a program.
struct Run {
    result: Result<MontyObject, MontyException>,
    printed: String,
    stopped: Option<Stopped>,
}
