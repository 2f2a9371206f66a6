//! Continuous batching: as soon as a row of the decoder ends, another one takes its slot.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::feed::{Feed, Stats};
use super::sampling::{Drawn, Sampling};
use super::tree::{Branch, Tree};
use crate::kernels::Threads;
use crate::model::{Decoder, ModelError, Tokenizer, TokenizerError};

/// Samples all jobs of a feed on the decoder's threads, up to `slots` rows of the decoder at a time.
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
    let mut run = Run::default();
    loop {
        while run.active.len() < slots {
            if run.wake() {
                continue;
            }
            let Some(job) = feed.next()? else { break };
            run.begin(Tree::new(job, decoder.dims(), tokenizer, sampling)?);
            // Its rows may have ended before the first token.
            run.hand_over(feed)?;
        }
        if run.active.is_empty() {
            return Ok(run.stats);
        }
        run.step::<F::Error>(decoder, sampling, tokenizer.end())?;
        run.hand_over(feed)?;
    }
}

#[derive(Default)]
struct Run<'a> {
    /// The jobs that are being sampled, by their number among all.
    trees: BTreeMap<usize, Tree<'a>>,
    /// The branches that are being decoded, with their trees' numbers.
    active: Vec<(usize, Branch<'a>)>,
    jobs: usize,
    stats: Stats,
}

impl<'a> Run<'a> {
    fn begin(&mut self, mut tree: Tree<'a>) {
        self.stats.rows += tree.begin();
        self.trees.insert(self.jobs, tree);
        self.jobs += 1;
    }

    /// Goes on with a branch that waits, those of earlier jobs first. False where none is ready.
    fn wake(&mut self) -> bool {
        let ready = self.trees.iter_mut().find_map(|(&number, tree)| Some((number, tree.next()?)));
        let found = ready.is_some();
        self.active.extend(ready);
        found
    }

    /// One more token for each branch that is being decoded. Those that part from it wait.
    fn step<E: From<ModelError> + From<TokenizerError>>(
        &mut self,
        decoder: &mut Decoder<'_>,
        sampling: &Sampling,
        end: u32,
    ) -> Result<(), E> {
        let active = &mut self.active;
        let (mut rows, mut tokens, mut streams) = (Vec::new(), Vec::new(), Vec::new());
        for (_, branch) in active.iter_mut() {
            let (row, token, draws) = branch.feed();
            rows.push(row);
            tokens.push(token);
            streams.push(draws);
        }
        let drawn = decoder.draw(&mut rows, &tokens, sampling.choice(), &mut streams)?;
        self.stats.fed += tokens.len();
        let take = |((_, branch), drawn): (&mut (usize, Branch<'a>), Vec<Drawn>)| branch.take(drawn, end);
        let parted: Result<Vec<Vec<Branch<'a>>>, TokenizerError> = match decoder.threads() {
            Threads::One => active.iter_mut().zip(drawn).map(take).collect(),
            Threads::Pool => active.par_iter_mut().zip(drawn).map(take).collect(),
        };
        let stepped = std::mem::replace(active, Vec::with_capacity(active.len()));
        for ((number, branch), others) in stepped.into_iter().zip(parted?) {
            let tree = self.trees.get_mut(&number).expect("a tree is there as long as its branches");
            others.into_iter().for_each(|other| tree.put(other));
            if branch.has_ended() {
                tree.put(branch);
            } else {
                self.active.push((number, branch));
            }
        }
        Ok(())
    }

    /// Hands the feed what has ended, drops what it does not want any more and begins further rows; and all of it again,
    /// as a row may have ended before it began: together with one that it agrees with.
    fn hand_over<F: Feed>(&mut self, feed: &mut F) -> Result<(), F::Error> {
        loop {
            let mut ended = false;
            for tree in self.trees.values_mut() {
                while let Some((row, completion)) = tree.pop() {
                    ended = true;
                    self.stats.tokens += completion.tokens.len();
                    feed.finished(tree.id, row, completion)?;
                }
            }
            if !ended {
                return Ok(());
            }
            feed.step_ended()?;
            let Self { trees, active, stats, .. } = self;
            trees.retain(|number, tree| {
                let wanted = tree.is_done() || feed.wanted(tree.id);
                if !wanted {
                    stats.dropped += tree.begun - tree.ended;
                    let own = active.iter().filter(|(tree, _)| tree == number).map(|(_, branch)| branch);
                    stats.tokens += own.chain(&tree.waiting).map(|row| row.tokens(tree.begun)).sum::<usize>();
                }
                wanted && !tree.is_done()
            });
            active.retain(|(tree, _)| trees.contains_key(tree));
            for tree in trees.values_mut() {
                stats.rows += tree.begin();
            }
        }
    }
}
