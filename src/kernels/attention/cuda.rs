//! Attention on CUDA: a block for each tile of tokens and head.

use cudarc::driver::{CudaFunction, PushKernelArg};

use super::rows::TILE;
use super::{Heads, Rows, mma};
use crate::kernels::cuda::{Cuda, Pointer, Source, run, run_over};
use crate::kernels::{KernelError, Numbers, NumbersMut, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "attention.cu", code: include_str!("attention.cu") };

/// Numbers of a head that there are kernels for; a smaller head is filled up with zeros.
pub(super) const SIZES: [usize; 4] = [16, 32, 64, 128];
/// Kernels by size and precision.
type Names = [[&'static str; 2]; 4];
const FORWARD: Names = [
    ["attention_forward_16_float32", "attention_forward_16_bfloat16"],
    ["attention_forward_32_float32", "attention_forward_32_bfloat16"],
    ["attention_forward_64_float32", "attention_forward_64_bfloat16"],
    ["attention_forward_128_float32", "attention_forward_128_bfloat16"],
];
const BACKWARD_KEYS: Names = [
    ["attention_backward_keys_16_float32", "attention_backward_keys_16_bfloat16"],
    ["attention_backward_keys_32_float32", "attention_backward_keys_32_bfloat16"],
    ["attention_backward_keys_64_float32", "attention_backward_keys_64_bfloat16"],
    ["attention_backward_keys_128_float32", "attention_backward_keys_128_bfloat16"],
];
const BACKWARD_QUERIES: Names = [
    ["attention_backward_queries_16_float32", "attention_backward_queries_16_bfloat16"],
    ["attention_backward_queries_32_float32", "attention_backward_queries_32_bfloat16"],
    ["attention_backward_queries_64_float32", "attention_backward_queries_64_bfloat16"],
    ["attention_backward_queries_128_float32", "attention_backward_queries_128_bfloat16"],
];

/// What a row of a tile has more than its numbers in shared memory.
const PADDING: usize = 4;
const THREADS: u32 = 256;
/// Threads of a block where each warp has a head of a token.
const WARPS: usize = 8;

/// The kernel for such heads and numbers, its bytes of shared memory, which are those of `tiles` tiles and of scores, and
/// the threads of its blocks. That of the tensor cores, where there is one.
fn kernel(
    cuda: &Cuda,
    op: &'static str,
    names: Names,
    on_tensor_cores: mma::Kernel,
    numbers: &[Pointer],
    heads: Heads,
    tiles: usize,
) -> Result<(CudaFunction, u32, u32), KernelError> {
    let size = heads.size;
    let place = SIZES.iter().position(|&held| size <= held);
    let place = place.ok_or(KernelError::HeadSize { op, size, held: SIZES[SIZES.len() - 1] })?;
    let name = numbers[0].pick_for(op, numbers, names[place])?;
    if let Some((kernel, shared)) = on_tensor_cores.of(cuda, heads, numbers)? {
        return Ok((kernel, shared, mma::THREADS));
    }
    let held = TILE * (tiles * (SIZES[place] + PADDING) + TILE + PADDING);
    let shared = (held * size_of::<f32>()) as u32;
    Ok((cuda.kernel_with_shared(SOURCE, name, shared)?, shared, THREADS))
}

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    heads: Heads,
    rows: &Rows,
    qkv: Numbers<'_>,
    out: NumbersMut<'_>,
    log_sum: ViewMut<'_>,
) -> Result<(), KernelError> {
    let (qkv, out) = (qkv.pointer(op, cuda)?, out.pointer(op, cuda)?);
    let mut log_sum = log_sum.cuda(op, cuda)?;
    let (kernel, shared, threads) = kernel(cuda, op, FORWARD, mma::FORWARD, &[qkv, out], heads, 2)?;
    let blocks = [rows.tiles.len() / 3, heads.queries, 1];
    let tiles = rows.tiles.cuda(op, cuda)?;
    let (queries, keys, size, scale) =
        (heads.queries as u32, heads.keys as u32, heads.size as u32, heads.scale());
    let mut call = cuda.call(&kernel);
    call.arg(&tiles)
        .arg(&qkv.address)
        .arg(&out.address)
        .arg(&mut log_sum)
        .arg(&queries)
        .arg(&keys)
        .arg(&size)
        .arg(&scale);
    // SAFETY: the kernel's arguments; the op has checked the buffers against the rows' tokens and the heads, and the tiles
    // are those of the rows.
    unsafe { run_over(call, blocks, threads, shared) }
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    heads: Heads,
    rows: &Rows,
    qkv: Numbers<'_>,
    out: Numbers<'_>,
    log_sum: View<'_>,
    d_out: Numbers<'_>,
    d_qkv: NumbersMut<'_>,
) -> Result<(), KernelError> {
    let (qkv, out, log_sum) = (qkv.pointer(op, cuda)?, out.pointer(op, cuda)?, log_sum.cuda(op, cuda)?);
    let (d_out, d_qkv) = (d_out.pointer(op, cuda)?, d_qkv.pointer(op, cuda)?);
    let all = [qkv, out, d_out, d_qkv];
    let of_keys = kernel(cuda, op, BACKWARD_KEYS, mma::BACKWARD_KEYS, &all, heads, 4)?;
    let of_queries = kernel(cuda, op, BACKWARD_QUERIES, mma::BACKWARD_QUERIES, &all, heads, 4)?;
    if rows.tiles.is_empty() {
        return Ok(());
    }
    let count = log_sum.len();
    let mut dots = cuda.scratch::<f32>(count)?;
    let (queries, keys, size, scale) =
        (heads.queries as u32, heads.keys as u32, heads.size as u32, heads.scale());
    let of_dots = cuda.kernel(SOURCE, out.pick(["attention_dots_float32", "attention_dots_bfloat16"]))?;
    let mut call = cuda.call(&of_dots);
    call.arg(&out.address).arg(&d_out.address).arg(&mut dots).arg(&count).arg(&size);
    // SAFETY: the kernel's arguments; `count` heads of `size` numbers are what `out` and `d_out` hold, by the op's checks.
    unsafe { run(call, (count.div_ceil(WARPS), 1), 32 * WARPS as u32) }?;

    let tiles = rows.tiles.cuda(op, cuda)?;
    for ((kernel, shared, threads), heads) in [(&of_keys, heads.keys), (&of_queries, heads.queries)] {
        let mut call = cuda.call(kernel);
        call.arg(&tiles).arg(&qkv.address).arg(&log_sum).arg(&dots).arg(&d_out.address).arg(&d_qkv.address);
        call.arg(&queries).arg(&keys).arg(&size).arg(&scale);
        // SAFETY: the arguments of both kernels; the op has checked the buffers against the rows' tokens and the heads, and
        // the tiles are those of the rows. One writes the columns of keys and values, the other those of queries.
        unsafe { run_over(call, [rows.tiles.len() / 3, heads, 1], *threads, *shared) }?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Heads, Rows, backward, forward};
    use crate::kernels::cuda::test_device;
    use crate::kernels::test_values::{activation_of, poisoned, twins, uniform, wide};
    use crate::kernels::{Device, KernelError, ViewMut};

    const SHAPES: [Heads; 6] = [
        Heads { queries: 4, keys: 2, size: 24 },
        Heads { queries: 1, keys: 1, size: 2 },
        Heads { queries: 4, keys: 2, size: 6 },
        Heads { queries: 3, keys: 1, size: 16 },
        Heads { queries: 2, keys: 1, size: 40 },
        Heads { queries: 2, keys: 2, size: 80 },
    ];
    const OFFSETS: [&[u32]; 5] = [&[0], &[0, 1], &[0, 0, 3, 3, 4], &[0, 63, 64, 129], &[0, 2, 202, 207]];

    /// What the CPU makes of these values.
    fn result(heads: Heads, offsets: &[u32], bfloat16: bool, values: &[f32]) -> Vec<f32> {
        let device = Device::cpu();
        let qkv = activation_of(&device, bfloat16, values).unwrap();
        let rows = Rows::new(&device, offsets).unwrap();
        let mut out = device.scratch::<f32>(rows.tokens() * heads.out_width()).unwrap();
        let mut log_sum = device.scratch::<f32>(rows.tokens() * heads.queries).unwrap();
        forward(&device, heads, &rows, qkv.numbers(), out.view_mut(), log_sum.view_mut()).unwrap();
        device.download(out.view()).unwrap()
    }

    #[test]
    fn both_devices_agree() {
        for heads in SHAPES {
            for offsets in OFFSETS {
                let n = offsets[offsets.len() - 1] as usize;
                // Sums over keys and queries in another order, and another exponential. The tensor cores' second factors
                // are rounded to 8 bits: weights, and their gradients.
                for (bfloat16, tolerances) in [(false, [1e-5, 1e-5, 1e-4]), (true, [1e-2, 1e-4, 2e-2])] {
                    // scores that are far apart, so that a tile's maximum matters; less so where rounding tells
                    let spread = if bfloat16 { 2.0 } else { 4.0 };
                    let values = uniform("qkv", n * heads.qkv_width());
                    let values: Vec<f32> = values.iter().map(|x| spread * x).collect();
                    twins(tolerances, |device| {
                        let activation = |values: &[f32]| activation_of(device, bfloat16, values);
                        let (rows, qkv) = (Rows::new(device, offsets)?, activation(&values)?);
                        let mut out = activation(&vec![f32::NAN; n * heads.out_width()])?;
                        let mut log_sum = poisoned(device, n * heads.queries)?;
                        forward(device, heads, &rows, qkv.numbers(), out.numbers_mut(), log_sum.view_mut())?;
                        let d_out = activation(&uniform("d_out", n * heads.out_width()))?;
                        let mut d_qkv = activation(&vec![f32::NAN; n * heads.qkv_width()])?;
                        let (kept, d) = (log_sum.view(), d_qkv.numbers_mut());
                        // the gradient is of one result for both, rounded alike
                        let read = activation(&result(heads, offsets, bfloat16, &values))?;
                        let (qkv, read, d_out) = (qkv.numbers(), read.numbers(), d_out.numbers());
                        backward(device, heads, &rows, qkv, read, kept, d_out, d)?;
                        Ok([wide(device, out)?, log_sum, wide(device, d_qkv)?])
                    });
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_whatever_the_others_are() {
        let Some(device) = test_device() else { return };
        let heads = SHAPES[2];
        let (width, own) = (heads.qkv_width(), uniform("own", 100 * heads.qkv_width()));
        let run = |before: usize| {
            let qkv = [&uniform("before", before * width)[..], &own].concat();
            let rows = Rows::new(&device, &[0, before as u32, before as u32 + 100]).unwrap();
            let n = before + 100;
            let (qkv, mut out) =
                (device.upload(&qkv).unwrap(), device.scratch::<f32>(n * heads.out_width()).unwrap());
            let mut log_sum = device.scratch(n * heads.queries).unwrap();
            forward(&device, heads, &rows, qkv.view(), out.view_mut(), log_sum.view_mut()).unwrap();
            device.download(out.slice(before * heads.out_width()..n * heads.out_width())).unwrap()
        };
        assert_eq!(run(0), run(33));
    }

    #[test]
    fn a_head_that_no_kernel_holds_is_an_error() {
        let Some(device) = test_device() else { return };
        let heads = Heads { queries: 1, keys: 1, size: 129 };
        let rows = Rows::new(&device, &[0]).unwrap();
        let mut none: [_; 3] = std::array::from_fn(|_| device.zeros::<f32>(0).unwrap());
        let [qkv, out, log_sum] = &mut none;
        let results: [ViewMut<'_>; 2] = [out.view_mut(), log_sum.view_mut()];
        let [out, log_sum] = results;
        let error = forward(&device, heads, &rows, qkv.view(), out, log_sum);
        assert_eq!(error, Err(KernelError::HeadSize { op: "attention", size: 129, held: 128 }));
    }
}
