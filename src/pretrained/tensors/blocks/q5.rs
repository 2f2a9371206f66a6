//! Five bits an element, 32 elements a block.
//!
//! | bytes of `Q5_0` | bytes of `Q5_1` | |
//! |---|---|---|
//! | 0–1 | 0–1 | `d`, half precision |
//! | | 2–3 | `m`, half precision |
//! | 2–5 | 4–7 | a 32-bit integer: its bit j is the fifth, highest bit of element j's q |
//! | 6–21 | 8–23 | the lower four bits, as in `Q4_0` |
//!
//! `Q5_0`: (q − 16) · d. `Q5_1`: q · d + m.

use super::half;
use super::q4::nibbles;

pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = half(block, 0);
    let high = high_bits(&block[2..6]);
    nibbles(&block[6..], |j, low| out[j] = (f32::from(low | high(j)) - 16.0) * d);
}

pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    let high = high_bits(&block[4..8]);
    nibbles(&block[8..], |j, low| out[j] = f32::from(low | high(j)) * d + m);
}

/// Each element's highest bit, in its place.
fn high_bits(bytes: &[u8]) -> impl Fn(usize) -> u8 + '_ {
    |j| (bytes[j / 8] >> (j % 8) & 1) << 4
}
