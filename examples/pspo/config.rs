//! The config: that of a training, and a table for each of the other stages.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use pspo::config::ProblemsConfig;
use pspo::data::numbers::{Temperature, TopP};
use pspo::label::Selection;
use pspo::prm::PrmTrainingConfig;
use pspo::rollouts::Sampling;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Result;

/// What a config file says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Both trainings: the policy, its problems, and all numbers of PPO. `[value_init]` is the baseline's, `[dense]` the other's.
    pub train: pspo::config::Config,
    /// The other stages.
    #[serde(flatten)]
    pub stages: Stages,
}

/// The tables beside those of `pspo::config::Config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stages {
    /// The problems of the evaluation.
    pub held_out: ProblemsConfig,
    #[serde(default)]
    pub collect: CollectConfig,
    #[serde(default)]
    pub prm_training: PrmTrainingConfig,
    #[serde(default)]
    pub guided: GuidedConfig,
    #[serde(default)]
    pub evaluation: EvaluationConfig,
    #[serde(default)]
    pub save: SaveConfig,
}

const TABLES: [&str; 6] = ["held_out", "collect", "prm_training", "guided", "evaluation", "save"];

/// What the PRM learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectConfig {
    /// Checkpoints of the baseline that respond, evenly spaced.
    pub checkpoints: u64,
    /// Whether the start policy responds as well.
    pub start: bool,
    /// Training problems that each of them is asked.
    pub prompts: NonZeroUsize,
    /// Responses of each to a problem.
    pub responses: NonZeroUsize,
    /// A labeler by its `type`.
    pub labeler: serde_json::Value,
    /// The classes of responses that the PRM learns from.
    pub selection: Selection,
    /// One of so many problems is kept to judge the PRM by.
    pub judge_one_in: NonZeroUsize,
}

impl Default for CollectConfig {
    fn default() -> Self {
        let count = |n| NonZeroUsize::new(n).expect("the constants here are not 0");
        Self {
            checkpoints: 4,
            start: false,
            prompts: count(60),
            responses: count(4),
            labeler: json!({ "type": "binary_search" }),
            selection: Selection::default(),
            judge_one_in: count(10),
        }
    }
}

/// What the PRM is used for beside dense rewards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuidedConfig {
    /// The critic's start by its `type`.
    pub value_init: serde_json::Value,
}

impl Default for GuidedConfig {
    fn default() -> Self {
        Self { value_init: json!({ "type": "from_prm", "rescale": true }) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Responses to each held-out problem.
    pub samples: NonZeroUsize,
    /// How they are sampled; the paper's way by default.
    pub sampling: Sampling,
    /// The PRM's score of a response among several, of those of its lines of code.
    pub score: ResponseScore,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        const COLD: Temperature = Temperature::new(0.2);
        let sampling = Sampling::training(COLD, const { NonZeroUsize::new(512).unwrap() });
        Self {
            samples: const { NonZeroUsize::new(10).unwrap() },
            sampling: Sampling { top_p: TopP::new(0.95), top_k: NonZeroUsize::new(128), ..sampling },
            score: ResponseScore::Min,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseScore {
    /// That of the worst line: one wrong line makes a program wrong.
    Min,
    Mean,
    /// That of the last line, behind which nothing can be repaired.
    Last,
}

impl ResponseScore {
    /// Of the scores of a response's lines of code; a response without one is worse than any other.
    pub fn of(self, lines: &[f32]) -> f32 {
        let nothing = f32::NEG_INFINITY;
        match self {
            Self::Min => lines.iter().copied().reduce(f32::min).unwrap_or(nothing),
            Self::Mean if lines.is_empty() => nothing,
            Self::Mean => lines.iter().sum::<f32>() / lines.len() as f32,
            Self::Last => lines.last().copied().unwrap_or(nothing),
        }
    }
}

/// What is written for transformers. Adapters of low rank are always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaveConfig {
    /// The PRM.
    pub prm: bool,
    /// The two trained policies, adapters merged.
    pub policies: bool,
    /// Numbers of 16 bits and not of 32.
    pub bfloat16: bool,
}

impl Config {
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    // ANCHOR: parse
    fn parse(text: &str) -> Result<Self> {
        let mut rest: toml::Table = text.parse()?;
        let own: toml::Table =
            TABLES.iter().filter_map(|&key| Some((key.to_owned(), rest.remove(key)?))).collect();
        let stages: Stages = serde_path_to_error::deserialize(own).map_err(|error| {
            format!("the config is wrong at `{}`: {}", error.path(), error.inner().to_string().trim_end())
        })?;
        let train: pspo::config::Config = toml::to_string(&rest)?
            .parse()
            .map_err(|error| format!("{error}\n(the other stages have the tables {})", TABLES.join(", ")))?;
        if train.prm.is_some() {
            return Err("the config is wrong at `prm`: the PRM is trained here, so none is named".into());
        }
        Ok(Self { train, stages })
    }
    // ANCHOR_END: parse
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pspo::prompts::ExchangeConfig;

    use super::*;

    /// Those that `13_evaluate --exchange` takes.
    const EXCHANGES: [&str; 1] = ["qwen_human_eval.toml"];
    const TRAININGS: [&str; 2] = ["qwen_mbpp.toml", "smollm2_mbpp.toml"];

    #[test]
    fn the_configs_here_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/configs");
        let there: BTreeSet<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(there, EXCHANGES.iter().chain(&TRAININGS).map(|name| name.into()).collect());
        for name in TRAININGS {
            let config = Config::read(&folder.join(name)).unwrap();
            assert!(config.train.dense.is_some(), "{name} has no dense rewards");
        }
        for name in EXCHANGES {
            toml::from_str::<ExchangeConfig>(&fs::read_to_string(folder.join(name)).unwrap()).unwrap();
        }
    }
}
