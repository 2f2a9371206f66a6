//! Tables, plots and the report, from the records that there are.

use std::fs;
use std::path::Path;

use pspo::report::{Chart, Report, Series, Table};
use pspo::trainer::events::metrics;

use crate::Result;
use crate::freshness::{FreshnessRecord, FreshnessRow};
use crate::labels::{LabelRecord, LabelRow};
use crate::record::{Record, Records};
use crate::setting::Setting;
use crate::study::{Kind, Study};
use crate::tables::{Cell, Runs, summary_csv};

/// Iterations that a curve's point is the mean of.
const SMOOTH: usize = 4;

/// Writes `studyN.csv`, `studyN_summary.csv`, `studyN.md` for each study, and `report.html`, into `folder`.
pub fn write(
    setting: &Setting,
    records: &Records,
    studies: &[&'static Study],
    seeds: &[u64],
    folder: &Path,
) -> Result<()> {
    let mut report = Report { title: "The paper's findings, tested".to_owned(), ..Report::default() };
    for study in studies {
        let (tables, charts, files) = match study.kind {
            Kind::Arms(variants) => arms(setting, study, &Runs::read(records, variants, seeds)?)?,
            Kind::Labels => labels(study, &all(records, "labels", seeds)?),
            Kind::Freshness => freshness(study, &all(records, "freshness", seeds)?),
        };
        for (name, content) in files {
            fs::write(folder.join(name), content)?;
        }
        let markdown: Vec<_> = tables.iter().map(markdown).collect();
        fs::write(folder.join(format!("study{}.md", study.number)), markdown.join("\n"))?;
        report.tables.extend(tables);
        report.charts.extend(charts);
    }
    fs::write(folder.join("report.html"), report.to_html()?)?;
    println!("wrote {}", folder.join("report.html").display());
    Ok(())
}

type Shown = (Vec<Table>, Vec<Chart>, Vec<(String, String)>);

fn all<T: serde::de::DeserializeOwned>(records: &Records, name: &str, seeds: &[u64]) -> Result<Vec<T>> {
    seeds.iter().filter_map(|&seed| records.get(name, seed).transpose()).collect()
}

/// A study that compares trainings.
fn arms(setting: &Setting, study: &Study, runs: &Runs) -> Result<Shown> {
    let (number, title) = (study.number, study.title);
    let cells = runs.cells(setting)?;
    let mut tables = Vec::new();
    for temperature in crate::setting::TEMPERATURES.map(|temperature| temperature.get()) {
        let of: Vec<&Cell> = cells.iter().filter(|cell| cell.temperature == temperature).collect();
        let title =
            format!("{number}. {title}: Pass@1 in percent at T = {temperature}, and the gain over `rl`");
        tables.push(pass_table(title, &of));
    }
    let curve = |metric: &str, label: &str| Chart {
        title: format!("{number}. {title}: {label}"),
        x_label: "iteration".to_owned(),
        y_label: label.to_owned(),
        series: runs.arms.iter().filter_map(|(arm, records)| mean_curve(arm, records, metric)).collect(),
    };
    let mut charts = vec![curve(metrics::PASS_RATE, "training responses that pass")];
    if number == 1 {
        charts.push(by_clock(runs));
    }
    if number == 5 {
        charts.push(curve(metrics::LINES, "lines per response"));
        charts.push(curve(metrics::COMMENT_RATIO, "comments, share of lines"));
        charts.push(curve(metrics::DENSE_REWARD, "dense reward per response"));
    }
    charts.push(by_length(study, &cells));
    let files = vec![
        (format!("study{number}.csv"), runs.csv(setting)?),
        (format!("study{number}_summary.csv"), summary_csv(&cells)),
    ];
    Ok((tables, charts, files))
}

fn pass_table(title: String, cells: &[&Cell]) -> Table {
    let mut columns = vec!["arm".to_owned(), "seeds".to_owned()];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for cell in cells {
        if !columns.contains(&cell.bucket) {
            columns.push(cell.bucket.clone());
        }
        if rows.last().is_none_or(|row| row[0] != cell.arm) {
            rows.push(vec![cell.arm.to_owned(), cell.seeds.to_string()]);
        }
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let gain = cell.gain.as_ref().filter(|_| !["sft", "rl"].contains(&cell.arm)).map(|gain| {
            format!(", {:+.1} % [{:+.1}, {:+.1}]", 100.0 * gain.mean, 100.0 * gain.low, 100.0 * gain.high)
        });
        let mean = &cell.mean;
        let (low, high) = (percent(mean.low), percent(mean.high));
        let text = format!("{} [{low}, {high}]{}", percent(mean.mean), gain.unwrap_or_default());
        rows.last_mut().expect("a row was begun").push(text);
    }
    Table { title, columns, rows }
}

/// The mean over seeds of a metric, over some iterations.
fn mean_curve(arm: &str, records: &[Record], metric: &str) -> Option<Series> {
    let curves: Vec<&[f32]> = records.iter().map(|record| record.curves.get(metric)).collect();
    let shortest = curves.iter().map(|curve| curve.len()).min().filter(|&shortest| shortest > 0)?;
    let smooth = if shortest < 4 * SMOOTH { 1 } else { SMOOTH };
    let point = |end: usize| {
        let values = curves.iter().flat_map(|curve| &curve[end - smooth..end]);
        let sum: f64 = values.map(|&value| f64::from(value)).sum();
        (end as f64, sum / (smooth * curves.len()) as f64)
    };
    Some(Series {
        name: arm.to_owned(),
        points: (1..=shortest / smooth).map(|n| point(n * smooth)).collect(),
    })
}

/// Training responses that pass, by seconds of training on one thread.
fn by_clock(runs: &Runs) -> Chart {
    let series = runs.arms.iter().filter_map(|(arm, records)| {
        let mut series = mean_curve(arm, records, metrics::PASS_RATE)?;
        let seconds = records.iter().map(|record| record.seconds).sum::<f64>() / records.len() as f64;
        let last = series.points.last()?.0;
        series.points.iter_mut().for_each(|point| point.0 *= seconds / last);
        Some(series)
    });
    Chart {
        title: "1. By time: training responses that pass".to_owned(),
        x_label: "seconds of training, one thread; labels and the PRM's training not counted".to_owned(),
        y_label: "share of responses".to_owned(),
        series: series.collect(),
    }
}

/// Pass@1 at T = 0.2 by length, the paper's figure.
fn by_length(study: &Study, cells: &[Cell]) -> Chart {
    let cold = crate::setting::TEMPERATURES[0].get();
    let mut series: Vec<Series> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.temperature == cold && cell.bucket != "all") {
        if series.last().is_none_or(|series| series.name != cell.arm) {
            series.push(Series { name: cell.arm.to_owned(), points: Vec::new() });
        }
        let points = &mut series.last_mut().expect("a series was begun").points;
        points.push((points.len() as f64 + 1.0, cell.mean.mean));
    }
    Chart {
        title: format!("{}. {}: Pass@1 by length at T = {cold}", study.number, study.title),
        x_label: "bucket of lengths, from short to long".to_owned(),
        y_label: "share of samples".to_owned(),
        series,
    }
}

