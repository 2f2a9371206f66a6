//! Decoding: one new token for each of many rows at a time, over a cache of keys and values that rows
//! with a common prefix share.

use std::ops::Range;
use std::sync::Arc;

use super::arch::Dims;
use super::batch::Batch;
use super::error::ModelError;
use super::trunk::{Keep, Trunk};
use crate::data::Ragged;
use crate::kernels::attention::{self, Cached};
use crate::kernels::product::{Shape, WeightLayout};
use crate::kernels::rotary::Direction;
use crate::kernels::{
    Backend, Buffer, Device, KernelError, View, ViewMut, embedding, product, rms_norm, rotary, swiglu,
};

/// Keys and values of a row of tokens, in all layers. Rows that continue it, from its end or from any
/// place within, share it.
#[derive(Debug)]
pub struct Prefix {
    cache: Cache,
}

impl Prefix {
    /// The tokens that it holds.
    pub fn len(&self) -> usize {
        self.cache.len
    }

    /// No token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Keys `[layers, key heads, head size, capacity]` and values `[layers, key heads, capacity, head size]`.
#[derive(Debug, Default)]
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
    capacity: usize,
    len: usize,
}

impl Cache {
    fn new(dims: &Dims, capacity: usize) -> Self {
        let len = dims.layers * dims.kv_heads * dims.head_size * capacity;
        Self { keys: vec![0.0; len], values: vec![0.0; len], capacity, len: 0 }
    }

    /// Puts one token's keys and values of a layer, as they stand in a row of qkv, at `place`.
    fn put(&mut self, dims: &Dims, layer: usize, place: usize, qkv: &[f32]) {
        let (size, capacity) = (dims.head_size, self.capacity);
        let (keys, values) = qkv[dims.heads * size..].split_at(dims.kv_heads * size);
        for head in 0..dims.kv_heads {
            let block = (layer * dims.kv_heads + head) * size * capacity;
            for c in 0..size {
                self.keys[block + c * capacity + place] = keys[head * size + c];
            }
            self.values[block + place * size..][..size].copy_from_slice(&values[head * size..][..size]);
        }
    }

    fn layer(&self, dims: &Dims, layer: usize, len: usize) -> Cached<'_> {
        let block = dims.kv_heads * dims.head_size * self.capacity;
        let range = layer * block..(layer + 1) * block;
        Cached { keys: &self.keys[range.clone()], values: &self.values[range], capacity: self.capacity, len }
    }
}

/// A row that is being decoded: the shared prefix it continues, and its own cache.
#[derive(Debug)]
pub struct Row {
    prefix: Option<Arc<Prefix>>,
    shared: usize,
    own: Cache,
}

impl Row {
    /// A row that continues the first `shared` tokens of `prefix` by at most `capacity` tokens.
    ///
    /// # Panics
    /// If the prefix is shorter than `shared`.
    pub fn fork(dims: &Dims, prefix: Arc<Prefix>, shared: usize, capacity: usize) -> Self {
        assert!(shared <= prefix.len(), "a row shares at most the {} tokens of its prefix", prefix.len());
        Self { prefix: Some(prefix), shared, own: Cache::new(dims, capacity) }
    }

    /// A row of at most `capacity` tokens from nothing.
    pub fn new(dims: &Dims, capacity: usize) -> Self {
        Self { prefix: None, shared: 0, own: Cache::new(dims, capacity) }
    }

    /// Tokens so far: the position of the next one.
    pub fn len(&self) -> usize {
        self.shared + self.own.len
    }

    /// No tokens yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn segments(&self, dims: &Dims, layer: usize) -> [Cached<'_>; 2] {
        const NOTHING: Cached<'_> = Cached { keys: &[], values: &[], capacity: 0, len: 0 };
        let shared = match &self.prefix {
            Some(prefix) if self.shared > 0 => prefix.cache.layer(dims, layer, self.shared),
            _ => NOTHING,
        };
        // The token that is being decoded is already in the cache, but not yet counted.
        [shared, self.own.layer(dims, layer, self.own.len + 1)]
    }
}

