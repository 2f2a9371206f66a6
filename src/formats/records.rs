//! Rollouts and labels as records of our own, with everything that is known of them.

use serde::{Deserialize, Serialize};

use super::{Flaw, Record};
use crate::data::{Label, Labels, ResponseClass, Step, StepKind, Steps};

/// What a rollout's record says it is. A change that readers would notice gets another number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutSchema {
    /// The first.
    #[default]
    #[serde(rename = "pspo.rollout/1")]
    V1,
}

/// A sampled response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutRecord {
    /// `pspo.rollout/1`.
    pub schema: RolloutSchema,
    /// The problem's id.
    pub problem: String,
    /// The prompt as the policy was given it.
    pub prompt: String,
    /// The response, without the end-of-sequence token.
    pub response: String,
    /// The prompt's tokens.
    pub prompt_tokens: Vec<u32>,
    /// The response's tokens, the end-of-sequence token included.
    pub response_tokens: Vec<u32>,
    /// For each response token, the byte of the response just past it.
    pub token_ends: Vec<usize>,
    /// For each response token its log-probability, natural, under the policy that sampled it at its temperature.
    pub log_probs: Vec<f32>,
    /// Whether the response ended by itself.
    pub finished: bool,
    /// Whether it passes the tests; null where that is not known.
    pub passes: Option<bool>,
}

impl Record for RolloutRecord {
    fn check(&self) -> Result<(), Flaw> {
        let tokens = self.response_tokens.len();
        for (field, numbers) in [("token_ends", self.token_ends.len()), ("log_probs", self.log_probs.len())] {
            if numbers != tokens {
                let problem = format!("has {numbers} numbers for {tokens} response tokens: each needs one");
                return Err(Flaw::new(field, problem));
            }
        }
        if let Some(at) = self.log_probs.iter().position(|log_prob| !log_prob.is_finite()) {
            return Err(Flaw::new(format!("log_probs[{at}]"), "is not finite"));
        }
        let (end, len) = (self.token_ends.last().copied().unwrap_or(0), self.response.len());
        if end != len || !self.token_ends.is_sorted() {
            let problem = format!("must rise to {len}, the response's bytes, and ends at {end}");
            return Err(Flaw::new("token_ends", problem));
        }
        Ok(())
    }
}

/// What a label's record says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelSchema {
    /// The first.
    #[default]
    #[serde(rename = "pspo.labels/1")]
    V1,
}

/// The labels of a response's steps. All lists have one item for each step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRecord {
    /// `pspo.labels/1`.
    pub schema: LabelSchema,
    /// The problem's id.
    pub problem: String,
    /// The prompt as the policy was given it.
    pub prompt: String,
    /// What the response wrote of the program: its steps tile it.
    pub program: String,
    /// The byte of the program just past each step.
    pub step_ends: Vec<usize>,
    /// Whether each step is nothing but a comment.
    pub comments: Vec<bool>,
    /// The label of each step: 1, −1, or 0 for a neutral one.
    pub labels: Vec<i8>,
    /// The response token, from 0, that ends each step.
    pub step_tokens: Vec<usize>,
    /// The response's class.
    pub class: ResponseClass,
    /// Whether it passes the tests that the reward sees.
    pub passes: bool,
}

impl LabelRecord {
    /// The record of a response's steps and labels.
    pub fn new(
        problem: impl Into<String>,
        prompt: impl Into<String>,
        steps: &Steps,
        step_tokens: &[usize],
        labels: &Labels,
        passes: bool,
    ) -> Self {
        let number = |label: &Label| match label {
            Label::Good => 1,
            Label::Bad => -1,
            Label::Neutral => 0,
        };
        Self {
            schema: LabelSchema::V1,
            problem: problem.into(),
            prompt: prompt.into(),
            program: steps.program().to_owned(),
            step_ends: steps.iter().map(|step| step.span.end).collect(),
            comments: steps.iter().map(|step| step.kind == StepKind::Comment).collect(),
            labels: labels.steps.iter().map(number).collect(),
            step_tokens: step_tokens.to_vec(),
            class: labels.class,
            passes,
        }
    }

    /// The steps.
    ///
    /// # Errors
    /// If they do not tile the program.
    pub fn steps(&self) -> Result<Steps, Flaw> {
        let starts = std::iter::once(0).chain(self.step_ends.iter().copied());
        let kind = |&comment: &bool| if comment { StepKind::Comment } else { StepKind::Code };
        let steps = starts.zip(&self.step_ends).zip(&self.comments);
        let steps = steps.map(|((start, &end), comment)| Step { span: start..end, kind: kind(comment) });
        Steps::new(self.program.as_str(), steps.collect())
            .map_err(|error| Flaw::new("step_ends", format!("does not fit the program: {error}")))
    }

