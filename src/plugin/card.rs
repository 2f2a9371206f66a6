//! Cards: what plugins there are in this binary, and how a config file names one.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

/// A plugin point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// [`StepSplitter`](super::StepSplitter)
    StepSplitter,
    /// [`Verifier`](super::Verifier)
    Verifier,
    /// [`Labeler`](super::Labeler)
    Labeler,
    /// [`ProcessRewardModel`](super::ProcessRewardModel)
    ProcessRewardModel,
    /// [`ValueInit`](super::ValueInit)
    ValueInit,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StepSplitter => "step splitter",
            Self::Verifier => "verifier",
            Self::Labeler => "labeler",
            Self::ProcessRewardModel => "process reward model",
            Self::ValueInit => "value initialization",
        })
    }
}

/// One implementation of a plugin point, as users see it.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// The plugin point.
    pub kind: Kind,
    /// The `type` in a config file.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// A config in TOML, complete.
    pub example: &'static str,
    /// The crate that brings it.
    pub krate: &'static str,
}

inventory::collect!(Card);

/// Tells users of an implementation: its plugin point, `type` name, summary and an example config.
///
/// ```
/// pspo::card! {
///     kind: Verifier,
///     name: "always_passes",
///     summary: "Passes every program; for tests of other parts.",
///     example: r#"type = "always_passes""#,
/// }
/// # fn main() {
/// assert!(pspo::plugin::cards().iter().any(|card| card.name == "always_passes"));
/// # }
/// ```
#[macro_export]
macro_rules! card {
    (kind: $kind:ident, name: $name:expr, summary: $summary:expr, example: $example:expr $(,)?) => {
        $crate::__inventory::submit! {
            $crate::plugin::Card {
                kind: $crate::plugin::Kind::$kind,
                name: $name,
                summary: $summary,
                example: $example,
                krate: env!("CARGO_PKG_NAME"),
            }
        }
    };
}

/// All cards in this binary, by plugin point and name.
///
/// A plugin crate that nothing in the program names is dropped by the linker together with its cards:
/// `use that_crate as _;` keeps it.
pub fn cards() -> Vec<&'static Card> {
    let mut cards: Vec<_> = inventory::iter::<Card>.into_iter().collect();
    cards.sort_by_key(|card| (card.kind, card.name));
    cards
}

/// A plugin that a config names cannot be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The config has no `type`.
    #[error("the {kind} has no `type`: it must be one of {known}")]
    NoType {
        /// The plugin point.
        kind: Kind,
        /// The names that exist.
        known: String,
    },
    /// No implementation in this binary has that name.
    #[error(
        "there is no {kind} named `{name}` in this program: known are {known}. If a crate brings it, \
         the program must name that crate: `use that_crate as _;`"
    )]
    UnknownName {
        /// The plugin point.
        kind: Kind,
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The implementation exists, but its config is wrong.
    #[error("the config of the {kind} `{name}` is wrong at `{key}`: {message}")]
    Config {
        /// The plugin point.
        kind: Kind,
        /// Its name.
        name: String,
        /// The key within its config; `.` where it is all of it, as when a key is missing.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// The config is right, but the thing could not be made.
    #[error("cannot build the {kind} `{name}`: {source}")]
    Build {
        /// The plugin point.
        kind: Kind,
        /// Its name.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Reads the config of a plugin, as `Box<dyn VerifierConfig>` and the like, from a table with a `type`.
///
/// ```
/// use pspo::plugin::{self, Kind, VerifierConfig};
///
/// let table = serde_json::json!({ "type": "no_such_verifier" });
/// let Err(error) = plugin::build::<Box<dyn VerifierConfig>>(Kind::Verifier, table) else { panic!() };
/// assert!(error.to_string().starts_with("there is no verifier named `no_such_verifier`"));
/// ```
///
/// # Errors
/// If there is no `type`, no implementation of that name (the error lists those there are), or a key
/// or value in the table is wrong (the error names it).
pub fn build<T: DeserializeOwned>(kind: Kind, table: Value) -> Result<T, PluginError> {
    let names: Vec<_> = cards().into_iter().filter(|card| card.kind == kind).map(|card| card.name).collect();
    let known = match names.as_slice() {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    let Some(name) = table.get("type").and_then(|name| name.as_str()).map(str::to_owned) else {
        return Err(PluginError::NoType { kind, known });
    };
    if !names.contains(&name.as_str()) {
        return Err(PluginError::UnknownName { kind, name, known });
    }
    read(kind, name, &table)
}

/// Reads the config of the plugin `name`, which exists.
fn read<T: DeserializeOwned>(kind: Kind, name: String, table: &Value) -> Result<T, PluginError> {
    T::deserialize(table).map_err(|error| {
        let message = error.to_string();
        let says = |table: &Value| T::deserialize(table).err().map(|error| error.to_string());
        let key = blamed(table, &message, &says).unwrap_or_else(|| ".".to_owned());
        PluginError::Config { kind, name, key, message }
    })
}

/// The key whose absence changes what is said of `table`. `typetag` reads a table before it knows whose it
/// is, so that the path at which reading it failed is lost.
fn blamed(table: &Value, message: &str, says: &dyn Fn(&Value) -> Option<String>) -> Option<String> {
    if message.starts_with("missing field") {
        return None; // it is no key's fault; the message names what is missing
    }
    let (key, value) = table.as_object()?.iter().filter(|(key, _)| *key != "type").find(|(key, _)| {
        let mut without = table.clone();
        without.as_object_mut().expect("it is one").remove(*key);
        says(&without).as_deref() != Some(message)
    })?;
    let says_within = |value: &Value| {
        let mut table = table.clone();
        table[key] = value.clone();
        says(&table)
    };
    match blamed(value, message, &says_within) {
        Some(within) => Some(format!("{key}.{within}")),
        None => Some(key.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::ValueInitConfig;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Picky {
        path: String,
        #[serde(default)]
        limits: Limits,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Limits {
        first: u8,
        second: u8,
    }

    #[typetag::serde(name = "picky_in_a_test")]
    impl ValueInitConfig for Picky {
        fn build(&self) -> Result<Box<dyn crate::plugin::ValueInit>, crate::plugin::ValueInitError> {
            Err(crate::plugin::ValueInitError::NoPrm)
        }
    }

    #[test]
    fn an_error_in_a_config_names_the_key() {
        let key = |mut table: Value| {
            table["type"] = json!("picky_in_a_test");
            match read::<Box<dyn ValueInitConfig>>(Kind::ValueInit, "picky".into(), &table).unwrap_err() {
                PluginError::Config { key, message, .. } => (key, message),
                other => panic!("{other}"),
            }
        };
        assert_eq!(key(json!({ "path": 3 })).0, "path");
        assert_eq!(key(json!({ "path": "p", "limits": 3 })).0, "limits");
        assert_eq!(key(json!({ "path": "p", "limits": { "first": 1, "second": 256 } })).0, "limits.second");
        let (at, message) = key(json!({ "path": "p", "limits": { "frist": 1 } }));
        assert_eq!(at, "limits.frist");
        assert!(message.contains("unknown field `frist`"), "{message}");
        assert_eq!(key(json!({ "limits": {} })), (".".to_owned(), "missing field `path`".to_owned()));
        assert_eq!(
            key(json!({ "path": 3, "limits": { "first": -1 } })).0,
            "limits.first",
            "the first of two"
        );
    }
}
