//! Six bits an element, in superblocks of 16 sub-blocks of 16 elements.
//!
//! | bytes | |
//! |---|---|
//! | 0–127 | lower four bits: 64 bytes for each half of the superblock |
//! | 128–191 | upper two bits: 32 bytes for each half |
//! | 192–207 | 16 scales s, bytes with a sign |
//! | 208–209 | `d`, half precision |
//!
//! In a half of 128 elements, the lower bits of elements j and j + 64 share byte j, for j in 0..64, and the
//! upper bits of elements i, i + 32, i + 64 and i + 96 share byte i, for i in 0..32, from its lowest bits up.
//!
//! An element of sub-block b is (d · s_b) · (q − 32).

use super::half;
use super::q4::nibbles;

pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, _) = rest.split_at(16);
    let d = half(block, 208);
    let scale = |sub_block: usize| d * f32::from(scales[sub_block].cast_signed());
    for (half, out) in out.as_chunks_mut::<128>().0.iter_mut().enumerate() {
        let high = &high[32 * half..][..32];
        nibbles(&low[64 * half..][..64], |j, low| {
            let q = low | (high[j % 32] >> (j / 32 * 2) & 3) << 4;
            out[j] = scale(8 * half + j / 16) * (f32::from(q) - 32.0);
        });
    }
}