    /// The labels.
    ///
    /// # Errors
    /// If a number is none.
    pub fn labels(&self) -> Result<Labels, Flaw> {
        let label = |(place, &number): (usize, &i8)| match number {
            1 => Ok(Label::Good),
            -1 => Ok(Label::Bad),
            0 => Ok(Label::Neutral),
            _ => Err(Flaw::new(format!("labels[{place}]"), format!("is {number}: it must be 1, -1 or 0"))),
        };
        let steps = self.labels.iter().enumerate().map(label).collect::<Result<_, _>>()?;
        Ok(Labels { steps, class: self.class })
    }
}

impl Record for LabelRecord {
    fn check(&self) -> Result<(), Flaw> {
        let steps = self.step_ends.len();
        for (field, items) in [
            ("comments", self.comments.len()),
            ("labels", self.labels.len()),
            ("step_tokens", self.step_tokens.len()),
        ] {
            if items != steps {
                return Err(Flaw::new(field, format!("has {items} items for {steps} steps: each needs one")));
            }
        }
        if !self.step_tokens.is_sorted() {
            return Err(Flaw::new(
                "step_tokens",
                "falls: a step ends at no token before that of the step before",
            ));
        }
        self.labels()?;
        self.steps().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label_record() -> LabelRecord {
        let spans = [(0..2, StepKind::Code), (2..7, StepKind::Comment), (7..8, StepKind::Code)];
        let steps = spans.map(|(span, kind)| Step { span, kind }).to_vec();
        let steps = Steps::new("a\n# b\n\nc", steps).unwrap();
        let labels =
            Labels { steps: vec![Label::Good, Label::Neutral, Label::Bad], class: ResponseClass::Revised };
        LabelRecord::new("p/1", "prompt", &steps, &[1, 3, 3], &labels, false)
    }

    #[test]
    fn a_label_record_says_all_of_steps_and_labels() {
        let record = label_record();
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            r##"{"schema":"pspo.labels/1","problem":"p/1","prompt":"prompt","program":"a\n# b\n\nc","step_ends":[2,7,8],"comments":[false,true,false],"labels":[1,0,-1],"step_tokens":[1,3,3],"class":"revised","passes":false}"##
        );
        let read: LabelRecord = serde_json::from_str(&json).unwrap();
        read.check().unwrap();
        assert_eq!(read, record);
        let (steps, labels) = (read.steps().unwrap(), read.labels().unwrap());
        assert_eq!((steps.text(1), steps.is_comment(1), labels.steps[2]), ("# b\n\n", true, Label::Bad));
        assert_eq!(LabelRecord::new("p/1", "prompt", &steps, &[1, 3, 3], &labels, false), record);
    }

    #[test]
    fn label_records_that_do_not_fit_are_refused() {
        for (change, message) in [
            (
                Box::new(|r: &mut LabelRecord| r.labels[1] = 2) as Box<dyn Fn(&mut LabelRecord)>,
                "`labels[1]` is 2",
            ),
            (Box::new(|r| r.step_ends[2] = 9), "`step_ends` does not fit the program: step 2 ends at byte 9"),
            (Box::new(|r| _ = r.comments.pop()), "`comments` has 2 items for 3 steps"),
            (Box::new(|r| r.step_tokens[2] = 0), "`step_tokens` falls"),
        ] {
            let mut record = label_record();
            change(&mut record);
            let error = record.check().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let other = serde_json::from_str::<LabelRecord>(r#"{"schema": "pspo.labels/2"}"#).unwrap_err();
        assert!(other.to_string().contains("unknown variant `pspo.labels/2`, expected `pspo.labels/1`"));
    }

    #[test]
    fn rollout_records_are_checked() {
        let record = RolloutRecord {
            problem: "p".into(),
            prompt: "q".into(),
            response: "ab".into(),
            prompt_tokens: vec![5],
            response_tokens: vec![1, 2, 0],
            token_ends: vec![1, 2, 2],
            log_probs: vec![-0.1, -1e-9, 0.0],
            finished: true,
            ..RolloutRecord::default()
        };
        record.check().unwrap();
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<RolloutRecord>(&json).unwrap(), record);
        for (wrong, message) in [
            (
                RolloutRecord { token_ends: vec![1, 2], ..record.clone() },
                "has 2 numbers for 3 response tokens",
            ),
            (
                RolloutRecord { token_ends: vec![1, 2, 3], ..record.clone() },
                "must rise to 2, the response's bytes",
            ),
            (RolloutRecord { token_ends: vec![2, 1, 2], ..record.clone() }, "must rise to 2"),
            (
                RolloutRecord { log_probs: vec![0.0, f32::NAN, 0.0], ..record.clone() },
                "`log_probs[1]` is not finite",
            ),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
