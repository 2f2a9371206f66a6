//! How far the model's number for a line is from the line's label.

use crate::data::{Label, Objective};
use crate::model::tensor::{Loss, OnTape, SumTo, Vector, vector};

/// The sum over these lines, divided by the `lines` of the whole batch. There are as many numbers as labels.
pub(super) fn loss(objective: Objective, numbers: Vector<OnTape>, labels: &[Label], lines: usize) -> Loss {
    let values = labels.iter().map(|label| label.value());
    let each = match objective {
        Objective::Mse => (numbers - vector(values.collect())).square(),
        Objective::CrossEntropy => {
            let good = vector(values.map(|value| (value + 1.0) / 2.0).collect());
            numbers.bce_with_logits(good)
        }
    };
    each.sum() * (1.0 / lines as f32)
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
    fn loss_and_gradient(objective: Objective) -> (f32, Vec<f32>) {
        let numbers = vector(NUMBERS.to_vec());
        let loss = loss(objective, numbers.leaky_trace(), &LABELS, LABELS.len());
        (loss.array(), loss.backward().get(&numbers).as_vec())
    }

    fn near(got: (f32, Vec<f32>), loss: f32, gradient: [f32; 3]) {
        assert!((got.0 - loss).abs() < 1e-6, "{got:?}");
        assert!(got.1.iter().zip(gradient).all(|(got, by_hand)| (got - by_hand).abs() < 1e-6), "{got:?}");
    }

    #[test]
    fn squared_errors_by_hand() {
        // (−0.5)² + (−1)² + 0.4² = 1.41; derivatives 2(s − l)/3.
        near(loss_and_gradient(Objective::Mse), 0.47, [-1.0 / 3.0, -2.0 / 3.0, 0.8 / 3.0]);
    }

    #[test]
    fn cross_entropy_by_hand() {
        // −ln σ(0.5) = 0.474077, −ln σ(2) = 0.126928, −½ ln σ(0.4) − ½ ln σ(−0.4) = 0.713015;
        // derivatives (σ(s) − t)/3 with σ(0.5) = 0.622459, σ(−2) = 0.119203, σ(0.4) = 0.598688.
        near(loss_and_gradient(Objective::CrossEntropy), 1.314_02 / 3.0, [-0.125847, 0.039734, 0.032896]);
    }
}
