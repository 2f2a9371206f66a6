//! HumanEval-X (Zheng et al., 2023, <https://github.com/zai-org/CodeGeeX>).

use std::path::Path;

use super::record::{Record, records};
use super::{DatasetError, set};
use crate::data::{Matching, Problem, ProblemSet, Task, TestCase};

/// Reads HumanEval-X's C++ problems: `humaneval_cpp.jsonl` or the same compressed.
///
/// A program is the prompt and the response, as in [`human_eval`](super::human_eval), so the solution is the prompt and
/// `canonical_solution` (`declaration` holds a piece of it twice in CPP/38). The test's code is the benchmark's
/// `main`, to be compiled behind the program. Two problems, CPP/22 and CPP/137, include headers of Boost.
///
/// # Errors
/// Names the record and the field that is not as documented.
pub fn human_eval_x_cpp(path: impl AsRef<Path>) -> Result<ProblemSet, DatasetError> {
    let path = path.as_ref();
    set(path, records(path, problem)?)
}

fn problem(mut record: Record) -> Result<Problem, DatasetError> {
    let id = record.take_text("task_id")?;
    record.place.task = Some(id.clone());
    let prompt = record.take_text("prompt")?;
    let solution = format!("{prompt}{}", record.text("canonical_solution")?);
    let declaration = record.text("declaration")?;
    let head = |line: &&str| line.contains('(') && !line.starts_with(char::is_whitespace);
    let signature = declaration.lines().rev().find(head).unwrap_or_default();
    let before = signature.split('(').next().unwrap_or_default().trim_end();
    let name = before.rsplit(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap_or_default();
    if name.is_empty() {
        return Err(record.wrong("declaration", "a function's head"));
    }
    let calls = vec![name.to_owned()];
    let tests = vec![TestCase::Assert { code: record.text("test")?.to_owned(), calls }];
    Ok(Problem {
        id,
        prompt,
        task: Task::Code,
        tests,
        held_out_tests: vec![],
        matching: Matching::Exact,
        solution: Some(solution),
        metadata: record.into_metadata(),
    })
}
