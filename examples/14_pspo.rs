//! The whole method on a pretrained model and problems of a benchmark or of your own, from one config file.
//!
//! ```text
//! cargo run --release --example 14_pspo -- examples/configs/smollm2_mbpp.toml runs/smollm2
//! ```
//!
//! 1. PPO with rewards from unit tests alone: the baseline.
//! 2. Responses of the baseline's checkpoints, and of the policy it started from, with a label for every line.
//! 3. A process reward model learns the labels, from the baseline's critic.
//! 4. PPO again, from the same start, with the PRM's dense rewards and a critic that starts from it.
//! 5. Start, baseline and PSPO policy on held-out problems: Pass@1, and the best of N responses as the PRM chooses.
//!
//! Into the folder go events, checkpoints, `records/` (labels, also as TRL has them, and all responses of the
//! evaluation), `adapters/` in PEFT's format, `models/` that transformers loads, `summary.json` and `report.html` with its plots.
//! Stopped and started again with the same arguments, it goes on where it was.
//!
//! Without arguments it trains a tiny model on a few problems in a temporary folder, in some seconds.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use pspo::data::{Problem, ProblemSet, Seed, Sequence};
use pspo::eval::statistics::{auroc, first_error, label_accuracy};
use pspo::formats::{JsonLinesWriter, LabelRecord, Stepwise};
use pspo::label::LabelCounts;
use pspo::model::chat::ChatTemplate;
use pspo::model::{Arch, Policy, ScalarModel, Tokenizer, Tuning};
use pspo::plugin::{
    self, CheckedLabeler, CheckedPrm, CheckedSplitter, CheckedValueInit, Kind, LabelerConfig, ValueInitConfig,
};
use pspo::pretrained::presets::Visitor;
use pspo::pretrained::{Adapter, Meaning, Precision, Pretrained, Saving};
use pspo::prm::{PrmExample, PrmTraining, TrainedPrm};
use pspo::prompts::Exchange;
use pspo::rollouts::sample;
use pspo::trainer::{Checkpoint, CollectCost, Collector, Parts, Run, Trainer, TrainerError};
use pspo::verify::VerifierPool;
use pspo_monty_verifier as _;
use pspo_python_verifier as _;
use serde::{Deserialize, Serialize};

#[path = "pspo/config.rs"]
mod config;
#[path = "pspo/demo.rs"]
mod demo;
#[path = "pspo/report.rs"]
mod report;
#[path = "pspo/samples.rs"]
mod samples;

use config::Config;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Problems that are labelled or evaluated at a time, and then kept.
const CHUNK: usize = 8;

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<()> {
    match arguments.as_slice() {
        [] => demo::run(),
        [config, folder] => {
            let config = Config::read(config.as_ref())?;
            let path = config.train.policy.pretrained.as_ref();
            let model = Pretrained::open(path.ok_or("the config must name a model as policy.pretrained")?)?;
            model.visit(Method { config: &config, folder: folder.as_ref() })?
        }
        _ => Err("give a config file and a folder, or nothing".into()),
    }
}

/// The method, for a model of whatever preset's shape.
struct Method<'a> {
    config: &'a Config,
    folder: &'a Path,
}

impl Visitor for Method<'_> {
    type Output = Result<()>;

    fn visit<A: Arch>(self) -> Result<()> {
        method::<A>(self.config, self.folder)
    }
}

// ANCHOR: method
fn method<A: Arch>(config: &Config, folder: &Path) -> Result<()> {
    let mut run = Run::start(folder, config, true)?;
    let setting = Setting::<A>::load(config)?;
    let (baseline, checkpoints) = reinforce(&setting, &mut run)?;
    let data = label(&setting, &mut run, &checkpoints)?;
    let (prm, figures) = train_prm(&setting, &mut run, baseline.critic(), &data)?;
    let baseline = baseline.policy().fork();
    let prm = Arc::new(CheckedPrm::new(prm));
    let guided = reinforce_with_prm(&setting, &mut run, prm.clone())?;
    save(&setting, &run, [("baseline", &baseline), ("pspo", &guided)])?;
    let mut results = Vec::new();
    for (name, policy) in [("start", &setting.start), ("baseline", &baseline), ("pspo", &guided)] {
        results.push((name, samples::evaluate(&setting, &mut run, name, policy, &prm)?));
    }
    report::write(&setting, &run, &data, &figures, &results)
}
// ANCHOR_END: method

