//! The seven studies: what each compares.

use crate::variant::{self, Variant};

/// A study.
pub struct Study {
    pub number: usize,
    pub title: &'static str,
    pub kind: Kind,
}

pub enum Kind {
    /// Trainings beside the first, which is the RL baseline but for study 5.
    Arms(&'static [Variant]),
    /// Labels beside the truth.
    Labels,
    /// The PRM on responses of the policy that it trains.
    Freshness,
}

pub const STUDIES: [Study; 7] = [
    Study { number: 1, title: "Arms and controls", kind: Kind::Arms(&variant::ARMS) },
    Study { number: 2, title: "What the PRM learns from", kind: Kind::Arms(&variant::SELECTIONS) },
    Study { number: 3, title: "How much the PRM learns from", kind: Kind::Arms(&variant::AMOUNTS) },
    Study { number: 4, title: "Labels beside the truth", kind: Kind::Labels },
    Study { number: 5, title: "Guards against padding", kind: Kind::Arms(&variant::GUARDS) },
    Study { number: 6, title: "The PRM's loss and the critic's start", kind: Kind::Arms(&variant::STARTS) },
    Study { number: 7, title: "How fresh the PRM is", kind: Kind::Freshness },
];

impl Study {
    /// The trainings that it needs.
    pub fn variants(&self) -> &'static [Variant] {
        match self.kind {
            Kind::Arms(variants) => variants,
            Kind::Labels => &[],
            Kind::Freshness => &[variant::BOTH],
        }
    }
}
