//! [`KlControl`]: a coefficient of the KL term that stays, or one that adapts.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};

use crate::data::numbers::KlCoefficient;
use crate::reward::AdaptiveKl;

/// The coefficient of the KL term in the reward. In a config file a number is β, and a table with
/// `coefficient`, `target` and `horizon` a β that follows a target.
///
/// ```
/// use pspo::trainer::KlControl;
///
/// let error = serde_json::from_str::<KlControl>("-1").unwrap_err();
/// assert_eq!(
///     error.to_string().split(" at line").next().unwrap(),
///     "KL coefficient -1 is out of bounds: it must be at least 0 and finite",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum KlControl {
    /// The same β throughout.
    Fixed(KlCoefficient),
    /// β follows a target.
    Adaptive(AdaptiveKl),
}

impl KlControl {
    pub(super) fn coefficient(&self) -> KlCoefficient {
        match self {
            Self::Fixed(coefficient) => *coefficient,
            Self::Adaptive(adaptive) => adaptive.coefficient(),
        }
    }
}

/// By hand, since of an untagged enum serde says only that no variant matched, not what was wrong.
impl<'de> Deserialize<'de> for KlControl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrTable)
    }
}

struct NumberOrTable;

impl<'de> Visitor<'de> for NumberOrTable {
    type Value = KlControl;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a KL coefficient, or a table with `coefficient`, `target` and `horizon`")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<KlControl, E> {
        KlCoefficient::try_new(value as f32).map(KlControl::Fixed).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<KlControl, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<KlControl, E> {
        self.visit_f64(value as f64)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<KlControl, A::Error> {
        AdaptiveKl::deserialize(MapAccessDeserializer::new(table)).map(KlControl::Adaptive)
    }
}