/// What every stage uses.
struct Setting<'a, A: Arch> {
    config: &'a Config,
    seed: Seed,
    start: Policy<A>,
    tokenizer: Tokenizer,
    exchange: Exchange,
    /// The model's own, which policies are saved with.
    template: Option<ChatTemplate>,
    problems: ProblemSet,
    held_out: ProblemSet,
    splitter: CheckedSplitter,
    verifier: VerifierPool,
    labeler: CheckedLabeler,
}

impl<'a, A: Arch> Setting<'a, A> {
    fn load(config: &'a Config) -> Result<Self> {
        let (problems, held_out) = (config.train.problems.read()?, config.stages.held_out.read()?);
        if let Some(both) = held_out.iter().find(|one| problems.iter().any(|other| other.id == one.id)) {
            return Err(
                format!("problem `{}` is trained on and held out: choose other parts", both.id).into()
            );
        }
        let (policy, tokenizer) = config.train.start()?;
        let labeler: Box<dyn LabelerConfig> =
            plugin::build(Kind::Labeler, config.stages.collect.labeler.clone())?;
        let parts = config.train.parts_for(policy, tokenizer, problems)?;
        let Parts { policy, tokenizer, exchange, problems, splitter, verifier, .. } = parts;
        Ok(Self {
            config,
            seed: Seed::root(config.train.seed),
            start: policy,
            tokenizer,
            exchange,
            template: config.train.policy.chat_template()?,
            problems,
            held_out,
            splitter,
            verifier,
            labeler: CheckedLabeler::new(labeler.build()?),
        })
    }

    /// The parts of a training from the start policy.
    fn parts(&self) -> Result<Parts<A>> {
        let (start, tokenizer) = (self.start.fork(), self.tokenizer.clone());
        Ok(self.config.train.parts_for(start, tokenizer, self.problems.clone())?)
    }

    /// The policy of one of the baseline's checkpoints.
    fn policy(&self, checkpoint: &Checkpoint) -> Result<Policy<A>> {
        // The seed draws adapters that are replaced at once.
        let mut policy = self.start.tuned(&self.config.train.ppo.tuning, self.seed)?;
        policy.set_trained(checkpoint.group("policy")?)?;
        Ok(policy)
    }

    fn prompts(&self, problems: &[Arc<Problem>]) -> std::result::Result<Vec<Vec<u32>>, TrainerError> {
        Ok(self.exchange.prompts(problems.iter().map(Arc::as_ref), &self.tokenizer)?)
    }
}

/// Stage 1: the baseline, and checkpoints of it.
fn reinforce<A: Arch>(setting: &Setting<'_, A>, run: &mut Run) -> Result<(Trainer<A>, Vec<Checkpoint>)> {
    let mut trainer = Trainer::from_parts(Parts { dense: None, ..setting.parts()? })?;
    let checkpoints = run.stage_keeping(&mut trainer, setting.config.stages.collect.checkpoints)?;
    Ok((trainer, checkpoints))
}

// ANCHOR: guided
/// Stage 4: the same training with the PRM.
fn reinforce_with_prm<A: Arch>(
    setting: &Setting<'_, A>,
    run: &mut Run,
    prm: Arc<CheckedPrm>,
) -> Result<Policy<A>> {
    let value_init = setting.config.stages.guided.value_init.clone();
    let value_init: Box<dyn ValueInitConfig> = plugin::build(Kind::ValueInit, value_init)?;
    let mut trainer = Trainer::from_parts(Parts {
        prm: Some(prm),
        value_init: CheckedValueInit::new(value_init.build()?),
        name: guided_name(setting.config),
        ..setting.parts()?
    })?;
    run.stage(&mut trainer)?;
    Ok(trainer.policy().fork())
}
// ANCHOR_END: guided

fn guided_name(config: &Config) -> String {
    format!("{}_prm", config.train.name)
}

/// A labelled response.
#[derive(Clone, Serialize, Deserialize)]
struct Labeled {
    /// Its problem's place among the training problems.
    problem: usize,
    record: LabelRecord,
    sequence: Sequence,
}

