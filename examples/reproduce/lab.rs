//! One seed's stages. What several trainings need, such as the start policy and the labels, is made once and kept.

use std::path::Path;
use std::sync::Arc;

use pspo::data::numbers::Fraction;
use pspo::data::{Parameters, Problem, Seed};
use pspo::kernels::Device;
use pspo::label::{BinarySearch, EveryPrefix};
use pspo::model::{Arch, Policy, ScalarModel};
use pspo::plugin::value_init::TRUNK;
use pspo::plugin::{
    CheckedPrm, CheckedSplitter, CheckedValueInit, ProcessRewardModel, ValueInit, ValueInitError,
    ValueSources,
};
use pspo::prm::{HeldOut, PrmExample, PrmTraining, PrmTrainingConfig, TrainedPrm};
use pspo::prompts::Exchange;
use pspo::reward::DenseReward;
use pspo::sft::Sft;
use pspo::steps::Lines;
use pspo::trainer::events::Events;
use pspo::trainer::{
    Checkpoint, Evaluation, JudgedRollout, LabeledResponse, Parts, PpoConfig, Run, Stage, Trainer,
    TrainerError, evaluate,
};
use pspo::value::{FromPolicy, FromPrm, at_level};
use pspo_oracle_prm::{OraclePrm, OraclePrmConfig};
use pspo_prior_value_init::PrmPrior;

use crate::Result;
use crate::config::{Collect, FreshnessStudy, LabelStudy, Tuned};
use crate::data::{Asked, LabelledPrompt, PrmData, comments_as_code, returns};
use crate::freshness::{Age, FreshnessRecord, FreshnessRow};
use crate::labels::{LabelRecord, LabelRow};
use crate::level::Level;
use crate::record::{Curves, Record, Test};
use crate::setting::{Setting, TEMPERATURES, Tiny};
use crate::shuffled::Shuffled;
use crate::truth::Truth;
use crate::variant::{self, Length, Prm, PrmLevel, START, Scores, Start, Variant};

/// Stages whose outcome others take.
const SOURCE: &str = "source";
const LABELS: &str = "labels";
const RETURNS: &str = "returns-critic";

/// A seed and its folder.
pub struct Lab<'a> {
    setting: &'a Setting,
    number: u64,
    seed: Seed,
    device: Device,
    run: Run,
    /// Responses of the start policy, once an arm has asked for them.
    at_start: Option<Arc<[JudgedRollout]>>,
}

impl<'a> Lab<'a> {
    /// Begins with the seed `number` in `folder`, or goes on.
    pub fn new(setting: &'a Setting, number: u64, folder: &Path) -> Result<Self> {
        let about = serde_json::json!({ "example": "reproduce", "seed": number, "config": setting.config });
        let run = Run::start(folder, &about, folder.join("run.json").is_file())?;
        Ok(Self { setting, number, seed: Seed::root(number), device: Device::cpu(), run, at_start: None })
    }

    /// π_ref.
    pub fn start(&mut self) -> Result<Policy<Tiny>> {
        let Setting { config, corpus, tokenizer, .. } = self.setting;
        let examples = corpus.iter().map(|(prompt, program)| tokenizer.example(prompt, program));
        let examples = examples.collect::<std::result::Result<_, _>>()?;
        let policy = Policy::random(&self.device, self.seed.child("policy"))?;
        let mut sft = Sft::new(config.sft.clone(), policy, examples, self.seed.child("sft"))?;
        self.run.stage(&mut sft)?;
        Ok(sft.into_policy())
    }

    /// The baseline whose checkpoints PRM data is sampled from. It trains as the config says, whatever was tuned.
    pub fn source(&mut self, start: &Policy<Tiny>) -> Result<(Trainer<Tiny>, Vec<Checkpoint>)> {
        let mut trainer = Trainer::from_parts(self.parts(start, self.setting.config.ppo(None), SOURCE)?)?;
        let checkpoints = self.run.stage_keeping(&mut trainer, self.setting.config.collect.checkpoints)?;
        Ok((trainer, checkpoints))
    }

