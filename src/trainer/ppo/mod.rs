//! The PPO trainer: sample, judge, reward, update.

mod config;
mod experience;
mod parts;
mod report;
mod rewards;

use std::sync::Arc;

pub use config::PpoConfig;
pub use parts::{CriticTrunk, Parts, RewardModel};
use rand::seq::SliceRandom;
use rewards::Rewarded;
use serde::{Deserialize, Serialize};

use super::Checkpoint;
use super::error::TrainerError;
use super::events::Events;
use super::judged::{Tests, judge};
use super::kl_control::KlControl;
use super::stage::Stage;
use crate::data::{Problem, ProblemSet, Seed};
use crate::model::{Arch, Policy, ScalarModel, Tokenizer, Tuning};
use crate::plugin::{CheckedPrm, CheckedSplitter};
use crate::ppo::Learner;
use crate::prompts::Exchange;
use crate::reward::{DenseReward, OutcomeReward};
use crate::rollouts::sample;
use crate::verify::VerifierPool;

/// A PPO training in progress.
pub struct Trainer<A: Arch> {
    learner: Learner<A>,
    critic_trunk: CriticTrunk,
    reference: Policy<A>,
    tokenizer: Tokenizer,
    exchange: Exchange,
    problems: ProblemSet,
    prompts: Vec<Vec<u32>>,
    splitter: CheckedSplitter,
    verifier: VerifierPool,
    prm: Option<Arc<CheckedPrm>>,
    dense: Option<DenseReward>,
    outcome: OutcomeReward,
    reward_model: Option<RewardModel>,
    config: PpoConfig,
    kl: KlControl,
    seed: Seed,
    name: String,
    iteration: usize,
}

/// What of a trainer is no tensor.
#[derive(Serialize, Deserialize)]
struct State {
    iteration: usize,
    kl: KlControl,
    policy_steps: u32,
    critic_steps: u32,
    /// Absent in saves of earlier versions.
    critic_trunk: Option<CriticTrunk>,
}

impl<A: Arch> Trainer<A> {
    /// The policy as it is.
    pub fn policy(&self) -> &Policy<A> {
        &self.learner.policy
    }

    /// The critic as it is.
    pub fn critic(&self) -> &ScalarModel<A> {
        &self.learner.critic
    }

    /// The problems of the current iteration: a function of seed and iteration alone.
    fn draw(&self) -> Vec<usize> {
        let (count, len) = (self.config.prompts.get(), self.problems.len());
        let first = self.iteration * count;
        let place = |place: usize| (place / len, place % len);
        let order = |epoch: usize| {
            let mut order: Vec<usize> = (0..len).collect();
            order.shuffle(&mut self.seed.child("problems").index(epoch as u64).rng());
            order
        };
        let mut epoch = (usize::MAX, Vec::new());
        (first..first + count)
            .map(|at| {
                let (number, within) = place(at);
                if epoch.0 != number {
                    epoch = (number, order(number));
                }
                epoch.1[within]
            })
            .collect()
    }

    /// Samples, judges and rewards one batch.
    fn roll_out(&self) -> Result<Vec<Rewarded>, TrainerError> {
        let drawn = self.draw();
        let prompts: Vec<Vec<u32>> = drawn.iter().map(|&problem| self.prompts[problem].clone()).collect();
        let problems: Vec<Arc<Problem>> = drawn
            .iter()
            .map(|&problem| self.problems.get(problem).expect("drawn from the problems").clone())
            .collect();
        let seed = self.seed.child("rollouts").index(self.iteration as u64);
        let responses = self.config.responses.get();
        let policy = &self.learner.policy;
        let sampling = self.config.sampling.with_stops(self.exchange.stops());
        let rollouts = sample(policy, &self.tokenizer, &prompts, responses, &sampling, seed)?;
        let judged =
            judge(rollouts, &problems, &self.exchange, &self.splitter, &self.verifier, Tests::Rewarded)?;
        self.reward(judged)
    }
}

impl<A: Arch> Stage for Trainer<A> {
    fn name(&self) -> &str {
        &self.name
    }

    fn total(&self) -> u64 {
        self.config.iterations as u64
    }

    fn done(&self) -> u64 {
        self.iteration as u64
    }

    fn about(&self) -> String {
        self.verifier.about()
    }

    fn advance(&mut self, events: &mut Events) -> Result<(), TrainerError> {
        let rows = self.roll_out()?;
        let Some((experience, figures)) = self.experience(&rows)? else {
            events.message(
                &self.name,
                self.iteration as u64 + 1,
                "no response could be judged: nothing was learned",
            )?;
            self.iteration += 1;
            return Ok(());
        };
        let seed = self.seed.child("update").index(self.iteration as u64);
        let update = self.learner.update(&experience, seed)?;
        self.iteration += 1;
        self.report(&rows, figures, update, events)?;
        if let KlControl::Adaptive(adaptive) = &mut self.kl {
            adaptive.update(figures.kl as f32, experience.sequences.len() as u64)?;
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainerError> {
        let Learner { policy, critic, policy_optimizer, critic_optimizer, .. } = &self.learner;
        let (policy_first, policy_second, policy_steps) = policy_optimizer.state()?;
        let (critic_first, critic_second, critic_steps) = critic_optimizer.state()?;
        let tensors = [
            ("policy", policy.trained()?),
            ("policy.first", policy_first),
            ("policy.second", policy_second),
            ("critic", critic.trained()?),
            ("critic.first", critic_first),
            ("critic.second", critic_second),
        ];
        let (iteration, kl, critic_trunk) = (self.iteration, self.kl, Some(self.critic_trunk));
        let state = State { iteration, kl, policy_steps, critic_steps, critic_trunk };
        Ok(Checkpoint {
            tensors: tensors.map(|(name, tensors)| (name.to_owned(), tensors)).into(),
            state: serde_json::to_value(state)?,
        })
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainerError> {
        let state: State = serde_json::from_value(checkpoint.state.clone())?;
        if let (Tuning::Lora(_), Some(found)) = (&self.config.tuning, state.critic_trunk)
            && found != self.critic_trunk
        {
            return Err(TrainerError::CriticTrunk { found, needed: self.critic_trunk });
        }
        let group = |name: &str| checkpoint.group(name);
        let Learner { policy, critic, policy_optimizer, critic_optimizer, .. } = &mut self.learner;
        policy.set_trained(group("policy")?)?;
        critic.set_trained(group("critic")?)?;
        policy_optimizer.restore(group("policy.first")?, group("policy.second")?, state.policy_steps)?;
        critic_optimizer.restore(group("critic.first")?, group("critic.second")?, state.critic_steps)?;
        self.iteration = state.iteration;
        self.kl = state.kl;
        Ok(())
    }
}
