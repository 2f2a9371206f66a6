//! A product's bias on the CPU, in parallel over blocks of rows.

use crate::kernels::Threads;
use crate::kernels::vector::{SharedMut, for_each_task, vectorized};

/// Rows of one task. Fixed, so that the partial sums of db, and their order, do not depend on threads.
const BLOCK: usize = 128;

pub(super) fn forward(threads: Threads, bias: &[f32], y: &mut [f32]) {
    let width = bias.len();
    let rows = y.len() / width.max(1);
    let y = SharedMut::new(y);
    for_each_task(threads, rows.div_ceil(BLOCK), |block| {
        let (first, count) = (block * BLOCK, BLOCK.min(rows - block * BLOCK));
        // SAFETY: each task has rows of its own.
        let y = unsafe { y.slice(first * width, count * width) };
        for y in y.chunks_exact_mut(width) {
            y.copy_from_slice(bias);
        }
    });
}

pub(super) fn backward(threads: Threads, dy: &[f32], db: &mut [f32]) {
    let width = db.len();
    let rows = dy.len() / width.max(1);
    let mut partial = vec![0.0; rows.div_ceil(BLOCK) * width];
    let shared = SharedMut::new(&mut partial);
    for_each_task(threads, rows.div_ceil(BLOCK), |block| {
        let (first, count) = (block * BLOCK, BLOCK.min(rows - block * BLOCK));
        // SAFETY: each task has a partial sum of its own.
        let sum = unsafe { shared.slice(block * width, width) };
        vectorized!({
            for dy in dy[first * width..(first + count) * width].chunks_exact(width) {
                for (sum, &dy) in sum.iter_mut().zip(dy) {
                    *sum += dy;
                }
            }
        });
    });
    for partial in partial.chunks_exact(width.max(1)) {
        for (db, p) in db.iter_mut().zip(partial) {
            *db += p;
        }
    }
}
