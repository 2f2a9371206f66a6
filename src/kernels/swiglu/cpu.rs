//! SwiGLU on the CPU, in parallel over blocks of rows.

use crate::kernels::Threads;
use crate::kernels::vector::{SharedMut, exp, for_each_task, vectorized};

/// Rows of one task.
const BLOCK: usize = 64;

pub(super) fn forward(threads: Threads, hidden: usize, gate_up: &[f32], a: &mut [f32]) {
    let rows = a.len() / hidden;
    let a = SharedMut::new(a);
    for_each_task(threads, rows.div_ceil(BLOCK), |block| {
        let (first, count) = (block * BLOCK, BLOCK.min(rows - block * BLOCK));
        // SAFETY: each task has rows of its own.
        let a = unsafe { a.slice(first * hidden, count * hidden) };
        let gate_up = &gate_up[2 * first * hidden..2 * (first + count) * hidden];
        vectorized!({
            for (a, row) in a.chunks_exact_mut(hidden).zip(gate_up.chunks_exact(2 * hidden)) {
                let (gate, up) = row.split_at(hidden);
                for ((a, &g), &u) in a.iter_mut().zip(gate).zip(up) {
                    *a = g / (1.0 + exp(-g)) * u;
                }
            }
        });
    });
}

pub(super) fn backward(threads: Threads, hidden: usize, gate_up: &[f32], da: &[f32], d_gate_up: &mut [f32]) {
    let rows = da.len() / hidden;
    let d = SharedMut::new(d_gate_up);
    for_each_task(threads, rows.div_ceil(BLOCK), |block| {
        let (first, count) = (block * BLOCK, BLOCK.min(rows - block * BLOCK));
        // SAFETY: each task has rows of its own.
        let d = unsafe { d.slice(2 * first * hidden, 2 * count * hidden) };
        let gate_up = &gate_up[2 * first * hidden..2 * (first + count) * hidden];
        let da = &da[first * hidden..(first + count) * hidden];
        vectorized!({
            let rows = d.chunks_exact_mut(2 * hidden).zip(gate_up.chunks_exact(2 * hidden));
            for ((d, row), da) in rows.zip(da.chunks_exact(hidden)) {
                let (gate, up) = row.split_at(hidden);
                let (d_gate, d_up) = d.split_at_mut(hidden);
                for j in 0..hidden {
                    let sigmoid = 1.0 / (1.0 + exp(-gate[j]));
                    d_gate[j] = da[j] * up[j] * sigmoid * (1.0 + gate[j] * (1.0 - sigmoid));
                    d_up[j] = da[j] * gate[j] * sigmoid;
                }
            }
        });
    });
}
