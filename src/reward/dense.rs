//! [`DenseReward`]: the PRM's part of the reward (equation 3).

use serde::{Deserialize, Serialize};

use super::{OutcomeReward, RewardError};
use crate::data::Steps;
use crate::data::numbers::RewardWeight;

/// What the sum over a response's lines is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// M, the number of all lines: the paper's rule. Comments dilute a penalty but cannot turn it.
    #[default]
    AllLines,
    /// The number of code lines: comments change nothing. Needs [`Neutral::Zero`].
    CodeLines,
    /// 1. More lines, more reward: no order of passing and failing responses holds then. For ablations.
    None,
}

/// What a comment is rewarded with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Neutral {
    /// What the PRM says, which is trained to say 0: the paper's rule.
    #[default]
    TrustPrm,
    /// 0, whatever the PRM says.
    Zero,
}

/// Rewards for steps from a PRM's scores: λ R_φ(x, y≤m) / M at the end of line m, with one λ for
/// responses that pass their tests and one for those that fail.
///
/// Scores lie in [−1, 1], so the dense rewards of a passing response sum to within ± `weight_pass` and
/// those of a failing one to within ± `weight_fail`. With R_UT of 1 for a pass and at most c for all else, every
/// passing response returns more than any failing one if 1 − `weight_pass` > c + `weight_fail`. That is checked: here
/// with the paper's c = 0, by a trainer with its [`OutcomeReward`]. Only [`Normalization::None`] has no such bound,
/// and is taken with any weights.
///
/// In a config file: `weight_pass`, `weight_fail`, `normalization` (`all_lines`, `code_lines`, `none`)
/// and `neutral` (`trust_prm`, `zero`; where it is not given, `zero` with `code_lines`, else
/// `trust_prm`).
///
/// ```
/// use pspo::data::StepKind::{Code, Comment};
/// use pspo::plugin::testkit::lines_of;
/// use pspo::reward::DenseReward;
///
/// let steps = lines_of(&[Code, Comment, Code, Code]);
/// let rewards = DenseReward::default().step_rewards(&steps, &[1.0, 0.0, 0.5, -1.0], false)?;
/// assert_eq!(rewards, [0.0625, 0.0, 0.03125, -0.0625]); // 0.25 / 4 lines times the score
/// # Ok::<(), pspo::reward::RewardError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct DenseReward {
    weight_pass: RewardWeight,
    weight_fail: RewardWeight,
    normalization: Normalization,
    neutral: Neutral,
}

impl DenseReward {
    /// A dense reward with λ = `weight_pass` for responses that pass and `weight_fail` for the others.
    ///
    /// # Errors
    /// If a failing response could return as much as a passing one, and for [`Normalization::CodeLines`]
    /// with [`Neutral::TrustPrm`].
    pub fn new(
        weight_pass: RewardWeight,
        weight_fail: RewardWeight,
        normalization: Normalization,
        neutral: Neutral,
    ) -> Result<Self, RewardError> {
        if (normalization, neutral) == (Normalization::CodeLines, Neutral::TrustPrm) {
            return Err(RewardError::TrustedComments);
        }
        let dense = Self { weight_pass, weight_fail, normalization, neutral };
        dense.check_order(&OutcomeReward::Binary)?;
        Ok(dense)
    }

    /// Checks that with `outcome` as R_UT no failing response can return as much as a passing one.
    ///
    /// ```
    /// use pspo::data::numbers::RewardCeiling;
    /// use pspo::reward::{DenseReward, OutcomeReward};
    ///
    /// let dense = DenseReward::default(); // a passing response returns 0.975 or more
    /// assert!(dense.check_order(&OutcomeReward::Levels).is_ok());
    /// let fraction = |ceiling| OutcomeReward::Fraction { ceiling };
    /// assert!(dense.check_order(&fraction(RewardCeiling::new(0.7))).is_ok()); // a failing one below 0.95
    /// assert!(dense.check_order(&fraction(RewardCeiling::new(1.0))).is_err());
    /// ```
    ///
    /// # Errors
    /// [`RewardError::Order`] if it could.
    pub fn check_order(&self, outcome: &OutcomeReward) -> Result<(), RewardError> {
        let (pass, fail, outcome) = (self.weight_pass.get(), self.weight_fail.get(), outcome.ceiling());
        match self.normalization {
            Normalization::AllLines | Normalization::CodeLines if 1.0 - pass <= outcome + fail => {
                Err(RewardError::Order { pass, fail, outcome })
            }
            _ => Ok(()),
        }
    }

