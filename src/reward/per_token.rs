//! [`token_rewards`]: what each token of each response is rewarded with.

use super::RewardError;
use super::kl::KlEstimator;
use crate::data::Ragged;
use crate::data::numbers::{KlCoefficient, LengthPenalty};

/// What one response is rewarded with beside the KL term.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResponseReward<'a> {
    /// R: of unit tests 1 or 0, or the general reward model's.
    pub outcome: f32,
    /// Whether it ends with an end-of-sequence token. If not it was cut at the length limit and has
    /// failed: no positive outcome counts, and the penalty is taken off.
    pub finished: bool,
    /// The token (from 0) that ends each step, in any order and with repetitions.
    pub step_tokens: &'a [usize],
    /// The dense reward of each step: λ R_PRM(m). Those of steps that share a token add up.
    pub step_rewards: &'a [f32],
}

impl ResponseReward<'_> {
    /// A response with an outcome alone.
    pub fn sparse(outcome: f32, finished: bool) -> Self {
        Self { outcome, finished, step_tokens: &[], step_rewards: &[] }
    }
}

/// The reward of each response token:
/// r_t = −β d_t + \[t last\] R + \[t ends line m\] λ R_PRM(m),
/// with d_t = log π_old − log π_ref, the estimator k1, clamped to ± 20.
///
/// `log_policy` and `log_reference` hold a row per response and a number per response token, in nats;
/// `responses` one entry per row. `cut_penalty` is taken off the last token of a response that was cut
/// at the length limit.
///
/// ```
/// use pspo::data::Ragged;
/// use pspo::data::numbers::{KlCoefficient, LengthPenalty};
/// use pspo::reward::{ResponseReward, token_rewards};
///
/// let log_policy: Ragged<f32> = [vec![-1.0, -0.5, -2.0]].into_iter().collect();
/// let log_reference: Ragged<f32> = [vec![-1.5, -0.5, -1.0]].into_iter().collect();
/// let response =
///     ResponseReward { outcome: 1.0, finished: true, step_tokens: &[1], step_rewards: &[0.25] };
/// let (beta, penalty) = (KlCoefficient::new(0.5), LengthPenalty::new(0.0));
/// let rewards = token_rewards(&log_policy, &log_reference, &[response], beta, penalty)?;
/// assert_eq!(rewards.row(0), [-0.25, 0.25, 1.5]);
/// # Ok::<(), pspo::reward::RewardError>(())
/// ```
///
/// # Errors
/// If the rows do not fit together, a response has no token, a step ends at a token that is not there,
/// or a reward is not finite.
pub fn token_rewards(
    log_policy: &Ragged<f32>,
    log_reference: &Ragged<f32>,
    responses: &[ResponseReward<'_>],
    beta: KlCoefficient,
    cut_penalty: LengthPenalty,
) -> Result<Ragged<f32>, RewardError> {
    if responses.len() != log_policy.rows() {
        return Err(RewardError::ResponseCount { got: responses.len(), needed: log_policy.rows() });
    }
    log_policy.same_rows(log_reference)?;
    let mut rewards = Ragged::new();
    for (row, response) in responses.iter().enumerate() {
        let (policy, reference) = (log_policy.row(row), log_reference.row(row));
        let kl = policy.iter().zip(reference).map(|(&p, &r)| KlEstimator::K1.at(p, r));
        let mut tokens: Vec<f32> = kl.map(|kl| -beta.get() * kl).collect();
        add_steps(&mut tokens, row, response)?;
        let last = tokens.last_mut().ok_or(RewardError::NoTokens(row))?;
        *last += match response.finished {
            true => response.outcome,
            false => response.outcome.min(0.0) - cut_penalty.get(),
        };
        if let Some(token) = tokens.iter().position(|reward| !reward.is_finite()) {
            let (policy, reference, reward) = (policy[token], reference[token], tokens[token]);
            return Err(RewardError::NotFinite { row, token, reward, policy, reference });
        }
        rewards.push(tokens);
    }
    Ok(rewards)
}

fn add_steps(tokens: &mut [f32], row: usize, response: &ResponseReward<'_>) -> Result<(), RewardError> {
    let ResponseReward { step_tokens, step_rewards, .. } = response;
    if step_tokens.len() != step_rewards.len() {
        let (rewards, tokens) = (step_rewards.len(), step_tokens.len());
        return Err(RewardError::StepCount { row, rewards, tokens });
    }
    let len = tokens.len();
    for (&token, reward) in step_tokens.iter().zip(*step_rewards) {
        *tokens.get_mut(token).ok_or(RewardError::StepToken { row, token, len })? += reward;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::RaggedError;

    const BETA: KlCoefficient = KlCoefficient::new(0.5);
    const NO_PENALTY: LengthPenalty = LengthPenalty::new(0.0);

    fn ragged<const N: usize>(rows: [&[f32]; N]) -> Ragged<f32> {
        rows.into_iter().map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn each_term_is_where_it_belongs() {
        let policy = ragged([&[-1.0, -2.0, -3.0, -1.0], &[-1.0]]);
        let reference = ragged([&[-2.0, -2.0, -1.0, -1.5], &[-1.0]]);
        let dense = ResponseReward {
            outcome: 1.0,
            finished: true,
            step_tokens: &[0, 2, 2],
            step_rewards: &[0.125, -0.25, 0.0625],
        };
        let responses = [dense, ResponseReward::sparse(-0.5, true)];
        let rewards = token_rewards(&policy, &reference, &responses, BETA, NO_PENALTY).unwrap();
        assert_eq!(rewards.row(0), [-0.5 + 0.125, 0.0, 1.0 - 0.25 + 0.0625, -0.25 + 1.0]);
        assert_eq!(rewards.row(1), [-0.5]);
    }

    #[test]
    fn the_log_ratio_is_clamped() {
        let policy = ragged([&[0.0, -100.0, -1.0]]);
        let reference = ragged([&[f32::NEG_INFINITY, -1.0, -1.0]]);
        let responses = [ResponseReward::sparse(0.0, true)];
        let rewards = token_rewards(&policy, &reference, &responses, BETA, NO_PENALTY).unwrap();
        assert_eq!(rewards.row(0), [-10.0, 10.0, 0.0]);
    }

    #[test]
    fn a_response_cut_at_the_length_limit_has_failed() {
        let zero = ragged([&[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]]);
        let responses = [
            ResponseReward::sparse(1.0, true),
            ResponseReward::sparse(1.0, false),
            ResponseReward::sparse(0.0, false),
            ResponseReward::sparse(-2.0, false), // by a reward model: being cut must not lift it
        ];
        let last = |penalty: f32| -> Vec<f32> {
            let penalty = LengthPenalty::new(penalty);
            let rewards = token_rewards(&zero, &zero, &responses, BETA, penalty).unwrap();
            rewards.iter().map(|row| row[1]).collect()
        };
        assert_eq!(last(0.0), [1.0, 0.0, 0.0, -2.0]);
        assert_eq!(last(0.25), [1.0, -0.25, -0.25, -2.25]);
    }

    #[test]
    fn rows_that_do_not_fit_are_errors() {
        let row = ragged([&[-1.0, -1.0]]);
        let rewards = |policy: &Ragged<f32>, reference: &Ragged<f32>, response| {
            token_rewards(policy, reference, &[response], BETA, NO_PENALTY).unwrap_err()
        };
        let sparse = ResponseReward::sparse(1.0, true);
        assert_eq!(
            rewards(&ragged([]), &ragged([]), sparse),
            RewardError::ResponseCount { got: 1, needed: 0 }
        );
        assert_eq!(
            rewards(&row, &ragged([&[-1.0]]), sparse),
            RewardError::Rows(RaggedError::Row { row: 0, left: 2, right: 1 })
        );
        assert_eq!(rewards(&ragged([&[]]), &ragged([&[]]), sparse), RewardError::NoTokens(0));
        assert_eq!(
            rewards(&row, &row, ResponseReward { step_tokens: &[2], step_rewards: &[0.1], ..sparse }),
            RewardError::StepToken { row: 0, token: 2, len: 2 }
        );
        assert_eq!(
            rewards(&row, &row, ResponseReward { step_tokens: &[1], ..sparse }),
            RewardError::StepCount { row: 0, rewards: 0, tokens: 1 }
        );
        assert!(matches!(
            rewards(&ragged([&[-1.0, f32::NAN]]), &row, sparse),
            RewardError::NotFinite { row: 0, token: 1, .. }
        ));
    }
}
