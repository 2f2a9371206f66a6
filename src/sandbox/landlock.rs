//! Landlock: files beneath `/tmp` may be changed and nothing else, whatever the mounts say; no TCP.

use super::call::{Argument, Calls};
use std::path::Path;

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: i64 = 1;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const TRUNCATE: u64 = 1 << 14;

/// The version of Landlock's interface that the kernel offers; 0 where it offers none.
pub(super) fn version() -> u32 {
    // SAFETY: with this flag the call reads no memory and returns a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0usize, 0usize, CREATE_RULESET_VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// The rights over files that each version knows: those before it and its own.
fn file_rights(version: u32) -> u64 {
    match version {
        0 => 0,
        1 => (1 << 13) - 1,
        2 => (1 << 14) - 1,
        3 | 4 => (1 << 15) - 1,
        // the use of devices' own controls
        _ => (1 << 16) - 1,
    }
}

/// The calls that put the rules on. Without Landlock, none.
pub(super) fn restrict(calls: &mut Calls, version: u32) {
    if version == 0 {
        return;
    }
    let rights = file_rights(version);
    // struct landlock_ruleset_attr { u64 handled_access_fs, handled_access_net, scoped; }, longer by version
    let network: u64 = if version >= 4 { 0b11 } else { 0 };
    let scoped: u64 = if version >= 6 { 0b11 } else { 0 };
    let size = match version {
        ..=3 => 8,
        4 | 5 => 16,
        _ => 24,
    };
    let attributes = [rights, network, scoped].map(u64::to_ne_bytes).concat()[..size].to_vec();
    let attributes = Argument::Bytes { bytes: attributes, patches: Vec::new() };
    let size = Argument::from(i64::try_from(size).expect("at most 24"));
    let ruleset =
        calls.push("make Landlock rules", libc::SYS_landlock_create_ruleset, [attributes, size, 0.into()]);
    let mut allow = |path: &str, allowed: u64| {
        let flags = i64::from(libc::O_PATH | libc::O_CLOEXEC);
        let folder = calls.push(
            format!("open {path} for Landlock"),
            libc::SYS_openat,
            [libc::AT_FDCWD.into(), path.into(), flags.into()],
        );
        // struct landlock_path_beneath_attr { u64 allowed_access; i32 parent_fd; }, packed
        let mut bytes = (allowed & rights).to_ne_bytes().to_vec();
        bytes.extend([0; 4]);
        let rule = Argument::Bytes { bytes, patches: vec![(8, folder)] };
        calls.push(
            format!("allow {path} by Landlock"),
            libc::SYS_landlock_add_rule,
            [Argument::Result(ruleset), RULE_PATH_BENEATH.into(), rule, 0.into()],
        );
        calls.push("close it", libc::SYS_close, [Argument::Result(folder)]);
    };
    allow("/", EXECUTE | READ_FILE | READ_DIR);
    allow("/tmp", rights);
    for device in ["/dev/null", "/dev/zero", "/dev/full"].iter().filter(|device| Path::new(device).exists()) {
        allow(device, READ_FILE | WRITE_FILE | TRUNCATE);
    }
    calls.push("put Landlock on", libc::SYS_landlock_restrict_self, [Argument::Result(ruleset), 0.into()]);
    calls.push("close the rules", libc::SYS_close, [Argument::Result(ruleset)]);
}
