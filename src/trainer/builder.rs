//! The builder: a trainer that lacks a part does not compile.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::error::TrainerError;
use super::ppo::{Parts, PpoConfig, RewardModel, Trainer};
use crate::data::{Parameters, ProblemSet, Seed};
use crate::kernels::Device;
use crate::model::{Arch, Policy, ScalarModel, Tokenizer};
use crate::plugin::{
    CheckedPrm, CheckedSplitter, CheckedValueInit, CheckedVerifier, ProcessRewardModel, StepSplitter,
    ValueInit, ValueInitError, ValueSources, Verifier,
};
use crate::prm::TrainedPrm;
use crate::prompts::Exchange;
use crate::reward::{DenseReward, OutcomeReward};
use crate::verify::{ErrorLimit, VerifierPool};

/// Begins a trainer for `policy`, which is the reference as well.
pub fn builder<A: Arch>(policy: &Policy<A>, tokenizer: &Tokenizer) -> TrainerBuilder<A> {
    TrainerBuilder {
        base: Base {
            device: policy.device().clone(),
            policy: policy.fork(),
            tokenizer: tokenizer.clone(),
            exchange: Exchange::default(),
            outcome: OutcomeReward::default(),
            reward_model: None,
            error_limit: ErrorLimit::default(),
            verifier_jobs: None,
            config: PpoConfig::default(),
            seed: Seed::root(0),
            name: "rl".into(),
        },
        problems: NoProblems,
        splitter: NoSplitter,
        verifier: NoVerifier,
        rewards: NoRewards,
        prm: NoPrm,
        value_init: NoValueInit,
    }
}

/// A trainer in the making. Each type parameter after the first says whether a part is there.
pub struct TrainerBuilder<
    A: Arch,
    B = NoProblems,
    S = NoSplitter,
    V = NoVerifier,
    R = NoRewards,
    P = NoPrm,
    I = NoValueInit,
> {
    base: Base<A>,
    problems: B,
    splitter: S,
    verifier: V,
    rewards: R,
    prm: P,
    value_init: I,
}

/// A trainer in the making whose critic has a start.
pub type WithCritic<A, B, S, V, R, P> = TrainerBuilder<A, B, S, V, R, P, CheckedValueInit>;

struct Base<A: Arch> {
    device: Device,
    policy: Policy<A>,
    tokenizer: Tokenizer,
    exchange: Exchange,
    outcome: OutcomeReward,
    reward_model: Option<RewardModel>,
    error_limit: ErrorLimit,
    verifier_jobs: Option<NonZeroUsize>,
    config: PpoConfig,
    seed: Seed,
    name: String,
}

/// No problems yet.
#[derive(Debug)]
pub struct NoProblems;
/// No splitter yet.
#[derive(Debug)]
pub struct NoSplitter;
/// No verifier yet.
#[derive(Debug)]
pub struct NoVerifier;
/// No choice of rewards yet.
#[derive(Debug)]
pub struct NoRewards;
/// No process reward model.
#[derive(Debug)]
pub struct NoPrm;
/// No start for the critic yet.
#[derive(Debug)]
pub struct NoValueInit;
/// Sparse rewards: the outcome alone.
#[derive(Debug)]
pub struct Sparse;
/// Dense rewards: the outcome, and the PRM's judgement of each line.
#[derive(Debug)]
pub struct Dense(DenseReward);

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// Problems, given.
#[diagnostic::on_unimplemented(
    message = "the trainer has no problems to train on",
    label = "call `.problems(..)` before `.build()`"
)]
pub trait GivenProblems: Sealed {
    #[doc(hidden)]
    fn take(self) -> ProblemSet;
}

/// A splitter, given.
#[diagnostic::on_unimplemented(
    message = "the trainer has no step splitter",
    label = "call `.splitter(..)` before `.build()`"
)]
pub trait GivenSplitter: Sealed {
    #[doc(hidden)]
    fn take(self) -> CheckedSplitter;
}

/// A verifier, given.
#[diagnostic::on_unimplemented(
    message = "the trainer has no verifier",
    label = "call `.verifier(..)` before `.build()`"
)]
pub trait GivenVerifier: Sealed {
    #[doc(hidden)]
    fn take(self) -> CheckedVerifier;
}

/// Rewards that the PRM, given or not, allows.
#[diagnostic::on_unimplemented(
    message = "the trainer does not know how to reward with `{Self}`",
    label = "call `.sparse_rewards()`, or `.dense_rewards(..)` and `.prm(..)`, before `.build()`",
    note = "dense rewards need a process reward model: `.prm(..)` supplies it"
)]
pub trait GivenRewards: Sealed {
    #[doc(hidden)]
    fn take(self) -> (Option<DenseReward>, Option<Arc<CheckedPrm>>);
}

