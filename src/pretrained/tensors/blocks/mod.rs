//! From stored elements to `f32`: plain floating point, and the blocks of ggml's quantized types.
//!
//! Everything is little-endian. A quantized tensor's rows are cut into blocks, one after another; a block
//! holds as many elements and bytes as [`Dtype::block`] says. `d` and `m` are scales in half precision, `q`
//! an element's small integer, and what comes out is computed in `f32`, in the order in which each file says
//! it: so it has the same bits as ggml's own result.
//!
//! Source of all layouts: the structures of
//! [`ggml-common.h`](https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h) and the functions
//! `dequantize_row_…` of
//! [`ggml-quants.c`](https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-quants.c).

mod float;
mod k_scales;
mod q4;
mod q4_k;
mod q5;
mod q5_k;
mod q6_k;
mod q8;
#[cfg(test)]
mod tests;

use super::Dtype;

/// The `f32` of whole blocks: `out` gets the elements of as many blocks as it has room for and `bytes` holds.
///
/// ```
/// use pspo::pretrained::tensors::{Dtype, blocks};
///
/// // Q8_0: the scale 0.5 in half precision, then 32 signed bytes.
/// let mut block = vec![0x00, 0x38];
/// block.extend([0, 1, 0xFF].into_iter().chain(std::iter::repeat_n(2, 29)));
/// let mut values = [0.0; 32];
/// blocks::dequantize(Dtype::Q8_0, &block, &mut values);
/// assert_eq!(values[..4], [0.0, 0.5, -0.5, 1.0]);
/// ```
pub fn dequantize(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F32 => each(bytes, out, |bytes, out: &mut [f32; 1]| out[0] = f32::from_le_bytes(*bytes)),
        Dtype::F16 => float::f16(bytes, out),
        Dtype::BF16 => float::bf16(bytes, out),
        Dtype::Q4_0 => each(bytes, out, q4::q4_0),
        Dtype::Q4_1 => each(bytes, out, q4::q4_1),
        Dtype::Q5_0 => each(bytes, out, q5::q5_0),
        Dtype::Q5_1 => each(bytes, out, q5::q5_1),
        Dtype::Q8_0 => each(bytes, out, q8::q8_0),
        Dtype::Q4_K => each(bytes, out, q4_k::q4_k),
        Dtype::Q5_K => each(bytes, out, q5_k::q5_k),
        Dtype::Q6_K => each(bytes, out, q6_k::q6_k),
        Dtype::Other => {}
    }
}

/// Block by block; the types of `block`'s arguments say a block's bytes and elements.
fn each<const BYTES: usize, const ELEMENTS: usize>(
    bytes: &[u8],
    out: &mut [f32],
    block: impl Fn(&[u8; BYTES], &mut [f32; ELEMENTS]),
) {
    let (blocks, _) = bytes.as_chunks();
    let (values, _) = out.as_chunks_mut();
    blocks.iter().zip(values).for_each(|(bytes, values)| block(bytes, values));
}

/// The half-precision number in the two bytes from `at`.
fn half(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}
