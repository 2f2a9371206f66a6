//! Four bits an element, 32 elements a block.
//!
//! | bytes of `Q4_0` | bytes of `Q4_1` | |
//! |---|---|---|
//! | 0–1 | 0–1 | `d`, half precision |
//! | | 2–3 | `m`, half precision |
//! | 2–17 | 4–19 | byte j: the q of element j in its lower half, that of element j + 16 in its upper one |
//!
//! `Q4_0`: (q − 8) · d. `Q4_1`: q · d + m.

use super::half;

pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half(block, 0);
    nibbles(&block[2..], |j, q| out[j] = (f32::from(q) - 8.0) * d);
}

pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    nibbles(&block[4..], |j, q| out[j] = f32::from(q) * d + m);
}

/// Calls `element` with the places and the four bits of elements whose bits lie in `bytes`: first half in the
/// lower halves, second half in the upper ones.
pub(super) fn nibbles(bytes: &[u8], mut element: impl FnMut(usize, u8)) {
    for (j, byte) in bytes.iter().enumerate() {
        element(j, byte & 0xF);
        element(j + bytes.len(), byte >> 4);
    }
}
