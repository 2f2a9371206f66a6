//! Control groups: memory and number of a program's processes together, where we may make groups.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::confine::OWN_TASKS;
use super::{Limits, SandboxError};

/// Memory of the sandbox's own processes.
const OWN_BYTES: u64 = 64 << 20;

/// Where groups can be made.
#[derive(Debug)]
pub(super) struct Cgroups {
    memory: Controller,
    pids: Controller,
}

#[derive(Debug)]
struct Controller {
    folder: PathBuf,
    unified: bool,
}

/// The number of groups that this process has made: their names differ.
static MADE: AtomicU64 = AtomicU64::new(0);

impl Cgroups {
    /// Finds where groups can be made, by making one.
    pub fn find() -> Result<Self, String> {
        let own =
            fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
        let root = Path::new("/sys/fs/cgroup");
        let controller = |name: &str| {
            // `4:memory:/path` in version 1, `0::/path` in version 2
            let mut lines = own.lines().filter_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                Some((parts.next()?, parts.next()?.trim_start_matches('/')))
            });
            let version_1 = lines.clone().find(|(names, _)| names.split(',').any(|other| other == name));
            let (folder, unified) = match version_1 {
                Some((names, path)) => (root.join(names).join(path), false),
                None => match lines.find(|(names, _)| names.is_empty()) {
                    Some((_, path)) => (root.join(path), true),
                    None => return Err(format!("no control group with the controller `{name}`")),
                },
            };
            remove_abandoned(&folder);
            Ok(Controller { folder, unified })
        };
        let cgroups = Self { memory: controller("memory")?, pids: controller("pids")? };
        cgroups.make(&Limits::default()).map_err(|error| error.to_string())?;
        Ok(cgroups)
    }

    /// Makes a group with these limits.
    pub fn make(&self, limits: &Limits) -> Result<Cgroup, SandboxError> {
        let name = format!("pspo-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let mut cgroup = Cgroup { folders: vec![], joins: vec![], events: None };
        let memory = limits.memory_bytes.saturating_add(limits.disk_bytes).saturating_add(OWN_BYTES);
        // The limit of each user's processes, which the program notices, comes first.
        let tasks = u64::from(limits.processes) + 2 * OWN_TASKS;
        let files = [
            (&self.memory, "memory.limit_in_bytes", "memory.max", memory),
            (&self.pids, "pids.max", "pids.max", tasks),
        ];
        for (controller, version_1, version_2, value) in files {
            let folder = controller.folder.join(&name);
            if cgroup.folders.contains(&folder) {
                fs::write(folder.join(version_2), value.to_string())?;
                continue;
            }
            fs::create_dir(&folder)?;
            cgroup.folders.push(folder.clone());
            fs::write(
                folder.join(if controller.unified { version_2 } else { version_1 }),
                value.to_string(),
            )?;
            cgroup.joins.push(OpenOptions::new().write(true).open(folder.join("cgroup.procs"))?);
        }
        let memory = &self.memory;
        let events = if memory.unified { "memory.events" } else { "memory.oom_control" };
        cgroup.events = Some(memory.folder.join(&name).join(events));
        Ok(cgroup)
    }
}

/// Removes groups of runs that were killed.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid =
            name.to_str().and_then(|name| name.strip_prefix("pspo-")?.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // One that still holds processes stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// A group. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct Cgroup {
    folders: Vec<PathBuf>,
    joins: Vec<File>,
    events: Option<PathBuf>,
}

impl Cgroup {
    /// What a process writes "0" to, to join.
    pub fn joins(&self) -> Vec<BorrowedFd<'_>> {
        self.joins.iter().map(AsFd::as_fd).collect()
    }

    /// Processes that the kernel killed because the group held too much memory.
    pub fn killed(&self) -> u64 {
        let events = self.events.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.and_then(|killed| killed.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // A process that has just ended may still be listed.
            for _ in 0..50 {
                match fs::remove_dir(folder) {
                    Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    _ => break,
                }
            }
        }
    }
}
