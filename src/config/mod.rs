//! A training named in a config file: the same run as the builder makes, byte for byte.
//!
//! ```
//! use pspo::config::Config;
//!
//! let config: Config = r#"
//!     seed = 7
//!     [policy]
//!     arch = "small"
//!     tokenizer = "tokenizer.json"
//!     [problems]
//!     path = "problems.jsonl"
//!     [splitter]
//!     type = "lines"
//!     [verifier]
//!     type = "answer_match"
//!     [value_init]
//!     type = "from_policy"
//!     [ppo]
//!     iterations = 10
//! "#.parse()?;
//! assert_eq!(config.ppo.iterations, 10);
//!
//! let error = "seed = 7\n[ppo.update.objective]\nclip = 1.5".parse::<Config>().unwrap_err();
//! assert_eq!(
//!     error.to_string().lines().next().unwrap(),
//!     "the config is wrong at `ppo.update.objective.clip`: \
//!      clip range 1.5 is out of bounds: it must be above 0 and below 1",
//! );
//! # Ok::<(), pspo::config::ConfigError>(())
//! ```

mod problems;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

pub use problems::{ProblemFormat, ProblemsConfig};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::data::{ProblemError, ProblemSet, Seed};
use crate::kernels::{Device, KernelError};
use crate::model::chat::ChatTemplate;
use crate::model::{Arch, ModelError, Policy, Precision, Tokenizer, TokenizerError};
use crate::plugin::{
    self, CheckedPrm, CheckedSplitter, CheckedValueInit, CheckedVerifier, Kind, PluginError, PrmConfig,
    SplitterConfig, ValueInitConfig, VerifierConfig,
};
use crate::pretrained::{LoadError, Pretrained};
use crate::problems::datasets::DatasetError;
use crate::prompts::{ExchangeConfig, PromptError};
use crate::reward::{DenseReward, OutcomeReward};
use crate::trainer::{Checkpoint, CheckpointError, Parts, PpoConfig, Trainer, TrainerError};
use crate::verify::{ErrorLimit, VerifierPool};

/// A training, as a config file names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The root of all randomness.
    pub seed: u64,
    /// `cpu`, or `cuda:0` in a build with the feature `cuda`.
    #[serde(default = "cpu")]
    pub device: String,
    /// What events and checkpoints call the training.
    #[serde(default = "rl")]
    pub name: String,
    /// The policy to start from.
    pub policy: PolicyConfig,
    /// The problems to train on.
    pub problems: ProblemsConfig,
    /// How problems become prompts and responses programs; as they are where absent.
    #[serde(default)]
    pub exchange: ExchangeConfig,
    /// A step splitter by its `type`.
    pub splitter: serde_json::Value,
    /// A verifier by its `type`.
    pub verifier: serde_json::Value,
    /// When the verifier's errors stop the run.
    #[serde(default)]
    pub error_limit: ErrorLimit,
    /// Verdicts made at a time, on threads of their own; on rayon's threads where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier_jobs: Option<NonZeroUsize>,
    /// A process reward model by its `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prm: Option<serde_json::Value>,
    /// How the PRM's scores become rewards: sparse rewards alone where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dense: Option<DenseReward>,
    /// What a program's verdict is worth: `"binary"` by default.
    #[serde(default)]
    pub outcome: OutcomeReward,
    /// The critic's start by its `type`.
    pub value_init: serde_json::Value,
    /// All numbers.
    #[serde(default)]
    pub ppo: PpoConfig,
}

/// The policy to start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// The name of its shape.
    pub arch: String,
    /// A model that it starts from, as [`Pretrained::open`] reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
    /// A `tokenizer.json`; where absent, that of `pretrained`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// The token that ends a sequence, of `tokenizer`.
    #[serde(default = "end")]
    pub end: String,
    /// A checkpoint whose tensors `policy` it starts from; where neither is given, its parameters are random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// How its matrices are held, and those of the critic: `"float32"` by default, or `"bf16"`.
    #[serde(default)]
    pub precision: Precision,
}

