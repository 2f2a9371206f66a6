//! What all trainings of the studies have in common, as `full.toml` and `quick.toml` say it.

use pspo::data::numbers::{KlCoefficient, LearningRate};
use pspo::label::Selection;
use pspo::prm::PrmTrainingConfig;
use pspo::problems::{Pseudocode, Sizes};
use pspo::sft::SftConfig;
use pspo::trainer::{KlControl, PpoConfig};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A study's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the problems are drawn, the same for all seeds.
    pub problems: Pseudocode,
    /// How many.
    pub sizes: Sizes,
    /// Pass@1 is reported for programs of up to these numbers of steps, and for longer ones.
    pub buckets: Vec<usize>,
    /// How often the corpus of SFT follows a wrong habit where it can: from 0 to 1.
    pub habits: f32,
    pub sft: SftConfig,
    /// Of every training, but for what [`Tuned`] says.
    pub ppo: PpoConfig,
    /// Checkpoints of every training, evenly spaced: at each Pass@1 is tested, and study 7's PRM.
    pub checkpoints: u64,
    /// The checkpoint, from 1, that arms are tuned for and their tables show first: the budget that they are compared at.
    pub budget: u64,
    pub collect: Collect,
    pub prm: PrmTrainingConfig,
    /// Samples of each held-out problem, at each temperature.
    pub samples: usize,
    /// Resamples of each interval's bootstrap.
    pub resamples: usize,
    /// What tuning tries.
    pub grid: Grid,
    pub labels: LabelStudy,
    pub guards: GuardStudy,
    pub freshness: FreshnessStudy,
}

/// Whose responses are labelled, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// Checkpoints of the baseline, evenly spaced.
    pub checkpoints: u64,
    /// Prompts for each checkpoint.
    pub prompts: usize,
    /// Responses to each prompt.
    pub responses: usize,
    /// K.
    pub completions: usize,
    /// What of them the PRM learns from.
    pub selection: Selection,
}

/// What tuning tries, with as many trainings for each arm: all step sizes, then all β at the best of these. With one
/// value of each nothing is tuned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    pub policy_learning_rate: Vec<LearningRate>,
    pub kl: Vec<KlCoefficient>,
}

/// What was chosen for an arm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    pub policy_learning_rate: LearningRate,
    pub kl: KlCoefficient,
}

/// Study 4: labels beside the truth, of responses of each of the baseline's checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelStudy {
    /// The values of K.
    pub completions: Vec<usize>,
    pub prompts: usize,
    pub responses: usize,
}

/// Study 5: what is rewarded for padding takes longer to find it than to learn to program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardStudy {
    pub iterations: usize,
}

/// Study 7: the PRM on responses of the policy that it trains, at the start and at its checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessStudy {
    pub prompts: usize,
    pub responses: usize,
}

impl Tuned {
    /// What it is, for names of files and stages.
    pub fn name(&self) -> String {
        format!("{}-{}", self.policy_learning_rate.get(), self.kl.get())
    }
}

impl Config {
    /// # Errors
    /// If the budget is none of the checkpoints.
    pub fn checked(self) -> Result<Self> {
        let Self { budget, checkpoints, .. } = self;
        match (1..=checkpoints).contains(&budget) {
            true => Ok(self),
            false => {
                Err(format!("`budget` is {budget}: it must be one of the checkpoints, 1 to {checkpoints}")
                    .into())
            }
        }
    }

    /// Of a training's iterations, those before a checkpoint, as `Run::stage_keeping` spaces them.
    pub fn done_at(&self, iterations: u64, checkpoint: u64) -> u64 {
        iterations * checkpoint / self.checkpoints
    }

    /// PPO's numbers for an arm.
    pub fn ppo(&self, tuned: Option<&Tuned>) -> PpoConfig {
        let mut ppo = self.ppo.clone();
        if let Some(Tuned { policy_learning_rate, kl }) = tuned {
            ppo.update.policy_learning_rate = *policy_learning_rate;
            ppo.kl = KlControl::Fixed(*kl);
        }
        ppo
    }
}
