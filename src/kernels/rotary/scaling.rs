//! How the angles of rotary positions are stretched, for contexts longer than those a model was first trained on.

use serde::{Deserialize, Serialize};

/// What is done to the frequency of each pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scaling {
    /// Nothing.
    #[default]
    None,
    /// All frequencies are divided by `factor` (position interpolation: Chen et al., 2023; DeepSeek-Coder).
    Linear {
        /// By which positions come closer.
        factor: f32,
    },
    /// Slow pairs are divided by `factor`, fast ones are left alone, and those between are mixed (Llama 3.1).
    Llama3 {
        /// By which the slow pairs are slowed down.
        factor: f32,
        /// A pair is slow if it turns less often than this within the original context.
        low_frequency: f32,
        /// A pair is fast if it turns more often than this within the original context.
        high_frequency: f32,
        /// Positions of the original context.
        original_positions: usize,
    },
}

impl Scaling {
    /// What the numbers must be, where they are not.
    pub const fn fault(&self) -> Option<&'static str> {
        match *self {
            Self::None => None,
            Self::Linear { factor } => {
                if factor >= 1.0 && factor.is_finite() {
                    None
                } else {
                    Some("the factor of rope_scaling must be at least 1")
                }
            }
            Self::Llama3 { factor, low_frequency, high_frequency, original_positions } => {
                if !(factor >= 1.0 && factor.is_finite()) {
                    Some("the factor of rope_scaling must be at least 1")
                } else if !(low_frequency > 0.0
                    && high_frequency > low_frequency
                    && high_frequency.is_finite())
                {
                    Some("rope_scaling needs 0 < low_frequency < high_frequency")
                } else if original_positions == 0 {
                    Some("rope_scaling needs original positions")
                } else {
                    None
                }
            }
        }
    }

    /// The scaled frequency, in radians per position.
    pub(super) fn apply(&self, frequency: f64) -> f64 {
        match *self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / f64::from(factor),
            Self::Llama3 { factor, low_frequency, high_frequency, original_positions } => {
                let (low, high) = (f64::from(low_frequency), f64::from(high_frequency));
                let turns = original_positions as f64 * frequency / std::f64::consts::TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                frequency * (kept + (1.0 - kept) / f64::from(factor))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_leaves_fast_pairs_alone_and_slows_slow_ones() {
        let scaling = Scaling::Llama3 {
            factor: 8.0,
            low_frequency: 1.0,
            high_frequency: 4.0,
            original_positions: 8192,
        };
        assert_eq!(scaling.fault(), None);
        let of_turns = |turns: f64| turns * std::f64::consts::TAU / 8192.0;
        for (turns, needed) in [(100.0, 1.0), (4.0, 1.0), (1.0, 0.125), (0.2, 0.125), (2.5, 0.5625)] {
            let scaled = scaling.apply(of_turns(turns)) / of_turns(turns);
            assert!((scaled - needed).abs() < 1e-9, "{turns} turns: {scaled}");
        }
        assert_eq!(Scaling::Linear { factor: 4.0 }.apply(1.0), 0.25);
        assert_eq!(Scaling::None.apply(0.3), 0.3);
    }

    #[test]
    fn wrong_numbers_are_named() {
        assert!(Scaling::Linear { factor: 0.5 }.fault().unwrap().contains("factor"));
        assert!(Scaling::Linear { factor: f32::NAN }.fault().is_some());
        let llama = |low_frequency, high_frequency, original_positions| Scaling::Llama3 {
            factor: 8.0,
            low_frequency,
            high_frequency,
            original_positions,
        };
        assert!(llama(4.0, 1.0, 10).fault().unwrap().contains("low_frequency < high_frequency"));
        assert!(llama(1.0, 4.0, 0).fault().unwrap().contains("original positions"));
    }
}
