//! Pretrained models: from a folder as on the Hugging Face hub or from a GGUF file to a policy and its tokenizer, and
//! critics, PRMs and reward models in such folders.
//!
//! [`Pretrained`] reads both, [`Saving`] writes the first, [`Adapter`] what was trained beside a model; [`tensors`] reads
//! named tensors from safetensors and GGUF files, [`gguf_tokenizer`] makes the tokenizer that a GGUF file has in its
//! metadata, [`presets`] has the shapes of common models.

mod adapter;
pub mod config;
mod error;
pub mod gguf_tokenizer;
mod head;
mod load;
mod names;
pub mod presets;
mod save;
pub mod tensors;

pub use adapter::Adapter;
pub use error::{LoadError, SaveError, ShapeMismatch};
pub use head::{Head, Meaning};
pub use load::Pretrained;
pub use save::{Saving, save};

pub use crate::model::Precision;
