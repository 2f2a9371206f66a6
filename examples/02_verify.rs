//! Judges programs: problems and candidates as JSONL in, verdicts as JSONL out.
//!
//! ```text
//! cargo run --release --example 02_verify -- --problems problems.jsonl --candidates candidates.jsonl \
//!     [--verifier verifier.toml] [--out verdicts.jsonl] [--jobs 2] [--held-out]
//! ```
//!
//! - a problem is a line as `ProblemSet::read_jsonl` reads it; a candidate is `{"problem": id, "program": text}`
//! - `verifier.toml` names a verifier, as `type = "python"` with its limits; that is the default
//! - a verdict is `{"problem", "outcome", "passed", "total", "detail", "seconds"}`, in the candidates' order. Where a
//!   program could not be judged the outcome is `error` and the detail says why: that is no failure of the program
//! - an `--out` that exists is gone on with: candidates that have a verdict are not judged again
//!
//! Without arguments it judges six programs of its own and prints their verdicts.

use std::collections::HashMap;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pspo::data::numbers::Fraction;
use pspo::data::{Problem, ProblemSet};
use pspo::plugin::{self, CheckedVerifier, Kind, Submission, Verdict, VerifierConfig};
use pspo::trainer::events::Progress;
use pspo::verify::{ErrorLimit, VerifierPool};
use pspo_command_verifier as _;
use pspo_cpp_verifier as _;
use pspo_monty_verifier as _;
use pspo_python_verifier as _;
use pspo_unconfined_verifier as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Candidates judged between two writes of verdicts, for each job.
const BATCH: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Candidate {
    problem: String,
    program: String,
}

#[derive(Deserialize, Serialize)]
struct Line {
    problem: String,
    outcome: Value,
    passed: usize,
    total: usize,
    detail: String,
    seconds: f64,
}

impl Line {
    fn new(problem: &Problem, total: usize, judged: Result<Arc<Verdict>, String>) -> Self {
        let problem = problem.id.clone();
        match judged {
            Ok(verdict) => {
                let Verdict { outcome, passed, total, detail, seconds } = (*verdict).clone();
                let outcome = serde_json::to_value(outcome).unwrap_or_default();
                Self { problem, outcome, passed, total, detail, seconds }
            }
            Err(detail) => Self { problem, outcome: "error".into(), passed: 0, total, detail, seconds: 0.0 },
        }
    }
}

#[derive(Default)]
struct Arguments {
    problems: Option<PathBuf>,
    candidates: Option<PathBuf>,
    verifier: Option<PathBuf>,
    out: Option<PathBuf>,
    jobs: Option<NonZeroUsize>,
    held_out: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let open = |path: &Option<PathBuf>, embedded: &'static str| -> Result<Box<dyn BufRead>, Box<dyn Error>> {
        Ok(match path {
            Some(path) => {
                let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
                Box::new(BufReader::new(file))
            }
            None => Box::new(embedded.as_bytes()),
        })
    };
    let problems = ProblemSet::read_jsonl(open(&arguments.problems, PROBLEMS)?)?;
    let by_id: HashMap<_, _> = problems.iter().map(|problem| (problem.id.as_str(), &**problem)).collect();
    let mut candidates = Vec::new();
    for (number, line) in (1..).zip(open(&arguments.candidates, CANDIDATES)?.lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |what: &dyn std::fmt::Display| format!("line {number} of the candidates: {what}");
        let Candidate { problem, program } = serde_json::from_str(&line).map_err(|error| wrong(&error))?;
        let problem =
            by_id.get(problem.as_str()).ok_or_else(|| wrong(&format!("there is no problem `{problem}`")))?;
        candidates.push((*problem, program));
    }

    let table: Value = match &arguments.verifier {
        Some(path) => toml::from_str(&std::fs::read_to_string(path)?)?,
        None => serde_json::json!({ "type": "python" }),
    };
    let verifier = plugin::build::<Box<dyn VerifierConfig>>(Kind::Verifier, table)?.build()?;
    // Here what cannot be judged is told, line by line, and stops nothing.
    let never = ErrorLimit { share: Fraction::new(1.0), ..ErrorLimit::default() };
    let jobs =
        arguments.jobs.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let pool = VerifierPool::new(CheckedVerifier::new(verifier), never).with_jobs(jobs)?;
    let about = pool.about();
    if !about.is_empty() {
        eprintln!("{about}");
    }

    let (mut out, done) = match &arguments.out {
        Some(path) => go_on(path, &candidates)?,
        None => (Box::new(std::io::stdout()) as Box<dyn Write>, 0),
    };
    let progress = Progress::new();
    let bar = progress.bar("judged", candidates.len() as u64);
    bar.inc(done as u64);
    for batch in candidates[done..].chunks(BATCH * jobs.get()) {
        let submissions: Vec<_> = batch
            .iter()
            .map(|(problem, program)| match arguments.held_out {
                true => Submission::held_out(problem, program),
                false => Submission::rewarded(problem, program),
            })
            .collect();
        let judged = pool.verify_all(&submissions)?;
        for (submission, judged) in submissions.iter().zip(judged) {
            let judged = judged.map_err(|error| error.to_string());
            let line = Line::new(submission.problem, submission.tests.len(), judged);
            writeln!(out, "{}", serde_json::to_string(&line)?)?;
        }
        out.flush()?;
        bar.inc(batch.len() as u64);
    }
    Ok(())
}

