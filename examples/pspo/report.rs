//! What came out: tables, `summary.json`, `report.html`, and its plots as files.

use pspo::model::Arch;
use pspo::report::{Chart, Report, Series, Table};
use pspo::trainer::Run;
use pspo::trainer::events::{Event, metrics};
use serde_json::json;

use crate::samples::Results;
use crate::{PrmData, PrmFigures, Result, Setting, guided_name};

pub fn write<A: Arch>(
    setting: &Setting<'_, A>,
    run: &Run,
    data: &PrmData,
    prm: &PrmFigures,
    results: &[(&str, Results)],
) -> Result<()> {
    let train = &setting.config.train;
    let tables = [pass_at_1(results), best_of(results)];
    for table in &tables {
        print(run, table);
    }
    let by_name = |value: &dyn Fn(&Results) -> serde_json::Value| -> serde_json::Value {
        results.iter().map(|(name, result)| ((*name).to_owned(), value(result))).collect()
    };
    run.folder().write_summary(&json!({
        "pass_at_1": by_name(&|result| json!(result.pass_at_1.mean)),
        "best_of": by_name(&|result| json!(result.best_of)),
        "problems": by_name(&|result| json!(result.evaluation.problems)),
        "labels": data.counts(),
        "label_cost": data.cost,
        "prm": prm,
        "seconds": run.seconds(),
        "seed": train.seed,
    }))?;
    let events = run.folder().read_events()?;
    let chart = |title: &str, unit: &str, metric: &str| Chart {
        title: title.to_owned(),
        x_label: "iteration".to_owned(),
        y_label: unit.to_owned(),
        series: vec![
            series(&events, "baseline", &train.name, metric),
            series(&events, "pspo", &guided_name(setting.config), metric),
        ],
    };
    let loss = Chart {
        title: "PRM: loss".to_owned(),
        x_label: "update".to_owned(),
        y_label: "per line".to_owned(),
        series: vec![series(&events, "PRM", "prm", metrics::LOSS)],
    };
    let evaluation = &setting.config.stages.evaluation;
    let charts = [
        chart("Training responses that pass", "share of responses", metrics::PASS_RATE),
        chart("Dense reward", "reward per response", metrics::DENSE_REWARD),
        chart("What the critic explains", "share of the returns' variance", metrics::EXPLAINED_VARIANCE),
        chart("KL to the start policy", "nats per response", metrics::KL),
        chart("Length", "tokens per response", metrics::RESPONSE_TOKENS),
        loss,
    ];
    for (chart, number) in charts.iter().zip(1..) {
        if let Some(svg) = chart.to_svg()? {
            run.folder().write(&format!("report-{number}.svg"), svg.as_bytes())?;
        }
    }
    let report = Report {
        title: format!("PSPO on {}", train.policy.arch),
        seed: train.seed,
        tables: tables.into(),
        charts: charts.into(),
        notes: vec![
            format!("Labels: {}.", data.counts()),
            format!("PRM on responses to other problems: {}.", serde_json::to_string(prm)?),
            format!("Among several responses the PRM chooses by {}.", evaluation.score.words()),
        ],
        ..Report::default()
    };
    let page = run.folder().write("report.html", report.to_html()?.as_bytes())?;
    run.line(&format!("wrote {}", page.display()));
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn pass_at_1(results: &[(&str, Results)]) -> Table {
    let row = |(name, result): &(&str, Results)| {
        let pass = &result.pass_at_1;
        let interval = format!("{} to {}", percent(pass.low), percent(pass.high));
        vec![(*name).to_owned(), percent(pass.mean), interval, pass.count.to_string()]
    };
    Table {
        title: "Pass@1 on held-out problems, in percent".to_owned(),
        columns: ["policy", "Pass@1", "95 % interval", "problems"].map(str::to_owned).into(),
        rows: results.iter().map(row).collect(),
    }
}

fn best_of(results: &[(&str, Results)]) -> Table {
    let rows = results.iter().flat_map(|(name, result)| {
        result.best_of.iter().map(move |best| {
            let shares = [best.random, best.prm, best.oracle].map(percent);
            [vec![(*name).to_owned(), best.n.to_string()], shares.into()].concat()
        })
    });
    Table {
        title: "One of N responses, in percent that pass".to_owned(),
        columns: ["policy", "N", "chosen at random", "by the PRM", "by an oracle"].map(str::to_owned).into(),
        rows: rows.collect(),
    }
}

fn print(run: &Run, table: &Table) {
    run.line(&table.title);
    let rows = || std::iter::once(&table.columns).chain(&table.rows);
    let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in rows() {
        let cell = |(column, cell): (usize, &String)| format!("{cell:>width$}  ", width = width(column));
        run.line(row.iter().enumerate().map(cell).collect::<String>().trim_end());
    }
}

fn series(events: &[Event], name: &str, stage: &str, metric: &str) -> Series {
    Series::new(name, Event::curve(events, stage, metric).collect())
}