/// Runs the trunk one token at a time under fixed parameters.
#[derive(Debug)]
pub struct Decoder<'a> {
    trunk: &'a Trunk,
    weights: &'a Buffer,
    output: Range<usize>,
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
    scores: Vec<f32>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(
        trunk: &'a Trunk,
        weights: &'a Buffer,
        output: Range<usize>,
    ) -> Result<Self, KernelError> {
        match trunk.device.backend() {
            Backend::Cpu(_) => {}
            #[allow(unreachable_patterns)]
            _ => return Err(KernelError::Unsupported { op: "decode" }),
        }
        // One thread each: the sampler shares rows out among threads.
        let device = Device::cpu_single_thread();
        Ok(Self { trunk, weights, output, device, scratch: Scratch::default() })
    }

    /// A decoder of the same model with scratch of its own, for another thread.
    pub fn another(&self) -> Self {
        Self {
            trunk: self.trunk,
            weights: self.weights,
            output: self.output.clone(),
            device: self.device.clone(),
            scratch: Scratch::default(),
        }
    }

    /// The model's sizes.
    pub fn dims(&self) -> &Dims {
        &self.trunk.dims
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
        // On this thread alone as well: one that waits for others here might take up another row of the
        // sampler's work, and keep this one waiting until that ends.
        let kept = self.trunk.forward_on(&self.device, self.weights, &batch, Keep::All)?;
        let mut prefixes: Vec<Prefix> = rows
            .iter()
            .map(|tokens| {
                let mut cache = Cache::new(dims, tokens.len());
                cache.len = tokens.len();
                Prefix { cache }
            })
            .collect();
        let width = dims.attention().qkv_width();
        for (layer, qkv) in self.trunk.qkv(&kept).enumerate() {
            let qkv = qkv.view().host("prefill")?;
            for (prefix, pair) in prefixes.iter_mut().zip(batch.offsets.windows(2)) {
                for (place, token) in (pair[0] as usize..pair[1] as usize).enumerate() {
                    prefix.cache.put(dims, layer, place, &qkv[token * width..][..width]);
                }
            }
        }
        Ok(prefixes.into_iter().map(Arc::new).collect())
    }

    /// Feeds one token to each row and returns the logits of the next, `[rows, vocabulary]`.
    ///
    /// A row's logits have the same bits whatever the other rows are.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or a row is at its capacity or at the model's last position.
    pub fn step(&mut self, rows: &mut [&mut Row], tokens: &[u32]) -> Result<&mut [f32], ModelError> {
        const OP: &str = "decode";
        let Self { trunk, weights: w, device, output, scratch: s } = self;
        let (dims, n) = (&trunk.dims, rows.len());
        let heads = dims.attention();
        if tokens.len() != n {
            let (got, needed) = (tokens.len(), n);
            return Err(KernelError::Shape { op: OP, buffer: "tokens", got, needed }.into());
        }
        if let Some(row) = rows.iter().position(|row| row.own.len >= row.own.capacity) {
            return Err(ModelError::TooLong { row, len: rows[row].len() + 1, positions: rows[row].len() });
        }
        let positions: Vec<u32> = rows.iter().map(|row| row.len() as u32).collect();
        for (buffer, width) in [
            (&mut s.x, dims.width),
            (&mut s.normed, dims.width),
            (&mut s.scale, 1),
            (&mut s.qkv, heads.qkv_width()),
            (&mut s.attended, heads.out_width()),
            (&mut s.gate_up, 2 * dims.hidden),
            (&mut s.activated, dims.hidden),
            (&mut s.logits, dims.vocabulary),
        ] {
            buffer.resize(n * width, 0.0);
        }
        let at = |range: &Range<usize>| w.slice(range.clone());
        let shape = |inputs, outputs| Shape { rows: n, inputs, outputs, layout: WeightLayout::InOut };
        let epsilon = dims.norm_epsilon;
        embedding::forward(
            device,
            dims.width,
            at(&trunk.places.embedding),
            View::Host(tokens),
            ViewMut::Host(&mut s.x),
        )?;
        for (layer, place) in trunk.places.layers.iter().enumerate() {
            let (x, norm) = (View::Host(&s.x), at(&place.attention_norm));
            let (normed, scale) = (ViewMut::Host(&mut s.normed), ViewMut::Host(&mut s.scale));
            rms_norm::forward(device, dims.width, epsilon, x, norm, normed, scale)?;
            let (product, normed) = (shape(dims.width, heads.qkv_width()), View::Host(&s.normed));
            product::forward(device, product, normed, at(&place.qkv), ViewMut::Host(&mut s.qkv), false)?;
            let (turned, stride) = (heads.queries + heads.keys, heads.qkv_width());
            let (positions, qkv) = (View::Host(&positions[..]), ViewMut::Host(&mut s.qkv));
            rotary::rotate(device, &trunk.rotary, Direction::Forward, turned, stride, positions, qkv)?;
            for (row, (qkv, attended)) in rows
                .iter_mut()
                .zip(s.qkv.chunks_exact(stride).zip(s.attended.chunks_exact_mut(heads.out_width())))
            {
                let place = row.own.len;
                row.own.put(dims, layer, place, qkv);
                let q = &qkv[..heads.out_width()];
                attention::decode(heads, &row.segments(dims, layer), q, attended, &mut s.scores);
            }
            let (product, attended) = (shape(heads.out_width(), dims.width), View::Host(&s.attended));
            product::forward(
                device,
                product,
                attended,
                at(&place.attention_out),
                ViewMut::Host(&mut s.x),
                true,
            )?;

            let (x, norm) = (View::Host(&s.x), at(&place.feed_forward_norm));
            let (normed, scale) = (ViewMut::Host(&mut s.normed), ViewMut::Host(&mut s.scale));
            rms_norm::forward(device, dims.width, epsilon, x, norm, normed, scale)?;
            let (product, normed) = (shape(dims.width, 2 * dims.hidden), View::Host(&s.normed));
            product::forward(
                device,
                product,
                normed,
                at(&place.gate_up),
                ViewMut::Host(&mut s.gate_up),
                false,
            )?;
            swiglu::forward(device, dims.hidden, View::Host(&s.gate_up), ViewMut::Host(&mut s.activated))?;
            let (product, activated) = (shape(dims.hidden, dims.width), View::Host(&s.activated));
            product::forward(device, product, activated, at(&place.down), ViewMut::Host(&mut s.x), true)?;
        }
        for row in rows.iter_mut() {
            row.own.len += 1;
        }
        let (x, norm) = (View::Host(&s.x), at(&trunk.places.norm));
        let (normed, scale) = (ViewMut::Host(&mut s.normed), ViewMut::Host(&mut s.scale));
        rms_norm::forward(device, dims.width, epsilon, x, norm, normed, scale)?;
        let layout = if dims.tied { WeightLayout::OutIn } else { WeightLayout::InOut };
        let product = Shape { layout, ..shape(dims.width, dims.vocabulary) };
        let (normed, logits) = (View::Host(&s.normed), ViewMut::Host(&mut s.logits));
        product::forward(device, product, normed, at(output), logits, false)?;
        Ok(&mut s.logits)
    }
}
