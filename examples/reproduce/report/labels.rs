//! What is shown of labels beside the truth.

use pspo::report::{Chart, Series, Table};

use super::Shown;
use crate::labels::{LabelRecord, LabelRow};
use crate::study::Study;

/// How far labels are from the truth, and their costs.
pub fn shown(study: &Study, records: &[LabelRecord]) -> Shown {
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
        let series = ["binary-search", "every-prefix"].map(|labeler| {
            let rows = sums.iter().filter(|row| row.labeler == labeler);
            Series::new(labeler, rows.map(point).collect())
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
