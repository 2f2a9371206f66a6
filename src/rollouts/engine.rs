//! Continuous batching: as soon as a row ends, the next job takes its slot.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::sampling::{Drawn, Sampling};
use crate::data::Seed;
use crate::kernels::Threads;
use crate::model::decode::Row;
use crate::model::{Decoder, ModelError, Prefix};

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
    /// The row's own stream of random numbers: so its tokens depend on no other row.
    pub stream: Seed,
    /// The row is cut after this many new tokens.
    pub max_new_tokens: usize,
}

/// A sampled row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The new tokens, up to and including the end-of-sequence token.
    pub tokens: Vec<u32>,
    /// Log-probability of each, as in [`Drawn`](super::Drawn).
    pub log_probs: Vec<f32>,
    /// Whether the end-of-sequence token was drawn: a row cut at the length limit has none.
    pub finished: bool,
}

/// Where jobs come from and completions go to.
pub trait Feed {
    /// What can go wrong in the feed itself.
    type Error: From<ModelError>;

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

struct Slot {
    id: usize,
    row: Row,
    next: u32,
    rng: ChaCha8Rng,
    left: usize,
    completion: Completion,
}

impl Slot {
    fn take(&mut self, drawn: Drawn, end: u32) {
        self.completion.tokens.push(drawn.token);
        self.completion.log_probs.push(drawn.log_prob);
        self.completion.finished = drawn.token == end;
        self.next = drawn.token;
        self.left -= 1;
    }
}

/// Samples all jobs of a feed on the decoder's threads, up to `slots` rows at a time.
///
/// # Errors
/// If the feed or the model fails.
pub fn run<F: Feed>(
    decoder: &mut Decoder<'_>,
    end: u32,
    sampling: &Sampling,
    slots: usize,
    feed: &mut F,
) -> Result<Stats, F::Error> {
    let (vocabulary, threads) = (decoder.dims().vocabulary, decoder.threads());
    let mut active: Vec<Slot> = Vec::with_capacity(slots);
    let mut stats = Stats::default();
    loop {
        while active.len() < slots {
            let Some(job) = feed.next()? else { break };
            stats.rows += 1;
            if job.max_new_tokens == 0 {
                feed.finished(job.id, Completion::default())?;
                feed.step_ended()?;
                continue;
            }
            let row = Row::fork(decoder.dims(), job.prefix, job.shared, job.max_new_tokens);
            let (next, rng) = (job.last, job.stream.rng());
            let (left, completion) = (job.max_new_tokens, Completion::default());
            active.push(Slot { id: job.id, row, next, rng, left, completion });
        }
        if active.is_empty() {
            return Ok(stats);
        }
        let tokens: Vec<u32> = active.iter().map(|slot| slot.next).collect();
        let mut rows: Vec<&mut Row> = active.iter_mut().map(|slot| &mut slot.row).collect();
        let logits = decoder.step(&mut rows, &tokens)?;
        let draw = |(slot, logits): (&mut Slot, &mut [f32])| {
            let drawn = sampling.draw(logits, &mut slot.rng);
            slot.take(drawn, end);
        };
        match threads {
            Threads::One => active.iter_mut().zip(logits.chunks_exact_mut(vocabulary)).for_each(draw),
            Threads::Pool => {
                active.par_iter_mut().zip(logits.par_chunks_exact_mut(vocabulary)).for_each(draw)
            }
        }
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
