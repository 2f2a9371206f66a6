//! A shard of searches, whose completions are sampled in one run of the engine.

use super::error::CollectError;
use super::search::{Judgement, Search, State};
use super::{CollectCost, IN_FLIGHT};
use crate::model::{Decoder, Tokenizer};
use crate::plugin::Submission;
use crate::rollouts::{Completion, Feed, Job};
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
    /// Longest response in tokens, prefix included.
    pub(super) max_response: usize,
    pub(super) cost: CollectCost,
}

impl Shard<'_> {
    fn search(&self, id: usize) -> (usize, usize) {
        (id % self.searches.len(), id / self.searches.len())
    }

    fn judge(
        &mut self,
        search: usize,
        prefix: usize,
        completion: &Completion,
    ) -> Result<Judgement, CollectError> {
        if !completion.finished {
            return Ok(Judgement::Fail);
        }
        let response = &self.searches[search].response;
        let mut tokens = response.sequence.response[..response.kept(prefix)].to_vec();
        tokens.extend(&completion.tokens);
        let program = self.tokenizer.decode(&tokens)?;
        self.cost.verdicts += 1;
        let judged = self.verifier.verify_all(&[Submission::rewarded(response.problem, &program)])?;
        Ok(match judged.into_iter().next() {
            Some(Ok(verdict)) if verdict.passes() => Judgement::Pass,
            Some(Err(error)) => Judgement::Unjudged(error),
            _ => Judgement::Fail,
        })
    }
}

impl Feed for Shard<'_> {
    type Error = CollectError;

    /// A completion for the search with the fewest in flight, so that every search moves on.
    fn next(&mut self) -> Result<Option<Job>, CollectError> {
        let searches = self.searches.len();
        let open = self.searches.iter_mut().enumerate();
        let next = open
            .filter_map(|(place, search)| Some((search.in_flight()?, place, search)))
            .filter(|(in_flight, ..)| *in_flight < IN_FLIGHT)
            .min_by_key(|&(in_flight, place, _)| (in_flight, place));
        let Some((_, place, search)) = next else { return Ok(None) };
        let prefix = match &search.cache {
            Some(prefix) => prefix.clone(),
            // Alone, so that a response's numbers do not depend on its neighbours.
            None => {
                let prefixes = self.decoder.prefill(&[&search.response.shared()])?;
                search.cache.insert(prefixes.into_iter().next().expect("one row, one prefix")).clone()
            }
        };
        let answered = search.answered();
        let Some((kept, stream)) = search.start() else { return Ok(None) };
        let sequence = search.response.sequence;
        let tokens = sequence.prompt.len() + kept;
        let room = self.decoder.dims().positions.saturating_sub(tokens);
        Ok(Some(Job {
            id: place + searches * answered,
            prefix,
            shared: tokens - 1,
            last: sequence.response[kept - 1],
            stream,
            max_new_tokens: self.max_response.saturating_sub(kept).min(room),
        }))
    }

    fn finished(&mut self, id: usize, completion: Completion) -> Result<(), CollectError> {
        // Another completion of the same question may have passed at the same token.
        if !self.wanted(id) {
            return Ok(());
        }
        let (place, answered) = self.search(id);
        let State::Asking(question) = &self.searches[place].state else { return Ok(()) };
        let judgement = self.judge(place, question.prefix, &completion)?;
        let search = &mut self.searches[place];
        search.judged(judgement)?;
        self.cost.questions += search.answered() - answered;
        Ok(())
    }

    fn wanted(&self, id: usize) -> bool {
        let (place, answered) = self.search(id);
        let search = &self.searches[place];
        matches!(search.state, State::Asking(_)) && search.answered() == answered
    }
}
