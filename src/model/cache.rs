//! Keys and values of rows that are being decoded. Rows with a common prefix share those of the prefix.

use std::sync::Arc;

use super::arch::Dims;
use crate::kernels::attention::{BLOCK, Cached};
use crate::kernels::vector::spread;

/// Tokens that a row has room for at first; the room doubles as it is used up. Two rows that part copy what there is.
const FIRST: usize = 2 * BLOCK;

/// Keys and values of a row of tokens, in all layers. Rows that continue it, from its end or from any
/// place within, share it.
#[derive(Debug)]
pub struct Prefix {
    cache: Cache,
}

impl Prefix {
    /// Room for a row of so many tokens, whose keys and values are still to be put.
    pub(super) fn new(dims: &Dims, tokens: usize) -> Self {
        Self { cache: Cache { len: tokens, ..Cache::new(dims, tokens) } }
    }

    /// Puts the keys and values of the token at `place`, as they stand in a row of a layer's qkv.
    pub(super) fn put(&mut self, dims: &Dims, layer: usize, place: usize, qkv: &[f32]) {
        self.cache.put(dims, layer, place, qkv);
    }

    /// The tokens that it holds.
    pub fn len(&self) -> usize {
        self.cache.len
    }

    /// No token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// For each layer keys and values as [`Cached`] has them.
#[derive(Clone, Debug)]
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
    capacity: usize,
    len: usize,
}

impl Cache {
    fn new(dims: &Dims, tokens: usize) -> Self {
        let capacity = tokens.next_multiple_of(BLOCK);
        let len = dims.layers * dims.kv_heads * dims.head_size * capacity;
        Self { keys: vec![0.0; len], values: vec![0.0; len], capacity, len: 0 }
    }

    /// Room for twice as many tokens, at most `most` of them, where there is none for another.
    fn grow(&mut self, dims: &Dims, most: usize) {
        if self.len < self.capacity {
            return;
        }
        let larger = Self::new(dims, (2 * self.capacity).clamp(FIRST, most.max(FIRST)));
        let old = std::mem::replace(self, Self { len: self.len, ..larger });
        let (from, to) = (old.capacity * dims.head_size, self.capacity * dims.head_size);
        for (old, new) in [(&old.keys, &mut self.keys), (&old.values, &mut self.values)] {
            // Nothing to copy, and no chunks, where there was no room at all.
            for (old, new) in old.chunks_exact(from.max(1)).zip(new.chunks_exact_mut(to)) {
                new[..from].copy_from_slice(old);
            }
        }
    }

    fn put(&mut self, dims: &Dims, layer: usize, place: usize, qkv: &[f32]) {
        let size = dims.head_size;
        let (keys, values) = qkv[dims.heads * size..].split_at(dims.kv_heads * size);
        let heads = keys.chunks_exact(size).zip(values.chunks_exact(size));
        for (head, (key, value)) in heads.enumerate() {
            let first = (layer * dims.kv_heads + head) * size * self.capacity;
            let block = first + place / BLOCK * BLOCK * size + place % BLOCK;
            spread(key, &mut self.keys[block..], BLOCK);
            self.values[first + place * size..][..size].copy_from_slice(value);
        }
    }

    fn layer(&self, dims: &Dims, layer: usize, len: usize) -> Cached<'_> {
        let block = dims.kv_heads * dims.head_size * self.capacity;
        let range = layer * block..(layer + 1) * block;
        Cached { keys: &self.keys[range.clone()], values: &self.values[range], capacity: self.capacity, len }
    }
}

/// A row that is being decoded: the shared prefix it continues, and its own cache. A clone shares the prefix and has a
/// copy of the rest: from there on the two may go on differently.
#[derive(Clone, Debug)]
pub struct Row {
    prefix: Option<Arc<Prefix>>,
    shared: usize,
    capacity: usize,
    own: Cache,
}

impl Row {
    /// A row that continues the first `shared` tokens of `prefix` by at most `capacity` tokens.
    ///
    /// # Panics
    /// If the prefix is shorter than `shared`.
    pub fn fork(dims: &Dims, prefix: Arc<Prefix>, shared: usize, capacity: usize) -> Self {
        assert!(shared <= prefix.len(), "a row shares at most the {} tokens of its prefix", prefix.len());
        Self { prefix: Some(prefix), shared, ..Self::new(dims, capacity) }
    }

    /// A row of at most `capacity` tokens from nothing.
    pub fn new(dims: &Dims, capacity: usize) -> Self {
        Self { prefix: None, shared: 0, capacity, own: Cache::new(dims, capacity.min(FIRST)) }
    }

    /// Tokens so far: the position of the next one.
    pub fn len(&self) -> usize {
        self.shared + self.own.len
    }

    /// No tokens yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// It has room for no other token.
    pub(super) fn is_full(&self) -> bool {
        self.own.len >= self.capacity
    }

    /// Makes room for the next token, unless the row is at its capacity.
    pub(super) fn make_room(&mut self, dims: &Dims) {
        self.own.grow(dims, self.capacity);
    }

    /// Puts the next token's keys and values, as they stand in a row of a layer's qkv.
    pub(super) fn put(&mut self, dims: &Dims, layer: usize, qkv: &[f32]) {
        self.own.put(dims, layer, self.own.len, qkv);
    }

    /// The next token has been put in all layers.
    pub(super) fn advance(&mut self) {
        self.own.len += 1;
    }

    /// What the next token attends to, itself included, which has been put.
    pub(super) fn segments(&self, dims: &Dims, layer: usize) -> [Cached<'_>; 2] {
        const NOTHING: Cached<'_> = Cached { keys: &[], values: &[], capacity: 0, len: 0 };
        let shared = match &self.prefix {
            Some(prefix) if self.shared > 0 => prefix.cache.layer(dims, layer, self.shared),
            _ => NOTHING,
        };
        [shared, self.own.layer(dims, layer, self.own.len + 1)]
    }
}
