//! LiveCodeBench, code generation (Jain et al., 2024, <https://github.com/LiveCodeBench/LiveCodeBench>).

use std::path::Path;

use serde_json::Value;

use super::packed::{LARGEST, PackedError, unpack};
use super::record::{Record, records};
use super::{DatasetError, set};
use crate::data::{Matching, Problem, ProblemSet, Task, TestCase};

/// Reads LiveCodeBench's problems: `test.jsonl`, `test2.jsonl` and so on.
///
/// The prompt is the question and, where there is one, the code to start from. Public tests are the tests, private
/// ones are held out; without public tests the private ones are the tests. A functional test calls
/// `metadata.func_name`, mostly a method of `class Solution`. Answers are compared as the benchmark's
/// `testing_util.py` does, by [`Matching::DecimalLines`]. That one gives programs the common imports
/// (`from typing import *` and others); here a program has its own. The id is `LiveCodeBench/` and `question_id`.
///
/// Private tests that are packed are never unpickled as Python does it: see [`PackedError`] for what is refused.
///
/// # Errors
/// Names the record and the field that is not as documented.
pub fn live_code_bench(path: impl AsRef<Path>) -> Result<ProblemSet, DatasetError> {
    let path = path.as_ref();
    set(path, records(path, problem)?)
}

fn problem(mut record: Record) -> Result<Problem, DatasetError> {
    let id = format!("LiveCodeBench/{}", record.text("question_id")?);
    record.place.task = Some(id.clone());
    let mut prompt = record.text("question_content")?.to_owned();
    let starter = record.fields.get("starter_code").and_then(Value::as_str).unwrap_or_default();
    if !starter.is_empty() {
        prompt = format!("{prompt}\n\n{starter}");
    }
    let function = function(&record)?;
    let public = record.take_text("public_test_cases")?;
    let public = tests(&record, "public_test_cases", &public, function.as_deref())?;
    let private = record.take_text("private_test_cases")?;
    let packed = |source| DatasetError::Packed {
        place: record.place.clone(),
        field: "private_test_cases".into(),
        source,
    };
    let private = match private.trim_start().starts_with('[') {
        true => private,
        false => unpack(&private, LARGEST).map_err(packed)?,
    };
    let private = tests(&record, "private_test_cases", &private, function.as_deref())?;
    let (tests, held_out_tests) = if public.is_empty() { (private, vec![]) } else { (public, private) };
    Ok(Problem {
        id,
        prompt,
        task: Task::Code,
        tests,
        held_out_tests,
        matching: Matching::DecimalLines,
        solution: None,
        metadata: record.into_metadata(),
    })
}

/// `metadata.func_name`, where `metadata` is text of JSON.
fn function(record: &Record) -> Result<Option<String>, DatasetError> {
    let metadata = match record.fields.get("metadata") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|_| record.wrong("metadata", "text of JSON"))?
        }
        Some(other) => other.clone(),
    };
    match metadata.get("func_name") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err(record.wrong("metadata.func_name", "a string")),
    }
}

fn tests(
    record: &Record,
    field: &str,
    text: &str,
    function: Option<&str>,
) -> Result<Vec<TestCase>, DatasetError> {
    let json = |source| DatasetError::Packed {
        place: record.place.clone(),
        field: field.into(),
        source: PackedError::Json(source),
    };
    let cases: Vec<Value> = serde_json::from_str(text).map_err(json)?;
    let test = |(number, case): (usize, &Value)| {
        let wrong = |needed: &str| record.wrong(&format!("{field}[{number}]"), needed);
        let text = |key: &str| case.get(key).and_then(Value::as_str);
        let (Some(input), Some(output)) = (text("input"), text("output")) else {
            return Err(wrong("an object with texts `input` and `output`"));
        };
        match (text("testtype"), function) {
            (Some("stdin"), _) => Ok(TestCase::Stdio { stdin: input.into(), stdout: output.into() }),
            (Some("functional"), Some(function)) => {
                let arguments = input.split('\n').map(serde_json::from_str).collect::<Result<_, _>>();
                let (Ok(arguments), Ok(expected)) = (arguments, serde_json::from_str(output)) else {
                    return Err(wrong("one JSON value in each line of `input`, and one in `output`"));
                };
                Ok(TestCase::Call { function: function.into(), arguments, expected })
            }
            (Some("functional"), None) => Err(record.wrong("metadata.func_name", "the function to call")),
            _ => Err(wrong("one whose `testtype` is `stdin` or `functional`")),
        }
    };
    cases.iter().enumerate().map(test).collect()
}
