//! Benchmarks in the files that they are published in, as [`ProblemSet`]s.
//!
//! | loader | file | tests |
//! |---|---|---|
//! | [`human_eval`] | `HumanEval.jsonl` | one `assert` test a problem |
//! | [`mbpp`] | `mbpp.jsonl`, `sanitized-mbpp.json` | an `assert` test for each line; challenge tests are held out |
//! | [`apps`] | a folder with a folder for each problem | `stdio`, or `call` |
//! | [`live_code_bench`] | `test.jsonl` and the like | public tests; private ones are held out |
//! | [`code_contests`] | the problems as JSON | public tests; private and generated ones are held out |
//! | [`human_eval_x_cpp`] | `humaneval_cpp.jsonl` | one `assert` test a problem, in C++ |
//!
//! Files of records are JSON lines or one JSON array, plain or compressed by gzip. Nothing of the original is lost:
//! a field that is not, unchanged, a field of [`Problem`] is in its `metadata` under its
//! original name. The tests' own fields, which are large, are the exception of [`apps`], [`live_code_bench`] and
//! [`code_contests`]: they are the tests. Plain JSON lines of problems are read by [`ProblemSet::read_jsonl`].
//!
//! [`Problem::solution`] is a whole program that passes by itself.
//!
//! ```
//! use pspo::data::TestCase;
//! use pspo::problems::datasets;
//!
//! let problems = datasets::human_eval("tests/data/HumanEval.jsonl.gz")?;
//! assert_eq!(problems.len(), 164);
//! let problem = problems.get(38).unwrap();
//! assert_eq!((problem.id.as_str(), &problem.metadata["entry_point"]), ("HumanEval/38", &"decode_cyclic".into()));
//! let TestCase::Assert { code, calls } = &problem.tests[0] else { unreachable!() };
//! assert!(code.starts_with("\n\ndef encode_cyclic(") && calls == &["decode_cyclic"]);
//! # Ok::<(), datasets::DatasetError>(())
//! ```

mod apps;
mod apps_imports;
mod code_contests;
mod human_eval;
mod human_eval_x;
mod live_code_bench;
mod mbpp;
mod packed;
mod python;
mod record;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use apps::apps;
pub use code_contests::code_contests;
pub use human_eval::human_eval;
pub use human_eval_x::human_eval_x_cpp;
pub use live_code_bench::live_code_bench;
pub use mbpp::mbpp;
pub use packed::PackedError;
pub use record::Place;

use crate::data::{Problem, ProblemError, ProblemSet};

/// A benchmark's file that cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or a folder cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// A record is not JSON.
    #[error("{place}: not a JSON object: {source}")]
    Json {
        /// Where.
        place: Place,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A record is larger than any benchmark's.
    #[error("{place}: longer than {limit} bytes")]
    TooLong {
        /// Where.
        place: Place,
        /// Most bytes of a record.
        limit: u64,
    },
    /// A field is not there, or not what the benchmark documents.
    #[error("{place}: the field `{field}` must be {needed}")]
    Field {
        /// Where.
        place: Place,
        /// The field.
        field: String,
        /// What it must be.
        needed: String,
    },
    /// Packed tests cannot be read.
    #[error("{place}: the field `{field}`: {source}")]
    Packed {
        /// Where.
        place: Place,
        /// The field.
        field: String,
        /// What is wrong.
        source: PackedError,
    },
    /// The problems together are not a set that can be used.
    #[error("{}: {source}", path.display())]
    Problems {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        source: ProblemError,
    },
}

fn set(path: &Path, problems: Vec<Problem>) -> Result<ProblemSet, DatasetError> {
    ProblemSet::new(problems).map_err(|source| DatasetError::Problems { path: path.into(), source })
}

#[cfg(test)]
mod tests;
