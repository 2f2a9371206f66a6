//! Four bits an element, in superblocks of 8 sub-blocks of 32 elements.
//!
//! | bytes | |
//! |---|---|
//! | 0–1, 2–3 | `d` and `m`, half precision |
//! | 4–15 | 8 scales s and 8 minima n of six bits, see `k_scales.rs` |
//! | 16–143 | 32 bytes for each two sub-blocks: the first one's q in the lower halves, the second one's in the upper |
//!
//! An element of sub-block b is (d · s_b) · q − (m · n_b).

use super::half;
use super::k_scales::scales_and_minima;
use super::q4::nibbles;

pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (d, m) = (half(block, 0), half(block, 2));
    let scales = scales_and_minima(&block[4..16]).map(|(s, n)| (d * f32::from(s), m * f32::from(n)));
    let pairs = out.as_chunks_mut::<64>().0.iter_mut().zip(block[16..].chunks(32));
    for ((out, bytes), scales) in pairs.zip(scales.chunks(2)) {
        nibbles(bytes, |j, q| {
            let (scale, minimum) = scales[j / 32];
            out[j] = scale * f32::from(q) - minimum;
        });
    }
}
