//! The PPO trainer: sample, judge, reward, update.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::Checkpoint;
use super::error::TrainerError;
use super::events::{Events, metrics};
use super::judged::{JudgedRollout, Tests, judge};
use super::kl_control::KlControl;
use super::stage::Stage;
use crate::data::numbers::{KlCoefficient, LengthPenalty};
use crate::data::{Problem, ProblemSet, Ragged, Seed, Sequence, Task, mean};
use crate::kernels::Device;
use crate::model::{Arch, Batch, Policy, ScalarModel, Tokenizer, Tuning, parts};
use crate::plugin::{CheckedPrm, CheckedSplitter, CheckedValueInit, PrmInput, ValueSources};
use crate::ppo::{Experience, Gae, Learner, UpdateConfig, UpdateFigures, whiten};
use crate::prompts::Exchange;
use crate::reward::{DenseReward, KlEstimator, OutcomeReward, ResponseReward, token_rewards};
use crate::rollouts::{Sampling, sample};
use crate::verify::VerifierPool;

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// Iterations: a batch of rollouts and an update each.
    pub iterations: usize,
    /// Prompts per iteration.
    pub prompts: NonZeroUsize,
    /// Responses per prompt.
    pub responses: NonZeroUsize,
    /// How responses are sampled: with top-p 1 and without top-k (checklist, 1), or no trainer is made.
    pub sampling: Sampling,
    /// β of the KL term in the reward.
    pub kl: KlControl,
    /// Taken off a response that was cut at the length limit.
    pub cut_penalty: LengthPenalty,
    /// Discount and λ of the advantages.
    pub gae: Gae,
    /// The update.
    pub update: UpdateConfig,
    /// What of policy and critic is trained. [`Tuning::Full`] leaves a policy that was [tuned](Policy::tuned) before as it
    /// is. What policy, reference and critic have in common and do not train they share.
    pub tuning: Tuning,
    /// Whether passes compute activations again in place of keeping them: see [`Policy::set_recompute`].
    pub recompute: bool,
}

impl Default for PpoConfig {
    fn default() -> Self {
        const BETA: KlCoefficient = KlCoefficient::new(0.02);
        const NONE: LengthPenalty = LengthPenalty::new(0.0);
        let count = |n| NonZeroUsize::new(n).expect("the constants here are not 0");
        Self {
            iterations: 100,
            prompts: count(64),
            responses: count(4),
            sampling: Sampling::default(),
            kl: KlControl::Fixed(BETA),
            cut_penalty: NONE,
            gae: Gae::default(),
            update: UpdateConfig::default(),
            tuning: Tuning::default(),
            recompute: false,
        }
    }
}

impl PpoConfig {
    /// Checks that what is sampled is what the update takes it for (checklist, 1).
    pub(crate) fn check(&self) -> Result<(), TrainerError> {
        let Sampling { top_p, top_k, .. } = self.sampling;
        let (key, value, valid) = match top_k {
            Some(top_k) => ("top_k", top_k.to_string(), "without top_k"),
            None if top_p.get() < 1.0 => ("top_p", top_p.get().to_string(), "with top_p = 1"),
            None => return Ok(()),
        };
        Err(TrainerError::Sampling { key, value, valid })
    }
}

/// R_RM, for prompts that are not code: a finite number for each prompt with its response, of which none is
/// empty. [`general_reward`](super::general_reward()) makes it of a model trained on preferences.
pub type RewardModel = Box<dyn Fn(&[&Sequence]) -> Result<Vec<f32>, TrainerError> + Send + Sync>;

/// What a trainer is made of. [`builder`](super::builder()) makes these with types that do not
/// let one forget a part; a program that chooses parts at run time fills them in itself.
pub struct Parts<A: Arch> {
    /// Where the critic's parameters live, and its kernels run.
    pub device: Device,
    /// The policy to start from, which is the reference as well.
    pub policy: Policy<A>,
    /// Text to tokens.
    pub tokenizer: Tokenizer,
    /// Problems to prompts, and responses to programs.
    pub exchange: Exchange,
    /// Problems to train on.
    pub problems: ProblemSet,
    /// Where steps are.
    pub splitter: CheckedSplitter,
    /// What judges programs.
    pub verifier: VerifierPool,
    /// What judges steps.
    pub prm: Option<Arc<CheckedPrm>>,
    /// How the PRM's scores become rewards: sparse rewards alone where absent.
    pub dense: Option<DenseReward>,
    /// What a program's verdict is worth.
    pub outcome: OutcomeReward,
    /// R_RM, needed where a problem is not code.
    pub reward_model: Option<RewardModel>,
    /// The critic's start.
    pub value_init: CheckedValueInit,
    /// All numbers.
    pub config: PpoConfig,
    /// The root of all randomness in this training.
    pub seed: Seed,
    /// What the run calls this training, in events and checkpoints.
    pub name: String,
}

/// A PPO training in progress.
pub struct Trainer<A: Arch> {
    learner: Learner<A>,
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
}

