//! CodeContests (Li et al., 2022, <https://github.com/google-deepmind/code_contests>).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::record::{Record, records};
use super::{DatasetError, set};
use crate::data::{Matching, Problem, ProblemSet, Task, TestCase};

/// `PYTHON3` of the enumeration `Language` in `contest_problem.proto`.
const PYTHON3: u64 = 3;

/// Reads CodeContests' problems as JSON: one object a line, or an array as `convert_riegeli_to_json.py` writes it.
/// Tests and solutions may be lists of objects, as it writes them, or objects of lists, as on Hugging Face.
///
/// Public tests are the tests; private and then generated ones are held out, or the tests where there is no public
/// one. Answers are compared as the benchmark's `tester_sandboxer.cc` does, by [`Matching::LooseWords`]. The
/// solution is the first in Python 3. The id is `CodeContests/` and `name`, with `#2` and so on behind it where
/// sources have problems of one name.
///
/// Problems that read or write a file of a certain name (`input_file`, `output_file`) are passed over: no test here
/// can say so.
///
/// # Errors
/// Names the record and the field that is not as documented.
pub fn code_contests(path: impl AsRef<Path>) -> Result<ProblemSet, DatasetError> {
    let path = path.as_ref();
    let mut named = BTreeMap::new();
    let problems = records(path, |record| problem(record, &mut named))?;
    set(path, problems.into_iter().flatten().collect())
}

fn problem(mut record: Record, named: &mut BTreeMap<String, usize>) -> Result<Option<Problem>, DatasetError> {
    let mut id = format!("CodeContests/{}", record.text("name")?);
    record.place.task = Some(id.clone());
    if ["input_file", "output_file"].iter().any(|field| record.text(field).is_ok_and(|name| !name.is_empty()))
    {
        return Ok(None);
    }
    let count = named.entry(id.clone()).or_default();
    *count += 1;
    if *count > 1 {
        id = format!("{id}#{count}");
    }
    let mut of = |field: &str| -> Result<Vec<TestCase>, DatasetError> {
        let pairs = pairs(&record, field, "input", "output", as_text)?;
        record.fields.remove(field);
        Ok(pairs.into_iter().map(|(stdin, stdout)| TestCase::Stdio { stdin, stdout }).collect())
    };
    let (mut tests, mut held_out_tests) = (of("public_tests")?, of("private_tests")?);
    held_out_tests.extend(of("generated_tests")?);
    if tests.is_empty() {
        std::mem::swap(&mut tests, &mut held_out_tests);
    }
    let is_python3 = |language: &Value| language.as_u64() == Some(PYTHON3) || language == "PYTHON3";
    let solutions = pairs(&record, "solutions", "solution", "language", |value| Some(value.clone()))?;
    let solution = solutions.into_iter().find(|(_, language)| is_python3(language));
    Ok(Some(Problem {
        id,
        prompt: record.take_text("description")?,
        task: Task::Code,
        tests,
        held_out_tests,
        matching: Matching::LooseWords,
        solution: solution.and_then(|(program, _)| program.as_str().map(str::to_owned)),
        metadata: record.into_metadata(),
    }))
}

fn as_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The pairs of a field, be it a list of objects or an object of lists; an absent field has none.
fn pairs<T>(
    record: &Record,
    field: &str,
    first: &str,
    second: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<(T, T)>, DatasetError> {
    let read = match record.fields.get(field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(objects)) => {
            let pair = |object: &Value| Some((read(object.get(first)?)?, read(object.get(second)?)?));
            objects.iter().map(pair).collect()
        }
        Some(object) => match (object.get(first), object.get(second)) {
            (Some(Value::Array(firsts)), Some(Value::Array(seconds))) if firsts.len() == seconds.len() => {
                let pair = |(a, b): (&Value, &Value)| Some((read(a)?, read(b)?));
                firsts.iter().zip(seconds).map(pair).collect()
            }
            _ => None,
        },
    };
    read.ok_or_else(|| record.wrong(field, format!("pairs of `{first}` and `{second}`")))
}
