//! Runs programs that nobody trusts: in namespaces of their own, with a file system that holds nothing, within
//! limits, and without a way back.
//!
//! A program comes from a model that is rewarded for breaking its verifier. [`Sandbox`] is what verifiers that
//! start processes share. It is made of layers, each of which is to hold alone:
//!
//! | layer | what it does |
//! |---|---|
//! | [`Layer::Namespaces`] | own users, processes, mounts, network, IPC and host name: other processes, and the network, are not there |
//! | [`Layer::Root`] | `/usr` and the like read-only, a few devices, an empty `/tmp` of bounded size in memory; no `/proc`, no home |
//! | [`Layer::Rlimits`] | memory, processor time, processes, files, per process; no core dumps |
//! | [`Layer::Seccomp`] | only system calls that plain programs need; sockets and the like are refused, `ptrace` and the like kill |
//! | [`Layer::Landlock`] | writing beneath `/tmp` alone, whatever the mounts say; used where the kernel offers it |
//! | [`Layer::Cgroups`] | memory and number of all processes together; used where a control group can be made |
//!
//! Without the first four nothing is run: [`SandboxError::MissingLayer`] says which is missing. The last two are
//! used where they can be had, and a config can require them. Time, output and the end are ours: who runs over the
//! limit by the clock, or writes too much, is killed with all that it started.
//!
#![doc = include_str!("stops.md")]

mod call;
mod cgroup;
mod channel;
mod confine;
mod error;
mod fork_server;
mod landlock;
mod layer;
mod limits;
mod namespaces;
mod program;
mod root;
mod running;
mod seccomp;
mod spawn;
mod tasks;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use channel::{Channel, Heard, Incoming};
pub use error::SandboxError;
pub use fork_server::{ForkServer, Group, send_with_descriptors};
pub use layer::{Layer, Layers};
pub use limits::Limits;
pub use program::{InnerFile, Program};
pub use running::{Ended, Event, Running, Watch};

use call::Calls;
use cgroup::Cgroups;
use seccomp::Filters;
use spawn::Listed;

/// What a [`Sandbox`] is made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// What a program may use.
    pub limits: Limits,
    /// Layers without which nothing is run, beside the four that are never done without.
    pub require: BTreeSet<Layer>,
    /// Folders and files of the host that programs can read beside `/usr` and the like.
    pub readable: Vec<PathBuf>,
}

/// Where programs run. Cheap to clone; clones share what was prepared.
///
/// ```
/// use pspo::sandbox::{Event, Program, Sandbox, SandboxConfig};
///
/// let sandbox = Sandbox::new(SandboxConfig::default())?;
/// let echo = Program::new("/bin/sh").args(["-c", "echo hello; id -u; cat /etc/passwd"]);
/// let (event, ended) = sandbox.start(&echo)?.wait_to_end()?;
/// assert_eq!(event, Event::Ended);
/// assert_eq!(ended.stdout, b"hello\n1000\n");
/// assert!(!ended.status.unwrap().success()); // there is no /etc/passwd
/// # Ok::<(), pspo::sandbox::SandboxError>(())
/// ```
#[derive(Clone)]
pub struct Sandbox {
    config: SandboxConfig,
    layers: Layers,
    /// What the supervisor does; the same for every program.
    enter: Arc<Listed>,
    /// What a program does before it is one.
    confine: Arc<Listed>,
    cgroups: Option<Arc<Cgroups>>,
}

impl Sandbox {
    /// Prepares a sandbox, and tries it.
    ///
    /// # Errors
    /// If a limit is out of its bounds, or a layer cannot be had that is required.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        config.limits.check()?;
        let mut layers = BTreeSet::from([Layer::Namespaces, Layer::Root, Layer::Rlimits, Layer::Seccomp]);
        let landlock = landlock::version();
        if landlock > 0 {
            layers.insert(Layer::Landlock);
        }
        let cgroups = match Cgroups::find() {
            Ok(cgroups) => {
                layers.insert(Layer::Cgroups);
                Some(Arc::new(cgroups))
            }
            Err(why) if config.require.contains(&Layer::Cgroups) => {
                return Err(SandboxError::MissingLayer { layer: Layer::Cgroups, why });
            }
            Err(_) => None,
        };
        if landlock == 0 && config.require.contains(&Layer::Landlock) {
            let why = "the kernel has no Landlock, or it is turned off".into();
            return Err(SandboxError::MissingLayer { layer: Layer::Landlock, why });
        }

        let mut enter = Calls::default();
        namespaces::enter(&mut enter, &config.readable, config.limits.disk_bytes)?;
        let confine = confined(config.limits.whole_cpu_seconds(), &config.limits, Filters::All)?;
        let (enter, confine) = (Arc::new(enter.into()), Arc::new(confine.into()));
        let sandbox = Self { config, layers: Layers(layers), enter, confine, cgroups };
        sandbox.try_out()?;
        Ok(sandbox)
    }

    /// The layers that hold.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// What a program may use.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// Starts a program that does nothing, to see which layer fails if one does.
    fn try_out(&self) -> Result<(), SandboxError> {
        self.start(&Program::new("/bin/true"))?.wait_to_end().map(drop)
    }
}

/// What a program does before it is one, and then cannot undo.
fn confined(cpu_seconds: u64, limits: &Limits, filters: Filters) -> Result<Calls, SandboxError> {
    let mut calls = Calls::default();
    confine::limit(&mut calls, cpu_seconds, limits);
    confine::drop_privileges(&mut calls);
    landlock::restrict(&mut calls, landlock::version());
    seccomp::filter(&mut calls, filters)?;
    Ok(calls)
}

#[cfg(test)]
mod tests;
