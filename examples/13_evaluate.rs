//! Evaluates a pretrained model on HumanEval, MBPP or problems of your own: Pass@1 and Pass@k, by length and difficulty.
//!
//! ```text
//! cargo run --release --example 13_evaluate -- --model MODEL --human-eval HumanEval.jsonl.gz --out FOLDER
//! ```
//!
//! - `--model`: a folder as on the Hugging Face hub or a GGUF file, of a shape among the presets
//! - `--human-eval`, `--mbpp` or `--problems`: a file of HumanEval's or MBPP's, or JSONL as `ProblemSet::read_jsonl` reads it;
//!   `--limit` takes the first so many
//! - `--style chat`, `code`, `docstring` or `plain`: how the model is asked. By default in a conversation, where it has a chat
//!   template; else HumanEval as code to go on with, and other problems in a docstring
//! - `--exchange`: a TOML file with an [`ExchangeConfig`], to ask as the model's authors do
//! - `--samples` 5, `--temperature` 0.2, `--top-p` 0.95, `--top-k` 128, `--max-new-tokens` 512, `--seed` 0
//! - `--device` cpu, or cuda:0 in a build with the feature `cuda`
//!
//! Into FOLDER go `samples/`, records of all responses with their verdicts; `summary.json`; and `report.html`. Stopped and
//! started again with the same arguments, it goes on where it was.

use std::error::Error;
use std::fs;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use pspo::data::{Problem, ProblemSet, Seed};
use pspo::eval::LengthBuckets;
use pspo::formats::{JsonLines, JsonLinesWriter, RolloutRecord};
use pspo::kernels::Device;
use pspo::model::{Arch, Policy, Tokenizer};
use pspo::plugin::{CheckedSplitter, CheckedVerifier};
use pspo::pretrained::Pretrained;
use pspo::pretrained::presets::Visitor;
use pspo::problems::datasets::{human_eval, mbpp};
use pspo::prompts::{Exchange, ExchangeConfig, PromptStyle};
use pspo::report::{Report, Table};
use pspo::rollouts::{Sampling, sample};
use pspo::steps::Lines;
use pspo::trainer::events::Progress;
use pspo::trainer::{Evaluation, Tests, judge};
use pspo::verify::{ErrorLimit, VerifierPool};
use pspo_python_verifier::{PythonConfig, PythonVerifier};
use serde::{Deserialize, Serialize};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Problems sampled at a time, and written down.
const CHUNK: usize = 8;

/// What the user says to an instruction model.
const INSTRUCTION: &str =
    "Write a Python program that solves this problem, in one markdown code block:\n```python\n{prompt}\n```";

/// How its answer begins: within the block, so that it does not talk first or choose a form of its own.
const BEGIN: &str = "This program solves the problem and passes its tests:\n```python\n";

/// Where the block ends; what would follow is talk.
const END: &str = "\n```";

/// What programs may leave out, as in other harnesses: they are asked for a function, not for its imports.
const PRELUDE: &str = "\
import collections, copy, functools, heapq, itertools, math, operator, random, re, string
from typing import *
";

/// What is evaluated, and how. Kept in the folder: a run goes on by the same alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Arguments {
    model: PathBuf,
    problems: (Kind, PathBuf),
    style: Option<String>,
    exchange: Option<ExchangeConfig>,
    limit: Option<usize>,
    samples: usize,
    sampling: Sampling,
    seed: u64,
    device: String,
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    HumanEval,
    Mbpp,
    Own,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Some(arguments) = arguments(std::env::args().skip(1))? else {
        println!("give --model MODEL, --human-eval, --mbpp or --problems FILE, and --out FOLDER");
        return Ok(());
    };
    fs::create_dir_all(&arguments.out)?;
    begin(&arguments)?;
    let model = Pretrained::open(&arguments.model)?;
    model.visit(Evaluate { model: &model, arguments })?
}

/// Writes the arguments down, or compares them with those that a run began with.
fn begin(arguments: &Arguments) -> Result<()> {
    let file = arguments.out.join("arguments.json");
    let text = serde_json::to_string_pretty(arguments)?;
    match fs::read_to_string(&file) {
        Err(_) => Ok(fs::write(&file, text)?),
        Ok(before) if before == text => Ok(()),
        Ok(_) => Err(format!("{} has other arguments: choose another --out", file.display()).into()),
    }
}

struct Evaluate<'a> {
    model: &'a Pretrained,
    arguments: Arguments,
}

