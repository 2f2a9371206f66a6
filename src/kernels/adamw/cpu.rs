//! AdamW on the CPU, in parallel over blocks.

use super::Step;
use crate::kernels::Threads;
use crate::kernels::vector::{SharedMut, for_each_task, vectorized};

/// Numbers of one task. Fixed, so that the norm's order of summation does not depend on threads.
const BLOCK: usize = 16_384;

pub(super) fn step(
    threads: Threads,
    step: Step,
    gradient: &[f32],
    weights: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let len = gradient.len();
    let Step { learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, number } = step;
    let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(number as i32))) as f32;
    let (correct1, correct2) = (correction(beta1), correction(beta2));
    let (w, m, v) = (SharedMut::new(weights), SharedMut::new(first), SharedMut::new(second));
    for_each_task(threads, len.div_ceil(BLOCK), |block| {
        let (start, count) = (block * BLOCK, BLOCK.min(len - block * BLOCK));
        // SAFETY: each task has a block of its own.
        let (w, m, v) = unsafe { (w.slice(start, count), m.slice(start, count), v.slice(start, count)) };
        let gradient = &gradient[start..start + count];
        vectorized!({
            for (((&g, w), m), v) in gradient.iter().zip(w).zip(m).zip(v) {
                let g = g * gradient_scale;
                *m = beta1 * *m + (1.0 - beta1) * g;
                *v = beta2 * *v + (1.0 - beta2) * g * g;
                let update = *m * correct1 / ((*v * correct2).sqrt() + epsilon);
                *w -= learning_rate * (update + weight_decay * *w);
            }
        });
    });
}

pub(super) fn squared_norm(threads: Threads, gradient: &[f32]) -> f64 {
    let blocks = gradient.len().div_ceil(BLOCK);
    let mut partial = vec![0.0; blocks];
    let shared = SharedMut::new(&mut partial);
    for_each_task(threads, blocks, |block| {
        let values = &gradient[block * BLOCK..gradient.len().min((block + 1) * BLOCK)];
        // SAFETY: each task has a partial sum of its own.
        let partial = unsafe { shared.slice(block, 1) };
        partial[0] = vectorized!({
            let mut lanes = [0.0_f64; 8];
            let mut chunks = values.chunks_exact(8);
            for chunk in &mut chunks {
                for (lane, &g) in lanes.iter_mut().zip(chunk) {
                    *lane += f64::from(g) * f64::from(g);
                }
            }
            let rest = chunks.remainder().iter().map(|&g| f64::from(g).powi(2)).sum::<f64>();
            lanes.iter().sum::<f64>() + rest
        });
    });
    partial.iter().sum()
}
