//! One PPO update: epochs of minibatches over a batch of experience.

use std::num::NonZeroUsize;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::experience::Experience;
use super::loss::{PolicyFigures, PolicyObjective, PolicyTargets, value_loss};
use crate::data::numbers::{ClipRange, LearningRate};
use crate::data::{Ragged, Seed};
use crate::model::{
    AdamW, AdamWConfig, Arch, Batch, MICRO_BATCH_TOKENS, ModelError, Policy, ScalarModel, backward,
    clear_gradient, micro_batches,
};

/// How to update policy and critic from a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateConfig {
    /// Passes over the batch.
    pub epochs: NonZeroUsize,
    /// Updates per pass.
    pub minibatches: NonZeroUsize,
    /// Tokens, prompts included, of one forward and backward pass, which takes whole groups of rows (of
    /// [`GROUP_TOKENS`](crate::model::GROUP_TOKENS)) and at least one. Bounds memory; results are the same to the bit.
    pub micro_batch_tokens: NonZeroUsize,
    /// The policy's objective.
    pub objective: PolicyObjective,
    /// ε_v: bound on the critic's step; none where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_clip: Option<ClipRange>,
    /// The policy's step size.
    pub policy_learning_rate: LearningRate,
    /// The critic's step size.
    pub critic_learning_rate: LearningRate,
    /// Both optimizers' constants.
    pub optimizer: AdamWConfig,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        const POLICY: LearningRate = LearningRate::new(3e-4);
        const CRITIC: LearningRate = LearningRate::new(1e-3);
        const CLIP: ClipRange = ClipRange::new(0.2);
        let count = |n| NonZeroUsize::new(n).expect("the constants here are not 0");
        Self {
            epochs: count(1),
            minibatches: count(4),
            micro_batch_tokens: MICRO_BATCH_TOKENS,
            objective: PolicyObjective::default(),
            value_clip: Some(CLIP),
            policy_learning_rate: POLICY,
            critic_learning_rate: CRITIC,
            optimizer: AdamWConfig::default(),
        }
    }
}

/// Figures of an update. Losses and norms are means over its minibatches, whose losses are means over their
/// tokens; the others are means over the tokens of all minibatches, those of the first one apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdateFigures {
    /// The policy's loss.
    pub policy_loss: f64,
    /// The critic's loss.
    pub value_loss: f64,
    /// Share of tokens outside the clip range, of all minibatches.
    pub clip_fraction: f64,
    /// KL(π_old ‖ π), estimator k3, in nats per token.
    pub moved: f64,
    /// Entropy, in nats per token.
    pub entropy: f64,
    /// Norm of the policy's gradient before clipping, mean over updates.
    pub policy_gradient_norm: f64,
    /// Norm of the critic's gradient before clipping, mean over updates.
    pub critic_gradient_norm: f64,
    /// The first minibatch alone, before any update: 0 by construction, or the ratio is wrong.
    pub first_clip_fraction: f64,
    /// The first minibatch's largest |ratio − 1|: 0 by construction.
    pub first_ratio_change: f64,
    /// The largest difference between the sampler's and the trainer's log-probability of a token, over
    /// the first minibatch (checklist, 13).
    pub sampler_gap: f64,
}

/// Policy, critic and their optimizers.
#[derive(Debug)]
pub struct Learner<A: Arch> {
    /// π_θ
    pub policy: Policy<A>,
    /// V_ψ
    pub critic: ScalarModel<A>,
    pub(crate) policy_optimizer: AdamW,
    pub(crate) critic_optimizer: AdamW,
    config: UpdateConfig,
}

