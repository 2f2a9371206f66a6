//! Rollouts with what verifier and splitter say of them.

use std::sync::Arc;

use super::error::TrainerError;
use crate::data::{Problem, Steps, Task};
use crate::plugin::{CheckedSplitter, Outcome, PrmInput, Submission, Verdict};
use crate::prompts::Exchange;
use crate::rollouts::Rollout;
use crate::steps::{own_steps, program_step_tokens};
use crate::verify::VerifierPool;

/// A rollout, judged by tests and split into steps.
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
    /// The steps of what it wrote of its program; none where that is blank, or there is no program.
    pub steps: Steps,
    /// For each step, the response token that contains its line's end.
    pub step_tokens: Vec<usize>,
}

impl JudgedRollout {
    /// As a PRM is asked about it.
    pub fn prm_input(&self) -> PrmInput<'_> {
        PrmInput::new(&self.problem, &self.steps, &self.rollout.sequence, &self.step_tokens)
    }
}

/// Which of a problem's tests judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tests {
    /// Those that the reward sees.
    #[default]
    Rewarded,
    /// The held-out ones, or the others where a problem has none.
    HeldOut,
}

impl Tests {
    /// A program to be judged by them.
    pub(super) fn submission<'a>(self, problem: &'a Problem, program: &'a str) -> Submission<'a> {
        match self {
            Self::HeldOut if !problem.held_out_tests.is_empty() => Submission::held_out(problem, program),
            _ => Submission::rewarded(problem, program),
        }
    }
}

/// Judges and splits the programs in rollouts; `problems[rollout.prompt]` is a rollout's problem.
///
/// A response without a program fails ([`Outcome::NoCode`]), and the verifier is not asked. One cut at the length
/// limit does not pass, whatever its tests say (checklist, 10).
///
/// # Errors
/// If the verifier fails too often, or the splitter breaks its contract.
pub fn judge(
    rollouts: Vec<Rollout>,
    problems: &[Arc<Problem>],
    exchange: &Exchange,
    splitter: &CheckedSplitter,
    verifier: &VerifierPool,
    tests: Tests,
) -> Result<Vec<JudgedRollout>, TrainerError> {
    let problem_of = |rollout: &Rollout| &problems[rollout.prompt];
    let programs: Vec<_> =
        rollouts.iter().map(|rollout| exchange.program(problem_of(rollout), &rollout.text)).collect();
    let mut verdicts = vec![None; rollouts.len()];
    let (mut submitted, mut submissions) = (Vec::new(), Vec::new());
    for (row, (rollout, program)) in rollouts.iter().zip(&programs).enumerate() {
        let problem = problem_of(rollout);
        match program {
            _ if problem.task != Task::Code => {}
            Some(program) => {
                submitted.push(row);
                submissions.push(tests.submission(problem, program.text()));
            }
            None => {
                let total = tests.submission(problem, "").tests.len();
                verdicts[row] = Some(Arc::new(no_program(total)));
            }
        }
    }
    for (&row, judged) in submitted.iter().zip(verifier.verify_all(&submissions)?) {
        verdicts[row] = judged.ok();
    }
    drop(submissions);
    rollouts
        .into_iter()
        .zip(verdicts)
        .zip(programs)
        .map(|((rollout, verdict), program)| {
            let passes = verdict.as_ref().map(|verdict| verdict.passes() && rollout.finished);
            let problem = problems[rollout.prompt].clone();
            let Some(program) = program else {
                let (steps, step_tokens) = (splitter.split("")?, Vec::new());
                return Ok(JudgedRollout { rollout, problem, passes, verdict, steps, step_tokens });
            };
            let steps = own_steps(splitter, &program)?;
            let step_tokens = program_step_tokens(&steps, &program, &rollout.token_ends)?;
            Ok(JudgedRollout { rollout, problem, passes, verdict, steps, step_tokens })
        })
        .collect()
}

/// What is said of a response without a program, which has all `total` tests against it.
fn no_program(total: usize) -> Verdict {
    let detail = "the response holds no program".into();
    Verdict { outcome: Outcome::NoCode, passed: 0, total, detail, seconds: 0.0 }
}
