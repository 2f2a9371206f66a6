//! What joins the stages: the driver that labels responses; and what a run keeps: its folder, its
//! checkpoints, its events.

pub mod checkpoint;
pub mod collect;
pub mod events;
mod files;
pub mod run_folder;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use collect::{CollectCost, CollectError, Collected, LabeledResponse, SkipReason, collect};
pub use events::{EventSink, Events, Progress};
pub use run_folder::{RunFolder, RunFolderError};
