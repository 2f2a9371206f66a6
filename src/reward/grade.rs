//! [`OutcomeReward`]: what a program's verdict is worth.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::data::numbers::RewardCeiling;
use crate::plugin::{Outcome, Verdict};

/// RLTF's levels, which are CodeRL's: a test that fails, an error at run time, and no program that compiles.
const FAILS: f32 = -0.3;
const BREAKS: f32 = -0.6;
const LOWEST: f32 = -1.0;

/// R_UT: what a response is rewarded with for its tests. All rules give 1 for a pass and less for all else; they
/// differ in what a failing response gets. Labels and Pass@1 know passing and failing alone, whatever the rule.
///
/// | [`Outcome`] | `Binary` | `Fraction` | `Levels` | `Adaptive` | why that level |
/// |---|---|---|---|---|---|
/// | `Pass` | 1 | 1 | 1 | 1 | |
/// | `Wrong` | 0 | c p/n | −0.3 | −0.3 + (c + 0.3) p/n | it runs, and a test fails |
/// | `Runtime` | 0 | c p/n | −0.6 | −0.6 | an error, but none of syntax |
/// | `Timeout`, `Memory`, `Output`, `Processes` | 0 | c p/n | −0.6 | −0.6 | stopped while it ran: the harness of APPS, which both papers use, counts a run over its time as an error at run time |
/// | `Compile` | 0 | c p/n | −1 | −1 | an error of syntax |
/// | `NoCode` | 0 | c p/n | −1 | −1 | there is nothing that could compile |
/// | `Tamper` | 0 | 0 | −1 | −1 | the lowest that there is, whatever it passed: attacks may not pay |
///
/// with p of n tests passed and c the ceiling, 1 where it is not given. `Levels` are the coarse-grained feedback of
/// RLTF (Liu et al. 2023, "RLTF: Reinforcement Learning from Unit Test Feedback", arXiv 2307.04349) with the values
/// of CodeRL (Le et al. 2022, arXiv 2207.01780); `Adaptive` is RLTF's adaptive feedback, which takes the place of the
/// level of a failed test, as in its authors' program. `Fraction` is the share of tests passed. The outcome is the
/// verifier's, that of the first test that did not pass, where RLTF takes the worst of all tests.
///
/// `Fraction` and `Adaptive` count tests, so the verifier must run all of them, not only those up to the first
/// failure ([`Verifier::counts_all`](crate::plugin::Verifier::counts_all)): a trainer is not made otherwise.
///
/// A response without its end token has failed, whatever its tests say: it gets no more than one that passes none
/// of them.
///
/// With dense rewards beside it, a failing response may return up to c + `weight_fail`, and a passing one down to
/// 1 − `weight_pass`: what the ceiling is for. See [`DenseReward::check_order`](super::DenseReward::check_order).
///
/// In a config file a name, `"binary"` (the default, and the paper's), `"fraction"`, `"levels"` or `"adaptive"`, or a
/// table with a ceiling:
///
/// ```
/// use pspo::data::numbers::RewardCeiling;
/// use pspo::plugin::{Outcome, Verdict};
/// use pspo::reward::OutcomeReward;
///
/// let half: OutcomeReward = serde_json::from_str(r#"{"rule": "fraction", "ceiling": 0.5}"#)?;
/// assert_eq!(half, OutcomeReward::Fraction { ceiling: RewardCeiling::new(0.5) });
/// let verdict = Verdict {
///     outcome: Outcome::Wrong, passed: 3, total: 4, detail: "test 4: 7".into(), seconds: 0.1,
/// };
/// assert_eq!(half.of(&verdict, true), 0.375);
/// assert_eq!(OutcomeReward::Levels.of(&verdict, true), -0.3);
/// assert_eq!(OutcomeReward::Binary.of(&verdict, true), 0.0);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OutcomeReward {
    /// 1 for a pass, else 0: the paper's.
    #[default]
    Binary,
    /// The share of tests passed, times the ceiling.
    Fraction {
        /// What a failing response stays below.
        ceiling: RewardCeiling,
    },
    /// A level for each way to fail.
    Levels,
    /// As `Levels`, but a program that runs and fails tests is the nearer to the ceiling the more it passes.
    Adaptive {
        /// What a failing response stays below.
        ceiling: RewardCeiling,
    },
}