/// Opens the verdicts of an earlier run to add to them, and says how many candidates have one. A line that was cut
/// when that run was stopped is taken off.
fn go_on(path: &Path, candidates: &[(&Problem, String)]) -> Result<(Box<dyn Write>, usize), Box<dyn Error>> {
    let mut file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut done = 0;
    for line in text[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let Line { problem, .. } = serde_json::from_slice(line)
            .map_err(|error| format!("line {} of {} is no verdict: {error}", done + 1, path.display()))?;
        match candidates.get(done) {
            Some((candidate, _)) if candidate.id == problem => done += 1,
            _ => {
                let what =
                    "the verdicts there are not those of these candidates: remove it or choose another --out";
                return Err(format!("line {} of {}: {what}", done + 1, path.display()).into());
            }
        }
    }
    file.set_len(whole as u64)?;
    file.seek(std::io::SeekFrom::End(0))?;
    Ok((Box::new(std::io::BufWriter::new(file)), done))
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments::default();
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--problems" => arguments.problems = Some(value()?.into()),
            "--candidates" => arguments.candidates = Some(value()?.into()),
            "--verifier" => arguments.verifier = Some(value()?.into()),
            "--out" => arguments.out = Some(value()?.into()),
            "--jobs" => {
                let jobs = value()?.parse().map_err(|_| "--jobs must be a number of at least 1")?;
                arguments.jobs = Some(jobs);
            }
            "--held-out" => arguments.held_out = true,
            _ => {
                let known = "--problems, --candidates, --verifier, --out, --jobs, --held-out";
                return Err(format!("{argument} is not one of {known}").into());
            }
        }
    }
    if arguments.problems.is_some() != arguments.candidates.is_some() {
        return Err("--problems and --candidates go together".into());
    }
    Ok(arguments)
}

const PROBLEMS: &str = concat!(
    r#"{"id": "add", "prompt": "Write `add(a, b)`.", "tests": [{"kind": "call", "function": "add", "arguments": [1, 2], "expected": 3}, {"kind": "call", "function": "add", "arguments": [-4, 1], "expected": -3}]}"#,
    "\n",
    r#"{"id": "sum", "prompt": "Print the sum of the numbers read.", "tests": [{"kind": "stdio", "stdin": "1 2 3\n", "stdout": "6\n"}]}"#,
    "\n",
);

const CANDIDATES: &str = concat!(
    r#"{"problem": "add", "program": "def add(a, b):\n    return a + b"}"#,
    "\n",
    r#"{"problem": "add", "program": "def add(a, b):\n    return abs(a) + abs(b)"}"#,
    "\n",
    r#"{"problem": "add", "program": "class Yes:\n    def __eq__(self, other): return True\ndef add(a, b):\n    return Yes()"}"#,
    "\n",
    r#"{"problem": "sum", "program": "print(sum(map(int, input().split())))"}"#,
    "\n",
    r#"{"problem": "sum", "program": "print(open('/proc/1/environ').read())"}"#,
    "\n",
    r#"{"problem": "sum", "program": "print(sum(map(int, input().split()))"}"#,
    "\n",
);
