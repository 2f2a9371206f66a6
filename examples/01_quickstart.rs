//! The whole method on one machine, in minutes: a tiny decoder learns to translate pseudocode to Python.
//!
//! Problems are generated and programs judged by an embedded interpreter, so it needs nothing but Rust:
//!
//! ```text
//! cargo run --release --example 01_quickstart -- [--seed 0] [--out runs/quickstart] [--resume] [--bf16] [--device cpu]
//! ```
//!
//! It prints what each stage did and a table of Pass@1 by program length, and writes to the run folder
//! `report.html`, `summary.json`, `events.jsonl`, TensorBoard files and checkpoints. A run that was
//! stopped goes on with `--resume`, to the same bytes as one that was not. `--bf16` has all matrices in bfloat16;
//! `--device cuda:0`, in a build with the feature `cuda`, trains on a GPU.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use pspo::data::numbers::{GaeLambda, KlCoefficient, LearningRate, Temperature, TopP};
use pspo::data::{Problem, ProblemSet, Seed};
use pspo::eval::LengthBuckets;
use pspo::eval::statistics::{auroc, first_error, label_accuracy};
use pspo::kernels::Device;
use pspo::label::{BinarySearch, LabelCounts, Selection};
use pspo::model::{Policy, Precision, ScalarModel, Tokenizer};
use pspo::plugin::{
    CheckedLabeler, CheckedSplitter, CheckedVerifier, PrmInput, ProcessRewardModel, VerifierConfig,
};
use pspo::ppo::{Gae, UpdateConfig};
use pspo::prm::{PrmExample, PrmTraining, PrmTrainingConfig, TrainedPrm};
use pspo::problems::{Pseudocode, Sizes, StepRange};
use pspo::prompts::Exchange;
use pspo::report::{AnnotatedLine, AnnotatedResponse, Chart, Report, Series, Table};
use pspo::reward::DenseReward;
use pspo::rollouts::{Sampling, sample};
use pspo::sft::{Sft, SftConfig};
use pspo::steps::Lines;
use pspo::trainer::events::{Event, metrics};
use pspo::trainer::{
    Checkpoint, CollectCost, Collector, Evaluation, KlControl, LabeledResponse, PpoConfig, Run, Trainer,
    evaluate,
};
use pspo::value::{FromPolicy, FromPrm};
use pspo::verify::{ErrorLimit, VerifierPool};
use pspo_monty_verifier::MontyConfig;
use serde::{Deserialize, Serialize};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

pspo::arch! {
    /// 0.19 M parameters.
    struct Tiny {
        name: "tiny",
        vocabulary: 384,
        width: 64,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_size: 16,
        hidden: 176,
        positions: 640,
    }
}

const WARM: Temperature = Temperature::new(1.0);
const COLD: Temperature = Temperature::new(0.2);
/// The longest response, in tokens.
const LONGEST: NonZeroUsize = NonZeroUsize::new(250).unwrap();
/// Checkpoints of the baseline that PRM data is sampled from.
const CHECKPOINTS: u64 = 4;
/// Per checkpoint: prompts, and responses to each.
const PRM_PROMPTS: usize = 60;
const PRM_RESPONSES: usize = 4;
/// K: completions per prefix.
const BEST_OF: usize = 8;

struct Arguments {
    seed: u64,
    out: PathBuf,
    resume: bool,
    precision: Precision,
    device: String,
}

/// What every stage uses.
struct Setting {
    seed: Seed,
    device: Device,
    precision: Precision,
    tokenizer: Tokenizer,
    sft: ProblemSet,
    rl: ProblemSet,
    held_out: ProblemSet,
    verifier: VerifierPool,
    buckets: LengthBuckets,
}

/// Responses with labels, and what they cost.
#[derive(Default, Serialize, Deserialize)]
struct PrmData {
    /// By prompt; of all but the last tenth of the prompts the PRM learns.
    prompts: Vec<Vec<LabeledExample>>,
    cost: CollectCost,
    skipped: usize,
}

#[derive(Clone, Serialize, Deserialize)]
struct LabeledExample {
    problem: usize,
    response: LabeledResponse,
    example: PrmExample,
}

/// How the PRM does on responses that it did not learn from; a figure that they do not allow is absent,
/// as the F1 is where none of them has an error.
#[derive(Serialize, Deserialize)]
struct PrmFigures {
    accuracy: Option<f64>,
    first_error_f1: Option<f64>,
    auroc: Option<f64>,
}

