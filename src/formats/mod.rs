//! Data in and out in files that other tools read: JSON lines, and Parquet with the feature `parquet`.
//!
//! | row | what | whose format |
//! |---|---|---|
//! | [`StepwiseRow`] | a prompt, steps and a label for each: PRM data | TRL's stepwise supervision |
//! | [`PreferenceRow`] | a prompt, a preferred response and another: data for reward models | TRL's preference, with an explicit prompt |
//! | [`RolloutRecord`] | a response with its tokens and log-probabilities | ours, `pspo.rollout/1` |
//! | [`LabelRecord`] | a response's program, its steps and their labels | ours, `pspo.labels/1` |
//!
//! Files are read record by record and written beside their place, into which they are renamed when they are done. An
//! error names the file, the record and the field. `tests/peers/formats.py` reads with `datasets` and TRL what is written
//! here.

pub mod error;
pub mod json_lines;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod preference;
pub mod records;
pub mod stepwise;

pub use error::{Flaw, FormatError, Place};
pub use json_lines::{JsonLines, JsonLinesWriter};
#[cfg(feature = "parquet")]
pub use parquet::{Columns, ParquetRows, ParquetWriter};
pub use preference::{PreferenceRow, Text};
pub use records::{LabelRecord, LabelSchema, RolloutRecord, RolloutSchema};
use serde::Serialize;
use serde::de::DeserializeOwned;
pub use stepwise::{NeutralSteps, Stepwise, StepwiseRow};

/// A record of a file.
pub trait Record: Serialize + DeserializeOwned {
    /// Whether its fields fit each other. Asked of each record that is read or written.
    ///
    /// # Errors
    /// Names the first field that does not.
    fn check(&self) -> Result<(), Flaw>;
}
