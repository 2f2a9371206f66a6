//! Five bits an element, in superblocks of 8 sub-blocks of 32 elements.
//!
//! | bytes | |
//! |---|---|
//! | 0–15 | `d`, `m`, scales and minima, as in `Q4_K` |
//! | 16–47 | byte i: its bit b is the fifth, highest bit of element i of sub-block b |
//! | 48–175 | the lower four bits, as in `Q4_K` |
//!
//! An element of sub-block b is (d · s_b) · q − (m · n_b).

use super::half;
use super::k_scales::scales_and_minima;
use super::q4::nibbles;

pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (d, m) = (half(block, 0), half(block, 2));
    let scales = scales_and_minima(&block[4..16]).map(|(s, n)| (d * f32::from(s), m * f32::from(n)));
    let high = &block[16..48];
    for (pair, (out, bytes)) in out.as_chunks_mut::<64>().0.iter_mut().zip(block[48..].chunks(32)).enumerate()
    {
        nibbles(bytes, |j, low| {
            let sub_block = 2 * pair + j / 32;
            let q = low | (high[j % 32] >> sub_block & 1) << 4;
            let (scale, minimum) = scales[sub_block];
            out[j] = scale * f32::from(q) - minimum;
        });
    }
}