/// A start for the critic, given.
#[diagnostic::on_unimplemented(
    message = "the trainer has no start for its critic",
    label = "call `.value_init(..)` or `.critic_from(..)` before `.build()`"
)]
pub trait GivenValueInit: Sealed {
    #[doc(hidden)]
    fn take(self) -> CheckedValueInit;
}

impl Sealed for ProblemSet {}
impl GivenProblems for ProblemSet {
    fn take(self) -> ProblemSet {
        self
    }
}

impl Sealed for CheckedSplitter {}
impl GivenSplitter for CheckedSplitter {
    fn take(self) -> CheckedSplitter {
        self
    }
}

impl Sealed for CheckedVerifier {}
impl GivenVerifier for CheckedVerifier {
    fn take(self) -> CheckedVerifier {
        self
    }
}

impl Sealed for CheckedValueInit {}
impl GivenValueInit for CheckedValueInit {
    fn take(self) -> CheckedValueInit {
        self
    }
}

impl Sealed for (Sparse, NoPrm) {}
impl GivenRewards for (Sparse, NoPrm) {
    fn take(self) -> (Option<DenseReward>, Option<Arc<CheckedPrm>>) {
        (None, None)
    }
}

impl Sealed for (Sparse, Arc<CheckedPrm>) {}
/// A PRM without dense rewards still serves the critic's start.
impl GivenRewards for (Sparse, Arc<CheckedPrm>) {
    fn take(self) -> (Option<DenseReward>, Option<Arc<CheckedPrm>>) {
        (None, Some(self.1))
    }
}

impl Sealed for (Dense, Arc<CheckedPrm>) {}
impl GivenRewards for (Dense, Arc<CheckedPrm>) {
    fn take(self) -> (Option<DenseReward>, Option<Arc<CheckedPrm>>) {
        (Some(self.0.0), Some(self.1))
    }
}

/// What a critic of shape `A` may start from as a copy.
#[diagnostic::on_unimplemented(
    message = "a critic of shape `{A}` cannot start from `{Self}`",
    label = "not a model of shape `{A}`",
    note = "policy, critic and PRM of one trainer have one shape: train the PRM with the policy's `Arch`"
)]
pub trait CriticSource<A: Arch> {
    /// Trunk and scalar head.
    ///
    /// # Errors
    /// If the device fails.
    fn parameters(&self) -> Result<Parameters, TrainerError>;
}

impl<A: Arch> CriticSource<A> for ScalarModel<A> {
    fn parameters(&self) -> Result<Parameters, TrainerError> {
        Ok(self.parameters()?)
    }
}

impl<A: Arch> CriticSource<A> for TrainedPrm<A> {
    fn parameters(&self) -> Result<Parameters, TrainerError> {
        let parameters = ProcessRewardModel::parameters(self)?;
        Ok(parameters.expect("a trained PRM has a trunk and a head").into_owned())
    }
}

/// Starts from given parameters.
struct Copied(Parameters);

impl ValueInit for Copied {
    fn init(&self, _sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        Ok(self.0.clone())
    }
}

/// Names the fields that stay as they are when one changes its type.
macro_rules! with {
    ($builder:ident, $field:ident: $value:expr $(, $rest:ident)*) => {
        TrainerBuilder { base: $builder.base, $field: $value, $($rest: $builder.$rest),* }
    };
}

impl<A: Arch, B, S, V, R, P, I> TrainerBuilder<A, B, S, V, R, P, I> {
    /// Where the critic runs; by default where the policy does. A critic that shares the policy's trunk runs there anyway.
    #[must_use]
    pub fn device(mut self, device: &Device) -> Self {
        self.base.device = device.clone();
        self
    }

    /// How problems become prompts and responses programs; by default as they are.
    #[must_use]
    pub fn exchange(mut self, exchange: Exchange) -> Self {
        self.base.exchange = exchange;
        self
    }

    /// The problems to train on.
    pub fn problems(self, problems: ProblemSet) -> TrainerBuilder<A, ProblemSet, S, V, R, P, I> {
        with!(self, problems: problems, splitter, verifier, rewards, prm, value_init)
    }

    /// Where steps are.
    pub fn splitter(
        self,
        splitter: impl StepSplitter + 'static,
    ) -> TrainerBuilder<A, B, CheckedSplitter, V, R, P, I> {
        with!(self, splitter: CheckedSplitter::new(splitter), problems, verifier, rewards, prm, value_init)
    }