impl std::fmt::Display for PrmFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let figure = |value: Option<f64>| value.map_or("not defined".into(), |value| format!("{value:.3}"));
        let Self { accuracy, first_error_f1, auroc } = *self;
        write!(f, "accuracy {}, first-error F1 {}, ", figure(accuracy), figure(first_error_f1))?;
        write!(f, "AUROC {}", figure(auroc))
    }
}

fn main() -> Result<()> {
    let Arguments { seed, out, resume, precision, device } = arguments()?;
    let identity = json!({ "example": "quickstart", "seed": seed, "precision": precision, "device": device });
    let mut run = Run::start(&out, &identity, resume)?;
    let setting = prepare(seed, precision, &device)?;

    // ANCHOR: stages
    let sft = fine_tune(&setting, &mut run)?;
    let (baseline, checkpoints) = reinforce_sparsely(&setting, &mut run, &sft)?;
    let data = label(&setting, &mut run, &checkpoints)?;
    let (prm, figures) = train_prm(&setting, &mut run, baseline.critic(), &data)?;
    let example = draw(&setting, &prm, &data)?;
    let guided = reinforce_densely(&setting, &mut run, &sft, prm)?;
    // ANCHOR_END: stages

    let policies =
        [("sft", "SFT", &sft), ("rl", "RL", baseline.policy()), ("rl_prm", "RL + PRM", guided.policy())];
    let mut results = BTreeMap::new();
    for (key, _, policy) in policies {
        for temperature in [COLD, WARM] {
            let name = format!("eval-{key}-{}", temperature.get());
            let result = run.once(&name, |_| test(&setting, policy, temperature))?;
            results.insert((key, temperature.get().to_bits()), result);
        }
    }
    let result = |key: &'static str, temperature: Temperature| &results[&(key, temperature.get().to_bits())];
    let table = table(&setting, &policies.map(|(key, name, _)| (name, result(key, COLD), result(key, WARM))));
    print_table(&run, &table);

    let counts = counts(&data);
    let by_length = |key| -> serde_json::Value {
        result(key, COLD).by_length(&setting.buckets).into_iter().map(|b| (b.label, json!(b.mean))).collect()
    };
    let keys = policies.map(|(key, ..)| key);
    run.folder().write_summary(&json!({
        "pass_at_1": keys.map(|key| (key, result(key, COLD).pass_at_1())).into_iter().collect::<BTreeMap<_, _>>(),
        "by_length": keys.map(|key| (key, by_length(key))).into_iter().collect::<BTreeMap<_, _>>(),
        "labels": {
            "correct": counts.correct, "revised": counts.revised, "wrong": counts.wrong,
            "easy": counts.easy, "medium": counts.medium, "hard": counts.hard,
            "completions_per_response": per_response(&data),
        },
        "prm": figures,
        "seconds": run.seconds(),
        "seed": seed,
    }))?;
    let report = report(&run, seed, table, example, &figures, &counts)?;
    run.folder().write("report.html", report.to_html()?.as_bytes())?;
    run.line(&format!("wrote {}", out.join("report.html").display()));
    Ok(())
}

/// Stage 1: problems in three disjoint sets, a tokenizer of the first, a verifier.
fn prepare(seed: u64, precision: Precision, device: &str) -> Result<Setting> {
    let seed = Seed::root(seed);
    let problems = Pseudocode {
        sft_steps: StepRange::new(2, 7)?,
        rl_steps: StepRange::new(4, 12)?,
        held_out_steps: StepRange::new(2, 16)?,
        ..Pseudocode::default()
    };
    let splits = problems.splits(seed, Sizes { sft: 8000, rl: 2000, held_out: 200 })?;
    let texts = splits.sft.iter().take(1500);
    let texts = texts.flat_map(|problem| [Some(problem.prompt.clone()), problem.solution.clone()]);
    Ok(Setting {
        seed,
        device: Device::named(device)?,
        precision,
        tokenizer: Tokenizer::train(texts.flatten(), 384)?,
        sft: splits.sft,
        rl: splits.rl,
        held_out: splits.held_out,
        verifier: VerifierPool::new(CheckedVerifier::new(monty().build()?), ErrorLimit::default()),
        buckets: LengthBuckets::new(&[4, 8, 12])?,
    })
}

/// Right programs pass with 256 instructions of the interpreter; one that never ends is stopped by their
/// number, which is the same on every machine, long before the clock would stop it.
fn monty() -> MontyConfig {
    MontyConfig { steps: 20_000, ..MontyConfig::default() }
}

