//! What a PRM was trained for, and so what its number means.

use serde::{Deserialize, Serialize};

/// The loss of a PRM. In a config file: `mse` or `cross_entropy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Equation 2: the squared difference of the model's number s and the label l. R_φ = s, within
    /// [−1, 1].
    #[default]
    Mse,
    /// s is the logit of "good", with the soft target (l + 1) / 2: ½ for comments.
    /// R_φ = 2σ(s) − 1.
    CrossEntropy,
}

impl Objective {
    /// R_φ in [−1, 1] from the model's number.
    pub fn score(self, number: f32) -> f32 {
        match self {
            Self::Mse => number.clamp(-1.0, 1.0),
            Self::CrossEntropy => (number / 2.0).tanh(), // 2σ(s) − 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_lie_in_their_range() {
        assert_eq!([-3.0, 0.25, 1.5].map(|s| Objective::Mse.score(s)), [-1.0, 0.25, 1.0]);
        let score = |s| Objective::CrossEntropy.score(s);
        // σ(0.5) = 0.622459
        assert!((score(0.5) - (2.0 * 0.622459 - 1.0)).abs() < 1e-6);
        assert_eq!([score(-1e9), score(0.0), score(1e9)], [-1.0, 0.0, 1.0]);
        assert_eq!(serde_json::to_string(&Objective::CrossEntropy).unwrap(), "\"cross_entropy\"");
    }
}
