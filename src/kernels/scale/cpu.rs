//! Numbers times a constant on the CPU, in parallel over blocks.

use crate::kernels::Threads;
use crate::kernels::vector::{SharedMut, for_each_task, vectorized};

/// Numbers of one task.
const BLOCK: usize = 1 << 14;

pub(super) fn forward(threads: Threads, factor: f32, x: &mut [f32]) {
    let n = x.len();
    let x = SharedMut::new(x);
    for_each_task(threads, n.div_ceil(BLOCK), |block| {
        let first = block * BLOCK;
        // SAFETY: each task has a block of its own.
        let x = unsafe { x.slice(first, BLOCK.min(n - first)) };
        vectorized!({
            for x in x {
                *x *= factor;
            }
        });
    });
}
