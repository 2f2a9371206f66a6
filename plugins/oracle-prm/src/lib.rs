#![doc = include_str!("../README.md")]

use pspo::data::numbers::OutOfBounds;
use pspo::data::{Seed, StepKind};
use pspo::plugin::{PrmConfig, PrmError, PrmInput, ProcessRewardModel};
use pspo::problems::{Oracle, Truth};
use serde::{Deserialize, Serialize};

pspo::card! {
    kind: ProcessRewardModel,
    name: "oracle",
    summary: "The truth about generated problems: +1 while a program can still pass, -1 after; or a random control.",
    example: r#"type = "oracle"
unknown = -1.0
random = false
seed = 0"#,
}

/// Config of [`OraclePrm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OraclePrmConfig {
    /// The score of a line whose truth is unknown.
    pub unknown: Score,
    /// Scores by a coin instead of the truth.
    pub random: bool,
    /// Of the coins.
    pub seed: u64,
}

impl Default for OraclePrmConfig {
    fn default() -> Self {
        Self { unknown: Score(-1.0), random: false, seed: 0 }
    }
}

#[typetag::serde(name = "oracle")]
impl PrmConfig for OraclePrmConfig {
    fn build(&self) -> Result<Box<dyn ProcessRewardModel>, PrmError> {
        Ok(Box::new(OraclePrm::new(self.clone())))
    }
}

/// A score from −1 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Score(f32);

impl TryFrom<f32> for Score {
    type Error = OutOfBounds;
    fn try_from(value: f32) -> Result<Self, OutOfBounds> {
        match (-1.0..=1.0).contains(&value) {
            true => Ok(Self(value)),
            false => Err(OutOfBounds { name: "score", value, bounds: "from -1 to 1" }),
        }
    }
}

impl From<Score> for f32 {
    fn from(score: Score) -> f32 {
        score.0
    }
}

/// Scores steps by the truth about their prefixes.
#[derive(Clone, Debug)]
pub struct OraclePrm {
    config: OraclePrmConfig,
}

impl OraclePrm {
    /// The model of `config`.
    pub fn new(config: OraclePrmConfig) -> Self {
        Self { config }
    }

    fn score(&self, response: &PrmInput<'_>) -> Result<Vec<f32>, PrmError> {
        let truths = match self.config.random {
            true => vec![],
            false => {
                let oracle = Oracle::new(response.problem);
                oracle.map_err(|error| PrmError::Unsupported(error.to_string()))?.truths(response.steps)
            }
        };
        let score = |(step, line): (usize, &pspo::data::Step)| match (line.kind, truths.get(step)) {
            (StepKind::Comment, _) => 0.0,
            (_, Some(Truth::Recoverable)) => 1.0,
            (_, Some(Truth::Lost)) => -1.0,
            (_, Some(Truth::Unknown)) => self.config.unknown.0,
            (_, None) => self.coin(response, step),
        };
        Ok(response.steps.iter().enumerate().map(score).collect())
    }

    /// +1 or −1, fixed by the seed, the problem and the text up to the step.
    fn coin(&self, response: &PrmInput<'_>, step: usize) -> f32 {
        let seed = Seed::root(self.config.seed).child(&response.problem.id);
        let heads = rand::RngExt::random::<bool>(&mut seed.child(response.steps.prefix(step + 1)).rng());
        if heads { 1.0 } else { -1.0 }
    }
}

impl ProcessRewardModel for OraclePrm {
    fn scores(&self, responses: &[PrmInput<'_>]) -> Result<Vec<Vec<f32>>, PrmError> {
        responses.iter().map(|response| self.score(response)).collect()
    }
}

#[cfg(test)]
mod tests;
