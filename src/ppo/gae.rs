//! [`Gae`]: advantages and returns from rewards and values.

use serde::{Deserialize, Serialize};

use crate::data::numbers::{Discount, GaeLambda};
use crate::data::{Ragged, RaggedError};

/// Generalized advantage estimation (Schulman et al. 2015), over each response by itself:
///
/// - δ_t = r_t + γ V_{t+1} − V_t, with V = 0 after the last token,
/// - A_t = δ_t + γ λ A_{t+1},
/// - the return at t, the critic's target, is A_t + V_t, before any whitening.
///
/// With `critic_lambda` the returns come from advantages of their own with that λ. At 1 the critic
/// learns from what was really earned later, without bias by its own errors, while the actor keeps a
/// λ of lower variance.
///
/// ```
/// use pspo::data::Ragged;
/// use pspo::ppo::Gae;
///
/// let rewards: Ragged<f32> = [vec![0.0, 1.0]].into_iter().collect();
/// let values: Ragged<f32> = [vec![0.5, 0.75]].into_iter().collect();
/// let estimates = Gae::default().estimate(&rewards, &values)?;
/// assert_eq!(estimates.advantages.row(0), [0.25 + 0.95 * 0.25, 0.25]);
/// assert_eq!(estimates.returns.row(0)[1], 1.0);
/// # Ok::<(), pspo::data::RaggedError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gae {
    /// γ
    pub discount: Discount,
    /// λ, for the advantages.
    pub lambda: GaeLambda,
    /// λ for the returns, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critic_lambda: Option<GaeLambda>,
}

/// γ = 1, λ = 0.95 for actor and critic.
impl Default for Gae {
    fn default() -> Self {
        Self {
            discount: const { Discount::new(1.0) },
            lambda: const { GaeLambda::new(0.95) },
            critic_lambda: None,
        }
    }
}

/// What [`Gae`] makes: a number per response token.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimates {
    /// How much better the token was than the critic thought, for the actor. Not whitened.
    pub advantages: Ragged<f32>,
    /// What the critic should have said.
    pub returns: Ragged<f32>,
}