    /// The parts of the baseline.
    fn parts(&self, start: &Policy<Tiny>, config: PpoConfig, name: &str) -> Result<Parts<Tiny>> {
        Ok(Parts {
            device: self.device.clone(),
            policy: start.fork(),
            tokenizer: self.setting.tokenizer.clone(),
            exchange: Exchange::default(),
            problems: self.setting.rl.clone(),
            splitter: CheckedSplitter::new(Lines::python()),
            verifier: self.setting.verifier(false)?,
            prm: None,
            dense: None,
            outcome: variant::BASELINE.outcome(),
            reward_model: None,
            value_init: CheckedValueInit::new(FromPolicy::default()),
            config,
            seed: self.seed.child("rl"),
            name: name.into(),
        })
    }

    /// Trains a variant, or goes on with it: the policies on its way, each with the iterations before it.
    fn train(&mut self, variant: &Variant, tuned: &Tuned) -> Result<Vec<(u64, Policy<Tiny>)>> {
        let start = self.start()?;
        let mut config = self.setting.config.ppo(Some(tuned));
        config.iterations = match variant.length {
            Length::Usual => config.iterations,
            Length::LabelsToo => config.iterations + self.worth_of_labels(&start)?,
            Length::Guards => self.setting.config.guards.iterations,
        };
        let mut parts = self.parts(&start, config, &stage(variant, tuned))?;
        parts.outcome = variant.outcome();
        parts.verifier = self.setting.verifier(variant.fraction)?;
        self.equip(&mut parts, variant, &start)?;
        let mut trainer = Trainer::from_parts(parts)?;
        let count = self.setting.config.checkpoints;
        let checkpoints = self.run.stage_keeping(&mut trainer, count)?;
        let iterations = (1..=count).map(|number| self.setting.config.done_at(trainer.total(), number));
        let policies = checkpoints.iter().map(|checkpoint| policy_at(&self.device, checkpoint));
        iterations.zip(policies).map(|(done, policy)| Ok((done, policy?))).collect()
    }

    /// The record of a variant's training, with tests of its checkpoints where they are asked for.
    pub fn record(&mut self, variant: &Variant, tuned: &Tuned, tested: bool) -> Result<Record> {
        let policies = self.train(variant, tuned)?;
        let stage = stage(variant, tuned);
        let mut tests = Vec::new();
        for (checkpoint, (iterations, policy)) in (1..).zip(policies.iter().filter(|_| tested)) {
            tests.extend(self.test(&format!("{stage}-{checkpoint}"), policy, checkpoint, *iterations)?);
        }
        let curves = Curves::read(&self.run.folder().read_events()?, &stage);
        Ok(Record {
            arm: variant.training.to_owned(),
            seed: self.number,
            tuned: Some(*tuned),
            tests,
            curves,
            seconds: self.seconds(&stage),
            seconds_before: self.seconds_before(variant),
        })
    }

    /// Seconds of the stages whose outcome a variant takes; the start policy is everybody's.
    fn seconds_before(&self, variant: &Variant) -> f64 {
        let usual = self.setting.config.collect.responses;
        let labels = self.seconds(LABELS) * variant.prm.responses(usual) as f64 / usual as f64;
        match variant.start {
            _ if variant.takes_prm() => self.seconds(SOURCE) + labels + self.seconds(&variant.prm.name()),
            Start::Critic => self.seconds(SOURCE),
            Start::Returns => self.seconds(RETURNS),
            Start::Zero | Start::Prm { .. } => 0.0,
        }
    }

    fn seconds(&self, stage: &str) -> f64 {
        self.run.seconds().get(stage).copied().unwrap_or_default()
    }

    /// The start policy's record.
    pub fn untrained(&mut self) -> Result<Record> {
        let start = self.start()?;
        let tests = self.test(START, &start, 0, 0)?;
        let (arm, seconds) = (START.to_owned(), self.seconds(START));
        let (seed, curves) = (self.number, Curves::default());
        Ok(Record { arm, seed, tuned: None, tests, curves, seconds, seconds_before: 0.0 })
    }

