//! What a process gives up for good before it becomes the program: capabilities, resources, and the way back.

use super::Limits;
use super::call::{Argument, Calls};

/// Tasks of the sandbox itself that the kernel counts with the program's: supervisor, server, keepers.
pub(super) const OWN_TASKS: u64 = 8;

/// `_LINUX_CAPABILITY_VERSION_3`
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CAP_SYS_ADMIN: u32 = 21;

/// Bytes of stack that the main thread may grow to.
const STACK_BYTES: u64 = 64 << 20;

/// The calls that set the limits which the kernel holds for each process.
pub(super) fn limit(calls: &mut Calls, cpu_seconds: u64, limits: &Limits) {
    for (what, resource, value) in [
        ("limit the address space", libc::RLIMIT_AS, limits.memory_bytes),
        ("limit the processor time", libc::RLIMIT_CPU, cpu_seconds),
        ("limit the size of files", libc::RLIMIT_FSIZE, limits.disk_bytes),
        ("limit the number of processes", libc::RLIMIT_NPROC, u64::from(limits.processes) + OWN_TASKS),
        ("limit the number of open files", libc::RLIMIT_NOFILE, limits.open_files.into()),
        ("limit the stack", libc::RLIMIT_STACK, STACK_BYTES),
        ("forbid core dumps", libc::RLIMIT_CORE, 0),
        ("forbid message queues", libc::RLIMIT_MSGQUEUE, 0),
        ("forbid locked memory", libc::RLIMIT_MEMLOCK, 0),
    ] {
        set_limit(calls, what, resource, value);
    }
}

/// The calls that drop all capabilities and forbid to gain any.
pub(super) fn drop_privileges(calls: &mut Calls) {
    // It fails for who leads a session already.
    calls.push_optional("leave the session", libc::SYS_setsid, []);
    capabilities(calls, "drop all capabilities", 0, false);
    calls.push(
        "forbid new privileges",
        libc::SYS_prctl,
        [libc::PR_SET_NO_NEW_PRIVS.into(), 1.into(), 0.into(), 0.into(), 0.into()],
    );
}

/// The calls by which a fork server keeps, beyond `exec`, what it needs to start programs in namespaces of
/// their own.
pub(super) fn keep_admin(calls: &mut Calls) {
    capabilities(calls, "keep one capability", 1 << CAP_SYS_ADMIN, true);
    let raise = [libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN.cast_signed(), 0, 0];
    calls.push("keep it beyond exec", libc::SYS_prctl, raise.map(Argument::from));
}

fn capabilities(calls: &mut Calls, what: &str, set: u32, inheritable: bool) {
    // struct { u32 version; int pid; }, and two of struct { u32 effective, permitted, inheritable; }: the low
    // 32 capabilities and the high ones.
    let header = [CAPABILITY_VERSION.to_ne_bytes(), 0u32.to_ne_bytes()].concat();
    let inherited = if inheritable { set } else { 0 };
    let data = [set, set, inherited, 0, 0, 0].map(u32::to_ne_bytes).concat();
    let bytes = |bytes| Argument::Bytes { bytes, patches: Vec::new() };
    calls.push(what, libc::SYS_capset, [bytes(header), bytes(data)]);
}

/// The call that sets how far the stack of the main thread may grow, which counts from the next `exec` on.
pub(super) fn limit_stack(calls: &mut Calls) {
    set_limit(calls, "limit the stack", libc::RLIMIT_STACK, STACK_BYTES);
}

fn set_limit(calls: &mut Calls, what: &str, resource: libc::__rlimit_resource_t, value: u64) {
    // struct rlimit64 { u64 soft, hard; }
    let bytes = [value.to_ne_bytes(), value.to_ne_bytes()].concat();
    let pair = Argument::Bytes { bytes, patches: Vec::new() };
    calls.push(what, libc::SYS_prlimit64, [0.into(), i64::from(resource).into(), pair, 0.into()]);
}
