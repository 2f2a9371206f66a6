//! One response's search: what is asked about it, and what is known so far.

use std::sync::Arc;

use super::LabeledResponse;
use super::error::{CollectError, SkipReason};
use super::response::Response;
use crate::data::{Labels, Seed};
use crate::model::Prefix;
use crate::plugin::labeler::Answer;
use crate::plugin::{Answers, CheckedLabeler, Next, VerifyError};

/// A response on its way to its labels.
pub(super) struct Search<'a> {
    pub(super) response: Response<'a>,
    /// Keys and values of the response, once a completion has been asked for.
    pub(super) cache: Option<Arc<Prefix>>,
    pub(super) state: State,
    labeler: &'a CheckedLabeler,
    answers: Answers,
    seed: Seed,
}

/// Where a search stands.
pub(super) enum State {
    /// Completions of a prefix are sampled.
    Asking(Question),
    /// The search has ended.
    Done(Result<Labels, SkipReason>),
}

/// The prefix that is being completed.
pub(super) struct Question {
    /// The prefix in steps, m of y≤m.
    pub(super) prefix: usize,
    /// K, completions that may be sampled.
    completions: usize,
    /// Whether the engine has been given it.
    begun: bool,
    /// Completions that ended without a pass.
    ended: usize,
    /// Why the last completion that could not be judged could not be.
    unjudged: Option<Arc<VerifyError>>,
}

/// How a completion fared.
pub(super) enum Judgement {
    Pass,
    Fail,
    Unjudged(Arc<VerifyError>),
}

impl<'a> Search<'a> {
    /// Asks the labeler for the first question. Completion k of y≤m draws from `seed.index(m).index(k)`.
    pub(super) fn begin(
        response: Response<'a>,
        labeler: &'a CheckedLabeler,
        seed: Seed,
    ) -> Result<Self, CollectError> {
        let answers = Answers { passes: response.passes, asked: Vec::new() };
        let state = State::Done(Err(SkipReason::Empty));
        let mut search = Self { response, cache: None, state, labeler, answers, seed };
        search.go_on()?;
        Ok(search)
    }

    /// Whether nothing more is asked.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// The response with its labels, once the search is done; `problem` is its problem's place.
    pub(super) fn into_labeled(self, problem: usize) -> Result<LabeledResponse, SkipReason> {
        let State::Done(labels) = self.state else { unreachable!("the engine ends when every search has") };
        let Response { rollout, steps, step_tokens, passes, .. } = self.response;
        Ok(LabeledResponse { rollout, problem, steps, step_tokens, labels: labels?, passes })
    }

    /// Questions answered so far: the number of the one that is being asked.
    pub(super) fn answered(&self) -> usize {
        self.answers.asked.len()
    }

    /// Whether there is a question that the engine has not been given.
    pub(super) fn is_open(&self) -> bool {
        matches!(&self.state, State::Asking(question) if !question.begun)
    }

    /// Begins the question: the response tokens that its completions keep, and the stream that each draws from.
    pub(super) fn start(&mut self) -> Option<(usize, Vec<Seed>)> {
        let State::Asking(question) = &mut self.state else { return None };
        question.begun = true;
        let seed = self.seed.index(question.prefix as u64);
        let streams = (0..question.completions).map(|k| seed.index(k as u64)).collect();
        Some((self.response.kept(question.prefix), streams))
    }

    /// Takes a completion's judgement, and goes on to the next question when this one is settled:
    /// recoverable at the first pass; not recoverable when all K failed; unknown, which ends the search,
    /// when none passed and some could not be judged.
    pub(super) fn judged(&mut self, judgement: Judgement) -> Result<(), CollectError> {
        let State::Asking(question) = &mut self.state else { return Ok(()) };
        let prefix = question.prefix;
        let recoverable = match judgement {
            Judgement::Pass => true,
            Judgement::Fail | Judgement::Unjudged(_) => {
                question.ended += 1;
                if let Judgement::Unjudged(error) = judgement {
                    question.unjudged = Some(error);
                }
                if question.ended < question.completions {
                    return Ok(());
                }
                if let Some(source) = question.unjudged.take() {
                    self.cache = None;
                    self.state = State::Done(Err(SkipReason::UnjudgedPrefix { prefix, source }));
                    return Ok(());
                }
                false
            }
        };
        self.answers.asked.push(Answer { prefix, recoverable });
        self.go_on()
    }

    fn go_on(&mut self) -> Result<(), CollectError> {
        let next = self.labeler.next(&self.response.steps, &self.answers);
        let next = next.map_err(|source| CollectError::Label { rollout: self.response.rollout, source })?;
        self.state = match next {
            Next::Ask { prefix, completions } => {
                State::Asking(Question { prefix, completions, begun: false, ended: 0, unjudged: None })
            }
            Next::Labeled(labels) => {
                self.cache = None;
                State::Done(Ok(labels))
            }
        };
        Ok(())
    }
}
