//! Embedding on CUDA: a block for each row; for the gradient, a block for each token that occurs.

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{DevicePtr, PushKernelArg};

use crate::kernels::cuda::{Cuda, Pointer, Source, run};
use crate::kernels::{Indices, KernelError, Numbers, NumbersMut, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "embedding.cu", code: include_str!("embedding.cu") };

const THREADS: u32 = 128;

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    width: usize,
    table: Numbers<'_>,
    tokens: &Indices,
    x: ViewMut<'_>,
) -> Result<(), KernelError> {
    let (table, x) = (table.pointer(op, cuda)?, NumbersMut::from(x).pointer(op, cuda)?);
    let (tokens, count) = (tokens.cuda(op, cuda)?, tokens.len());
    // SAFETY: the op has checked every token against the table's rows and x against the tokens, and all are borrowed.
    unsafe { forward_at(cuda, width, table, tokens.device_ptr(cuda.stream()).0, count, x.address) }
}

/// The op `forward` by the places of its numbers.
///
/// # Safety
/// Each of the `count` tokens has a row in the table, x has as many rows in f32, and all are borrowed until this returns.
pub(crate) unsafe fn forward_at(
    cuda: &Cuda,
    width: usize,
    table: Pointer,
    tokens: CUdeviceptr,
    count: usize,
    x: CUdeviceptr,
) -> Result<(), KernelError> {
    let kernel = cuda.kernel(SOURCE, table.pick(["embedding_forward", "embedding_forward_bfloat16"]))?;
    let mut call = cuda.call(&kernel);
    call.arg(&table.address).arg(&tokens).arg(&x).arg(&width);
    // SAFETY: the kernel's arguments; each token has a block.
    unsafe { run(call, (count, 1), THREADS) }
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    width: usize,
    tokens: &Indices,
    dx: View<'_>,
    d_table: ViewMut<'_>,
) -> Result<(), KernelError> {
    let (dx, mut d_table) = (dx.cuda(op, cuda)?, d_table.cuda(op, cuda)?);
    if tokens.is_empty() {
        return Ok(());
    }
    // The rows of each token stay in their order, so that they are summed as on the CPU.
    let mut places: Vec<u32> = (0..tokens.len() as u32).collect();
    let token_at = |&place: &u32| tokens.host()[place as usize];
    places.sort_by_key(token_at);
    let (mut own, mut starts) = (Vec::new(), vec![0]);
    let mut end = 0;
    for same in places.chunk_by(|a, b| token_at(a) == token_at(b)) {
        end += same.len() as u32;
        own.push(token_at(&same[0]));
        starts.push(end);
    }
    let (own, starts, places) = (cuda.numbers(&own)?, cuda.numbers(&starts)?, cuda.numbers(&places)?);
    let kernel = cuda.kernel(SOURCE, "embedding_backward")?;
    let mut call = cuda.call(&kernel);
    call.arg(&dx).arg(&own).arg(&starts).arg(&places).arg(&mut d_table).arg(&width);
    // SAFETY: the kernel's arguments; the op has checked every token against the table's rows and dx against the tokens;
    // each token that occurs has a block and a start, and the last start is the number of places.
    unsafe { run(call, (own.len(), 1), THREADS) }
}

#[cfg(test)]
mod tests {
    use super::super::{backward, forward};
    use crate::kernels::bfloat16;
    use crate::kernels::test_values::{poisoned, twins, uniform};

    #[test]
    fn both_devices_agree() {
        for (n, width, vocabulary) in [(0, 3, 5), (1, 1, 1), (33, 31, 7), (300, 130, 40)] {
            let tokens: Vec<u32> = (0..n).map(|i| (i * i * 7 + i) % vocabulary).collect();
            let (n, table) = (n as usize, vocabulary as usize * width);
            // the same numbers, copied or added in the same order
            twins([0.0; 3], |device| {
                let tokens = device.indices(&tokens)?;
                let weight = device.upload(&uniform("table", table))?;
                let mut rounded = device.scratch(table)?;
                bfloat16::round(device, weight.view(), rounded.view_mut())?;
                let (mut x, mut wide) = (poisoned(device, n * width)?, poisoned(device, n * width)?);
                forward(device, width, weight.view(), &tokens, x.view_mut())?;
                forward(device, width, rounded.view(), &tokens, wide.view_mut())?;
                let mut d_table = device.upload(&uniform("d_table", table))?;
                let dx = device.upload(&uniform("dx", n * width))?;
                backward(device, width, &tokens, dx.view(), d_table.view_mut())?;
                Ok([x, wide, d_table])
            });
        }
    }
}
