//! Draws problem sets: splits that share neither a prompt nor a program.

use std::collections::{BTreeMap, HashSet};

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use thiserror::Error;

use super::python::state::{State, Value};
use super::python::{NAMES, Statement};
use crate::data::matching::Matching;
use crate::data::problem::{Problem, ProblemError, ProblemSet, Task, TestCase};
use crate::data::seed::Seed;

mod comments;
mod operations;
mod program;
mod step;

/// The last line of every prompt: the response begins below it.
pub const MARKER: &str = "python:\n";

/// Fewest and most steps of a split's programs, from 2 to 32. In a config file `[2, 6]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[usize; 2]", into = "[usize; 2]")]
pub struct StepRange {
    fewest: usize,
    most: usize,
}

impl StepRange {
    /// From `fewest` to `most` steps.
    ///
    /// # Errors
    /// [`PseudocodeError::Steps`] for an empty range, or one outside 2 to 32.
    pub fn new(fewest: usize, most: usize) -> Result<Self, PseudocodeError> {
        match 2 <= fewest && fewest <= most && most <= 32 {
            true => Ok(Self { fewest, most }),
            false => Err(PseudocodeError::Steps { fewest, most }),
        }
    }

    /// The fewest steps.
    pub fn fewest(self) -> usize {
        self.fewest
    }

    /// The most steps.
    pub fn most(self) -> usize {
        self.most
    }
}

impl TryFrom<[usize; 2]> for StepRange {
    type Error = PseudocodeError;
    fn try_from([fewest, most]: [usize; 2]) -> Result<Self, PseudocodeError> {
        Self::new(fewest, most)
    }
}

impl From<StepRange> for [usize; 2] {
    fn from(range: StepRange) -> Self {
        [range.fewest, range.most]
    }
}

/// The problem set "pseudocode to Python".
///
/// ```
/// use pspo::data::Seed;
/// use pspo::problems::{Pseudocode, Sizes};
///
/// let sizes = Sizes { sft: 20, rl: 10, held_out: 10 };
/// let splits = Pseudocode::default().splits(Seed::root(7), sizes)?;
/// let problem = splits.sft.get(0).unwrap();
/// assert!(problem.prompt.ends_with("\npython:\n"));
/// assert!(problem.solution.as_ref().unwrap().contains("print("));
/// # Ok::<(), pspo::problems::PseudocodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pseudocode {
    /// Steps of the problems for SFT.
    pub sft_steps: StepRange,
    /// Steps of the problems for RL.
    pub rl_steps: StepRange,
    /// Steps of the problems for evaluation.
    pub held_out_steps: StepRange,
    /// Tests that the reward sees, per problem: from 1 to 64.
    pub tests: usize,
    /// Tests for evaluation alone, per problem: from 0 to 64.
    pub held_out_tests: usize,
    /// How many wordings an operation has at most, from 1 to 6: fewer make the problems easier.
    pub wordings: usize,
    /// The share of comment lines in the solutions for SFT: from 0 to 0.3.
    pub comment_share: f32,
}

impl Default for Pseudocode {
    fn default() -> Self {
        let long = StepRange { fewest: 2, most: 16 };
        Self {
            sft_steps: StepRange { fewest: 2, most: 6 },
            rl_steps: long,
            held_out_steps: long,
            tests: 3,
            held_out_tests: 4,
            wordings: 6,
            comment_share: 0.075,
        }
    }
}

/// How many problems each split gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Problems with solutions.
    pub sft: usize,
    /// Problems for RL.
    pub rl: usize,
    /// Problems for evaluation.
    pub held_out: usize,
}

/// Three problem sets, disjoint by prompt and by program.
///
/// The metadata of each problem holds `steps`, the number of steps, and `program`, the reference
/// program.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// With solutions.
    pub sft: ProblemSet,
    /// Without.
    pub rl: ProblemSet,
    /// Without.
    pub held_out: ProblemSet,
}

/// Problems could not be drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PseudocodeError {
    /// A range of steps that cannot be.
    #[error("programs of {fewest} to {most} steps cannot be drawn: it must be 2 <= fewest <= most <= 32")]
    Steps {
        /// The fewest steps asked for.
        fewest: usize,
        /// The most steps asked for.
        most: usize,
    },
    /// A number of tests or wordings that cannot be.
    #[error("`{name}` is {value}: it must be from {least} to {most}")]
    Count {
        /// The key.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The least that is valid.
        least: usize,
        /// The most that is valid.
        most: usize,
    },
    /// A share of comments that cannot be.
    #[error("`comment_share` is {0}: it must be from 0 to 0.3")]
    CommentShare(f32),
    /// There are not that many different programs of that length.
    #[error("found no new program of {steps} steps for `{split}` in {draws} draws: ask for fewer problems")]
    Exhausted {
        /// The split.
        split: &'static str,
        /// The steps of the program that was sought.
        steps: usize,
        /// How many draws were made.
        draws: usize,
    },
    /// The problems do not make a set.
    #[error(transparent)]
    Problems(#[from] ProblemError),
}