impl Gae {
    /// Advantages and returns from a reward and a value per response token. Sums are taken in f64, so
    /// that thousands of tokens lose nothing.
    ///
    /// # Errors
    /// If the rows differ.
    pub fn estimate(&self, rewards: &Ragged<f32>, values: &Ragged<f32>) -> Result<Estimates, RaggedError> {
        rewards.same_rows(values)?;
        let discount = f64::from(self.discount.get());
        let actor = discount * f64::from(self.lambda.get());
        let critic = discount * f64::from(self.critic_lambda.unwrap_or(self.lambda).get());
        let mut advantages = vec![0.0; rewards.values().len()];
        let mut returns = vec![0.0; rewards.values().len()];
        for row in rewards.offsets().windows(2) {
            let (mut next_value, mut for_actor, mut for_critic) = (0.0, 0.0, 0.0);
            for t in (row[0]..row[1]).rev() {
                let (reward, value) = (f64::from(rewards.values()[t]), f64::from(values.values()[t]));
                let delta = reward + discount * next_value - value;
                for_actor = delta + actor * for_actor;
                for_critic = delta + critic * for_critic;
                advantages[t] = for_actor as f32;
                returns[t] = (for_critic + value) as f32;
                next_value = value;
            }
        }
        Ok(Estimates { advantages: rewards.with_values(advantages)?, returns: rewards.with_values(returns)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ragged<const N: usize>(rows: [&[f32]; N]) -> Ragged<f32> {
        rows.into_iter().map(<[f32]>::to_vec).collect()
    }

    fn gae(discount: f32, lambda: f32, critic_lambda: Option<f32>) -> Gae {
        Gae {
            discount: Discount::new(discount),
            lambda: GaeLambda::new(lambda),
            critic_lambda: critic_lambda.map(GaeLambda::new),
        }
    }

    /// By hand with γ = λ = ½: δ = (1 + ⅛ − ½, 0 + ½ − ¼, 2 − 1) = (⅝, ¼, 1), so
    /// A = (⅝ + ¼ · ½, ¼ + ¼ · 1, 1).
    #[test]
    fn a_case_by_hand() {
        let (rewards, values) = (ragged([&[1.0, 0.0, 2.0]]), ragged([&[0.5, 0.25, 1.0]]));
        let estimates = gae(0.5, 0.5, None).estimate(&rewards, &values).unwrap();
        assert_eq!(estimates.advantages.row(0), [0.75, 0.5, 1.0]);
        assert_eq!(estimates.returns.row(0), [1.25, 0.75, 2.0]);
    }

    #[test]
    fn the_critic_may_have_a_lambda_of_its_own() {
        let (rewards, values) = (ragged([&[1.0, 0.0, 2.0]]), ragged([&[0.5, 0.25, 1.0]]));
        let estimates = gae(0.5, 0.5, Some(1.0)).estimate(&rewards, &values).unwrap();
        assert_eq!(estimates.advantages.row(0), [0.75, 0.5, 1.0]);
        assert_eq!(estimates.returns.row(0), [1.5, 1.0, 2.0]); // discounted rewards to come
    }

    #[test]
    fn lambda_0_and_1() {
        let (rewards, values) = (ragged([&[0.0, 0.0, 1.0]]), ragged([&[0.5, 0.25, 0.75]]));
        let estimates = gae(1.0, 0.0, None).estimate(&rewards, &values).unwrap();
        assert_eq!(estimates.advantages.row(0), [-0.25, 0.5, 0.25]);
        assert_eq!(estimates.returns.row(0), [0.25, 0.75, 1.0]); // the next value
        let estimates = gae(1.0, 1.0, None).estimate(&rewards, &values).unwrap();
        assert_eq!(estimates.advantages.row(0), [0.5, 0.75, 0.25]);
        assert_eq!(estimates.returns.row(0), [1.0, 1.0, 1.0]); // the sum of rewards to come
    }

    #[test]
    fn nothing_of_one_row_leaks_into_another() {
        let rows: [(&[f32], &[f32]); 5] = [
            (&[0.5, -1.0, 0.25], &[0.1, 0.7, -0.3]),
            (&[], &[]),
            (&[1.0], &[0.9]),
            (&[1000.0, -1000.0], &[500.0, -500.0]),
            (&[0.0; 4], &[0.3, 0.2, 0.1, 0.6]),
        ];
        let gae = gae(0.99, 0.95, Some(1.0));
        let rewards: Ragged<f32> = rows.iter().map(|(rewards, _)| rewards.to_vec()).collect();
        let values: Ragged<f32> = rows.iter().map(|(_, values)| values.to_vec()).collect();
        let together = gae.estimate(&rewards, &values).unwrap();
        for (row, (rewards, values)) in rows.into_iter().enumerate() {
            let alone = gae.estimate(&ragged([rewards]), &ragged([values])).unwrap();
            assert_eq!(together.advantages.row(row), alone.advantages.row(0));
            assert_eq!(together.returns.row(row), alone.returns.row(0));
        }
    }

    #[test]
    fn long_rows_lose_no_digits() {
        let tokens = 100_000;
        let (rewards, values) = (ragged([&vec![0.1; tokens]]), ragged([&vec![0.0; tokens]]));
        let estimates = gae(1.0, 1.0, None).estimate(&rewards, &values).unwrap();
        let exact = tokens as f64 * f64::from(0.1_f32);
        assert_eq!(estimates.returns.row(0)[0], exact as f32);
    }

    #[test]
    fn rows_of_different_lengths_are_an_error() {
        let error = Gae::default().estimate(&ragged([&[0.0, 1.0]]), &ragged([&[0.0]])).unwrap_err();
        assert_eq!(error, RaggedError::Row { row: 0, left: 2, right: 1 });
    }

    #[test]
    fn a_config_is_read_and_checked() {
        assert_eq!(serde_json::from_str::<Gae>("{}").unwrap(), gae(1.0, 0.95, None));
        let json = r#"{"discount":0.5,"lambda":0.5,"critic_lambda":1.0}"#;
        assert_eq!(serde_json::from_str::<Gae>(json).unwrap(), gae(0.5, 0.5, Some(1.0)));
        assert!(serde_json::from_str::<Gae>(r#"{"lambda": 1.5}"#).is_err());
        assert!(serde_json::from_str::<Gae>(r#"{"lamda": 0.5}"#).is_err());
    }
}
