//! Products with a matrix in bfloat16: a block of it at a time becomes f32, in the cache, and is multiplied as any other.

use std::cell::Cell;
use std::ops::Range;

use half::bf16;

use super::cpu::{Matrix, gemm};
use crate::kernels::Threads;
use crate::kernels::bfloat16::widen_host;
use crate::kernels::vector::{SharedMut, for_each_task};

/// Numbers of a block at most, 4 MiB once they are f32, where it has more columns than [`COLUMNS`]. `gemm` packs the left
/// matrix again for each, so they should not be small.
const BLOCK: usize = 1 << 20;
/// Columns of a block at least, if there are as many: with few `gemm` changes to kernels that sum in another order.
const COLUMNS: usize = 64;
/// Longest inner dimension of a block. Only that of a vocabulary is longer, in the gradient of hidden states.
const DEPTH: usize = BLOCK / COLUMNS;
/// Numbers that one task widens.
const TASK: usize = 1 << 15;

thread_local! {
    /// Room for a block.
    static BLOCKS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// c (+)= a b with c of m × n and an inner dimension of k, for a b whose rows or whose columns lie next to each other.
/// Cut along n, the order of each sum is that of the same product in f32.
pub(super) fn gemm_widened(
    threads: Threads,
    (m, n, k): (usize, usize, usize),
    c: Matrix<&mut [f32]>,
    accumulate: bool,
    a: Matrix<&[f32]>,
    b: Matrix<&[bf16]>,
) {
    if m == 0 {
        return;
    }
    let mut room = BLOCKS.take();
    for (part, depth) in parts(k, DEPTH).enumerate() {
        for columns in parts(n, (BLOCK / depth.len()).max(COLUMNS)) {
            let b = widen(threads, b, depth.clone(), columns.clone(), &mut room);
            let c = Matrix { data: &mut c.data[columns.start * c.column..], ..c };
            let a = Matrix { data: &a.data[depth.start * a.column..], ..a };
            gemm(threads, (m, columns.len(), depth.len()), c, accumulate || part > 0, a, b);
        }
    }
    BLOCKS.set(room);
}

/// `0..len` in parts of at most `most`, whose sizes differ by one at most.
fn parts(len: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = len.div_ceil(most);
    (0..count).map(move |part| part * len / count..(part + 1) * len / count)
}

/// The rows `depth` and the columns `columns` of b, in f32 and in the order in which they lie.
fn widen<'a>(
    threads: Threads,
    b: Matrix<&[bf16]>,
    depth: Range<usize>,
    columns: Range<usize>,
    room: &'a mut Vec<f32>,
) -> Matrix<&'a [f32]> {
    assert!(b.row == 1 || b.column == 1, "the rows of a weight, or its columns, lie next to each other");
    // As lines that are next to each other, some way apart.
    let (lines, across, apart) = match b.column {
        1 => (depth, columns, b.row),
        _ => (columns, depth, b.column),
    };
    let (count, width, along_rows) = (lines.len(), across.len(), b.column == 1);
    room.resize(room.len().max(count * width), 0.0);
    let shared = SharedMut::new(&mut room[..count * width]);
    let each = (TASK / width).max(1);
    for_each_task(threads, count.div_ceil(each), |task| {
        for line in task * each..count.min((task + 1) * each) {
            // SAFETY: each task has lines of its own.
            let to = unsafe { shared.slice(line * width, width) };
            let start = (lines.start + line) * apart + across.start;
            widen_host(Threads::One, &b.data[start..start + width], to);
        }
    });
    let block = Matrix::rows(&room[..count * width], width);
    if along_rows { block } else { block.transposed() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values::uniform;

    #[test]
    fn a_product_in_blocks_has_the_bits_of_one_in_float32() {
        // One block; several of columns; the last has several of the inner dimension, and is close.
        for (m, n, k) in
            [(0, 3, 5), (1, 1, 1), (9, 33, 65), (17, 700, 5000), (30, 900, 2000), (16, 40, 40_000)]
        {
            let a = uniform("a", m * k);
            let b: Vec<bf16> = uniform("b", n * k).into_iter().map(bf16::from_f32).collect();
            let wide: Vec<f32> = b.iter().map(|b| b.to_f32()).collect();
            for transposed in [false, true] {
                for accumulate in [false, true] {
                    for threads in [Threads::One, Threads::Pool] {
                        fn of<T>(b: &[T], transposed: bool, n: usize, k: usize) -> Matrix<&[T]> {
                            if transposed { Matrix::rows(b, k).transposed() } else { Matrix::rows(b, n) }
                        }
                        let (mut c, mut needed) = (vec![0.5; m * n], vec![0.5; m * n]);
                        let left = Matrix::rows(&a[..], k);
                        let right = of(&b, transposed, n, k);
                        gemm_widened(threads, (m, n, k), Matrix::rows(&mut c, n), accumulate, left, right);
                        let right = of(&wide, transposed, n, k);
                        gemm(threads, (m, n, k), Matrix::rows(&mut needed, n), accumulate, left, right);
                        if k <= DEPTH {
                            assert!(c == needed, "{m} x {n} x {k}");
                        }
                        let far = c.iter().zip(&needed).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                        assert!(far <= 1e-3, "{m} x {n} x {k}: {far}");
                    }
                }
            }
        }
    }
}
