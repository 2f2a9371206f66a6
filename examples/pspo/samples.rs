//! Responses to held-out problems, judged by tests and scored by the PRM; what choosing among them gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use pspo::data::{Problem, ProblemSet};
use pspo::eval::Interval;
use pspo::formats::{JsonLinesWriter, RolloutRecord};
use pspo::model::{Arch, Policy};
use pspo::plugin::CheckedPrm;
use pspo::rollouts::sample;
use pspo::trainer::{Evaluation, Run, Tests, TrainerError, judge};
use serde::{Deserialize, Serialize};

use crate::config::ResponseScore;
use crate::{CHUNK, Result, Setting};

/// A response to a held-out problem.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sample {
    record: RolloutRecord,
    /// Of its lines of code.
    scores: Vec<f32>,
}

/// What one of several responses passes, chosen in three ways.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BestOf {
    pub n: usize,
    /// The one that the PRM scores highest.
    pub prm: f64,
    /// Any of them: their mean.
    pub random: f64,
    /// One that passes, if there is one.
    pub oracle: f64,
}

/// How a policy does on held-out problems.
pub struct Results {
    pub evaluation: Evaluation,
    pub pass_at_1: Interval,
    pub best_of: Vec<BestOf>,
}

/// Samples, judges and scores; a chunk of problems at a time, each of which a run that goes on finds done.
pub fn evaluate<A: Arch>(
    setting: &Setting<'_, A>,
    run: &mut Run,
    name: &str,
    policy: &Policy<A>,
    prm: &CheckedPrm,
) -> Result<Results> {
    let problems: Vec<_> = setting.held_out.iter().cloned().collect();
    let mut samples = Vec::new();
    for (number, chunk) in problems.chunks(CHUNK).enumerate() {
        let stage = format!("eval-{name}-{number:04}");
        samples.extend(run.once(&stage, |_| respond(setting, policy, prm, chunk, number))?);
    }
    let records = run.folder().path().join("records");
    std::fs::create_dir_all(&records)?;
    let mut file = JsonLinesWriter::create(records.join(format!("samples_{name}.jsonl")))?;
    for sample in &samples {
        file.write(&sample.record)?;
    }
    file.finish()?;
    results(setting, &samples)
}

fn respond<A: Arch>(
    setting: &Setting<'_, A>,
    policy: &Policy<A>,
    prm: &CheckedPrm,
    problems: &[Arc<Problem>],
    chunk: usize,
) -> std::result::Result<Vec<Sample>, TrainerError> {
    let Setting { exchange, tokenizer, config, .. } = setting;
    let evaluation = &config.stages.evaluation;
    let sampling = evaluation.sampling.with_stops(exchange.stops());
    let prompts = setting.prompts(problems)?;
    let seed = setting.seed.child("evaluation").index(chunk as u64);
    let responses = sample(policy, tokenizer, &prompts, evaluation.samples.get(), &sampling, seed)?;
    let judged = judge(responses, problems, exchange, &setting.splitter, &setting.verifier, Tests::HeldOut)?;
    let scored = || judged.iter().filter(|row| !row.steps.is_empty());
    let inputs: Vec<_> = scored().map(|row| row.prm_input()).collect();
    let mut scores = prm.scores(&inputs)?.into_iter();
    let mut samples = Vec::with_capacity(judged.len());
    for row in &judged {
        let scores = if row.steps.is_empty() { None } else { scores.next() };
        let scores = scores.unwrap_or_default().into_iter().enumerate();
        let code = scores.filter(|&(step, _)| !row.steps.is_comment(step)).map(|(_, score)| score);
        samples.push(Sample { record: row.record(exchange.text(&row.problem)?), scores: code.collect() });
    }
    Ok(samples)
}

fn results<A: Arch>(setting: &Setting<'_, A>, samples: &[Sample]) -> Result<Results> {
    let evaluation = &setting.config.stages.evaluation;
    let judged = samples.iter().filter_map(|sample| Some((sample, sample.record.passes?)));
    let mut by_problem: BTreeMap<&str, Vec<(f32, bool)>> = BTreeMap::new();
    for (sample, passes) in judged.clone() {
        let score = evaluation.score.of(&sample.scores);
        by_problem.entry(&sample.record.problem).or_default().push((score, passes));
    }
    let held_out: &ProblemSet = &setting.held_out;
    let verdicts = judged.map(|(sample, passes)| (sample.record.problem.as_str(), passes));
    let verdicts = Evaluation::of(held_out, verdicts);
    let pass_at_1 = verdicts.pass_at_k(1, &setting.seed.child("intervals"))?;
    let sizes =
        std::iter::successors(Some(2), |n| Some(2 * n)).take_while(|&n| n <= evaluation.samples.get());
    let best_of = sizes.map(|n| best_of(n, by_problem.values().map(Vec::as_slice))).collect();
    Ok(Results { evaluation: verdicts, pass_at_1, best_of })
}

/// Means over problems, of the first `n` responses to each.
fn best_of<'a>(n: usize, problems: impl Iterator<Item = &'a [(f32, bool)]>) -> BestOf {
    let (mut count, mut prm, mut random, mut oracle) = (0, 0.0, 0.0, 0.0);
    for responses in problems {
        let responses = &responses[..n.min(responses.len())];
        let passed = responses.iter().filter(|(_, passes)| *passes).count();
        // The first of those that score alike.
        let chosen = responses.iter().rev().max_by(|a, b| a.0.total_cmp(&b.0));
        prm += f64::from(u8::from(chosen.is_some_and(|(_, passes)| *passes)));
        random += passed as f64 / responses.len() as f64;
        oracle += f64::from(u8::from(passed > 0));
        count += 1;
    }
    let mean = |sum: f64| sum / f64::from(count.max(1));
    BestOf { n, prm: mean(prm), random: mean(random), oracle: mean(oracle) }
}

impl ResponseScore {
    pub fn words(self) -> &'static str {
        match self {
            Self::Min => "the score of its worst line",
            Self::Mean => "the mean score of its lines",
            Self::Last => "the score of its last line",
        }
    }
}