impl PolicyConfig {
    /// The chat template of the model that is `pretrained`; `None` where there is no such model or it has none.
    ///
    /// # Errors
    /// If the model cannot be opened, or its template cannot be used.
    pub fn chat_template(&self) -> Result<Option<ChatTemplate>, ConfigError> {
        let Some(path) = &self.pretrained else { return Ok(None) };
        let read = Pretrained::open(path).and_then(|model| model.chat_template());
        read.map_err(|error| Box::new(error).into())
    }

    fn load<A: Arch>(&self, device: &Device, seed: &Seed) -> Result<(Policy<A>, Tokenizer), ConfigError> {
        let Self { pretrained, tokenizer, end, checkpoint, precision, .. } = self;
        let pretrained = pretrained.as_ref().map(Pretrained::open).transpose().map_err(Box::new)?;
        let tokenizer = match (tokenizer, &pretrained) {
            (None, Some(model)) => model.tokenizer().map_err(Box::new)?,
            (file, _) => Tokenizer::from_file(file.as_deref().unwrap_or(Path::new("tokenizer.json")), end)?,
        };
        let policy = match (checkpoint, pretrained) {
            (Some(path), _) => Policy::new(device, Checkpoint::load(path)?.model("policy")?)?,
            (None, Some(model)) => model.policy_in(device, *precision).map_err(Box::new)?,
            (None, None) => Policy::random(device, seed.child("policy"))?,
        };
        Ok((policy.in_precision(*precision)?, tokenizer))
    }
}

fn cpu() -> String {
    "cpu".into()
}

fn rl() -> String {
    "rl".into()
}

fn end() -> String {
    crate::model::tokenizer::END.into()
}

