//! Decoding: one new token for each of many rows at a time.

#[cfg(feature = "cuda")]
mod cuda;
mod host;

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::arch::Dims;
use super::batch::{Batch, parts};
pub use super::cache::{Prefix, Row};
use super::error::ModelError;
use super::trunk::{Place, Trunk, Values};
use crate::kernels::sample::{Choice, Drawn};
use crate::kernels::{Backend, KernelError, Threads};

/// Tokens whose keys and values are computed in one pass, or those of one row where it is longer: activations of more would
/// take memory and no less time.
const PREFILL_TOKENS: usize = 32_768;

/// Runs the trunk one token at a time under fixed parameters.
#[derive(Debug)]
pub struct Decoder<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Host(Box<host::HostDecoder<'a>>),
    #[cfg(feature = "cuda")]
    Cuda(Box<cuda::CudaDecoder<'a>>),
}

impl<'a> Decoder<'a> {
    /// A decoder: on the CPU of one thread, which copies the weights into the order that it reads them in.
    pub(super) fn new(trunk: &'a Trunk, weights: Values<'a>, output: &Place) -> Result<Self, KernelError> {
        Ok(Self(match trunk.device.backend() {
            Backend::Cpu(_) => Inner::Host(Box::new(host::HostDecoder::new(trunk, weights, output)?)),
            #[cfg(feature = "cuda")]
            Backend::Cuda(cuda) => {
                Inner::Cuda(Box::new(cuda::CudaDecoder::new(cuda, trunk, weights, output)?))
            }
            #[cfg(not(feature = "cuda"))]
            Backend::None(never, _) => match never {},
        }))
    }

    /// A decoder of the same model with scratch of its own. With [`Threads::Pool`] it shares out each step among
    /// threads, for few rows; for many, give each thread rows and a decoder of its own. The numbers are the same.
    pub fn another(&self, threads: Threads) -> Self {
        Self(match &self.0 {
            Inner::Host(decoder) => Inner::Host(Box::new(decoder.another(threads))),
            #[cfg(feature = "cuda")]
            Inner::Cuda(decoder) => Inner::Cuda(Box::new(decoder.another())),
        })
    }

    fn trunk(&self) -> &'a Trunk {
        match &self.0 {
            Inner::Host(decoder) => decoder.trunk(),
            #[cfg(feature = "cuda")]
            Inner::Cuda(decoder) => decoder.trunk(),
        }
    }

    /// The model's sizes.
    pub fn dims(&self) -> &'a Dims {
        &self.trunk().dims
    }

    /// The threads that each step uses.
    pub fn threads(&self) -> Threads {
        match &self.0 {
            Inner::Host(decoder) => decoder.threads(),
            #[cfg(feature = "cuda")]
            Inner::Cuda(_) => Threads::Pool,
        }
    }

    /// Whether steps are for one device, which wants as many rows as there are in each: not for threads, each of which
    /// has a decoder and rows of its own.
    pub(crate) fn is_one_for_all(&self) -> bool {
        !matches!(self.0, Inner::Host(_))
    }

    /// Keys and values of whole rows of tokens, computed at once.
    ///
    /// # Errors
    /// If a row is empty or too long, or a token is not in the vocabulary.
    pub fn prefill(&self, rows: &[&[u32]]) -> Result<Vec<Arc<Prefix>>, ModelError> {
        let dims = self.dims();
        for (row, tokens) in rows.iter().enumerate() {
            if tokens.is_empty() {
                return Err(ModelError::EmptyPrompt { row });
            }
            if tokens.len() > dims.positions {
                return Err(ModelError::TooLong { row, len: tokens.len(), positions: dims.positions });
            }
        }
        let lengths: Vec<usize> = rows.iter().map(|tokens| tokens.len()).collect();
        let mut prefixes = Vec::with_capacity(rows.len());
        for part in parts(&lengths, PREFILL_TOKENS) {
            let mut batch = Batch { offsets: vec![0], ..Batch::default() };
            for tokens in &rows[part] {
                batch.tokens.extend_from_slice(tokens);
                batch.positions.extend(0..tokens.len() as u32);
                batch.offsets.push(batch.tokens.len() as u32);
            }
            prefixes.extend(match &self.0 {
                Inner::Host(decoder) => decoder.prefill(&batch)?,
                #[cfg(feature = "cuda")]
                Inner::Cuda(decoder) => decoder.prefill(&batch)?,
            });
        }
        Ok(prefixes.into_iter().map(Arc::new).collect())
    }

    /// Feeds one token to each row and returns the logits of the next, `[rows, vocabulary]`.
    ///
    /// A row's logits have the same bits whatever the other rows and the threads are.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, a row is at its capacity or at the model's last position, or the device fails.
    pub fn step(&mut self, rows: &mut [&mut Row], tokens: &[u32]) -> Result<&mut [f32], ModelError> {
        self.check(rows, tokens)?;
        match &mut self.0 {
            Inner::Host(decoder) => decoder.step(rows, tokens),
            #[cfg(feature = "cuda")]
            Inner::Cuda(decoder) => decoder.step(rows, tokens),
        }
    }

    /// Feeds one token to each row and draws the next: for each row one with each of its `streams`. On a CUDA device the
    /// logits stay there.
    ///
    /// # Errors
    /// As [`Decoder::step`].
    pub(crate) fn draw(
        &mut self,
        rows: &mut [&mut Row],
        tokens: &[u32],
        choice: Choice,
        streams: &mut [Vec<&mut ChaCha8Rng>],
    ) -> Result<Vec<Vec<Drawn>>, ModelError> {
        self.check(rows, tokens)?;
        match &mut self.0 {
            Inner::Host(decoder) => decoder.draw(rows, tokens, choice, streams),
            #[cfg(feature = "cuda")]
            Inner::Cuda(decoder) => decoder.draw(rows, tokens, choice, streams),
        }
    }

    fn check(&self, rows: &[&mut Row], tokens: &[u32]) -> Result<(), ModelError> {
        if tokens.len() != rows.len() {
            let (got, needed) = (tokens.len(), rows.len());
            return Err(KernelError::Shape { op: "decode", buffer: "tokens", got, needed }.into());
        }
        match rows.iter().position(|row| row.is_full()) {
            Some(row) => {
                Err(ModelError::TooLong { row, len: rows[row].len() + 1, positions: rows[row].len() })
            }
            None => Ok(()),
        }
    }
}
