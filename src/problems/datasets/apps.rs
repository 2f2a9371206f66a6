//! APPS (Hendrycks et al., 2021, <https://github.com/hendrycks/apps>).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::apps_imports::with_imports;
use super::python::returns_at_top;
use super::record::{Place, Record, texts};
use super::{DatasetError, set};
use crate::data::{Matching, Problem, ProblemSet, Task, TestCase};

/// Reads APPS in its original layout: a folder that has a folder for each problem, in the order of their names.
///
/// The prompt is `question.txt` and, where there is one, `starter_code.py`. Tests are `stdio`, or, where
/// `input_output.json` names a function (`fn_name`), `call`s of it: of a function or of a method of
/// `class Solution`. The benchmark has no split of its own that would be hidden: all are tests. The id is `APPS/`
/// and the folder's name. `metadata.json` is the metadata; `solutions.json`, `starter_code.py` and `fn_name` are
/// `solutions`, `starter_code` and `fn_name` there.
///
/// The solution is the first of `solutions.json` that is a program, behind those imports that the benchmark gives and
/// it uses: some return outside any function, since the benchmark makes a function of each. A
/// problem without `input_output.json`, of which the benchmark has some, is passed over: nothing could judge it.
///
/// Its `testing_util.py` compares printed lines without the white space at their ends, then numbers by
/// `numpy.allclose` (10⁻⁸ + 10⁻⁵ of the number), at last the sets of each line's words. Here the tolerance is for
/// problems alone that expect some number with a fraction ([`Matching::Numbers`]); the others are compared by
/// [`Matching::DecimalLines`], since otherwise 1000001 would do for 1000000. That sets are equal is never enough.
///
/// What a call is expected to return is written as itself or as the one element of a list, and the benchmark takes
/// either. Here a problem's values are taken out of lists if all are in one, and the problem is not LeetCode's,
/// which writes them as they are. Values with an object of integers' names, which stands for a dict of
/// integers, are compared by an `assert` test.
///
/// # Errors
/// Names the file and the field that is not as documented.
pub fn apps(folder: impl AsRef<Path>) -> Result<ProblemSet, DatasetError> {
    let folder = folder.as_ref();
    let io = |source| DatasetError::Io { path: folder.into(), source };
    let entries = fs::read_dir(folder).map_err(io)?;
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(io)?;
    folders.sort();
    let problems =
        folders.iter().filter(|path| path.join("question.txt").is_file()).map(|path| problem(path));
    set(folder, problems.filter_map(Result::transpose).collect::<Result<_, _>>()?)
}

fn problem(folder: &Path) -> Result<Option<Problem>, DatasetError> {
    let id = format!("APPS/{}", folder.file_name().unwrap_or_default().to_string_lossy());
    let place = |file: &str| Place { path: folder.join(file), line: None, task: Some(id.clone()) };
    let mut prompt = text(folder, "question.txt")?.unwrap_or_default();
    let Some(tests) = json::<Map<_, _>>(folder, "input_output.json", &place)? else { return Ok(None) };
    let mut tests = Record { fields: tests, place: place("input_output.json") };
    let metadata: Map<_, _> = json(folder, "metadata.json", &place)?.unwrap_or_default();
    let url = metadata.get("url").and_then(Value::as_str).unwrap_or_default();
    let (tests, matching) = match tests.fields.remove("fn_name") {
        None | Some(Value::Null) => (stdio(&tests)?, None),
        Some(Value::String(name)) => (calls(&tests, &name, url.contains("leetcode.com"))?, Some(name)),
        Some(_) => return Err(tests.wrong("fn_name", "a string")),
    };
    let (function, matching) = (matching, rule(&tests));
    if tests.is_empty() {
        return Ok(None);
    }
    let mut metadata: BTreeMap<_, _> = metadata.into_iter().collect();
    metadata.extend(function.map(|name| ("fn_name".into(), name.into())));
    if let Some(starter) = text(folder, "starter_code.py")? {
        prompt = format!("{prompt}\n\n{starter}");
        metadata.insert("starter_code".into(), starter.into());
    }
    let solutions: Option<Value> = json(folder, "solutions.json", &place)?;
    let all = solutions.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let first = all.filter(|program| !returns_at_top(program)).map(with_imports).next();
    metadata.extend(solutions.map(|solutions| ("solutions".into(), solutions)));
    Ok(Some(Problem {
        id,
        prompt,
        task: Task::Code,
        tests,
        held_out_tests: vec![],
        matching,
        solution: first,
        metadata,
    }))
}

