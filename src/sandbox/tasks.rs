//! How many processes and threads there are below a process, as `/proc` tells.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

/// The process that a pidfd stands for, as this process numbers it.
pub(super) fn pid_of(pidfd: &OwnedFd) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    field(&info, "Pid:")
}

/// The threads of a process.
pub(super) fn of(pid: u32) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    field(&status, "Threads:").map(|threads| threads as usize)
}

/// The threads of all processes that descend from `root`, which is not counted. `None` where `/proc` cannot be
/// read.
pub(super) fn below(root: u32) -> Option<usize> {
    let mut children: HashMap<u32, Vec<(u32, usize)>> = HashMap::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        if let (Some(parent), Some(threads)) = (field(&status, "PPid:"), field(&status, "Threads:")) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_of_children_count() {
        let own = std::process::id();
        assert!(of(own).unwrap() >= 1);
        let mut shell = std::process::Command::new("/bin/sh");
        // The shell ends with its standard input, which ends with the drop of its pipe.
        let mut child =
            shell.args(["-c", "cat & cat; wait"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while below(child.id()).unwrap() < 1 {
            assert!(std::time::Instant::now() < until, "the shell's child is not seen");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(below(own).unwrap() >= 2);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
