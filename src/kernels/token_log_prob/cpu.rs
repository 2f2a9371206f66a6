//! Log-probabilities and entropies on the CPU, a block of tokens at a time.

use std::ops::Range;

use super::OutputLayer;
use crate::kernels::product::cpu as product;
use crate::kernels::vector::{SharedMut, exp, for_each_task, max, sum_both, vectorized};
use crate::kernels::{HostNumbers, Threads};

/// Logits held at once where they are not kept: 4 MiB, or those of [`FEWEST`] tokens.
const HELD: usize = 1 << 20;
/// Tokens of a block at least. Each block takes the weight and its gradient through memory, which of few tokens is
/// all the time.
const FEWEST: usize = 256;
/// Tokens of one task within a block.
const ROWS: usize = 16;

/// Tokens of a block: by the vocabulary alone, so that a group's sums are the same in all runs.
fn block(vocabulary: usize) -> usize {
    (HELD / vocabulary).clamp(FEWEST, 2048)
}

pub(super) fn forward(
    threads: Threads,
    layer: OutputLayer,
    hidden: &[f32],
    weight: HostNumbers<'_>,
    targets: &[u32],
    log_prob: &mut [f32],
    entropy: &mut [f32],
    log_sum: &mut [f32],
    kept: Option<&mut [f32]>,
) {
    let OutputLayer { width, vocabulary, .. } = layer;
    let mut held = Vec::new();
    // Where all are kept, there is room for all at once.
    let (block, z) = match kept {
        Some(kept) => (targets.len().max(1), kept),
        None => {
            let block = block(vocabulary);
            held.resize(block.min(targets.len()) * vocabulary, 0.0);
            (block, held.as_mut_slice())
        }
    };
    let inverse = 1.0 / layer.temperature;
    let results = [log_prob, entropy, log_sum].map(SharedMut::new);
    for start in (0..targets.len()).step_by(block) {
        let count = block.min(targets.len() - start);
        let z = &mut z[..count * vocabulary];
        let hidden = &hidden[start * width..(start + count) * width];
        product::forward(threads, layer.shape(count), hidden, weight, z, false);
        let z: &[f32] = z;
        for_each_task(threads, count.div_ceil(ROWS), |task| {
            let rows = task * ROWS..count.min((task + 1) * ROWS);
            // SAFETY: each task has rows of its own.
            let [log_prob, entropy, log_sum] =
                results.map(|result| unsafe { result.slice(start + rows.start, rows.len()) });
            let z = &z[rows.start * vocabulary..rows.end * vocabulary];
            let targets = &targets[start + rows.start..start + rows.end];
            vectorized!({
                for (i, z) in z.chunks_exact(vocabulary).enumerate() {
                    let top = max(z) * inverse;
                    // Σ π (z − top): small terms are added to small terms
                    let (total, weighted) = sum_both(z, |z| {
                        let z = z * inverse - top;
                        let p = exp(z);
                        (p, z * p)
                    });
                    log_sum[i] = top + total.ln();
                    log_prob[i] = z[targets[i] as usize] * inverse - log_sum[i];
                    entropy[i] = total.ln() - weighted / total;
                }
            });
        });
    }
}

pub(super) fn backward(
    threads: Threads,
    layer: OutputLayer,
    hidden: &[f32],
    weight: HostNumbers<'_>,
    targets: &[u32],
    (entropy, log_sum): (&[f32], &[f32]),
    (d_log_prob, d_entropy): (&[f32], &[f32]),
    groups: &[Range<usize>],
    d_hidden: &mut [f32],
    mut d_weight: Option<&mut [f32]>,
    mut kept: Option<&mut [f32]>,
) {
    let OutputLayer { width, vocabulary, .. } = layer;
    let block = block(vocabulary);
    let mut held = Vec::new();
    let inverse = 1.0 / layer.temperature;
    let blocks = groups
        .iter()
        .flat_map(|group| group.clone().step_by(block).map(move |start| start..group.end.min(start + block)));
    for Range { start, end } in blocks {
        let count = end - start;
        let shape = layer.shape(count);
        let hidden = &hidden[start * width..end * width];
        let z = match &mut kept {
            Some(kept) => &mut kept[start * vocabulary..end * vocabulary],
            None => {
                held.resize(count * vocabulary, 0.0);
                product::forward(threads, shape, hidden, weight, &mut held, false);
                held.as_mut_slice()
            }
        };
        let shared = SharedMut::new(z);
        for_each_task(threads, count.div_ceil(ROWS), |task| {
            let rows = task * ROWS..count.min((task + 1) * ROWS);
            // SAFETY: each task has rows of its own.
            let z = unsafe { shared.slice(rows.start * vocabulary, rows.len() * vocabulary) };
            vectorized!({
                for (z, i) in z.chunks_exact_mut(vocabulary).zip(start + rows.start..) {
                    let (a, b) = (d_log_prob[i], d_entropy[i]);
                    let (kept, entropy) = (log_sum[i], entropy[i]);
                    for z in z.iter_mut() {
                        let log_prob = *z * inverse - kept;
                        *z = -exp(log_prob) * (a + b * (log_prob + entropy)) * inverse;
                    }
                    z[targets[i] as usize] += a * inverse;
                }
            });
        });
        let dz: &[f32] = z;
        let d_hidden = &mut d_hidden[start * width..end * width];
        product::backward_input(threads, shape, dz, weight, d_hidden, false);
        if let Some(d_weight) = d_weight.as_deref_mut() {
            product::backward_weight(threads, shape, hidden, dz, d_weight);
        }
    }
}
