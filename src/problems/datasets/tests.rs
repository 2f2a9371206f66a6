use std::collections::BTreeSet;
use std::io::Write;

use serde_json::{Map, Value, json};

use super::*;
use crate::data::{Matching, TestCase};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");

fn data(name: &str) -> PathBuf {
    Path::new(DATA).join(name)
}

/// The records of a file, as they stand there.
fn originals(name: &str) -> Vec<Map<String, Value>> {
    record::records(&data(name), |record| Ok(record.fields)).unwrap()
}

/// Every field of the original is in the metadata, but for those named, which are fields of the problem.
fn keeps(problem: &Problem, original: &Map<String, Value>, fields: &[&str]) {
    let all: BTreeSet<_> = original.keys().map(String::as_str).collect();
    let kept: BTreeSet<_> =
        problem.metadata.keys().map(String::as_str).chain(fields.iter().copied()).collect();
    assert!(all.is_subset(&kept), "{}: {all:?} {kept:?}", problem.id);
    for (field, value) in &problem.metadata {
        assert_eq!(original.get(field), Some(value), "{} {field}", problem.id);
    }
}

#[test]
fn human_eval_is_kept_whole() {
    let (set, originals) = (human_eval(data("HumanEval.jsonl.gz")).unwrap(), originals("HumanEval.jsonl.gz"));
    assert_eq!(set.len(), 164);
    for (problem, original) in set.iter().zip(&originals) {
        keeps(problem, original, &["task_id", "prompt"]);
        assert_eq!(
            (Value::from(problem.id.as_str()), Value::from(&*problem.prompt)),
            (original["task_id"].clone(), original["prompt"].clone())
        );
    }
}

#[test]
fn mbpp_tests_have_what_they_need() {
    let (set, originals) = (mbpp(data("mbpp.jsonl.gz")).unwrap(), originals("mbpp.jsonl.gz"));
    assert_eq!(set.len(), 974);
    for (problem, original) in set.iter().zip(&originals) {
        keeps(problem, original, &["code"]);
        let challenges = original["challenge_test_list"].as_array().unwrap().len();
        assert_eq!(
            (problem.tests.len(), problem.held_out_tests.len()),
            (original["test_list"].as_array().unwrap().len(), challenges)
        );
        for test in problem.tests.iter().chain(&problem.held_out_tests) {
            let TestCase::Assert { calls, .. } = test else { panic!("{test:?}") };
            assert!(!calls.is_empty(), "{}: {test:?}", problem.id);
        }
    }
    let case = |id: usize| set.get(id - 1).unwrap().tests[0].clone();
    let TestCase::Assert { code, calls } = case(596) else { unreachable!() };
    assert!(code.starts_with("import sys\nassert tuple_size(") && calls == ["tuple_size"]);
    let TestCase::Assert { code, calls } = case(367) else { unreachable!() };
    assert!(code.starts_with("root = Node(1)") && calls == ["Node", "is_tree_balanced"]);

    let sanitized = mbpp(data("sanitized_mbpp.json")).unwrap();
    let code = "import math\nassert math.isclose(area(1), 3.14159, rel_tol=1e-5)".into();
    assert_eq!(sanitized.get(0).unwrap().tests[0], TestCase::Assert { code, calls: vec!["area".into()] });
    assert_eq!(sanitized.get(0).unwrap().metadata["source_file"], "ours");
}

#[test]
fn apps_are_of_two_kinds() {
    let set = apps(data("apps")).unwrap();
    let ids: Vec<_> = set.iter().map(|problem| problem.id.as_str()).collect();
    assert_eq!(ids, ["APPS/0001", "APPS/0111", "APPS/2287", "APPS/2404", "APPS/4184"]);
    let problem = |index| set.get(index).unwrap();
    assert!(matches!(&problem(0).tests[..], [TestCase::Stdio { stdout, .. }] if stdout == "1\n6\n-1\n"));
    assert_eq!(problem(0).metadata["difficulty"], "interview");
    assert_eq!(problem(0).metadata["solutions"].as_array().unwrap().len(), 24);
    let call =
        |name: &str, arguments, expected| TestCase::Call { function: name.into(), arguments, expected };
    assert_eq!(
        problem(3).tests,
        [call("findKthPositive", vec![json!([2, 3, 4, 7, 11]), json!(5)], json!(9))]
    );
    assert!(
        problem(3).solution.as_ref().unwrap().starts_with("from typing import List, Tuple\nclass Solution:")
    );
    assert!(problem(3).prompt.ends_with(problem(3).metadata["starter_code"].as_str().unwrap()));
    assert_eq!(problem(4).tests[0], call("is_prime", vec![json!(1)], json!(false)));
}

