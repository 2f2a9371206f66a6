//! What is shown of how fresh a PRM is.

use pspo::report::{Chart, Series, Table};

use super::{Shown, mean, over_seeds, three_cells};
use crate::freshness::{Age, FreshnessRecord, FreshnessRow};
use crate::study::Study;
use crate::truth::Truth;

type Figure = (&'static str, fn(&FreshnessRow) -> Option<f64>);

const FIGURES: [Figure; 7] = [
    ("auroc", |row| row.auroc),
    ("accuracy", |row| row.accuracy),
    ("first_error_f1", |row| row.first_error_f1),
    ("first_error_exact", |row| row.first_error_exact),
    ("calibration_error", |row| row.calibration_error),
    ("bias", |row| row.bias),
    ("failing_responses", |row| Some(row.failing as f64 / row.responses.max(1) as f64)),
];

/// The PRM's figures over training, by either truth, and last those of one that is trained on the last policy's responses.
pub fn shown(study: &Study, records: &[FreshnessRecord]) -> Shown {
    let (number, title) = (study.number, study.title);
    let all = || records.iter().flat_map(|record| &record.rows);
    let mut iterations: Vec<u64> = all().map(|row| row.iteration).collect();
    iterations.sort_unstable();
    iterations.dedup();

    let names = FIGURES.map(|(name, _)| name);
    let mut csv = format!("seed,iteration,prm,truth,responses,{}\n", names.join(","));
    for record in records {
        for row in &record.rows {
            let FreshnessRow { iteration, prm, truth, responses, .. } = row;
            let figures =
                FIGURES.map(|(_, figure)| figure(row).map_or(String::new(), |value| format!("{value:.4}")));
            let (seed, prm, truth, figures) = (record.seed, prm.name(), truth.name(), figures.join(","));
            csv += &format!("{seed},{iteration},{prm},{truth},{responses},{figures}\n");
        }
    }

    let mut summary = "iteration,prm,truth,figure,seeds,mean,low,high\n".to_owned();
    let (mut tables, mut charts) = (Vec::new(), Vec::new());
    for truth in Truth::ALL {
        let at = |iteration: u64, prm: Age, figure: fn(&FreshnessRow) -> Option<f64>| -> Vec<f64> {
            let is = |row: &&FreshnessRow| (row.iteration, row.prm, row.truth) == (iteration, prm, truth);
            all().filter(is).filter_map(figure).collect()
        };
        let mut columns = ["iteration", "prm"].map(str::to_owned).to_vec();
        columns.extend(names.map(|name| name.replace('_', " ")));
        let mut rows: Vec<Vec<String>> = Vec::new();
        for prm in [Age::Before, Age::Fresh] {
            for &iteration in &iterations {
                let values = FIGURES.map(|(_, figure)| at(iteration, prm, figure));
                if values.iter().all(Vec::is_empty) {
                    continue;
                }
                let mut row = vec![iteration.to_string(), prm.name().to_owned()];
                row.extend(values.iter().map(|values| over_seeds(values, 3)));
                rows.push(row);
                for (name, values) in names.iter().zip(&values).filter(|(_, values)| !values.is_empty()) {
                    let (prm, truth, seeds, three) =
                        (prm.name(), truth.name(), values.len(), three_cells(values));
                    summary += &format!("{iteration},{prm},{truth},{name},{seeds},{three}\n");
                }
            }
        }
        let name = truth.name();
        tables.push(Table {
            title: format!("{number}. {title}: truth `{name}`, means over seeds, 95 %"),
            columns,
            rows,
        });
        let series = FIGURES.map(|(name, figure)| {
            let values =
                iterations.iter().map(|&iteration| (iteration as f64, at(iteration, Age::Before, figure)));
            let points = values.filter(|(_, values)| !values.is_empty());
            Series::new(name, points.map(|(iteration, values)| (iteration, mean(&values))).collect())
        });
        charts.push(Chart {
            title: format!(
                "{number}. {title}: a PRM on responses of the policy that it trains, truth `{name}`"
            ),
            x_label: "iteration".to_owned(),
            y_label: "share".to_owned(),
            series: series.into(),
        });
    }
    let files = vec![(format!("study{number}.csv"), csv), (format!("study{number}_summary.csv"), summary)];
    (tables, charts, files)
}