/// A file of a problem's folder, if it is there.
fn text(folder: &Path, file: &str) -> Result<Option<String>, DatasetError> {
    let path = folder.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DatasetError::Io { path, source }),
    }
}

fn json<T: serde::de::DeserializeOwned>(
    folder: &Path,
    file: &str,
    place: &dyn Fn(&str) -> Place,
) -> Result<Option<T>, DatasetError> {
    let Some(text) = text(folder, file)? else { return Ok(None) };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|source| DatasetError::Json { place: place(file), source })
}

/// The inputs and outputs of `input_output.json`.
fn sides(tests: &Record) -> Result<(&[Value], &[Value]), DatasetError> {
    let side = |field: &str| match tests.fields.get(field) {
        Some(Value::Array(values)) => Ok(&values[..]),
        _ => Err(tests.wrong(field, "a list")),
    };
    let (inputs, outputs) = (side("inputs")?, side("outputs")?);
    if inputs.len() != outputs.len() {
        return Err(tests.wrong("outputs", format!("{} values, as many as `inputs`", inputs.len())));
    }
    Ok((inputs, outputs))
}

fn stdio(tests: &Record) -> Result<Vec<TestCase>, DatasetError> {
    let (inputs, outputs) = sides(tests)?;
    let text = |value: &Value, field: &str| match value {
        Value::String(text) => Ok(text.clone()),
        lines => {
            let joined = texts(lines).map(|lines| lines.join("\n"));
            joined.ok_or_else(|| tests.wrong(field, "texts, or lists of lines"))
        }
    };
    let pairs = inputs.iter().zip(outputs);
    pairs
        .map(|(stdin, stdout)| {
            Ok(TestCase::Stdio { stdin: text(stdin, "inputs")?, stdout: text(stdout, "outputs")? })
        })
        .collect()
}

fn calls(tests: &Record, function: &str, leetcode: bool) -> Result<Vec<TestCase>, DatasetError> {
    let (inputs, outputs) = sides(tests)?;
    let wrapped =
        !leetcode && outputs.iter().all(|output| output.as_array().is_some_and(|list| list.len() == 1));
    let pairs = inputs.iter().zip(outputs);
    pairs
        .map(|(arguments, output)| {
            let arguments =
                arguments.as_array().ok_or_else(|| tests.wrong("inputs", "lists of arguments"))?;
            let expected = if wrapped { &output[0] } else { output };
            if arguments.iter().chain([expected]).any(has_integer_keys) {
                let arguments: Vec<_> = arguments.iter().map(literal).collect();
                let code = format!("assert {function}({}) == {}", arguments.join(", "), literal(expected));
                return Ok(TestCase::Assert { code, calls: vec![function.into()] });
            }
            Ok(TestCase::Call {
                function: function.into(),
                arguments: arguments.clone(),
                expected: expected.clone(),
            })
        })
        .collect()
}

/// Whether a value is an object that stands for a dict of integers: JSON has names of text alone.
fn has_integer_keys(value: &Value) -> bool {
    value.as_object().is_some_and(|object| {
        !object.is_empty()
            && object.keys().all(|key| key.parse::<i64>().is_ok_and(|int| int.to_string() == *key))
    })
}

/// A value as Python writes it.
fn literal(value: &Value) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(object) => {
            let integers = has_integer_keys(value);
            let key = |key: &str| if integers { key.to_owned() } else { quoted(key) };
            let pairs: Vec<_> =
                object.iter().map(|(name, item)| format!("{}: {}", key(name), literal(item))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        plain => plain.to_string(),
    }
}

/// How a problem's answers are compared: see [`apps`].
fn rule(tests: &[TestCase]) -> Matching {
    let fraction = |word: &str| word.contains('.') && word.parse::<f64>().is_ok_and(f64::is_finite);
    let any = tests.iter().any(|test| match test {
        TestCase::Stdio { stdout, .. } => stdout.split_whitespace().any(fraction),
        _ => false,
    });
    if any { Matching::Numbers { absolute: 1e-8, relative: 1e-5 } } else { Matching::DecimalLines }
}