/// Draws for one problem: most fail because a program ran into a dead end, few because it is known.
const DRAWS: usize = 2_000;

/// What no later problem may repeat.
#[derive(Default)]
struct Taken {
    prompts: HashSet<String>,
    programs: HashSet<String>,
}

impl Pseudocode {
    /// Draws the three splits. The same seed and sizes give the same bytes; the held-out problems
    /// depend on their own number alone, not on those of the other splits.
    ///
    /// # Errors
    /// If a config value is out of range, or there are too few different programs.
    pub fn splits(&self, seed: Seed, sizes: Sizes) -> Result<Splits, PseudocodeError> {
        self.check()?;
        let mut taken = Taken::default();
        let mut split = |name: &'static str, steps: StepRange, size: usize| {
            let problems = (0..size).map(|index| {
                let seed = seed.child("pseudocode").child(name).index(index as u64);
                self.problem(name, index, steps, &mut taken, &mut seed.rng())
            });
            Ok::<_, PseudocodeError>(ProblemSet::new(problems.collect::<Result<Vec<_>, _>>()?)?)
        };
        let held_out = split("held-out", self.held_out_steps, sizes.held_out)?;
        let rl = split("rl", self.rl_steps, sizes.rl)?;
        let sft = split("sft", self.sft_steps, sizes.sft)?;
        Ok(Splits { sft, rl, held_out })
    }

    fn check(&self) -> Result<(), PseudocodeError> {
        for (name, value, least, most) in [
            ("tests", self.tests, 1, 64),
            ("held_out_tests", self.held_out_tests, 0, 64),
            ("wordings", self.wordings, 1, 6),
        ] {
            if !(least..=most).contains(&value) {
                return Err(PseudocodeError::Count { name, value, least, most });
            }
        }
        match (0.0..=0.3).contains(&self.comment_share) {
            true => Ok(()),
            false => Err(PseudocodeError::CommentShare(self.comment_share)),
        }
    }

    fn problem(
        &self,
        split: &'static str,
        index: usize,
        steps: StepRange,
        taken: &mut Taken,
        rng: &mut impl Rng,
    ) -> Result<Problem, PseudocodeError> {
        let steps = rng.random_range(steps.fewest..=steps.most);
        for _ in 0..DRAWS {
            let Some(drawn) = program::draw(self, steps, rng) else {
                continue;
            };
            let prompt = drawn.words.join("\n") + "\n" + MARKER;
            let program: String = drawn.statements.iter().map(Statement::to_string).collect();
            if taken.prompts.contains(&prompt) || !taken.programs.insert(program.clone()) {
                continue;
            }
            taken.prompts.insert(prompt.clone());
            let solution =
                (split == "sft").then(|| comments::commented(&drawn.statements, self.comment_share, rng));
            let mentioned: Vec<_> = NAMES.into_iter().filter(|name| mentions(&program, name)).collect();
            let mut tests: Vec<_> = drawn
                .inputs
                .iter()
                .zip(drawn.outputs)
                .map(|(input, stdout)| TestCase::Script { variables: variables(input, &mentioned), stdout })
                .collect();
            let held_out_tests = tests.split_off(self.tests);
            return Ok(Problem {
                id: format!("{split}-{index:06}"),
                prompt,
                task: Task::Code,
                tests,
                held_out_tests,
                matching: Matching::Exact,
                solution,
                metadata: BTreeMap::from([
                    ("steps".to_owned(), Json::from(steps)),
                    ("program".to_owned(), Json::from(program)),
                ]),
            });
        }
        Err(PseudocodeError::Exhausted { split, steps, draws: DRAWS })
    }
}

/// Whether `name` stands in `program` as a whole word.
fn mentions(program: &str, name: &str) -> bool {
    program.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name)
}

/// The variables of a test: those that the program speaks of.
fn variables(input: &State, mentioned: &[&str]) -> BTreeMap<String, Json> {
    let known = input.iter().filter(|(variable, _)| mentioned.contains(&variable.name()));
    let json = |value: &Value| match value {
        Value::Integer(value) => Json::from(*value),
        Value::List(items) => Json::from(items.as_slice()),
    };
    known.map(|(variable, value)| (variable.name().to_owned(), json(value))).collect()
}

#[cfg(test)]
mod tests;
