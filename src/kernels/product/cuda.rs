//! Products on CUDA: cuBLASLt's, in float as it is, or in bfloat16 with sums in float where a factor is in it.
//!
//! cuBLASLt's matrices are column-major, where a row-major `[r, c]` is a c × r. So y = x W is asked for as yᵀ = Wᵀ xᵀ.

use cudarc::driver::{CudaSlice, DevicePtr};
use half::bf16;

use super::{Shape, WeightLayout};
use crate::kernels::bfloat16::cuda as bfloat16;
use crate::kernels::cuda::blas::{BIAS_ALIGNMENT, Matrix, Product};
use crate::kernels::cuda::{Cuda, Pointer};
use crate::kernels::{KernelError, Numbers, NumbersMut, View, ViewMut};

/// Rows for which the kernel of a product is chosen, whatever the rows are: a row's sums are taken in the same order then.
/// As many as a batch of training has, about: few rows in bfloat16 are decoded by kernels of their own.
const TYPICAL: usize = 8192;

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    shape: Shape,
    x: Numbers<'_>,
    w: Numbers<'_>,
    y: NumbersMut<'_>,
    accumulate: bool,
) -> Result<(), KernelError> {
    let (x, w, y) = (x.pointer(op, cuda)?, w.pointer(op, cuda)?, y.pointer(op, cuda)?);
    // SAFETY: the op has checked the lengths against the shape, and all three are borrowed.
    unsafe { forward_at(cuda, shape, x, w, y, accumulate) }
}

pub(super) fn forward_biased(
    cuda: &Cuda,
    op: &'static str,
    shape: Shape,
    x: Numbers<'_>,
    w: Numbers<'_>,
    bias: View<'_>,
    y: NumbersMut<'_>,
) -> Result<(), KernelError> {
    let (x, w, y) = (x.pointer(op, cuda)?, w.pointer(op, cuda)?, y.pointer(op, cuda)?);
    let bias = Numbers::from(bias).pointer(op, cuda)?;
    let Shape { rows, inputs, outputs, layout } = shape;
    let accumulate = false;
    let product =
        Product { rows: outputs, columns: rows, sum: inputs, typical_columns: Some(TYPICAL), accumulate };
    // SAFETY: the op has checked the lengths against the shape, and all four are borrowed. A copy of the bias is freed
    // behind the product, on the same stream.
    unsafe {
        let (bias, _bias) = factor(cuda, bias, outputs, y.bfloat16)?;
        let (bias, _bias) = aligned(cuda, bias, outputs)?;
        multiply(cuda, product, (w, layout == WeightLayout::OutIn), (x, false), Some(bias), y)
    }
}

pub(super) fn backward_input(
    cuda: &Cuda,
    op: &'static str,
    shape: Shape,
    dy: Numbers<'_>,
    w: Numbers<'_>,
    dx: NumbersMut<'_>,
    accumulate: bool,
) -> Result<(), KernelError> {
    let (dy, w, dx) = (dy.pointer(op, cuda)?, w.pointer(op, cuda)?, dx.pointer(op, cuda)?);
    // SAFETY: as above.
    unsafe { backward_input_at(cuda, shape, dy, w, dx, accumulate) }
}

pub(super) fn backward_weight(
    cuda: &Cuda,
    op: &'static str,
    shape: Shape,
    x: Numbers<'_>,
    dy: Numbers<'_>,
    dw: ViewMut<'_>,
) -> Result<(), KernelError> {
    let (x, dy, dw) = (x.pointer(op, cuda)?, dy.pointer(op, cuda)?, NumbersMut::from(dw).pointer(op, cuda)?);
    // SAFETY: as above.
    unsafe { backward_weight_at(cuda, shape, x, dy, dw) }
}

/// The op `forward` by the places of its numbers.
///
/// # Safety
/// There are as many numbers as the shape says, borrowed until this returns, and y is not a part of x or w.
pub(in crate::kernels) unsafe fn forward_at(
    cuda: &Cuda,
    shape: Shape,
    x: Pointer,
    w: Pointer,
    y: Pointer,
    accumulate: bool,
) -> Result<(), KernelError> {
    let Shape { rows, inputs, outputs, layout } = shape;
    let product =
        Product { rows: outputs, columns: rows, sum: inputs, typical_columns: Some(TYPICAL), accumulate };
    // SAFETY: by the caller's promise.
    unsafe { multiply(cuda, product, (w, layout == WeightLayout::OutIn), (x, false), None, y) }
}

