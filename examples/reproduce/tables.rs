//! Pass@1 by arm, temperature and length, with intervals, from records.

use pspo::data::Seed;
use pspo::eval::Interval;
use pspo::eval::statistics::Crossed;

use crate::Result;
use crate::record::{Record, Records, Test};
use crate::setting::{Setting, TEMPERATURES};
use crate::variant::{START, Variant};

/// The bucket of all lengths.
pub const ALL: &str = "all";

/// Records of the trainings of a study, the start policy's first.
pub struct Runs {
    /// The arm whose seeds the others are compared with, one by one: the study's first.
    pub base: &'static str,
    pub arms: Vec<(&'static str, Vec<Record>)>,
}

/// Held-out problems of some lengths.
pub struct Bucket {
    pub label: String,
    problems: Vec<usize>,
}

/// Pass@1 of an arm at a checkpoint.
pub struct Cell {
    pub arm: &'static str,
    pub checkpoint: u64,
    /// Before it, the mean over seeds.
    pub iterations: f64,
    pub temperature: f32,
    pub bucket: String,
    pub seeds: usize,
    pub mean: Interval,
    /// Over the base, by the seeds that both have; absent where there are none or nothing of the base passes.
    pub gain: Option<Interval>,
}

impl Runs {
    /// Those of `seeds` that have a record.
    pub fn read(records: &Records, variants: &'static [Variant], seeds: &[u64]) -> Result<Self> {
        let trained = variants.iter().map(|variant| (variant.name, variant.training));
        let arms = std::iter::once((START, START)).chain(trained).map(|(name, training)| {
            let found = seeds.iter().map(|&seed| records.get::<Record>(training, seed));
            Ok((name, found.filter_map(Result::transpose).collect::<Result<Vec<_>>>()?))
        });
        let base = variants.first().map_or(START, |variant| variant.name);
        Ok(Self { base, arms: arms.collect::<Result<_>>()? })
    }

    pub fn of(&self, arm: &str) -> &[Record] {
        self.arms.iter().find(|(name, _)| *name == arm).map_or(&[], |(_, records)| records)
    }

    /// Every arm at every temperature and length, at one checkpoint.
    pub fn cells(&self, setting: &Setting, checkpoint: u64) -> Result<Vec<Cell>> {
        let (resamples, seed) = (setting.config.resamples, Seed::root(0).child("intervals"));
        let mut cells = Vec::new();
        for (arm, records) in &self.arms {
            for temperature in TEMPERATURES.map(|temperature| temperature.get()) {
                for bucket in buckets(setting) {
                    let table = |records: &[&Record]| -> Result<Crossed> {
                        let test = |record| test(record, checkpoint, temperature);
                        let rows = records.iter().map(|record| bucket.shares(test(record)?));
                        Ok(Crossed::new(&rows.collect::<Result<Vec<_>>>()?)?)
                    };
                    let all: Vec<&Record> = records.iter().collect();
                    if all.is_empty() || bucket.problems.is_empty() {
                        continue;
                    }
                    let iterations =
                        all.iter().map(|record| Ok(test(record, checkpoint, temperature)?.iterations as f64));
                    let iterations = iterations.sum::<Result<f64>>()? / all.len() as f64;
                    let base = self.of(self.base);
                    let partner = |record: &&Record| base.iter().find(|other| other.seed == record.seed);
                    let (ours, theirs): (Vec<_>, Vec<_>) =
                        all.iter().filter_map(|record| Some((*record, partner(record)?))).unzip();
                    let gain = match ours.is_empty() {
                        true => None,
                        false => table(&ours)?.gain_over(&table(&theirs)?, resamples, &seed).ok(),
                    };
                    cells.push(Cell {
                        arm,
                        checkpoint,
                        iterations,
                        temperature,
                        bucket: bucket.label.clone(),
                        seeds: all.len(),
                        mean: table(&all)?.interval(resamples, &seed)?,
                        gain,
                    });
                }
            }
        }
        Ok(cells)
    }

