//! Decoding: one new token for each of many rows at a time.

use std::cell::Cell;
use std::sync::Arc;

use rayon::prelude::*;

use super::arch::Dims;
use super::batch::Batch;
pub use super::cache::{Prefix, Row};
use super::error::ModelError;
use super::packed::{PackedWeights, Product};
use super::trunk::{Keep, Place, Trunk, Values};
use crate::data::Ragged;
use crate::kernels::rotary::Direction;
use crate::kernels::vector::{SharedMut, for_each_task};
use crate::kernels::{
    Backend, Device, KernelError, Numbers, Threads, View, ViewMut, attention, bias, embedding, rms_norm,
    rotary, swiglu,
};

thread_local! {
    /// Scores of one head over all positions.
    static SCORES: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Runs the trunk one token at a time under fixed parameters.
#[derive(Debug)]
pub struct Decoder<'a> {
    trunk: &'a Trunk,
    weights: Values<'a>,
    packed: Arc<PackedWeights>,
    threads: Threads,
    device: Device,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    x: Vec<f32>,
    normed: Vec<f32>,
    scale: Vec<f32>,
    qkv: Vec<f32>,
    attended: Vec<f32>,
    gate_up: Vec<f32>,
    activated: Vec<f32>,
    logits: Vec<f32>,
    product: Product,
}

impl Scratch {
    fn resize(&mut self, dims: &Dims, rows: usize) {
        let heads = dims.attention();
        for (buffer, width) in [
            (&mut self.x, dims.width),
            (&mut self.normed, dims.width),
            (&mut self.scale, 1),
            (&mut self.qkv, heads.qkv_width()),
            (&mut self.attended, heads.out_width()),
            (&mut self.gate_up, 2 * dims.hidden),
            (&mut self.activated, dims.hidden),
            (&mut self.logits, dims.vocabulary),
        ] {
            buffer.resize(rows * width, 0.0);
        }
    }
}

impl<'a> Decoder<'a> {
    /// A decoder on one thread, which copies the weights into the order that it reads them in.
    pub(super) fn new(trunk: &'a Trunk, weights: Values<'a>, output: &Place) -> Result<Self, KernelError> {
        match trunk.device.backend() {
            Backend::Cpu(_) => {}
            #[allow(unreachable_patterns)]
            _ => return Err(KernelError::Unsupported { op: "decode" }),
        }
        let packed = Arc::new(PackedWeights::new(trunk, weights, output)?);
        Ok(Self::of(trunk, weights, packed, Threads::One))
    }

    fn of(trunk: &'a Trunk, weights: Values<'a>, packed: Arc<PackedWeights>, threads: Threads) -> Self {
        let device = match threads {
            Threads::One => Device::cpu_single_thread(),
            Threads::Pool => Device::cpu(),
        };
        Self { trunk, weights, packed, threads, device, scratch: Scratch::default() }
    }

    /// A decoder of the same model with scratch of its own. With [`Threads::Pool`] it shares out each step among
    /// threads, for few rows; for many, give each thread rows and a decoder of its own. The numbers are the same.
    pub fn another(&self, threads: Threads) -> Self {
        Self::of(self.trunk, self.weights, self.packed.clone(), threads)
    }

    /// The model's sizes.
    pub fn dims(&self) -> &Dims {
        &self.trunk.dims
    }

    /// The threads that each step uses.
    pub fn threads(&self) -> Threads {
        self.threads
    }