/// A response's rewards, before the KL term.
struct Rewarded {
    judged: JudgedRollout,
    outcome: f32,
    step_rewards: Vec<f32>,
}

impl Rewarded {
    /// Whether its outcome is known. One that could not be judged teaches nothing and counts nowhere.
    fn is_judged(&self) -> bool {
        self.judged.passes.is_some() || self.judged.problem.task == Task::Chat
    }
}

/// Policy and critic at their start, tuned as the config says.
fn models<A: Arch>(
    policy: &Policy<A>,
    prm: Option<&CheckedPrm>,
    value_init: &CheckedValueInit,
    device: &Device,
    config: &PpoConfig,
    seed: &Seed,
) -> Result<(Policy<A>, ScalarModel<A>), TrainerError> {
    let layout = A::DIMS.scalar_layout();
    // Copies on the host, of which a large model has few at a time.
    let critic = {
        let start = policy.parameters()?;
        let sources = ValueSources::new(&layout, &start, seed.child("critic"));
        let prm = prm.map(CheckedPrm::parameters).transpose()?.flatten();
        value_init.init(sources.with_prm(prm.as_deref()))?
    };
    let critic = ScalarModel::new(device, &critic)?;
    let (mut policy, mut critic) = match &config.tuning {
        Tuning::Full => (policy.fork(), critic),
        tuning => (
            policy.tuned(tuning, seed.child("policy tuning"))?,
            critic.tuned(tuning, seed.child("critic tuning"))?,
        ),
    };
    critic.share_frozen(&policy)?;
    policy.set_recompute(config.recompute);
    critic.set_recompute(config.recompute);
    Ok((policy, critic))
}