/// Study 4.
fn labels(study: &Study, records: &[LabelRecord]) -> Shown {
    let (number, title) = (study.number, study.title);
    let mut csv =
        "labeler,k,seed,responses,failing,exact,good_as_bad,bad_as_good,completions,tokens,fed,verdicts\n"
            .to_owned();
    let mut sums: Vec<LabelRow> = Vec::new();
    for record in records {
        for row in &record.rows {
            let figures = Figures::of(row);
            csv += &format!(
                "{},{},{},{},{},{:.4},{:.4},{:.4},{:.2},{:.1},{:.1},{:.2}\n",
                row.labeler,
                row.completions_asked,
                record.seed,
                row.responses,
                row.failing,
                figures.exact,
                figures.good_as_bad,
                figures.bad_as_good,
                figures.completions,
                figures.tokens,
                figures.fed,
                figures.verdicts
            );
            let same = |sum: &&mut LabelRow| {
                (&sum.labeler, sum.completions_asked) == (&row.labeler, row.completions_asked)
            };
            match sums.iter_mut().find(same) {
                Some(sum) => sum.add(row),
                None => sums.push(row.clone()),
            }
        }
    }
    let columns = [
        "labeler",
        "K",
        "failing responses",
        "first error exact, %",
        "good lines called bad, %",
        "bad lines called good, %",
        "completions",
        "tokens drawn",
        "tokens fed",
        "verdicts",
    ];
    let row = |row: &LabelRow| {
        let figures = Figures::of(row);
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        vec![
            row.labeler.clone(),
            row.completions_asked.to_string(),
            row.failing.to_string(),
            percent(figures.exact),
            percent(figures.good_as_bad),
            percent(figures.bad_as_good),
            format!("{:.1}", figures.completions),
            format!("{:.0}", figures.tokens),
            format!("{:.0}", figures.fed),
            format!("{:.1}", figures.verdicts),
        ]
    };
    let table = Table {
        title: format!("{number}. {title}: all seeds together, costs for each response"),
        columns: columns.map(str::to_owned).to_vec(),
        rows: sums.iter().map(row).collect(),
    };
    let chart = |label: &str, x_label: &str, point: fn(&LabelRow) -> (f64, f64)| {
        let series = ["binary-search", "every-prefix"].map(|labeler| Series {
            name: labeler.to_owned(),
            points: sums.iter().filter(|row| row.labeler == labeler).map(point).collect(),
        });
        Chart {
            title: format!("{number}. {title}: {label} by {x_label}"),
            x_label: x_label.to_owned(),
            y_label: "share".to_owned(),
            series: series.into(),
        }
    };
    let charts = vec![
        chart("first error exact", "K", |row| (row.completions_asked as f64, Figures::of(row).exact)),
        chart("first error exact", "completions per response", |row| {
            let figures = Figures::of(row);
            (figures.completions, figures.exact)
        }),
    ];
    let summary: Vec<_> = sums.iter().map(row).map(|row| row.join(",")).collect();
    let head = "labeler,k,failing,exact_percent,good_as_bad_percent,bad_as_good_percent,completions,tokens,fed,verdicts";
    let summary = format!("{head}\n{}\n", summary.join("\n"));
    let files = vec![(format!("study{number}.csv"), csv), (format!("study{number}_summary.csv"), summary)];
    (vec![table], charts, files)
}

