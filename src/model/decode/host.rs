//! Decoding on the CPU.

use std::cell::Cell;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Prefix, Row};
use crate::kernels::rotary::Direction;
use crate::kernels::sample::{self, Choice, Drawn};
use crate::kernels::vector::{SharedMut, for_each_task};
use crate::kernels::{
    Device, KernelError, Numbers, Threads, View, ViewMut, attention, bias, embedding, rms_norm, rotary,
    swiglu,
};
use crate::model::arch::Dims;
use crate::model::batch::Batch;
use crate::model::error::ModelError;
use crate::model::packed::{PackedWeights, Product};
use crate::model::trunk::{Keep, Place, Trunk, Values};

thread_local! {
    /// Scores of one head over all positions.
    static SCORES: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// A decoder whose steps are of one thread, or shared out among those of the pool.
#[derive(Debug)]
pub(super) struct HostDecoder<'a> {
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

impl<'a> HostDecoder<'a> {
    pub(super) fn new(trunk: &'a Trunk, weights: Values<'a>, output: &Place) -> Result<Self, KernelError> {
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

    pub(super) fn another(&self, threads: Threads) -> Self {
        Self::of(self.trunk, self.weights, self.packed.clone(), threads)
    }

    pub(super) fn trunk(&self) -> &'a Trunk {
        self.trunk
    }

    pub(super) fn threads(&self) -> Threads {
        self.threads
    }

    /// Keys and values of whole rows of tokens.
    pub(super) fn prefill(&self, batch: &Batch) -> Result<Vec<Prefix>, ModelError> {
        let dims = &self.trunk.dims;
        let mut prefixes: Vec<Prefix> =
            batch.offsets.windows(2).map(|pair| Prefix::new(dims, (pair[1] - pair[0]) as usize)).collect();
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
        self.trunk.forward_on(&self.device, self.weights, batch, Keep::Nothing, keep_cache)?;
        Ok(prefixes)
    }

    pub(super) fn draw(
        &mut self,
        rows: &mut [&mut Row],
        tokens: &[u32],
        choice: Choice,
        streams: &mut [Vec<&mut ChaCha8Rng>],
    ) -> Result<Vec<Vec<Drawn>>, ModelError> {
        let (threads, vocabulary) = (self.threads, self.trunk.dims.vocabulary);
        let logits = self.step(rows, tokens)?;
        let draw = |(streams, logits): (&mut Vec<&mut ChaCha8Rng>, &mut [f32])| {
            sample::draw_each(choice, logits, streams.iter_mut().map(|stream| &mut **stream))
        };
        Ok(match threads {
            Threads::One => streams.iter_mut().zip(logits.chunks_exact_mut(vocabulary)).map(draw).collect(),
            Threads::Pool => {
                streams.par_iter_mut().zip(logits.par_chunks_exact_mut(vocabulary)).map(draw).collect()
            }
        })
    }

    pub(super) fn step(&mut self, rows: &mut [&mut Row], tokens: &[u32]) -> Result<&mut [f32], ModelError> {
        let Self { trunk, weights: w, packed, threads, device, scratch: s } = self;
        let (dims, n, threads) = (&trunk.dims, rows.len(), *threads);
        let heads = dims.attention();
        if !rows.iter().all(|row| row.is_on_host()) {
            return Err(KernelError::OtherDevice { op: "decode" }.into());
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
