//! Starting parameters of a model that is trained from nothing.

use rand::RngExt;

use super::arch::EMBEDDING;
use crate::data::{Layout, Parameters, Seed};
use crate::plugin::value_init::HEAD_WEIGHT;

/// Random parameters: norms 1, biases 0, the embedding N(0, 0.3²), matrices N(0, 1 / inputs); those that
/// write to the residual stream are divided by √(2 · layers) (Radford et al., 2019). An embedding that is the output
/// layer as well, as where the layout has no other, is N(0, 1 / width) like the matrix that it is: else logits would be
/// as large as √width makes them.
pub fn random(layout: Layout, layers: usize, seed: Seed) -> Parameters {
    let tied = layout.range("output.weight").is_err() && layout.range(HEAD_WEIGHT).is_err();
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
            [_, width] if name == EMBEDDING => {
                if tied {
                    1.0 / (*width as f32).sqrt()
                } else {
                    0.3
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Dims;

    #[test]
    fn an_embedding_is_as_small_as_a_matrix_where_it_is_the_output_layer() {
        let untied = Dims {
            vocabulary: 2000,
            width: 64,
            layers: 1,
            heads: 2,
            kv_heads: 1,
            head_size: 32,
            hidden: 64,
            positions: 8,
            rope_theta: 10_000.0,
            rope_scaling: Default::default(),
            norm_epsilon: 1e-5,
            tied: false,
            qkv_bias: false,
        };
        let tied = Dims { tied: true, ..untied };
        for (layout, needed) in [
            (untied.policy_layout(), 0.3),
            (tied.policy_layout(), 0.125),
            (untied.scalar_layout(), 0.3),
            (tied.scalar_layout(), 0.3),
        ] {
            let parameters = random(layout, 1, Seed::root(1));
            let embedding = parameters.tensor("trunk.embedding").unwrap();
            let square = embedding.iter().map(|x| x * x).sum::<f32>() / embedding.len() as f32;
            assert!((square.sqrt() / needed - 1.0).abs() < 0.02, "{}, not {needed}", square.sqrt());
        }
    }
}