/// Shares, and costs for each response.
struct Figures {
    exact: f64,
    good_as_bad: f64,
    bad_as_good: f64,
    completions: f64,
    tokens: f64,
    fed: f64,
    verdicts: f64,
}

impl Figures {
    fn of(row: &LabelRow) -> Self {
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        Self {
            exact: share(row.exact, row.failing),
            good_as_bad: share(row.good_as_bad, row.good_lines),
            bad_as_good: share(row.bad_as_good, row.bad_lines),
            completions: share(row.completions, row.responses),
            tokens: share(row.completion_tokens, row.responses),
            fed: share(row.fed_tokens, row.responses),
            verdicts: share(row.verdicts, row.responses),
        }
    }
}

/// Study 7.
fn freshness(study: &Study, records: &[FreshnessRecord]) -> Shown {
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
    let mut iterations: Vec<usize> = records.iter().flat_map(|r| &r.rows).map(|row| row.iteration).collect();
    iterations.sort_unstable();
    iterations.dedup();
    let mut columns = vec!["iteration".to_owned()];
    columns.extend(FIGURES.map(|(name, _)| name.to_owned()));
    let mut rows: Vec<Vec<String>> = Vec::new();
    let at = |iteration: usize, figure: fn(&FreshnessRow) -> Option<f64>| -> Vec<f64> {
        let rows = records.iter().flat_map(|record| &record.rows).filter(|row| row.iteration == iteration);
        rows.filter_map(figure).collect()
    };
    for &iteration in &iterations {
        let cell = |figure| match at(iteration, figure).as_slice() {
            [] => "–".to_owned(),
            values => match pspo::eval::statistics::mean_over_seeds(values) {
                Ok(interval) => interval.to_string(),
                Err(_) => format!("{:.3}", values[0]),
            },
        };
        rows.push(
            std::iter::once(iteration.to_string()).chain(FIGURES.map(|(_, figure)| cell(figure))).collect(),
        );
    }
    let series = FIGURES.map(|(name, figure)| Series {
        name: name.to_owned(),
        points: iterations
            .iter()
            .map(|&iteration| (iteration, at(iteration, figure)))
            .filter(|(_, values)| !values.is_empty())
            .map(|(iteration, values)| (iteration as f64, values.iter().sum::<f64>() / values.len() as f64))
            .collect(),
    });
    let chart = Chart {
        title: format!("{number}. {title}: the PRM on responses of the policy that it trains"),
        x_label: "iteration".to_owned(),
        y_label: "0 to 1".to_owned(),
        series: series.into(),
    };
    let summary: Vec<_> = rows.iter().map(|row| row.join(";")).collect();
    let summary = format!("{}\n{}\n", columns.join(";"), summary.join("\n"));
    let table = Table { title: format!("{number}. {title}: means over seeds, 95 %"), columns, rows };
    let files = vec![(format!("study{number}.csv"), csv), (format!("study{number}_summary.csv"), summary)];
    (vec![table], vec![chart], files)
}

/// A table as Markdown.
fn markdown(table: &Table) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> = table.columns.iter().map(|_| "---".to_owned()).collect();
    let rows: String = table.rows.iter().map(|row| line(row)).collect();
    format!("{}\n\n{}{}{rows}", table.title, line(&table.columns), line(&rule))
}
