//! Labels for sampled responses: the driver between a labeler, which only asks, the policy, which
//! completes prefixes, and the verifier, which judges what comes out (section 3 of the method).
//!
//! A labeler's questions about one response follow from one another, and so do the completions of one
//! prefix, for the first pass ends them. So the driver works on many responses at once: the searches
//! of a shard share one run of the engine, in which each has few completions in flight, and whoever's
//! question is answered goes on to the next. All completions of a response share its keys and values,
//! computed once, up to the token that ends their prefix, and those of one prefix what they begin with alike.
//!
//! Completions are sampled as the responses were, and a prefix with its completion is as long as a
//! response may be. One that is cut there fails, as a response does. A stop sequence ends it as it ends a response,
//! wherever in the response's text it begins.

mod error;
mod response;
mod search;
mod shard;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::AddAssign;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use error::{CollectError, SkipReason};
use response::Response;
pub use response::response_seed;
use search::Search;
use shard::Shard;

use crate::data::{Labels, Problem, Seed, Steps};
use crate::kernels::Threads;
use crate::model::{Arch, Policy, Tokenizer};
use crate::plugin::{CheckedLabeler, CheckedSplitter, Submission};
use crate::prompts::Exchange;
use crate::rollouts::{self, DEVICE_SLOTS, Rollout, Sampling};
use crate::verify::VerifierPool;

/// Searches of one task. Fixed, so that what is computed does not depend on the number of threads.
const SHARD: usize = 64;
/// Rows decoded at a time by one thread.
const SLOTS: usize = 64;
/// Completions of one question sampled at a time. With one, none is sampled or judged in vain and the cost does
/// not depend on the other responses. What the others would draw from the same logits is known all the same.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::MIN;

/// A response with its labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabeledResponse {
    /// The response's place among the rollouts given.
    pub rollout: usize,
    /// Its problem's place among the problems given.
    pub problem: usize,
    /// The steps of what it wrote of its program.
    pub steps: Steps,
    /// For each step the response token (from 0) that ends it.
    pub step_tokens: Vec<usize>,
    /// Its labels, one per step.
    pub labels: Labels,
    /// Whether it passes the tests that the reward sees.
    pub passes: bool,
}

/// What was collected. Every rollout is in one of the two lists.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// The labelled responses, in the rollouts' order.
    pub responses: Vec<LabeledResponse>,
    /// The rollouts that were left out, in order, with the reason.
    pub skipped: Vec<(usize, SkipReason)>,
    /// What it cost.
    pub cost: CollectCost,
}

/// What labels cost. Equal responses to the same problem are labelled, and paid for, once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectCost {
    /// Completions sampled.
    pub completions: usize,
    /// Tokens of the completions.
    pub completion_tokens: usize,
    /// Tokens that went through the model for them: fewer, as completions of one prefix that begin with the same tokens
    /// share these. Those of prompts and prefixes are not among them.
    pub fed_tokens: usize,
    /// Programs submitted to the verifier, responses and completions; what its memo knows included.
    pub verdicts: usize,
    /// Questions answered.
    pub questions: usize,
}

impl AddAssign for CollectCost {
    fn add_assign(&mut self, other: Self) {
        self.completions += other.completions;
        self.completion_tokens += other.completion_tokens;
        self.fed_tokens += other.fed_tokens;
        self.verdicts += other.verdicts;
        self.questions += other.questions;
    }
}

/// What responses are labelled with.
pub struct Collector<'a, A: Arch> {
    /// Who sampled the responses, and completes their prefixes.
    pub policy: &'a Policy<A>,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// How the policy was asked.
    pub exchange: &'a Exchange,
    /// How responses were sampled, and completions are.
    pub sampling: &'a Sampling,
    /// Where the lines of a program are.
    pub splitter: &'a CheckedSplitter,
    /// Which prefixes to ask about, and what their answers mean.
    pub labeler: &'a CheckedLabeler,
    /// What judges responses and completions.
    pub verifier: &'a VerifierPool,
}

