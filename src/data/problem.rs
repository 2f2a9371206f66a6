//! Problems: a prompt, and the unit tests that judge the response.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Matching;

/// What judges a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// Unit tests: R_UT in the method.
    #[default]
    Code,
    /// The general reward model: R_RM in the method.
    Chat,
}

/// One unit test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TestCase {
    /// Run the program with these global variables; compare what it prints.
    Script {
        /// Variables that the program finds set.
        variables: BTreeMap<String, serde_json::Value>,
        /// What it must print, by [`Problem::matching`].
        stdout: String,
    },
    /// Run the program with this standard input; compare what it prints.
    Stdio {
        /// Standard input.
        stdin: String,
        /// What it must print, compared as in [`TestCase::Script`].
        stdout: String,
    },
    /// Call a function of the program; compare what it returns.
    Call {
        /// The function's name. Where the program defines no such name but a class `Solution`, as is usual on LeetCode,
        /// it is a method of that class, called on an instance made for this call.
        function: String,
        /// Positional arguments.
        arguments: Vec<serde_json::Value>,
        /// The value that it must return, by [`Problem::matching`].
        expected: serde_json::Value,
    },
    /// Run this code after the program; a failed `assert` fails the test.
    Assert {
        /// Code in the program's language.
        code: String,
        /// The names of the program's that the code means to use. Where it says, no other name of the program's
        /// can stand in its way: a program that defines an `abs` or an `isclose` of its own judges itself.
        /// Empty: any name that neither the code nor the language defines.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<String>,
    },
}

/// A prompt and what judges the responses to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Unique within its set.
    pub id: String,
    /// What the policy is asked.
    pub prompt: String,
    /// What judges the response.
    #[serde(default)]
    pub task: Task,
    /// Tests that the reward sees.
    #[serde(default)]
    pub tests: Vec<TestCase>,
    /// Tests for evaluation alone, never seen by a reward.
    #[serde(default)]
    pub held_out_tests: Vec<TestCase>,
    /// When an answer counts as the one that a test expects.
    #[serde(default, skip_serializing_if = "Matching::is_exact")]
    pub matching: Matching,
    /// A program that passes, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solution: Option<String>,
    /// Whatever else the source tells, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, serde_json::Value>,
}

impl Problem {
    /// How long its program is: the metadata's `steps`, or the lines of its solution that are not blank. `None` where
    /// it has neither.
    pub fn length(&self) -> Option<usize> {
        let steps = self.metadata.get("steps").and_then(|steps| usize::try_from(steps.as_u64()?).ok());
        let lines = |solution: &String| solution.lines().filter(|line| !line.trim().is_empty()).count();
        steps.or_else(|| self.solution.as_ref().map(lines))
    }
}

/// A problem that cannot be used, or a file of problems that cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProblemError {
    /// A code problem without a test: every program would pass it.
    #[error("problem `{0}` has no tests: a code problem needs at least one, or its task must be `chat`")]
    NoTests(String),
    /// An empty prompt.
    #[error("problem `{0}` has an empty prompt")]
    EmptyPrompt(String),
    /// Two problems share an id.
    #[error("two problems have the id `{0}`: ids must be unique within a set")]
    DuplicateId(String),
    /// A line of a JSONL file is not a problem.
    #[error("line {line} is not a problem: {source}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The file cannot be read or written.
    #[error("cannot read or write problems: {0}")]
    Io(#[from] std::io::Error),
}

/// Problems, checked: unique ids, no empty prompt, no code problem without tests.
///
/// ```
/// use pspo::data::ProblemSet;
///
/// let jsonl = r#"{"id": "sum", "prompt": "print a + b", "tests": [
///     {"kind": "script", "variables": {"a": 1, "b": 2}, "stdout": "3\n"}]}"#.replace('\n', " ");
/// let problems = ProblemSet::read_jsonl(jsonl.as_bytes())?;
/// assert_eq!(problems.len(), 1);
/// # Ok::<(), pspo::data::ProblemError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProblemSet {
    problems: Vec<Arc<Problem>>,
}

impl ProblemSet {
    /// A set of problems.
    ///
    /// # Errors
    /// Names the first problem that cannot be used.
    pub fn new(problems: impl IntoIterator<Item = Problem>) -> Result<Self, ProblemError> {
        let problems: Vec<_> = problems.into_iter().map(Arc::new).collect();
        let mut ids = HashSet::new();
        for problem in &problems {
            if problem.prompt.trim().is_empty() {
                return Err(ProblemError::EmptyPrompt(problem.id.clone()));
            }
            if problem.task == Task::Code && problem.tests.is_empty() {
                return Err(ProblemError::NoTests(problem.id.clone()));
            }
            if !ids.insert(&problem.id) {
                return Err(ProblemError::DuplicateId(problem.id.clone()));
            }
        }
        Ok(Self { problems })
    }

    /// Reads one problem per line; blank lines are passed over.
    ///
    /// # Errors
    /// Names the first line that is not a problem, or the first problem that cannot be used.
    pub fn read_jsonl(reader: impl BufRead) -> Result<Self, ProblemError> {
        let mut problems = Vec::new();
        for (index, line) in reader.lines().enumerate() {
            let line = line?;
            if !line.trim().is_empty() {
                let problem = serde_json::from_str(&line)
                    .map_err(|source| ProblemError::Line { line: index + 1, source })?;
                problems.push(problem);
            }
        }
        Self::new(problems)
    }

    /// Writes one problem per line, as [`ProblemSet::read_jsonl`] reads them.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write_jsonl(&self, mut writer: impl Write) -> Result<(), ProblemError> {
        for problem in &self.problems {
            // Serialized to memory first: a writer without a buffer would get every token by itself.
            let mut line = serde_json::to_vec(problem.as_ref()).map_err(std::io::Error::from)?;
            line.push(b'\n');
            writer.write_all(&line)?;
        }
        Ok(())
    }

    /// The number of problems.
    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// No problems.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Problem>> {
        self.problems.iter()
    }

    /// One problem by its place.
    pub fn get(&self, index: usize) -> Option<&Arc<Problem>> {
        self.problems.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(id: &str) -> Problem {
        Problem {
            id: id.into(),
            prompt: "p".into(),
            task: Task::Code,
            tests: vec![TestCase::Assert { code: "assert True".into(), calls: vec![] }],
            held_out_tests: vec![],
            matching: Matching::Exact,
            solution: None,
            metadata: BTreeMap::new(),
        }
    }

    #[test]
    fn unusable_problems_are_named() {
        let no_tests = Problem { tests: vec![], ..problem("a") };
        assert!(matches!(ProblemSet::new([no_tests]), Err(ProblemError::NoTests(id)) if id == "a"));
        let chat = Problem { tests: vec![], task: Task::Chat, ..problem("a") };
        assert!(ProblemSet::new([chat]).is_ok());
        assert!(matches!(
            ProblemSet::new([problem("a"), problem("a")]),
            Err(ProblemError::DuplicateId(id)) if id == "a"
        ));
        let error = ProblemSet::read_jsonl("\n{\"id\": 1}\n".as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("line 2 is not a problem"), "{error}");
    }

    #[test]
    fn jsonl_round_trips() {
        let set = ProblemSet::new([problem("a"), problem("b")]).unwrap();
        let mut bytes = Vec::new();
        set.write_jsonl(&mut bytes).unwrap();
        assert_eq!(ProblemSet::read_jsonl(&bytes[..]).unwrap(), set);
    }
}
