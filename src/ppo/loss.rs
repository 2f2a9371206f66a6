//! The two losses of PPO (Schulman et al., 2017), as dfdx expressions over the tokens of a batch.

use serde::{Deserialize, Serialize};

use crate::data::numbers::{ClipRange, DualClip, LossWeight};
use crate::model::LogProbs;
use crate::model::tensor::{Loss, OnTape, SumTo, Vector, WithEmptyTape, vector};

/// The policy's objective.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyObjective {
    /// ε: the ratio is clipped to [1 − ε, 1 + ε].
    pub clip: ClipRange,
    /// ε above 1, where it is another (asymmetric clip: Yu et al., 2025).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_high: Option<ClipRange>,
    /// Bounds the loss of tokens with A < 0 to −cA (dual clip: Ye et al., 2020).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dual_clip: Option<DualClip>,
    /// Weight of the entropy bonus.
    pub entropy: LossWeight,
    /// Weight of KL(π ‖ π_ref) as a loss: the estimator k2, whose derivative is unbiased (checklist, 3).
    pub kl_loss: LossWeight,
}

impl Default for PolicyObjective {
    fn default() -> Self {
        const CLIP: ClipRange = ClipRange::new(0.2);
        const NONE: LossWeight = LossWeight::new(0.0);
        Self { clip: CLIP, clip_high: None, dual_clip: None, entropy: NONE, kl_loss: NONE }
    }
}

/// What the policy's loss is computed from, one number per token each.
#[derive(Clone, Copy, Debug)]
pub struct PolicyTargets<'a> {
    /// log π of the policy that sampled.
    pub old_log_probs: &'a [f32],
    /// log π_ref.
    pub reference_log_probs: &'a [f32],
    /// A, whitened.
    pub advantages: &'a [f32],
}

/// Sums over tokens, added to token by token: so parts of a minibatch one after another give what the whole gives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PolicyFigures {
    /// The loss, in f64.
    pub loss: f64,
    /// Tokens whose ratio was outside the clip range.
    pub clipped: f64,
    /// Estimator k3 of KL(π_old ‖ π).
    pub moved: f64,
    /// Entropy, in nats.
    pub entropy: f64,
    /// The largest |ratio − 1|.
    pub largest_ratio_change: f64,
}

impl PolicyObjective {
    /// Σ max(−Aρ, −A clip(ρ, 1 − ε, 1 + ε)) / `tokens`, with ρ = π / π_old, and the optional terms.
    ///
    /// `tokens` is the number of tokens of the whole minibatch: so the loss of a minibatch is the sum
    /// of the losses of its parts, however it is cut (checklist, 9). `figures` are added to.
    pub fn loss(
        &self,
        policy: LogProbs,
        targets: PolicyTargets<'_>,
        tokens: usize,
        figures: &mut PolicyFigures,
    ) -> Loss {
        let (low, high) = (1.0 - self.clip.get(), 1.0 + self.clip_high.unwrap_or(self.clip).get());
        figures.add(&policy, targets, (low, high));
        let LogProbs { log_probs, entropy } = policy;
        let advantages = || vector(targets.advantages.to_vec());

        let kl_loss = self.kl_loss.get();
        let distance = log_probs.with_empty_tape() - vector(targets.reference_log_probs.to_vec());
        let distance = distance.clamp(-20.0, 20.0).square() * (0.5 * kl_loss);

        let ratio = (log_probs - vector(targets.old_log_probs.to_vec())).clamp(-20.0, 20.0).exp();
        let clipped = ratio.with_empty_tape().clamp(low, high) * advantages();
        let mut gain: Vector<OnTape> = (ratio * advantages()).minimum(clipped);
        if let Some(dual) = self.dual_clip {
            let bound = |&a: &f32| if a < 0.0 { dual.get() * a } else { f32::MIN };
            gain = gain.maximum(vector(targets.advantages.iter().map(bound).collect()));
        }
        if kl_loss > 0.0 {
            gain = gain - distance;
        }
        if self.entropy.get() > 0.0 {
            gain = gain + entropy * self.entropy.get();
        }
        let losses = gain * (-1.0 / tokens as f32);
        add_each(&losses.as_vec(), &mut figures.loss);
        losses.sum()
    }
}

