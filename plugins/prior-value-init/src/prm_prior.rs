//! [`PrmPrior`]: a critic that starts as the PRM, at the policy's level.

use pspo::data::numbers::Fraction;
use pspo::data::{LayoutError, Parameters};
use pspo::plugin::{ValueInit, ValueInitConfig, ValueInitError, ValueSources};
use pspo::value::{FromPrm, at_level};
use serde::{Deserialize, Serialize};

pspo::card! {
    kind: ValueInit,
    name: "prm_prior",
    summary: "A copy of the PRM with its scores s moved to p (1 + s), where the policy's pass rate is p.",
    example: "type = \"prm_prior\"\npass_rate = 0.02",
}

/// A critic that says p (1 + s) where the PRM says s: 0 where it is sure that nothing can pass any more, 2p where it is
/// sure that something can.
///
/// [`FromPrm`] with `rescale` is the same for p = ½. The head must say the score, as that of a PRM does that was trained
/// with squared errors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrmPrior {
    /// p, the share of responses that pass of the policy that training starts from.
    pub pass_rate: Fraction,
}

impl PrmPrior {
    /// From p = ½ to another, of a head, alone or behind a trunk.
    fn of_half(&self, half: Parameters) -> Result<Parameters, LayoutError> {
        at_level(half, 2.0 * f64::from(self.pass_rate.get()), 0.0)
    }
}

impl ValueInit for PrmPrior {
    fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        Ok(self.of_half(FromPrm { rescale: true }.init(sources)?)?)
    }

    fn head_on_prm(&self, prm: &Parameters) -> Option<Parameters> {
        self.of_half(FromPrm { rescale: true }.head_on_prm(prm)?).ok()
    }
}

#[typetag::serde(name = "prm_prior")]
impl ValueInitConfig for PrmPrior {
    fn build(&self) -> Result<Box<dyn ValueInit>, ValueInitError> {
        Ok(Box::new(*self))
    }
}
