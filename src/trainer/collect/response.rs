//! A response that is ready to be labelled: split, its steps' ends found among its tokens.

use std::fmt::Write;

use super::error::{CollectError, SkipReason};
use crate::answer::Program;
use crate::data::{Problem, Seed, Sequence, Steps, Task};
use crate::plugin::CheckedSplitter;
use crate::prompts::Exchange;
use crate::rollouts::Rollout;
use crate::steps::{own_steps, program_step_tokens};

/// A response with its steps.
pub(super) struct Response<'a> {
    pub(super) rollout: usize,
    pub(super) problem: &'a Problem,
    pub(super) sequence: &'a Sequence,
    pub(super) program: Program,
    /// Those of what the response wrote of the program.
    pub(super) steps: Steps,
    pub(super) step_tokens: Vec<usize>,
    pub(super) passes: bool,
}

impl<'a> Response<'a> {
    /// Splits a response. Whether it passes is not known yet.
    pub(super) fn new(
        rollout: usize,
        problem: &'a Problem,
        sampled: &'a Rollout,
        exchange: &Exchange,
        splitter: &CheckedSplitter,
    ) -> Result<Result<Self, SkipReason>, CollectError> {
        let sequence = &sampled.sequence;
        let (tokens, ends) = (sequence.response.len(), sampled.token_ends.len());
        if tokens != ends {
            return Err(CollectError::TokenEnds { rollout, tokens, ends });
        }
        if problem.task != Task::Code || problem.tests.is_empty() {
            return Ok(Err(SkipReason::NotCode(problem.id.clone())));
        }
        let Some(program) = exchange.program(problem, &sampled.text) else {
            return Ok(Err(SkipReason::NoProgram));
        };
        let steps =
            own_steps(splitter, &program).map_err(|source| CollectError::Split { rollout, source })?;
        if steps.is_empty() {
            return Ok(Err(SkipReason::Empty));
        }
        let step_tokens = program_step_tokens(&steps, &program, &sampled.token_ends)
            .map_err(|source| CollectError::StepTokens { rollout, source })?;
        Ok(Ok(Self { rollout, problem, sequence, program, steps, step_tokens, passes: false }))
    }

    /// How many response tokens y≤`prefix` has: up to and including the one that ends its last line.
    pub(super) fn kept(&self, prefix: usize) -> usize {
        self.step_tokens[prefix - 1] + 1
    }

    /// The tokens whose keys and values the completions share: all but the last of y≤M−1, the longest
    /// prefix that can be asked about.
    pub(super) fn shared(&self) -> Vec<u32> {
        let longest = self.kept(self.steps.len().saturating_sub(1).max(1));
        self.sequence.tokens().take(self.sequence.prompt.len() + longest - 1).collect()
    }
}

/// The stream of random numbers below which completion `k` of y≤`m` of a response draws from
/// `.index(m).index(k)`.
///
/// It is named by the problem's id and by the prompt's and the response's tokens, not by a place in a
/// list: so the same response gets the same labels in whatever order, company or number of calls it is
/// labelled.
///
/// ```
/// use pspo::data::{ProblemSet, Seed, Sequence};
/// use pspo::trainer::collect::response_seed;
///
/// let problems = ProblemSet::read_jsonl(r#"{"id": "a", "prompt": "?", "task": "chat"}"#.as_bytes())?;
/// let sequence = Sequence { prompt: vec![1], response: vec![2, 3] };
/// let seed = response_seed(Seed::root(7), problems.get(0).unwrap(), &sequence);
/// let other = Sequence { prompt: vec![1], response: vec![23] };
/// assert_ne!(seed, response_seed(Seed::root(7), problems.get(0).unwrap(), &other));
/// # Ok::<(), pspo::data::ProblemError>(())
/// ```
pub fn response_seed(seed: Seed, problem: &Problem, sequence: &Sequence) -> Seed {
    let mut tokens = String::with_capacity(5 * sequence.len());
    for token in sequence.tokens() {
        // Writing to a string cannot fail.
        let _ = write!(tokens, "{token} ");
    }
    seed.child(&problem.id).child(&tokens)
}
