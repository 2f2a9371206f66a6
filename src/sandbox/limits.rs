//! [`Limits`]: what one program may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SandboxError;

/// What one run of a program may use.
///
/// ```
/// use pspo::sandbox::Limits;
///
/// let limits = Limits { memory_bytes: 256 << 20, ..Limits::default() };
/// limits.check()?;
/// assert!(Limits { wall_seconds: 0.0, ..limits }.check().is_err());
/// # Ok::<(), pspo::sandbox::SandboxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Seconds of processor time that each process may take; the kernel counts whole seconds, so it is rounded
    /// up. Above 0, at most 3600.
    pub cpu_seconds: f64,
    /// Seconds by the clock: wider than `cpu_seconds`, so that a program is not punished for a busy machine.
    /// Above 0, at most 3600.
    pub wall_seconds: f64,
    /// Bytes of address space of each process, at least 16 MiB. With a control group also the bytes that all
    /// of them hold together.
    pub memory_bytes: u64,
    /// Processes and threads at a time, at least 1.
    pub processes: u32,
    /// Bytes that it may write to each of standard output and standard error, at least 1.
    pub output_bytes: usize,
    /// Bytes of its private folder, all files together; at least 64 KiB. Held in memory.
    pub disk_bytes: u64,
    /// Open files of each process, at least 16.
    pub open_files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_seconds: 3.0,
            wall_seconds: 6.0,
            memory_bytes: 1 << 30,
            processes: 32,
            output_bytes: 4 << 20,
            disk_bytes: 64 << 20,
            open_files: 128,
        }
    }
}

impl Limits {
    /// Checks that every limit is one that can be held.
    ///
    /// # Errors
    /// Names the first that cannot, and what would be valid.
    pub fn check(&self) -> Result<(), SandboxError> {
        let seconds = |seconds: f64| seconds > 0.0 && seconds <= 3600.0;
        let wrong = |name, value: &dyn std::fmt::Display, valid| {
            Err(SandboxError::Limit { name, value: value.to_string(), valid })
        };
        if !seconds(self.cpu_seconds) {
            return wrong("cpu_seconds", &self.cpu_seconds, "above 0 and at most 3600");
        }
        if !seconds(self.wall_seconds) {
            return wrong("wall_seconds", &self.wall_seconds, "above 0 and at most 3600");
        }
        if !(16 << 20..=1 << 46).contains(&self.memory_bytes) {
            return wrong("memory_bytes", &self.memory_bytes, "from 16777216 (16 MiB) to 64 TiB");
        }
        if !(1..=30_000).contains(&self.processes) {
            return wrong("processes", &self.processes, "from 1 to 30000");
        }
        if self.output_bytes == 0 {
            return wrong("output_bytes", &self.output_bytes, "at least 1");
        }
        if !(64 << 10..=1 << 46).contains(&self.disk_bytes) {
            return wrong("disk_bytes", &self.disk_bytes, "from 65536 (64 KiB) to 64 TiB");
        }
        if !(16..=65_536).contains(&self.open_files) {
            return wrong("open_files", &self.open_files, "from 16 to 65536");
        }
        Ok(())
    }

    /// How long a run may take by the clock.
    pub fn wall(&self) -> Duration {
        Duration::from_secs_f64(self.wall_seconds)
    }

    /// `cpu_seconds` as the kernel counts them, rounded up.
    pub fn whole_cpu_seconds(&self) -> u64 {
        self.cpu_seconds.ceil() as u64
    }
}
