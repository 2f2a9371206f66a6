//! What an update learns from and how large its step is: functions of the update's number alone, so
//! that a resumed run goes on with the same.

use std::cmp::Ordering;
use std::f32::consts::PI;
use std::num::NonZeroUsize;

use rand::seq::SliceRandom;

use crate::data::Seed;
use crate::data::numbers::LearningRate;

/// The numbers of so many examples in the order of what they are: from it [`draw`] gives the same batches whatever the
/// order that they came in. `compare` takes the numbers of two.
pub fn order(examples: usize, compare: impl Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..examples).collect();
    order.sort_by(|&a, &b| compare(a, b));
    order
}

/// The examples of update `step` (from 0), of the numbers in `order`: epochs, each a shuffle of it by `seed`,
/// cut into batches one after another. A batch may hold the end of one epoch and the
/// beginning of the next. Without examples it is empty.
pub fn draw(seed: Seed, order: &[usize], batch: NonZeroUsize, step: usize) -> Vec<usize> {
    let (all, examples) = (order, order.len());
    let batch = batch.get();
    let mut rows = Vec::with_capacity(batch);
    if examples == 0 {
        return rows;
    }
    let first = step * batch;
    for epoch in first / examples..=(first + batch - 1) / examples {
        let mut order = all.to_vec();
        order.shuffle(&mut seed.index(epoch as u64).rng());
        let begin = first.saturating_sub(epoch * examples);
        let end = (first + batch - epoch * examples).min(examples);
        rows.extend(&order[begin..end]);
    }
    rows
}

/// The step size of update `step` (from 0) of `steps`: it rises to `peak` over `warmup` updates and falls
/// along a cosine to a tenth of it.
pub fn learning_rate(peak: LearningRate, warmup: usize, steps: usize, step: usize) -> f32 {
    let peak = peak.get();
    if step < warmup {
        return peak * (step + 1) as f32 / warmup as f32;
    }
    let done = (step - warmup) as f32 / steps.saturating_sub(warmup).max(1) as f32;
    peak * (0.55 + 0.45 * (PI * done.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_example_once() {
        let batch = const { NonZeroUsize::new(3).unwrap() };
        let drawn: Vec<usize> =
            (0..7).flat_map(|step| draw(Seed::root(1), &[0, 1, 2, 3, 4, 5, 6], batch, step)).collect();
        for epoch in drawn.chunks(7) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6]);
        }
        assert_ne!(drawn[..7], drawn[7..14]);
        let few = draw(Seed::root(1), &[0, 1], batch, 0);
        assert!(few.len() == 3 && few.contains(&0) && few.contains(&1));
        assert!(draw(Seed::root(1), &[], batch, 0).is_empty());
    }

    #[test]
    fn batches_do_not_depend_on_the_order_that_examples_come_in() {
        let batch = const { NonZeroUsize::new(3).unwrap() };
        let drawn = |examples: &[char]| -> Vec<char> {
            let order = order(examples.len(), |a, b| examples[a].cmp(&examples[b]));
            let rows = (0..4).flat_map(|step| draw(Seed::root(1), &order, batch, step));
            rows.map(|row| examples[row]).collect()
        };
        assert_eq!(drawn(&['a', 'b', 'c', 'd', 'e']), drawn(&['d', 'a', 'e', 'c', 'b']));
    }

    #[test]
    fn the_step_size_rises_and_falls() {
        let rate = |step| learning_rate(const { LearningRate::new(0.1) }, 4, 14, step);
        assert_eq!([rate(0), rate(3), rate(4)], [0.025, 0.1, 0.1]);
        assert!((rate(9) - 0.055).abs() < 1e-7); // half way down
        assert!((rate(14) - 0.01).abs() < 1e-7 && (rate(99) - 0.01).abs() < 1e-7);
    }
}
