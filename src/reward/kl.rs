//! The KL divergence from the reference: estimators by token, and a coefficient that adapts.
//!
//! With d = log π − log π_ref at a token that π drew:
//!
//! - k1 = d: unbiased, of either sign. What the reward subtracts.
//! - k2 = d²/2: biased, but its gradient is an unbiased estimate of the divergence's. As a loss, this
//!   is the one to differentiate: k1's gradient is 0 on average.
//! - k3 = e^(−d) − 1 + d: unbiased and never negative. What to log.
//!
//! d is clamped to ± [`MAX_LOG_RATIO`] first: one token that either model takes for impossible must
//! not outweigh the batch.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::RewardError;
use crate::data::numbers::{KlCoefficient, KlTarget};
use crate::data::{Ragged, RaggedError};

/// Bound on |d|, in nats.
pub const MAX_LOG_RATIO: f32 = 20.0;

/// d = log π − log π_ref, clamped to ± [`MAX_LOG_RATIO`]; NaN stays NaN.
pub fn log_ratio(log_policy: f32, log_reference: f32) -> f32 {
    (log_policy - log_reference).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
}

/// An estimator of KL(π ‖ π_ref) from a token that π drew: see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// d
    K1,
    /// d²/2
    K2,
    /// e^(−d) − 1 + d
    K3,
}

impl KlEstimator {
    /// The estimate at one token, in nats.
    ///
    /// ```
    /// use pspo::reward::KlEstimator;
    ///
    /// assert_eq!(KlEstimator::K1.at(-1.0, -3.0), 2.0);
    /// assert_eq!(KlEstimator::K2.at(-1.0, -3.0), 2.0);
    /// assert!((KlEstimator::K3.at(-1.0, -3.0) - 1.1353).abs() < 1e-4);
    /// ```
    pub fn at(self, log_policy: f32, log_reference: f32) -> f32 {
        let d = f64::from(log_ratio(log_policy, log_reference));
        let estimate = match self {
            Self::K1 => d,
            Self::K2 => d * d / 2.0,
            Self::K3 => (-d).exp_m1() + d,
        };
        estimate as f32
    }

    /// The estimate of each response, the sum over its tokens, in nats.
    ///
    /// # Errors
    /// If the rows differ.
    pub fn per_response(
        self,
        log_policy: &Ragged<f32>,
        log_reference: &Ragged<f32>,
    ) -> Result<Vec<f64>, RaggedError> {
        log_policy.same_rows(log_reference)?;
        let sum = |(policy, reference): (&[f32], &[f32])| {
            policy.iter().zip(reference).map(|(&p, &r)| f64::from(self.at(p, r))).sum()
        };
        Ok(log_policy.iter().zip(log_reference.iter()).map(sum).collect())
    }
}

/// A KL coefficient that is raised while the policy is farther from the reference than the target,
/// and lowered while it is nearer.
///
/// After n responses with mean divergence KL: e = clip(KL / target − 1, ± 0.2), then
/// β ← β (1 + e n / horizon). So β changes by a fifth at most within `horizon` responses. A batch of
/// more than `horizon` responses counts as `horizon`, which keeps β positive.
///
/// Serialized, it is its own state: `coefficient` is the current β.
///
/// ```
/// use std::num::NonZeroU64;
/// use pspo::data::numbers::{KlCoefficient, KlTarget};
/// use pspo::reward::AdaptiveKl;
///
/// let horizon = NonZeroU64::new(1000).unwrap();
/// let mut kl = AdaptiveKl::new(KlCoefficient::new(0.1), KlTarget::new(6.0), horizon)?;
/// assert_eq!(kl.update(60.0, 500)?.get(), 0.11); // e = 0.2, half a horizon
/// # Ok::<(), pspo::reward::RewardError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "AdaptiveKlFields")]
pub struct AdaptiveKl {
    coefficient: KlCoefficient,
    target: KlTarget,
    horizon: NonZeroU64,
}

