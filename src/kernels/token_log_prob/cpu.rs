//! Log-probabilities and entropies on the CPU, a block of tokens at a time.

use super::OutputLayer;
use crate::kernels::product::{self, Matrix, WeightLayout, gemm, gemm_weight};
use crate::kernels::vector::{SharedMut, exp, for_each_task, max, sum_both, vectorized};
use crate::kernels::{HostWeight, Threads};

/// Logits held at once where they are not kept: 4 MiB, or those of [`FEWEST`] tokens.
const HELD: usize = 1 << 20;
/// Tokens of a block at least. Each block takes the weight and its gradient through memory, which of few tokens is
/// all the time.
const FEWEST: usize = 256;
/// Tokens of one task within a block.
const ROWS: usize = 16;

/// Tokens of a block: by the vocabulary alone, so that the order of summation is the same in all runs.
fn block(vocabulary: usize) -> usize {
    (HELD / vocabulary).clamp(FEWEST, 2048)
}

/// Room for the logits of a block, and its tokens: of all, where those of all are kept.
fn room<'a>(
    kept: Option<&'a mut [f32]>,
    held: &'a mut Vec<f32>,
    tokens: usize,
    vocabulary: usize,
) -> (usize, &'a mut [f32]) {
    if let Some(kept) = kept {
        return (tokens.max(1), kept);
    }
    let block = block(vocabulary);
    *held = vec![0.0; block.min(tokens) * vocabulary];
    (block, held)
}

fn weight_of(layer: OutputLayer, weight: HostWeight<'_>) -> Matrix<HostWeight<'_>> {
    product::weight(layer.layout, [layer.width, layer.vocabulary], weight)
}

fn logits(threads: Threads, layer: OutputLayer, hidden: &[f32], weight: HostWeight<'_>, out: &mut [f32]) {
    let OutputLayer { width, vocabulary, .. } = layer;
    let n = hidden.len() / width;
    let z = Matrix::rows(out, vocabulary);
    let hidden = Matrix::rows(hidden, width);
    gemm_weight(threads, (n, vocabulary, width), z, false, hidden, weight_of(layer, weight));
}

pub(super) fn forward(
    threads: Threads,
    layer: OutputLayer,
    hidden: &[f32],
    weight: HostWeight<'_>,
    targets: &[u32],
    log_prob: &mut [f32],
    entropy: &mut [f32],
    log_sum: &mut [f32],
    kept: Option<&mut [f32]>,
) {
    let OutputLayer { width, vocabulary, .. } = layer;
    let mut held = Vec::new();
    let (block, z) = room(kept, &mut held, targets.len(), vocabulary);
    let inverse = 1.0 / layer.temperature;
    let results = [log_prob, entropy, log_sum].map(SharedMut::new);
    for start in (0..targets.len()).step_by(block) {
        let count = block.min(targets.len() - start);
        let z = &mut z[..count * vocabulary];
        logits(threads, layer, &hidden[start * width..(start + count) * width], weight, z);
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
    weight: HostWeight<'_>,
    targets: &[u32],
    (entropy, log_sum): (&[f32], &[f32]),
    (d_log_prob, d_entropy): (&[f32], &[f32]),
    d_hidden: &mut [f32],
    mut d_weight: Option<&mut [f32]>,
    kept: Option<&mut [f32]>,
) {
    let OutputLayer { width, vocabulary, layout, .. } = layer;
    let made = kept.is_some();
    let mut held = Vec::new();
    let (block, z) = room(kept, &mut held, targets.len(), vocabulary);
    let inverse = 1.0 / layer.temperature;
    for start in (0..targets.len()).step_by(block) {
        let count = block.min(targets.len() - start);
        let hidden = &hidden[start * width..(start + count) * width];
        let z = &mut z[..count * vocabulary];
        if !made {
            logits(threads, layer, hidden, weight, z);
        }
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
        let d_hidden = Matrix::rows(&mut d_hidden[start * width..(start + count) * width], width);
        let dz_rows = Matrix::rows(dz, vocabulary);
        gemm_weight(
            threads,
            (count, width, vocabulary),
            d_hidden,
            false,
            dz_rows,
            weight_of(layer, weight).transposed(),
        );
        let Some(d_weight) = d_weight.as_deref_mut() else { continue };
        let hidden = Matrix::rows(hidden, width);
        match layout {
            WeightLayout::InOut => {
                let dw = Matrix::rows(d_weight, vocabulary);
                gemm(threads, (width, vocabulary, count), dw, true, hidden.transposed(), dz_rows);
            }
            WeightLayout::OutIn => {
                let dw = Matrix::rows(d_weight, width);
                gemm(threads, (vocabulary, width, count), dw, true, dz_rows.transposed(), hidden);
            }
        }
    }
}
