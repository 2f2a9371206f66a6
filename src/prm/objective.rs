//! What the model's number for a line means, and how far it is from the line's label.

use serde::{Deserialize, Serialize};

use crate::data::Label;
use crate::model::tensor::{Loss, MeanTo, OnTape, Vector, vector};

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
    /// The mean over the lines. There are as many numbers as labels.
    pub(super) fn loss(self, numbers: Vector<OnTape>, labels: &[Label]) -> Loss {
        let values = labels.iter().map(|label| label.value());
        match self {
            Self::Mse => (numbers - vector(values.collect())).square().mean(),
            Self::CrossEntropy => {
                let good = vector(values.map(|value| (value + 1.0) / 2.0).collect());
                numbers.bce_with_logits(good).mean()
            }
        }
    }

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
    use crate::model::tensor::Trace;
    use Label::{Bad, Good, Neutral};
    use dfdx::prelude::{AsArray, Backward};

    const NUMBERS: [f32; 3] = [0.5, -2.0, 0.4];
    const LABELS: [Label; 3] = [Good, Bad, Neutral];

    /// The loss and its gradient by the numbers.
    fn loss(objective: Objective) -> (f32, Vec<f32>) {
        let numbers = vector(NUMBERS.to_vec());
        let loss = objective.loss(numbers.leaky_trace(), &LABELS);
        (loss.array(), loss.backward().get(&numbers).as_vec())
    }

    fn near(got: (f32, Vec<f32>), loss: f32, gradient: [f32; 3]) {
        assert!((got.0 - loss).abs() < 1e-6, "{got:?}");
        assert!(got.1.iter().zip(gradient).all(|(got, by_hand)| (got - by_hand).abs() < 1e-6), "{got:?}");
    }

    #[test]
    fn squared_errors_by_hand() {
        // (−0.5)² + (−1)² + 0.4² = 1.41; derivatives 2(s − l)/3.
        near(loss(Objective::Mse), 0.47, [-1.0 / 3.0, -2.0 / 3.0, 0.8 / 3.0]);
    }

    #[test]
    fn cross_entropy_by_hand() {
        // −ln σ(0.5) = 0.474077, −ln σ(2) = 0.126928, −½ ln σ(0.4) − ½ ln σ(−0.4) = 0.713015;
        // derivatives (σ(s) − t)/3 with σ(0.5) = 0.622459, σ(−2) = 0.119203, σ(0.4) = 0.598688.
        near(loss(Objective::CrossEntropy), 1.314_02 / 3.0, [-0.125847, 0.039734, 0.032896]);
    }

    #[test]
    fn scores_lie_in_their_range() {
        assert_eq!([-3.0, 0.25, 1.5].map(|s| Objective::Mse.score(s)), [-1.0, 0.25, 1.0]);
        let score = |s| Objective::CrossEntropy.score(s);
        assert!((score(0.5) - (2.0 * 0.622459 - 1.0)).abs() < 1e-6);
        assert_eq!([score(-1e9), score(0.0), score(1e9)], [-1.0, 0.0, 1.0]);
        assert_eq!(serde_json::to_string(&Objective::CrossEntropy).unwrap(), "\"cross_entropy\"");
    }
}
