//! Numbers that carry their bounds: checked at compile time in code, with a message in config files.
//!
//! ```
//! use pspo::data::numbers::ClipRange;
//!
//! const CLIP: ClipRange = ClipRange::new(0.2); // out of bounds would not compile
//! assert_eq!(CLIP.get(), 0.2);
//! assert_eq!(
//!     ClipRange::try_new(1.5).unwrap_err().to_string(),
//!     "clip range 1.5 is out of bounds: it must be above 0 and below 1",
//! );
//! ```

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number outside the bounds of its type.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{name} {value} is out of bounds: it must be {bounds}")]
pub struct OutOfBounds {
    /// What the number is, in words.
    pub name: &'static str,
    /// The value given.
    pub value: f32,
    /// What would be valid, in words.
    pub bounds: &'static str,
}

macro_rules! checked_numbers {
    ($($(#[$doc:meta])* $type:ident = $name:literal, $value:ident => $valid:expr, $bounds:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f32", into = "f32")]
        pub struct $type(f32);

        impl $type {
            /// The number, checked at compile time when it stands in a constant.
            ///
            /// # Panics
            #[doc = concat!("If it is not ", $bounds, "; see `try_new` for values known at run time.")]
            #[track_caller]
            pub const fn new($value: f32) -> Self {
                assert!($valid, concat!($name, " is out of bounds: it must be ", $bounds));
                Self($value)
            }

            /// The number, checked at run time.
            ///
            /// # Errors
            #[doc = concat!("If it is not ", $bounds, ".")]
            pub const fn try_new($value: f32) -> Result<Self, OutOfBounds> {
                if $valid {
                    Ok(Self($value))
                } else {
                    Err(OutOfBounds { name: $name, value: $value, bounds: $bounds })
                }
            }

            /// The number.
            pub const fn get(self) -> f32 {
                self.0
            }
        }

        impl TryFrom<f32> for $type {
            type Error = OutOfBounds;
            fn try_from(value: f32) -> Result<Self, OutOfBounds> {
                Self::try_new(value)
            }
        }

        impl From<$type> for f32 {
            fn from(number: $type) -> f32 {
                number.0
            }
        }
    )*};
}

checked_numbers! {
    /// ε of PPO's clipped objectives.
    ClipRange = "clip range", v => v > 0.0 && v < 1.0, "above 0 and below 1";
    /// Bound on the policy loss of tokens with a negative advantage (dual clip).
    DualClip = "dual clip", v => v > 1.0 && v.is_finite(), "above 1 and finite";
    /// γ: how much a reward one token later counts.
    Discount = "discount", v => v >= 0.0 && v <= 1.0, "from 0 to 1";
    /// λ of generalized advantage estimation.
    GaeLambda = "GAE lambda", v => v >= 0.0 && v <= 1.0, "from 0 to 1";
    /// β: the weight of the KL term.
    KlCoefficient = "KL coefficient", v => v >= 0.0 && v.is_finite(), "at least 0 and finite";
    /// A target for the KL divergence per response, in nats.
    KlTarget = "KL target", v => v > 0.0 && v.is_finite(), "above 0 and finite";
    /// Step size of the optimizer.
    LearningRate = "learning rate", v => v >= 0.0 && v < 1.0, "at least 0 and below 1";
    /// AdamW's decoupled weight decay.
    WeightDecay = "weight decay", v => v >= 0.0 && v < 1.0, "at least 0 and below 1";
    /// β₁ or β₂ of AdamW: how much of a moment's mean stays at each update.
    MomentDecay = "moment decay", v => v >= 0.0 && v < 1.0, "at least 0 and below 1";
    /// What AdamW adds to the root of the second moment, so that no step divides by 0.
    AdamEpsilon = "AdamW's epsilon", v => v > 0.0 && v.is_finite(), "above 0 and finite";
    /// α of adapters of low rank: what they add is multiplied by α over the rank.
    LoraAlpha = "LoRA's alpha", v => v > 0.0 && v.is_finite(), "above 0 and finite";
    /// Bound on the norm of the whole gradient.
    GradientNorm = "gradient norm bound", v => v > 0.0 && v.is_finite(), "above 0 and finite";
    /// Logits are divided by it before the softmax.
    Temperature = "temperature", v => v > 0.0 && v <= 100.0, "above 0 and at most 100";
    /// Nucleus sampling keeps the most likely tokens that together reach this probability.
    TopP = "top-p", v => v > 0.0 && v <= 1.0, "above 0 and at most 1";
    /// λ of the dense reward (equation 3).
    RewardWeight = "reward weight", v => v >= 0.0 && v <= 1.0, "from 0 to 1";
    /// What a failing response's outcome reward stays below, where tests are counted.
    RewardCeiling = "reward ceiling", v => v > 0.0 && v <= 1.0, "above 0 and at most 1";
    /// What a response that was cut at the length limit loses.
    LengthPenalty = "length penalty", v => v >= 0.0 && v.is_finite(), "at least 0 and finite";
    /// A coefficient of an additional loss term.
    LossWeight = "loss weight", v => v >= 0.0 && v.is_finite(), "at least 0 and finite";
    /// The bias of a scalar head: what a critic says of everything before it has learned.
    HeadBias = "head bias", v => v.is_finite(), "finite";
    /// A share of a whole.
    Fraction = "fraction", v => v >= 0.0 && v <= 1.0, "from 0 to 1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinity_are_out_of_every_bounds() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(ClipRange::try_new(bad).is_err());
            assert!(DualClip::try_new(bad).is_err());
            assert!(KlCoefficient::try_new(bad).is_err());
            assert!(Temperature::try_new(bad).is_err());
            assert!(LearningRate::try_new(bad).is_err());
        }
    }

    #[test]
    fn a_config_value_is_checked() {
        let error = serde_json::from_str::<Discount>("1.01").unwrap_err();
        assert!(error.to_string().starts_with("discount 1.01 is out of bounds: it must be from 0 to 1"));
        assert_eq!(serde_json::from_str::<Discount>("1").unwrap().get(), 1.0);
    }
}