impl AdaptiveKl {
    /// Bound on |e|.
    const MAX_ERROR: f64 = 0.2;

    /// A controller that starts from β = `coefficient`, towards `target` nats per response, over
    /// `horizon` responses.
    ///
    /// # Errors
    /// If `coefficient` is 0: factors would not change it.
    pub fn new(
        coefficient: KlCoefficient,
        target: KlTarget,
        horizon: NonZeroU64,
    ) -> Result<Self, RewardError> {
        if coefficient.get() == 0.0 {
            return Err(RewardError::ZeroCoefficient);
        }
        Ok(Self { coefficient, target, horizon })
    }

    /// The current β.
    pub fn coefficient(&self) -> KlCoefficient {
        self.coefficient
    }

    /// Adapts β to `kl`, the mean divergence per response in nats over `responses` responses, and
    /// returns it.
    ///
    /// # Errors
    /// If `kl` is not finite; β is unchanged then.
    pub fn update(&mut self, kl: f32, responses: u64) -> Result<KlCoefficient, RewardError> {
        if !kl.is_finite() {
            return Err(RewardError::Kl(kl));
        }
        let error = f64::from(kl) / f64::from(self.target.get()) - 1.0;
        let share = (responses as f64 / self.horizon.get() as f64).min(1.0);
        let factor = 1.0 + error.clamp(-Self::MAX_ERROR, Self::MAX_ERROR) * share;
        let coefficient = (f64::from(self.coefficient.get()) * factor) as f32;
        // Thousands of updates in one direction must not end at 0 or infinity, from where none returns.
        let coefficient = coefficient.clamp(f32::MIN_POSITIVE, f32::MAX);
        self.coefficient = KlCoefficient::try_new(coefficient).unwrap_or(self.coefficient);
        Ok(self.coefficient)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdaptiveKlFields {
    coefficient: KlCoefficient,
    target: KlTarget,
    horizon: NonZeroU64,
}

impl TryFrom<AdaptiveKlFields> for AdaptiveKl {
    type Error = RewardError;

    fn try_from(fields: AdaptiveKlFields) -> Result<Self, RewardError> {
        Self::new(fields.coefficient, fields.target, fields.horizon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KlEstimator::{K1, K2, K3};

    const POLICY: [f64; 3] = [0.2, 0.5, 0.3];
    const REFERENCE: [f64; 3] = [0.02, 0.08, 0.9];

    fn expectation(estimator: KlEstimator) -> f64 {
        let at = |(&p, &r): (&f64, &f64)| p * f64::from(estimator.at(p.ln() as f32, r.ln() as f32));
        POLICY.iter().zip(&REFERENCE).map(at).sum()
    }

    #[test]
    fn k1_and_k3_are_unbiased_and_k2_is_not() {
        let kl: f64 = POLICY.iter().zip(&REFERENCE).map(|(p, r)| p * (p / r).ln()).sum();
        assert!((expectation(K1) - kl).abs() < 1e-6);
        assert!((expectation(K3) - kl).abs() < 1e-6);
        assert!((expectation(K2) - kl).abs() > 0.01);
    }

    /// In the logits of π, the gradient of KL is Σ_a p_a d_a ∇ log p_a: that of k2 averaged over π's
    /// draws, held fixed.
    #[test]
    fn the_gradient_of_k2_is_that_of_the_divergence() {
        let softmax = |logits: [f64; 3]| -> [f64; 3] {
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            logits.map(|logit| logit.exp() / sum)
        };
        let kl = |p: [f64; 3]| -> f64 { p.iter().zip(&REFERENCE).map(|(p, r)| p * (p / r).ln()).sum() };
        let mean_k2 = |p: [f64; 3]| -> f64 {
            let k2 = |(p, r): (&f64, &f64)| f64::from(K2.at(p.ln() as f32, r.ln() as f32));
            p.iter().zip(&REFERENCE).map(k2).zip(POLICY).map(|(k2, drawn)| drawn * k2).sum()
        };
        let slope = |f: &dyn Fn([f64; 3]) -> f64, at: usize| {
            let moved = |by: f64| {
                let mut logits = POLICY.map(f64::ln);
                logits[at] += by;
                f(softmax(logits))
            };
            (moved(1e-2) - moved(-1e-2)) / 2e-2
        };
        for at in 0..3 {
            assert!((slope(&kl, at) - slope(&mean_k2, at)).abs() < 1e-4);
        }
        assert!(slope(&kl, 0).abs() > 0.01);
    }

    #[test]
    fn k3_is_never_negative_and_keeps_its_digits() {
        for d in [0.0, 1e-4, -1e-4, 1e-3, 1.0, -1.0, 15.0, -15.0] {
            let (k3, square) = (K3.at(d, 0.0), d * d / 2.0);
            assert!(k3 >= 0.0);
            assert!(d.abs() > 1e-3 || (k3 - square).abs() <= 1e-3 * square, "{d}: {k3}");
        }
    }

    #[test]
    fn the_ratio_is_clamped() {
        assert_eq!(K1.at(0.0, f32::NEG_INFINITY), 20.0);
        assert_eq!(K1.at(-30.0, -1.0), -20.0);
        assert_eq!(K2.at(-500.0, 0.0), 200.0);
        assert_eq!(K3.at(-500.0, 0.0), K3.at(-20.0, 0.0));
        assert!(K3.at(-500.0, 0.0).is_finite());
        assert!(K1.at(f32::NAN, 0.0).is_nan());
    }

    #[test]
    fn a_response_sums_its_own_tokens() {
        let policy: Ragged<f32> = [vec![-1.0, -2.0], vec![], vec![-0.5]].into_iter().collect();
        let reference: Ragged<f32> = [vec![-1.5, -1.0], vec![], vec![-4.5]].into_iter().collect();
        assert_eq!(K1.per_response(&policy, &reference), Ok(vec![-0.5, 0.0, 4.0]));
        let other: Ragged<f32> = [vec![-1.5], vec![], vec![-4.5]].into_iter().collect();
        assert_eq!(K1.per_response(&policy, &other), Err(RaggedError::Row { row: 0, left: 2, right: 1 }));
    }

    fn adaptive() -> AdaptiveKl {
        let horizon = NonZeroU64::new(100).unwrap();
        AdaptiveKl::new(KlCoefficient::new(0.5), KlTarget::new(4.0), horizon).unwrap()
    }

    #[test]
    fn the_coefficient_follows_its_rule() {
        let after = |kl, responses| adaptive().update(kl, responses).unwrap().get();
        assert_eq!(after(4.4, 50), 0.525); // e = 0.1
        assert_eq!(after(3.6, 50), 0.475);
        assert_eq!(after(400.0, 50), 0.55); // e clipped to 0.2
        assert_eq!(after(-400.0, 50), 0.45);
        assert_eq!(after(4.0, 50), 0.5);
        assert_eq!(after(400.0, 0), 0.5);
        assert_eq!(after(0.0, 100_000), 0.4); // never below 0.8 β at once
    }

    #[test]
    fn the_coefficient_stays_positive_and_finite_and_its_state_is_kept() {
        let mut kl = adaptive();
        for _ in 0..2000 {
            kl.update(0.0, 100).unwrap();
        }
        assert!(kl.coefficient().get() > 0.0);
        let text = serde_json::to_string(&kl).unwrap();
        assert_eq!(serde_json::from_str::<AdaptiveKl>(&text).unwrap(), kl);
        for _ in 0..2000 {
            kl.update(100.0, 100).unwrap();
        }
        assert!(kl.coefficient().get().is_finite());
        let before = kl;
        assert!(matches!(kl.update(f32::NAN, 1), Err(RewardError::Kl(_))));
        assert_eq!(kl, before);
        let error = serde_json::from_str::<AdaptiveKl>(r#"{"coefficient":0,"target":1,"horizon":1}"#);
        assert!(error.unwrap_err().to_string().contains("cannot start from 0"));
    }
}
