//! Pass@1 on held-out problems by their held-out tests, by program length.

use serde::{Deserialize, Serialize};

use super::error::TrainerError;
use crate::data::{ProblemSet, Seed};
use crate::eval::{Bucket, LengthBuckets};
use crate::model::{Arch, Policy, Tokenizer};
use crate::plugin::Submission;
use crate::rollouts::{Sampling, sample};
use crate::verify::VerifierPool;

/// How each held-out problem fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// In the problems' order.
    pub problems: Vec<ProblemResult>,
}

/// How one problem fared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProblemResult {
    /// The problem.
    pub id: String,
    /// Its length: the metadata's `steps`, where there is one.
    pub length: Option<usize>,
    /// Samples that were judged.
    pub samples: usize,
    /// Samples that pass all held-out tests.
    pub passed: usize,
}

impl Evaluation {
    /// Pass@1: the mean over problems of the share of samples that pass. Problems of which no sample
    /// could be judged do not count.
    pub fn pass_at_1(&self) -> f64 {
        let shares: Vec<f64> = self.shares().map(|(_, share)| share).collect();
        if shares.is_empty() { 0.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 }
    }

    /// Pass@1 by length, of the problems that have one.
    pub fn by_length(&self, buckets: &LengthBuckets) -> Vec<Bucket> {
        buckets.means(self.shares().filter_map(|(length, share)| Some((length?, share))))
    }

    fn shares(&self) -> impl Iterator<Item = (Option<usize>, f64)> {
        let judged = self.problems.iter().filter(|problem| problem.samples > 0);
        judged.map(|problem| (problem.length, problem.passed as f64 / problem.samples as f64))
    }
}

/// Samples `samples` responses to each problem and judges them by the held-out tests, or by the others
/// where a problem has none. A response cut at the length limit fails; one that could not be judged is
/// left out.
///
/// # Errors
/// If sampling fails, or the verifier fails too often.
pub fn evaluate<A: Arch>(
    policy: &Policy<A>,
    tokenizer: &Tokenizer,
    problems: &ProblemSet,
    verifier: &VerifierPool,
    samples: usize,
    sampling: &Sampling,
    seed: Seed,
) -> Result<Evaluation, TrainerError> {
    let prompts = problems.iter().map(|problem| tokenizer.encode(&problem.prompt));
    let prompts = prompts.collect::<Result<Vec<_>, _>>()?;
    let rollouts = sample(policy, tokenizer, &prompts, samples, sampling, seed)?;
    let submissions: Vec<Submission<'_>> = rollouts
        .iter()
        .zip(problems.iter().flat_map(|problem| std::iter::repeat_n(problem, samples)))
        .map(|(rollout, problem)| match problem.held_out_tests.is_empty() {
            true => Submission::rewarded(problem, &rollout.text),
            false => Submission::held_out(problem, &rollout.text),
        })
        .collect();
    let mut results: Vec<ProblemResult> = problems
        .iter()
        .map(|problem| {
            let length =
                problem.metadata.get("steps").and_then(|steps| steps.as_u64()).map(|steps| steps as usize);
            ProblemResult { id: problem.id.clone(), length, samples: 0, passed: 0 }
        })
        .collect();
    for (rollout, judged) in rollouts.iter().zip(verifier.verify_all(&submissions)?) {
        if let Ok(verdict) = judged {
            let result = &mut results[rollout.prompt];
            result.samples += 1;
            result.passed += usize::from(verdict.passes() && rollout.finished);
        }
    }
    Ok(Evaluation { problems: results })
}