impl<A: Arch> Learner<A> {
    /// A learner at its start.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn new(
        config: UpdateConfig,
        mut policy: Policy<A>,
        mut critic: ScalarModel<A>,
    ) -> Result<Self, ModelError> {
        let policy_optimizer = AdamW::new(config.optimizer, &mut policy)?;
        let critic_optimizer = AdamW::new(config.optimizer, &mut critic)?;
        Ok(Self { policy, critic, policy_optimizer, critic_optimizer, config })
    }

    /// Updates policy and critic. `seed` shuffles the rows into minibatches, from an order of their own: the order
    /// that they come in changes no bit of the result.
    ///
    /// On the first minibatch the policy is still the one that sampled: its own log-probabilities stand
    /// in for the sampler's, so that the ratio is exactly 1 (checklist, 12), and the difference between
    /// the two is measured.
    ///
    /// # Errors
    /// If a loss or a gradient is not finite. The minibatch in which that happens updates neither of the two
    /// and leaves nothing behind; those before it stay made.
    pub fn update(&mut self, batch: &Experience, seed: Seed) -> Result<UpdateFigures, ModelError> {
        let mut figures = UpdateFigures::default();
        let (mut tokens, mut updates) = (0, 0);
        let canonical = batch.order();
        for epoch in 0..self.config.epochs.get() {
            let mut order = canonical.clone();
            order.shuffle(&mut seed.index(epoch as u64).rng());
            let size = order.len().div_ceil(self.config.minibatches.get()).max(1);
            for rows in order.chunks(size) {
                let made = self.minibatch(batch, rows, updates == 0, &mut figures);
                if made.is_err() {
                    clear_gradient(&mut self.policy);
                    clear_gradient(&mut self.critic);
                }
                tokens += made?;
                updates += 1;
            }
        }
        let (tokens, updates) = (tokens.max(1) as f64, f64::from(updates.max(1)));
        figures.clip_fraction /= tokens;
        figures.moved /= tokens;
        figures.entropy /= tokens;
        for mean in [&mut figures.policy_loss, &mut figures.value_loss] {
            *mean /= updates;
        }
        for norm in [&mut figures.policy_gradient_norm, &mut figures.critic_gradient_norm] {
            *norm /= updates;
        }
        Ok(figures)
    }

    fn minibatch(
        &mut self,
        batch: &Experience,
        rows: &[usize],
        first: bool,
        figures: &mut UpdateFigures,
    ) -> Result<usize, ModelError> {
        let tokens: usize = rows.iter().map(|&row| batch.sequences[row].response.len()).sum();
        let (mut sums, mut value_sum) = (PolicyFigures::default(), 0.0);
        let lengths: Vec<usize> = rows.iter().map(|&row| batch.sequences[row].len()).collect();
        for part in micro_batches(&lengths, self.config.micro_batch_tokens.get()) {
            let rows = &rows[part];
            let packed = Batch::responses(&A::DIMS, rows.iter().map(|&row| &batch.sequences[row]))
                .map_err(|error| error.renumbered(|row| rows[row]))?;
            if packed.scored().values().is_empty() {
                continue;
            }
            let of = |ragged: &Ragged<f32>| -> Vec<f32> {
                rows.iter().flat_map(|&row| ragged.row(row).iter().copied()).collect()
            };
            let (advantages, reference) = (of(&batch.advantages), of(&batch.reference_log_probs));
            let (returns, old_values) = (of(&batch.returns), of(&batch.values));
            let mut old = of(&batch.log_probs);

            let policy = self.policy.log_probs(&packed, batch.temperature)?;
            if first {
                let own = policy.log_probs.as_vec();
                let gap = own.iter().zip(&old).map(|(a, b)| f64::from((a - b).abs()));
                figures.sampler_gap = gap.fold(figures.sampler_gap, f64::max);
                old = own;
            }
            let targets = PolicyTargets {
                old_log_probs: &old,
                reference_log_probs: &reference,
                advantages: &advantages,
            };
            backward(self.config.objective.loss(policy, targets, tokens, &mut sums))?;

            let values = self.critic.values(&packed)?;
            let clip = self.config.value_clip;
            backward(value_loss(values, &old_values, &returns, clip, tokens, &mut value_sum))?;
        }
        figures.policy_loss += sums.loss;
        figures.value_loss += value_sum;
        figures.clip_fraction += sums.clipped;
        figures.moved += sums.moved;
        figures.entropy += sums.entropy;
        if first {
            figures.first_clip_fraction = sums.clipped / tokens.max(1) as f64;
            figures.first_ratio_change = sums.largest_ratio_change;
        }
        let UpdateConfig { policy_learning_rate, critic_learning_rate, .. } = self.config;
        // Both are checked before either is applied.
        let policy = self.policy_optimizer.take(&mut self.policy)?;
        let critic = self.critic_optimizer.take(&mut self.critic)?;
        figures.policy_gradient_norm +=
            self.policy_optimizer.apply(&mut self.policy, policy, policy_learning_rate.get())?;
        figures.critic_gradient_norm +=
            self.critic_optimizer.apply(&mut self.critic, critic, critic_learning_rate.get())?;
        Ok(tokens)
    }
}

