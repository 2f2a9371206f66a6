//! What is kept of a training: what it was and how it fared, small enough to be committed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pspo::data::numbers::Temperature;
use pspo::trainer::Evaluation;
use pspo::trainer::events::{Event, metrics};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::config::Tuned;

/// A training's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub arm: String,
    pub seed: u64,
    /// The numbers that it did not train with as the config says.
    pub tuned: Option<Tuned>,
    pub tests: Vec<Test>,
    pub curves: Curves,
    /// Of the training alone, on one thread.
    pub seconds: f64,
    /// Of what it needed before: the baseline whose responses are labelled, the labels, and its PRM's training.
    pub seconds_before: f64,
}

/// Held-out problems at one checkpoint and temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// From 1 on; 0 is the start policy, after 0 iterations.
    pub checkpoint: u64,
    pub iterations: u64,
    pub temperature: f32,
    /// Samples that pass, by problem.
    pub passed: Vec<usize>,
    /// Samples judged, by problem.
    pub samples: Vec<usize>,
}

impl Test {
    pub fn new(checkpoint: u64, iterations: u64, temperature: Temperature, evaluation: &Evaluation) -> Self {
        let problems = &evaluation.problems;
        Self {
            checkpoint,
            iterations,
            temperature: temperature.get(),
            passed: problems.iter().map(|problem| problem.passed).collect(),
            samples: problems.iter().map(|problem| problem.samples).collect(),
        }
    }

    /// The share of each problem's samples that pass.
    pub fn shares(&self) -> Vec<f64> {
        // A problem of which no sample could be judged passes nothing: none is among the generated ones.
        let share = |(&passed, &samples): (&usize, &usize)| passed as f64 / samples.max(1) as f64;
        self.passed.iter().zip(&self.samples).map(share).collect()
    }
}

/// What is kept of each iteration.
const KEPT: [&str; 7] = [
    metrics::PASS_RATE,
    metrics::DENSE_REWARD,
    metrics::KL,
    metrics::ENTROPY,
    metrics::RESPONSE_TOKENS,
    metrics::LINES,
    metrics::COMMENT_RATIO,
];

/// Metrics by iteration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Curves(BTreeMap<String, Vec<f32>>);

impl Curves {
    /// Those of a stage.
    pub fn read(events: &[Event], stage: &str) -> Self {
        let values = |name: &str| -> Vec<f32> {
            Event::curve(events, stage, name).map(|(_, value)| (value * 1e4).round() as f32 / 1e4).collect()
        };
        Self(KEPT.iter().map(|&name| (name.to_owned(), values(name))).collect())
    }

    pub fn get(&self, name: &str) -> &[f32] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Tokens of a response.
    pub fn mean_tokens(&self) -> f64 {
        let tokens = self.get(metrics::RESPONSE_TOKENS);
        tokens.iter().map(|&tokens| f64::from(tokens)).sum::<f64>() / tokens.len().max(1) as f64
    }
}

/// Records in a folder: one file each, and the config that they were made with.
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// The records in `folder`, of trainings with this config.
    pub fn open(folder: &Path, config: &impl Serialize) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (path, config) = (folder.join("config.json"), serde_json::to_string_pretty(config)?);
        match fs::read_to_string(&path) {
            Ok(other) if other != config => {
                Err(format!("{} was made with another config: name another folder", folder.display()).into())
            }
            Ok(_) => Ok(Self { folder: folder.to_owned() }),
            Err(_) => {
                fs::write(path, config)?;
                Ok(Self { folder: folder.to_owned() })
            }
        }
    }

    fn path(&self, name: &str, seed: u64) -> PathBuf {
        self.folder.join(format!("{name}-{seed}.json"))
    }

    /// The record of that name and seed, where there is one.
    pub fn get<T: DeserializeOwned>(&self, name: &str, seed: u64) -> Result<Option<T>> {
        match fs::read(self.path(name, seed)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is a record of that name and seed.
    pub fn has(&self, name: &str, seed: u64) -> bool {
        self.path(name, seed).is_file()
    }

    /// Keeps a record. One that is stopped midway is not there.
    pub fn put(&self, name: &str, seed: u64, record: &impl Serialize) -> Result<()> {
        let (path, bytes) = (self.path(name, seed), serde_json::to_vec(record)?);
        let beside = path.with_extension("new");
        fs::write(&beside, bytes)?;
        Ok(fs::rename(beside, path)?)
    }
}