/// Stage 2: the policy learns the solutions of short problems by heart.
fn fine_tune(setting: &Setting, run: &mut Run) -> Result<Policy<Tiny>> {
    const RATE: LearningRate = LearningRate::new(6e-3);
    let Setting { seed, tokenizer, device, .. } = setting;
    let examples = setting
        .sft
        .iter()
        .map(|problem| tokenizer.example(&problem.prompt, problem.solution.as_deref().unwrap_or_default()))
        .collect::<std::result::Result<_, _>>()?;
    let config = SftConfig {
        steps: 2400,
        batch: NonZeroUsize::new(16).unwrap(),
        learning_rate: RATE,
        ..SftConfig::default()
    };
    let policy = Policy::random(device, seed.child("policy"))?.in_precision(setting.precision)?;
    let mut sft = Sft::new(config, policy, examples, seed.child("sft"))?;
    run.stage(&mut sft)?;
    Ok(sft.into_policy())
}

/// The same numbers for both trainings.
fn ppo() -> PpoConfig {
    const BETA: KlCoefficient = KlCoefficient::new(0.01);
    const POLICY: LearningRate = LearningRate::new(4e-4);
    const CRITIC: LearningRate = LearningRate::new(1e-3);
    PpoConfig {
        iterations: 32,
        prompts: NonZeroUsize::new(48).unwrap(),
        responses: NonZeroUsize::new(4).unwrap(),
        sampling: Sampling::training(WARM, LONGEST),
        kl: KlControl::Fixed(BETA),
        // A response has some 50 tokens, and 0.95⁵⁰ is 0.08: its first would hardly learn of the verdict.
        gae: Gae { lambda: GaeLambda::new(1.0), ..Gae::default() },
        update: UpdateConfig {
            policy_learning_rate: POLICY,
            critic_learning_rate: CRITIC,
            minibatches: NonZeroUsize::new(2).unwrap(),
            ..UpdateConfig::default()
        },
        ..PpoConfig::default()
    }
}

/// Stage 3: the RL baseline, rewarded by unit tests alone.
// ANCHOR: builder
fn reinforce_sparsely(
    setting: &Setting,
    run: &mut Run,
    sft: &Policy<Tiny>,
) -> Result<(Trainer<Tiny>, Vec<Checkpoint>)> {
    let mut trainer = pspo::trainer::builder(sft, &setting.tokenizer)
        .problems(setting.rl.clone())
        .splitter(Lines::python())
        .verifier(monty().build()?)
        .sparse_rewards()
        .value_init(FromPolicy::default())
        .config(ppo())
        .seed(setting.seed.child("rl"))
        .name("rl")
        .build()?;
    let checkpoints = run.stage_keeping(&mut trainer, CHECKPOINTS)?;
    Ok((trainer, checkpoints))
}
// ANCHOR_END: builder

/// Stage 6: PPO from the SFT policy again, with a reward for every line and a critic that starts from
/// the PRM.
fn reinforce_densely(
    setting: &Setting,
    run: &mut Run,
    sft: &Policy<Tiny>,
    prm: TrainedPrm<Tiny>,
) -> Result<Trainer<Tiny>> {
    let mut trainer = pspo::trainer::builder(sft, &setting.tokenizer)
        .problems(setting.rl.clone())
        .splitter(Lines::python())
        .verifier(monty().build()?)
        // ANCHOR: dense
        .dense_rewards(DenseReward::default())
        .prm(prm)
        .value_init(FromPrm { rescale: true })
        // ANCHOR_END: dense
        .config(ppo())
        .seed(setting.seed.child("rl"))
        .name("rl_prm")
        .build()?;
    run.stage(&mut trainer)?;
    Ok(trainer)
}

