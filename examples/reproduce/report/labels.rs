//! What is shown of labels beside the truth.

use pspo::report::{Chart, Series, Table};

use super::{Shown, mean, over_seeds, three_cells};
use crate::labels::{LabelRecord, LabelRow};
use crate::study::Study;
use crate::truth::Truth;

/// How far labels are from the truth.
type Distance = (&'static str, &'static str, fn(&LabelRow, Truth) -> f64);

const DISTANCES: [Distance; 3] = [
    ("exact", "first error exact, %", |row, truth| {
        let counted = row.differences(truth);
        share(counted.exact, counted.failing)
    }),
    ("good_as_bad", "good lines called bad, %", |row, truth| {
        let counted = row.differences(truth);
        share(counted.good_as_bad, counted.good_lines)
    }),
    ("bad_as_good", "bad lines called good, %", |row, truth| {
        let counted = row.differences(truth);
        share(counted.bad_as_good, counted.bad_lines)
    }),
];

/// What a labelled response costs.
type Cost = (&'static str, fn(&LabelRow) -> f64);

const COSTS: [Cost; 4] = [
    ("completions", |row| share(row.completions, row.responses)),
    ("tokens", |row| share(row.completion_tokens, row.responses)),
    ("fed", |row| share(row.fed_tokens, row.responses)),
    ("verdicts", |row| share(row.verdicts, row.responses)),
];

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A labeler at one K, a row for each seed.
struct Setup<'a> {
    labeler: &'a str,
    k: usize,
    rows: Vec<(u64, &'a LabelRow)>,
}

impl Setup<'_> {
    fn over_seeds(&self, figure: impl Fn(&LabelRow) -> f64) -> Vec<f64> {
        self.rows.iter().map(|(_, row)| figure(row)).collect()
    }
}

fn setups(records: &[LabelRecord]) -> Vec<Setup<'_>> {
    let mut setups: Vec<Setup<'_>> = Vec::new();
    for record in records {
        for row in &record.rows {
            let (labeler, k) = (row.labeler.as_str(), row.completions_asked);
            match setups.iter_mut().find(|setup| (setup.labeler, setup.k) == (labeler, k)) {
                Some(setup) => setup.rows.push((record.seed, row)),
                None => setups.push(Setup { labeler, k, rows: vec![(record.seed, row)] }),
            }
        }
    }
    setups
}

/// How far labels are from either truth, and what they cost.
pub fn shown(study: &Study, records: &[LabelRecord]) -> Shown {
    let (number, title) = (study.number, study.title);
    let setups = setups(records);
    let names = |names: &[&str]| names.join(",");
    let distances = names(&DISTANCES.map(|(name, ..)| name));
    let costs = names(&COSTS.map(|(name, _)| name));
    let mut csv = format!("labeler,k,seed,truth,responses,failing,{distances},{costs}\n");
    for Setup { labeler, k, rows } in &setups {
        for (seed, row) in rows {
            for truth in Truth::ALL {
                let failing = row.differences(truth).failing;
                let distances = DISTANCES.map(|(.., distance)| format!("{:.4}", distance(row, truth)));
                let costs = COSTS.map(|(_, cost)| format!("{:.2}", cost(row)));
                let (truth, responses) = (truth.name(), row.responses);
                let (distances, costs) = (distances.join(","), costs.join(","));
                csv += &format!("{labeler},{k},{seed},{truth},{responses},{failing},{distances},{costs}\n");
            }
        }
    }
    let mut summary = "labeler,k,truth,figure,seeds,mean,low,high\n".to_owned();
    let mut tables = Vec::new();
    for truth in Truth::ALL {
        let mut columns = ["labeler", "K", "seeds"].map(str::to_owned).to_vec();
        columns.extend(DISTANCES.map(|(_, column, _)| column.to_owned()));
        let row = |setup: &Setup<'_>| {
            let mut row = vec![setup.labeler.to_owned(), setup.k.to_string(), setup.rows.len().to_string()];
            row.extend(DISTANCES.map(|(name, _, distance)| {
                let values = setup.over_seeds(|row| distance(row, truth));
                let (Setup { labeler, k, rows }, truth) = (setup, truth.name());
                let (seeds, three) = (rows.len(), three_cells(&values));
                summary += &format!("{labeler},{k},{truth},{name},{seeds},{three}\n");
                over_seeds(&values.iter().map(|share| 100.0 * share).collect::<Vec<_>>(), 1)
            }));
            row
        };
        let rows = setups.iter().map(row).collect();
        let title =
            format!("{number}. {title}: failing responses, truth `{}`, means over seeds", truth.name());
        tables.push(Table { title, columns, rows });
    }
    let mut columns = ["labeler", "K", "seeds"].map(str::to_owned).to_vec();
    columns.extend(COSTS.map(|(name, _)| name.to_owned()));
    let row = |setup: &Setup<'_>| {
        let mut row = vec![setup.labeler.to_owned(), setup.k.to_string(), setup.rows.len().to_string()];
        row.extend(COSTS.map(|(_, cost)| over_seeds(&setup.over_seeds(cost), 1)));
        row
    };
    let rows = setups.iter().map(row).collect();
    let cost = format!("{number}. {title}: costs by response, those that pass, which cost none, among them");
    tables.push(Table { title: cost, columns, rows });

    let (.., exact) = DISTANCES[0];
    let (_, completions) = COSTS[0];
    let chart = |x_label: &str, x: &dyn Fn(&Setup<'_>) -> f64| {
        let series = Truth::ALL.iter().flat_map(|&truth| {
            ["binary-search", "every-prefix"].map(|labeler| {
                let point = |setup: &Setup<'_>| (x(setup), mean(&setup.over_seeds(|row| exact(row, truth))));
                let points = setups.iter().filter(|setup| setup.labeler == labeler).map(point);
                Series::new(format!("{labeler}, {}", truth.name()), points.collect())
            })
        });
        Chart {
            title: format!("{number}. {title}: first error exact by {x_label}"),
            x_label: x_label.to_owned(),
            y_label: "share of failing responses".to_owned(),
            series: series.collect(),
        }
    };
    let charts = vec![
        chart("K", &|setup| setup.k as f64),
        chart("completions per response", &|setup| mean(&setup.over_seeds(completions))),
    ];
    let files = vec![(format!("study{number}.csv"), csv), (format!("study{number}_summary.csv"), summary)];
    (tables, charts, files)
}
