//! What stands on a model's trunk, and how `config.json` tells it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::{Layout, Objective};
use crate::model::Dims;

/// What stands on a model's trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// An output layer. In transformers a `…ForCausalLM`.
    Policy,
    /// One number for each token, and what it means where the files say so. In transformers a `…ForTokenClassification` of
    /// one label.
    Scalar(Option<Meaning>),
}

/// What the number of a scalar model means. In `config.json` under the key `pspo`, which transformers keeps and does not
/// read: `{"model": "critic"}`, `{"model": "prm", "objective": "mse"}`, `{"model": "reward"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Meaning {
    /// V_ψ: the return that is expected from a token on.
    Critic,
    /// R_φ: [`Objective::score`] of the number at a line's last token is the line's score.
    Prm {
        /// What it was trained for.
        objective: Objective,
    },
    /// R_RM: the number at a response's last token is its reward.
    Reward,
}

impl Meaning {
    /// The name of the one label, for readers that show it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Critic => "value",
            Self::Prm { objective: Objective::Mse } => "score",
            Self::Prm { objective: Objective::CrossEntropy } => "good",
            Self::Reward => "reward",
        }
    }
}

impl Head {
    /// The tensors of a model of these sizes with this head.
    pub(super) fn layout(self, dims: &Dims) -> Layout {
        match self {
            Self::Policy => dims.policy_layout(),
            Self::Scalar(_) => dims.scalar_layout(),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "a policy",
            Self::Scalar(Some(Meaning::Critic)) => "a critic",
            Self::Scalar(Some(Meaning::Prm { .. })) => "a PRM",
            Self::Scalar(Some(Meaning::Reward)) => "a reward model",
            Self::Scalar(None) => "a scalar model that does not say what its number means",
        })
    }
}
