//! Rotary positions on the CPU, in parallel over blocks of rows.

use super::Direction;
use crate::kernels::Threads;
use crate::kernels::vector::{SharedMut, for_each_task, vectorized};

/// Rows of one task.
const BLOCK: usize = 128;

pub(super) fn rotate(
    threads: Threads,
    head_size: usize,
    cos: &[f32],
    sin: &[f32],
    direction: Direction,
    heads: usize,
    stride: usize,
    positions: &[u32],
    x: &mut [f32],
) {
    let (rows, half) = (positions.len(), head_size / 2);
    let sign = if direction == Direction::Forward { 1.0 } else { -1.0 };
    let x = SharedMut::new(x);
    for_each_task(threads, rows.div_ceil(BLOCK), |block| {
        let (first, count) = (block * BLOCK, BLOCK.min(rows - block * BLOCK));
        // SAFETY: each task has rows of its own.
        let x = unsafe { x.slice(first * stride, count * stride) };
        vectorized!({
            for (row, &position) in x.chunks_exact_mut(stride).zip(&positions[first..first + count]) {
                let place = position as usize * half;
                let (cos, sin) = (&cos[place..place + half], &sin[place..place + half]);
                for head in row[..heads * head_size].chunks_exact_mut(head_size) {
                    let (low, high) = head.split_at_mut(half);
                    for j in 0..half {
                        let (a, b, s) = (low[j], high[j], sign * sin[j]);
                        low[j] = a * cos[j] - b * s;
                        high[j] = b * cos[j] + a * s;
                    }
                }
            }
        });
    });
}