impl PolicyFigures {
    fn add(&mut self, policy: &LogProbs, targets: PolicyTargets<'_>, (low, high): (f32, f32)) {
        for (new, old) in policy.log_probs.as_vec().iter().zip(targets.old_log_probs) {
            let d = f64::from(new - old);
            let ratio = d.exp();
            self.clipped += f64::from(u8::from(ratio < f64::from(low) || ratio > f64::from(high)));
            self.moved += ratio - 1.0 - d;
            self.largest_ratio_change = self.largest_ratio_change.max((ratio - 1.0).abs());
        }
        add_each(&policy.entropy.as_vec(), &mut self.entropy);
    }
}

fn add_each(numbers: &[f32], sum: &mut f64) {
    for &number in numbers {
        *sum += f64::from(number);
    }
}

/// Σ ½ max((V − R)², (clip(V, V_old ± ε_v) − R)²) / `tokens`; without a clip range Σ ½ (V − R)² /
/// `tokens` (checklist, 8). `old_values` and `returns` hold one number per token. The loss is added to `sum` token by
/// token, as [`PolicyFigures`] are.
pub fn value_loss(
    values: Vector<OnTape>,
    old_values: &[f32],
    returns: &[f32],
    clip: Option<ClipRange>,
    tokens: usize,
    sum: &mut f64,
) -> Loss {
    let error = |v: Vector<OnTape>| (v - vector(returns.to_vec())).square();
    let squared = match clip {
        None => error(values),
        Some(clip) => {
            let moved = values.with_empty_tape() - vector(old_values.to_vec());
            let near = moved.clamp(-clip.get(), clip.get()) + vector(old_values.to_vec());
            error(values).maximum(error(near))
        }
    };
    let losses = squared * (0.5 / tokens as f32);
    add_each(&losses.as_vec(), sum);
    losses.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tensor::Trace;
    use dfdx::prelude::{AsArray, Backward};

    const NONE: LossWeight = LossWeight::new(0.0);

    /// The loss of three tokens, and its gradient with respect to log π.
    fn policy(
        objective: PolicyObjective,
        log_probs: [f32; 3],
        advantages: [f32; 3],
    ) -> (f32, Vec<f32>, PolicyFigures) {
        let new = vector(log_probs.to_vec());
        let entropy = vector(vec![0.5; 3]);
        let out = LogProbs { log_probs: new.leaky_trace(), entropy: entropy.leaky_trace() };
        let targets = PolicyTargets {
            old_log_probs: &[0.0; 3],
            reference_log_probs: &[-1.0; 3],
            advantages: &advantages,
        };
        let mut figures = PolicyFigures::default();
        let loss = objective.loss(out, targets, 3, &mut figures);
        let value = loss.array();
        close(&[figures.loss as f32], &[value]);
        (value, loss.backward().get(&new).as_vec(), figures)
    }

    fn close(got: &[f32], needed: &[f32]) {
        for (g, n) in got.iter().zip(needed) {
            assert!((g - n).abs() < 1e-5, "{got:?}, not {needed:?}");
        }
    }

    #[test]
    fn at_a_ratio_of_one_the_gradient_is_the_advantage() {
        let (loss, gradient, figures) = policy(PolicyObjective::default(), [0.0; 3], [1.0, -2.0, 0.5]);
        close(&[loss], &[0.5 / 3.0]);
        close(&gradient, &[-1.0 / 3.0, 2.0 / 3.0, -0.5 / 3.0]);
        assert_eq!((figures.clipped, figures.largest_ratio_change), (0.0, 0.0));
    }

    #[test]
    fn the_clip_stops_what_has_gone_far_enough_and_nothing_else() {
        let ln = f32::ln;
        // Beyond the range in the good direction: constant. In the bad one: still pulled back.
        let (loss, gradient, figures) =
            policy(PolicyObjective::default(), [ln(1.5), ln(1.5), ln(0.5)], [1.0, -1.0, 1.0]);
        close(&[loss], &[-(1.2 - 1.5 + 0.5) / 3.0]);
        close(&gradient, &[0.0, 1.5 / 3.0, -0.5 / 3.0]);
        assert_eq!(figures.clipped, 3.0);
        let high = PolicyObjective { clip_high: Some(ClipRange::new(0.6)), ..PolicyObjective::default() };
        close(&policy(high, [ln(1.5); 3], [1.0; 3]).1, &[-0.5; 3]);
    }

    #[test]
    fn the_dual_clip_bounds_bad_tokens_that_became_likely() {
        let dual = PolicyObjective { dual_clip: Some(DualClip::new(3.0)), ..PolicyObjective::default() };
        let far = [5.0_f32.ln(), 2.0_f32.ln(), 5.0_f32.ln()];
        let (loss, gradient, _) = policy(dual, far, [-1.0, -1.0, 1.0]);
        close(&[loss], &[(3.0 + 2.0 - 1.2) / 3.0]);
        close(&gradient, &[0.0, 2.0 / 3.0, 0.0]);
    }

    #[test]
    fn the_kl_loss_is_k2_and_the_entropy_a_bonus() {
        let weight = LossWeight::new(0.3);
        let kl = PolicyObjective { kl_loss: weight, entropy: NONE, ..PolicyObjective::default() };
        let (loss, gradient, _) = policy(kl, [0.0; 3], [0.0; 3]);
        close(&[loss], &[0.3 * 0.5]); // d = 1: d²/2
        close(&gradient, &[0.1; 3]); // 0.3 d / 3 tokens
        let entropy = PolicyObjective { entropy: weight, ..PolicyObjective::default() };
        close(&[policy(entropy, [0.0; 3], [0.0; 3]).0], &[-0.15]);
    }

    #[test]
    fn the_value_loss_takes_the_worse_of_both_errors() {
        let loss = |values: [f32; 2], clip: Option<f32>| {
            let tensor = vector(values.to_vec());
            let clip = clip.map(ClipRange::new);
            let mut sum = 0.0;
            let loss = value_loss(tensor.leaky_trace(), &[0.0, 0.0], &[1.0, -1.0], clip, 2, &mut sum);
            let value = loss.array();
            close(&[sum as f32], &[value]);
            (value, loss.backward().get(&tensor).as_vec())
        };
        let (value, gradient) = loss([0.5, 0.5], None);
        close(&[value], &[0.25 * (0.25 + 2.25)]);
        close(&gradient, &[-0.25, 0.75]);
        // Clipped to 0.2: the first has moved too far towards its return, the second away from it.
        let (value, gradient) = loss([0.5, 0.5], Some(0.2));
        close(&[value], &[0.25 * (0.64 + 2.25)]);
        close(&gradient, &[0.0, 0.75]);
    }

    #[test]
    fn a_minibatch_s_loss_does_not_depend_on_how_it_is_cut() {
        let advantages = [0.3, -1.0, 2.0];
        let whole = policy(PolicyObjective::default(), [0.1, -0.4, 0.3], advantages).0;
        let mut figures = PolicyFigures::default();
        let part = |range: std::ops::Range<usize>, figures: &mut PolicyFigures| {
            let new = vector([0.1, -0.4, 0.3][range.clone()].to_vec());
            let entropy = vector(vec![0.5; range.len()]).leaky_trace();
            let out = LogProbs { log_probs: new.leaky_trace(), entropy };
            let zero = &[0.0; 3][range.clone()];
            let targets = PolicyTargets {
                old_log_probs: zero,
                reference_log_probs: zero,
                advantages: &advantages[range],
            };
            PolicyObjective::default().loss(out, targets, 3, figures).array()
        };
        close(&[part(0..1, &mut figures) + part(1..3, &mut figures)], &[whole]);
        let mut at_once = PolicyFigures::default();
        part(0..3, &mut at_once);
        assert_eq!(figures, at_once, "to the bit");
    }
}
