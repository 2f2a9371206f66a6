//! What a run keeps: its folder, its checkpoints, its events.

pub mod checkpoint;
pub mod events;
mod files;
pub mod from_checkpoint;
pub mod run_folder;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use events::{EventSink, Events, Progress};
pub use from_checkpoint::FromCheckpoint;
pub use run_folder::{RunFolder, RunFolderError};
