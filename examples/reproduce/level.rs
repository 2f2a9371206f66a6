//! The level of a critic that starts as a PRM: what its numbers are moved to.

use pspo::model::{Arch, Batch, ScalarModel};
use pspo::plugin::CheckedPrm;
use pspo::reward::DenseReward;
use pspo::trainer::JudgedRollout;

use crate::Result;
use crate::setting::Tiny;

/// Responses that a model is asked about at a time.
const ROWS: usize = 32;

/// V = `scale` · number + `shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    pub scale: f64,
    pub shift: f64,
}

impl Level {
    /// What is nearest to the returns of `judged`, by squares over all their tokens.
    pub fn fitted(
        prm: &ScalarModel<Tiny>,
        judged: &[JudgedRollout],
        dense: Option<(&CheckedPrm, &DenseReward)>,
    ) -> Result<Self> {
        let judged = judged.iter().filter(|row| row.passes.is_some()).collect::<Vec<_>>();
        let (mut numbers, mut returns) = (Vec::new(), Vec::new());
        for rows in judged.chunks(ROWS) {
            let sequences = rows.iter().map(|row| &row.rollout.sequence);
            numbers.extend(prm.values_no_grad(&Batch::responses(&Tiny::DIMS, sequences)?)?);
            let dense = dense.map(|(prm, rule)| step_rewards(prm, rule, rows)).transpose()?;
            for (place, row) in rows.iter().enumerate() {
                returns.extend(to_go(row, dense.as_ref().map_or(&[], |rewards| &rewards[place])));
            }
        }
        Ok(Self::nearest(&numbers, &returns))
    }

    /// Least squares. Numbers that are all the same get the mean of `returns`.
    fn nearest(numbers: &[f32], returns: &[f64]) -> Self {
        let count = numbers.len().max(1) as f64;
        let numbers = || numbers.iter().map(|&number| f64::from(number));
        let mean_number = numbers().sum::<f64>() / count;
        let mean_return = returns.iter().sum::<f64>() / count;
        let variance: f64 = numbers().map(|number| (number - mean_number).powi(2)).sum();
        let together: f64 = numbers()
            .zip(returns)
            .map(|(number, value)| (number - mean_number) * (value - mean_return))
            .sum();
        let scale = if variance > 0.0 { together / variance } else { 0.0 };
        Self { scale, shift: mean_return - scale * mean_number }
    }
}

/// The dense rewards of each row's steps.
fn step_rewards(prm: &CheckedPrm, rule: &DenseReward, rows: &[&JudgedRollout]) -> Result<Vec<Vec<f32>>> {
    let inputs: Vec<_> = rows.iter().map(|row| row.prm_input()).collect();
    let scores = prm.scores(&inputs)?;
    let rewards = rows
        .iter()
        .zip(&scores)
        .map(|(row, scores)| Ok(rule.step_rewards(&row.steps, scores, row.passes == Some(true))?));
    rewards.collect()
}

/// The return from each response token on, undiscounted and without the KL term, which is 0 at the policy's start. In f64, where
/// `token_rewards` and `Gae` have f32: another last digit of the fit is another training than that of the records.
fn to_go(row: &JudgedRollout, step_rewards: &[f32]) -> Vec<f64> {
    let mut rewards = vec![0.0; row.rollout.sequence.response.len()];
    for (&token, &reward) in row.step_tokens.iter().zip(step_rewards) {
        rewards[token] += f64::from(reward);
    }
    if let Some(last) = rewards.last_mut() {
        *last += f64::from(u8::from(row.passes == Some(true)));
    }
    let mut sum = 0.0;
    for reward in rewards.iter_mut().rev() {
        sum += *reward;
        *reward = sum;
    }
    rewards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_line_is_that_of_least_squares() {
        let Level { scale, shift } = Level::nearest(&[-1.0, 0.0, 1.0, 2.0], &[1.0, 1.5, 2.0, 2.5]);
        assert!((scale - 0.5).abs() < 1e-12 && (shift - 1.5).abs() < 1e-12, "{scale} {shift}");
        assert_eq!(Level::nearest(&[0.5, 0.5], &[1.0, 2.0]), Level { scale: 0.0, shift: 1.5 });
    }
}
