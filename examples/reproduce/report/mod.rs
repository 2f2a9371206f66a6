//! Tables, plots and the report, from the records that there are.

use std::fs;
use std::path::Path;

use pspo::eval::Interval;
use pspo::eval::statistics::mean_over_seeds;
use pspo::report::{Chart, Report, Table};

use crate::Result;
use crate::record::Records;
use crate::setting::Setting;
use crate::study::{Asked, Kind};
use crate::tables::Runs;

mod arms;
mod freshness;
mod labels;
mod padding;

/// Writes `studyN.csv`, `studyN_summary.csv`, `studyN.md` and plots `studyN-M.svg` for each study, and `report.html`, into
/// `folder`.
pub fn write(setting: &Setting, records: &Records, asked: &[Asked], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut report = Report { title: "The paper's findings, tested".to_owned(), ..Report::default() };
    for Asked { study, seeds } in asked {
        let (tables, charts, files) = match study.kind {
            Kind::Arms(variants, pairs) => {
                arms::shown(setting, study, &Runs::read(records, variants, seeds)?, pairs)?
            }
            Kind::Labels => labels::shown(study, &all(records, "labels", seeds)?),
            Kind::Freshness => freshness::shown(study, &all(records, "freshness", seeds)?),
        };
        for (name, content) in files {
            fs::write(folder.join(name), content)?;
        }
        let markdown: Vec<_> = tables.iter().map(markdown).collect();
        fs::write(folder.join(format!("study{}.md", study.number)), markdown.join("\n"))?;
        for (chart, name) in charts.iter().zip(1..) {
            if let Some(svg) = chart.to_svg()? {
                fs::write(folder.join(format!("study{}-{name}.svg", study.number)), svg)?;
            }
        }
        report.tables.extend(tables);
        report.charts.extend(charts);
    }
    fs::write(folder.join("report.html"), report.to_html()?)?;
    println!("wrote {}", folder.join("report.html").display());
    Ok(())
}

/// Tables and charts of a study, and files with their content.
type Shown = (Vec<Table>, Vec<Chart>, Vec<(String, String)>);

fn all<T: serde::de::DeserializeOwned>(records: &Records, name: &str, seeds: &[u64]) -> Result<Vec<T>> {
    seeds.iter().filter_map(|&seed| records.get(name, seed).transpose()).collect()
}

/// The mean with its interval, to some digits; of one seed the value, of none a dash.
fn over_seeds(values: &[f64], digits: usize) -> String {
    match (mean_over_seeds(values), values) {
        (Ok(interval), _) => format!("{interval:.digits$}"),
        (Err(_), [only]) => format!("{only:.digits$}"),
        (Err(_), _) => "–".to_owned(),
    }
}

/// `mean,low,high`, of one seed without an interval.
fn three_cells(values: &[f64]) -> String {
    match mean_over_seeds(values) {
        Ok(Interval { mean, low, high, .. }) => format!("{mean:.4},{low:.4},{high:.4}"),
        Err(_) => format!("{:.4},,", mean(values)),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A table as Markdown.
fn markdown(table: &Table) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> = table.columns.iter().map(|_| "---".to_owned()).collect();
    let rows: String = table.rows.iter().map(|row| line(row)).collect();
    format!("{}\n\n{}{}{rows}", table.title, line(&table.columns), line(&rule))
}
