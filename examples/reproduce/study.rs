//! The seven studies: what each compares.

use std::ops::Range;

use crate::variant::{self, Variant};

/// A study.
pub struct Study {
    pub number: usize,
    pub title: &'static str,
    pub kind: Kind,
    /// The seeds that it has by default.
    pub seeds: Range<u64>,
    /// Trainings that its charts leave out, so that the others can be told apart.
    pub undrawn: &'static [&'static str],
}

/// A study that was asked for, with its seeds.
pub struct Asked {
    pub study: &'static Study,
    pub seeds: Vec<u64>,
}

pub enum Kind {
    /// Trainings beside the first, which is the RL baseline but for study 5, and some beside others.
    Arms(&'static [Variant], &'static [Over]),
    /// Labels beside the truth.
    Labels,
    /// The PRM on responses of the policy that it trains.
    Freshness,
}

/// An arm's name, and of one that it is compared with.
pub type Over = (&'static str, &'static str);

pub const STUDIES: [Study; 7] = [
    // The second ten when the first were known, since their intervals said too little.
    Study {
        seeds: 2..22,
        undrawn: &UNDRAWN,
        ..study(1, "Arms and controls", Kind::Arms(&variant::ARMS, &ARMS))
    },
    study(2, "What the PRM learns from", Kind::Arms(&variant::SELECTIONS, &SELECTIONS)),
    study(3, "How much the PRM learns from", Kind::Arms(&variant::AMOUNTS, &AMOUNTS)),
    study(4, "Labels beside the truth", Kind::Labels),
    study(5, "Guards against padding", Kind::Arms(&variant::GUARDS, &[])),
    study(6, "The PRM's loss and the critic's start", Kind::Arms(&variant::STARTS, &STARTS)),
    study(7, "How fresh the PRM is", Kind::Freshness),
];

const fn study(number: usize, title: &'static str, kind: Kind) -> Study {
    // 0 and 1 were looked at before the budget was set.
    Study { number, title, kind, seeds: 2..12, undrawn: &[] }
}

const ARMS: [Over; 12] = [
    ("oracle", "both"),
    ("both", "dense"),
    ("both", "value_init"),
    ("dense", "shuffled"),
    ("dense", "shuffled_as_dense"),
    ("dense", "fraction"),
    ("both_fitted", "both"),
    ("both_fitted", "dense"),
    ("oracle_fitted", "both_fitted"),
    ("oracle_fitted", "oracle"),
    ("both_pass_rate", "both_fitted"),
    ("value_init_fitted", "value_init_as_rl"),
];

/// Of these the tables tell.
const UNDRAWN: [&str; 4] = ["shuffled_as_dense", "value_init_as_rl", "value_init_fitted", "both_pass_rate"];

const SELECTIONS: [Over; 3] = [("remove_hard", "full"), ("medium_only", "full"), ("revised_only", "full")];

const AMOUNTS: [Over; 5] = [
    ("responses_1", "responses_half"),
    ("responses_2", "responses_1"),
    ("responses_4", "responses_2"),
    ("responses_8", "responses_4"),
    ("responses_8", "responses_1"),
];

const STARTS: [Over; 5] = [
    ("dense_cross_entropy", "dense"),
    ("value_init_as_rl", "value_init"),
    ("value_init_plain_as_rl", "value_init_as_rl"),
    ("value_init_critic_as_rl", "value_init_as_rl"),
    ("value_init_fitted", "value_init_as_rl"),
];

impl Study {
    /// The trainings that it needs.
    pub fn variants(&self) -> &'static [Variant] {
        match self.kind {
            Kind::Arms(variants, _) => variants,
            Kind::Labels => &[],
            Kind::Freshness => &[variant::BOTH],
        }
    }
}
