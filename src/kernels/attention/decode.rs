//! Attention of one new token per row over keys and values in a cache.
//!
//! That is a pass over the cache and little else, so keys and values lie in the order in which they are read: keys in
//! blocks of [`BLOCK`] positions, `[head size, BLOCK]` each, so that the scores of a block are computed side by side;
//! values `[capacity, head size]`.

use super::Heads;
use crate::kernels::vector::{exp, max, sum, vectorized};

/// Positions of a block of keys.
pub(crate) const BLOCK: usize = 16;

/// Keys and values of consecutive positions, of one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cached<'a> {
    /// `[key heads, capacity / BLOCK, head size, BLOCK]`.
    pub(crate) keys: &'a [f32],
    /// `[key heads, capacity, head size]`.
    pub(crate) values: &'a [f32],
    /// Positions there is room for, a multiple of [`BLOCK`].
    pub(crate) capacity: usize,
    /// Positions to attend to.
    pub(crate) len: usize,
}

impl<'a> Cached<'a> {
    /// The keys of a head, of all blocks that have a position to attend to.
    fn keys_of(&self, key_head: usize, size: usize) -> &'a [f32] {
        &self.keys[key_head * self.capacity * size..][..self.len.next_multiple_of(BLOCK) * size]
    }

    fn values_of(&self, key_head: usize, size: usize) -> &'a [f32] {
        &self.values[key_head * self.capacity * size..][..self.len * size]
    }
}

/// The query heads of one key/value head: out `[group · size]` for the queries `[group · size]` of one token over
/// `segments`, which follow one another. `scores` is scratch.
pub(crate) fn decode(
    heads: Heads,
    key_head: usize,
    segments: &[Cached<'_>],
    q: &[f32],
    out: &mut [f32],
    scores: &mut Vec<f32>,
) {
    let Heads { size, .. } = heads;
    // Of each query head: the blocks of one segment after those of another.
    let padded: usize = segments.iter().map(|segment| segment.len.next_multiple_of(BLOCK)).sum();
    scores.resize(heads.group() * padded, 0.0);
    vectorized!({
        let mut first = 0;
        for segment in segments {
            for (block, keys) in segment.keys_of(key_head, size).chunks_exact(size * BLOCK).enumerate() {
                for (q, scores) in q.chunks_exact(size).zip(scores.chunks_exact_mut(padded)) {
                    let mut dots = [0.0; BLOCK];
                    for (&q, keys) in q.iter().zip(keys.as_chunks::<BLOCK>().0) {
                        for (dot, &k) in dots.iter_mut().zip(keys) {
                            *dot += q * k;
                        }
                    }
                    scores[first + block * BLOCK..][..BLOCK].copy_from_slice(&dots);
                }
            }
            first += segment.len.next_multiple_of(BLOCK);
        }
        for (out, scores) in out.chunks_exact_mut(size).zip(scores.chunks_exact_mut(padded)) {
            softmax(heads.scale(), segments, scores);
            out.fill(0.0);
            let mut first = 0;
            for segment in segments {
                add_values(segment.values_of(key_head, size), &scores[first..first + segment.len], size, out);
                first += segment.len.next_multiple_of(BLOCK);
            }
        }
    });
}

/// The softmax of the scores times `scale`; those of positions that are none are not touched.
#[inline(always)]
fn softmax(scale: f32, segments: &[Cached<'_>], scores: &mut [f32]) {
    let places = segments.iter().scan(0, |first, segment| {
        let start = *first;
        *first += segment.len.next_multiple_of(BLOCK);
        Some(start..start + segment.len)
    });
    let top = places.clone().fold(f32::NEG_INFINITY, |top, place| max(&scores[place]).max(top)) * scale;
    let mut total = 0.0;
    for place in places.clone() {
        for s in &mut scores[place.clone()] {
            *s = exp(*s * scale - top);
        }
        total += sum(&scores[place], |p| p);
    }
    let inverse = 1.0 / total;
    for place in places {
        for p in &mut scores[place] {
            *p *= inverse;
        }
    }
}

/// out += Σ p_j v_j.
#[inline(always)]
fn add_values(values: &[f32], weights: &[f32], size: usize, out: &mut [f32]) {
    // Four at a time, so that each number of the result is loaded and stored a quarter as often.
    let mut fours = values.chunks_exact(4 * size).zip(weights.as_chunks::<4>().0);
    for (v, p) in &mut fours {
        let (v0, v) = v.split_at(size);
        let (v1, v) = v.split_at(size);
        let (v2, v3) = v.split_at(size);
        for c in 0..size {
            out[c] += (p[0] * v0[c] + p[1] * v1[c]) + (p[2] * v2[c] + p[3] * v3[c]);
        }
    }
    let done = weights.len() / 4 * 4;
    for (v, &p) in values[done * size..].chunks_exact(size).zip(&weights[done..]) {
        for (o, &v) in out.iter_mut().zip(v) {
            *o += p * v;
        }
    }
}
