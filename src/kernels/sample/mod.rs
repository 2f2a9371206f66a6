//! Drawing tokens from logits: temperature, top-k, top-p.
//!
//! Weights are e^(z / temperature). Kept are the `top_k` most likely tokens, and of those the most likely that together
//! reach `top_p` of all probability; of equally likely ones the first. One number u is drawn from a stream, and the token
//! is the first at which the running sum of the kept weights passes u of their sum: in the order of tokens where all are
//! kept, else in that of falling weights.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;

pub(crate) use cpu::draw_each;
#[cfg(feature = "cuda")]
pub(crate) use cuda::{DRAW, describe, draw};

/// How tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    /// Logits are divided by it.
    pub(crate) temperature: f32,
    /// The most likely tokens that together reach this probability are kept.
    pub(crate) top_p: f32,
    /// At most so many are kept; all where absent.
    pub(crate) top_k: Option<std::num::NonZeroUsize>,
}

/// A token that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// The token.
    pub token: u32,
    /// Its log-probability under the whole distribution at the sampling temperature, as the trainer
    /// computes it: what top-p and top-k leave out is not taken out of the sum.
    pub log_prob: f32,
}
