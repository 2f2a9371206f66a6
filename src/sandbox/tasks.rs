//! How many processes and threads run below a process, as `/proc` tells.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

/// The process that a pidfd stands for, as this process numbers it.
pub(super) fn pid_of(pidfd: &OwnedFd) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    field(&info, "Pid:")
}

/// Processes and threads that descend from process `root`, which is not counted, nor are keepers: children
/// that are process 1 of a namespace. `None` where `/proc` cannot be read.
pub(super) fn descendants(root: u32) -> Option<usize> {
    let mut children: HashMap<u32, Vec<(u32, usize)>> = HashMap::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let keeper = status.lines().find_map(|line| line.strip_prefix("NSpid:")).is_some_and(|pids| {
            pids.split_whitespace().count() > 1 && pids.split_whitespace().last() == Some("1")
        });
        let threads = if keeper { Some(0) } else { field(&status, "Threads:") };
        if let (Some(parent), Some(threads)) = (field(&status, "PPid:"), threads) {
            children.entry(parent).or_default().push((pid, threads as usize));
        }
    }
    let (mut count, mut open) = (0, vec![root]);
    while let Some(parent) = open.pop() {
        for (pid, threads) in children.remove(&parent).unwrap_or_default() {
            count += threads;
            open.push(pid);
        }
    }
    Some(count)
}

fn field(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}
