//! The model: a decoder trunk with explicit forward and backward passes, as one differentiable op on
//! dfdx's tape, and what stands on it: the policy, and scalar models for critic and PRM.

mod accumulate;
pub mod arch;
pub mod batch;
mod cache;
pub mod chat;
pub mod decode;
pub mod error;
mod gradient;
pub mod init;
pub mod optimizer;
mod packed;
pub mod policy;
pub mod precision;
pub mod scalar;
pub mod schedule;
mod tensors;
pub mod tokenizer;
pub(crate) mod trunk;
pub mod tuning;
mod weights;

pub(crate) use accumulate::{MICRO_BATCH_TOKENS, accumulate};
pub(crate) use arch::EMBEDDING;
pub use arch::{Arch, Dims};
pub(crate) use batch::parts;
pub use batch::{Batch, GROUP_TOKENS, micro_batches};
pub use decode::{Decoder, Prefix};
pub use error::ModelError;
pub use optimizer::{AdamW, AdamWConfig, CheckedGradient, backward, clear_gradient};
pub use policy::{LogProbValues, LogProbs, Policy};
pub use precision::Precision;
pub use scalar::{ScalarModel, Scorer};
pub use tokenizer::{Tokenizer, TokenizerError};
pub use tuning::{Lora, Projection, Tuning};

/// The part of dfdx in which objectives are written: tensors on the host, and the tape.
pub mod tensor {
    pub use dfdx::prelude::{
        Cpu, HasShape, MeanTo, NoneTape, OwnedTape, PutTape, Rank0, Rank1, SplitTape, SumTo, Tape, Tensor,
        TensorFrom, TensorFromVec, Trace, WithEmptyTape,
    };

    /// One number per token or step.
    pub type Vector<T = NoneTape> = Tensor<(usize,), f32, Cpu, T>;
    /// A loss, on its tape.
    pub type Loss = Tensor<Rank0, f32, Cpu, OwnedTape<f32, Cpu>>;
    /// The tape.
    pub type OnTape = OwnedTape<f32, Cpu>;

    /// A constant vector for an objective.
    pub fn vector(values: Vec<f32>) -> Vector {
        let n = values.len();
        Cpu::default().tensor_from_vec(values, (n,))
    }
}
