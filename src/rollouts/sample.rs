//! Responses to prompts, several for each.

use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::engine;
use super::feed::{Completion, Feed, Job};
use super::sampling::Sampling;
use crate::data::{Seed, Sequence};
use crate::kernels::Threads;
use crate::model::{Arch, ModelError, Policy, Prefix, Tokenizer, TokenizerError};

/// Rows decoded at a time by one thread.
const SLOTS: usize = 64;
/// Rows that a device decodes at a time.
pub(crate) const DEVICE_SLOTS: usize = 1024;
/// Rows of one task at most.
const SHARD: usize = 128;
/// Rows for each thread from which on each decodes its own: below, all threads share out every step.
const OWN_ROWS: usize = 16;

/// A sampled response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// The prompt's place among those given.
    pub prompt: usize,
    /// Prompt and response as tokens.
    pub sequence: Sequence,
    /// Log-probability of each response token under the policy that sampled it, at its temperature.
    pub log_probs: Vec<f32>,
    /// Whether the response ended by itself or at a stop sequence: one cut at the length limit counts as a failure.
    pub finished: bool,
    /// The response's text, without the end-of-sequence token, and up to the stop sequence that ended it.
    pub text: String,
    /// For each response token, the byte of the text just past it.
    pub token_ends: Vec<usize>,
}

/// Responses could not be sampled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RolloutError {
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// Responses number `rows.start` to `rows.end`, to prompts of which the first and the last may have others as well.
struct Shard<'a> {
    prompts: &'a [Vec<u32>],
    /// Keys and values of the prompts that are still to be answered, with their places.
    prefixes: std::iter::Zip<RangeInclusive<usize>, std::vec::IntoIter<Arc<Prefix>>>,
    rows: Range<usize>,
    per_prompt: usize,
    max_new_tokens: usize,
    positions: usize,
    seed: Seed,
    /// Completions by place in the shard.
    done: Vec<Option<Completion>>,
}

impl Shard<'_> {
    /// The shard's responses to a prompt.
    fn rows_of(&self, prompt: usize) -> Range<usize> {
        let first = prompt * self.per_prompt;
        self.rows.start.max(first)..self.rows.end.min(first + self.per_prompt)
    }
}

impl Feed for Shard<'_> {
    type Error = RolloutError;

    fn next(&mut self) -> Result<Option<Job>, RolloutError> {
        let Some((prompt, prefix)) = self.prefixes.next() else { return Ok(None) };
        let tokens = &self.prompts[prompt];
        Ok(Some(Job {
            id: prompt,
            prefix,
            shared: tokens.len() - 1,
            last: tokens[tokens.len() - 1],
            begun: Vec::new(),
            streams: self.rows_of(prompt).map(|row| self.seed.index(row as u64)).collect(),
            at_a_time: NonZeroUsize::MAX,
            max_new_tokens: self.max_new_tokens.min(self.positions - tokens.len()),
        }))
    }

    fn finished(&mut self, prompt: usize, row: usize, completion: Completion) -> Result<(), RolloutError> {
        let row = self.rows_of(prompt).start + row;
        self.done[row - self.rows.start] = Some(completion);
        Ok(())
    }

    fn wanted(&self, _prompt: usize) -> bool {
        true
    }
}

