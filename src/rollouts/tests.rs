//! The rows of a job, computed as a tree, are those that are computed one by one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;

use super::*;
use crate::data::Seed;
use crate::data::numbers::{Temperature, TopP};
use crate::kernels::{Device, Threads};
use crate::model::{Decoder, Policy, Tokenizer};

crate::arch! {
    struct Small {
        name: "small", vocabulary: 260, width: 16, layers: 2, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
        positions: 128,
    }
}

/// Rows of each job.
const ROWS: usize = 20;
/// Longer than a row has room for at first, not a multiple of a block, and some that leave little or nothing to draw.
const LONGEST: [usize; 6] = [75, 1, 40, 0, 64, 9];

type Completions = BTreeMap<(usize, usize), Completion>;

/// Jobs of which each is wanted until a completion is enough.
struct Jobs {
    open: VecDeque<Job>,
    done: Completions,
    enough: fn(&Completion) -> bool,
    answered: BTreeSet<usize>,
    /// Whether completions were taken since the last call of `step_ended`.
    taken: bool,
}

impl Jobs {
    fn new(jobs: &[Job], enough: fn(&Completion) -> bool) -> Self {
        let open = jobs.iter().cloned().collect();
        Self { open, done: BTreeMap::new(), enough, answered: BTreeSet::new(), taken: false }
    }
}

impl Feed for Jobs {
    type Error = RolloutError;

    fn next(&mut self) -> Result<Option<Job>, RolloutError> {
        Ok(self.open.pop_front())
    }

    fn finished(&mut self, id: usize, row: usize, completion: Completion) -> Result<(), RolloutError> {
        assert!(self.wanted(id) || self.taken, "job {id} is answered");
        if (self.enough)(&completion) {
            self.answered.insert(id);
        }
        assert_eq!(self.done.insert((id, row), completion), None, "row {row} of job {id} comes once");
        self.taken = true;
        Ok(())
    }

    fn step_ended(&mut self) -> Result<(), RolloutError> {
        self.taken = false;
        Ok(())
    }

    fn wanted(&self, id: usize) -> bool {
        !self.answered.contains(&id)
    }
}

struct Setting {
    policy: Policy<Small>,
    tokenizer: Tokenizer,
}

impl Setting {
    fn new() -> Self {
        let policy = Policy::random(&Device::cpu(), Seed::root(1)).unwrap();
        Self { policy, tokenizer: Tokenizer::train(["x"], 257).unwrap() }
    }

    /// Two jobs for each length, of which one has begun a response; each prefix is the beginning of a longer row.
    fn jobs(&self, decoder: &Decoder<'_>, at_a_time: usize) -> Vec<Job> {
        let tokens = self.tokenizer.encode(&"ahovcjqxelszgnubipwdkryfmt".repeat(2)).unwrap();
        let prefix = decoder.prefill(&[&tokens]).unwrap().remove(0);
        let job = |(id, max_new_tokens): (usize, usize)| Job {
            id,
            prefix: prefix.clone(),
            shared: 5 + 3 * id,
            last: tokens[5 + 3 * id],
            begun: if id < LONGEST.len() { vec![] } else { tokens[..=5 + 3 * id].to_vec() },
            streams: (0..ROWS as u64).map(|row| Seed::root(2).index(id as u64).index(row)).collect(),
            at_a_time: NonZeroUsize::new(at_a_time).unwrap(),
            max_new_tokens,
        };
        LONGEST.into_iter().chain(LONGEST.into_iter().rev()).enumerate().take(11).map(job).collect()
    }

    fn run(
        &self,
        jobs: &[Job],
        sampling: &Sampling,
        threads: Threads,
        slots: usize,
        enough: fn(&Completion) -> bool,
    ) -> (Completions, Stats) {
        let mut decoder = self.policy.decoder().unwrap().another(threads);
        let mut feed = Jobs::new(jobs, enough);
        let stats = run(&mut decoder, &self.tokenizer, sampling, slots, &mut feed).unwrap();
        (feed.done, stats)
    }

    /// Each row by itself: a job of its own, the only one of its run.
    fn one_by_one(&self, jobs: &[Job], sampling: &Sampling) -> Completions {
        let mut all = Completions::new();
        for job in jobs {
            for (row, &stream) in job.streams.iter().enumerate() {
                let alone = [Job { streams: vec![stream], ..job.clone() }];
                let (mut done, stats) = self.run(&alone, sampling, Threads::One, 1, |_| false);
                let completion = done.remove(&(job.id, 0)).unwrap();
                assert_eq!((stats.fed, stats.rows), (completion.tokens.len(), 1));
                all.insert((job.id, row), completion);
            }
        }
        all
    }
}

fn samplings() -> [Sampling; 4] {
    let at = |temperature| Sampling {
        temperature: Temperature::try_new(temperature).unwrap(),
        stop: ["z", "A", "qr"].map(String::from).to_vec(),
        ..Sampling::default()
    };
    let narrow = Sampling { top_p: TopP::new(0.9), top_k: NonZeroUsize::new(20), ..at(0.05) };
    [at(0.003), Sampling { stop: vec![], ..at(0.02) }, narrow, at(1.0)]
}

