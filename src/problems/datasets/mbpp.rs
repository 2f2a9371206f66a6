//! MBPP (Austin et al., 2021, <https://github.com/google-research/google-research/tree/master/mbpp>).

use std::collections::BTreeSet;
use std::path::Path;

use super::python::{defined, imports, names};
use super::record::{Record, records};
use super::{DatasetError, set};
use crate::data::{Matching, Problem, ProblemSet, Task, TestCase};

/// Reads MBPP: `mbpp.jsonl`, or the sanitized part, `sanitized-mbpp.json`.
///
/// The prompt is the task followed by its tests, as in the paper: the task alone does not name the function. Each
/// `assert` is a test of its own, behind `test_imports` or those imports of the reference program whose names
/// it uses, and `test_setup_code`. It means to use (`calls`) what the reference program defines and it names.
/// `challenge_test_list` is held out. The id is `MBPP/` and `task_id`.
///
/// # Errors
/// Names the record and the field that is not as documented.
pub fn mbpp(path: impl AsRef<Path>) -> Result<ProblemSet, DatasetError> {
    let path = path.as_ref();
    set(path, records(path, problem)?)
}

fn problem(mut record: Record) -> Result<Problem, DatasetError> {
    let number = record.fields.get("task_id").and_then(serde_json::Value::as_u64);
    let id = format!("MBPP/{}", number.ok_or_else(|| record.wrong("task_id", "a number"))?);
    record.place.task = Some(id.clone());
    let sanitized = record.fields.contains_key("prompt");
    let task = record.text(if sanitized { "prompt" } else { "text" })?.to_owned();
    let asserts = record.texts("test_list")?;
    let prompt = format!("{task}\nYour code should pass these tests:\n\n{}\n", asserts.join("\n"));
    let code = record.take_text("code")?;
    let set_up = record.fields.get("test_setup_code").map_or(Ok(""), |_| record.text("test_setup_code"))?;
    let tests = Tests {
        defined: defined(&code),
        imports: imports(&code),
        set_up,
        own: record.texts("test_imports")?,
    };
    let cases = |asserts: Vec<String>| asserts.iter().map(|assert| tests.case(assert)).collect();
    Ok(Problem {
        tests: cases(asserts),
        held_out_tests: cases(record.texts("challenge_test_list")?),
        id,
        prompt,
        task: Task::Code,
        matching: Matching::Exact,
        solution: Some(code),
        metadata: record.into_metadata(),
    })
}

/// What the tests of a problem share.
struct Tests<'a> {
    /// What the reference program defines.
    defined: BTreeSet<String>,
    /// What it imports.
    imports: Vec<(String, BTreeSet<String>)>,
    set_up: &'a str,
    /// `test_imports`.
    own: Vec<String>,
}

impl Tests<'_> {
    fn case(&self, assert: &str) -> TestCase {
        let body = [self.set_up, assert].join("\n");
        let used = names(&body);
        let needed = self.imports.iter().filter(|(line, bound)| {
            !bound.is_disjoint(&used) && !self.own.iter().any(|own| own.trim() == line)
        });
        let mut lines: Vec<_> =
            self.own.iter().chain(needed.map(|(line, _)| line)).map(String::as_str).collect();
        lines.push(body.trim_start_matches('\n'));
        TestCase::Assert {
            code: lines.join("\n"),
            calls: self.defined.intersection(&used).cloned().collect(),
        }
    }
}