impl Labeled {
    fn example(&self) -> Result<PrmExample> {
        let Self { record, sequence, .. } = self;
        let labels = record.labels()?;
        Ok(PrmExample { sequence: sequence.clone(), step_tokens: record.step_tokens.clone(), labels })
    }
}

/// Labelled responses and what they cost.
#[derive(Default, Serialize, Deserialize)]
struct PrmData {
    /// By prompt.
    prompts: Vec<Vec<Labeled>>,
    cost: CollectCost,
    /// Why responses have no labels.
    skipped: Vec<String>,
}

impl PrmData {
    fn counts(&self) -> LabelCounts {
        let classes = |prompt: &Vec<Labeled>| prompt.iter().map(|one| one.record.class).collect::<Vec<_>>();
        self.prompts.iter().map(classes).collect()
    }
}

/// Stage 2: responses with a label for every line.
fn label<A: Arch>(setting: &Setting<'_, A>, run: &mut Run, checkpoints: &[Checkpoint]) -> Result<PrmData> {
    let collect = &setting.config.stages.collect;
    let mut policies = Vec::new();
    if collect.start {
        policies.push(setting.start.fork());
    }
    for checkpoint in checkpoints {
        policies.push(setting.policy(checkpoint)?);
    }
    let mut data = PrmData::default();
    for (number, policy) in policies.iter().enumerate() {
        // Each policy is asked other problems, as long as there are any.
        let first = number * collect.prompts.get();
        let places: Vec<usize> =
            (first..first + collect.prompts.get()).map(|place| place % setting.problems.len()).collect();
        for (chunk, places) in places.chunks(CHUNK).enumerate() {
            let seed = setting.seed.child("labels").index(number as u64).index(chunk as u64);
            let part = run.once(&format!("labels-{number}-{chunk:04}"), |_| {
                label_chunk(setting, policy, places, seed)
            })?;
            data.prompts.extend(part.prompts);
            data.cost += part.cost;
            data.skipped.extend(part.skipped);
        }
    }
    let counts = data.counts();
    let per_response = data.cost.completions as f64 / counts.responses().max(1) as f64;
    run.line(&format!("labels: {counts}; {per_response:.1} completions per response"));
    if let Some(reason) = data.skipped.first() {
        run.line(&format!("{} responses have no labels, the first since {reason}", data.skipped.len()));
    }
    write_labels(run, &data)?;
    Ok(data)
}

fn label_chunk<A: Arch>(
    setting: &Setting<'_, A>,
    policy: &Policy<A>,
    places: &[usize],
    seed: Seed,
) -> std::result::Result<PrmData, TrainerError> {
    let Setting { config, tokenizer, exchange, splitter, labeler, verifier, .. } = setting;
    let problems: Vec<_> = places.iter().filter_map(|&place| setting.problems.get(place).cloned()).collect();
    let sampling = config.train.ppo.sampling.with_stops(exchange.stops());
    let responses = config.stages.collect.responses.get();
    let responses = sample(policy, tokenizer, &setting.prompts(&problems)?, responses, &sampling, seed)?;
    let collector =
        Collector { policy, tokenizer, exchange, sampling: &sampling, splitter, labeler, verifier };
    let collected = collector.collect(&problems, &responses, seed)?;
    let mut prompts = vec![Vec::new(); problems.len()];
    for response in &collected.responses {
        let problem = &problems[response.problem];
        prompts[response.problem].push(Labeled {
            problem: places[response.problem],
            record: response.record(problem, exchange.text(problem)?),
            sequence: responses[response.rollout].sequence.clone(),
        });
    }
    Ok(PrmData {
        prompts,
        cost: collected.cost,
        skipped: collected.skipped.iter().map(|(_, reason)| reason.to_string()).collect(),
    })
}

