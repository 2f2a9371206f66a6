//! What is shown of how fresh a PRM is.

use pspo::eval::Interval;
use pspo::eval::statistics::mean_over_seeds;
use pspo::report::{Chart, Series, Table};

use super::{Shown, over_seeds};
use crate::freshness::{FreshnessRecord, FreshnessRow};
use crate::study::Study;

/// The PRM's figures over training.
pub fn shown(study: &Study, records: &[FreshnessRecord]) -> Shown {
    let (number, title) = (study.number, study.title);
    type Figure = (&'static str, fn(&FreshnessRow) -> Option<f64>);
    const FIGURES: [Figure; 5] = [
        ("AUROC", |row| row.auroc),
        ("accuracy", |row| row.accuracy),
        ("first-error F1", |row| row.first_error_f1),
        ("calibration error", |row| row.calibration_error),
        ("bias", |row| row.bias),
    ];
    let mut csv =
        "seed,iteration,responses,auroc,accuracy,first_error_f1,calibration_error,bias\n".to_owned();
    for record in records {
        for row in &record.rows {
            let figures =
                FIGURES.map(|(_, figure)| figure(row).map_or(String::new(), |value| format!("{value:.4}")));
            csv += &format!("{},{},{},{}\n", record.seed, row.iteration, row.responses, figures.join(","));
        }
    }
    let mut iterations: Vec<u64> = records.iter().flat_map(|r| &r.rows).map(|row| row.iteration).collect();
    iterations.sort_unstable();
    iterations.dedup();
    let mut columns = vec!["iteration".to_owned()];
    columns.extend(FIGURES.map(|(name, _)| name.to_owned()));
    let mut rows: Vec<Vec<String>> = Vec::new();
    let at = |iteration: u64, figure: fn(&FreshnessRow) -> Option<f64>| -> Vec<f64> {
        let rows = records.iter().flat_map(|record| &record.rows).filter(|row| row.iteration == iteration);
        rows.filter_map(figure).collect()
    };
    let mut summary = "iteration,figure,mean,low,high\n".to_owned();
    for &iteration in &iterations {
        let mut row = vec![iteration.to_string()];
        for (name, figure) in FIGURES {
            let values = at(iteration, figure);
            row.push(over_seeds(&values));
            if let Ok(Interval { mean, low, high, .. }) = mean_over_seeds(&values) {
                summary += &format!("{iteration},{name},{mean:.4},{low:.4},{high:.4}\n");
            }
        }
        rows.push(row);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let series = FIGURES.map(|(name, figure)| {
        let values = iterations.iter().map(|&iteration| (iteration as f64, at(iteration, figure)));
        let points = values.filter(|(_, values)| !values.is_empty());
        Series::new(name, points.map(|(iteration, values)| (iteration, mean(&values))).collect())
    });
    let chart = Chart {
        title: format!("{number}. {title}: the PRM on responses of the policy that it trains"),
        x_label: "iteration".to_owned(),
        y_label: "0 to 1".to_owned(),
        series: series.into(),
    };
    let table = Table { title: format!("{number}. {title}: means over seeds, 95 %"), columns, rows };
    let files = vec![(format!("study{number}.csv"), csv), (format!("study{number}_summary.csv"), summary)];
    (vec![table], vec![chart], files)
}
