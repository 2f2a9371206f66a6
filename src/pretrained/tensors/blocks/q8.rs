//! Eight bits an element, 32 elements a block: bytes 0–1 are `d` in half precision, byte 2 + j is element j's
//! q, with its sign. An element is q · d.

use super::half;

pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = half(block, 0);
    for (out, q) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(q.cast_signed()) * d;
    }
}
