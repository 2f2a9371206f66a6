//! [`Prior`]: a critic that says one return of everything.

use pspo::data::Parameters;
use pspo::data::numbers::HeadBias;
use pspo::plugin::{ValueInit, ValueInitConfig, ValueInitError, ValueSources};
use pspo::value::FromPolicy;
use serde::{Deserialize, Serialize};

pspo::card! {
    kind: ValueInit,
    name: "prior",
    summary: "The policy's trunk and a head that says the return to expect, such as the policy's pass rate.",
    example: "type = \"prior\"\nexpected_return = 0.3",
}

/// A critic that says `expected_return` of everything before the first update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prior {
    /// The mean return of the policy that training starts from: its pass rate where the reward is
    /// that of unit tests.
    pub expected_return: HeadBias,
}

impl ValueInit for Prior {
    fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        FromPolicy { bias: self.expected_return }.init(sources)
    }
}

#[typetag::serde(name = "prior")]
impl ValueInitConfig for Prior {
    fn build(&self) -> Result<Box<dyn ValueInit>, ValueInitError> {
        Ok(Box::new(*self))
    }
}