    /// PRM, dense rewards and the critic's start.
    fn equip(&mut self, parts: &mut Parts<Tiny>, variant: &Variant, start: &Policy<Tiny>) -> Result<()> {
        let objective = variant.prm.objective;
        let parameters = if variant.takes_prm() { Some(self.prm(start, &variant.prm)?) } else { None };
        let prm = match &parameters {
            Some(parameters) => {
                Some(TrainedPrm::new(ScalarModel::<Tiny>::new(&self.device, parameters)?, objective))
            }
            None => None,
        };
        let seed = self.seed.child("shuffled");
        parts.prm = match (variant.scores, prm) {
            (Some(Scores::Oracle), _) => Some(CheckedPrm::new(OraclePrm::new(OraclePrmConfig::default()))),
            (Some(Scores::Shuffled), Some(prm)) => Some(CheckedPrm::new(Shuffled { prm, seed })),
            (Some(Scores::Prm), Some(prm)) => Some(CheckedPrm::new(prm)),
            _ => None,
        }
        .map(Arc::new);
        parts.dense = variant.scores.map(|_| variant.guard.rule());
        let given = match (variant.start, parameters) {
            (Start::Prm(level), Some(parameters)) => match level {
                PrmLevel::Copied => Some(Given::new(parameters, FromPrm { rescale: false })),
                PrmLevel::Chance => Some(Given::new(parameters, FromPrm { rescale: true })),
                PrmLevel::PassRate => {
                    let judged = self.judged_at_start(start)?;
                    let passed = judged.iter().filter(|row| row.passes == Some(true)).count();
                    let pass_rate = Fraction::try_new(passed as f32 / judged.len().max(1) as f32)?;
                    Some(Given::new(parameters, PrmPrior { pass_rate }))
                }
                PrmLevel::Fitted => {
                    let dense = parts.prm.as_deref().zip(parts.dense.as_ref());
                    let Level { scale, shift } = self.level(variant, start, &parameters, dense)?;
                    Some(Given::new(at_level(parameters, scale, shift)?, FromPrm { rescale: false }))
                }
            },
            (Start::Critic, _) => {
                let critic = self.source(start)?.0.critic().parameters()?;
                Some(Given::new(critic, FromPrm { rescale: false }))
            }
            (Start::Returns, _) => Some(Given::new(self.returns(start)?, FromPrm { rescale: true })),
            _ => None,
        };
        if let Some(given) = given {
            parts.value_init = CheckedValueInit::new(given);
        }
        Ok(())
    }

    /// What a PRM's numbers are moved to, to be near the returns of the start policy.
    fn level(
        &mut self,
        variant: &Variant,
        start: &Policy<Tiny>,
        prm: &Parameters,
        dense: Option<(&CheckedPrm, &DenseReward)>,
    ) -> Result<Level> {
        let judged = self.judged_at_start(start)?;
        let level = Level::fitted(&ScalarModel::new(&self.device, prm)?, &judged, dense)?;
        println!("{} with seed {}: {level:?}", variant.name, self.number);
        Ok(level)
    }

    /// As many responses of the start policy as the PRM's.
    fn judged_at_start(&mut self, start: &Policy<Tiny>) -> Result<Arc<[JudgedRollout]>> {
        if let Some(judged) = &self.at_start {
            return Ok(Arc::clone(judged));
        }
        let Collect { prompts, checkpoints, responses, .. } = self.setting.config.collect;
        let problems = problems(self.setting, 0, prompts * checkpoints as usize);
        let asked = Asked { policy: start, problems: &problems, responses, seed: self.seed.child("returns") };
        let judged = asked.judged(self.setting, &self.setting.verifier(false)?)?;
        Ok(Arc::clone(self.at_start.insert(judged.into())))
    }

    /// A PRM, trained from the baseline's critic.
    pub fn prm(&mut self, start: &Policy<Tiny>, prm: &Prm) -> Result<Parameters> {
        let (source, checkpoints) = self.source(start)?;
        let examples = self.examples(&checkpoints, prm)?;
        let config = PrmTrainingConfig { objective: prm.objective, ..self.setting.config.prm.clone() };
        self.fit(&prm.name(), source.critic().parameters()?, examples, config)
    }