impl OutcomeReward {
    /// The reward of a response with this verdict; `finished` says whether it ends with its end token.
    pub fn of(&self, verdict: &Verdict, finished: bool) -> f32 {
        if finished { self.graded(verdict.outcome, share(verdict)) } else { self.cut(verdict) }
    }

    /// What a failing response's reward is at most, or, where a share of tests counts, below.
    pub fn ceiling(&self) -> f32 {
        match self {
            Self::Binary => 0.0,
            Self::Levels => FAILS,
            Self::Fraction { ceiling } | Self::Adaptive { ceiling } => ceiling.get(),
        }
    }

    /// Whether it takes the number of tests passed, so that the verifier must run all of them.
    pub fn counts_tests(&self) -> bool {
        matches!(self, Self::Fraction { .. } | Self::Adaptive { .. })
    }

    /// A cut response's: as if it had passed none of its tests, and at most as much as a finished one.
    fn cut(&self, verdict: &Verdict) -> f32 {
        let outcome = if verdict.passes() { Outcome::Wrong } else { verdict.outcome };
        self.graded(outcome, 0.0)
    }

    fn graded(&self, outcome: Outcome, share: f64) -> f32 {
        let toward = |from: f32, ceiling: &RewardCeiling| {
            let (from, ceiling) = (f64::from(from), f64::from(ceiling.get()));
            (from + (ceiling - from) * share) as f32
        };
        match (self, outcome) {
            (_, Outcome::Pass) => 1.0,
            (Self::Binary, _) | (Self::Fraction { .. }, Outcome::Tamper) => 0.0,
            (Self::Fraction { ceiling }, _) => toward(0.0, ceiling),
            (Self::Adaptive { ceiling }, Outcome::Wrong) => toward(FAILS, ceiling),
            (Self::Levels | Self::Adaptive { .. }, outcome) => level(outcome),
        }
    }

    fn name(&self) -> Rule {
        match self {
            Self::Binary => Rule::Binary,
            Self::Fraction { .. } => Rule::Fraction,
            Self::Levels => Rule::Levels,
            Self::Adaptive { .. } => Rule::Adaptive,
        }
    }
}

fn level(outcome: Outcome) -> f32 {
    match outcome {
        Outcome::Pass => 1.0,
        Outcome::Wrong => FAILS,
        Outcome::Runtime | Outcome::Timeout | Outcome::Memory | Outcome::Output | Outcome::Processes => {
            BREAKS
        }
        Outcome::Compile | Outcome::NoCode | Outcome::Tamper => LOWEST,
    }
}

/// The share of tests passed. A verdict without tests has none.
fn share(verdict: &Verdict) -> f64 {
    verdict.passed as f64 / verdict.total.max(1) as f64
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rule {
    Binary,
    Fraction,
    Levels,
    Adaptive,
}

/// An [`OutcomeReward`] as a table of a config file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rule: Rule,
    ceiling: Option<RewardCeiling>,
}

impl TryFrom<Table> for OutcomeReward {
    type Error = &'static str;

    fn try_from(Table { rule, ceiling }: Table) -> Result<Self, &'static str> {
        const AS_PUBLISHED: RewardCeiling = RewardCeiling::new(1.0);
        let of_counts = ceiling.unwrap_or(AS_PUBLISHED);
        match rule {
            Rule::Fraction => Ok(Self::Fraction { ceiling: of_counts }),
            Rule::Adaptive => Ok(Self::Adaptive { ceiling: of_counts }),
            _ if ceiling.is_some() => {
                Err("`ceiling` is for the rules that count tests: \"fraction\" and \"adaptive\"")
            }
            Rule::Binary => Ok(Self::Binary),
            Rule::Levels => Ok(Self::Levels),
        }
    }
}

impl Serialize for OutcomeReward {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Binary | Self::Levels => self.name().serialize(serializer),
            Self::Fraction { ceiling } | Self::Adaptive { ceiling } => {
                Table { rule: self.name(), ceiling: Some(*ceiling) }.serialize(serializer)
            }
        }
    }
}

/// By hand, since of an untagged enum serde says only that no variant matched, not what was wrong.
impl<'de> Deserialize<'de> for OutcomeReward {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = OutcomeReward;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an outcome reward, or a table with `rule` and `ceiling`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<OutcomeReward, E> {
        let rule = Rule::deserialize(serde::de::value::StrDeserializer::new(name))?;
        OutcomeReward::try_from(Table { rule, ceiling: None }).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<OutcomeReward, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(table))?;
        table.try_into().map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests;