impl Visitor for Evaluate<'_> {
    type Output = Result<()>;

    fn visit<A: Arch>(self) -> Result<()> {
        let Self { model, arguments } = self;
        let problems = problems(&arguments)?;
        let exchange = exchange(model, &arguments)?;
        let tokenizer = model.tokenizer()?;
        let policy = model.policy::<A>(&Device::named(&arguments.device)?)?;
        let samples = arguments.out.join("samples");
        fs::create_dir_all(&samples)?;
        let verifier =
            PythonVerifier::new(PythonConfig { prelude: PRELUDE.into(), ..PythonConfig::default() })?;
        let verifier = VerifierPool::new(CheckedVerifier::new(verifier), ErrorLimit::default());
        let evaluation = Sampler { policy, tokenizer, exchange, verifier, arguments: &arguments }
            .run(&problems, &samples)?;
        report(&arguments, &evaluation)
    }
}

fn problems(arguments: &Arguments) -> Result<ProblemSet> {
    let (kind, path) = &arguments.problems;
    let all = match kind {
        Kind::HumanEval => human_eval(path)?,
        Kind::Mbpp => mbpp(path)?,
        Kind::Own => ProblemSet::read_jsonl(BufReader::new(fs::File::open(path)?))?,
    };
    let limit = arguments.limit.unwrap_or(usize::MAX);
    Ok(ProblemSet::new(all.iter().take(limit).map(|problem| (**problem).clone()))?)
}

// ANCHOR: exchange
/// How problems are put to the model.
fn exchange(model: &Pretrained, arguments: &Arguments) -> Result<Exchange> {
    let template = model.chat_template()?;
    if let Some(exchange) = &arguments.exchange {
        return Ok(exchange.build_for(template)?);
    }
    let base = if arguments.problems.0 == Kind::HumanEval { "code" } else { "docstring" };
    let style = arguments.style.as_deref().unwrap_or(if template.is_some() { "chat" } else { base });
    let prompt = match style {
        "chat" => PromptStyle::Chat {
            template: None,
            name: None,
            system: None,
            instruction: INSTRUCTION.into(),
            begin: BEGIN.into(),
            date: None,
        },
        "code" => PromptStyle::Code,
        "docstring" => PromptStyle::Docstring { shots: vec![], signature: None },
        "plain" => PromptStyle::Plain,
        other => return Err(format!("--style {other} is not chat, code, docstring or plain").into()),
    };
    Ok(ExchangeConfig { prompt, extraction: None }.build_for(template)?)
}
// ANCHOR_END: exchange

fn exchange_of(path: &str) -> Result<ExchangeConfig> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(toml::from_str(&text).map_err(|error| format!("{path}: {error}"))?)
}

struct Sampler<'a, A: Arch> {
    policy: Policy<A>,
    tokenizer: Tokenizer,
    exchange: Exchange,
    verifier: VerifierPool,
    arguments: &'a Arguments,
}

impl<A: Arch> Sampler<'_, A> {
    /// Samples and judges what has not been yet, a file for each chunk of problems.
    fn run(&self, problems: &ProblemSet, folder: &Path) -> Result<Evaluation> {
        let all: Vec<Arc<Problem>> = problems.iter().cloned().collect();
        let progress = Progress::new();
        let bar = progress.bar("problems", all.len() as u64);
        let mut samples: Vec<(String, bool)> = Vec::new();
        for (number, chunk) in all.chunks(CHUNK).enumerate() {
            let file = folder.join(format!("{number:04}.jsonl"));
            if !file.exists() {
                self.chunk(chunk, Seed::root(self.arguments.seed).index(number as u64), &file)?;
            }
            for record in JsonLines::<RolloutRecord>::open(&file)? {
                let record = record?;
                samples.extend(record.passes.map(|passes| (record.problem, passes)));
            }
            bar.inc(chunk.len() as u64);
        }
        Ok(Evaluation::of(problems, samples.iter().map(|(id, passes)| (id.as_str(), *passes))))
    }

    fn chunk(&self, problems: &[Arc<Problem>], seed: Seed, file: &Path) -> Result<()> {
        let Arguments { samples, sampling, .. } = self.arguments;
        let mut sampling = sampling.with_stops(self.exchange.stops());
        if matches!(self.exchange.style(), PromptStyle::Chat { .. }) {
            sampling.stop.push(END.into());
        }
        let prompts = self.exchange.prompts(problems.iter().map(Arc::as_ref), &self.tokenizer)?;
        let rollouts = sample(&self.policy, &self.tokenizer, &prompts, *samples, &sampling, seed)?;
        let splitter = CheckedSplitter::new(Lines::python());
        let judged = judge(rollouts, problems, &self.exchange, &splitter, &self.verifier, Tests::Rewarded)?;
        let mut writer = JsonLinesWriter::create(file)?;
        for judged in &judged {
            writer.write(&judged.record(self.exchange.text(&judged.problem)?))?;
        }
        Ok(writer.finish()?)
    }
}