    /// What a PRM learns from.
    fn examples(&mut self, checkpoints: &[Checkpoint], prm: &Prm) -> Result<Vec<PrmExample>> {
        let collect = &self.setting.config.collect;
        let responses = prm.responses(collect.responses);
        let every = if prm.half_responses == Some(1) { 2 } else { 1 };
        let prompts = self.labelled(checkpoints, responses)?.into_iter().step_by(every);
        Ok(self.kept(prompts, prm))
    }

    /// What its selection keeps of labelled responses, as it has comments.
    fn kept(&self, prompts: impl IntoIterator<Item = LabelledPrompt>, prm: &Prm) -> Vec<PrmExample> {
        let selection = prm.selection.unwrap_or(self.setting.config.collect.selection);
        let kept = selection.select(prompts, |(_, example)| example.labels.class).into_iter();
        let example = |(_, example): (_, PrmExample)| match prm.neutral {
            true => example,
            false => PrmExample { labels: comments_as_code(&example.labels), ..example },
        };
        kept.map(example).collect()
    }

    /// Labelled responses of the baseline's checkpoints, by prompt: the first of the usual number, or these and more.
    fn labelled(&mut self, checkpoints: &[Checkpoint], responses: usize) -> Result<Vec<LabelledPrompt>> {
        let usual = self.setting.config.collect.responses;
        let mut prompts = self.labels(checkpoints, LABELS, usual)?.prompts;
        if responses > usual {
            let more = self.labels(checkpoints, "more-labels", responses - usual)?.prompts;
            prompts.iter_mut().zip(more).for_each(|(prompt, more)| prompt.extend(more));
        } else {
            // Rollouts are numbered prompt by prompt.
            let first = |(response, _): &(LabeledResponse, _)| response.rollout % usual < responses;
            prompts.iter_mut().for_each(|prompt| prompt.retain(first));
        }
        Ok(prompts)
    }

    /// Responses of the baseline's checkpoints, `responses` to each prompt, with a label for every line.
    fn labels(&mut self, checkpoints: &[Checkpoint], name: &str, responses: usize) -> Result<PrmData> {
        let Self { setting, seed, device, run, .. } = self;
        let Collect { prompts, completions, .. } = setting.config.collect;
        let pool = setting.verifier(false)?;
        Ok(run.once(name, |_| {
            let mut data = PrmData::default();
            for (number, checkpoint) in checkpoints.iter().enumerate() {
                let policy = policy_at(device, checkpoint)?;
                let seed = seed.child(name).index(number as u64);
                let problems = problems(setting, number * prompts, prompts);
                let asked = Asked { policy: &policy, problems: &problems, responses, seed };
                let part = asked.labelled(setting, &pool, BinarySearch::best_of(completions))?;
                data.prompts.extend(part.prompts);
                data.cost += part.cost;
            }
            Ok(data)
        })?)
    }

    /// Study 4: labels of responses by each labeler, beside the truth.
    pub fn compare_labels(&mut self) -> Result<LabelRecord> {
        let start = self.start()?;
        let (_, checkpoints) = self.source(&start)?;
        let LabelStudy { completions, prompts, responses } = self.setting.config.labels.clone();
        let pool = self.setting.verifier(false)?;
        let mut rows = Vec::new();
        for every_prefix in [false, true] {
            for &k in &completions {
                let Self { setting, seed, device, run, .. } = self;
                let kind = if every_prefix { "every-prefix" } else { "binary-search" };
                rows.push(run.once(&format!("compared-{kind}-{k}"), |_| {
                    let labeler = kind.to_owned();
                    let mut row = LabelRow { labeler, completions_asked: k, ..LabelRow::default() };
                    for (number, checkpoint) in checkpoints.iter().enumerate() {
                        let policy = policy_at(device, checkpoint)?;
                        // From the other end of the problems than the PRM's data, with the same completions for all K.
                        let first = setting.rl.len().saturating_sub((number + 1) * prompts);
                        let problems = problems(setting, first, prompts);
                        let seed = seed.child("compared labels").index(number as u64);
                        let asked = Asked { policy: &policy, problems: &problems, responses, seed };
                        let data = match every_prefix {
                            true => asked.labelled(setting, &pool, EveryPrefix::best_of(k))?,
                            false => asked.labelled(setting, &pool, BinarySearch::best_of(k))?,
                        };
                        row.count(&problems, &data);
                    }
                    Ok(row)
                })?);
            }
        }
        Ok(LabelRecord { seed: self.number, rows })
    }

