//! Problems for the tests.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod programs;

use pspo::data::Problem;
use pspo_monty_verifier::{MontyConfig, MontyVerifier};
use serde_json::{Value, json};

pub fn verifier() -> MontyVerifier {
    MontyVerifier::new(MontyConfig::default()).unwrap()
}

/// A problem with these tests.
pub fn problem(tests: Value) -> Problem {
    serde_json::from_value(json!({"id": "p", "prompt": "?", "tests": tests})).unwrap()
}

pub fn script(variables: Value, stdout: &str) -> Value {
    json!({"kind": "script", "variables": variables, "stdout": stdout})
}

pub fn call(function: &str, arguments: Value, expected: Value) -> Value {
    json!({"kind": "call", "function": function, "arguments": arguments, "expected": expected})
}

pub fn assert(code: &str) -> Value {
    json!({"kind": "assert", "code": code})
}