#[cfg(test)]
mod exact;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Sequence;
    use crate::data::numbers::Temperature;
    use crate::kernels::Device;
    use crate::model::init;

    crate::arch! {
        struct Tiny {
            name: "tiny", vocabulary: 13, width: 8, layers: 1, heads: 2, kv_heads: 1, head_size: 4, hidden: 12,
            positions: 40,
        }
    }

    fn learner(config: UpdateConfig) -> Learner<Tiny> {
        let device = Device::cpu();
        let policy = Policy::random(&device, Seed::root(1)).unwrap();
        let critic = init::random(Tiny::DIMS.scalar_layout(), 1, Seed::root(2));
        Learner::new(config, policy, ScalarModel::new(&device, &critic).unwrap()).unwrap()
    }

    fn experience(learner: &Learner<Tiny>) -> Experience {
        let sequences: Vec<Sequence> = (0..12)
            .map(|i| Sequence {
                prompt: vec![1 + i % 5, 2],
                response: (0..1 + i % 4).map(|t| (i * 3 + t * 5) % 13).collect(),
            })
            .collect();
        let batch = Batch::responses(&Tiny::DIMS, &sequences).unwrap();
        let log_probs = learner.policy.log_probs_no_grad(&batch, Temperature::new(1.0)).unwrap().log_probs;
        let log_probs = batch.scored().with_values(log_probs).unwrap();
        let signs = (0..log_probs.values().len()).map(|i| if i % 3 == 0 { 1.0 } else { -0.5 }).collect();
        let zeros = log_probs.with_values(vec![0.0; log_probs.values().len()]).unwrap();
        Experience {
            reference_log_probs: log_probs.clone(),
            values: zeros.clone(),
            advantages: zeros.with_values(signs).unwrap(),
            returns: zeros.with_values(vec![1.0; zeros.values().len()]).unwrap(),
            log_probs,
            sequences,
            temperature: Temperature::new(1.0),
        }
    }

    fn count(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[test]
    fn on_the_first_minibatch_the_ratio_is_exactly_one() {
        let mut learner = learner(UpdateConfig { epochs: count(2), ..UpdateConfig::default() });
        let mut batch = experience(&learner);
        batch.log_probs.values_mut()[0] += 0.01; // as a sampler that rounds otherwise would
        let figures = learner.update(&batch, Seed::root(3)).unwrap();
        assert_eq!((figures.first_clip_fraction, figures.first_ratio_change), (0.0, 0.0));
        assert!(figures.sampler_gap < 0.011 && figures.moved > 0.0);
    }

    #[test]
    fn the_update_has_the_same_bits_whatever_the_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut learner = learner(UpdateConfig { epochs: count(3), ..UpdateConfig::default() });
                let mut batch = experience(&learner);
                // long enough that every op has tasks for several threads
                for sequence in &mut batch.sequences {
                    sequence.prompt = (0..36).map(|t| t % 13).collect();
                }
                let figures = learner.update(&batch, Seed::root(3)).unwrap();
                (parameters(&learner), figures)
            })
        };
        let one = run(1);
        for threads in [2, 3, 5] {
            assert_eq!(run(threads), one, "{threads} threads");
        }
    }

    #[test]
    fn updates_raise_good_tokens_and_fit_the_critic() {
        let rate = LearningRate::new(5e-3);
        let config = UpdateConfig {
            policy_learning_rate: rate,
            critic_learning_rate: rate,
            value_clip: None,
            ..UpdateConfig::default()
        };
        let mut learner = learner(config);
        let batch = experience(&learner);
        let first = learner.update(&batch, Seed::root(4)).unwrap();
        let mut last = first;
        for step in 0..30 {
            last = learner.update(&batch, Seed::root(5 + step)).unwrap();
        }
        assert!(last.value_loss < 0.2 * first.value_loss, "{} then {}", first.value_loss, last.value_loss);
        let packed = Batch::responses(&Tiny::DIMS, &batch.sequences).unwrap();
        let now = learner.policy.log_probs_no_grad(&packed, batch.temperature).unwrap().log_probs;
        let gain: f32 = now
            .iter()
            .zip(batch.log_probs.values())
            .zip(batch.advantages.values())
            .map(|((now, old), a)| (now - old) * a)
            .sum();
        assert!(gain > 0.0);
    }

    fn parameters(learner: &Learner<Tiny>) -> [Vec<f32>; 2] {
        [learner.policy.parameters().unwrap(), learner.critic.parameters().unwrap()].map(|p| p.into_values())
    }

    #[test]
    fn a_row_that_does_not_fit_has_its_number_in_the_batch() {
        let mut learner = learner(UpdateConfig { micro_batch_tokens: count(7), ..UpdateConfig::default() });
        let mut batch = experience(&learner);
        batch.sequences[7].prompt = vec![1; 40];
        let error = learner.update(&batch, Seed::root(3)).unwrap_err().to_string();
        assert!(error.starts_with("row 7 has "), "{error}");
    }

    #[test]
    fn after_a_loss_that_is_not_finite_all_is_as_before() {
        let config =
            UpdateConfig { minibatches: count(1), micro_batch_tokens: count(7), ..UpdateConfig::default() };
        let mut learner = learner(config);
        let good = experience(&learner);
        let before = parameters(&learner);
        // Some passes of the minibatch add to the gradients before one of them fails.
        let mut bad_return = good.clone();
        *bad_return.returns.values_mut().last_mut().unwrap() = f32::NAN;
        let mut bad_advantage = good.clone();
        *bad_advantage.advantages.values_mut().last_mut().unwrap() = f32::INFINITY;
        for bad in [&bad_return, &bad_advantage] {
            for seed in 0..4 {
                let error = learner.update(bad, Seed::root(seed)).unwrap_err();
                assert!(matches!(error, ModelError::Loss(_)), "{error}");
                assert_eq!(parameters(&learner), before);
            }
        }
        learner.update(&good, Seed::root(3)).unwrap();
        let mut other = super::tests::learner(config);
        other.update(&good, Seed::root(3)).unwrap();
        assert_eq!(parameters(&learner), parameters(&other), "nothing of the failed updates is left");
    }

    #[test]
    fn a_critic_whose_gradient_is_not_finite_keeps_the_policy_from_moving() {
        let mut learner = learner(UpdateConfig { value_clip: None, ..UpdateConfig::default() });
        // The last norm's weights are 0, so values and loss are finite; their gradients are not.
        let mut critic = learner.critic.parameters().unwrap();
        let layout = critic.layout().clone();
        let place = |name| layout.range(name).unwrap();
        critic.values_mut()[place("trunk.norm")].fill(0.0);
        critic.values_mut()[place("head.weight")].fill(f32::MAX);
        learner.critic.set_trained(&critic).unwrap();
        let mut batch = experience(&learner);
        batch.returns.values_mut().fill(1e6);
        let before = parameters(&learner);
        let error = learner.update(&batch, Seed::root(3)).unwrap_err();
        assert!(matches!(error, ModelError::Gradient(_)), "{error}");
        assert_eq!(parameters(&learner), before);
    }
}