#[test]
fn apps_values_that_json_cannot_write_become_asserts() {
    let folder = tempfile::tempdir().unwrap();
    let write = |problem: &str, file: &str, text: &str| {
        std::fs::create_dir_all(folder.path().join(problem)).unwrap();
        std::fs::write(folder.path().join(problem).join(file), text).unwrap();
    };
    for problem in ["0", "1", "2", "3"] {
        write(problem, "question.txt", "?");
    }
    write(
        "0",
        "input_output.json",
        r#"{"fn_name": "f", "inputs": [[{"1": "é\n"}, null]], "outputs": [[{"a": [true]}]]}"#,
    );
    write("1", "input_output.json", r#"{"inputs": [["1", "2"]], "outputs": [["0.5", "x"]]}"#);
    write("2", "input_output.json", r#"{"inputs": [], "outputs": []}"#);
    write("notes.txt", "x", "");
    let set = apps(folder.path()).unwrap();
    let code = r#"assert f({1: "é\n"}, None) == {"a": [True]}"#.into();
    assert_eq!(set.get(0).unwrap().tests, [TestCase::Assert { code, calls: vec!["f".into()] }]);
    let lines = TestCase::Stdio { stdin: "1\n2".into(), stdout: "0.5\nx".into() };
    assert_eq!(set.get(1).unwrap().tests, [lines]);
    assert_eq!(set.get(1).unwrap().matching, Matching::Numbers { absolute: 1e-8, relative: 1e-5 });
    assert_eq!(set.len(), 2);
    for (text, says) in [
        ("[]", "2/input_output.json, `APPS/2`: not a JSON object"),
        ("{}", "the field `inputs` must be a list"),
        (r#"{"inputs": [1], "outputs": []}"#, "the field `outputs` must be 1 values"),
        (r#"{"inputs": [1], "outputs": [1]}"#, "the field `inputs` must be texts"),
        (r#"{"inputs": [1], "outputs": [1], "fn_name": "f"}"#, "`inputs` must be lists of arguments"),
        (r#"{"inputs": [1], "outputs": [1], "fn_name": 1}"#, "`fn_name` must be a string"),
    ] {
        write("2", "input_output.json", text);
        let error = apps(folder.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(matches!(apps(folder.path().join("none")), Err(DatasetError::Io { .. })));
}

#[test]
fn live_code_bench_private_tests_are_held_out() {
    let set = live_code_bench(data("live_code_bench.jsonl")).unwrap();
    let stdio = |stdin: &str, stdout: &str| TestCase::Stdio { stdin: stdin.into(), stdout: stdout.into() };
    let problem = |index| set.get(index).unwrap();
    assert_eq!(problem(0).tests, [stdio("3\n1 2 3\n", "0.5 1.0\n1.5\n")]);
    assert_eq!(problem(0).held_out_tests, [stdio("1\n-5\n", "-2.5\n\n")]);
    assert_eq!(problem(1).held_out_tests, [stdio("1\n9\n", "9")]);
    let call =
        |name: &str, arguments, expected| TestCase::Call { function: name.into(), arguments, expected };
    assert_eq!(problem(2).tests, [call("pairSums", vec![json!([1, 2, 3]), json!(1)], json!([2, 3, 4]))]);
    assert_eq!(problem(2).held_out_tests, [call("pairSums", vec![json!([]), json!(7)], json!([]))]);
    assert_eq!(problem(3).tests, [call("words", vec![json!("aé b")], json!(["aé", "b"]))]);
    assert_eq!(problem(3).held_out_tests, []);
    for (problem, original) in set.iter().zip(originals("live_code_bench.jsonl")) {
        keeps(problem, &original, &["public_test_cases", "private_test_cases", "question_content"]);
        assert_eq!(problem.matching, Matching::DecimalLines);
    }
}

#[test]
fn hostile_private_tests_are_refused() {
    for original in originals("live_code_bench_hostile.jsonl.gz") {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{}", Value::from(original.clone())).unwrap();
        let error = live_code_bench(file.path()).unwrap_err().to_string();
        let (id, says) = (original["question_id"].as_str().unwrap(), original["refused"].as_str().unwrap());
        assert!(
            error.contains(says) && error.contains(&format!("record 1, `LiveCodeBench/{id}`")),
            "{error}"
        );
    }
}

#[test]
fn code_contests_of_both_forms() {
    let set = code_contests(data("code_contests.jsonl")).unwrap();
    let ids: Vec<_> = set.iter().map(|problem| problem.id.as_str()).collect();
    assert_eq!(ids, ["CodeContests/1_A. Twice", "CodeContests/echo", "CodeContests/echo#2"]);
    let problem = set.get(0).unwrap();
    assert_eq!((problem.tests.len(), problem.held_out_tests.len()), (1, 3));
    assert!(problem.solution.as_ref().unwrap().starts_with("x = 2"));
    assert_eq!((set.get(1).unwrap().tests.len(), set.get(1).unwrap().held_out_tests.len()), (1, 0));
    for (problem, original) in set.iter().zip(originals("code_contests.jsonl")) {
        keeps(problem, &original, &["description", "public_tests", "private_tests", "generated_tests"]);
    }
}

#[test]
fn human_eval_x_tests_call_the_declared_function() {
    let set = human_eval_x_cpp(data("humaneval_x_cpp.jsonl.gz")).unwrap();
    assert_eq!(set.len(), 164);
    for (problem, original) in set.iter().zip(originals("humaneval_x_cpp.jsonl.gz")) {
        keeps(problem, &original, &["task_id", "prompt"]);
        let TestCase::Assert { code, calls } = &problem.tests[0] else { panic!() };
        assert!(
            code.contains(&format!("{}(", calls[0])) || code.contains(&format!("{} (", calls[0])),
            "{}: {calls:?}",
            problem.id
        );
        assert!(
            problem.metadata.contains_key("declaration") && problem.metadata.contains_key("example_test")
        );
    }
}

#[test]
fn what_is_wrong_is_named() {
    let human_eval_1 = originals("HumanEval.jsonl.gz")[1].clone();
    let without = |field: &str| {
        let mut fields = human_eval_1.clone();
        fields.remove(field);
        Value::from(fields).to_string()
    };
    let with = |field: &str, value: Value| {
        let mut fields = human_eval_1.clone();
        fields.insert(field.into(), value);
        Value::from(fields).to_string()
    };
    let whole = Value::from(human_eval_1.clone()).to_string();
    type Read = fn(&Path) -> Result<ProblemSet, DatasetError>;
    let read: Read = |path| human_eval(path);
    let read_mbpp: Read = |path| mbpp(path);
    let contests: Read = |path| code_contests(path);
    for (read, text, says) in [
        (read, "\n[1".into(), ": not a JSON object"),
        (read, "\n{\"task_id\": 1}".into(), ", record 2: the field `task_id` must be a string"),
        (read, format!("[{whole}, {whole}]"), "two problems have the id `HumanEval/1`"),
        (read, format!("{whole}\n3"), ", record 2: not a JSON object"),
        (read, without("test"), ", record 1, `HumanEval/1`: the field `test` must be a string"),
        (read, without("prompt"), "`prompt` must be a string"),
        (read, without("canonical_solution"), "`canonical_solution` must be a string"),
        (read, with("entry_point", json!("f")), "must be a function of the prompt, not \"f\""),
        (read, "{}\u{0}".into(), "not a JSON object"),
        (read_mbpp, "{\"task_id\": -1}".into(), "`task_id` must be a number"),
        (read_mbpp, "{\"task_id\": 1, \"text\": \"t\", \"test_list\": [1]}".into(), "a list of strings"),
        (
            read_mbpp,
            "{\"task_id\": 1, \"text\": \"t\", \"code\": \"\", \"test_list\": []}".into(),
            "has no tests",
        ),
        (
            contests,
            "{\"name\": \"a\", \"public_tests\": {\"input\": [\"\"]}}".into(),
            "pairs of `input` and `output`",
        ),
        (
            contests,
            "{\"name\": \"a\", \"public_tests\": [{\"input\": 1}]}".into(),
            "pairs of `input` and `output`",
        ),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&std::fs::read(data("HumanEval.jsonl.gz")).unwrap()[..1000]).unwrap();
    assert!(matches!(human_eval(file.path()), Err(DatasetError::Io { .. })));
    file.write_all(b"\xff\xfe").unwrap();
    assert!(human_eval(file.path()).is_err());
}
