//! The trainings that are compared: what each takes instead of the RL baseline's parts.

use pspo::data::Objective;
use pspo::data::numbers::{RewardCeiling, RewardWeight};
use pspo::label::Selection;
use pspo::reward::{DenseReward, Neutral, Normalization, OutcomeReward};

/// The name of the policy that all trainings start from, and of its record.
pub const START: &str = "sft";

/// A training. [`BASELINE`] is the RL baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variant {
    /// What a study calls it.
    pub name: &'static str,
    /// What its record is called: two studies may call the same training by the name of what it is among others.
    pub training: &'static str,
    /// The arm whose step size and β it has.
    pub tuned_as: &'static str,
    /// Where the scores of lines come from that dense rewards are made of.
    pub scores: Option<Scores>,
    pub guard: Guard,
    pub start: Start,
    /// R_UT is the share of tests passed.
    pub fraction: bool,
    pub length: Length,
    /// The PRM, where `scores` or `start` take one.
    pub prm: Prm,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scores {
    Prm,
    /// The truth.
    Oracle,
    /// The PRM's scores, dealt out anew among the lines of a batch.
    Shuffled,
}

/// How long it trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Usual,
    /// With as many tokens more as labels cost.
    LabelsToo,
    /// As study 5 has it.
    Guards,
}

/// What keeps more lines from being more reward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guard {
    Nothing,
    /// λ a thirteenth: as much as [`Self::Lines`] for a response of 13 lines, as they have at first, and more for a longer one.
    Constant,
    /// Divided by the lines.
    Lines,
    /// Divided by the lines of code, and nothing for comments.
    CodeLines,
}

/// Where the critic starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// 0 everywhere.
    Zero,
    /// The PRM, its numbers moved.
    Prm(PrmLevel),
    /// The critic that the baseline ends with.
    Critic,
    /// Fitted to the returns of the policy at its start.
    Returns,
}

/// What a PRM's numbers are moved to where a critic starts as it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PrmLevel {
    /// As they are.
    Copied,
    /// To a chance to pass.
    Chance,
    /// By the pass rate of the policy at its start.
    PassRate,
    /// To the returns of the policy at its start, by least squares.
    Fitted,
}

/// How a PRM is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prm {
    /// In place of the config's.
    pub selection: Option<Selection>,
    /// Responses per prompt, in place of the config's: in halves.
    pub half_responses: Option<usize>,
    pub objective: Objective,
    /// Whether comments are labelled 0, or as lines of code.
    pub neutral: bool,
}

const PRM: Prm = Prm { selection: None, half_responses: None, objective: Objective::Mse, neutral: true };

pub const BASELINE: Variant = Variant {
    name: "rl",
    training: "rl",
    tuned_as: "rl",
    scores: None,
    guard: Guard::Lines,
    start: Start::Zero,
    fraction: false,
    length: Length::Usual,
    prm: PRM,
};

const fn dense(name: &'static str) -> Variant {
    Variant { name, training: name, tuned_as: "dense", scores: Some(Scores::Prm), ..BASELINE }
}

const fn both(name: &'static str) -> Variant {
    Variant { tuned_as: "both", start: Start::Prm(PrmLevel::Chance), ..dense(name) }
}

const fn selected(name: &'static str, selection: Selection) -> Variant {
    Variant { prm: Prm { selection: Some(selection), ..PRM }, ..both(name) }
}

const fn responses(name: &'static str, halves: usize) -> Variant {
    Variant { prm: Prm { half_responses: Some(halves), ..PRM }, ..both(name) }
}

const fn guarded(name: &'static str, guard: Guard, neutral: bool) -> Variant {
    Variant { guard, length: Length::Guards, prm: Prm { neutral, ..PRM }, ..both(name) }
}

const fn started(name: &'static str, start: Start) -> Variant {
    Variant { name, training: name, tuned_as: "value_init", start, ..BASELINE }
}

/// With the baseline's step size and β, so that the start alone differs.
const fn started_as_rl(name: &'static str, start: Start) -> Variant {
    Variant { tuned_as: "rl", ..started(name, start) }
}

/// The same training by another name.
const fn called(name: &'static str, variant: Variant) -> Variant {
    Variant { name, ..variant }
}

pub const BOTH: Variant = both("both");
const VALUE_INIT: Variant = started("value_init", Start::Prm(PrmLevel::Chance));
/// As the baseline, of which it has more.
pub const LONGER: Variant =
    Variant { name: "rl_longer", training: "rl_longer", length: Length::LabelsToo, ..BASELINE };
const DENSE: Variant = dense("dense");
const VALUE_INIT_AS_RL: Variant = started_as_rl("value_init_as_rl", Start::Prm(PrmLevel::Chance));

const VALUE_INIT_FITTED: Variant = started_as_rl("value_init_fitted", Start::Prm(PrmLevel::Fitted));

