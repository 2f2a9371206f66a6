//! Half precision and bfloat16, a slice at a time: the processor converts several at once.

use half::{bf16, f16, slice::HalfFloatSliceExt};

/// Elements converted at once.
const CHUNK: usize = 256;

pub(super) fn f16(bytes: &[u8], out: &mut [f32]) {
    convert(bytes, out, f16::from_le_bytes);
}

pub(super) fn bf16(bytes: &[u8], out: &mut [f32]) {
    convert(bytes, out, bf16::from_le_bytes);
}

fn convert<H: Copy + Default>(bytes: &[u8], out: &mut [f32], number: impl Fn([u8; 2]) -> H)
where
    [H]: HalfFloatSliceExt,
{
    let mut numbers = [H::default(); CHUNK];
    let (pairs, _) = bytes.as_chunks();
    for (pairs, out) in pairs.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
        for (to, &pair) in numbers.iter_mut().zip(pairs) {
            *to = number(pair);
        }
        numbers[..pairs.len()].convert_to_f32_slice(out);
    }
}
