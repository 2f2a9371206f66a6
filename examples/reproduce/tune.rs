//! Step size and β of each arm, by the same effort: all step sizes at the config's β, then all β at the best step size.

use pspo::data::numbers::{KlCoefficient, LearningRate};
use pspo::trainer::KlControl;
use pspo::trainer::events::metrics;

use crate::Result;
use crate::config::{Config, Tuned};
use crate::record::{Record, Records};

/// What is tried first, and what then with this step size.
fn first(config: &Config) -> Vec<Tuned> {
    let kl = middle(config);
    let with = |&policy_learning_rate: &LearningRate| Tuned { policy_learning_rate, kl };
    config.grid.policy_learning_rate.iter().map(with).collect()
}

fn second(config: &Config, policy_learning_rate: LearningRate) -> Vec<Tuned> {
    let others = config.grid.kl.iter().filter(|kl| **kl != middle(config));
    others.map(|&kl| Tuned { policy_learning_rate, kl }).collect()
}

/// The β that step sizes are compared at.
fn middle(config: &Config) -> KlCoefficient {
    match config.ppo.kl {
        KlControl::Fixed(kl) => kl,
        KlControl::Adaptive(_) => config.grid.kl[config.grid.kl.len() / 2],
    }
}

/// How an arm stands: what is still to be tried, with these seeds, or what is best.
pub enum Standing {
    Missing(Vec<(u64, Tuned)>),
    Best(Tuned),
}

/// What the records say of an arm.
pub fn standing(config: &Config, records: &Records, arm: &str, seeds: &[u64]) -> Result<Standing> {
    let rates = first(config);
    if let [only] = rates[..]
        && second(config, only.policy_learning_rate).is_empty()
    {
        return Ok(Standing::Best(only));
    }
    if let Some(missing) = missing(records, arm, &rates, seeds)? {
        return Ok(Standing::Missing(missing));
    }
    let rate = best(config, records, arm, &rates, seeds)?;
    let mut all = second(config, rate.policy_learning_rate);
    if let Some(missing) = missing(records, arm, &all, seeds)? {
        return Ok(Standing::Missing(missing));
    }
    all.push(rate);
    Ok(Standing::Best(best(config, records, arm, &all, seeds)?))
}

/// The name of a record.
pub fn name(arm: &str, tuned: &Tuned) -> String {
    format!("tuning-{arm}-{}", tuned.name())
}

fn missing(
    records: &Records,
    arm: &str,
    tried: &[Tuned],
    seeds: &[u64],
) -> Result<Option<Vec<(u64, Tuned)>>> {
    let mut missing = Vec::new();
    for &seed in seeds {
        for tuned in tried {
            if records.get::<Record>(&name(arm, tuned), seed)?.is_none() {
                missing.push((seed, *tuned));
            }
        }
    }
    Ok((!missing.is_empty()).then_some(missing))
}

fn best(config: &Config, records: &Records, arm: &str, tried: &[Tuned], seeds: &[u64]) -> Result<Tuned> {
    let mut best = None;
    for tuned in tried {
        let mut sum = 0.0;
        for &seed in seeds {
            sum +=
                records.get::<Record>(&name(arm, tuned), seed)?.map_or(0.0, |record| worth(config, &record));
        }
        if best.is_none_or(|(most, _)| sum > most) {
            best = Some((sum, *tuned));
        }
    }
    Ok(best.ok_or("there is nothing to tune: the grid is empty")?.1)
}

/// The pass rate of training responses, which held-out problems are not among, from the checkpoint before the budget's on.
fn worth(config: &Config, record: &Record) -> f64 {
    let rates = record.curves.get(metrics::PASS_RATE);
    let at = |checkpoint: u64| config.done_at(rates.len() as u64, checkpoint) as usize;
    let last = &rates[at(config.budget - 1)..at(config.budget)];
    last.iter().map(|&rate| f64::from(rate)).sum::<f64>() / last.len().max(1) as f64
}
