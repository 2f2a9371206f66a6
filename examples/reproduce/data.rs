//! Labelled responses, and how they are got: by the labeler, from the truth, or by the outcome alone.

use std::sync::Arc;

use pspo::data::{Label, Labels, Problem, ResponseClass, Seed};
use pspo::model::Policy;
use pspo::plugin::{CheckedLabeler, CheckedSplitter, Labeler};
use pspo::prm::PrmExample;
use pspo::prompts::Exchange;
use pspo::rollouts::{Rollout, sample};
use pspo::steps::Lines;
use pspo::trainer::{CollectCost, Collector, JudgedRollout, LabeledResponse, Tests, TrainerError, judge};
use pspo::verify::VerifierPool;
use serde::{Deserialize, Serialize};

use crate::setting::{Setting, Tiny};

/// Responses to a prompt with their labels, and as a PRM learns from them.
pub type LabelledPrompt = Vec<(LabeledResponse, PrmExample)>;

/// Labelled responses, and what they cost.
#[derive(Default, Serialize, Deserialize)]
pub struct PrmData {
    pub prompts: Vec<LabelledPrompt>,
    pub cost: CollectCost,
}

impl PrmData {
    /// Tokens that were sampled for it.
    pub fn tokens(&self) -> usize {
        let responses = self.prompts.iter().flatten().map(|(_, example)| example.sequence.response.len());
        responses.sum::<usize>() + self.cost.completion_tokens
    }
}

/// Who is asked, and what.
pub struct Asked<'a> {
    pub policy: &'a Policy<Tiny>,
    pub problems: &'a [Arc<Problem>],
    pub responses: usize,
    pub seed: Seed,
}

impl Asked<'_> {
    /// `responses` to each problem, problem by problem.
    pub fn rollouts(&self, setting: &Setting) -> Result<Vec<Rollout>, TrainerError> {
        let Self { policy, problems, responses, seed } = self;
        let prompts = Exchange::default().prompts(problems.iter().map(Arc::as_ref), &setting.tokenizer)?;
        let sampling = &setting.config.ppo.sampling;
        Ok(sample(policy, &setting.tokenizer, &prompts, *responses, sampling, *seed)?)
    }

    /// The rollouts, split into lines and judged by the tests that rewards see.
    pub fn judged(&self, setting: &Setting, pool: &VerifierPool) -> Result<Vec<JudgedRollout>, TrainerError> {
        let splitter = CheckedSplitter::new(Lines::python());
        let rollouts = self.rollouts(setting)?;
        judge(rollouts, self.problems, &Exchange::default(), &splitter, pool, Tests::Rewarded)
    }

    /// The rollouts with a label for every line.
    pub fn labelled(
        &self,
        setting: &Setting,
        pool: &VerifierPool,
        labeler: impl Labeler + 'static,
    ) -> Result<PrmData, TrainerError> {
        let rollouts = self.rollouts(setting)?;
        let collector = Collector {
            policy: self.policy,
            tokenizer: &setting.tokenizer,
            exchange: &Exchange::default(),
            sampling: &setting.config.ppo.sampling,
            splitter: &CheckedSplitter::new(Lines::python()),
            labeler: &CheckedLabeler::new(labeler),
            verifier: pool,
        };
        let collected = collector.collect(self.problems, &rollouts, self.seed)?;
        let mut prompts = vec![Vec::new(); self.problems.len()];
        for response in collected.responses {
            let example = PrmExample {
                sequence: rollouts[response.rollout].sequence.clone(),
                step_tokens: response.step_tokens.clone(),
                labels: response.labels.clone(),
            };
            prompts[response.problem].push((response, example));
        }
        Ok(PrmData { prompts, cost: collected.cost })
    }
}

/// The labels that comments have where none is neutral: good up to the first line of code that is not.
pub fn comments_as_code(labels: &Labels) -> Labels {
    let good = match labels.class {
        ResponseClass::Correct => labels.steps.len(),
        _ => labels.first_error().unwrap_or(labels.steps.len()),
    };
    let label = |step| if step < good { Label::Good } else { Label::Bad };
    Labels { steps: (0..labels.steps.len()).map(label).collect(), class: labels.class }
}

/// Responses whose every token is labelled by the outcome alone: what a critic is fitted to that knows the returns
/// of a policy and nothing of lines.
pub fn returns(judged: &[JudgedRollout]) -> Vec<PrmExample> {
    let rows = judged.iter().filter(|row| !row.rollout.sequence.response.is_empty());
    let example = |row: &JudgedRollout| {
        let tokens = row.rollout.sequence.response.len();
        let (label, class) = match row.passes? {
            true => (Label::Good, ResponseClass::Correct),
            false => (Label::Bad, ResponseClass::Wrong),
        };
        let labels = Labels { steps: vec![label; tokens], class };
        Some(PrmExample {
            sequence: row.rollout.sequence.clone(),
            step_tokens: (0..tokens).collect(),
            labels,
        })
    };
    rows.filter_map(example).collect()
}
