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

/// What an arm gains over another at the budget.
pub struct Pair {
    pub arm: &'static str,
    pub over: &'static str,
    pub temperature: f32,
    pub bucket: String,
    /// Those that both have.
    pub seeds: usize,
    pub gain: Interval,
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
        let bootstrap = Bootstrap::of(setting);
        let mut cells = Vec::new();
        for (arm, records) in self.arms.iter().filter(|(_, records)| !records.is_empty()) {
            for place in places(setting, checkpoint) {
                let tests = records.iter().map(|record| place.test(record));
                let iterations = tests.map(|test| Ok(test?.iterations as f64)).sum::<Result<f64>>()?;
                let mean = place.crossed(records)?.interval(bootstrap.resamples, &bootstrap.seed)?;
                let gain = place.gain(records, self.of(self.base), &bootstrap)?;
                cells.push(Cell {
                    arm,
                    checkpoint,
                    iterations: iterations / records.len() as f64,
                    temperature: place.temperature,
                    bucket: place.bucket.label,
                    seeds: records.len(),
                    mean,
                    gain: gain.map(|(_, gain)| gain),
                });
            }
        }
        Ok(cells)
    }

    /// Arms over others than the base, where both have a record of a seed.
    pub fn pairs(
        &self,
        setting: &Setting,
        checkpoint: u64,
        pairs: &[(&'static str, &'static str)],
    ) -> Result<Vec<Pair>> {
        let bootstrap = Bootstrap::of(setting);
        let mut found = Vec::new();
        for &(arm, over) in pairs {
            for place in places(setting, checkpoint) {
                if let Some((seeds, gain)) = place.gain(self.of(arm), self.of(over), &bootstrap)? {
                    let Place { temperature, bucket, .. } = place;
                    found.push(Pair { arm, over, temperature, bucket: bucket.label, seeds, gain });
                }
            }
        }
        Ok(found)
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

/// `arm, over, temperature, length_bucket, seeds, gain, low, high`.
pub fn pairs_csv(pairs: &[Pair]) -> String {
    let head = "arm,over,temperature,length_bucket,seeds,gain,low,high\n";
    pairs.iter().fold(head.to_owned(), |csv, pair| {
        let Pair { arm, over, temperature, bucket, seeds, gain } = pair;
        csv + &format!("{arm},{over},{temperature},{bucket},{seeds},{}\n", three(gain))
    })
}

impl Cell {
    fn row(&self) -> String {
        let Self { arm, temperature, bucket, seeds, mean, gain, .. } = self;
        let gain = gain.as_ref().map_or(",,".into(), three);
        format!("{arm},{temperature},{bucket},{seeds},{},{gain}\n", three(mean))
    }
}

fn three(interval: &Interval) -> String {
    format!("{:.5},{:.5},{:.5}", interval.mean, interval.low, interval.high)
}

/// How intervals are drawn.
struct Bootstrap {
    resamples: usize,
    seed: Seed,
}

impl Bootstrap {
    fn of(setting: &Setting) -> Self {
        Self { resamples: setting.config.resamples, seed: Seed::root(0).child("intervals") }
    }
}

/// What arms are compared at.
struct Place {
    checkpoint: u64,
    temperature: f32,
    bucket: Bucket,
}

/// Each temperature with each length that problems have, at one checkpoint.
fn places(setting: &Setting, checkpoint: u64) -> Vec<Place> {
    let at = |temperature: f32| {
        let buckets = buckets(setting).into_iter().filter(|bucket| !bucket.problems.is_empty());
        buckets.map(move |bucket| Place { checkpoint, temperature, bucket })
    };
    TEMPERATURES.iter().flat_map(|temperature| at(temperature.get())).collect()
}

impl Place {
    fn test<'a>(&self, record: &'a Record) -> Result<&'a Test> {
        test(record, self.checkpoint, self.temperature)
    }

    /// The shares of samples that pass, by seed and problem.
    fn crossed<'a>(&self, records: impl IntoIterator<Item = &'a Record>) -> Result<Crossed> {
        let rows = records.into_iter().map(|record| self.bucket.shares(self.test(record)?));
        Ok(Crossed::new(&rows.collect::<Result<Vec<_>>>()?)?)
    }

    /// The relative gain of arms over others by the seeds that both have, and how many these are; none where there are none or
    /// nothing of the others passes.
    fn gain(
        &self,
        ours: &[Record],
        theirs: &[Record],
        bootstrap: &Bootstrap,
    ) -> Result<Option<(usize, Interval)>> {
        let partner = |record: &Record| theirs.iter().find(|other| other.seed == record.seed);
        let (ours, theirs): (Vec<_>, Vec<_>) =
            ours.iter().filter_map(|record| Some((record, partner(record)?))).unzip();
        if ours.is_empty() {
            return Ok(None);
        }
        let seeds = ours.len();
        let gain =
            self.crossed(ours)?.gain_over(&self.crossed(theirs)?, bootstrap.resamples, &bootstrap.seed);
        Ok(gain.ok().map(|gain| (seeds, gain)))
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
