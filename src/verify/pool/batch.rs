//! [`Batch`]: which programs of groups of submissions are to be run, and what is told of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::Judged;
use crate::plugin::{Submission, Verdict};
use crate::verify::memo::{Key, Memo};

/// A submission's group and its place in the group.
type Place = (usize, usize);

/// Groups of submissions, of which each is answered up to its first pass.
pub(super) struct Batch<'a> {
    /// The programs to run, each once, in the order in which to begin them: the first of each group first.
    pub runs: Vec<Run<'a>>,
    /// For each group and place, where its answer comes from.
    sources: Vec<Vec<Source>>,
    /// For each group, the place of the first submission known to pass.
    first_pass: Vec<AtomicUsize>,
}

/// A program to run.
pub(super) struct Run<'a> {
    pub submission: &'a Submission<'a>,
    key: Key,
    /// Whose answer it is.
    askers: Vec<Place>,
    /// Empty if it turned out not to be needed.
    judged: OnceLock<Judged>,
}

enum Source {
    Memo(Arc<Verdict>),
    Run(usize),
}

impl<'a> Batch<'a> {
    /// The keys of all submissions, made on this thread if `here`.
    pub fn keys(groups: &[&[Submission<'_>]], here: bool) -> Vec<Vec<Key>> {
        let of_group = |group: &&[Submission<'_>]| group.iter().map(Key::of).collect();
        match here || groups.len() < 2 {
            true => groups.iter().map(of_group).collect(),
            false => groups.par_iter().map(of_group).collect(),
        }
    }

    /// What is to be run; what the memo knows is not.
    pub fn new(groups: &[&'a [Submission<'a>]], keys: Vec<Vec<Key>>, memo: &mut Memo) -> Self {
        let mut runs: Vec<Run<'a>> = Vec::new();
        let mut run_of: HashMap<Key, usize> = HashMap::new();
        let mut sources: Vec<Vec<Source>> = groups.iter().map(|_| Vec::new()).collect();
        let mut first_pass = vec![usize::MAX; groups.len()];
        let longest = groups.iter().map(|group| group.len()).max().unwrap_or(0);
        let mut keys: Vec<_> = keys.into_iter().map(Vec::into_iter).collect();
        for place in 0..longest {
            for (group, submissions) in groups.iter().enumerate() {
                let Some(key) = keys[group].next() else { continue };
                if place > first_pass[group] {
                    continue;
                }
                sources[group].push(match memo.get(&key) {
                    Some(verdict) => {
                        if verdict.passes() {
                            first_pass[group] = place;
                        }
                        Source::Memo(verdict)
                    }
                    None => {
                        let run = *run_of.entry(key).or_insert_with_key(|key| {
                            let (key, judged) = (key.clone(), OnceLock::new());
                            runs.push(Run { submission: &submissions[place], key, askers: vec![], judged });
                            runs.len() - 1
                        });
                        runs[run].askers.push((group, place));
                        Source::Run(run)
                    }
                });
            }
        }
        Self { runs, sources, first_pass: first_pass.into_iter().map(AtomicUsize::new).collect() }
    }

    /// Whether anyone still needs it: for whom no submission before it has passed.
    pub fn is_needed(&self, run: &Run<'_>) -> bool {
        run.askers.iter().any(|&(group, place)| place < self.first_pass[group].load(Ordering::Relaxed))
    }

    /// Takes a run's judgement.
    pub fn settle(&self, run: &Run<'_>, judged: Judged) {
        if judged.as_ref().is_ok_and(|verdict| verdict.passes()) {
            for &(group, place) in &run.askers {
                self.first_pass[group].fetch_min(place, Ordering::Relaxed);
            }
        }
        // Each is run once.
        let _ = run.judged.set(judged);
    }

    /// The runs that are part of an answer, in order, once all are settled. Which those are depends on verdicts
    /// alone: one is left out only if a submission before it passes, and that is then part of the answer or comes
    /// after another that does.
    pub fn told(&self) -> impl Iterator<Item = (&Key, &Judged)> {
        let told = |&(group, place): &Place| place <= self.first_pass[group].load(Ordering::Relaxed);
        let runs = self.runs.iter().filter(move |run| run.askers.iter().any(told));
        runs.filter_map(|run| Some((&run.key, run.judged.get()?)))
    }

    /// Each group's answers, up to its first pass.
    pub fn answers(&self) -> Vec<Vec<Judged>> {
        let of_group = |(sources, first_pass): (&Vec<Source>, &AtomicUsize)| {
            let needed = sources.iter().take(first_pass.load(Ordering::Relaxed).saturating_add(1));
            let answer = |source: &Source| match source {
                Source::Memo(verdict) => Ok(Arc::clone(verdict)),
                Source::Run(run) => {
                    self.runs[*run].judged.get().expect("it is needed, so it was run").clone()
                }
            };
            needed.map(answer).collect()
        };
        self.sources.iter().zip(&self.first_pass).map(of_group).collect()
    }
}
