//! The truth about prefixes: whether a program that begins so can still pass.
//!
//! # Definition
//!
//! A *tail* of the reference program is its last lines, from any line on: all of it, none of it, or
//! from the body of an `if` or `for` on. A prefix is *recoverable* when, after each of its lines, some
//! tail of the reference makes the lines so far a program that passes all tests that the reward sees.
//!
//! So what is printed so far must be right, and the variables must have the values, as far as they
//! still matter, that the reference gives them at some point. By "after each of its lines" the truth
//! is monotone: what extends a lost prefix is lost.
//!
//! The definition takes the reference's lines as the only continuations, and that is what makes it
//! computable. Where it errs against "some text can still save it", it errs to one side: a recoverable
//! prefix can be saved, by its tail. A lost one could be saved by a line that undoes a mistake
//! (`a += 4` in place of `a += 3`, and `a -= 1` after it), by lines in another order than the
//! reference's, or by printing what the tests want, all of which no policy here learns to do.
//!
//! # What can be judged
//!
//! Prefixes that end with a line (the last one needs no line end), in the subset of [`super::python`].
//! A line outside of it makes the truth unknown, unless the prefix was lost before. What is certain
//! without knowing what follows is judged: an exception, a loop without end, a wrong indentation.

use std::borrow::Cow;

use serde_json::Value as Json;
use thiserror::Error;

use super::python::parse::{Line, ParseError, Program};
use super::python::state::{State, Stop};
use super::python::{INDENT, Simple, Statement};
use crate::data::labels::{Label, Labels, ResponseClass};
use crate::data::problem::{Problem, TestCase};
use crate::data::steps::Steps;

/// What is true of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It can still become a program that passes.
    Recoverable,
    /// It cannot, nor can any extension of it.
    Lost,
    /// A line is outside the subset, and nothing is known from there on.
    Unknown,
}

/// A problem or prefix that the oracle cannot judge.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OracleError {
    /// The problem is not one of the generated ones.
    #[error("problem `{id}` cannot be judged: {reason}; the oracle knows generated problems alone")]
    Problem {
        /// The problem.
        id: String,
        /// What it lacks.
        reason: String,
    },
    /// The prefix leaves the subset before anything is wrong with it.
    #[error("the truth of this prefix is unknown: {0}")]
    Unknown(String),
}

/// Knows of every prefix whether it can still pass the tests that the reward sees.
///
/// ```
/// use pspo::data::Seed;
/// use pspo::problems::{Oracle, Pseudocode, Sizes};
///
/// let sizes = Sizes { sft: 1, rl: 0, held_out: 0 };
/// let splits = Pseudocode::default().splits(Seed::root(7), sizes)?;
/// let problem = splits.sft.get(0).unwrap();
/// let oracle = Oracle::new(problem)?;
/// assert_eq!(oracle.recoverable(problem.solution.as_ref().unwrap()), Ok(true));
/// assert_eq!(oracle.recoverable("print(999)\n"), Ok(false));
/// assert!(oracle.recoverable("import os\n").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Oracle {
    reference: Vec<Statement>,
    /// Lines of the reference up to each statement and, last, of all of it.
    ends: Vec<usize>,
    tests: Vec<Test>,
    /// Whether tails begin no earlier than the prefix has come.
    onward: bool,
}

#[derive(Clone, Debug)]
struct Test {
    start: State,
    /// What must be printed, without blanks at line ends and with one line end at its own.
    expected: String,
}

impl Oracle {
    /// The oracle of one problem, from its tests and the reference program in its metadata.
    ///
    /// # Errors
    /// [`OracleError::Problem`] if there is no such program, or a test is not a script over the
    /// variables of the subset, or the reference does not pass.
    pub fn new(problem: &Problem) -> Result<Self, OracleError> {
        let fail = |reason: String| OracleError::Problem { id: problem.id.clone(), reason };
        let program = problem.metadata.get("program").and_then(Json::as_str);
        let program = program.ok_or_else(|| fail("its metadata has no `program`".into()))?;
        let program = Program::parse(program).map_err(|error| fail(error.to_string()))?;
        let tests = problem.tests.iter().map(|test| match test {
            TestCase::Script { variables, stdout } => {
                let start = State::from_test(variables);
                let start = start.ok_or_else(|| fail(format!("the subset has no state {variables:?}")))?;
                let lines: Vec<_> = stdout.trim_end().lines().map(str::trim_end).collect();
                Ok(Test { start, expected: lines.join("\n") + "\n" })
            }
            other => Err(fail(format!("a test is no script: {other:?}"))),
        });
        let (tests, reference) = (tests.collect::<Result<_, _>>()?, program.statements().to_vec());
        let mut ends = vec![0];
        ends.extend(reference.iter().scan(0, |end, statement| {
            *end += match statement {
                Statement::Compound(_, body) => 1 + body.len(),
                _ => 1,
            };
            Some(*end)
        }));
        let oracle = Self { tests, reference, ends, onward: false };
        match Walk::start(&oracle).passes_with(&[], &oracle.reference) {
            Ok(true) => Ok(oracle),
            _ => Err(fail("its reference program does not pass its tests".into())),
        }
    }

