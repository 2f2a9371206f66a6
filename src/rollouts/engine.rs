//! Continuous batching: as soon as a row ends, the next job takes its slot.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::sampling::{Drawn, Sampling};
use crate::data::Seed;
use crate::kernels::Threads;
use crate::model::decode::Row;
use crate::model::tokenizer::Stop;
use crate::model::{Decoder, ModelError, Prefix, Tokenizer, TokenizerError};

/// One row to be sampled.
#[derive(Clone, Debug)]
pub struct Job {
    /// Who asks, as the feed knows it.
    pub id: usize,
    /// Keys and values of at least the first `shared` tokens.
    pub prefix: Arc<Prefix>,
    /// Tokens of the prefix that the row continues, without `last`.
    pub shared: usize,
    /// The last token of what is continued: it is fed first.
    pub last: u32,
    /// Tokens of the response that are among them already: stop sequences may begin in their text.
    pub begun: Vec<u32>,
    /// The row's own stream of random numbers: so its tokens depend on no other row.
    pub stream: Seed,
    /// The row is cut after this many new tokens.
    pub max_new_tokens: usize,
}

/// A sampled row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The new tokens, up to and including the end-of-sequence token or the one that completes a stop sequence. None,
    /// where what was begun holds one already.
    pub tokens: Vec<u32>,
    /// Log-probability of each, as in [`Drawn`](super::Drawn).
    pub log_probs: Vec<f32>,
    /// Whether the end-of-sequence token was drawn or a stop sequence completed: a row cut at the length limit has
    /// neither.
    pub finished: bool,
}

/// Where jobs come from and completions go to.
pub trait Feed {
    /// What can go wrong in the feed itself.
    type Error: From<ModelError> + From<TokenizerError>;

    /// The next job, or `None` while there is none. Asked again after each completion.
    ///
    /// # Errors
    /// Ends the run.
    fn next(&mut self) -> Result<Option<Job>, Self::Error>;

    /// Takes a completion.
    ///
    /// # Errors
    /// Ends the run.
    fn finished(&mut self, id: usize, completion: Completion) -> Result<(), Self::Error>;

    /// All completions of one step have been taken: what is better done with several at once is done here.
    ///
    /// # Errors
    /// Ends the run.
    fn step_ended(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Whether a row is still wanted; asked after each completion. A row that is not is dropped.
    fn wanted(&self, id: usize) -> bool;
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tokens drawn, those of dropped rows included.
    pub tokens: usize,
    /// Rows that were begun.
    pub rows: usize,
    /// Rows that were dropped before their end.
    pub dropped: usize,
}

struct Slot<'a> {
    id: usize,
    row: Row,
    next: u32,
    rng: ChaCha8Rng,
    left: usize,
    completion: Completion,
    /// Where there are stop sequences.
    stop: Option<Stop<'a>>,
}

impl Slot<'_> {
    fn take(&mut self, drawn: Drawn, end: u32) -> Result<(), TokenizerError> {
        self.completion.tokens.push(drawn.token);
        self.completion.log_probs.push(drawn.log_prob);
        let stopped = self.stop.as_mut().map_or(Ok(false), |stop| stop.push(drawn.token))?;
        self.completion.finished = drawn.token == end || stopped;
        self.next = drawn.token;
        self.left -= 1;
        Ok(())
    }
}

/// Samples all jobs of a feed on the decoder's threads, up to `slots` rows at a time.
///
/// # Errors
/// If the feed, the model or the tokenizer fails.
pub fn run<F: Feed>(
    decoder: &mut Decoder<'_>,
    tokenizer: &Tokenizer,
    sampling: &Sampling,
    slots: usize,
    feed: &mut F,
) -> Result<Stats, F::Error> {
    let (vocabulary, threads) = (decoder.dims().vocabulary, decoder.threads());
    let end = tokenizer.end();
    let mut active: Vec<Slot<'_>> = Vec::with_capacity(slots);
    let mut stats = Stats::default();
    loop {
        while active.len() < slots {
            let Some(job) = feed.next()? else { break };
            stats.rows += 1;
            let mut stop = Stop::new(tokenizer, &sampling.stop);
            let mut stopped = false;
            if let Some(stop) = &mut stop {
                for &token in &job.begun {
                    stopped = stop.push(token)?;
                }
            }
            if stopped || job.max_new_tokens == 0 {
                feed.finished(job.id, Completion { finished: stopped, ..Completion::default() })?;
                feed.step_ended()?;
                continue;
            }
            let row = Row::fork(decoder.dims(), job.prefix, job.shared, job.max_new_tokens);
            let (next, rng) = (job.last, job.stream.rng());
            let (left, completion) = (job.max_new_tokens, Completion::default());
            active.push(Slot { id: job.id, row, next, rng, left, completion, stop });
        }
        if active.is_empty() {
            return Ok(stats);
        }
        let tokens: Vec<u32> = active.iter().map(|slot| slot.next).collect();
        let mut rows: Vec<&mut Row> = active.iter_mut().map(|slot| &mut slot.row).collect();
        let logits = decoder.step(&mut rows, &tokens)?;
        let draw = |(slot, logits): (&mut Slot<'_>, &mut [f32])| {
            let drawn = sampling.draw(logits, &mut slot.rng);
            slot.take(drawn, end)
        };
        match threads {
            Threads::One => active.iter_mut().zip(logits.chunks_exact_mut(vocabulary)).try_for_each(draw),
            Threads::Pool => {
                active.par_iter_mut().zip(logits.par_chunks_exact_mut(vocabulary)).try_for_each(draw)
            }
        }?;
        stats.tokens += active.len();
        let mut ended = false;
        let mut index = 0;
        while index < active.len() {
            if active[index].completion.finished || active[index].left == 0 {
                let slot = active.swap_remove(index);
                feed.finished(slot.id, slot.completion)?;
                ended = true;
            } else {
                index += 1;
            }
        }
        if ended {
            feed.step_ended()?;
            let before = active.len();
            active.retain(|slot| feed.wanted(slot.id));
            stats.dropped += before - active.len();
        }
    }
}
