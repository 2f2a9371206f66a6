//! The truth about lines, of which there are two.

use pspo::data::{Labels, Problem};
use pspo::problems::Oracle;
use pspo::trainer::JudgedRollout;
use serde::{Deserialize, Serialize};

/// Who is to save a prefix. Between the two lies what a policy can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Who may do steps over: a line without effect in a step's place is good.
    Over,
    /// Who goes on with the next step: such a line is bad, and so is a harmless line too many.
    Onward,
}

impl Truth {
    pub const ALL: [Self; 2] = [Self::Over, Self::Onward];

    /// As tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::Onward => "onward",
        }
    }

    /// Who knows this truth about responses to a problem, if it can be known.
    pub fn oracle(self, problem: &Problem) -> Option<Oracle> {
        let oracle = Oracle::new(problem).ok()?;
        Some(match self {
            Self::Over => oracle,
            Self::Onward => oracle.onward(),
        })
    }

    /// The labels of a response that was judged, where they are known.
    pub fn labels(self, row: &JudgedRollout) -> Option<Labels> {
        self.oracle(&row.problem)?.labels(&row.steps, row.passes?).ok()
    }
}