    /// `arm, seed, temperature, length_bucket, problems, pass_at_1` at one checkpoint.
    pub fn csv(&self, setting: &Setting, checkpoint: u64) -> Result<String> {
        let mut csv = "arm,seed,temperature,length_bucket,problems,pass_at_1\n".to_owned();
        let all = self.arms.iter().flat_map(|(arm, records)| records.iter().map(move |record| (arm, record)));
        for (arm, record) in all {
            for temperature in TEMPERATURES.map(|temperature| temperature.get()) {
                let test = test(record, checkpoint, temperature)?;
                for bucket in buckets(setting) {
                    let shares = bucket.shares(test)?;
                    let (problems, seed) = (shares.len(), record.seed);
                    let pass = shares.iter().sum::<f64>() / problems.max(1) as f64;
                    let label = &bucket.label;
                    csv += &format!("{arm},{seed},{temperature},{label},{problems},{pass:.5}\n");
                }
            }
        }
        Ok(csv)
    }
}

/// `arm, temperature, length_bucket, seeds, mean, low, high, gain, gain_low, gain_high`.
pub fn summary_csv(cells: &[&Cell]) -> String {
    let head = "arm,temperature,length_bucket,seeds,mean,low,high,gain,gain_low,gain_high\n";
    cells.iter().fold(head.to_owned(), |csv, cell| csv + &cell.row())
}

/// As [`summary_csv`], with the mean of the iterations before each.
pub fn budgets_csv(cells: &[Cell]) -> String {
    let head = "iterations,arm,temperature,length_bucket,seeds,mean,low,high,gain,gain_low,gain_high\n";
    cells.iter().fold(head.to_owned(), |csv, cell| csv + &format!("{:.1},{}", cell.iterations, cell.row()))
}

impl Cell {
    fn row(&self) -> String {
        let Self { arm, temperature, bucket, seeds, mean, gain, .. } = self;
        let three =
            |interval: &Interval| format!("{:.5},{:.5},{:.5}", interval.mean, interval.low, interval.high);
        let gain = gain.as_ref().map_or(",,".into(), three);
        format!("{arm},{temperature},{bucket},{seeds},{},{gain}\n", three(mean))
    }
}

/// A record's test; of the start policy there is one, whatever the budget.
fn test(record: &Record, checkpoint: u64, temperature: f32) -> Result<&Test> {
    let is = |test: &&Test| [0, checkpoint].contains(&test.checkpoint) && test.temperature == temperature;
    let Record { arm, seed, .. } = record;
    let missing = || {
        format!(
            "the record of {arm} with seed {seed} has no test of checkpoint {checkpoint} at {temperature}"
        )
    };
    Ok(record.tests.iter().find(is).ok_or_else(missing)?)
}

/// All problems, then by length.
pub fn buckets(setting: &Setting) -> Vec<Bucket> {
    let steps =
        |problem: &pspo::data::Problem| problem.metadata.get("steps").and_then(serde_json::Value::as_u64);
    let lengths: Vec<u64> = setting.held_out.iter().map(|problem| steps(problem).unwrap_or(0)).collect();
    let of = |label: String, first: u64, last: u64| Bucket {
        label,
        problems: (0..lengths.len()).filter(|&at| (first..=last).contains(&lengths[at])).collect(),
    };
    let mut buckets = vec![of(ALL.into(), 0, u64::MAX)];
    let mut first = 1;
    for &last in &setting.config.buckets {
        buckets.push(of(format!("{first}-{last}"), first, last as u64));
        first = last as u64 + 1;
    }
    buckets.push(of(format!("{first}+"), first, u64::MAX));
    buckets
}

impl Bucket {
    /// The shares of its problems.
    fn shares(&self, test: &Test) -> Result<Vec<f64>> {
        let shares = test.shares();
        let share = |&problem: &usize| shares.get(problem).copied();
        let shares: Option<_> = self.problems.iter().map(share).collect();
        Ok(shares.ok_or("a record has fewer problems than the config: it is of another one")?)
    }
}