/// The op `backward_input` by the places of its numbers.
///
/// # Safety
/// As [`forward_at`].
pub(in crate::kernels) unsafe fn backward_input_at(
    cuda: &Cuda,
    shape: Shape,
    dy: Pointer,
    w: Pointer,
    dx: Pointer,
    accumulate: bool,
) -> Result<(), KernelError> {
    let Shape { rows, inputs, outputs, layout } = shape;
    let product =
        Product { rows: inputs, columns: rows, sum: outputs, typical_columns: Some(TYPICAL), accumulate };
    // SAFETY: by the caller's promise.
    unsafe { multiply(cuda, product, (w, layout == WeightLayout::InOut), (dy, false), None, dx) }
}

/// The op `backward_weight` by the places of its numbers.
///
/// # Safety
/// As [`forward_at`].
pub(in crate::kernels) unsafe fn backward_weight_at(
    cuda: &Cuda,
    shape: Shape,
    x: Pointer,
    dy: Pointer,
    dw: Pointer,
) -> Result<(), KernelError> {
    let Shape { rows, inputs, outputs, layout } = shape;
    let (a, b, [m, n]) = match layout {
        WeightLayout::InOut => (dy, x, [outputs, inputs]),
        WeightLayout::OutIn => (x, dy, [inputs, outputs]),
    };
    let product = Product { rows: m, columns: n, sum: rows, typical_columns: None, accumulate: true };
    // SAFETY: by the caller's promise.
    unsafe { multiply(cuda, product, (a, false), (b, true), None, dw) }
}

/// `to` = a b, each of them transposed where it says so, and the bias, in the precision of `to`, added to its columns. Where one of them is in bfloat16, the other is rounded to it.
///
/// # Safety
/// As [`forward_at`], with the sizes of `product`.
unsafe fn multiply(
    cuda: &Cuda,
    product: Product,
    (a, a_transposed): (Pointer, bool),
    (b, b_transposed): (Pointer, bool),
    bias: Option<Pointer>,
    to: Pointer,
) -> Result<(), KernelError> {
    let bfloat16 = a.bfloat16 || b.bfloat16;
    let (a_len, b_len) = (product.rows * product.sum, product.sum * product.columns);
    // SAFETY: by the caller's promise. Rounded copies are freed behind the product, on the same stream.
    unsafe {
        let (a, _a) = factor(cuda, a, a_len, bfloat16)?;
        let (b, _b) = factor(cuda, b, b_len, bfloat16)?;
        let a = Matrix { numbers: a, transposed: a_transposed };
        let b = Matrix { numbers: b, transposed: b_transposed };
        cuda.product(product, a, b, bias, to)
    }
}

/// A factor in the precision that the product is taken in, and what holds it where that is a copy.
///
/// # Safety
/// There are `len` numbers, borrowed until this returns.
unsafe fn factor(
    cuda: &Cuda,
    numbers: Pointer,
    len: usize,
    bfloat16: bool,
) -> Result<(Pointer, Option<CudaSlice<bf16>>), KernelError> {
    if numbers.bfloat16 == bfloat16 {
        return Ok((numbers, None));
    }
    let copy = cuda.scratch::<bf16>(len.max(1))?;
    let rounded = Pointer { address: copy.device_ptr(cuda.stream()).0, bfloat16 };
    // SAFETY: by the caller's promise, and the copy has that length.
    unsafe { bfloat16::round_at(cuda, numbers, rounded, len) }?;
    Ok((rounded, Some(copy)))
}

/// A bias where cuBLASLt takes it, and what holds it where that is a copy.
///
/// # Safety
/// There are `len` numbers, borrowed until this returns.
unsafe fn aligned(
    cuda: &Cuda,
    bias: Pointer,
    len: usize,
) -> Result<(Pointer, Option<CudaSlice<u8>>), KernelError> {
    if bias.address.is_multiple_of(BIAS_ALIGNMENT) {
        return Ok((bias, None));
    }
    let bytes = bias.from(len).address - bias.address;
    let copy = cuda.scratch::<u8>((bytes as usize).max(1))?;
    let address = copy.device_ptr(cuda.stream()).0;
    // SAFETY: by the caller's promise, and the copy has that length; an allocation is at a multiple of 256 bytes.
    unsafe { cuda.copy_bytes(bias.address, address, bytes as usize) }?;
    Ok((Pointer { address, ..bias }, Some(copy)))
}

#[cfg(test)]
mod tests {
    use super::super::{Shape, WeightLayout, backward_input, backward_weight, forward, forward_biased};
    use crate::kernels::bfloat16;
    use crate::kernels::cuda::test_device;
    use crate::kernels::test_values::{activation_of, poisoned, twins, uniform, wide};