/// A config that cannot be read, or a training that cannot be made of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key or value is wrong.
    #[error("the config is wrong at `{key}`: {message}")]
    Key {
        /// The key, from the top.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The policy's shape is another than the program's.
    #[error("the config's policy.arch is `{config}`, this program trains `{program}`")]
    Arch {
        /// The config's.
        config: String,
        /// The program's.
        program: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A part could not be built.
    #[error("cannot build the {kind} of the config: {message}")]
    Part {
        /// The plugin point.
        kind: Kind,
        /// Why.
        message: String,
    },
    /// A plugin's name or config is wrong.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The problems cannot be used.
    #[error(transparent)]
    Problems(#[from] ProblemError),
    /// The benchmark's file cannot be read.
    #[error(transparent)]
    Dataset(#[from] Box<DatasetError>),
    /// A part of a file's problems that the file does not have.
    #[error(
        "{} has {problems} problems{} behind the first {skip}, and {} wanted{}", path.display(),
        max_length.map_or(String::new(), |max| format!(" of length {max} or less")),
        take.map_or("one is".to_owned(), |take| format!("{take} are")),
        if take.is_none() { " at least" } else { "" }
    )]
    Range {
        /// The file.
        path: PathBuf,
        /// How many fit behind those that are passed over.
        problems: usize,
        /// How many are passed over.
        skip: usize,
        /// The most that a problem's length may be.
        max_length: Option<NonZeroUsize>,
        /// How many are asked for behind them.
        take: Option<NonZeroUsize>,
    },
    /// The exchange cannot be made.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The tokenizer cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The pretrained model cannot be used.
    #[error(transparent)]
    Pretrained(#[from] Box<LoadError>),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The device cannot be had.
    #[error(transparent)]
    Device(#[from] KernelError),
    /// The policy cannot be made.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The trainer cannot be made.
    #[error(transparent)]
    Trainer(#[from] Box<TrainerError>),
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = |key: String, message: &dyn std::fmt::Display| {
            Err(ConfigError::Key { key, message: message.to_string().trim_end().to_owned() })
        };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => return wrong(".".into(), &error),
        };
        let config: Self = match serde_path_to_error::deserialize(table) {
            Ok(config) => config,
            Err(error) => return wrong(error.path().to_string(), error.inner()),
        };
        if config.policy.tokenizer.is_none() && config.policy.pretrained.is_none() {
            return wrong("policy".into(), &"it needs a `tokenizer`, or a model that is `pretrained`");
        }
        if let Some(Err(error)) = config.dense.map(|dense| dense.check_order(&config.outcome)) {
            return wrong("outcome".into(), &error);
        }
        match config.ppo.check() {
            Err(error @ TrainerError::Sampling { key, .. }) => wrong(format!("ppo.sampling.{key}"), &error),
            checked => checked.map(|()| config).map_err(|error| Box::new(error).into()),
        }
    }
}

impl Config {
    /// The config in a TOML file.
    ///
    /// # Errors
    /// If the file cannot be read, or a key or value in it is wrong.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let read = std::fs::read_to_string(path);
        read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?.parse()
    }

    /// The policy to start from and its tokenizer, for a policy of shape `A`.
    ///
    /// # Errors
    /// If the config names another shape, or a file that is not there or cannot be used.
    pub fn start<A: Arch>(&self) -> Result<(Policy<A>, Tokenizer), ConfigError> {
        if self.policy.arch != A::NAME {
            return Err(ConfigError::Arch { config: self.policy.arch.clone(), program: A::NAME });
        }
        self.policy.load(&Device::named(&self.device)?, &Seed::root(self.seed))
    }

    /// The parts of the training, for a policy of shape `A`.
    ///
    /// # Errors
    /// Those of [`Config::start`], [`ProblemsConfig::read`] and [`Config::parts_for`].
    pub fn parts<A: Arch>(&self) -> Result<Parts<A>, ConfigError> {
        let (policy, tokenizer) = self.start()?;
        self.parts_for(policy, tokenizer, self.problems.read()?)
    }

    /// The same with a policy, its tokenizer and problems that are at hand: what several trainings have in common is
    /// loaded once.
    ///
    /// # Errors
    /// If the config names another shape, or a plugin that is not there or cannot be built.
    pub fn parts_for<A: Arch>(
        &self,
        policy: Policy<A>,
        tokenizer: Tokenizer,
        problems: ProblemSet,
    ) -> Result<Parts<A>, ConfigError> {
        if self.policy.arch != A::NAME {
            return Err(ConfigError::Arch { config: self.policy.arch.clone(), program: A::NAME });
        }
        let device = policy.device().clone();
        let seed = Seed::root(self.seed);
        let prm = match &self.prm {
            Some(table) => {
                let prm: Box<dyn PrmConfig> = plugin::build(Kind::ProcessRewardModel, table.clone())?;
                Some(Arc::new(CheckedPrm::new(part(Kind::ProcessRewardModel, prm.build())?)))
            }
            None => None,
        };
        let splitter: Box<dyn SplitterConfig> = plugin::build(Kind::StepSplitter, self.splitter.clone())?;
        let verifier: Box<dyn VerifierConfig> = plugin::build(Kind::Verifier, self.verifier.clone())?;
        let value_init: Box<dyn ValueInitConfig> = plugin::build(Kind::ValueInit, self.value_init.clone())?;
        let verifier = CheckedVerifier::new(part(Kind::Verifier, verifier.build())?);
        let verifier = VerifierPool::new(verifier, self.error_limit);
        let verifier = match self.verifier_jobs {
            Some(jobs) => verifier.with_jobs(jobs).map_err(|error| Box::new(TrainerError::from(error)))?,
            None => verifier,
        };
        Ok(Parts {
            policy,
            tokenizer,
            exchange: self.exchange.build_for(self.policy.chat_template()?)?,
            problems,
            splitter: CheckedSplitter::new(part(Kind::StepSplitter, splitter.build())?),
            verifier,
            prm,
            dense: self.dense,
            outcome: self.outcome,
            reward_model: None,
            value_init: CheckedValueInit::new(part(Kind::ValueInit, value_init.build())?),
            config: self.ppo.clone(),
            seed: seed.child(&self.name),
            name: self.name.clone(),
            device,
        })
    }

    /// The trainer, for a policy of shape `A`.
    ///
    /// # Errors
    /// Those of [`Config::parts`] and of [`Trainer::from_parts`].
    pub fn build<A: Arch>(&self) -> Result<Trainer<A>, ConfigError> {
        Trainer::from_parts(self.parts()?).map_err(|error| Box::new(error).into())
    }
}

fn part<T>(kind: Kind, built: Result<T, impl std::fmt::Display>) -> Result<T, ConfigError> {
    built.map_err(|error| ConfigError::Part { kind, message: error.to_string() })
}

#[cfg(test)]
mod tests;