    /// The reward of each step, from its score and whether the response passes. A response cut at the
    /// length limit does not, whatever its tests say.
    ///
    /// # Errors
    /// If there is not one score per step, or one is not in [−1, 1].
    pub fn step_rewards(&self, steps: &Steps, scores: &[f32], passes: bool) -> Result<Vec<f32>, RewardError> {
        if scores.len() != steps.len() {
            return Err(RewardError::ScoreCount { got: scores.len(), needed: steps.len() });
        }
        if let Some(step) = scores.iter().position(|score| !(-1.0..=1.0).contains(score)) {
            return Err(RewardError::Score { step, score: scores[step] });
        }
        let weight = if passes { self.weight_pass } else { self.weight_fail };
        let lines = match self.normalization {
            Normalization::AllLines => steps.len(),
            // Without a code line every reward is 0, by whatever it is divided.
            Normalization::CodeLines => steps.code_lines().max(1),
            Normalization::None => 1,
        };
        let factor = f64::from(weight.get()) / lines as f64;
        let reward = |(step, &score): (usize, &f32)| match self.neutral {
            Neutral::Zero if steps.is_comment(step) => 0.0,
            _ => (factor * f64::from(score)) as f32,
        };
        Ok(scores.iter().enumerate().map(reward).collect())
    }
}

/// The paper's: λ of 0.025 and 0.25, divided by all lines, comments as the PRM scores them.
impl Default for DenseReward {
    fn default() -> Self {
        Self {
            weight_pass: const { RewardWeight::new(0.025) },
            weight_fail: const { RewardWeight::new(0.25) },
            normalization: Normalization::AllLines,
            neutral: Neutral::TrustPrm,
        }
    }
}

/// [`DenseReward`] as a config file has it.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    weight_pass: RewardWeight,
    weight_fail: RewardWeight,
    normalization: Normalization,
    neutral: Option<Neutral>,
}

impl Default for Fields {
    fn default() -> Self {
        let DenseReward { weight_pass, weight_fail, normalization, .. } = DenseReward::default();
        Self { weight_pass, weight_fail, normalization, neutral: None }
    }
}

impl TryFrom<Fields> for DenseReward {
    type Error = RewardError;

    fn try_from(fields: Fields) -> Result<Self, RewardError> {
        let Fields { weight_pass, weight_fail, normalization, neutral } = fields;
        let usual = match normalization {
            Normalization::CodeLines => Neutral::Zero,
            Normalization::AllLines | Normalization::None => Neutral::TrustPrm,
        };
        Self::new(weight_pass, weight_fail, normalization, neutral.unwrap_or(usual))
    }
}

