//! What CPython does, for the tests that compare with it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

/// Runs every program in one interpreter, each with its own global variables.
const SCRIPT: &str = "
import contextlib, io, json, sys
results = []
for program, variables in json.load(sys.stdin):
    output, error = io.StringIO(), None
    with contextlib.redirect_stdout(output):
        try:
            exec(program, variables)
        except Exception as caught:
            error = type(caught).__name__
    results.append([output.getvalue(), error])
json.dump(results, sys.stdout)
";

/// What each program prints from its variables, and the name of the exception that ends it, if any.
pub(in crate::problems) fn run(
    programs: &[(String, BTreeMap<String, Json>)],
) -> Vec<(String, Option<String>)> {
    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("these tests need `python3`");
    let mut stdin = python.stdin.take().unwrap();
    let input = json!(programs).to_string();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}
