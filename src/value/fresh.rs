//! [`Fresh`]: a critic that starts from nothing.

use serde::{Deserialize, Serialize};

use crate::data::Parameters;
use crate::model::init;
use crate::plugin::{ValueInit, ValueInitConfig, ValueInitError, ValueSources};

crate::card! {
    kind: ValueInit,
    name: "fresh",
    summary: "A random trunk and a random head: the control for every other start.",
    example: "type = \"fresh\"",
}

/// A random trunk and head, drawn as for a model that is trained from nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fresh {}

impl ValueInit for Fresh {
    fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        let layers = sources.layout.iter().filter(|(name, ..)| name.ends_with(".qkv")).count();
        Ok(init::random(sources.layout.clone(), layers, sources.seed))
    }
}

#[typetag::serde(name = "fresh")]
impl ValueInitConfig for Fresh {
    fn build(&self) -> Result<Box<dyn ValueInit>, ValueInitError> {
        Ok(Box::new(*self))
    }
}
