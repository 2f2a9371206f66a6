//! [`AnswerMatch`]: a verifier for tasks whose answer is text, without anything to run.

use serde::{Deserialize, Serialize};

use super::compare::excerpt;
use super::matching::{matches_output, matches_value};
use crate::data::{Matching, TestCase};
use crate::plugin::{Outcome, Submission, Verdict, Verifier, VerifierConfig, VerifyError};

/// Passes a response whose text is the expected answer.
///
/// The answer is the response, or what follows the last [`AnswerMatchConfig::after`] in it, without
/// the white space around it. Against a test that expects printed text
/// ([`TestCase::Script`], [`TestCase::Stdio`]) it is compared by [`matches_output`], white space around the
/// expected text put aside too. Against a [`TestCase::Call`] that expects a string it must be that
/// string, quotes and all that is in it; against one that expects another value it is read as JSON and
/// compared by [`matches_value`]. Variables, input and arguments are not looked at.
///
/// ```
/// use pspo::verify::{AnswerMatch, AnswerMatchConfig};
///
/// let verifier = AnswerMatch::new(AnswerMatchConfig { after: Some("Answer:".into()) });
/// # fn takes(_: impl pspo::plugin::Verifier) {}
/// # takes(verifier);
/// ```
#[derive(Clone, Debug, Default)]
pub struct AnswerMatch {
    config: AnswerMatchConfig,
}

/// The config of [`AnswerMatch`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerMatchConfig {
    /// The answer is what follows the last occurrence of this in the response; a response without it
    /// is wrong. `None`: the whole response is the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

crate::card! {
    kind: Verifier,
    name: "answer_match",
    summary: "Passes a response whose text is the expected answer; runs nothing.",
    example: "type = \"answer_match\"\nafter = \"Answer:\"",
}

#[typetag::serde(name = "answer_match")]
impl VerifierConfig for AnswerMatchConfig {
    fn build(&self) -> Result<Box<dyn Verifier>, VerifyError> {
        Ok(Box::new(AnswerMatch::new(self.clone())))
    }
}

impl AnswerMatch {
    /// A verifier by `config`.
    pub fn new(config: AnswerMatchConfig) -> Self {
        Self { config }
    }

    fn answer<'a>(&self, response: &'a str) -> Option<&'a str> {
        let answer = match self.config.after.as_deref() {
            None => response,
            Some(marker) => &response[response.rfind(marker)? + marker.len()..],
        };
        Some(answer.trim())
    }
}

impl Verifier for AnswerMatch {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        let answer = self.answer(submission.program);
        let mut passed = 0;
        let mut detail = String::new();
        for (number, test) in (1..).zip(submission.tests) {
            if matches(answer, test, &submission.problem.matching)? {
                passed += 1;
            } else if detail.is_empty() {
                detail = match answer {
                    Some(answer) => format!("test {number}: the answer is {}", excerpt(answer)),
                    None => {
                        format!("test {number}: no {:?} before an answer", self.config.after.as_deref())
                    }
                };
            }
        }
        let total = submission.tests.len();
        let outcome = if passed == total { Outcome::Pass } else { Outcome::Wrong };
        Ok(Verdict { outcome, passed, total, detail, seconds: 0.0 })
    }

    fn counts_all(&self) -> bool {
        true
    }
}

fn matches(answer: Option<&str>, test: &TestCase, rule: &Matching) -> Result<bool, VerifyError> {
    let expected = match test {
        TestCase::Script { stdout, .. } | TestCase::Stdio { stdout, .. } => {
            return answer.map_or(Ok(false), |answer| matches_output(rule, stdout.trim(), answer));
        }
        TestCase::Call { expected, .. } => expected,
        other => {
            let what = format!("an answer cannot be matched against {other:?}: only run code can pass it");
            return Err(VerifyError::Unsupported(what));
        }
    };
    let Some(answer) = answer else { return Ok(false) };
    match (expected.as_str(), serde_json::from_str(answer)) {
        (Some(text), _) => Ok(text.trim() == answer),
        (None, Ok(answer)) => matches_value(rule, expected, &answer),
        (None, Err(_)) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Problem;
    use crate::plugin::{self, Kind, testkit};
    use serde_json::json;

    fn problem(tests: serde_json::Value) -> Problem {
        serde_json::from_value(json!({"id": "p", "prompt": "?", "tests": tests})).unwrap()
    }

    #[test]
    fn it_keeps_the_contract() {
        let printed = problem(json!([{"kind": "stdio", "stdin": "", "stdout": "1 2\n3\n"}]));
        testkit::verifier(AnswerMatch::default(), &printed, "\n1 2 \r\n3", &["", "1 2", "1  2\n3"]);

        let call = |expected: serde_json::Value| {
            problem(json!([{"kind": "call", "function": "f", "arguments": [], "expected": expected}]))
        };
        let floats = call(json!({"a": [1, 2.0]}));
        testkit::verifier(
            AnswerMatch::default(),
            &floats,
            r#" {"a": [1, 2.0]} "#,
            &["", "{", r#"{"a": [1, 2]}"#],
        );
        testkit::verifier(AnswerMatch::default(), &call(json!("yes")), "yes\n", &["\"yes\"", "Yes", "no"]);
        testkit::verifier(AnswerMatch::default(), &call(json!(true)), "true", &["1", "True"]);
    }

    #[test]
    fn the_answer_follows_the_last_marker() {
        let after = || AnswerMatch::new(AnswerMatchConfig { after: Some("####".into()) });
        let problem = problem(json!([{"kind": "script", "variables": {}, "stdout": "72"}]));
        let wrong = ["72", "72 ####", "#### 72 #### 7"];
        testkit::verifier(after(), &problem, "so #### 7? no: #### 72", &wrong);
    }

    #[test]
    fn asserts_are_no_answers() {
        let problem = problem(json!([{"kind": "assert", "code": "assert True"}]));
        let error = AnswerMatch::default().verify(Submission::rewarded(&problem, "x")).unwrap_err();
        assert!(matches!(error, VerifyError::Unsupported(_)), "{error}");
    }

    #[test]
    fn the_card_is_an_example_of_the_config() {
        let card = plugin::cards().into_iter().find(|card| card.name == "answer_match").unwrap();
        let table: serde_json::Value = toml::from_str(card.example).unwrap();
        let config = plugin::build::<Box<dyn VerifierConfig>>(Kind::Verifier, table).unwrap();
        config.build().unwrap();
        let misspelt = json!({"type": "answer_match", "before": "x"});
        assert!(plugin::build::<Box<dyn VerifierConfig>>(Kind::Verifier, misspelt).is_err());
    }
}
