//! The seven studies: what each compares.

use crate::variant::{self, Variant};

/// A study.
pub struct Study {
    pub number: usize,
    pub title: &'static str,
    pub kind: Kind,
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
    Study { number: 1, title: "Arms and controls", kind: Kind::Arms(&variant::ARMS, &ARMS) },
    Study {
        number: 2,
        title: "What the PRM learns from",
        kind: Kind::Arms(&variant::SELECTIONS, &SELECTIONS),
    },
    Study { number: 3, title: "How much the PRM learns from", kind: Kind::Arms(&variant::AMOUNTS, &AMOUNTS) },
    Study { number: 4, title: "Labels beside the truth", kind: Kind::Labels },
    Study { number: 5, title: "Guards against padding", kind: Kind::Arms(&variant::GUARDS, &[]) },
    Study {
        number: 6,
        title: "The PRM's loss and the critic's start",
        kind: Kind::Arms(&variant::STARTS, &STARTS),
    },
    Study { number: 7, title: "How fresh the PRM is", kind: Kind::Freshness },
];

const ARMS: [Over; 6] = [
    ("oracle", "both"),
    ("both", "dense"),
    ("both", "value_init"),
    ("dense", "shuffled"),
    ("dense", "shuffled_as_dense"),
    ("dense", "fraction"),
];

const SELECTIONS: [Over; 3] = [("remove_hard", "full"), ("medium_only", "full"), ("revised_only", "full")];

const AMOUNTS: [Over; 4] = [
    ("responses_1", "responses_half"),
    ("responses_2", "responses_1"),
    ("responses_4", "responses_2"),
    ("responses_8", "responses_4"),
];

const STARTS: [Over; 4] = [
    ("dense_cross_entropy", "dense"),
    ("value_init_as_rl", "value_init"),
    ("value_init_plain_as_rl", "value_init_as_rl"),
    ("value_init_critic_as_rl", "value_init_as_rl"),
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