/// Samples `per_prompt` responses to each prompt, in the prompts' order. Response `k` to prompt `i` draws
/// from the stream `seed.index(i · per_prompt + k)`: the same seed gives the same responses whatever the
/// number of threads.
///
/// # Errors
/// If a prompt is empty, longer than the model's positions or not of its vocabulary.
pub fn sample<A: Arch>(
    policy: &Policy<A>,
    tokenizer: &Tokenizer,
    prompts: &[Vec<u32>],
    per_prompt: usize,
    sampling: &Sampling,
    seed: Seed,
) -> Result<Vec<Rollout>, RolloutError> {
    let decoder = policy.decoder()?;
    let jobs = prompts.len() * per_prompt;
    // What is computed depends on neither, for a row's numbers depend on nothing but the row.
    let by_thread = jobs.div_ceil(rayon::current_num_threads());
    let (shard, threads) = if by_thread < OWN_ROWS || decoder.is_one_for_all() {
        (jobs, Threads::Pool)
    } else {
        (by_thread.div_ceil(by_thread.div_ceil(SHARD)), Threads::One)
    };
    let shards: Vec<_> =
        (0..jobs).step_by(shard.max(1)).map(|first| first..jobs.min(first + shard)).collect();
    let completions = shards
        .into_par_iter()
        .map(|rows| {
            let mut decoder = decoder.another(threads);
            let used = rows.start / per_prompt..=(rows.end - 1) / per_prompt;
            let tokens: Vec<&[u32]> = prompts[used.clone()].iter().map(Vec::as_slice).collect();
            let filled =
                decoder.prefill(&tokens).map_err(|error| error.renumbered(|row| used.start() + row))?;
            let mut shard = Shard {
                prompts,
                prefixes: used.zip(filled),
                done: vec![None; rows.len()],
                rows,
                per_prompt,
                max_new_tokens: sampling.max_new_tokens.get(),
                positions: A::DIMS.positions,
                seed,
            };
            let slots = if decoder.is_one_for_all() { DEVICE_SLOTS } else { SLOTS };
            engine::run(&mut decoder, tokenizer, sampling, slots, &mut shard)?;
            Ok(shard.done)
        })
        .collect::<Result<Vec<_>, RolloutError>>()?;
    let completions = completions.into_iter().flatten().map(|done| done.expect("the engine ends every job"));
    completions
        .enumerate()
        .map(|(id, completion)| {
            let prompt = id / per_prompt;
            let (text, token_ends) = sampling.cut(tokenizer.decode_with_ends(&completion.tokens)?);
            Ok(Rollout {
                prompt,
                sequence: Sequence { prompt: prompts[prompt].clone(), response: completion.tokens },
                log_probs: completion.log_probs,
                finished: completion.finished,
                text,
                token_ends,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::stop_at;
    use crate::kernels::Device;

    crate::arch! {
        /// With 143 tokens that no tokenizer of bytes knows, as where a size was rounded up.
        struct Padded {
            name: "padded", vocabulary: 400, width: 16, layers: 1, heads: 2, kv_heads: 1, head_size: 8,
            hidden: 24, positions: 64,
        }
    }

    fn rollouts(sampling: &Sampling) -> (Tokenizer, Vec<Rollout>) {
        let tokenizer = Tokenizer::train(["x"], 257).unwrap();
        let policy = Policy::<Padded>::random(&Device::cpu(), Seed::root(1)).unwrap();
        let prompts = [vec![1, 2, 3], vec![4; 30]];
        let rollouts = sample(&policy, &tokenizer, &prompts, 64, sampling, Seed::root(2)).unwrap();
        (tokenizer, rollouts)
    }

    #[test]
    fn a_response_with_tokens_that_have_no_text_is_a_response() {
        let (tokenizer, rollouts) = rollouts(&Sampling::default());
        let unknown = |rollout: &&Rollout| {
            rollout.sequence.response.iter().any(|&token| token as usize >= tokenizer.vocabulary())
        };
        assert!(rollouts.iter().filter(unknown).count() > 100, "of 128");
        for rollout in rollouts.iter().filter(unknown) {
            assert!(rollout.text.contains('\u{FFFD}'));
            assert_eq!(rollout.token_ends.len(), rollout.sequence.response.len());
            assert_eq!(rollout.token_ends.last(), Some(&rollout.text.len()));
        }
    }

    #[test]
    fn a_response_is_the_same_whatever_the_threads_and_whoever_is_sampled_beside_it() {
        let tokenizer = Tokenizer::train(["x"], 257).unwrap();
        let policy = Policy::<Padded>::random(&Device::cpu(), Seed::root(1)).unwrap();
        let prompts: Vec<Vec<u32>> =
            (0..150).map(|prompt| vec![1 + prompt % 7; 1 + prompt as usize % 9]).collect();
        let sampling = Sampling { stop: vec!["e".into(), "\n".into()], ..Sampling::default() };
        let responses = |threads, prompts: &[Vec<u32>]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sample(&policy, &tokenizer, prompts, 2, &sampling, Seed::root(2)).unwrap())
        };
        // So many that each thread decodes rows of its own, in one task and in several.
        let all = responses(1, &prompts);
        assert_eq!(responses(3, &prompts), all);
        assert_eq!(responses(2, &prompts[..40]), all[..80]);
        // So few that the threads share out each step.
        for threads in [1, 2, 3] {
            assert_eq!(responses(threads, &prompts[..3]), all[..6], "{threads} threads");
        }
    }

    #[test]
    fn a_response_stops_where_its_text_holds_a_stop_sequence() {
        let length = NonZeroUsize::new(50).unwrap();
        let free = Sampling { max_new_tokens: length, ..Sampling::default() };
        let (tokenizer, free_rollouts) = rollouts(&free);
        // Single letters are frequent enough among random bytes, pairs of them span tokens.
        let stop = ["e", "", "\n", "a", "no such text"].map(str::to_owned).to_vec();
        let stopping = Sampling { stop, ..free };
        let (_, rollouts) = rollouts(&stopping);
        let mut stopped = 0;
        for (rollout, free) in rollouts.iter().zip(&free_rollouts) {
            let tokens = &rollout.sequence.response;
            // The same tokens as far as they go: watching draws nothing.
            assert_eq!(tokens[..], free.sequence.response[..tokens.len()]);
            assert_eq!(rollout.log_probs[..], free.log_probs[..tokens.len()]);
            let holds = |count: usize| {
                stop_at(&tokenizer.decode(&tokens[..count]).unwrap(), &stopping.stop).is_some()
            };
            assert!(!holds(tokens.len() - 1));
            assert_eq!(stop_at(&rollout.text, &stopping.stop), None);
            assert_eq!(rollout.token_ends.last(), Some(&rollout.text.len()));
            if holds(tokens.len()) {
                stopped += 1;
                assert!(rollout.finished);
                assert!(free.text.starts_with(&rollout.text));
            } else {
                assert_eq!(rollout, free);
            }
        }
        assert!(stopped > 10, "{stopped} of 128");
    }

    #[test]
    fn a_response_stops_at_the_first_end_and_keeps_it() {
        let sampling = Sampling { max_new_tokens: NonZeroUsize::new(50).unwrap(), ..Sampling::default() };
        let (tokenizer, rollouts) = rollouts(&sampling);
        let (finished, cut): (Vec<_>, Vec<_>) = rollouts.iter().partition(|rollout| rollout.finished);
        assert!(finished.len() > 5 && cut.len() > 5, "{} ended, {} were cut", finished.len(), cut.len());
        for rollout in &rollouts {
            let response = &rollout.sequence.response;
            let first = response.iter().position(|&token| token == tokenizer.end());
            assert_eq!(first, rollout.finished.then(|| response.len() - 1));
            assert_eq!(rollout.log_probs.len(), response.len());
        }
        for rollout in cut {
            let room = 64 - rollout.sequence.prompt.len();
            assert_eq!(rollout.sequence.response.len(), room.min(50));
        }
    }

    #[test]
    fn a_prompt_that_does_not_fit_has_its_number_among_all() {
        let tokenizer = Tokenizer::train(["x"], 257).unwrap();
        let policy = Policy::<Padded>::random(&Device::cpu(), Seed::root(1)).unwrap();
        let error = |prompt: Vec<u32>| {
            // The last of so many that each shard has few of them.
            let prompts = [vec![vec![1]; 9], vec![prompt]].concat();
            let sampling = Sampling { max_new_tokens: NonZeroUsize::MIN, ..Sampling::default() };
            sample(&policy, &tokenizer, &prompts, 64, &sampling, Seed::root(2)).unwrap_err().to_string()
        };
        assert_eq!(error(vec![]), "row 9 has an empty prompt");
        assert_eq!(error(vec![1; 65]), "row 9 has 65 tokens, the model has 64 positions");
    }
}
