//! A verifier for a language of one's own: reverse Polish notation, where `a 2 * b + print` prints
//! 2a + b.
//!
//! Prints the verdicts on seven programs, what comes of a test that the verifier cannot run, the verdict of a
//! closure wrapped around the verifier, and the error for a name that no verifier has.

use std::collections::BTreeMap;
use std::time::Instant;

use pspo::data::{Problem, TestCase};
use pspo::plugin::{
    self, CheckedVerifier, Kind, Outcome, Submission, Verdict, Verifier, VerifierConfig, VerifyError,
    testkit, verifier_fn,
};
use pspo::verify::{excerpt, matches_output};
use serde::{Deserialize, Serialize};

// ANCHOR: verifier
/// Judges programs in reverse Polish notation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Calculator {
    /// How many numbers a program may keep.
    stack: usize,
}

impl Default for Calculator {
    fn default() -> Self {
        Self { stack: 64 }
    }
}

impl Verifier for Calculator {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        let (begun, total) = (Instant::now(), submission.tests.len());
        let verdict = |outcome, passed, detail| {
            Ok(Verdict { outcome, passed, total, detail, seconds: begun.elapsed().as_secs_f64() })
        };
        for (number, test) in submission.tests.iter().enumerate() {
            // A test that cannot be run says nothing about the program.
            let TestCase::Script { variables, stdout } = test else {
                let problem = &submission.problem.id;
                return Err(VerifyError::Unsupported(format!("test {number} of `{problem}` is no script")));
            };
            let (outcome, why) = match self.run(submission.program, &integers(variables)?) {
                Ok(printed) if matches_output(&submission.problem.matching, stdout, &printed)? => continue,
                Ok(printed) => {
                    (Outcome::Wrong, format!("printed {}, not {}", excerpt(&printed), excerpt(stdout)))
                }
                Err(fault) => fault,
            };
            return verdict(outcome, number, format!("test {number}: {why}"));
        }
        verdict(Outcome::Pass, total, String::new())
    }
}
// ANCHOR_END: verifier

// ANCHOR: run
impl Calculator {
    /// What a program prints, or how it fails. It ends, for the language has no loops; its memory is
    /// bounded by `stack`, its output by its length.
    fn run(&self, program: &str, variables: &BTreeMap<&str, i64>) -> Result<String, (Outcome, String)> {
        let (mut stack, mut printed) = (Vec::new(), String::new());
        for word in program.split_whitespace() {
            let mut pop = || stack.pop().ok_or((Outcome::Runtime, format!("`{word}` finds no number")));
            let result = match word {
                "print" => {
                    printed += &format!("{}\n", pop()?);
                    continue;
                }
                "+" | "-" | "*" => {
                    let (b, a): (i64, i64) = (pop()?, pop()?);
                    let result = match word {
                        "+" => a.checked_add(b),
                        "-" => a.checked_sub(b),
                        _ => a.checked_mul(b),
                    };
                    result.ok_or((Outcome::Runtime, format!("{a} {b} {word} is too large")))?
                }
                _ => match (variables.get(word), word.parse()) {
                    (Some(&value), _) | (None, Ok(value)) => value,
                    (None, Err(_)) => return Err((Outcome::Compile, format!("there is no `{word}`"))),
                },
            };
            stack.push(result);
            if stack.len() > self.stack {
                return Err((Outcome::Memory, format!("more than {} numbers", self.stack)));
            }
        }
        Ok(printed)
    }
}
// ANCHOR_END: run

/// A test's variables, all of which must be integers.
fn integers(variables: &BTreeMap<String, serde_json::Value>) -> Result<BTreeMap<&str, i64>, VerifyError> {
    let integer = |(name, value): (&'_ String, &serde_json::Value)| {
        value.as_i64().ok_or_else(|| VerifyError::Unsupported(format!("`{name}` = {value} is no integer")))
    };
    variables.iter().map(|entry| Ok((entry.0.as_str(), integer(entry)?))).collect()
}

// ANCHOR: config
#[typetag::serde(name = "calculator")]
impl VerifierConfig for Calculator {
    fn build(&self) -> Result<Box<dyn Verifier>, VerifyError> {
        Ok(Box::new(self.clone()))
    }
}

pspo::card! {
    kind: Verifier,
    name: "calculator",
    summary: "Runs programs in reverse Polish notation.",
    example: "type = \"calculator\"\nstack = 64",
}
// ANCHOR_END: config

/// 2a + b, on two inputs.
fn problem() -> Result<Problem, serde_json::Error> {
    serde_json::from_value(serde_json::json!({
        "id": "twice",
        "prompt": "twice a, and b",
        "tests": [
            { "kind": "script", "variables": { "a": 3, "b": 4 }, "stdout": "10\n" },
            { "kind": "script", "variables": { "a": -1, "b": 0 }, "stdout": "-2\n" },
        ],
    }))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let problem = problem()?;
    let right = "a 2 * b + print";
    let wrong = ["a b + print", "10 print", "a + print", "a twice print", "a a a a a + + + + print", ""];

    // ANCHOR: testkit
    testkit::verifier(Calculator { stack: 4 }, &problem, right, &wrong);
    // ANCHOR_END: testkit
    println!("The verifier keeps its contract.\n");

    let verifier = CheckedVerifier::new(Calculator { stack: 4 });
    for program in [right].iter().chain(&wrong) {
        let Verdict { outcome, passed, total, detail, .. } =
            verifier.verify(Submission::rewarded(&problem, program))?;
        let outcome = format!("{outcome:?}");
        println!("{program:<26}{outcome:<9}{passed} of {total}  {detail}");
    }

    let unlike = TestCase::Assert { code: "assert twice(1, 2) == 4".into(), calls: vec![] };
    let unlike = Problem { tests: vec![unlike], ..problem.clone() };
    let Err(error) = verifier.verify(Submission::rewarded(&unlike, right)) else {
        return Err("a test of another kind was judged".into());
    };
    println!("\nNot a verdict, but an error: {error}.");

    // ANCHOR: closure
    let calculator = Calculator::default();
    let terse = verifier_fn(move |submission: Submission<'_>| {
        let words = submission.program.split_whitespace().count();
        let verdict = calculator.verify(submission)?;
        Ok(match verdict.passes() && words > 6 {
            true => Verdict {
                outcome: Outcome::Wrong,
                passed: 0,
                detail: format!("right, but in {words} words"),
                ..verdict
            },
            false => verdict,
        })
    });
    // ANCHOR_END: closure
    let wordy = Submission::rewarded(&problem, "a 2 * b + 0 + print");
    println!("A closure around it: {}.\n", CheckedVerifier::new(terse).verify(wordy)?.detail);

    // ANCHOR: named
    let table = toml::from_str("type = \"calculator\"\nstack = 2")?;
    let config: Box<dyn VerifierConfig> = plugin::build(Kind::Verifier, table)?;
    let small = CheckedVerifier::new(config.build()?);
    // ANCHOR_END: named
    let verdict = small.verify(Submission::rewarded(&problem, "a a b + + print"))?;
    println!("With stack = 2: {:?}, {}.", verdict.outcome, verdict.detail);

    let table = toml::from_str("type = \"calculater\"")?;
    if let Err(error) = plugin::build::<Box<dyn VerifierConfig>>(Kind::Verifier, table) {
        println!("Misspelt: {error}.");
    }
    Ok(())
}
