//! The rows of a job as a tree: as long as several have drawn the same tokens, they are one row of the decoder.
//!
//! A row's logits have the same bits whatever is decoded beside it, so rows that stand at the same tokens have the same
//! logits, and each draws from them with its own stream. They part where they draw different tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::feed::{Completion, Job};
use super::sampling::{Drawn, Sampling};
use crate::model::decode::Row;
use crate::model::tokenizer::Stop;
use crate::model::{Dims, Tokenizer, TokenizerError};

/// Rows of a job that have drawn the same tokens.
#[derive(Clone)]
pub(super) struct Branch<'a> {
    /// In the job's order.
    members: Vec<Member>,
    /// Shared with the branches that parted from this one since it was last fed.
    row: Arc<Row>,
    /// The token that is fed next.
    next: u32,
    left: usize,
    completion: Completion,
    /// Where there are stop sequences.
    stop: Option<Stop<'a>>,
}

/// A row of a job.
#[derive(Clone)]
struct Member {
    /// Its place in the job.
    place: usize,
    rng: ChaCha8Rng,
}

impl<'a> Branch<'a> {
    /// All rows of a job, of which none has drawn a token.
    fn root(
        job: Job,
        dims: &Dims,
        tokenizer: &'a Tokenizer,
        sampling: &'a Sampling,
    ) -> Result<Self, TokenizerError> {
        let mut stop = Stop::new(tokenizer, &sampling.stop);
        let mut finished = false;
        if let Some(stop) = &mut stop {
            for &token in &job.begun {
                finished = stop.push(token)?;
            }
        }
        let members = job.streams.iter().enumerate();
        Ok(Self {
            members: members.map(|(place, stream)| Member { place, rng: stream.rng() }).collect(),
            row: Arc::new(Row::fork(dims, job.prefix, job.shared, job.max_new_tokens)),
            next: job.last,
            left: job.max_new_tokens,
            completion: Completion { finished, ..Completion::default() },
            stop,
        })
    }

    /// What the decoder is to be fed, and the stream that each member draws from.
    pub(super) fn feed(&mut self) -> (&mut Row, u32, Vec<&mut ChaCha8Rng>) {
        let streams = self.members.iter_mut().map(|member| &mut member.rng).collect();
        (Arc::make_mut(&mut self.row), self.next, streams)
    }

    /// Takes what each member drew. Those that drew what the first of them did stay; returned are the others, as branches
    /// of their own.
    pub(super) fn take(&mut self, drawn: Vec<Drawn>, end: u32) -> Result<Vec<Self>, TokenizerError> {
        if let [drawn] = drawn[..] {
            self.go_on(drawn, end)?;
            return Ok(Vec::new());
        }
        let mut parts: Vec<(Drawn, Vec<Member>)> = Vec::with_capacity(1);
        for (drawn, member) in drawn.into_iter().zip(std::mem::take(&mut self.members)) {
            match parts.iter_mut().find(|(part, _)| part.token == drawn.token) {
                Some((_, members)) => members.push(member),
                None => parts.push((drawn, vec![member])),
            }
        }
        let mut parts = parts.into_iter();
        let first = parts.next();
        let others = parts.map(|(drawn, members)| {
            let mut other = Self { members, ..self.clone() };
            other.go_on(drawn, end)?;
            Ok(other)
        });
        let others = others.collect();
        if let Some((drawn, members)) = first {
            self.members = members;
            self.go_on(drawn, end)?;
        }
        others
    }

    fn go_on(&mut self, drawn: Drawn, end: u32) -> Result<(), TokenizerError> {
        self.completion.tokens.push(drawn.token);
        self.completion.log_probs.push(drawn.log_prob);
        let stopped = self.stop.as_mut().map_or(Ok(false), |stop| stop.push(drawn.token))?;
        self.completion.finished = drawn.token == end || stopped;
        self.next = drawn.token;
        self.left -= 1;
        Ok(())
    }

    /// Whether no token follows.
    pub(super) fn has_ended(&self) -> bool {
        self.completion.finished || self.left == 0
    }

    /// Whether one of the job's first `begun` rows is among the members.
    fn has_begun(&self, begun: usize) -> bool {
        self.members.first().is_some_and(|first| first.place < begun)
    }

    /// Tokens that the first `begun` rows of the job drew here.
    pub(super) fn tokens(&self, begun: usize) -> usize {
        self.members.iter().filter(|member| member.place < begun).count() * self.completion.tokens.len()
    }
}

/// A job that is being sampled. Its rows begin in their order. What one that has not begun would draw is known as long as
/// it agrees with one that has; then it waits. What waits holds keys and values up to where it parted, and branches that
/// parted at one step hold the same ones.
pub(super) struct Tree<'a> {
    /// The job's.
    pub(super) id: usize,
    rows: usize,
    at_a_time: usize,
    /// Rows begun, the first ones.
    pub(super) begun: usize,
    /// Rows whose completions were handed over.
    pub(super) ended: usize,
    /// Branches that are not being decoded.
    pub(super) waiting: Vec<Branch<'a>>,
    /// Completions that were not handed over, by place.
    done: BTreeMap<usize, Completion>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(
        job: Job,
        dims: &Dims,
        tokenizer: &'a Tokenizer,
        sampling: &'a Sampling,
    ) -> Result<Self, TokenizerError> {
        let (id, rows, at_a_time) = (job.id, job.streams.len(), job.at_a_time.get());
        let (waiting, done) = Default::default();
        let mut tree = Self { id, rows, at_a_time, begun: 0, ended: 0, waiting, done };
        tree.put(Branch::root(job, dims, tokenizer, sampling)?);
        Ok(tree)
    }

    /// Begins as many rows as the job wants at a time, and says how many these are.
    pub(super) fn begin(&mut self) -> usize {
        let before = self.begun;
        self.begun = self.rows.min(self.ended.saturating_add(self.at_a_time));
        self.begun - before
    }

    /// Takes a branch that is not to be decoded on for now.
    pub(super) fn put(&mut self, branch: Branch<'a>) {
        if branch.has_ended() {
            self.done.extend(branch.members.iter().map(|member| (member.place, branch.completion.clone())));
        } else {
            self.waiting.push(branch);
        }
    }

    /// Gives a branch that has a row that has begun.
    pub(super) fn next(&mut self) -> Option<Branch<'a>> {
        let ready = self.waiting.iter().position(|branch| branch.has_begun(self.begun))?;
        Some(self.waiting.remove(ready))
    }

    /// Gives the completion of a row that has begun, and its place.
    pub(super) fn pop(&mut self) -> Option<(usize, Completion)> {
        let first = self.done.first_entry().filter(|first| *first.key() < self.begun)?;
        self.ended += 1;
        Some(first.remove_entry())
    }

    /// Whether all completions were handed over.
    pub(super) fn is_done(&self) -> bool {
        self.ended == self.rows
    }
}