    /// Study 7: how good the PRM is on responses of the policy that trains with it.
    pub fn freshness(&mut self, tuned: &Tuned) -> Result<FreshnessRecord> {
        let start = self.start()?;
        let trained = self.train(&variant::BOTH, tuned)?;
        let parameters = self.prm(&start, &variant::BOTH.prm)?;
        let prm = TrainedPrm::new(
            ScalarModel::<Tiny>::new(&self.device, &parameters)?,
            variant::BOTH.prm.objective,
        );
        let FreshnessStudy { prompts, responses } = self.setting.config.freshness;
        let problems = problems(self.setting, self.setting.rl.len().saturating_sub(prompts), prompts);
        let pool = self.setting.verifier(false)?;
        let policies: Vec<_> = [(0, start)].into_iter().chain(trained).collect();
        let judged = (0..).zip(&policies).map(|(number, (iteration, policy))| {
            let seed = self.seed.child("freshness").index(number);
            let asked = Asked { policy, problems: &problems, responses, seed };
            Ok((*iteration, asked.judged(self.setting, &pool)?))
        });
        let judged: Vec<_> = judged.collect::<Result<_>>()?;
        let last = judged.len() - 1;
        let fresh = self.prm_of(&policies[last].1, &policies[0].1)?;
        let mut rows = Vec::new();
        for (prm, age, judged) in [(prm, Age::Before, &judged[..]), (fresh, Age::Fresh, &judged[last..])] {
            for (iteration, judged) in judged {
                for truth in Truth::ALL {
                    rows.push(FreshnessRow::of(*iteration, age, truth, &held_out(&prm, truth, judged)?));
                }
            }
        }
        Ok(FreshnessRecord { seed: self.number, tuned: *tuned, rows })
    }

    /// A PRM that is trained as that of the arms, on as many responses, all of them of `policy`.
    fn prm_of(&mut self, policy: &Policy<Tiny>, start: &Policy<Tiny>) -> Result<TrainedPrm<Tiny>> {
        let (source, _) = self.source(start)?;
        let Collect { prompts, checkpoints, responses, completions, .. } = self.setting.config.collect;
        let count = prompts * checkpoints as usize;
        let Self { setting, seed, run, .. } = self;
        let (pool, seed) = (setting.verifier(false)?, seed.child("fresh labels"));
        let data: PrmData = run.once("fresh-labels", |_| {
            // Behind those of the PRM's data.
            let problems = problems(setting, count, count);
            let asked = Asked { policy, problems: &problems, responses, seed };
            asked.labelled(setting, &pool, BinarySearch::best_of(completions))
        })?;
        let prm = &variant::BOTH.prm;
        let examples = self.kept(data.prompts, prm);
        let parameters =
            self.fit("prm-fresh", source.critic().parameters()?, examples, self.setting.config.prm.clone())?;
        Ok(TrainedPrm::new(ScalarModel::<Tiny>::new(&self.device, &parameters)?, prm.objective))
    }

    /// A critic fitted to the returns of the start policy.
    fn returns(&mut self, start: &Policy<Tiny>) -> Result<Parameters> {
        let examples = returns(&self.judged_at_start(start)?);
        let mut critic = Parameters::zeros(Tiny::DIMS.scalar_layout());
        critic.copy_prefix_from(&start.parameters()?, TRUNK)?;
        self.fit(RETURNS, critic, examples, self.setting.config.prm.clone())
    }

    fn fit(
        &mut self,
        name: &str,
        from: Parameters,
        examples: Vec<PrmExample>,
        config: PrmTrainingConfig,
    ) -> Result<Parameters> {
        let start = ScalarModel::<Tiny>::new(&self.device, &from)?;
        let training = PrmTraining::new(config, start, examples, self.seed.child("prm"))?;
        let mut training = Named { name: name.to_owned(), training };
        self.run.stage(&mut training)?;
        Ok(training.training.model().parameters()?)
    }