    /// The truth for one who goes on with the next line, never with one that stands there already: a tail begins no earlier
    /// in the reference than the prefix is long, counted in lines of code.
    ///
    /// A line without effect in a step's place (`sorted(xs)` for `xs.sort()`) is good by the definition, since the step can still
    /// be done; here it is lost, as it is for a policy that does no step twice. It errs to the other side: what is lost may
    /// have but a harmless line too many.
    ///
    /// ```
    /// # use pspo::data::Seed;
    /// # use pspo::problems::{Oracle, Pseudocode, Sizes};
    /// # let sizes = Sizes { sft: 1, rl: 0, held_out: 0 };
    /// # let splits = Pseudocode::default().splits(Seed::root(7), sizes)?;
    /// # let problem = splits.sft.get(0).unwrap();
    /// let oracle = Oracle::new(problem)?;
    /// let solution = problem.solution.as_ref().unwrap();
    /// let late = format!("pass\n{solution}");
    /// assert_eq!(oracle.recoverable(&late), Ok(true));
    /// let oracle = oracle.onward();
    /// assert_eq!(oracle.recoverable(&late), Ok(false));
    /// assert_eq!(oracle.recoverable(solution), Ok(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn onward(self) -> Self {
        Self { onward: true, ..self }
    }

    /// Whether `prefix`, whole lines, can still become a program that passes.
    ///
    /// # Errors
    /// [`OracleError::Unknown`] if that is unknown.
    pub fn recoverable(&self, prefix: &str) -> Result<bool, OracleError> {
        let mut walk = Walk::start(self);
        for line in prefix.lines() {
            if !walk.go_on(line)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is true after each of the steps of a response.
    pub fn truths(&self, steps: &Steps) -> Vec<Truth> {
        let mut walk = Walk::start(self);
        let mut truth = Truth::Recoverable;
        let mut judge = |step: usize| {
            for line in steps.text(step).lines() {
                if truth == Truth::Recoverable {
                    truth = match walk.go_on(line) {
                        Ok(true) => Truth::Recoverable,
                        Ok(false) => Truth::Lost,
                        Err(_) => Truth::Unknown,
                    };
                }
            }
            truth
        };
        (0..steps.len()).map(&mut judge).collect()
    }

    /// The first step (from 0) after which the response is lost; `None` if it never is. Then it passes,
    /// or it ended too early.
    ///
    /// # Errors
    /// [`OracleError::Unknown`] if the response leaves the subset before that.
    pub fn first_error(&self, steps: &Steps) -> Result<Option<usize>, OracleError> {
        let truths = self.truths(steps);
        match truths.iter().position(|&truth| truth != Truth::Recoverable) {
            Some(step) if truths[step] == Truth::Unknown => {
                Err(OracleError::Unknown(format!("step {step} is {:?}", steps.text(step))))
            }
            step => Ok(step),
        }
    }

    /// The labels that a labeler without sampling errors gives: those of the method's section 3, by
    /// this oracle in place of best-of-K. `passes` is the verifier's verdict on the whole response.
    ///
    /// # Errors
    /// As [`Oracle::first_error`], for a response that fails.
    pub fn labels(&self, steps: &Steps, passes: bool) -> Result<Labels, OracleError> {
        // A response that fails has its last step wrong at the latest: there it ended.
        let good = match passes {
            true => steps.len(),
            false => self.first_error(steps)?.unwrap_or(steps.len()).min(steps.len().saturating_sub(1)),
        };
        let label = |step: usize| match (steps.is_comment(step), step < good) {
            (true, _) => Label::Neutral,
            (false, true) => Label::Good,
            (false, false) => Label::Bad,
        };
        let class = match (passes, good) {
            (true, _) => ResponseClass::Correct,
            (false, 0) => ResponseClass::Wrong,
            (false, _) => ResponseClass::Revised,
        };
        Ok(Labels { steps: (0..steps.len()).map(label).collect(), class })
    }
}

/// A prefix that grows line by line, recoverable so far.
struct Walk<'a> {
    oracle: &'a Oracle,
    program: Program,
    /// Lines of code.
    lines: usize,
    /// How many statements have been run: all that no further line can change.
    run: usize,
    /// Where each test stands after them, with how much of its expected output is printed.
    places: Vec<(State, usize)>,
}

