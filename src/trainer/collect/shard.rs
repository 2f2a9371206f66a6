//! A shard of searches, whose completions are sampled in one run of the engine.

use std::collections::BTreeMap;

use super::error::CollectError;
use super::search::{Judgement, Search, State};
use super::{CollectCost, IN_FLIGHT};
use crate::answer::Program;
use crate::model::{Decoder, Tokenizer};
use crate::plugin::Submission;
use crate::prompts::Exchange;
use crate::rollouts::{Completion, Feed, Job, Sampling};
use crate::verify::VerifierPool;

/// The searches of a shard as a feed of the engine.
///
/// A job's id says which question it belongs to: `search + searches · answered`, with the search's
/// place and the number of questions answered before.
pub(super) struct Shard<'a> {
    pub(super) searches: Vec<Search<'a>>,
    /// Computes the responses' keys and values.
    pub(super) decoder: Decoder<'a>,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) verifier: &'a VerifierPool,
    /// Its longest response includes the prefix.
    pub(super) sampling: &'a Sampling,
    pub(super) exchange: &'a Exchange,
    pub(super) cost: CollectCost,
    /// Completions that ended at the same step of the engine, with their ids.
    pub(super) ended: Vec<(usize, Completion)>,
}

impl Shard<'_> {
    fn search(&self, id: usize) -> (usize, usize) {
        (id % self.searches.len(), id / self.searches.len())
    }

    /// The program that a completion of what a search asks about makes, if it makes one.
    fn program(&self, search: usize, completion: &Completion) -> Result<Option<Program>, CollectError> {
        let Search { response, state, .. } = &self.searches[search];
        let kept = if let State::Asking(question) = state { response.kept(question.prefix) } else { 0 };
        let mut tokens = response.sequence.response[..kept].to_vec();
        tokens.extend(&completion.tokens);
        let (text, _) = self.sampling.cut(self.tokenizer.decode_with_ends(&tokens)?);
        Ok(self.exchange.program(response.problem, &text))
    }

    /// Hands a search a judgement of what it asks about.
    fn judged(&mut self, search: usize, judgement: Judgement) -> Result<(), CollectError> {
        let search = &mut self.searches[search];
        let answered = search.answered();
        search.judged(judgement)?;
        self.cost.questions += search.answered() - answered;
        Ok(())
    }
}

impl Feed for Shard<'_> {
    type Error = CollectError;

    /// The question of a search that has one.
    fn next(&mut self) -> Result<Option<Job>, CollectError> {
        let searches = self.searches.len();
        let mut open = self.searches.iter_mut().enumerate();
        let Some((place, search)) = open.find(|(_, search)| search.is_open()) else { return Ok(None) };
        let prefix = match &search.cache {
            Some(prefix) => prefix.clone(),
            // Alone, so that a response's numbers do not depend on its neighbours.
            None => {
                let prefixes = self.decoder.prefill(&[&search.response.shared()])?;
                search.cache.insert(prefixes.into_iter().next().expect("one row, one prefix")).clone()
            }
        };
        let answered = search.answered();
        let Some((kept, streams)) = search.start() else { return Ok(None) };
        let sequence = search.response.sequence;
        let tokens = sequence.prompt.len() + kept;
        let room = self.decoder.dims().positions.saturating_sub(tokens);
        Ok(Some(Job {
            id: place + searches * answered,
            prefix,
            shared: tokens - 1,
            last: sequence.response[kept - 1],
            begun: sequence.response[..kept].to_vec(),
            streams,
            at_a_time: IN_FLIGHT,
            max_new_tokens: self.sampling.max_new_tokens.get().saturating_sub(kept).min(room),
        }))
    }

    fn finished(&mut self, id: usize, _row: usize, completion: Completion) -> Result<(), CollectError> {
        self.ended.push((id, completion));
        Ok(())
    }

    /// Judges the completions that ended at one step, those of a question up to its first pass.
    fn step_ended(&mut self) -> Result<(), CollectError> {
        let mut programs: BTreeMap<usize, Vec<Program>> = BTreeMap::new();
        for (id, completion) in std::mem::take(&mut self.ended) {
            let (place, _) = self.search(id);
            let program = if completion.finished { self.program(place, &completion)? } else { None };
            match program {
                Some(program) => programs.entry(place).or_default().push(program),
                // Not the last of its question while others of it are to be judged.
                None => self.judged(place, Judgement::Fail)?,
            }
        }
        let submissions: Vec<Vec<Submission<'_>>> = programs
            .iter()
            .map(|(&place, programs)| {
                let problem = self.searches[place].response.problem;
                programs.iter().map(|program| Submission::rewarded(problem, program.text())).collect()
            })
            .collect();
        let groups: Vec<&[Submission<'_>]> = submissions.iter().map(Vec::as_slice).collect();
        let answers = self.verifier.verify_until_pass(&groups)?;
        for (&place, answers) in programs.keys().zip(answers) {
            self.cost.verdicts += answers.len();
            for answer in answers {
                self.judged(
                    place,
                    match answer {
                        Ok(verdict) if verdict.passes() => Judgement::Pass,
                        Ok(_) => Judgement::Fail,
                        Err(error) => Judgement::Unjudged(error),
                    },
                )?;
            }
        }
        Ok(())
    }

    fn wanted(&self, id: usize) -> bool {
        let (place, answered) = self.search(id);
        let search = &self.searches[place];
        matches!(search.state, State::Asking(_)) && search.answered() == answered
    }
}
