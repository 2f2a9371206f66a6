//! [`FromPolicy`]: a critic that reads the policy's hidden states.

use serde::{Deserialize, Serialize};

use crate::data::Parameters;
use crate::data::numbers::HeadBias;
use crate::plugin::value_init::{HEAD_BIAS, TRUNK, head_layout};
use crate::plugin::{ValueInit, ValueInitConfig, ValueInitError, ValueSources};

crate::card! {
    kind: ValueInit,
    name: "from_policy",
    summary: "The policy's trunk and a head that says one number, `bias`, of everything.",
    example: "type = \"from_policy\"\nbias = 0.0",
}

/// A copy of the policy's trunk under a head of weight 0: every value is `bias` before the first update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FromPolicy {
    /// The value of everything before the first update.
    pub bias: HeadBias,
}

impl Default for FromPolicy {
    fn default() -> Self {
        Self { bias: const { HeadBias::new(0.0) } }
    }
}

impl ValueInit for FromPolicy {
    fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        let mut critic = Parameters::zeros(sources.layout.clone());
        critic.copy_prefix_from(sources.policy, TRUNK)?;
        critic.tensor_mut(HEAD_BIAS)?.fill(self.bias.get());
        Ok(critic)
    }

    fn head_on_policy(&self, width: usize) -> Option<Parameters> {
        let mut head = Parameters::zeros(head_layout(width));
        head.tensor_mut(HEAD_BIAS).expect("a head has a bias").fill(self.bias.get());
        Some(head)
    }
}

#[typetag::serde(name = "from_policy")]
impl ValueInitConfig for FromPolicy {
    fn build(&self) -> Result<Box<dyn ValueInit>, ValueInitError> {
        Ok(Box::new(*self))
    }
}