    const SIZES: [[usize; 3]; 6] = [[0, 3, 4], [1, 1, 1], [3, 31, 33], [33, 64, 7], [2, 130, 65], [70, 1, 5]];

    #[test]
    fn both_devices_agree() {
        for [rows, inputs, outputs] in SIZES {
            for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
                let shape = Shape { rows, inputs, outputs, layout };
                // sums in another order
                twins([1e-5; 5], |device| {
                    let upload = |name, len| device.upload(&uniform(name, len));
                    let (x, w) = (upload("x", rows * inputs)?, upload("w", inputs * outputs)?);
                    let (dy, mut dw) = (upload("dy", rows * outputs)?, upload("dw", inputs * outputs)?);
                    let (mut y, mut dx) =
                        (poisoned(device, rows * outputs)?, poisoned(device, rows * inputs)?);
                    let (mut more_y, mut more_dx) =
                        (upload("y", rows * outputs)?, upload("dx", rows * inputs)?);
                    forward(device, shape, x.view(), w.view(), y.view_mut(), false)?;
                    forward(device, shape, x.view(), w.view(), more_y.view_mut(), true)?;
                    backward_input(device, shape, dy.view(), w.view(), dx.view_mut(), false)?;
                    backward_input(device, shape, dy.view(), w.view(), more_dx.view_mut(), true)?;
                    backward_weight(device, shape, x.view(), dy.view(), dw.view_mut())?;
                    Ok([y, more_y, dx, more_dx, dw])
                });
            }
        }
    }

    #[test]
    fn both_devices_agree_where_the_weight_is_in_bfloat16() {
        for [rows, inputs, outputs] in SIZES {
            for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
                let shape = Shape { rows, inputs, outputs, layout };
                // x and dy have 8 bits, so that CUDA's rounding of them changes nothing
                twins([1e-5; 2], |device| {
                    let rounded = |name, len| {
                        let (exact, mut rounded) =
                            (device.upload(&uniform(name, len))?, device.scratch(len)?);
                        bfloat16::round(device, exact.view(), rounded.view_mut())?;
                        let mut wide = device.scratch(len)?;
                        bfloat16::widen(device, rounded.view(), wide.view_mut())?;
                        Ok((rounded, wide))
                    };
                    let ((w, _), (_, x)) = (rounded("w", inputs * outputs)?, rounded("x", rows * inputs)?);
                    let (_, dy) = rounded("dy", rows * outputs)?;
                    let (mut y, mut dx) =
                        (poisoned(device, rows * outputs)?, poisoned(device, rows * inputs)?);
                    forward(device, shape, x.view(), w.view(), y.view_mut(), false)?;
                    backward_input(device, shape, dy.view(), w.view(), dx.view_mut(), false)?;
                    Ok([y, dx])
                });
            }
        }
    }

    #[test]
    fn both_devices_agree_with_a_bias() {
        for [rows, inputs, outputs] in SIZES {
            for (bfloat16, tolerance) in [(false, 1e-5), (true, 1e-2)] {
                let shape = Shape { rows, inputs, outputs, layout: WeightLayout::InOut };
                // in bfloat16 the bias is rounded on CUDA, as the sum is
                twins([tolerance], |device| {
                    let activation = |name, len| activation_of(device, bfloat16, &uniform(name, len));
                    let (x, w) = (activation("x", rows * inputs)?, activation("w", inputs * outputs)?);
                    // as in a model's parameters, where a bias begins anywhere
                    let bias = device.upload(&uniform("b", 1 + outputs))?;
                    let bias = bias.slice(1..1 + outputs);
                    let mut y = activation_of(device, bfloat16, &vec![f32::NAN; rows * outputs])?;
                    forward_biased(device, shape, x.numbers(), w.numbers(), bias, y.numbers_mut())?;
                    Ok([wide(device, y)?])
                });
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_batch() {
        let Some(device) = test_device() else { return };
        let (inputs, outputs) = (700, 96);
        let (x, w) = (uniform("x", 130 * inputs), device.upload(&uniform("w", inputs * outputs)).unwrap());
        let run = |rows: usize| {
            let shape = Shape { rows, inputs, outputs, layout: WeightLayout::InOut };
            let x = device.upload(&x[..rows * inputs]).unwrap();
            let mut y = device.scratch::<f32>(rows * outputs).unwrap();
            forward(&device, shape, x.view(), w.view(), y.view_mut(), false).unwrap();
            device.download(y.slice(0..outputs)).unwrap()
        };
        for rows in [2, 17, 64, 130] {
            assert_eq!(run(rows), run(1), "{rows} rows");
        }
    }
}
