//! Which of the paper's findings hold, on generated problems whose truth is known: seven studies with intervals.
//!
//! ```text
//! cargo run --release --example reproduce -- --study 1 [--seeds 2..12] [--jobs 2] [--out runs/reproduce]
//! cargo run --release --example reproduce -- --report
//! ```
//!
//! - `--study N`, once or several times: runs what is missing of that study, by default of all of them
//! - `--arms A,B`: of these studies only such trainings
//! - `--seeds A..B`: trainings with these seeds, by default 2..22 in study 1 and 2..12 in the others; `--tune` are those that
//!   step sizes and β are chosen on
//! - `--jobs`: seeds trained at a time, one thread each; what comes out does not depend on it
//! - `--results FOLDER`: a record of each training, by default `examples/reproduce/results`; what has one is not done again
//! - `--out FOLDER`: checkpoints, from which a run that was stopped goes on
//! - `--config FILE`: by default `examples/reproduce/full.toml`; `--quick` takes a small one and a temporary folder
//! - `--report`: writes tables (CSV and Markdown), plots and `report.html` from the records that there are
//! - `--into FOLDER`: where these go, by default the folder of the records
//!
//! Stopped and started again, it goes on where it was.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

mod config;
mod corpus;
mod data;
mod freshness;
mod lab;
mod labels;
mod level;
mod record;
mod report;
mod setting;
mod shuffled;
mod study;
mod tables;
mod truth;
mod tune;
mod variant;
mod work;

use config::Config;
use record::Records;
use setting::Setting;
use study::{Asked, STUDIES, Study};
use work::Works;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const FULL: &str = include_str!("full.toml");
const QUICK: &str = include_str!("quick.toml");

struct Arguments {
    studies: Vec<&'static Study>,
    arms: Option<Vec<String>>,
    /// For all studies; otherwise each has its own.
    seeds: Option<Vec<u64>>,
    tune: Vec<u64>,
    jobs: NonZeroUsize,
    results: PathBuf,
    into: Option<PathBuf>,
    out: PathBuf,
    config: String,
    report_only: bool,
}

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let folder = if quick { Some(tempfile::tempdir()?) } else { None };
    let arguments = arguments(folder.as_ref().map(|folder| folder.path()))?;
    let config = toml::from_str::<Config>(&arguments.config)?.checked()?;
    let records = Records::open(&arguments.results, &config)?;
    let setting = Setting::new(config)?;
    let asked: Vec<Asked> = arguments.studies.iter().map(|study| arguments.asked(study)).collect();
    if !arguments.report_only {
        let Arguments { arms, out, jobs, .. } = &arguments;
        let works = Works { setting: &setting, records: &records, arms: arms.as_deref(), out, jobs: *jobs };
        works.run(&asked, &arguments.tune)?;
    }
    report::write(&setting, &records, &asked, arguments.into.as_ref().unwrap_or(&arguments.results))
}

impl Arguments {
    fn asked(&self, study: &'static Study) -> Asked {
        Asked { study, seeds: self.seeds.clone().unwrap_or_else(|| study.seeds.clone().collect()) }
    }
}

fn arguments(quick: Option<&Path>) -> Result<Arguments> {
    let small = quick.is_some();
    let (results, out) = match quick {
        Some(folder) => (folder.join("results"), folder.join("out")),
        None => ("examples/reproduce/results".into(), "runs/reproduce".into()),
    };
    let mut arguments = Arguments {
        studies: Vec::new(),
        arms: None,
        seeds: small.then(|| vec![0, 1]),
        tune: if small { vec![100] } else { vec![100, 101] },
        jobs: NonZeroUsize::new(2).expect("2 is not 0"),
        results,
        into: None,
        out,
        config: if small { QUICK } else { FULL }.to_owned(),
        report_only: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => {}
            "--report" => arguments.report_only = true,
            "--study" => {
                let number = value()?;
                let study = STUDIES.iter().find(|study| study.number.to_string() == number);
                arguments.studies.push(study.ok_or_else(|| format!("study {number} is not one of 1 to 7"))?);
            }
            "--arms" => arguments.arms = Some(arms(&value()?)?),
            "--seeds" => arguments.seeds = Some(range(&value()?)?),
            "--tune" => arguments.tune = range(&value()?)?,
            "--jobs" => arguments.jobs = value()?.parse()?,
            "--results" => arguments.results = value()?.into(),
            "--into" => arguments.into = Some(value()?.into()),
            "--out" => arguments.out = value()?.into(),
            "--config" => arguments.config = std::fs::read_to_string(value()?)?,
            _ => {
                return Err(
                    format!("{argument} is unknown: the beginning of main.rs tells what is known").into()
                );
            }
        }
    }
    if arguments.studies.is_empty() {
        arguments.studies = STUDIES.iter().collect();
    }
    Ok(arguments)
}

/// Names of trainings as `rl,both`.
fn arms(text: &str) -> Result<Vec<String>> {
    let known: Vec<&str> =
        STUDIES.iter().flat_map(|study| study.variants()).map(|variant| variant.training).collect();
    let named: Vec<String> = text.split(',').map(str::to_owned).collect();
    match named.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => {
            Err(format!("{unknown} is no training: it must be one of {}", known.join(", ")).into())
        }
        None => Ok(named),
    }
}

/// Seeds as `0..10`.
fn range(text: &str) -> Result<Vec<u64>> {
    let ends = text.split_once("..").and_then(|(first, end)| Some((first.parse().ok()?, end.parse().ok()?)));
    let (first, end): (u64, u64) = ends.ok_or_else(|| format!("seeds are given as 0..10, not as {text}"))?;
    if first >= end {
        return Err(format!("{text} holds no seed").into());
    }
    Ok((first..end).collect())
}
