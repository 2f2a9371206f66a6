//! [`FromPrm`]: the paper's ValueInit, a critic that starts as the PRM.

use serde::{Deserialize, Serialize};

use crate::data::{LayoutError, Parameters};
use crate::plugin::value_init::{HEAD_BIAS, HEAD_WEIGHT};
use crate::plugin::{ValueInit, ValueInitConfig, ValueInitError, ValueSources};

crate::card! {
    kind: ValueInit,
    name: "from_prm",
    summary: "A copy of the PRM, as it is or with its scores in [-1, 1] moved to probabilities in [0, 1].",
    example: "type = \"from_prm\"\nrescale = true",
}

/// A copy of the PRM's trunk and head.
///
/// A PRM that was trained with adapters shares its trunk with the critic where it can, and the critic's training goes on
/// with them ([`ValueInit::head_on_prm`]).
///
/// Both ways suppose a PRM whose head says its score. Trained with cross-entropy, the head says the
/// score's logit, on which the copy then starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FromPrm {
    /// w ← w/2 and b ← b/2 + ½ in the head. A score near 2p − 1, where p is the probability to pass,
    /// becomes a value near p, which is what a return is near. The paper copies.
    pub rescale: bool,
}

impl FromPrm {
    /// Of a head, alone or behind a trunk.
    fn of(&self, prm: &Parameters) -> Result<Parameters, LayoutError> {
        if self.rescale { at_level(prm.clone(), 0.5, 0.5) } else { Ok(prm.clone()) }
    }
}

/// A model, or a head alone, that says `scale` · number + `shift` where the given one says a number.
///
/// # Errors
/// If it has no head.
pub fn at_level(mut model: Parameters, scale: f64, shift: f64) -> Result<Parameters, LayoutError> {
    let moved = |number: f32, shift: f64| (scale * f64::from(number) + shift) as f32;
    model.tensor_mut(HEAD_WEIGHT)?.iter_mut().for_each(|weight| *weight = moved(*weight, 0.0));
    model.tensor_mut(HEAD_BIAS)?.iter_mut().for_each(|bias| *bias = moved(*bias, shift));
    Ok(model)
}

impl ValueInit for FromPrm {
    fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        let prm = sources.prm.ok_or(ValueInitError::NoPrm)?;
        prm.layout().must_equal(sources.layout)?;
        Ok(self.of(prm)?)
    }

    fn head_on_prm(&self, prm: &Parameters) -> Option<Parameters> {
        self.of(prm).ok()
    }
}

#[typetag::serde(name = "from_prm")]
impl ValueInitConfig for FromPrm {
    fn build(&self) -> Result<Box<dyn ValueInit>, ValueInitError> {
        Ok(Box::new(*self))
    }
}