    /// What judges programs.
    pub fn verifier(
        self,
        verifier: impl Verifier + 'static,
    ) -> TrainerBuilder<A, B, S, CheckedVerifier, R, P, I> {
        with!(self, verifier: CheckedVerifier::new(verifier), problems, splitter, rewards, prm, value_init)
    }

    /// The outcome alone.
    pub fn sparse_rewards(self) -> TrainerBuilder<A, B, S, V, Sparse, P, I> {
        with!(self, rewards: Sparse, problems, splitter, verifier, prm, value_init)
    }

    /// The outcome, and the PRM's judgement of each line (equation 3).
    pub fn dense_rewards(self, rule: DenseReward) -> TrainerBuilder<A, B, S, V, Dense, P, I> {
        with!(self, rewards: Dense(rule), problems, splitter, verifier, prm, value_init)
    }

    /// What judges steps.
    pub fn prm(
        self,
        prm: impl ProcessRewardModel + 'static,
    ) -> TrainerBuilder<A, B, S, V, R, Arc<CheckedPrm>, I> {
        let prm = Arc::new(CheckedPrm::new(prm));
        with!(self, prm: prm, problems, splitter, verifier, rewards, value_init)
    }

    /// The critic's start.
    pub fn value_init(
        self,
        init: impl ValueInit + 'static,
    ) -> TrainerBuilder<A, B, S, V, R, P, CheckedValueInit> {
        with!(self, value_init: CheckedValueInit::new(init), problems, splitter, verifier, rewards, prm)
    }

    /// The critic starts as a copy of a model of the policy's own shape: a trained PRM, or the critic of
    /// another training. See [`FromPrm`](crate::value::FromPrm) for the rescaled start.
    ///
    /// # Errors
    /// If the source's device fails.
    pub fn critic_from(
        self,
        source: &impl CriticSource<A>,
    ) -> Result<WithCritic<A, B, S, V, R, P>, TrainerError> {
        Ok(self.value_init(Copied(source.parameters()?)))
    }

    /// What a program's verdict is worth: 1 for a pass and 0 for all else by default, or a grade of how it failed.
    ///
    /// ```
    /// use pspo::model::Arch;
    /// use pspo::reward::OutcomeReward;
    /// use pspo::trainer::TrainerBuilder;
    ///
    /// fn graded<A: Arch>(builder: TrainerBuilder<A>) -> TrainerBuilder<A> {
    ///     builder.outcome_reward(OutcomeReward::Levels)
    /// }
    /// ```
    #[must_use]
    pub fn outcome_reward(mut self, outcome: OutcomeReward) -> Self {
        self.base.outcome = outcome;
        self
    }

    /// R_RM, for problems that are not code.
    #[must_use]
    pub fn reward_model(mut self, model: RewardModel) -> Self {
        self.base.reward_model = Some(model);
        self
    }

    /// When the verifier's errors stop the run.
    #[must_use]
    pub fn error_limit(mut self, limit: ErrorLimit) -> Self {
        self.base.error_limit = limit;
        self
    }

    /// Verdicts made at a time, on threads of their own: [`VerifierPool::with_jobs`]. Rayon's threads make them
    /// otherwise.
    #[must_use]
    pub fn verifier_jobs(mut self, jobs: NonZeroUsize) -> Self {
        self.base.verifier_jobs = Some(jobs);
        self
    }

    /// All numbers.
    #[must_use]
    pub fn config(mut self, config: PpoConfig) -> Self {
        self.base.config = config;
        self
    }

    /// The root of all randomness in this training.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.base.seed = seed;
        self
    }

    /// What events and checkpoints call this training; `rl` by default.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.base.name = name.into();
        self
    }

    /// The trainer.
    ///
    /// # Errors
    /// Those of [`Trainer::from_parts`].
    pub fn build(self) -> Result<Trainer<A>, TrainerError>
    where
        B: GivenProblems,
        S: GivenSplitter,
        V: GivenVerifier,
        (R, P): GivenRewards,
        I: GivenValueInit,
    {
        let Base { device, policy, tokenizer, exchange, outcome, reward_model, config, seed, name, .. } =
            self.base;
        let verifier = VerifierPool::new(self.verifier.take(), self.base.error_limit);
        let verifier = match self.base.verifier_jobs {
            Some(jobs) => verifier.with_jobs(jobs)?,
            None => verifier,
        };
        let (dense, prm) = (self.rewards, self.prm).take();
        Trainer::from_parts(Parts {
            device,
            policy,
            tokenizer,
            exchange,
            problems: self.problems.take(),
            splitter: self.splitter.take(),
            verifier,
            prm,
            dense,
            outcome,
            reward_model,
            value_init: self.value_init.take(),
            config,
            seed,
            name,
        })
    }
}
