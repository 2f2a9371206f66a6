//! [`ProblemsConfig`]: problems, as a config file names them.

use std::fs::File;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::data::{Problem, ProblemSet};
use crate::problems::datasets::{DatasetError, human_eval, mbpp};

/// Problems of a file: all of them, or so many behind the first `skip`, as a benchmark's parts are told apart; of these
/// the short ones, on request.
///
/// ```
/// use pspo::config::{ProblemFormat, ProblemsConfig};
///
/// // MBPP's problems 11 to 510 are its test set.
/// let test: ProblemsConfig = toml::from_str(r#"
///     path = "mbpp.jsonl"
///     format = "mbpp"
///     skip = 10
///     take = 500
/// "#)?;
/// assert_eq!(test.format, ProblemFormat::Mbpp);
/// assert!(test.read().unwrap_err().to_string().contains("mbpp.jsonl"), "there is no such file here");
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemsConfig {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    #[serde(default)]
    pub format: ProblemFormat,
    /// How many problems at its beginning are passed over.
    #[serde(default)]
    pub skip: usize,
    /// Only problems of at most this [length](crate::data::Problem::length), behind those that are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<NonZeroUsize>,
    /// How many are taken; all that are left where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<NonZeroUsize>,
}

/// What a file of problems is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemFormat {
    /// A problem per line, as [`ProblemSet::read_jsonl`] reads them.
    #[default]
    Jsonl,
    /// As [`human_eval`] reads it.
    HumanEval,
    /// As [`mbpp`] reads it.
    Mbpp,
}

impl ProblemsConfig {
    /// All problems of a file of lines.
    pub fn jsonl(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), format: ProblemFormat::Jsonl, skip: 0, max_length: None, take: None }
    }

    /// The problems.
    ///
    /// # Errors
    /// If the file cannot be read, or has fewer problems than are asked for.
    pub fn read(&self) -> Result<ProblemSet, ConfigError> {
        let Self { path, format, skip, max_length, take } = self;
        let boxed = |error: DatasetError| Box::new(error);
        let all = match format {
            ProblemFormat::Jsonl => {
                let file = File::open(path);
                let file = file.map_err(|source| ConfigError::Read { path: path.clone(), source })?;
                ProblemSet::read_jsonl(BufReader::new(file))?
            }
            ProblemFormat::HumanEval => human_eval(path).map_err(boxed)?,
            ProblemFormat::Mbpp => mbpp(path).map_err(boxed)?,
        };
        let fits = |problem: &&Arc<Problem>| {
            max_length.is_none_or(|max| problem.length().is_some_and(|length| length <= max.get()))
        };
        let mut fitting: Vec<_> = all.iter().skip(*skip).filter(fits).collect();
        if fitting.len() < take.map_or(1, NonZeroUsize::get) {
            let (path, problems) = (path.clone(), fitting.len());
            return Err(ConfigError::Range {
                path,
                problems,
                skip: *skip,
                max_length: *max_length,
                take: *take,
            });
        }
        fitting.truncate(take.map_or(usize::MAX, NonZeroUsize::get));
        Ok(ProblemSet::new(fitting.into_iter().map(|problem| (**problem).clone()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("problems.jsonl");
        let line = |id: usize| format!("{{\"id\": \"{id}\", \"prompt\": \"?\", \"task\": \"chat\"}}\n");
        std::fs::write(&path, (0..5).map(line).collect::<String>()).unwrap();
        let ids = |skip, take| {
            let part = ProblemsConfig { skip, take: NonZeroUsize::new(take), ..ProblemsConfig::jsonl(&path) };
            let read = part.read().map_err(|error| error.to_string())?;
            Ok::<_, String>(read.iter().map(|problem| problem.id.clone()).collect::<String>())
        };
        assert_eq!(ids(0, 0).unwrap(), "01234");
        assert_eq!(ids(3, 0).unwrap(), "34");
        assert_eq!(ids(1, 2).unwrap(), "12");
        assert_eq!(ids(0, 5).unwrap(), "01234");
        assert!(
            ids(5, 0).unwrap_err().ends_with("has 0 problems behind the first 5, and one is wanted at least")
        );
        assert!(ids(2, 4).unwrap_err().ends_with("has 3 problems behind the first 2, and 4 are wanted"));
        assert!(ids(usize::MAX, 1).is_err());
    }

    #[test]
    fn short_problems_are_taken_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("problems.jsonl");
        let line = |id: usize, lines: usize| {
            let solution = "x = 1\\n\\n".repeat(lines);
            format!(
                "{{\"id\": \"{id}\", \"prompt\": \"?\", \"task\": \"chat\", \"solution\": \"{solution}\"}}\n"
            )
        };
        let lengths = [1, 3, 2, 4, 3].into_iter().enumerate();
        let text: String = lengths.map(|(id, lines)| line(id, lines)).collect();
        // Of unknown length.
        std::fs::write(&path, text + "{\"id\": \"5\", \"prompt\": \"?\", \"task\": \"chat\"}\n").unwrap();
        let ids = |skip, take| {
            let max_length = NonZeroUsize::new(3);
            let (take, whole) = (NonZeroUsize::new(take), ProblemsConfig::jsonl(&path));
            let read = ProblemsConfig { skip, max_length, take, ..whole }.read();
            let read = read.map_err(|error| error.to_string())?;
            Ok::<_, String>(read.iter().map(|problem| problem.id.clone()).collect::<String>())
        };
        assert_eq!(ids(0, 0).unwrap(), "0124");
        assert_eq!(ids(1, 2).unwrap(), "12");
        let error = ids(3, 2).unwrap_err();
        let expected = "has 1 problems of length 3 or less behind the first 3, and 2 are wanted";
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    fn a_benchmark_is_read_by_its_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mbpp.jsonl");
        let record = r#"{"task_id": 7, "text": "One.", "code": "def f():\n    return 1", "test_list": ["assert f() == 1"], "test_setup_code": "", "challenge_test_list": []}"#;
        std::fs::write(&path, record).unwrap();
        let of = |format| ProblemsConfig { format, ..ProblemsConfig::jsonl(&path) }.read();
        assert_eq!(of(ProblemFormat::Mbpp).unwrap().get(0).unwrap().id, "MBPP/7");
        assert!(matches!(of(ProblemFormat::HumanEval).unwrap_err(), ConfigError::Dataset(_)));
        assert!(matches!(of(ProblemFormat::Jsonl).unwrap_err(), ConfigError::Problems(_)));
    }
}
