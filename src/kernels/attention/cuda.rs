//! Attention on CUDA: a block for each tile of tokens and head.

use cudarc::driver::{CudaFunction, PushKernelArg};

use super::{Heads, Rows};
use crate::kernels::cuda::{Cuda, Source, run, run_with_shared};
use crate::kernels::{KernelError, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "attention.cu", code: include_str!("attention.cu") };

/// Numbers of a head that there are kernels for; a smaller head is filled up with zeros.
const SIZES: [usize; 4] = [16, 32, 64, 128];
const FORWARD: [&str; 4] =
    ["attention_forward_16", "attention_forward_32", "attention_forward_64", "attention_forward_128"];
const BACKWARD_KEYS: [&str; 4] = [
    "attention_backward_keys_16",
    "attention_backward_keys_32",
    "attention_backward_keys_64",
    "attention_backward_keys_128",
];
const BACKWARD_QUERIES: [&str; 4] = [
    "attention_backward_queries_16",
    "attention_backward_queries_32",
    "attention_backward_queries_64",
    "attention_backward_queries_128",
];

/// Tokens of a tile, and what a row of it has more than its numbers in shared memory.
const TILE: usize = 64;
const PADDING: usize = 4;
const THREADS: u32 = 256;
/// Threads of a block where each warp has a head of a token.
const WARPS: usize = 8;

