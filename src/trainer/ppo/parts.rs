//! [`Parts`]: what a trainer is made of, and how.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{PpoConfig, Trainer};
use crate::data::{ProblemSet, Seed, Sequence, Task};
use crate::kernels::Device;
use crate::model::{Arch, Policy, ScalarModel, Scorer, Tokenizer, Tuning};
use crate::plugin::{CheckedPrm, CheckedSplitter, CheckedValueInit, ValueSources};
use crate::ppo::Learner;
use crate::prompts::Exchange;
use crate::reward::{DenseReward, OutcomeReward};
use crate::trainer::error::TrainerError;
use crate::verify::VerifierPool;

/// R_RM, for prompts that are not code: a finite number for each prompt with its response, of which none is
/// empty. [`general_reward`](crate::trainer::general_reward()) makes it of a model trained on preferences.
pub type RewardModel = Box<dyn Fn(&[&Sequence]) -> Result<Vec<f32>, TrainerError> + Send + Sync>;

/// What a trainer is made of. [`builder`](crate::trainer::builder()) makes these with types that do not
/// let one forget a part; a program that chooses parts at run time fills them in itself.
pub struct Parts<A: Arch> {
    /// Where the critic's parameters live, and its kernels run, unless it shares the trunk of the policy or the PRM.
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

/// What a critic's trunk began as, on which its adapters stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CriticTrunk {
    /// The policy's.
    Policy,
    /// That of the PRM, whose adapters go on as the critic's.
    Prm,
    /// What the value initialization gave, adapters merged.
    Own,
}

impl fmt::Display for CriticTrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "the policy's trunk",
            Self::Prm => "the PRM's trunk",
            Self::Own => "a trunk of its own",
        })
    }
}

/// Policy and critic at their start, tuned as the config says, and what the critic's trunk is.
fn models<A: Arch>(
    policy: &Policy<A>,
    prm: Option<&CheckedPrm>,
    value_init: &CheckedValueInit,
    device: &Device,
    config: &PpoConfig,
    seed: &Seed,
) -> Result<(Policy<A>, ScalarModel<A>, CriticTrunk), TrainerError> {
    let tuning = &config.tuning;
    let tuned = || match tuning {
        Tuning::Full => Ok(policy.fork()),
        tuning => policy.tuned(tuning, seed.child("policy tuning")),
    };
    let critic_seed = seed.child("critic tuning");
    let (mut policy, mut critic, trunk) = if let Some(head) = value_init.head_on_policy(A::DIMS.width)? {
        let policy = tuned()?;
        let critic = ScalarModel::on_policy(&policy, &head, tuning, critic_seed)?;
        (policy, critic, CriticTrunk::Policy)
    } else if let Some(critic) = on_prm(policy, prm, value_init, tuning, critic_seed)? {
        (tuned()?, critic, CriticTrunk::Prm)
    } else {
        let layout = A::DIMS.scalar_layout();
        // Copies on the host, of which a large model has few at a time.
        let critic = {
            let start = policy.parameters()?;
            let sources = ValueSources::new(&layout, &start, seed.child("critic"));
            let prm = prm.map(CheckedPrm::parameters).transpose()?.flatten();
            value_init.init(sources.with_prm(prm.as_deref()))?
        };
        let critic = ScalarModel::new_in(device, &critic, policy.precision())?;
        let policy = tuned()?;
        let mut critic = critic.tuned(tuning, critic_seed)?;
        critic.share_frozen(&policy)?;
        (policy, critic, CriticTrunk::Own)
    };
    policy.set_recompute(config.recompute);
    critic.set_recompute(config.recompute);
    Ok((policy, critic, trunk))
}

/// The critic that is the PRM under another head, where it is to be that and the PRM is where the policy is.
fn on_prm<A: Arch>(
    policy: &Policy<A>,
    prm: Option<&CheckedPrm>,
    value_init: &CheckedValueInit,
    tuning: &Tuning,
    seed: Seed,
) -> Result<Option<ScalarModel<A>>, TrainerError> {
    let scorer = prm.and_then(|prm| prm.on_device()?.downcast_ref::<Scorer>());
    let Some(scorer) = scorer else { return Ok(None) };
    let Some(head) = value_init.head_on_prm(&scorer.head()?)? else { return Ok(None) };
    Ok(ScalarModel::on_scorer(scorer, policy, &head, tuning, seed)?)
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
        let (policy, critic, critic_trunk) =
            models(&policy, prm.as_deref(), &value_init, &device, &config, &seed)?;
        let prompts = exchange.prompts(problems.iter().map(Arc::as_ref), &tokenizer)?;
        Ok(Self {
            reference: policy.fork(),
            learner: Learner::new(config.update, policy, critic)?,
            critic_trunk,
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
}