/// Stage 4: responses of the baseline's checkpoints, with a label for every line.
fn label(setting: &Setting, run: &mut Run, checkpoints: &[Checkpoint]) -> Result<PrmData> {
    let splitter = CheckedSplitter::new(Lines::python());
    let labeler = CheckedLabeler::new(BinarySearch::best_of(BEST_OF));
    let sampling = Sampling::training(WARM, LONGEST);
    let data = run.once("labels", |_| {
        let mut data = PrmData::default();
        for (number, checkpoint) in checkpoints.iter().enumerate() {
            let policy = Policy::<Tiny>::new(&setting.device, checkpoint.group("policy")?)?
                .in_precision(setting.precision)?;
            let seed = setting.seed.child("labels").index(number as u64);
            let first = number * PRM_PROMPTS;
            let problems: Vec<Arc<Problem>> =
                (first..first + PRM_PROMPTS).filter_map(|problem| setting.rl.get(problem).cloned()).collect();
            let prompts = problems.iter().map(|problem| setting.tokenizer.encode(&problem.prompt));
            let prompts = prompts.collect::<std::result::Result<Vec<_>, _>>()?;
            let responses = sample(&policy, &setting.tokenizer, &prompts, PRM_RESPONSES, &sampling, seed)?;
            let collector = Collector {
                policy: &policy,
                tokenizer: &setting.tokenizer,
                exchange: &Exchange::default(),
                sampling: &sampling,
                splitter: &splitter,
                labeler: &labeler,
                verifier: &setting.verifier,
            };
            let collected = collector.collect(&problems, &responses, seed)?;
            data.cost += collected.cost;
            data.skipped += collected.skipped.len();
            let mut by_prompt = vec![Vec::new(); problems.len()];
            for response in collected.responses {
                let example = PrmExample {
                    sequence: responses[response.rollout].sequence.clone(),
                    step_tokens: response.step_tokens.clone(),
                    labels: response.labels.clone(),
                };
                let problem = first + response.problem;
                by_prompt[response.problem].push(LabeledExample { problem, response, example });
            }
            data.prompts.extend(by_prompt);
        }
        Ok(data)
    })?;
    run.line(&format!("labels: {}", counts(&data)));
    run.line(&format!(
        "{:.1} completions per labelled response, {} skipped",
        per_response(&data),
        data.skipped
    ));
    Ok(data)
}

fn counts(data: &PrmData) -> LabelCounts {
    let classes = |prompt: &Vec<LabeledExample>| -> Vec<_> {
        prompt.iter().map(|labelled| labelled.response.labels.class).collect()
    };
    data.prompts.iter().map(classes).collect()
}

fn per_response(data: &PrmData) -> f64 {
    data.cost.completions as f64 / counts(data).responses().max(1) as f64
}

/// Stage 5: the PRM, from the baseline's critic; judged on prompts that it did not learn from.
fn train_prm(
    setting: &Setting,
    run: &mut Run,
    critic: &ScalarModel<Tiny>,
    data: &PrmData,
) -> Result<(TrainedPrm<Tiny>, PrmFigures)> {
    const RATE: LearningRate = LearningRate::new(1e-3);
    // Every tenth prompt is held out, so that all checkpoints are among them.
    let held_out = |prompt: usize| prompt % 10 == 9;
    let of = |wanted: bool| -> Vec<Vec<PrmExample>> {
        let prompts = data.prompts.iter().enumerate().filter(|(prompt, _)| held_out(*prompt) == wanted);
        prompts.map(|(_, prompt)| prompt.iter().map(|labelled| labelled.example.clone()).collect()).collect()
    };
    // The paper's best is Revised Only. Of the few responses here it would leave an eighth, and all of these
    // have an error: the PRM would name one in most right responses too.
    let examples = Selection::Full.select(of(false), |example| example.labels.class);
    run.line(&format!("the PRM learns from {} responses", examples.len()));
    let config = PrmTrainingConfig {
        steps: 100,
        batch: NonZeroUsize::new(32).unwrap(),
        learning_rate: RATE,
        ..PrmTrainingConfig::default()
    };
    let start = ScalarModel::new_in(&setting.device, &critic.parameters()?, setting.precision)?;
    let mut training = PrmTraining::new(config, start, examples, setting.seed.child("prm"))?;
    run.stage(&mut training)?;
    let prm = training.into_prm();
    let judged = prm.judge(&of(true).concat())?;
    let (scores, labels) = judged.lines();
    let (predicted, labelled) = judged.first_errors(0.0);
    let figures = PrmFigures {
        accuracy: label_accuracy(&scores, &labels).ok(),
        first_error_f1: first_error(&predicted, &labelled).ok().map(|found| found.f1),
        auroc: auroc(&scores, &labels).ok(),
    };
    run.line(&format!("PRM on held-out responses: {figures}"));
    Ok((prm, figures))
}

fn test(
    setting: &Setting,
    policy: &Policy<Tiny>,
    temperature: Temperature,
) -> std::result::Result<Evaluation, pspo::trainer::TrainerError> {
    let Setting { tokenizer, held_out, verifier, seed, .. } = setting;
    let sampling = Sampling {
        top_p: TopP::new(0.95),
        top_k: NonZeroUsize::new(128),
        ..Sampling::training(temperature, LONGEST)
    };
    evaluate(policy, tokenizer, &Exchange::default(), held_out, verifier, 4, &sampling, seed.child("eval"))
}

