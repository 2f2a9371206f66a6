//! Into namespaces of its own, as nobody.

use super::call::{Argument, Calls};
use super::{SandboxError, root};
use std::path::PathBuf;

/// The user and group that a program finds itself to be.
const INNER_ID: u32 = 1000;

/// Whom programs run as where we are root, and could be anyone.
const NOBODY: u32 = 65_534;

/// The calls that lead into new namespaces and a new root. Only root needs to become somebody else first; it
/// puts the root together before that, so that `extra` folders need not be open to everyone.
pub(super) fn enter(calls: &mut Calls, extra: &[PathBuf], disk_bytes: u64) -> Result<(), SandboxError> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let proc =
        calls.push("open /proc", libc::SYS_openat, [libc::AT_FDCWD.into(), "/proc".into(), flags.into()]);
    // Should the host run out of memory, a program goes first. All that follows inherits it.
    write(calls, proc, "self/oom_score_adj", "1000", true);
    let all = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    let unshare = |calls: &mut Calls, what: &str, flags: i32| {
        calls.push(what, libc::SYS_unshare, [flags.into()]);
    };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if uid == 0 {
        unshare(calls, "make a mount namespace", libc::CLONE_NEWNS);
        root::enter(calls, extra, disk_bytes)?;
        calls.push("leave all groups", libc::SYS_setgroups, [0.into(), 0.into()]);
        calls.push("become nobody's group", libc::SYS_setresgid, [NOBODY; 3].map(Argument::from));
        calls.push("become nobody", libc::SYS_setresuid, [NOBODY; 3].map(Argument::from));
        // Without this, who changed its user may not write its own maps.
        calls.push(
            "own its own files in /proc",
            libc::SYS_prctl,
            [libc::PR_SET_DUMPABLE, 1, 0, 0, 0].map(Argument::from),
        );
        unshare(calls, "make namespaces", all);
        map(calls, proc, NOBODY, NOBODY);
    } else {
        unshare(calls, "make namespaces", all);
        map(calls, proc, uid, gid);
        root::enter(calls, extra, disk_bytes)?;
    }
    calls.push("close /proc", libc::SYS_close, [Argument::Result(proc)]);
    Ok(())
}

/// Makes `uid` and `gid` of outside the only user and group within.
fn map(calls: &mut Calls, proc: usize, uid: u32, gid: u32) {
    write(calls, proc, "self/setgroups", "deny", false);
    write(calls, proc, "self/uid_map", &format!("{INNER_ID} {uid} 1"), false);
    write(calls, proc, "self/gid_map", &format!("{INNER_ID} {gid} 1"), false);
}

fn write(calls: &mut Calls, folder: usize, path: &str, text: &str, optional: bool) {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    let mut push = |what: String, number: i64, arguments: [Argument; 3]| {
        if optional {
            calls.push_optional(what, number, arguments)
        } else {
            calls.push(what, number, arguments)
        }
    };
    let file = push(
        format!("open /proc/{path}"),
        libc::SYS_openat,
        [Argument::Result(folder), path.into(), flags.into()],
    );
    let length = i64::try_from(text.len()).expect("a short text");
    push(
        format!("write {text:?} to /proc/{path}"),
        libc::SYS_write,
        [Argument::Result(file), text.into(), length.into()],
    );
    push("close it".into(), libc::SYS_close, [Argument::Result(file), 0.into(), 0.into()]);
}