impl From<DenseReward> for Fields {
    fn from(dense: DenseReward) -> Self {
        let DenseReward { weight_pass, weight_fail, normalization, neutral } = dense;
        Self { weight_pass, weight_fail, normalization, neutral: Some(neutral) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::StepKind::{self, Code, Comment};
    use crate::plugin::testkit::lines_of;

    fn dense(pass: f32, fail: f32, normalization: Normalization, neutral: Neutral) -> DenseReward {
        DenseReward::new(RewardWeight::new(pass), RewardWeight::new(fail), normalization, neutral).unwrap()
    }

    /// Section 5 of the method: a failing program, 3 lines at +0.9 and 7 at −0.9, padded with comments.
    #[test]
    fn the_guards_against_padding_do_what_the_method_says() {
        let paper = |comments, comment_score| {
            total(dense(0.025, 0.25, Normalization::AllLines, Neutral::TrustPrm), comments, comment_score)
        };
        let neither =
            |comments| total(dense(0.025, 0.25, Normalization::None, Neutral::TrustPrm), comments, 0.9);
        let code_lines =
            |comments| total(dense(0.025, 0.25, Normalization::CodeLines, Neutral::Zero), comments, 0.9);
        for (comments, by_paper, not_neutral, by_neither) in [
            (0, -0.090, -0.090, -0.9),
            (5, -0.060, 0.015, 0.225),
            (20, -0.030, 0.120, 3.6),
            (100, -0.0082, 0.196, 21.6),
        ] {
            assert!((paper(comments, 0.0) - by_paper).abs() < 5e-4, "{comments} comments");
            assert!((paper(comments, 0.9) - not_neutral).abs() < 5e-4, "{comments} comments");
            assert!((neither(comments) - by_neither).abs() < 5e-3, "{comments} comments");
            assert!((code_lines(comments) - -0.090).abs() < 1e-6, "{comments} comments");
            let zero = dense(0.025, 0.25, Normalization::AllLines, Neutral::Zero);
            assert_eq!(total(zero, comments, 0.9), paper(comments, 0.0));
        }
    }

    fn total(dense: DenseReward, comments: usize, comment_score: f32) -> f32 {
        let mut kinds = vec![Comment; comments / 2]; // some before the code, some after it
        kinds.extend([Code; 10]);
        kinds.resize(10 + comments, Comment);
        let mut code = 0;
        let score = |kind: &StepKind| {
            if *kind == Comment {
                return comment_score;
            }
            code += 1;
            if code <= 3 { 0.9 } else { -0.9 }
        };
        let scores: Vec<f32> = kinds.iter().map(score).collect();
        dense.step_rewards(&lines_of(&kinds), &scores, false).unwrap().iter().sum()
    }

    #[test]
    fn passing_and_failing_responses_keep_their_order_at_any_length() {
        for normalization in [Normalization::AllLines, Normalization::CodeLines] {
            let dense = dense(0.025, 0.25, normalization, Neutral::Zero);
            for lines in [1, 2, 7, 1000] {
                let steps = lines_of(&vec![Code; lines]);
                let sum = |score: f32, passes| -> f32 {
                    dense.step_rewards(&steps, &vec![score; lines], passes).unwrap().iter().sum()
                };
                assert!((1.0 + sum(-1.0, true) - 0.975).abs() < 1e-4);
                assert!((1.0 + sum(1.0, true) - 1.025).abs() < 1e-4);
                assert!((sum(1.0, false) - 0.25).abs() < 1e-4);
                assert!((sum(-1.0, false) + 0.25).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn an_unsafe_order_is_an_error() {
        let new = |pass, fail, normalization, neutral| {
            DenseReward::new(RewardWeight::new(pass), RewardWeight::new(fail), normalization, neutral)
        };
        let order = |pass, fail| Err(RewardError::Order { pass, fail, outcome: 0.0 });
        assert_eq!(new(0.5, 0.5, Normalization::AllLines, Neutral::TrustPrm), order(0.5, 0.5));
        assert_eq!(new(0.0, 1.0, Normalization::CodeLines, Neutral::Zero), order(0.0, 1.0));
        assert!(new(0.5, 0.49, Normalization::AllLines, Neutral::TrustPrm).is_ok());
        assert!(new(1.0, 1.0, Normalization::None, Neutral::TrustPrm).is_ok());
        assert_eq!(
            new(0.0, 0.1, Normalization::CodeLines, Neutral::TrustPrm),
            Err(RewardError::TrustedComments)
        );
    }

    /// The best failing and the worst passing response of each rule, by the rewards that are really given.
    #[test]
    fn what_the_check_lets_through_keeps_the_order_with_graded_outcomes() {
        use crate::data::numbers::RewardCeiling;
        use crate::plugin::{Outcome, Verdict};
        let verdict =
            |outcome, passed| Verdict { outcome, passed, total: 1000, detail: String::new(), seconds: 0.0 };
        let ceilings = [0.1, 0.5, 0.7, 0.9, 1.0].map(RewardCeiling::new);
        let rules = ceilings
            .iter()
            .flat_map(|&ceiling| [OutcomeReward::Fraction { ceiling }, OutcomeReward::Adaptive { ceiling }]);
        let mut refused = 0;
        for rule in rules.chain([OutcomeReward::Binary, OutcomeReward::Levels]) {
            for (pass, fail) in [(0.025, 0.25), (0.5, 0.3), (0.0, 0.05), (0.3, 0.0), (0.1, 0.89)] {
                let dense = dense(pass, fail, Normalization::AllLines, Neutral::TrustPrm);
                let steps = lines_of(&[Code; 3]);
                let sum = |score, passes| -> f32 {
                    dense.step_rewards(&steps, &[score; 3], passes).unwrap().iter().sum()
                };
                let worst = rule.of(&verdict(Outcome::Pass, 1000), true) + sum(-1.0, true);
                let best = rule.of(&verdict(Outcome::Wrong, 999), true) + sum(1.0, false);
                match dense.check_order(&rule) {
                    Ok(()) => assert!(best < worst, "{rule:?}, {pass}, {fail}: {best} and {worst}"),
                    // At most one test of a thousand is lost on a failing response's way to the ceiling.
                    Err(_) => {
                        assert!(best + 2e-3 >= worst, "{rule:?}, {pass}, {fail}: {best} and {worst}");
                        refused += 1;
                    }
                }
            }
        }
        assert!((10..50).contains(&refused), "{refused} of 60");
        let none = dense(1.0, 1.0, Normalization::None, Neutral::TrustPrm);
        let ceiling = RewardCeiling::new(1.0);
        assert!(none.check_order(&OutcomeReward::Fraction { ceiling }).is_ok(), "it has no order anyway");
    }

    #[test]
    fn scores_are_checked() {
        let (dense, steps) = (DenseReward::default(), lines_of(&[Code, Comment]));
        let error = dense.step_rewards(&steps, &[0.5], true).unwrap_err();
        assert_eq!(error, RewardError::ScoreCount { got: 1, needed: 2 });
        for bad in [f32::NAN, f32::INFINITY, 1.1, -1.1] {
            let error = dense.step_rewards(&steps, &[0.5, bad], true).unwrap_err();
            assert!(matches!(error, RewardError::Score { step: 1, .. }));
        }
    }

    #[test]
    fn programs_of_comments_alone_and_blank_ones() {
        let dense = dense(0.025, 0.25, Normalization::CodeLines, Neutral::Zero);
        assert_eq!(dense.step_rewards(&lines_of(&[Comment; 3]), &[0.9; 3], false).unwrap(), [0.0; 3]);
        assert!(dense.step_rewards(&lines_of(&[]), &[], false).unwrap().is_empty());
        assert!(DenseReward::default().step_rewards(&lines_of(&[]), &[], true).unwrap().is_empty());
    }

    #[test]
    fn configs_are_read_and_checked() {
        let read = |json: &str| serde_json::from_str::<DenseReward>(json);
        assert_eq!(read("{}").unwrap(), DenseReward::default());
        assert_eq!(
            read(r#"{"weight_fail": 0.5, "normalization": "code_lines"}"#).unwrap(),
            dense(0.025, 0.5, Normalization::CodeLines, Neutral::Zero)
        );
        let explicit = dense(0.1, 0.2, Normalization::AllLines, Neutral::Zero);
        assert_eq!(read(&serde_json::to_string(&explicit).unwrap()).unwrap(), explicit);
        for (json, message) in [
            (r#"{"weight_fail": 0.98}"#, "1 - weight_pass must be above weight_fail"),
            (r#"{"normalization": "code_lines", "neutral": "trust_prm"}"#, "needs neutral = \"zero\""),
            (r#"{"weight_pass": 2}"#, "reward weight 2 is out of bounds"),
            (r#"{"weigth_pass": 0.1}"#, "unknown field `weigth_pass`"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