/// Pass@1 of each policy: all held-out problems, then by the number of steps.
fn table(setting: &Setting, results: &[(&str, &Evaluation, &Evaluation)]) -> Table {
    let percent = |share: Option<f64>| share.map_or("–".into(), |share| format!("{:.1}", 100.0 * share));
    let mut rows = Vec::new();
    let mut columns = vec!["policy".to_owned(), "T".to_owned(), "all".to_owned()];
    for &(name, cold, warm) in results {
        for (result, temperature) in [(cold, "0.2"), (warm, "1")] {
            let buckets = result.by_length(&setting.buckets);
            if columns.len() == 3 {
                columns.extend(buckets.iter().map(|bucket| format!("{} steps", bucket.label)));
            }
            let mut row = vec![name.to_owned(), temperature.to_owned(), percent(result.pass_at_1())];
            row.extend(buckets.iter().map(|bucket| percent(bucket.mean)));
            rows.push(row);
        }
    }
    Table { title: "Pass@1 on held-out problems, in percent".to_owned(), columns, rows }
}

fn print_table(run: &Run, table: &Table) {
    run.line(&table.title);
    let rows = || std::iter::once(&table.columns).chain(&table.rows);
    let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in rows() {
        let cell = |(column, cell): (usize, &String)| format!("{cell:>width$}  ", width = width(column));
        run.line(row.iter().enumerate().map(cell).collect::<String>().trim_end());
    }
}

/// A held-out response that went wrong midway, with the PRM's scores and the labeler's first error.
fn draw(setting: &Setting, prm: &TrainedPrm<Tiny>, data: &PrmData) -> Result<Option<AnnotatedResponse>> {
    let held_out = data.prompts.iter().skip(9).step_by(10).flatten();
    let drawn = held_out
        .filter(|labelled| labelled.response.labels.first_error() > Some(2))
        .max_by_key(|labelled| labelled.response.steps.len());
    let Some(LabeledExample { problem, response, example }) = drawn else { return Ok(None) };
    let problem = setting.rl.get(*problem).ok_or("the labels name a problem that is not there")?;
    let input = PrmInput::new(problem, &response.steps, &example.sequence, &response.step_tokens);
    let scores = prm.scores(&[input])?.concat();
    let lines = (0..response.steps.len()).map(|step| AnnotatedLine {
        text: response.steps.text(step).trim_end().to_owned(),
        score: scores.get(step).copied(),
        label: response.labels.steps.get(step).copied(),
    });
    Ok(Some(AnnotatedResponse {
        title: format!("A response to {}, line by line", problem.id),
        prompt: problem.prompt.clone(),
        lines: lines.collect(),
        first_error: response.labels.first_error(),
    }))
}

/// Tables, learning curves and one response.
fn report(
    run: &Run,
    seed: u64,
    table: Table,
    example: Option<AnnotatedResponse>,
    prm: &PrmFigures,
    counts: &LabelCounts,
) -> Result<Report> {
    let events = run.folder().read_events()?;
    let series = |stage: &str, name: &str, metric: &str| {
        Series::new(name, Event::curve(&events, stage, metric).collect())
    };
    let chart = |title: &str, unit: &str, metric: &str| Chart {
        title: title.to_owned(),
        x_label: "iteration".to_owned(),
        y_label: unit.to_owned(),
        series: vec![series("rl", "RL", metric), series("rl_prm", "RL + PRM", metric)],
    };
    let loss = Chart {
        title: "SFT: loss".to_owned(),
        x_label: "update".to_owned(),
        y_label: "nats per token".to_owned(),
        series: vec![series("sft", "SFT", metrics::LOSS)],
    };
    Ok(Report {
        title: "PSPO quickstart".to_owned(),
        seed,
        tables: vec![table],
        charts: vec![
            chart("Training responses that pass", "share of responses", metrics::PASS_RATE),
            chart("KL to the SFT policy", "nats per response", metrics::KL),
            chart("Comments", "share of lines", metrics::COMMENT_RATIO),
            chart("Length", "lines per response", metrics::LINES),
            loss,
        ],
        responses: example.into_iter().collect(),
        notes: vec![format!("Labels: {counts}."), format!("PRM on held-out responses: {prm}.")],
    })
}

fn arguments() -> Result<Arguments> {
    let out = "runs/quickstart".into();
    let (precision, device) = (Precision::Float32, "cpu".to_owned());
    let mut arguments = Arguments { seed: 0, out, resume: false, precision, device };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--seed" => arguments.seed = value()?.parse()?,
            "--out" => arguments.out = value()?.into(),
            "--resume" => arguments.resume = true,
            "--bf16" => arguments.precision = Precision::Bfloat16,
            "--device" => arguments.device = value()?,
            _ => {
                let known = "--seed N, --out FOLDER, --resume, --bf16, --device NAME";
                return Err(format!("{argument} is not one of {known}").into());
            }
        }
    }
    Ok(arguments)
}
