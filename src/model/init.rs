//! Starting parameters of a model that is trained from nothing.

use rand::RngExt;

use crate::data::{Layout, Parameters, Seed};

/// Standard deviation of the numbers of an embedding.
pub(super) const EMBEDDING_DEVIATION: f32 = 0.3;

/// Random parameters: norms 1, biases 0, the embedding N(0, 0.3²), matrices N(0, 1 / inputs); those that
/// write to the residual stream are divided by √(2 · layers) (Radford et al., 2019).
pub fn random(layout: Layout, layers: usize, seed: Seed) -> Parameters {
    let mut parameters = Parameters::zeros(layout);
    let tensors: Vec<_> = parameters
        .layout()
        .iter()
        .map(|(name, shape, range)| (name.to_owned(), shape.to_vec(), range))
        .collect();
    for (name, shape, range) in tensors {
        let values = &mut parameters.values_mut()[range];
        let deviation = match shape.as_slice() {
            [_] if name.ends_with("norm") => {
                values.fill(1.0);
                continue;
            }
            [_] => continue,
            _ if name == "trunk.embedding" => EMBEDDING_DEVIATION,
            [inputs, ..] if name.ends_with("attention_out") || name.ends_with("down") => {
                1.0 / ((*inputs as f32) * 2.0 * layers as f32).sqrt()
            }
            [inputs, ..] => 1.0 / (*inputs as f32).sqrt(),
            [] => continue,
        };
        let mut rng = seed.child(&name).rng();
        for value in values {
            *value = normal(&mut rng) * deviation;
        }
    }
    parameters
}

/// A standard normal number (Box and Muller, 1958).
fn normal(rng: &mut impl rand::Rng) -> f32 {
    let u: f64 = 1.0 - rng.random::<f64>(); // above 0, for the logarithm
    let v: f64 = rng.random();
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}