impl<A: Arch> Trainer<A> {
    /// A trainer from its parts.
    ///
    /// # Errors
    /// If a part is missing that another needs, sampling leaves out a part of the distribution, the
    /// tokenizer does not fit the policy, a problem has no prompt, or the critic cannot be made.
    pub fn from_parts(parts: Parts<A>) -> Result<Self, TrainerError> {
        let Parts {
            device,
            policy,
            tokenizer,
            exchange,
            problems,
            splitter,
            verifier,
            prm,
            dense,
            outcome,
            reward_model,
            value_init,
            config,
            seed,
            name,
        } = parts;
        if problems.is_empty() {
            return Err(TrainerError::NoProblems);
        }
        config.check()?;
        if dense.is_some() && prm.is_none() {
            return Err(TrainerError::NoPrm);
        }
        if let Some(dense) = &dense {
            dense.check_order(&outcome)?;
        }
        if outcome.counts_tests() && !verifier.counts_all() {
            return Err(TrainerError::UncountedTests);
        }
        if let (None, Some(chat)) =
            (&reward_model, problems.iter().find(|problem| problem.task == Task::Chat))
        {
            return Err(TrainerError::NoRewardModel(chat.id.clone()));
        }
        if tokenizer.vocabulary() > A::DIMS.vocabulary {
            let (tokenizer, policy) = (tokenizer.vocabulary(), A::DIMS.vocabulary);
            return Err(TrainerError::Vocabulary { tokenizer, policy });
        }
        let (policy, critic) = models(&policy, prm.as_deref(), &value_init, &device, &config, &seed)?;
        let prompts = problems.iter().map(|problem| exchange.tokens(problem, &tokenizer));
        let prompts = prompts.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            reference: policy.fork(),
            learner: Learner::new(config.update, policy, critic)?,
            tokenizer,
            exchange,
            problems,
            prompts,
            splitter,
            verifier,
            prm,
            dense,
            outcome,
            reward_model,
            kl: config.kl,
            config,
            seed,
            name,
            iteration: 0,
        })
    }

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

    fn reward(&self, judged: Vec<JudgedRollout>) -> Result<Vec<Rewarded>, TrainerError> {
        let chat: Vec<&Sequence> = judged
            .iter()
            .filter(|row| row.problem.task == Task::Chat && !row.rollout.sequence.response.is_empty())
            .map(|row| &row.rollout.sequence)
            .collect();
        let general = match &self.reward_model {
            Some(model) if !chat.is_empty() => model(&chat)?,
            _ => Vec::new(),
        };
        if general.len() != chat.len() {
            let (got, needed) = (general.len(), chat.len());
            return Err(TrainerError::RewardModel(format!("it gave {got} numbers for {needed} responses")));
        }
        if let Some(reward) = general.iter().find(|reward| !reward.is_finite()) {
            return Err(TrainerError::RewardModel(format!("it gave {reward}: a reward must be finite")));
        }
        let mut general = general.into_iter();
        // Dense rewards are for lines of code.
        let scored = |row: &JudgedRollout| row.problem.task == Task::Code && !row.steps.is_empty();
        let mut scores = match (&self.dense, &self.prm) {
            (Some(_), Some(prm)) => {
                let inputs: Vec<PrmInput<'_>> = judged
                    .iter()
                    .filter(|row| scored(row))
                    .map(|row| {
                        PrmInput::new(&row.problem, &row.steps, &row.rollout.sequence, &row.step_tokens)
                    })
                    .collect();
                prm.scores(&inputs)?.into_iter()
            }
            _ => Vec::new().into_iter(),
        };
        let mut rewarded = Vec::with_capacity(judged.len());
        for row in judged {
            let passes = row.passes.unwrap_or(false);
            let step_rewards = match &self.dense {
                Some(dense) if scored(&row) => {
                    let scores = scores.next().expect("one row of scores per scored response");
                    dense.step_rewards(&row.steps, &scores, passes)?
                }
                _ => Vec::new(),
            };
            let outcome = match row.problem.task {
                // A prompt that leaves no room for a response is left out of what is learned from.
                Task::Chat if row.rollout.sequence.response.is_empty() => 0.0,
                Task::Chat => general.next().expect("one number per response, as checked"),
                // Without a verdict it is masked, whatever stands here.
                Task::Code => {
                    row.verdict.as_ref().map_or(0.0, |verdict| self.outcome.of(verdict, row.rollout.finished))
                }
            };
            rewarded.push(Rewarded { judged: row, outcome, step_rewards });
        }
        Ok(rewarded)
    }

    /// Everything that the update needs, one number per token. Responses that could not be judged are
    /// left out.
    fn experience(&self, rows: &[Rewarded]) -> Result<Option<(Experience, Figures)>, TrainerError> {
        let kept: Vec<&Rewarded> = rows
            .iter()
            .filter(|row| row.is_judged() && !row.judged.rollout.sequence.response.is_empty())
            .collect();
        if kept.is_empty() {
            return Ok(None);
        }
        let sequences: Vec<Sequence> = kept.iter().map(|row| row.judged.rollout.sequence.clone()).collect();
        let log_probs: Ragged<f32> = kept.iter().map(|row| row.judged.rollout.log_probs.clone()).collect();
        let temperature = self.config.sampling.temperature;
        let lengths: Vec<usize> = sequences.iter().map(Sequence::len).collect();
        let (mut reference, mut values) = (Vec::new(), Vec::new());
        for part in parts(&lengths, self.config.update.micro_batch_tokens.get()) {
            let batch = Batch::responses(&A::DIMS, &sequences[part])?;
            reference.extend(self.reference.log_probs_no_grad(&batch, temperature)?.log_probs);
            values.extend(self.learner.critic.values_no_grad(&batch)?);
        }
        let reference_log_probs = log_probs.with_values(reference)?;
        let values = log_probs.with_values(values)?;
        let responses: Vec<ResponseReward<'_>> = kept
            .iter()
            .map(|row| ResponseReward {
                outcome: row.outcome,
                finished: row.judged.rollout.finished,
                step_tokens: if row.step_rewards.is_empty() { &[] } else { &row.judged.step_tokens },
                step_rewards: &row.step_rewards,
            })
            .collect();
        let (beta, penalty) = (self.kl.coefficient(), self.config.cut_penalty);
        let rewards = token_rewards(&log_probs, &reference_log_probs, &responses, beta, penalty)?;
        let estimates = self.config.gae.estimate(&rewards, &values)?;
        let kl = KlEstimator::K1.per_response(&log_probs, &reference_log_probs)?;
        let figures = Figures {
            kl: mean(kl.iter().copied()),
            returns: mean(estimates.returns.values().iter().map(|&r| f64::from(r))),
            advantage: mean(estimates.advantages.values().iter().map(|&a| f64::from(a))),
            explained_variance: explained_variance(estimates.returns.values(), values.values()),
        };
        let experience = Experience {
            sequences,
            log_probs,
            reference_log_probs,
            values,
            advantages: whiten(&estimates.advantages),
            returns: estimates.returns,
            temperature,
        };
        Ok(Some((experience, figures)))
    }

    fn report(
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
struct Figures {
    kl: f64,
    returns: f64,
    advantage: f64,
    explained_variance: f64,
}

/// 1 − Var(R − V) / Var(R); 0 where all returns are equal.
fn explained_variance(returns: &[f32], values: &[f32]) -> f64 {
    let variance = |numbers: &dyn Fn() -> Vec<f64>| {
        let numbers = numbers();
        let center = mean(numbers.iter().copied());
        mean(numbers.iter().map(|number| (number - center).powi(2)))
    };
    let total = variance(&|| returns.iter().map(|&r| f64::from(r)).collect());
    let left = variance(&|| returns.iter().zip(values).map(|(&r, &v)| f64::from(r - v)).collect());
    if total > 0.0 { 1.0 - left / total } else { 0.0 }
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
        let state = State { iteration: self.iteration, kl: self.kl, policy_steps, critic_steps };
        Ok(Checkpoint {
            tensors: tensors.map(|(name, tensors)| (name.to_owned(), tensors)).into(),
            state: serde_json::to_value(state)?,
        })
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainerError> {
        let state: State = serde_json::from_value(checkpoint.state.clone())?;
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
