//! RMSNorm on the CPU, in parallel over blocks of rows.

use crate::kernels::Threads;
use crate::kernels::vector::{SharedMut, for_each_task, sum, sum2, vectorized};

/// Rows of one task. Fixed, so that the partial sums of dw, and their order, do not depend on threads.
const BLOCK: usize = 128;

pub(super) fn forward(
    threads: Threads,
    width: usize,
    epsilon: f32,
    x: &[f32],
    weight: &[f32],
    y: &mut [f32],
    scale: &mut [f32],
) {
    let rows = scale.len();
    let (y, scale) = (SharedMut::new(y), SharedMut::new(scale));
    for_each_task(threads, rows.div_ceil(BLOCK), |block| {
        let (first, count) = (block * BLOCK, BLOCK.min(rows - block * BLOCK));
        // SAFETY: each task has rows of its own.
        let (y, scale) = unsafe { (y.slice(first * width, count * width), scale.slice(first, count)) };
        let x = &x[first * width..(first + count) * width];
        vectorized!({
            for ((y, x), scale) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(scale) {
                let r = 1.0 / (sum(x, |v| v * v) / width as f32 + epsilon).sqrt();
                *scale = r;
                for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                    *y = x * r * w;
                }
            }
        });
    });
}

pub(super) fn backward(
    threads: Threads,
    width: usize,
    x: &[f32],
    weight: &[f32],
    scale: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dw: &mut [f32],
) {
    let rows = scale.len();
    let blocks = rows.div_ceil(BLOCK);
    let mut partial = vec![0.0; blocks * width];
    let (dx, shared) = (SharedMut::new(dx), SharedMut::new(&mut partial));
    for_each_task(threads, blocks, |block| {
        let (first, count) = (block * BLOCK, BLOCK.min(rows - block * BLOCK));
        // SAFETY: each task has rows of its own, and a partial sum of its own.
        let (dx, dw) =
            unsafe { (dx.slice(first * width, count * width), shared.slice(block * width, width)) };
        let range = first * width..(first + count) * width;
        let rows = x[range.clone()].chunks_exact(width).zip(dy[range].chunks_exact(width));
        let weight = &weight[..width];
        vectorized!({
            for (((x, dy), &r), dx) in rows.zip(&scale[first..first + count]).zip(dx.chunks_exact_mut(width))
            {
                let mut dot = 0.0;
                // mean(dy w x): in two halves, so that the products need no buffer
                for (chunk, (x, dy)) in x.chunks(64).zip(dy.chunks(64)).enumerate() {
                    let mut g = [0.0; 64];
                    for ((g, &dy), &w) in g.iter_mut().zip(dy).zip(&weight[chunk * 64..]) {
                        *g = dy * w;
                    }
                    dot += sum2(&g[..x.len()], x, |g, x| g * x);
                }
                let pull = r * r * dot / width as f32;
                for j in 0..width {
                    dx[j] += r * (dy[j] * weight[j] - x[j] * pull);
                    dw[j] += dy[j] * x[j] * r;
                }
            }
        });
    });
    for partial in partial.chunks_exact(width) {
        for (dw, p) in dw.iter_mut().zip(partial) {
            *dw += p;
        }
    }
}
