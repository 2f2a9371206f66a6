//! What is shown of padding: whether more lines are written where more lines are more reward.

use pspo::report::Table;
use pspo::trainer::events::metrics;

use super::over_seeds;
use crate::record::Record;
use crate::study::Study;
use crate::tables::Runs;

/// Iterations at a training's beginning and at its end that a figure is the mean of.
const WINDOW: usize = 12;

/// Of responses: their lines, the share that are comments, what the PRM gives for them and whether they pass.
const FIGURES: [(&str, &str); 4] = [
    ("lines", metrics::LINES),
    ("comment_ratio", metrics::COMMENT_RATIO),
    ("dense_reward", metrics::DENSE_REWARD),
    ("pass_rate", metrics::PASS_RATE),
];

/// Training responses of each arm at its beginning and at its end: a table of means over seeds, and a CSV of
/// `arm, seed, part, iterations` and the figures.
pub fn shown(study: &Study, runs: &Runs) -> (Table, String) {
    let mut columns = vec!["arm".to_owned(), "seeds".to_owned(), "iterations".to_owned()];
    columns.extend(FIGURES.map(|(name, _)| name.replace('_', " ")));
    let mut csv = format!("arm,seed,part,iterations,{}\n", FIGURES.map(|(name, _)| name).join(","));
    let mut rows = Vec::new();
    for (arm, records) in runs.arms.iter().filter(|(_, records)| records.iter().any(is_trained)) {
        for part in [Part::First, Part::Last] {
            let mut figures = FIGURES.map(|_| Vec::new());
            for record in records {
                let of = FIGURES.map(|(_, metric)| part.mean(record.curves.get(metric)));
                let (part, seed, iterations) = (part.name(), record.seed, iterations(record));
                csv += &format!(
                    "{arm},{seed},{part},{iterations},{}\n",
                    of.map(|x| format!("{x:.4}")).join(",")
                );
                figures.iter_mut().zip(of).for_each(|(values, value)| values.push(value));
            }
            let mut row = vec![(*arm).to_owned(), records.len().to_string(), part.name().to_owned()];
            row.extend(figures.iter().map(|values| over_seeds(values, 3)));
            rows.push(row);
        }
    }
    let title = format!(
        "{}. {}: training responses in the first and last {WINDOW} iterations, means over seeds with 95 %",
        study.number, study.title
    );
    (Table { title, columns, rows }, csv)
}

fn iterations(record: &Record) -> usize {
    record.curves.get(metrics::PASS_RATE).len()
}

/// The start policy is not.
fn is_trained(record: &Record) -> bool {
    iterations(record) > 0
}

#[derive(Clone, Copy)]
enum Part {
    First,
    Last,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
        }
    }

    /// Of the curve's part.
    fn mean(self, curve: &[f32]) -> f64 {
        let window = WINDOW.min(curve.len());
        let values = match self {
            Self::First => &curve[..window],
            Self::Last => &curve[curve.len() - window..],
        };
        values.iter().map(|&value| f64::from(value)).sum::<f64>() / window.max(1) as f64
    }
}