    /// Iterations that sample as many tokens as the labels took.
    fn worth_of_labels(&mut self, start: &Policy<Tiny>) -> Result<usize> {
        let (_, checkpoints) = self.source(start)?;
        let labels =
            self.labels(&checkpoints, LABELS, self.setting.config.collect.responses)?.tokens() as f64;
        let curves = Curves::read(&self.run.folder().read_events()?, SOURCE);
        let ppo = &self.setting.config.ppo;
        let rows = (ppo.prompts.get() * ppo.responses.get()) as f64;
        Ok((labels / (rows * curves.mean_tokens())).ceil() as usize)
    }

    /// Pass@1's samples at both temperatures, of a training's checkpoint after some iterations.
    fn test(
        &mut self,
        name: &str,
        policy: &Policy<Tiny>,
        checkpoint: u64,
        iterations: u64,
    ) -> Result<Vec<Test>> {
        let Setting { config, tokenizer, held_out, .. } = self.setting;
        let (pool, seed) = (self.setting.verifier(false)?, self.seed.child("eval"));
        let mut tests = Vec::new();
        for temperature in TEMPERATURES {
            let sampling = self.setting.testing(temperature);
            let result: Evaluation = self.run.once(&format!("eval-{name}-{}", temperature.get()), |_| {
                let exchange = Exchange::default();
                evaluate(policy, tokenizer, &exchange, held_out, &pool, config.samples, &sampling, seed)
            })?;
            tests.push(Test::new(checkpoint, iterations, temperature, &result));
        }
        Ok(tests)
    }
}

/// The policy that a training's checkpoint holds.
fn policy_at(device: &Device, checkpoint: &Checkpoint) -> std::result::Result<Policy<Tiny>, TrainerError> {
    Ok(Policy::new(device, checkpoint.group("policy")?)?)
}

/// The name of a variant's stage.
fn stage(variant: &Variant, tuned: &Tuned) -> String {
    format!("{}-{}", variant.training, tuned.name())
}

/// `count` problems of RL's from `first` on.
fn problems(setting: &Setting, first: usize, count: usize) -> Vec<Arc<Problem>> {
    (first..first + count).filter_map(|problem| setting.rl.get(problem).cloned()).collect()
}

/// A PRM's scores of the responses of which a truth is known, beside it.
fn held_out(prm: &TrainedPrm<Tiny>, truth: Truth, judged: &[JudgedRollout]) -> Result<HeldOut> {
    let known: Vec<_> = judged.iter().filter_map(|row| Some((row, truth.labels(row)?))).collect();
    let inputs: Vec<_> = known.iter().map(|(row, _)| row.prm_input()).collect();
    let scores = prm.scores(&inputs)?;
    Ok(HeldOut::new(scores, known.iter().map(|(_, labels)| labels.steps.clone()))?)
}

/// A critic that starts from a model's parameters, by a rule for those of a PRM.
struct Given {
    parameters: Parameters,
    rule: Box<dyn ValueInit>,
}

impl Given {
    fn new(parameters: Parameters, rule: impl ValueInit + 'static) -> Self {
        Self { parameters, rule: Box::new(rule) }
    }
}

impl ValueInit for Given {
    fn init(&self, sources: ValueSources<'_>) -> std::result::Result<Parameters, ValueInitError> {
        self.rule.init(sources.with_prm(Some(&self.parameters)))
    }
}

/// A PRM's training under a name of its own: a seed has several.
struct Named {
    name: String,
    training: PrmTraining<Tiny>,
}

impl Stage for Named {
    fn name(&self) -> &str {
        &self.name
    }

    fn total(&self) -> u64 {
        self.training.total()
    }

    fn done(&self) -> u64 {
        self.training.done()
    }

    fn advance(&mut self, events: &mut Events) -> std::result::Result<(), TrainerError> {
        self.training.advance(events)
    }

    fn checkpoint(&self) -> std::result::Result<Checkpoint, TrainerError> {
        self.training.checkpoint()
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> std::result::Result<(), TrainerError> {
        Stage::restore(&mut self.training, checkpoint)
    }
}
