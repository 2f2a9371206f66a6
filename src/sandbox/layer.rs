//! [`Layer`], and which of them hold.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A layer of the sandbox; the [module](super) says what each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layer {
    /// Own users, processes, mounts, network, IPC and host name.
    Namespaces,
    /// A read-only root with a private `/tmp`.
    Root,
    /// Limits that the kernel holds for each process.
    Rlimits,
    /// Filtered system calls.
    Seccomp,
    /// Rules on files and TCP beside the mounts.
    Landlock,
    /// Limits of memory and number of all processes together.
    Cgroups,
}

impl Layer {
    /// All layers.
    pub const ALL: [Self; 6] =
        [Self::Namespaces, Self::Root, Self::Rlimits, Self::Seccomp, Self::Landlock, Self::Cgroups];
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Root => "root",
            Self::Rlimits => "rlimits",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Cgroups => "cgroups",
        })
    }
}

/// The layers that a sandbox has. Displayed, it says of each whether it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers(pub(super) BTreeSet<Layer>);

impl Layers {
    /// Whether `layer` holds.
    pub fn has(&self, layer: Layer) -> bool {
        self.0.contains(&layer)
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |has| {
            let of = Layer::ALL.iter().filter(|layer| self.has(**layer) == has).map(Layer::to_string);
            of.collect::<Vec<_>>().join(", ")
        };
        let missing = list(false);
        write!(f, "sandbox: {} hold", list(true))?;
        if missing.is_empty() { Ok(()) } else { write!(f, "; {missing} do not") }
    }
}