/// The kernel for heads of that size, and the bytes of shared memory that it uses: those of `tiles` tiles, and of scores.
fn kernel(
    cuda: &Cuda,
    op: &'static str,
    names: [&'static str; 4],
    size: usize,
    tiles: usize,
) -> Result<(CudaFunction, u32), KernelError> {
    let place = SIZES.iter().position(|&held| size <= held);
    let place = place.ok_or(KernelError::HeadSize { op, size, held: SIZES[SIZES.len() - 1] })?;
    let numbers = TILE * (tiles * (SIZES[place] + PADDING) + TILE + PADDING);
    let shared = (numbers * size_of::<f32>()) as u32;
    Ok((cuda.kernel_with_shared(SOURCE, names[place], shared)?, shared))
}

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    heads: Heads,
    rows: &Rows,
    qkv: View<'_>,
    out: ViewMut<'_>,
    log_sum: ViewMut<'_>,
) -> Result<(), KernelError> {
    let (qkv, mut out, mut log_sum) = (qkv.cuda(op, cuda)?, out.cuda(op, cuda)?, log_sum.cuda(op, cuda)?);
    let (kernel, shared) = kernel(cuda, op, FORWARD, heads.size, 2)?;
    if rows.tiles.is_empty() {
        return Ok(());
    }
    let blocks = (rows.tiles.len() / 3, heads.queries);
    let tiles = rows.tiles.cuda(op, cuda)?;
    let (queries, keys, size, scale) =
        (heads.queries as u32, heads.keys as u32, heads.size as u32, heads.scale());
    let mut call = cuda.call(&kernel);
    call.arg(&tiles)
        .arg(&qkv)
        .arg(&mut out)
        .arg(&mut log_sum)
        .arg(&queries)
        .arg(&keys)
        .arg(&size)
        .arg(&scale);
    // SAFETY: the kernel's arguments; the op has checked the buffers against the rows' tokens and the heads, and the tiles
    // are those of the rows.
    unsafe { run_with_shared(call, blocks, THREADS, shared) }
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    heads: Heads,
    rows: &Rows,
    qkv: View<'_>,
    out: View<'_>,
    log_sum: View<'_>,
    d_out: View<'_>,
    d_qkv: ViewMut<'_>,
) -> Result<(), KernelError> {
    let (qkv, out, log_sum) = (qkv.cuda(op, cuda)?, out.cuda(op, cuda)?, log_sum.cuda(op, cuda)?);
    let (d_out, mut d_qkv) = (d_out.cuda(op, cuda)?, d_qkv.cuda(op, cuda)?);
    let (of_keys, shared) = kernel(cuda, op, BACKWARD_KEYS, heads.size, 4)?;
    let (of_queries, _) = kernel(cuda, op, BACKWARD_QUERIES, heads.size, 4)?;
    if rows.tiles.is_empty() {
        return Ok(());
    }
    let count = log_sum.len();
    let mut dots = cuda.scratch::<f32>(count)?;
    let (queries, keys, size, scale) =
        (heads.queries as u32, heads.keys as u32, heads.size as u32, heads.scale());
    let of_dots = cuda.kernel(SOURCE, "attention_dots")?;
    let mut call = cuda.call(&of_dots);
    call.arg(&out).arg(&d_out).arg(&mut dots).arg(&count).arg(&size);
    // SAFETY: the kernel's arguments; `count` heads of `size` numbers are what `out` and `d_out` hold, by the op's checks.
    unsafe { run(call, (count.div_ceil(WARPS), 1), 32 * WARPS as u32) }?;

    let tiles = rows.tiles.cuda(op, cuda)?;
    for (kernel, heads) in [(&of_keys, heads.keys), (&of_queries, heads.queries)] {
        let mut call = cuda.call(kernel);
        call.arg(&tiles).arg(&qkv).arg(&log_sum).arg(&dots).arg(&d_out).arg(&mut d_qkv);
        call.arg(&queries).arg(&keys).arg(&size).arg(&scale);
        // SAFETY: the arguments of both kernels; the op has checked the buffers against the rows' tokens and the heads, and
        // the tiles are those of the rows. One writes the columns of keys and values, the other those of queries.
        unsafe { run_with_shared(call, (rows.tiles.len() / 3, heads), THREADS, shared) }?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Heads, Rows, backward, forward};
    use crate::kernels::cuda::test_device;
    use crate::kernels::test_values::{poisoned, twins, uniform};
    use crate::kernels::{KernelError, ViewMut};

    const SHAPES: [Heads; 5] = [
        Heads { queries: 1, keys: 1, size: 2 },
        Heads { queries: 4, keys: 2, size: 6 },
        Heads { queries: 3, keys: 1, size: 16 },
        Heads { queries: 2, keys: 1, size: 40 },
        Heads { queries: 2, keys: 2, size: 80 },
    ];
    const OFFSETS: [&[u32]; 5] = [&[0], &[0, 1], &[0, 0, 3, 3, 4], &[0, 63, 64, 129], &[0, 2, 202, 207]];

    #[test]
    fn both_devices_agree() {
        for heads in SHAPES {
            for offsets in OFFSETS {
                let n = offsets[offsets.len() - 1] as usize;
                // sums over keys and queries in another order, and the exponential of another library
                twins([1e-5, 1e-5, 1e-4], |device| {
                    let rows = Rows::new(device, offsets)?;
                    // scores that are far apart, so that a tile's maximum matters
                    let values: Vec<f32> =
                        uniform("qkv", n * heads.qkv_width()).iter().map(|x| 4.0 * x).collect();
                    let qkv = device.upload(&values)?;
                    let (mut out, mut log_sum) =
                        (poisoned(device, n * heads.out_width())?, poisoned(device, n * heads.queries)?);
                    forward(device, heads, &rows, qkv.view(), out.view_mut(), log_sum.view_mut())?;
                    let d_out = device.upload(&uniform("d_out", n * heads.out_width()))?;
                    let mut d_qkv = poisoned(device, n * heads.qkv_width())?;
                    let (kept, d_out, d) = ((out.view(), log_sum.view()), d_out.view(), d_qkv.view_mut());
                    backward(device, heads, &rows, qkv.view(), kept.0, kept.1, d_out, d)?;
                    Ok([out, log_sum, d_qkv])
                });
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_whatever_the_others_are() {
        let Some(device) = test_device() else { return };
        let heads = SHAPES[1];
        let (width, own) = (heads.qkv_width(), uniform("own", 100 * heads.qkv_width()));
        let run = |before: usize| {
            let qkv = [&uniform("before", before * width)[..], &own].concat();
            let rows = Rows::new(&device, &[0, before as u32, before as u32 + 100]).unwrap();
            let n = before + 100;
            let (qkv, mut out) =
                (device.upload(&qkv).unwrap(), device.scratch(n * heads.out_width()).unwrap());
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
