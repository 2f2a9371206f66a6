//! What is shown of a study that compares trainings.

use pspo::data::numbers::Temperature;
use pspo::eval::Interval;
use pspo::report::{Chart, Series, Table};
use pspo::trainer::events::metrics;

use super::{Shown, padding};
use crate::Result;
use crate::config::Config;
use crate::record::Record;
use crate::setting::{Setting, TEMPERATURES};
use crate::study::{Over, Study};
use crate::tables::{ALL, Cell, Pair, Runs, buckets, budgets_csv, pairs_csv, summary_csv};
use crate::variant::{LONGER, START};

/// Iterations that a curve's point is the mean of.
const SMOOTH: usize = 4;

/// The temperature of charts.
const COLD: Temperature = TEMPERATURES[0];

/// Pass@1 and learning curves.
pub fn shown(setting: &Setting, study: &Study, runs: &Runs, pairs: &[Over]) -> Result<Shown> {
    let (number, title) = (study.number, study.title);
    let Config { budget, checkpoints, .. } = setting.config;
    let budgets = (1..=checkpoints).map(|checkpoint| runs.cells(setting, checkpoint));
    let budgets: Vec<Cell> = budgets.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let cells: Vec<&Cell> = budgets.iter().filter(|cell| cell.checkpoint == budget).collect();
    let head = |temperature, what: &str| {
        format!(
            "{number}. {title}: Pass@1 in percent at T = {temperature}{what}, and the gain over `{}`",
            runs.base
        )
    };
    let mut tables = Vec::new();
    for temperature in TEMPERATURES.map(|temperature| temperature.get()) {
        let of = cells.iter().copied().filter(|cell| cell.temperature == temperature);
        let head = head(temperature, &format!(" by length, checkpoint {budget} of {checkpoints}"));
        tables.push(pass_table(head, runs.base, of, |cell| cell.bucket.clone()));
    }
    for temperature in TEMPERATURES.map(|temperature| temperature.get()) {
        let of = |arm| {
            let is =
                move |cell: &&Cell| cell.arm == arm && cell.temperature == temperature && cell.bucket == ALL;
            budgets.iter().filter(is)
        };
        let all = runs.arms.iter().flat_map(|(arm, _)| of(*arm));
        let head = head(temperature, " by checkpoint");
        tables.push(pass_table(head, runs.base, all, |cell| format!("checkpoint {}", cell.checkpoint)));
    }
    let mut files = vec![
        (format!("study{number}.csv"), runs.csv(setting, budget)?),
        (format!("study{number}_summary.csv"), summary_csv(&cells)),
        (format!("study{number}_budgets.csv"), budgets_csv(&budgets)),
    ];
    let pairs = runs.pairs(setting, budget, pairs)?;
    if !pairs.is_empty() {
        let title = format!("{number}. {title}: gains over others than `{}`, checkpoint {budget}", runs.base);
        tables.push(pair_table(title, &pairs));
        files.push((format!("study{number}_pairs.csv"), pairs_csv(&pairs)));
    }
    let ppo = &setting.config.ppo;
    let rollouts = (ppo.prompts.get() * ppo.responses.get()) as f64;
    let curve = |metric: &str, label: &str| Chart {
        title: format!("{number}. {title}: {label}"),
        x_label: "rollouts".to_owned(),
        y_label: label.to_owned(),
        series: runs
            .arms
            .iter()
            .filter(|(arm, _)| is_drawn(study, arm))
            .filter_map(|(arm, records)| mean_curve(arm, records, metric, rollouts))
            .collect(),
    };
    let mut charts = vec![curve(metrics::PASS_RATE, "training responses that pass")];
    if number == 1 {
        charts.push(by_clock(study, runs));
    }
    if number == 5 {
        let (table, csv) = padding::shown(study, runs);
        tables.push(table);
        files.push((format!("study{number}_padding.csv"), csv));
        charts.push(curve(metrics::LINES, "lines per response"));
        charts.push(curve(metrics::COMMENT_RATIO, "comments, share of lines"));
        charts.push(curve(metrics::DENSE_REWARD, "dense reward per response"));
    }
    charts.push(by_budget(study, &budgets, rollouts));
    charts.push(by_length(setting, study, &cells));
    Ok((tables, charts, files))
}

/// A row of cells for each arm, in the order of `cells`, each in its column.
fn pass_table<'a>(
    title: String,
    base: &str,
    cells: impl Iterator<Item = &'a Cell>,
    column: impl Fn(&Cell) -> String,
) -> Table {
    let mut columns = vec!["arm".to_owned(), "seeds".to_owned()];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for cell in cells {
        let column = column(cell);
        if !columns.contains(&column) {
            columns.push(column);
        }
        if rows.last().is_none_or(|row| row[0] != cell.arm) {
            rows.push(vec![cell.arm.to_owned(), cell.seeds.to_string()]);
        }
        let gain = cell.gain.as_ref().filter(|_| ![START, base].contains(&cell.arm));
        let gain = gain.map(|gain| format!(", {}", percent(gain))).unwrap_or_default();
        let [mean, low, high] = [cell.mean.mean, cell.mean.low, cell.mean.high].map(|share| 100.0 * share);
        rows.last_mut().expect("a row was begun").push(format!("{mean:.1} [{low:.1}, {high:.1}]{gain}"));
    }
    Table { title, columns, rows }
}

