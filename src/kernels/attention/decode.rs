//! Attention of one new token per row over keys and values in a cache.
//!
//! Keys lie transposed, `[head size, capacity]` for each key/value head, so that scores are computed
//! for many positions at once; values lie `[capacity, head size]`.

use super::Heads;
use crate::kernels::vector::{exp, max, sum, vectorized};

/// Keys and values of consecutive positions, of one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cached<'a> {
    /// `[key heads, head size, capacity]`.
    pub(crate) keys: &'a [f32],
    /// `[key heads, capacity, head size]`.
    pub(crate) values: &'a [f32],
    /// Positions there is room for.
    pub(crate) capacity: usize,
    /// Positions to attend to.
    pub(crate) len: usize,
}

/// out `[queries · size]` for the queries `[queries · size]` of one token over `segments`, which follow
/// one another. `scores` is scratch for as many numbers as there are positions per group head.
pub(crate) fn decode(
    heads: Heads,
    segments: &[Cached<'_>],
    q: &[f32],
    out: &mut [f32],
    scores: &mut Vec<f32>,
) {
    let Heads { keys, size, .. } = heads;
    let (group, scale) = (heads.group(), heads.scale());
    let total: usize = segments.iter().map(|segment| segment.len).sum();
    scores.resize(group * total, 0.0);
    out.fill(0.0);
    vectorized(|| {
        for key_head in 0..keys {
            scores.fill(0.0);
            for g in 0..group {
                let q = &q[(key_head * group + g) * size..][..size];
                let mut start = g * total;
                for segment in segments {
                    let scores = &mut scores[start..start + segment.len];
                    for (c, &q) in q.iter().enumerate() {
                        let k = &segment.keys[(key_head * size + c) * segment.capacity..][..segment.len];
                        for (s, &k) in scores.iter_mut().zip(k) {
                            *s += q * k;
                        }
                    }
                    start += segment.len;
                }
                let scores = &mut scores[g * total..(g + 1) * total];
                let top = max(scores) * scale;
                for s in scores.iter_mut() {
                    *s = exp(*s * scale - top);
                }
                let inverse = 1.0 / sum(scores, |p| p);
                let out = &mut out[(key_head * group + g) * size..][..size];
                let mut start = 0;
                for segment in segments {
                    let v = &segment.values[key_head * segment.capacity * size..][..segment.len * size];
                    for (v, &p) in v.chunks_exact(size).zip(&scores[start..start + segment.len]) {
                        for (o, &v) in out.iter_mut().zip(v) {
                            *o += p * v;
                        }
                    }
                    start += segment.len;
                }
                for o in out.iter_mut() {
                    *o *= inverse;
                }
            }
        }
    });
}
