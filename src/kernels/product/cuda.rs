//! Products on CUDA: cuBLASLt's, in float as it is, or in bfloat16 with sums in float.
//!
//! cuBLASLt's matrices are column-major, where a row-major `[r, c]` is a c × r. So y = x W is asked for as yᵀ = Wᵀ xᵀ.

use cudarc::driver::{CudaView, CudaViewMut};

use super::{Shape, WeightLayout};
use crate::kernels::bfloat16::cuda as bfloat16;
use crate::kernels::cuda::Cuda;
use crate::kernels::cuda::blas::{Matrix, Product};
use crate::kernels::{KernelError, Weight};

/// Rows for which the kernel of a product is chosen, whatever the rows are: a row's sums are taken in the same order then.
const TYPICAL: usize = 1024;

pub(in crate::kernels) fn forward(
    cuda: &Cuda,
    op: &'static str,
    shape: Shape,
    x: &CudaView<'_, f32>,
    w: Weight<'_>,
    y: &mut CudaViewMut<'_, f32>,
    accumulate: bool,
) -> Result<(), KernelError> {
    let Shape { rows, inputs, outputs, layout } = shape;
    let w_transposed = layout == WeightLayout::OutIn;
    let product =
        Product { rows: outputs, columns: rows, sum: inputs, typical_columns: Some(TYPICAL), accumulate };
    by_weight(cuda, op, product, w, w_transposed, x, y)
}

pub(in crate::kernels) fn backward_input(
    cuda: &Cuda,
    op: &'static str,
    shape: Shape,
    dy: &CudaView<'_, f32>,
    w: Weight<'_>,
    dx: &mut CudaViewMut<'_, f32>,
    accumulate: bool,
) -> Result<(), KernelError> {
    let Shape { rows, inputs, outputs, layout } = shape;
    let w_transposed = layout == WeightLayout::InOut;
    let product =
        Product { rows: inputs, columns: rows, sum: outputs, typical_columns: Some(TYPICAL), accumulate };
    by_weight(cuda, op, product, w, w_transposed, dy, dx)
}

/// y = x times the weight, one way or the other. Where the weight is in bfloat16, so is x for it.
fn by_weight(
    cuda: &Cuda,
    op: &'static str,
    product: Product,
    w: Weight<'_>,
    w_transposed: bool,
    x: &CudaView<'_, f32>,
    y: &mut CudaViewMut<'_, f32>,
) -> Result<(), KernelError> {
    match w {
        Weight::Float32(w) => {
            let w = w.cuda(op, cuda)?;
            let (w, x) =
                (Matrix { numbers: &w, transposed: w_transposed }, Matrix { numbers: x, transposed: false });
            cuda.product(product, w, x, y)
        }
        Weight::Bfloat16(w) => {
            let w = w.cuda(op, cuda)?;
            let mut rounded = cuda.scratch(x.len().max(1))?;
            bfloat16::round(cuda, x, &mut rounded.slice_mut(..x.len()))?;
            let x = rounded.slice(..x.len());
            let (w, x) =
                (Matrix { numbers: &w, transposed: w_transposed }, Matrix { numbers: &x, transposed: false });
            cuda.product(product, w, x, y)
        }
    }
}

pub(in crate::kernels) fn backward_weight(
    cuda: &Cuda,
    _op: &'static str,
    shape: Shape,
    x: &CudaView<'_, f32>,
    dy: &CudaView<'_, f32>,
    dw: &mut CudaViewMut<'_, f32>,
) -> Result<(), KernelError> {
    let Shape { rows, inputs, outputs, layout } = shape;
    let (a, b, [m, n]) = match layout {
        WeightLayout::InOut => (dy, x, [outputs, inputs]),
        WeightLayout::OutIn => (x, dy, [inputs, outputs]),
    };
    let (a, b) = (Matrix { numbers: a, transposed: false }, Matrix { numbers: b, transposed: true });
    let product = Product { rows: m, columns: n, sum: rows, typical_columns: None, accumulate: true };
    cuda.product(product, a, b, dw)
}

#[cfg(test)]
mod tests {
    use super::super::{Shape, WeightLayout, backward_input, backward_weight, forward};
    use crate::kernels::bfloat16;
    use crate::kernels::cuda::test_device;
    use crate::kernels::test_values::{poisoned, twins, uniform};

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
    fn a_row_has_the_same_bits_in_every_batch() {
        let Some(device) = test_device() else { return };
        let (inputs, outputs) = (700, 96);
        let (x, w) = (uniform("x", 130 * inputs), device.upload(&uniform("w", inputs * outputs)).unwrap());
        let run = |rows: usize| {
            let shape = Shape { rows, inputs, outputs, layout: WeightLayout::InOut };
            let x = device.upload(&x[..rows * inputs]).unwrap();
            let mut y = device.scratch(rows * outputs).unwrap();
            forward(&device, shape, x.view(), w.view(), y.view_mut(), false).unwrap();
            device.download(y.slice(0..outputs)).unwrap()
        };
        for rows in [2, 17, 64, 130] {
            assert_eq!(run(rows), run(1), "{rows} rows");
        }
    }
}
