//! How responses are sampled.

use std::num::NonZeroUsize;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::answer::stop_at;
use crate::data::numbers::{Temperature, TopP};
use crate::kernels::sample::{self, Choice};

pub use crate::kernels::sample::Drawn;

/// How tokens are drawn. Training samples with top-p 1 and no top-k (checklist, 1); evaluation in the
/// paper with temperature 0.2, top-p 0.95 and top-k 128.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Logits are divided by it.
    pub temperature: Temperature,
    /// Keeps the most likely tokens that together reach this probability.
    pub top_p: TopP,
    /// Keeps this many of the most likely tokens; all where absent.
    pub top_k: Option<NonZeroUsize>,
    /// A response is cut after this many tokens.
    pub max_new_tokens: NonZeroUsize,
    /// A response ends, as if by itself, when its text holds one of these, whatever tokens spell it; an empty one ends
    /// nothing. Kept are all tokens up to the one that completes the stop sequence, which is the last that was
    /// drawn, and the text before it: tokens that spell nothing else end where the text ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
}

impl Sampling {
    /// Sampling for training: the policy's own distribution at that temperature.
    pub const fn training(temperature: Temperature, max_new_tokens: NonZeroUsize) -> Self {
        Self { temperature, top_p: TopP::new(1.0), top_k: None, max_new_tokens, stop: Vec::new() }
    }

    /// The same sampling, where a response ends at any of these sequences as well.
    #[must_use]
    pub fn with_stops(&self, stops: &[String]) -> Self {
        let mut sampling = self.clone();
        sampling.stop.extend(stops.iter().filter(|stop| !self.stop.contains(stop)).cloned());
        sampling
    }
}

impl Default for Sampling {
    fn default() -> Self {
        const ONE: Temperature = Temperature::new(1.0);
        Self::training(ONE, NonZeroUsize::new(256).expect("256 is not 0"))
    }
}

impl Sampling {
    /// The text of a response with where its tokens end, less the stop sequence and what is behind it.
    pub fn cut(&self, (mut text, mut token_ends): (String, Vec<usize>)) -> (String, Vec<usize>) {
        if let Some(end) = stop_at(&text, &self.stop) {
            text.truncate(end);
            token_ends.iter_mut().for_each(|token_end| *token_end = end.min(*token_end));
        }
        (text, token_ends)
    }

    /// Draws a token from logits `[vocabulary]`, which are overwritten.
    ///
    /// One number is drawn from `rng`, whatever the logits.
    pub fn draw(&self, logits: &mut [f32], rng: &mut impl Rng) -> Drawn {
        self.draw_each(logits, [rng])[0]
    }

    /// Draws a token with each of `rngs` from the same logits `[vocabulary]`, which are overwritten: each the token that
    /// [`Sampling::draw`] would draw with it.
    pub fn draw_each<'r, R: Rng + 'r>(
        &self,
        logits: &mut [f32],
        rngs: impl IntoIterator<Item = &'r mut R>,
    ) -> Vec<Drawn> {
        sample::draw_each(self.choice(), logits, rngs)
    }

    /// What decoders draw by.
    pub(super) fn choice(&self) -> Choice {
        Choice { temperature: self.temperature.get(), top_p: self.top_p.get(), top_k: self.top_k }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    use crate::data::Seed;

    fn frequencies(sampling: &Sampling, logits: &[f32]) -> Vec<f32> {
        let mut rng = Seed::root(3).rng();
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..20_000 {
            counts[sampling.draw(&mut logits.to_vec(), &mut rng).token as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn draws_follow_the_distribution() {
        let logits = [0.0, 1.0, 2.0, -1.0];
        let warm = Sampling { temperature: Temperature::new(0.5), ..Sampling::default() };
        let weights: Vec<f32> = logits.iter().map(|z| (z * 2.0_f32).exp()).collect();
        let total: f32 = weights.iter().sum();
        for (got, weight) in frequencies(&warm, &logits).iter().zip(&weights) {
            assert!((got - weight / total).abs() < 0.015);
        }
        let drawn = warm.draw(&mut logits.to_vec(), &mut Seed::root(0).rng());
        assert!((drawn.log_prob - (weights[drawn.token as usize] / total).ln()).abs() < 1e-5);
    }

    #[test]
    fn top_k_and_top_p_leave_out_the_tail() {
        let logits = [0.0, 1.0, 2.0, -1.0];
        let two = Sampling { top_k: NonZeroUsize::new(2), ..Sampling::default() };
        let counts = frequencies(&two, &logits);
        assert_eq!((counts[0], counts[3]), (0.0, 0.0));
        assert!((counts[2] / counts[1] - std::f32::consts::E).abs() < 0.15);
        // e² / Σ = 0.644, so 0.6 is reached by the first token alone
        let nucleus = Sampling { top_p: TopP::new(0.6), ..Sampling::default() };
        assert!(frequencies(&nucleus, &logits)[2] > 0.999);
    }

    #[test]
    fn drawing_with_many_streams_is_drawing_with_each() {
        let narrow = Sampling {
            temperature: Temperature::new(0.7),
            top_p: TopP::new(0.8),
            top_k: NonZeroUsize::new(5),
            ..Sampling::default()
        };
        for (case, sampling) in [Sampling::default(), narrow].iter().enumerate() {
            for row in 0..20 {
                let seed = Seed::root(9).child("row").index(row);
                let mut rng = seed.rng();
                let logits: Vec<f32> = (0..37).map(|_| 6.0 * rng.random::<f32>()).collect();
                let streams: Vec<_> = (0..row).map(|stream| seed.index(stream).rng()).collect();
                let (mut together, mut apart) = (streams.clone(), streams);
                let expected: Vec<Drawn> =
                    apart.iter_mut().map(|rng| sampling.draw(&mut logits.clone(), rng)).collect();
                assert_eq!(sampling.draw_each(&mut logits.clone(), &mut together), expected, "{case}");
                // The streams are as far as well.
                assert_eq!(together, apart);
            }
        }
    }
}