fn report(arguments: &Arguments, evaluation: &Evaluation) -> Result<()> {
    let seed = Seed::root(arguments.seed).child("intervals");
    let buckets = LengthBuckets::new(&[5, 10, 20])?;
    let percent = |value: f64| format!("{:.1} %", 100.0 * value);
    let mut rows = Vec::new();
    let mut ks = vec![1];
    ks.extend([5, 10, 20, 50, 100].into_iter().filter(|&k| k <= arguments.samples));
    for &k in &ks {
        let interval = evaluation.pass_at_k(k, &seed)?;
        let between = format!("{} to {}", percent(interval.low), percent(interval.high));
        rows.push(vec![format!("Pass@{k}"), percent(interval.mean), between]);
    }
    for bucket in evaluation.by_length(&buckets) {
        let mean = bucket.mean.map_or("—".to_owned(), percent);
        rows.push(vec![
            format!("solution of {} lines", bucket.label),
            mean,
            format!("{} problems", bucket.count),
        ]);
    }
    for (difficulty, part) in evaluation.by_difficulty() {
        let mean = part.pass_at_1().map_or("—".to_owned(), percent);
        rows.push(vec![difficulty, mean, format!("{} problems", part.problems.len())]);
    }
    for row in &rows {
        println!("{:<28} {:>8}   {}", row[0], row[1], row[2]);
    }
    let title = format!("{} on {}", arguments.model.display(), arguments.problems.1.display());
    let columns = ["", "passes", "95 % interval, or how many"].map(str::to_owned).to_vec();
    let table = Table { title: title.clone(), columns, rows };
    let judged: usize = evaluation.problems.iter().map(|problem| problem.samples).sum();
    let notes = vec![format!(
        "{} problems, {judged} responses judged; temperature {}, top-p {}, top-k {}, at most {} tokens.",
        evaluation.problems.len(),
        arguments.sampling.temperature.get(),
        arguments.sampling.top_p.get(),
        arguments.sampling.top_k.map_or("none".to_owned(), |k| k.to_string()),
        arguments.sampling.max_new_tokens,
    )];
    let report = Report { title, seed: arguments.seed, tables: vec![table], notes, ..Report::default() };
    fs::write(arguments.out.join("report.html"), report.to_html()?)?;
    fs::write(arguments.out.join("summary.json"), serde_json::to_string_pretty(evaluation)?)?;
    Ok(())
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Option<Arguments>> {
    let (mut model, mut problems, mut out, mut style, mut limit) = (None, None, None, None, None);
    let (mut samples, mut seed, mut exchange) = (5, 0, None);
    let mut sampling = Sampling {
        top_p: 0.95.try_into()?,
        top_k: NonZeroUsize::new(128),
        ..Sampling::training(0.2.try_into()?, NonZeroUsize::new(512).ok_or("512 is not 0")?)
    };
    let (mut any, mut device) = (false, "cpu".to_owned());
    while let Some(argument) = given.next() {
        any = true;
        let value = given.next().ok_or_else(|| format!("{argument} needs a value"))?;
        let number = || -> Result<NonZeroUsize> {
            Ok(value.parse().map_err(|_| format!("{argument} {value} is not a number above 0"))?)
        };
        let real = || -> Result<f32> {
            Ok(value.parse().map_err(|_| format!("{argument} {value} is not a number"))?)
        };
        match argument.as_str() {
            "--model" => model = Some(PathBuf::from(&value)),
            "--human-eval" => problems = Some((Kind::HumanEval, PathBuf::from(&value))),
            "--mbpp" => problems = Some((Kind::Mbpp, PathBuf::from(&value))),
            "--problems" => problems = Some((Kind::Own, PathBuf::from(&value))),
            "--out" => out = Some(PathBuf::from(&value)),
            "--style" => style = Some(value),
            "--exchange" => exchange = Some(exchange_of(&value)?),
            "--device" => device = value,
            "--limit" => limit = Some(number()?.get()),
            "--samples" => samples = number()?.get(),
            "--seed" => seed = value.parse().map_err(|_| format!("--seed {value} is not a number"))?,
            "--temperature" => sampling.temperature = real()?.try_into()?,
            "--top-p" => sampling.top_p = real()?.try_into()?,
            "--top-k" => sampling.top_k = Some(number()?),
            "--max-new-tokens" => sampling.max_new_tokens = number()?,
            _ => return Err(format!("{argument} is not an option: see the top of this example").into()),
        }
    }
    if style.is_some() && exchange.is_some() {
        return Err("--style and --exchange both say how the model is asked: give one".into());
    }
    match (model, problems, out) {
        (Some(model), Some(problems), Some(out)) => Ok(Some(Arguments {
            model,
            problems,
            style,
            exchange,
            limit,
            samples,
            sampling,
            seed,
            device,
            out,
        })),
        _ if !any => Ok(None),
        _ => Err("--model, --out and one of --human-eval, --mbpp, --problems are needed".into()),
    }
}
