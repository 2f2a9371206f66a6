//! Training runs: the PPO trainer and its builder, stages, checkpoints, events and the run folder.
//! What joins the stages: the driver that labels responses; and what a run keeps: its folder, its
//! checkpoints, its events.

pub mod builder;
pub mod checkpoint;
pub mod collect;
pub mod error;
pub mod evaluate;
pub mod events;
pub mod from_checkpoint;
pub mod general_reward;
pub mod judged;
pub mod kl_control;
pub mod ppo;
mod records;
pub mod run;
pub mod run_folder;
pub mod saved_prm;
pub mod stage;

pub use builder::{TrainerBuilder, builder};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use collect::{CollectCost, CollectError, Collected, Collector, LabeledResponse, SkipReason};
pub use error::TrainerError;
pub use evaluate::{Evaluation, evaluate};
pub use events::{EventSink, Events, Progress};
pub use from_checkpoint::FromCheckpoint;
pub use general_reward::general_reward;
pub use judged::{JudgedRollout, Tests, judge};
pub use kl_control::KlControl;
pub use ppo::{CriticTrunk, Parts, PpoConfig, RewardModel, Trainer};
pub use run::Run;
pub use run_folder::{RunFolder, RunFolderError};
pub use saved_prm::SavedPrm;
pub use stage::Stage;