/// A row for each two arms and temperature, lengths side by side.
fn pair_table(title: String, pairs: &[Pair]) -> Table {
    let mut columns = ["arm", "over", "T", "seeds"].map(str::to_owned).to_vec();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for Pair { arm, over, temperature, bucket, seeds, gain } in pairs {
        if !columns.contains(bucket) {
            columns.push(bucket.clone());
        }
        let row = [(*arm).to_owned(), (*over).to_owned(), temperature.to_string(), seeds.to_string()];
        if rows.last().is_none_or(|last| !last.starts_with(&row)) {
            rows.push(row.to_vec());
        }
        rows.last_mut().expect("a row was begun").push(percent(gain));
    }
    Table { title, columns, rows }
}

/// A relative gain.
fn percent(gain: &Interval) -> String {
    format!("{:+.1} % [{:+.1}, {:+.1}]", 100.0 * gain.mean, 100.0 * gain.low, 100.0 * gain.high)
}

/// The mean over seeds of a metric, over some iterations, each of which is `step` long.
fn mean_curve(arm: &str, records: &[Record], metric: &str, step: f64) -> Option<Series> {
    let curves: Vec<&[f32]> = records.iter().map(|record| record.curves.get(metric)).collect();
    let shortest = curves.iter().map(|curve| curve.len()).min().filter(|&shortest| shortest > 0)?;
    let smooth = if shortest < 4 * SMOOTH { 1 } else { SMOOTH };
    let point = |end: usize| {
        let values = curves.iter().flat_map(|curve| &curve[end - smooth..end]);
        let sum: f64 = values.map(|&value| f64::from(value)).sum();
        (step * end as f64, sum / (smooth * curves.len()) as f64)
    };
    Some(Series::new(arm, (1..=shortest / smooth).map(|n| point(n * smooth)).collect()))
}

/// Whether a chart by rollouts or lengths has it: the start policy has no rollouts, and beside a training that has many times
/// more there is no room for the others.
fn is_drawn(study: &Study, arm: &str) -> bool {
    ![START, LONGER.name].contains(&arm) && !study.undrawn.contains(&arm)
}

/// Training responses that pass, by seconds on one thread, from the first response for labels on.
fn by_clock(study: &Study, runs: &Runs) -> Chart {
    let drawn = runs.arms.iter().filter(|(arm, _)| !study.undrawn.contains(arm));
    let series = drawn.filter_map(|(arm, records)| {
        let mean = |of: fn(&Record) -> f64| records.iter().map(of).sum::<f64>() / records.len() as f64;
        let iterations = mean(|record| record.curves.get(metrics::PASS_RATE).len() as f64);
        let (before, seconds) = (mean(|record| record.seconds_before), mean(|record| record.seconds));
        let mut series = mean_curve(arm, records, metrics::PASS_RATE, seconds / iterations)?;
        series.points.iter_mut().for_each(|point| point.0 += before);
        Some(series)
    });
    Chart {
        title: "1. By time: training responses that pass".to_owned(),
        x_label: "seconds on one thread, those of the source of labels, of labels and the PRM before"
            .to_owned(),
        y_label: "share of responses".to_owned(),
        series: series.collect(),
    }
}

/// Pass@1 at T = 0.2 by length, the paper's figure.
fn by_length(setting: &Setting, study: &Study, cells: &[&Cell]) -> Chart {
    /// How far the arms stand from each other.
    const APART: f64 = 0.05;
    let cells = cells.iter().copied().filter(|cell| cell.bucket != ALL);
    let buckets = buckets(setting).into_iter().map(|bucket| bucket.label).filter(|label| label != ALL);
    let buckets: Vec<String> = buckets.collect();
    pass_chart(
        study,
        "by length",
        &format!("steps of the program ({}), arms side by side", buckets.join(", ")),
        cells,
        |arm, nth, _| nth as f64 + 1.0 + APART * arm as f64,
    )
}

/// Pass@1 at T = 0.2 by the rollouts before, of which each iteration has `rollouts`, from the start policy on.
fn by_budget(study: &Study, cells: &[Cell], rollouts: f64) -> Chart {
    let all = || cells.iter().filter(|cell| cell.bucket == ALL);
    let mut chart =
        pass_chart(study, "by rollouts", "rollouts", all(), |_, _, cell| rollouts * cell.iterations);
    if let Some(Cell { mean, .. }) = all().find(|cell| cell.arm == START && cell.temperature == COLD.get()) {
        for Series { points, spread, .. } in &mut chart.series {
            points.insert(0, (0.0, mean.mean));
            spread.insert(0, (mean.low, mean.high));
        }
    }
    chart
}

/// Pass@1 at T = 0.2 with its intervals, a curve for each arm; `x` is told the number of the arm, of the point in its curve,
/// and the point.
fn pass_chart<'a>(
    study: &Study,
    what: &str,
    x_label: &str,
    cells: impl Iterator<Item = &'a Cell>,
    x: impl Fn(usize, usize, &Cell) -> f64,
) -> Chart {
    let cold = COLD.get();
    let mut series: Vec<Series> = Vec::new();
    for cell in cells.filter(|cell| cell.temperature == cold && is_drawn(study, cell.arm)) {
        let known = series.iter().position(|series| series.name == cell.arm);
        let arm = known.unwrap_or_else(|| {
            series.push(Series::new(cell.arm, Vec::new()));
            series.len() - 1
        });
        let Series { points, spread, .. } = &mut series[arm];
        points.push((x(arm, points.len(), cell), cell.mean.mean));
        spread.push((cell.mean.low, cell.mean.high));
    }
    Chart {
        title: format!("{}. {}: Pass@1 {what} at T = {cold}, with 95 % intervals", study.number, study.title),
        x_label: x_label.to_owned(),
        y_label: "share of samples".to_owned(),
        series,
    }
}
