//! Products on the CPU, by the `gemm` crate.

use super::widened::gemm_widened;
use super::{Shape, WeightLayout};
use crate::kernels::{HostNumbers, Threads};

/// Longest inner dimension that `gemm` takes in one pass whatever the other sizes: longer ones are cut
/// here, so that the order of summation does not depend on the number of rows.
const DEPTH: usize = 512;

/// Fewest rows given to `gemm`: below, or with few elements in the result, it changes to kernels that
/// sum in another order.
const MIN_ROWS: usize = 8;
const MIN_ELEMENTS: usize = 16 * 16 + 1;

/// A matrix in memory: its first element, and the distances between rows and between columns.
#[derive(Clone, Copy)]
pub(super) struct Matrix<P> {
    pub(super) data: P,
    pub(super) row: usize,
    pub(super) column: usize,
}

impl<P> Matrix<P> {
    /// Row-major, `columns` elements from one row to the next.
    pub(super) fn rows(data: P, columns: usize) -> Self {
        Self { data, row: columns, column: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Self { data: self.data, row: self.column, column: self.row }
    }
}

/// c (+)= a b with c of m × n and an inner dimension of k.
///
/// # Safety
/// Every element of the three matrices, by its strides, lies within live memory; c is not aliased.
unsafe fn gemm_at(
    threads: Threads,
    (m, n, k): (usize, usize, usize),
    c: Matrix<*mut f32>,
    accumulate: bool,
    a: Matrix<*const f32>,
    b: Matrix<*const f32>,
) {
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::Pool => match rayon::current_num_threads() {
            1 => gemm::Parallelism::None,
            threads => gemm::Parallelism::Rayon(threads),
        },
    };
    let alpha = if accumulate { 1.0 } else { 0.0 };
    // SAFETY: the caller vouches for the matrices. `gemm` takes (column, row) strides.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.data,
            c.column as isize,
            c.row as isize,
            accumulate,
            a.data,
            a.column as isize,
            a.row as isize,
            b.data,
            b.column as isize,
            b.row as isize,
            alpha,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// [`gemm_at`] on slices, checked to hold the matrices.
pub(super) fn gemm(
    threads: Threads,
    (m, n, k): (usize, usize, usize),
    c: Matrix<&mut [f32]>,
    accumulate: bool,
    a: Matrix<&[f32]>,
    b: Matrix<&[f32]>,
) {
    let last = |rows: usize, columns: usize, row: usize, column: usize| {
        if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row + (columns - 1) * column + 1 }
    };
    assert!(last(m, n, c.row, c.column) <= c.data.len(), "the product lies within its buffer");
    assert!(last(m, k, a.row, a.column) <= a.data.len(), "the left matrix lies within its buffer");
    assert!(last(k, n, b.row, b.column) <= b.data.len(), "the right matrix lies within its buffer");
    let c = Matrix { data: c.data.as_mut_ptr(), row: c.row, column: c.column };
    let a = Matrix { data: a.data.as_ptr(), row: a.row, column: a.column };
    let b = Matrix { data: b.data.as_ptr(), row: b.row, column: b.column };
    // SAFETY: the assertions hold the matrices within their slices, and `c` is borrowed mutably.
    unsafe { gemm_at(threads, (m, n, k), c, accumulate, a, b) }
}

/// [`gemm`] with a weight as the right matrix.
fn gemm_weight(
    threads: Threads,
    sizes: (usize, usize, usize),
    c: Matrix<&mut [f32]>,
    accumulate: bool,
    a: Matrix<&[f32]>,
    Matrix { data, row, column }: Matrix<HostNumbers<'_>>,
) {
    match data {
        HostNumbers::Float32(data) => gemm(threads, sizes, c, accumulate, a, Matrix { data, row, column }),
        HostNumbers::Bfloat16(data) => {
            gemm_widened(threads, sizes, c, accumulate, a, Matrix { data, row, column });
        }
    }
}

/// A weight as the matrix `[inputs, outputs]`.
fn weight(
    layout: WeightLayout,
    [inputs, outputs]: [usize; 2],
    w: HostNumbers<'_>,
) -> Matrix<HostNumbers<'_>> {
    match layout {
        WeightLayout::InOut => Matrix::rows(w, outputs),
        WeightLayout::OutIn => Matrix::rows(w, inputs).transposed(),
    }
}

pub(in crate::kernels) fn forward(
    threads: Threads,
    shape: Shape,
    x: &[f32],
    w: HostNumbers<'_>,
    y: &mut [f32],
    accumulate: bool,
) {
    let Shape { rows, inputs, outputs, .. } = shape;
    if rows == 0 {
        return;
    }
    let few = rows < MIN_ROWS || rows * outputs < MIN_ELEMENTS;
    if few {
        let padded = MIN_ROWS.max(MIN_ELEMENTS.div_ceil(outputs));
        let mut xs = vec![0.0; padded * inputs];
        xs[..x.len()].copy_from_slice(x);
        let mut ys = vec![0.0; padded * outputs];
        ys[..y.len()].copy_from_slice(y);
        rows_by_depth(threads, Shape { rows: padded, ..shape }, &xs, w, &mut ys, accumulate);
        y.copy_from_slice(&ys[..y.len()]);
    } else {
        rows_by_depth(threads, shape, x, w, y, accumulate);
    }
}

fn rows_by_depth(
    threads: Threads,
    shape: Shape,
    x: &[f32],
    w: HostNumbers<'_>,
    y: &mut [f32],
    accumulate: bool,
) {
    let Shape { rows, inputs, outputs, layout } = shape;
    let w = weight(layout, [inputs, outputs], w);
    for start in (0..inputs).step_by(DEPTH) {
        let depth = DEPTH.min(inputs - start);
        let w = Matrix { data: w.data.from(start * w.row), ..w };
        let x = Matrix::rows(&x[start..], inputs);
        gemm_weight(threads, (rows, outputs, depth), Matrix::rows(y, outputs), accumulate || start > 0, x, w);
    }
}

pub(in crate::kernels) fn backward_input(
    threads: Threads,
    shape: Shape,
    dy: &[f32],
    w: HostNumbers<'_>,
    dx: &mut [f32],
    accumulate: bool,
) {
    let layout = match shape.layout {
        WeightLayout::InOut => WeightLayout::OutIn,
        WeightLayout::OutIn => WeightLayout::InOut,
    };
    // With the same care for its bits: dx of a row is that row's dy with Wᵀ.
    let shape = Shape { inputs: shape.outputs, outputs: shape.inputs, layout, ..shape };
    forward(threads, shape, dy, w, dx, accumulate);
}

pub(in crate::kernels) fn backward_weight(
    threads: Threads,
    shape: Shape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let Shape { rows, inputs, outputs, layout } = shape;
    let (x, dy) = (Matrix::rows(x, inputs), Matrix::rows(dy, outputs));
    match layout {
        WeightLayout::InOut => {
            gemm(threads, (inputs, outputs, rows), Matrix::rows(dw, outputs), true, x.transposed(), dy);
        }
        WeightLayout::OutIn => {
            gemm(threads, (outputs, inputs, rows), Matrix::rows(dw, inputs), true, dy.transposed(), x);
        }
    }
}
