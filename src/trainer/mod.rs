//! What a run keeps: its folder, its checkpoints, its events.

pub mod checkpoint;
mod files;

pub use checkpoint::{Checkpoint, CheckpointError};