/// Different beginnings among the tokens of some completions of one job, and how many tokens they have together. A token
/// is fed for each: the last of the prompt for the empty one.
fn nodes<'a>(completions: impl IntoIterator<Item = (&'a (usize, usize), &'a Completion)>) -> (usize, usize) {
    let mut nodes = BTreeSet::new();
    let mut tokens = 0;
    for ((job, _), completion) in completions {
        tokens += completion.tokens.len();
        nodes.extend((0..completion.tokens.len()).map(|len| (*job, completion.tokens[..len].to_vec())));
    }
    (nodes.len(), tokens)
}

#[test]
fn a_tree_gives_the_rows_that_are_computed_one_by_one() {
    let setting = Setting::new();
    let mut shares = vec![];
    for sampling in samplings() {
        let decoder = setting.policy.decoder().unwrap();
        let expected = setting.one_by_one(&setting.jobs(&decoder, 1), &sampling);
        let (fed, tokens) = nodes(&expected);
        shares.push(fed as f64 / tokens as f64);
        for (at_a_time, slots, threads) in
            [(1, 64, 1), (1, 2, 3), (3, 64, 2), (usize::MAX, 64, 1), (usize::MAX, 5, 3), (usize::MAX, 1, 1)]
        {
            let jobs = setting.jobs(&decoder, at_a_time);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let threads = if threads == 1 { Threads::One } else { Threads::Pool };
            let (done, stats) = pool.install(|| setting.run(&jobs, &sampling, threads, slots, |_| false));
            assert_eq!(done, expected);
            // Nothing is computed twice.
            assert_eq!(stats, Stats { tokens, fed, rows: jobs.len() * ROWS, dropped: 0 });
        }
    }
    println!("tokens fed of those drawn: {shares:.2?}");
    // From rows that are nearly all the same to rows that have little more than the first step in common.
    assert!(shares[0] < 0.35 && shares[3] > 0.8, "{shares:?}");
}

#[test]
fn rows_end_at_stop_sequences_at_the_end_and_at_the_limit() {
    let setting = Setting::new();
    let decoder = setting.policy.decoder().unwrap();
    let jobs = setting.jobs(&decoder, usize::MAX);
    let [.., warm] = samplings();
    let (done, _) = setting.run(&jobs, &warm, Threads::One, 64, |_| false);
    let count = |ends: &dyn Fn(&Completion, &Job) -> bool| {
        done.iter().filter(|((job, _), completion)| ends(completion, &jobs[*job])).count()
    };
    let end = setting.tokenizer.end();
    assert!(count(&|row, _| row.finished && row.tokens.last() == Some(&end)) > 2);
    assert!(count(&|row, _| row.finished && !row.tokens.is_empty() && row.tokens.last() != Some(&end)) > 5);
    assert!(count(&|row, job| !row.finished && row.tokens.len() == job.max_new_tokens) > 5);
    // What was begun holds a stop sequence already.
    assert!(count(&|row, job| row.finished && row.tokens.is_empty() && job.max_new_tokens > 0) >= ROWS);
}

#[test]
fn rows_of_an_answered_job_are_dropped_and_not_begun() {
    let enough = |completion: &Completion| completion.tokens.len() % 5 == 4;
    let setting = Setting::new();
    for sampling in samplings() {
        let decoder = setting.policy.decoder().unwrap();
        let all = setting.one_by_one(&setting.jobs(&decoder, 1), &sampling);
        let first = |job: usize| (0..ROWS).find(|&row| enough(&all[&(job, row)])).unwrap_or(ROWS);
        let expected: Completions =
            all.iter().filter(|((job, row), _)| *row <= first(*job)).map(|(k, v)| (*k, v.clone())).collect();
        assert!(expected.len() < all.len());
        let (fed, tokens) = nodes(&expected);
        for slots in [1, 64] {
            let jobs = setting.jobs(&decoder, 1);
            let (done, stats) = setting.run(&jobs, &sampling, Threads::One, slots, enough);
            assert_eq!(done, expected);
            assert_eq!(stats, Stats { tokens, fed, rows: expected.len(), dropped: 0 });
        }
        for at_a_time in [3, usize::MAX] {
            let jobs = setting.jobs(&decoder, at_a_time);
            let (done, stats) = setting.run(&jobs, &sampling, Threads::One, 64, enough);
            assert!(done.iter().all(|(row, completion)| all[row] == *completion));
            assert_eq!(stats.rows, done.len() + stats.dropped);
            let handed_over = nodes(&done);
            assert!(stats.tokens >= handed_over.1 && stats.fed >= handed_over.0);
            for job in &jobs {
                let ended = (0..ROWS).filter(|&row| done.contains_key(&(job.id, row)));
                let answered = ended.clone().any(|row| enough(&all[&(job.id, row)]));
                assert!(answered || ended.count() == ROWS, "job {}", job.id);
            }
        }
    }
}
