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
                    let key = |c| &segment.keys[(key_head * size + c) * segment.capacity..][..segment.len];
                    let mut c = 0;
                    // Four at a time, so that each score is loaded and stored a quarter as often.
                    while c + 4 <= size {
                        let (k0, k1, k2, k3) = (key(c), key(c + 1), key(c + 2), key(c + 3));
                        let (q0, q1, q2, q3) = (q[c], q[c + 1], q[c + 2], q[c + 3]);
                        for (j, s) in scores.iter_mut().enumerate() {
                            *s += (q0 * k0[j] + q1 * k1[j]) + (q2 * k2[j] + q3 * k3[j]);
                        }
                        c += 4;
                    }
                    for (c, &q) in q.iter().enumerate().skip(c) {
                        for (s, &k) in scores.iter_mut().zip(key(c)) {
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
                    let weights = &scores[start..start + segment.len];
                    let mut fours = v.chunks_exact(4 * size).zip(weights.chunks_exact(4));
                    for (v, p) in &mut fours {
                        let (v0, v) = v.split_at(size);
                        let (v1, v) = v.split_at(size);
                        let (v2, v3) = v.split_at(size);
                        for c in 0..size {
                            out[c] += (p[0] * v0[c] + p[1] * v1[c]) + (p[2] * v2[c] + p[3] * v3[c]);
                        }
                    }
                    let done = segment.len / 4 * 4;
                    for (v, &p) in v[done * size..].chunks_exact(size).zip(&weights[done..]) {
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