pub const ARMS: [Variant; 15] = [
    BASELINE,
    VALUE_INIT,
    DENSE,
    BOTH,
    Variant { tuned_as: "oracle", scores: Some(Scores::Oracle), ..both("oracle") },
    Variant { tuned_as: "shuffled", scores: Some(Scores::Shuffled), ..dense("shuffled") },
    Variant { name: "fraction", training: "fraction", tuned_as: "fraction", fraction: true, ..BASELINE },
    Variant { tuned_as: "returns", ..started("returns", Start::Returns) },
    LONGER,
    // Where little is learned, tuning chooses among noise: the same with the numbers of what it is a control of.
    Variant { scores: Some(Scores::Shuffled), ..dense("shuffled_as_dense") },
    VALUE_INIT_AS_RL,
    // Added when ValueInit was seen to cost: the level is what is wrong with it.
    VALUE_INIT_FITTED,
    Variant { start: Start::Prm(PrmLevel::Fitted), ..both("both_fitted") },
    Variant {
        tuned_as: "oracle",
        scores: Some(Scores::Oracle),
        start: Start::Prm(PrmLevel::Fitted),
        ..both("oracle_fitted")
    },
    Variant { start: Start::Prm(PrmLevel::PassRate), ..both("both_pass_rate") },
];

/// `full.toml` selects all, of 4 responses per prompt.
pub const SELECTIONS: [Variant; 5] = [
    BASELINE,
    called("full", BOTH),
    selected("remove_hard", Selection::RemoveHard),
    selected("medium_only", Selection::MediumOnly),
    selected("revised_only", Selection::RevisedOnly),
];

pub const AMOUNTS: [Variant; 6] = [
    BASELINE,
    responses("responses_half", 1),
    responses("responses_1", 2),
    responses("responses_2", 4),
    called("responses_4", BOTH),
    responses("responses_8", 16),
];

/// The paper's rule, and what it guards against.
pub const GUARDS: [Variant; 5] = [
    guarded("per_line_neutral", Guard::Lines, true),
    guarded("no_guard", Guard::Nothing, false),
    guarded("constant", Guard::Constant, false),
    guarded("per_line", Guard::Lines, false),
    guarded("per_code_line", Guard::CodeLines, true),
];

pub const STARTS: [Variant; 11] = [
    BASELINE,
    DENSE,
    Variant { prm: Prm { objective: Objective::CrossEntropy, ..PRM }, ..dense("dense_cross_entropy") },
    VALUE_INIT,
    started("value_init_plain", Start::Prm(PrmLevel::Copied)),
    started("value_init_critic", Start::Critic),
    VALUE_INIT_AS_RL,
    started_as_rl("value_init_plain_as_rl", Start::Prm(PrmLevel::Copied)),
    started_as_rl("value_init_critic_as_rl", Start::Critic),
    VALUE_INIT_FITTED,
    BOTH,
];

impl Guard {
    /// λ as in the paper.
    pub fn rule(self) -> DenseReward {
        const PASS: RewardWeight = RewardWeight::new(0.025);
        const FAIL: RewardWeight = RewardWeight::new(0.25);
        const SMALL_PASS: RewardWeight = RewardWeight::new(0.025 / 13.0);
        const SMALL_FAIL: RewardWeight = RewardWeight::new(0.25 / 13.0);
        let (pass, fail, normalization, neutral) = match self {
            Self::Nothing => (PASS, FAIL, Normalization::None, Neutral::TrustPrm),
            Self::Constant => (SMALL_PASS, SMALL_FAIL, Normalization::None, Neutral::TrustPrm),
            Self::Lines => (PASS, FAIL, Normalization::AllLines, Neutral::TrustPrm),
            Self::CodeLines => (PASS, FAIL, Normalization::CodeLines, Neutral::Zero),
        };
        DenseReward::new(pass, fail, normalization, neutral)
            .expect("the order of the paper's weights is safe")
    }
}

impl Variant {
    /// R_UT.
    pub fn outcome(&self) -> OutcomeReward {
        const CEILING: RewardCeiling = RewardCeiling::new(1.0);
        if self.fraction { OutcomeReward::Fraction { ceiling: CEILING } } else { OutcomeReward::Binary }
    }

    /// Whether a PRM is to be trained for it.
    pub fn takes_prm(&self) -> bool {
        matches!(self.scores, Some(Scores::Prm | Scores::Shuffled)) || matches!(self.start, Start::Prm(_))
    }
}

impl Prm {
    /// Responses to a prompt that are labelled, where the config has `usual`.
    pub fn responses(&self, usual: usize) -> usize {
        self.half_responses.map_or(usual, |halves| halves.div_ceil(2))
    }

    /// What its training is called.
    pub fn name(&self) -> String {
        let mut name = "prm".to_owned();
        if let Some(selection) = self.selection {
            name += &format!("-{selection:?}").to_lowercase();
        }
        if let Some(halves) = self.half_responses {
            name += &format!("-{halves}-halves");
        }
        if self.objective == Objective::CrossEntropy {
            name += "-cross-entropy";
        }
        if !self.neutral {
            name += "-comments-as-code";
        }
        name
    }
}
