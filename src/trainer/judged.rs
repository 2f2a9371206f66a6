//! Rollouts with what verifier and splitter say of them.

use std::sync::Arc;

use super::error::TrainerError;
use crate::data::{Problem, Steps, Task};
use crate::plugin::{CheckedSplitter, Submission, Verdict};
use crate::rollouts::Rollout;
use crate::steps::step_tokens;
use crate::verify::VerifierPool;

/// A rollout, judged by the tests that the reward sees and split into steps.
#[derive(Clone, Debug)]
pub struct JudgedRollout {
    /// The rollout.
    pub rollout: Rollout,
    /// Its problem.
    pub problem: Arc<Problem>,
    /// Whether it passes; `None` for a prompt that is not code, and where the verifier could not judge:
    /// such a response is masked (it teaches nothing), never a failure.
    pub passes: Option<bool>,
    /// What the verifier says of its program, whether or not the response is finished; `None` as above.
    pub verdict: Option<Arc<Verdict>>,
    /// Its steps; none for a blank response.
    pub steps: Steps,
    /// For each step, the response token that contains its line's end.
    pub step_tokens: Vec<usize>,
}

/// Judges and splits rollouts; `problems[rollout.prompt]` is a rollout's problem.
///
/// A response cut at the length limit does not pass, whatever its tests say (checklist, 10).
///
/// # Errors
/// If the verifier fails too often, or the splitter breaks its contract.
pub fn judge(
    rollouts: Vec<Rollout>,
    problems: &[Arc<Problem>],
    splitter: &CheckedSplitter,
    verifier: &VerifierPool,
) -> Result<Vec<JudgedRollout>, TrainerError> {
    let code: Vec<usize> =
        (0..rollouts.len()).filter(|&row| problems[rollouts[row].prompt].task == Task::Code).collect();
    let submissions: Vec<Submission<'_>> = code
        .iter()
        .map(|&row| Submission::rewarded(&problems[rollouts[row].prompt], &rollouts[row].text))
        .collect();
    let mut verdicts = vec![None; rollouts.len()];
    for (&row, judged) in code.iter().zip(verifier.verify_all(&submissions)?) {
        verdicts[row] = judged.ok();
    }
    rollouts
        .into_iter()
        .zip(verdicts)
        .map(|(rollout, verdict)| {
            let passes = verdict.as_ref().map(|verdict| verdict.passes() && rollout.finished);
            let problem = problems[rollout.prompt].clone();
            let steps = splitter.split(&rollout.text)?;
            let step_tokens = step_tokens(&steps, &rollout.token_ends)?;
            Ok(JudgedRollout { rollout, problem, passes, verdict, steps, step_tokens })
        })
        .collect()
}
