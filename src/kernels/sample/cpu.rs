//! Drawing tokens on the CPU.

use std::num::NonZeroUsize;

use rand::{Rng, RngExt};

use super::{Choice, Drawn};
use crate::kernels::vector::{exp, max, sum, vectorized};

/// Draws a token with each of `rngs` from the same logits `[vocabulary]`, which are overwritten. Each draws one number.
pub(crate) fn draw_each<'r, R: Rng + 'r>(
    choice: Choice,
    logits: &mut [f32],
    rngs: impl IntoIterator<Item = &'r mut R>,
) -> Vec<Drawn> {
    let inverse = 1.0 / choice.temperature;
    let total = vectorized!({
        let top = max(logits);
        for z in logits.iter_mut() {
            *z = exp((*z - top) * inverse);
        }
        sum(logits, |p| p)
    });
    let weights = &*logits;
    let points = |mass: f32| rngs.into_iter().map(|rng| rng.random::<f32>() * mass).collect();
    let tokens = if choice.top_p >= 1.0 && choice.top_k.is_none() {
        // Σ in token order; rounding may leave the end a little short of the total.
        pick(weights.iter().copied().enumerate(), points(total))
    } else {
        let kept = kept(choice, weights, total);
        let mass: f32 = kept.iter().map(|&token| weights[token]).sum();
        pick(kept.iter().map(|&token| (token, weights[token])), points(mass))
    };
    let drawn = |token: usize| Drawn { token: token as u32, log_prob: (weights[token] / total).ln() };
    tokens.into_iter().map(drawn).collect()
}

/// The tokens that top-k and top-p keep, the most likely first.
fn kept(choice: Choice, weights: &[f32], total: f32) -> Vec<usize> {
    let more_likely = |&a: &usize, &b: &usize| weights[b].total_cmp(&weights[a]).then(a.cmp(&b));
    let mut kept: Vec<usize> = (0..weights.len()).collect();
    if let Some(top_k) = choice.top_k.map(NonZeroUsize::get).filter(|&top_k| top_k < kept.len()) {
        // Of a vocabulary of 150,000 few are kept: the others need no order.
        kept.select_nth_unstable_by(top_k, more_likely);
        kept.truncate(top_k);
    }
    kept.sort_unstable_by(more_likely);
    let (mut mass, bound) = (0.0, choice.top_p * total);
    let enough = kept.iter().position(|&token| {
        mass += weights[token];
        mass >= bound
    });
    kept.truncate(enough.map_or(kept.len(), |last| last + 1));
    kept
}

/// For each of `points`, the first token at which the running sum passes it; otherwise, where rounding leaves the sum
/// short, the last one that moved it. A weight too small to move it is not 0, and yet nobody's choice.
fn pick(weights: impl Iterator<Item = (usize, f32)>, points: Vec<f32>) -> Vec<usize> {
    let mut picked = vec![0; points.len()];
    // One pass over the weights serves all points, the least first.
    let mut points: Vec<(f32, usize)> = points.into_iter().zip(0..).collect();
    points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut open = points.as_slice();
    let (mut running, mut last) = (0.0, 0);
    for (token, weight) in weights {
        let before = running;
        running += weight;
        if running > before {
            last = token;
            while let [(point, place), rest @ ..] = open
                && running > *point
            {
                picked[*place] = token;
                open = rest;
            }
            if open.is_empty() {
                break;
            }
        }
    }
    for &(_, place) in open {
        picked[place] = last;
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_left_short_by_rounding_gives_no_impossible_token() {
        let weights = [0.5_f32, 0.5, 1.6e-38, 0.0];
        for point in [1.0, 1.5] {
            assert_eq!(pick(weights.iter().copied().enumerate(), vec![point]), [1]);
        }
        assert_eq!(pick(weights.iter().copied().enumerate(), vec![1.0, 0.25, 1.5, 0.0]), [1, 0, 1, 0]);
        assert!(pick(weights.iter().copied().enumerate(), vec![]).is_empty());
    }
}
