//! The figures of an iteration.

use super::Trainer;
use super::rewards::Rewarded;
use crate::data::mean;
use crate::model::Arch;
use crate::ppo::UpdateFigures;
use crate::trainer::error::TrainerError;
use crate::trainer::events::{Events, metrics};

impl<A: Arch> Trainer<A> {
    pub(super) fn report(
        &self,
        rows: &[Rewarded],
        figures: Figures,
        update: UpdateFigures,
        events: &mut Events,
    ) -> Result<(), TrainerError> {
        let over = |f: &dyn Fn(&Rewarded) -> f64| mean(rows.iter().filter(|row| row.is_judged()).map(f));
        let code = || rows.iter().filter(|row| row.judged.passes.is_some());
        let lines = over(&|row| row.judged.steps.len() as f64);
        let comments = over(&|row| (row.judged.steps.len() - row.judged.steps.code_lines()) as f64);
        let unjudged = rows.iter().filter(|row| !row.is_judged());
        let metrics = [
            (metrics::REWARD, over(&|row| f64::from(row.outcome))),
            (
                metrics::PASS_RATE,
                mean(code().map(|row| f64::from(u8::from(row.judged.passes == Some(true))))),
            ),
            (metrics::DENSE_REWARD, over(&|row| row.step_rewards.iter().map(|&r| f64::from(r)).sum())),
            (metrics::KL, figures.kl),
            (metrics::KL_COEFFICIENT, f64::from(self.kl.coefficient().get())),
            (metrics::RETURN, figures.returns),
            (metrics::ADVANTAGE, figures.advantage),
            (metrics::EXPLAINED_VARIANCE, figures.explained_variance),
            (metrics::POLICY_LOSS, update.policy_loss),
            (metrics::VALUE_LOSS, update.value_loss),
            (metrics::ENTROPY, update.entropy),
            (metrics::CLIP_FRACTION, update.clip_fraction),
            (metrics::UPDATE_KL, update.moved),
            (metrics::GRADIENT_NORM, update.policy_gradient_norm),
            (metrics::SAMPLER_GAP, update.sampler_gap),
            (metrics::RESPONSE_TOKENS, over(&|row| row.judged.rollout.sequence.response.len() as f64)),
            (metrics::TRUNCATED, over(&|row| f64::from(u8::from(!row.judged.rollout.finished)))),
            (metrics::LINES, lines),
            (metrics::COMMENT_RATIO, if lines > 0.0 { comments / lines } else { 0.0 }),
            (metrics::VERIFIER_ERRORS, unjudged.count() as f64),
        ];
        Ok(events.scalars(&self.name, self.iteration as u64, &metrics)?)
    }
}

/// Figures of a batch of experience.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) kl: f64,
    pub(super) returns: f64,
    pub(super) advantage: f64,
    pub(super) explained_variance: f64,
}

/// 1 − Var(R − V) / Var(R); 0 where all returns are equal.
pub(super) fn explained_variance(returns: &[f32], values: &[f32]) -> f64 {
    let variance = |numbers: &dyn Fn() -> Vec<f64>| {
        let numbers = numbers();
        let center = mean(numbers.iter().copied());
        mean(numbers.iter().map(|number| (number - center).powi(2)))
    };
    let total = variance(&|| returns.iter().map(|&r| f64::from(r)).collect());
    let left = variance(&|| returns.iter().zip(values).map(|(&r, &v)| f64::from(r - v)).collect());
    if total > 0.0 { 1.0 - left / total } else { 0.0 }
}