impl<'a> Walk<'a> {
    fn start(oracle: &'a Oracle) -> Self {
        let places = oracle.tests.iter().map(|test| (test.start.clone(), 0)).collect();
        Self { oracle, program: Program::default(), lines: 0, run: 0, places }
    }

    /// Appends a line; says whether the prefix is still recoverable.
    fn go_on(&mut self, line: &str) -> Result<bool, OracleError> {
        let unknown = |error: &dyn std::error::Error| OracleError::Unknown(error.to_string());
        let Some(line) = Line::parse(line).map_err(|error| unknown(&error))? else { return Ok(true) };
        self.lines += 1;
        match self.program.push(line) {
            Err(ParseError::Invalid(_)) => return Ok(false),
            pushed => pushed.map_err(|error| unknown(&error))?,
        }
        let closed = &self.program.statements()[self.run..self.program.closed()];
        for (test, place) in self.oracle.tests.iter().zip(&mut self.places) {
            if !proceed(place, closed, test).map_err(|stop| unknown(&stop))? {
                return Ok(false);
            }
        }
        self.run = self.program.closed();
        self.can_end().map_err(|stop| unknown(&stop))
    }

    /// Whether some tail of the reference completes the prefix.
    fn can_end(&self) -> Result<bool, Stop> {
        let mut unknown = None;
        for (unfinished, tail) in self.completions() {
            match self.passes_with(&unfinished, tail) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(stop) => unknown = Some(stop),
            }
        }
        unknown.map_or(Ok(false), Err)
    }

    /// The prefix with each tail that can stand behind it: the statements that are not run yet, grown by
    /// what the tail adds to the last of them, and the tail's own statements.
    fn completions(&self) -> Vec<(Cow<'_, [Statement]>, &[Statement])> {
        let Oracle { reference, ends, onward, .. } = self.oracle;
        let unfinished = &self.program.statements()[self.run..];
        let mut completions = Vec::new();
        // Of what is longer than the reference, the empty tail is left.
        let first = if *onward { self.lines.min(ends[reference.len()]) } else { 0 };
        if !self.program.is_open() {
            let starts = (0..=reference.len()).filter(|&start| ends[start] >= first);
            completions.extend(starts.map(|start| (unfinished.into(), &reference[start..])));
        }
        let [Statement::Compound(header, body)] = unfinished else { return completions };
        for (number, statement) in reference.iter().enumerate() {
            let Statement::Compound(_, rest) = statement else { continue };
            if self.program.accepts(INDENT) {
                let lines = (0..rest.len()).filter(|line| ends[number] + 1 + line >= first);
                completions.extend(lines.map(|line| {
                    let body: Vec<Simple> = body.iter().chain(&rest[line..]).cloned().collect();
                    (vec![Statement::Compound(header.clone(), body)].into(), &reference[number + 1..])
                }));
            }
        }
        completions
    }

    /// Whether all tests pass when these statements run from where they stand.
    fn passes_with(&self, unfinished: &[Statement], tail: &[Statement]) -> Result<bool, Stop> {
        for (test, place) in self.oracle.tests.iter().zip(&self.places) {
            let mut place = place.clone();
            let passes = proceed(&mut place, unfinished, test)?
                && proceed(&mut place, tail, test)?
                && place.1 == test.expected.len();
            if !passes {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Runs statements in a test; says whether they end well and print what must come next.
fn proceed(place: &mut (State, usize), statements: &[Statement], test: &Test) -> Result<bool, Stop> {
    let (state, printed) = place;
    let mut output = String::new();
    match state.run(statements, &mut output) {
        Err(stop @ Stop::Outside(_)) => return Err(stop),
        Err(_) => return Ok(false),
        Ok(()) => {}
    }
    let right = test.expected[*printed..].starts_with(&output);
    *printed += output.len();
    Ok(right)
}

#[cfg(test)]
mod tests;