impl<A: Arch> Collector<'_, A> {
    /// Labels `rollouts`, each a response to the problem at its [`prompt`](Rollout::prompt).
    ///
    /// A response passes when it ended by itself and passes the tests that the reward sees. The labels of
    /// a response are a function of the response, its problem and `seed` (see [`response_seed`]), the same
    /// whatever the other responses, their order or the number of threads.
    ///
    /// What cannot be judged is never taken for a failure. A completion that the verifier cannot judge
    /// counts as neither pass nor failure: another one that passes still answers the question; if none
    /// does, the answer is unknown, and the response is [skipped](SkipReason::UnjudgedPrefix).
    ///
    /// # Errors
    /// If a rollout does not fit `problems` or itself, the splitter fails, the labeler breaks its contract,
    /// more programs cannot be judged than the pool's limit allows, or the model or the tokenizer fails.
    /// A blank response, or one that cannot be judged, is no error: it is among [`Collected::skipped`].
    /// An error gives no labels at all; who wants to keep those before it labels in several calls.
    pub fn collect(
        &self,
        problems: &[Arc<Problem>],
        rollouts: &[Rollout],
        seed: Seed,
    ) -> Result<Collected, CollectError> {
        let Self { tokenizer, exchange, splitter, labeler, verifier, .. } = *self;
        let sampling = &self.sampling.with_stops(exchange.stops());
        let mut cost = CollectCost::default();
        let groups = Groups::of(rollouts);
        let prepare = |&rollout: &usize| {
            let (sampled, problems_len) = (&rollouts[rollout], problems.len());
            let problem = sampled.prompt;
            let Some(problem) = problems.get(problem) else {
                return Err(CollectError::NoProblem { rollout, problem, problems: problems_len });
            };
            Response::new(rollout, problem, sampled, exchange, splitter)
        };
        let prepared: Vec<_> = groups.firsts.par_iter().map(prepare).collect::<Result<_, _>>()?;
        let mut skipped = HashMap::new();
        let mut responses = Vec::with_capacity(prepared.len());
        for (&rollout, prepared) in groups.firsts.iter().zip(prepared) {
            match prepared {
                Ok(response) => responses.push(response),
                Err(reason) => _ = skipped.insert(rollout, reason),
            }
        }
        let responses = judge(responses, rollouts, verifier, &mut cost, &mut skipped)?;

        let searches = responses.into_iter().map(|response| {
            let seed = response_seed(seed, response.problem, response.sequence);
            Search::begin(response, labeler, seed)
        });
        let searches = searches.collect::<Result<Vec<_>, _>>()?;
        let (mut searches, open): (Vec<_>, Vec<_>) = searches.into_iter().partition(Search::is_done);
        let decoder = self.policy.decoder()?;
        let (shard, slots) = match decoder.is_one_for_all() {
            true => (open.len().max(1), DEVICE_SLOTS),
            false => (SHARD, SLOTS),
        };
        let shards = shards(open, shard).into_par_iter().map(|searches| {
            let mut shard = Shard {
                searches,
                decoder: decoder.another(Threads::One),
                tokenizer,
                verifier,
                sampling,
                exchange,
                cost: CollectCost::default(),
                ended: Vec::new(),
            };
            let stats =
                rollouts::run(&mut decoder.another(Threads::One), tokenizer, sampling, slots, &mut shard)?;
            shard.cost.completions = stats.rows;
            shard.cost.completion_tokens = stats.tokens;
            shard.cost.fed_tokens = stats.fed;
            Ok((shard.searches, shard.cost))
        });
        for (done, shard_cost) in shards.collect::<Result<Vec<_>, CollectError>>()? {
            searches.extend(done);
            cost += shard_cost;
        }

        let mut labeled = HashMap::new();
        for search in searches {
            let rollout = search.response.rollout;
            match search.into_labeled(rollouts[rollout].prompt) {
                Ok(response) => _ = labeled.insert(rollout, response),
                Err(reason) => _ = skipped.insert(rollout, reason),
            }
        }
        let mut collected = Collected { cost, ..Collected::default() };
        for (rollout, &group) in groups.group_of.iter().enumerate() {
            let first = groups.firsts[group];
            if let Some(response) = labeled.get(&first) {
                collected.responses.push(LabeledResponse { rollout, ..response.clone() });
            } else if let Some(reason) = skipped.get(&first) {
                collected.skipped.push((rollout, reason.clone()));
            }
        }
        Ok(collected)
    }
}

/// Groups of equal responses to one problem.
struct Groups {
    /// The first rollout of each.
    firsts: Vec<usize>,
    /// The group of each rollout.
    group_of: Vec<usize>,
}

impl Groups {
    fn of(rollouts: &[Rollout]) -> Self {
        let mut known = HashMap::new();
        let (mut firsts, mut group_of) = (Vec::new(), Vec::with_capacity(rollouts.len()));
        for (rollout, Rollout { prompt, sequence, finished, .. }) in rollouts.iter().enumerate() {
            let group = *known
                .entry((prompt, &sequence.prompt, &sequence.response, finished))
                .or_insert(firsts.len());
            if group == firsts.len() {
                firsts.push(rollout);
            }
            group_of.push(group);
        }
        Self { firsts, group_of }
    }
}

/// Searches in groups of at most `shard`.
fn shards(mut open: Vec<Search<'_>>, shard: usize) -> Vec<Vec<Search<'_>>> {
    let mut shards = Vec::new();
    while !open.is_empty() {
        let rest = open.split_off(open.len().min(shard));
        shards.push(std::mem::replace(&mut open, rest));
    }
    shards
}

/// Finds out which responses pass, and leaves out those that cannot be judged.
fn judge<'a>(
    mut responses: Vec<Response<'a>>,
    rollouts: &[Rollout],
    verifier: &VerifierPool,
    cost: &mut CollectCost,
    skipped: &mut HashMap<usize, SkipReason>,
) -> Result<Vec<Response<'a>>, CollectError> {
    let finished = |response: &Response<'_>| rollouts[response.rollout].finished;
    let submissions: Vec<_> = responses
        .iter()
        .filter(|response| finished(response))
        .map(|response| Submission::rewarded(response.problem, response.program.text()))
        .collect();
    cost.verdicts += submissions.len();
    let mut judged = verifier.verify_all(&submissions)?.into_iter();
    drop(submissions);
    responses.retain_mut(|response| {
        if !finished(response) {
            return true;
        }
        match judged.next().expect("one judgement per submission") {
            Ok(verdict) => response.passes = verdict.passes(),
            Err(error) => {
                skipped.insert(response.rollout, SkipReason::Unjudged(error));
                return false;
            }
        }
        true
    });
    Ok(responses)
}