/// The labels as records of ours, and as TRL has them.
fn write_labels(run: &Run, data: &PrmData) -> Result<()> {
    let folder = run.folder().path().join("records");
    std::fs::create_dir_all(&folder)?;
    let mut records = JsonLinesWriter::create(folder.join("labels.jsonl"))?;
    let mut rows = JsonLinesWriter::create(folder.join("stepwise.jsonl"))?;
    for Labeled { record, .. } in data.prompts.iter().flatten() {
        records.write(record)?;
        // A response of comments alone has no row.
        if record.labels.iter().any(|&label| label != 0) {
            rows.write(&Stepwise::default().row(&record.prompt, &record.steps()?, &record.labels()?)?)?;
        }
    }
    rows.finish()?;
    Ok(records.finish()?)
}

/// How the PRM does on responses that it did not learn from; a figure that they do not allow is absent.
#[derive(Serialize)]
struct PrmFigures {
    responses: usize,
    accuracy: Option<f64>,
    first_error_f1: Option<f64>,
    auroc: Option<f64>,
}

/// Stage 3: the PRM, from the baseline's critic, of which the same parameters are trained.
fn train_prm<A: Arch>(
    setting: &Setting<'_, A>,
    run: &mut Run,
    critic: &ScalarModel<A>,
    data: &PrmData,
) -> Result<(TrainedPrm<A>, PrmFigures)> {
    let stages = &setting.config.stages;
    let every = stages.collect.judge_one_in.get();
    let examples = |held_out: bool| -> Result<Vec<Vec<PrmExample>>> {
        let chosen = |one: &&Labeled| (one.problem % every == every - 1) == held_out;
        let prompts = data.prompts.iter().map(|prompt| prompt.iter().filter(chosen).map(Labeled::example));
        prompts.map(Iterator::collect).collect()
    };
    let learned = stages.collect.selection.select(examples(false)?, |example| example.labels.class);
    run.line(&format!("the PRM learns from {} responses", learned.len()));
    let seed = setting.seed.child("prm");
    let mut training = PrmTraining::new(stages.prm_training.clone(), critic.fork(), learned, seed)?;
    run.stage(&mut training)?;
    let prm = training.into_prm();
    let judged = examples(true)?.concat();
    let held_out = prm.judge(&judged)?;
    let (scores, labels) = held_out.lines();
    let (predicted, labelled) = held_out.first_errors(0.0);
    let figures = PrmFigures {
        responses: judged.len(),
        accuracy: label_accuracy(&scores, &labels).ok(),
        first_error_f1: first_error(&predicted, &labelled).ok().map(|found| found.f1),
        auroc: auroc(&scores, &labels).ok(),
    };
    run.line(&format!("PRM on responses to other problems: {}", serde_json::to_string(&figures)?));
    let save = &stages.save;
    if save.prm {
        use pspo::plugin::ProcessRewardModel;
        let objective = stages.prm_training.objective;
        let parameters = prm.parameters()?.ok_or("a trained PRM has parameters")?;
        Saving::scalar(&A::DIMS, &parameters, Meaning::Prm { objective })
            .with_precision(precision(save))
            .write(run.folder().path().join("models/prm"), &setting.tokenizer)?;
    }
    Ok((prm, figures))
}

fn precision(save: &config::SaveConfig) -> Precision {
    if save.bfloat16 { Precision::Bfloat16 } else { Precision::default() }
}

// ANCHOR: save
/// Adapters as PEFT has them, and whole policies where the config asks for them.
fn save<A: Arch>(setting: &Setting<'_, A>, run: &Run, policies: [(&str, &Policy<A>); 2]) -> Result<()> {
    let Config { train, stages } = setting.config;
    for (name, policy) in policies {
        if let Tuning::Lora(lora) = &train.ppo.tuning {
            let base = train.policy.pretrained.as_deref().map(|path| path.display().to_string());
            let adapter = Adapter { lora: lora.clone(), parameters: policy.trained()? };
            let folder = run.folder().path().join("adapters").join(name);
            adapter.save(folder, &A::DIMS, &base.unwrap_or_default())?;
        }
        if stages.save.policies {
            let parameters = policy.parameters()?;
            let saving = Saving::policy(&A::DIMS, &parameters).with_precision(precision(&stages.save));
            let saving = match &setting.template {
                Some(template) => saving.with_chat_template(template),
                None => saving,
            };
            saving.write(run.folder().path().join("models").join(name), &setting.tokenizer)?;
        }
    }
    Ok(())
}
// ANCHOR_END: save
