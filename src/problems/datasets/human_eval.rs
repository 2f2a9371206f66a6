//! HumanEval (Chen et al., 2021, <https://github.com/openai/human-eval>).

use std::path::Path;

use super::record::{Record, records};
use super::{DatasetError, set};
use crate::data::{Matching, Problem, ProblemSet, Task, TestCase};

/// Reads HumanEval: `HumanEval.jsonl` or `HumanEval.jsonl.gz`.
///
/// The prompt is the beginning of a program, and a response is judged behind its prompt: `prompt + response`.
///
/// The test is the benchmark's `test` and a call of its `check`. In front of it stands what the prompt defines before
/// the entry point, so that helpers which tests use (`encode_cyclic`, `poly`) are the benchmark's and not what a
/// program made of them.
///
/// # Errors
/// Names the record and the field that is not as documented.
pub fn human_eval(path: impl AsRef<Path>) -> Result<ProblemSet, DatasetError> {
    let path = path.as_ref();
    set(path, records(path, problem)?)
}

fn problem(mut record: Record) -> Result<Problem, DatasetError> {
    let id = record.take_text("task_id")?;
    record.place.task = Some(id.clone());
    let prompt = record.take_text("prompt")?;
    let entry_point = record.text("entry_point")?.to_owned();
    let definition = format!("\ndef {entry_point}(");
    let first = prompt.starts_with(&definition[1..]).then_some(0);
    let Some(begin) = prompt.rfind(&definition).or(first) else {
        return Err(record.wrong("entry_point", format!("a function of the prompt, not {entry_point:?}")));
    };
    let code = format!("{}\n{}\n\ncheck({entry_point})\n", &prompt[..begin], record.text("test")?);
    Ok(Problem {
        solution: Some(format!("{prompt}{}", record.text("canonical_solution")?)),
        tests: vec![TestCase::Assert { code, calls: vec![entry_point] }],
        id,
        prompt,
        task: Task::Code,
        held_out_tests: vec![],
        matching: Matching::Exact,
        metadata: record.into_metadata(),
    })
}
