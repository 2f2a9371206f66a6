//! What is to be done, seed by seed, on several threads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use pspo::prm::PrmTrainingError;

use crate::Result;
use crate::config::Tuned;
use crate::freshness::FreshnessRecord;
use crate::lab::Lab;
use crate::record::{Record, Records};
use crate::setting::Setting;
use crate::study::{Asked, Kind};
use crate::tune::{self, Standing};
use crate::variant::{self, Variant};

/// One record to be made.
#[derive(Clone, Copy)]
enum Task {
    Tune(&'static Variant, Tuned),
    Untrained,
    Train(&'static Variant, Tuned),
    Labels,
    Freshness(Tuned),
}

/// Where records go, and checkpoints.
pub struct Works<'a> {
    pub setting: &'a Setting,
    pub records: &'a Records,
    /// The trainings to do, where not all of a study's.
    pub arms: Option<&'a [String]>,
    /// A folder for each seed.
    pub out: &'a Path,
    pub jobs: NonZeroUsize,
}

impl Works<'_> {
    /// Makes the records of `asked` that are missing.
    pub fn run(&self, asked: &[Asked], tuning: &[u64]) -> Result<()> {
        let best = self.tune(asked, tuning)?;
        let mut tasks: BTreeMap<u64, Vec<Task>> = BTreeMap::new();
        for Asked { study, seeds } in asked {
            for &seed in seeds {
                let tasks = tasks.entry(seed).or_default();
                match study.kind {
                    Kind::Arms(variants, _) => {
                        tasks.push(Task::Untrained);
                        let wanted = variants.iter().filter(|variant| self.is_wanted(variant));
                        tasks.extend(wanted.map(|variant| Task::Train(variant, best[variant.tuned_as])));
                    }
                    Kind::Labels => tasks.push(Task::Labels),
                    Kind::Freshness if self.is_wanted(&variant::BOTH) => {
                        tasks.push(Task::Freshness(best[variant::BOTH.tuned_as]));
                    }
                    Kind::Freshness => {}
                }
            }
        }
        self.all(tasks)
    }

    /// The best step size and β of each arm that the studies train.
    fn tune(&self, asked: &[Asked], seeds: &[u64]) -> Result<BTreeMap<&'static str, Tuned>> {
        let config = &self.setting.config;
        let all = asked.iter().flat_map(|asked| asked.study.variants());
        let arms: Vec<&'static Variant> = all.filter(|variant| self.is_wanted(variant)).collect();
        let arm = |name: &str| variant::ARMS.iter().find(|arm| arm.name == name);
        loop {
            let mut tasks: BTreeMap<u64, Vec<Task>> = BTreeMap::new();
            let mut best = BTreeMap::new();
            for name in arms.iter().map(|variant| variant.tuned_as) {
                let variant = arm(name).ok_or_else(|| format!("{name} is no arm that can be tuned"))?;
                match tune::standing(config, self.records, name, seeds)? {
                    Standing::Best(tuned) => _ = best.insert(name, tuned),
                    Standing::Missing(missing) => {
                        for (seed, tuned) in missing {
                            tasks.entry(seed).or_default().push(Task::Tune(variant, tuned));
                        }
                    }
                }
            }
            if tasks.is_empty() {
                return Ok(best);
            }
            self.all(tasks)?;
        }
    }

    /// Does the tasks of each seed in order, and several seeds at a time.
    fn all(&self, tasks: BTreeMap<u64, Vec<Task>>) -> Result<()> {
        let mut open = Vec::new();
        for (seed, tasks) in tasks {
            let mut missing = Vec::new();
            for task in tasks {
                if !self.is_done(seed, &task)? {
                    missing.push(task);
                }
            }
            if !missing.is_empty() {
                open.push((seed, missing));
            }
        }
        let queue = Mutex::new(open.into_iter());
        let jobs = self.jobs.get();
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).div_ceil(jobs);
        let work = || -> Result<()> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let next = || queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
            while let Some((seed, tasks)) = next() {
                pool.install(|| self.seed(seed, &tasks))?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
        })
    }

    fn is_wanted(&self, variant: &Variant) -> bool {
        self.arms.is_none_or(|arms| arms.iter().any(|name| name == variant.training))
    }

    /// Whether there is a record of the task, with the numbers that it would have now.
    fn is_done(&self, seed: u64, task: &Task) -> Result<bool> {
        let name = task.name();
        Ok(match task {
            Task::Train(_, tuned) => {
                self.records.get::<Record>(&name, seed)?.is_some_and(|record| record.tuned == Some(*tuned))
            }
            Task::Freshness(tuned) => {
                self.records.get::<FreshnessRecord>(&name, seed)?.is_some_and(|record| record.tuned == *tuned)
            }
            // Named by their numbers, or without any.
            Task::Tune(..) | Task::Untrained | Task::Labels => self.records.has(&name, seed),
        })
    }

    fn seed(&self, seed: u64, tasks: &[Task]) -> Result<()> {
        let mut lab = Lab::new(self.setting, seed, &self.out.join(format!("seed-{seed}")))?;
        for task in tasks {
            // Two studies may ask for the same.
            if self.is_done(seed, task)? {
                continue;
            }
            let name = task.name();
            match task {
                Task::Tune(variant, tuned) => {
                    self.records.put(&name, seed, &lab.record(variant, tuned, false)?)?
                }
                Task::Train(variant, tuned) => match lab.record(variant, tuned, true) {
                    Ok(record) => self.records.put(&name, seed, &record)?,
                    // What a selection keeps is what the responses are: of some there may be none.
                    Err(error) if matches!(error.downcast_ref(), Some(PrmTrainingError::NoExamples)) => {
                        println!("{name} with seed {seed} is left out: its PRM has nothing to learn from");
                    }
                    Err(error) => return Err(error),
                },
                Task::Untrained => self.records.put(&name, seed, &lab.untrained()?)?,
                Task::Labels => self.records.put(&name, seed, &lab.compare_labels()?)?,
                Task::Freshness(tuned) => self.records.put(&name, seed, &lab.freshness(tuned)?)?,
            }
        }
        Ok(())
    }
}

impl Task {
    /// The name of its record.
    fn name(&self) -> String {
        match self {
            Self::Tune(variant, tuned) => tune::name(variant.name, tuned),
            Self::Train(variant, _) => variant.training.to_owned(),
            Self::Untrained => variant::START.to_owned(),
            Self::Labels => "labels".to_owned(),
            Self::Freshness(_) => "freshness".to_owned(),
        }
    }
}