    /// Keys and values of whole rows of tokens, computed at once.
    ///
    /// # Errors
    /// If a row is empty or too long, or a token is not in the vocabulary.
    pub fn prefill(&self, rows: &[&[u32]]) -> Result<Vec<Arc<Prefix>>, ModelError> {
        let dims = self.dims();
        let mut batch = Batch { offsets: vec![0], ..Batch::default() };
        for (row, tokens) in rows.iter().enumerate() {
            if tokens.is_empty() {
                return Err(ModelError::EmptyPrompt { row });
            }
            if tokens.len() > dims.positions {
                return Err(ModelError::TooLong { row, len: tokens.len(), positions: dims.positions });
            }
            batch.tokens.extend_from_slice(tokens);
            batch.positions.extend(0..tokens.len() as u32);
            batch.offsets.push(batch.tokens.len() as u32);
        }
        batch.scored = Ragged::new();
        let mut prefixes: Vec<Prefix> = rows.iter().map(|tokens| Prefix::new(dims, tokens.len())).collect();
        let width = dims.attention().qkv_width();
        let keep_cache = |layer: usize, qkv: Numbers<'_>| {
            let qkv = qkv.float32("prefill")?;
            for (prefix, pair) in prefixes.iter_mut().zip(batch.offsets.windows(2)) {
                for (place, token) in (pair[0] as usize..pair[1] as usize).enumerate() {
                    prefix.put(dims, layer, place, &qkv[token * width..][..width]);
                }
            }
            Ok(())
        };
        // On a decoder of one thread this is on one thread as well: one that waits for others here might take up
        // another row of the sampler's work, and keep this one waiting until that ends.
        self.trunk.forward_on(&self.device, self.weights, &batch, Keep::Nothing, keep_cache)?;
        Ok(prefixes.into_iter().map(Arc::new).collect())
    }

    /// Feeds one token to each row and returns the logits of the next, `[rows, vocabulary]`.
    ///
    /// A row's logits have the same bits whatever the other rows and the threads are.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or a row is at its capacity or at the model's last position.
    pub fn step(&mut self, rows: &mut [&mut Row], tokens: &[u32]) -> Result<&mut [f32], ModelError> {
        const OP: &str = "decode";
        let Self { trunk, weights: w, packed, threads, device, scratch: s } = self;
        let (dims, n, threads) = (&trunk.dims, rows.len(), *threads);
        let heads = dims.attention();
        if tokens.len() != n {
            let (got, needed) = (tokens.len(), n);
            return Err(KernelError::Shape { op: OP, buffer: "tokens", got, needed }.into());
        }
        if let Some(row) = rows.iter().position(|row| row.is_full()) {
            return Err(ModelError::TooLong { row, len: rows[row].len() + 1, positions: rows[row].len() });
        }
        rows.iter_mut().for_each(|row| row.make_room(dims));
        let positions: Vec<u32> = rows.iter().map(|row| row.len() as u32).collect();
        let (positions, tokens) = (device.indices(&positions)?, device.indices(tokens)?);
        s.resize(dims, n);
        let at = |place: &Place| w.at(place);
        let norm = |x: &[f32], weight: &Place, normed: &mut [f32], scale: &mut [f32]| {
            let (normed, scale) = (ViewMut::Host(normed), ViewMut::Host(scale));
            rms_norm::forward(device, dims.width, dims.norm_epsilon, View::Host(x), at(weight), normed, scale)
        };
        let (table, x) = (w.weight(&trunk.places.embedding), ViewMut::Host(&mut s.x));
        embedding::forward(device, dims.width, table, &tokens, x)?;
        for (layer, (place, packed)) in trunk.places.layers.iter().zip(&packed.layers).enumerate() {
            norm(&s.x, &place.attention_norm, &mut s.normed, &mut s.scale)?;
            if let Some(place) = &place.qkv_bias {
                bias::forward(device, at(place), ViewMut::Host(&mut s.qkv))?;
            }
            let biased = place.qkv_bias.is_some();
            packed.qkv.forward(threads, device, &s.normed, &mut s.qkv, biased, &mut s.product)?;
            let (turned, stride) = (heads.queries + heads.keys, heads.qkv_width());
            let qkv = ViewMut::Host(&mut s.qkv);
            rotary::rotate(device, &trunk.rotary, Direction::Forward, turned, stride, &positions, qkv)?;
            attend(threads, dims, layer, rows, &s.qkv, &mut s.attended);
            packed.attention_out.forward(threads, device, &s.attended, &mut s.x, true, &mut s.product)?;

            norm(&s.x, &place.feed_forward_norm, &mut s.normed, &mut s.scale)?;
            packed.gate_up.forward(threads, device, &s.normed, &mut s.gate_up, false, &mut s.product)?;
            swiglu::forward(device, dims.hidden, View::Host(&s.gate_up), ViewMut::Host(&mut s.activated))?;
            packed.down.forward(threads, device, &s.activated, &mut s.x, true, &mut s.product)?;
        }
        for row in rows.iter_mut() {
            row.advance();
        }
        norm(&s.x, &trunk.places.norm, &mut s.normed, &mut s.scale)?;
        packed.output.forward(threads, &s.normed, &mut s.logits, false, &mut s.product.x);
        Ok(&mut s.logits)
    }
}

/// Puts each row's new keys and values into its cache, and attends to all of it.
fn attend(
    threads: Threads,
    dims: &Dims,
    layer: usize,
    rows: &mut [&mut Row],
    qkv: &[f32],
    attended: &mut [f32],
) {
    let heads = dims.attention();
    let (width, part) = (heads.qkv_width(), heads.group() * heads.size);
    match threads {
        Threads::One => {
            rows.iter_mut().zip(qkv.chunks_exact(width)).for_each(|(row, qkv)| row.put(dims, layer, qkv))
        }
        Threads::Pool => {
            rows.par_iter_mut()
                .zip(qkv.par_chunks_exact(width))
                .for_each(|(row, qkv)| row.put(dims, layer, qkv));
        }
    }
    let (rows, attended) = (&*rows, SharedMut::new(attended));
    for_each_task(threads, rows.len() * heads.keys, |task| {
        let (row, key_head) = (task / heads.keys, task % heads.keys);
        let q = &qkv[row * width + key_head * part..][..part];
        // SAFETY: each task has the columns of its own heads.
        let out = unsafe { attended.slice(task * part, part) };
        let mut scores = SCORES.take();
        attention::decode(heads, key_head, &rows[row].segments(dims, layer), q, out, &mut scores);
        SCORES.set(scores);
    });
}
