//! Which system calls a program may make.
//!
//! Four filters, of which the kernel takes the strictest answer. What the first allows is what interpreters,
//! compilers and plain programs need; anything else does not exist for the program (`ENOSYS`), so that
//! libraries fall back to older calls. The second says `EPERM` to what an honest program may try without harm:
//! sockets, mounts, namespaces, to change another process. The third kills the program at calls that only serve
//! to get at other processes or the kernel; the verdict says so. The fourth says `EPERM` to what a sandbox is set up
//! with to its end, so that it alone has to be put on for each program that a fork server forks.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::SandboxError;
use super::call::{Argument, Calls};

/// Flags of `clone` that make namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // files
    libc::SYS_close, libc::SYS_close_range, libc::SYS_copy_file_range, libc::SYS_dup, libc::SYS_dup3,
    libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_fadvise64, libc::SYS_fallocate, libc::SYS_fchdir,
    libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_fcntl,
    libc::SYS_fdatasync, libc::SYS_fgetxattr, libc::SYS_flistxattr, libc::SYS_flock, libc::SYS_fstat,
    libc::SYS_fstatfs, libc::SYS_fsync, libc::SYS_ftruncate, libc::SYS_getcwd, libc::SYS_getdents64,
    libc::SYS_getxattr, libc::SYS_chdir, libc::SYS_ioctl, libc::SYS_lgetxattr, libc::SYS_linkat, libc::SYS_listxattr,
    libc::SYS_llistxattr, libc::SYS_lseek, libc::SYS_memfd_create, libc::SYS_mkdirat, libc::SYS_newfstatat,
    libc::SYS_openat, libc::SYS_openat2, libc::SYS_pipe2, libc::SYS_pread64, libc::SYS_preadv, libc::SYS_preadv2,
    libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_pwritev2, libc::SYS_read, libc::SYS_readahead,
    libc::SYS_readlinkat, libc::SYS_readv, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_sendfile,
    libc::SYS_splice, libc::SYS_statfs, libc::SYS_statx, libc::SYS_symlinkat, libc::SYS_sync_file_range,
    libc::SYS_tee, libc::SYS_truncate, libc::SYS_umask, libc::SYS_unlinkat, libc::SYS_utimensat,
    libc::SYS_vmsplice, libc::SYS_write, libc::SYS_writev,
    // memory
    libc::SYS_brk, libc::SYS_get_mempolicy, libc::SYS_madvise, libc::SYS_mincore, libc::SYS_mlock,
    libc::SYS_mlock2, libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_msync, libc::SYS_munlock,
    libc::SYS_munmap, libc::SYS_pkey_alloc, libc::SYS_pkey_free, libc::SYS_pkey_mprotect,
    // processes and threads, the program's own
    libc::SYS_execve, libc::SYS_execveat, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_futex, libc::SYS_capget,
    libc::SYS_capset, libc::SYS_get_robust_list, libc::SYS_getcpu, libc::SYS_getegid, libc::SYS_geteuid,
    libc::SYS_getgid, libc::SYS_getgroups, libc::SYS_getitimer, libc::SYS_getpgid, libc::SYS_getpid,
    libc::SYS_getppid, libc::SYS_getpriority, libc::SYS_getrandom, libc::SYS_getresgid, libc::SYS_getresuid,
    libc::SYS_getrusage, libc::SYS_getsid, libc::SYS_gettid, libc::SYS_getuid, libc::SYS_ioprio_get,
    libc::SYS_kill, libc::SYS_landlock_add_rule, libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_restrict_self, libc::SYS_membarrier, libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal,
    libc::SYS_prctl, libc::SYS_restart_syscall, libc::SYS_rseq, libc::SYS_rt_sigaction, libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_sigreturn, libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait, libc::SYS_rt_tgsigqueueinfo, libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min, libc::SYS_sched_getaffinity, libc::SYS_sched_getattr,
    libc::SYS_sched_getparam, libc::SYS_sched_getscheduler, libc::SYS_sched_rr_get_interval,
    libc::SYS_sched_yield, libc::SYS_seccomp, libc::SYS_set_robust_list, libc::SYS_set_tid_address,
    libc::SYS_setfsgid, libc::SYS_setfsuid, libc::SYS_setgid, libc::SYS_setgroups, libc::SYS_setitimer,
    libc::SYS_setpgid, libc::SYS_setregid, libc::SYS_setresgid, libc::SYS_setresuid, libc::SYS_setreuid,
    libc::SYS_setsid, libc::SYS_setuid, libc::SYS_sigaltstack, libc::SYS_sysinfo, libc::SYS_tgkill,
    libc::SYS_times, libc::SYS_tkill, libc::SYS_uname, libc::SYS_wait4, libc::SYS_waitid,
    // time
    libc::SYS_clock_getres, libc::SYS_clock_gettime, libc::SYS_clock_nanosleep, libc::SYS_gettimeofday,
    libc::SYS_nanosleep, libc::SYS_timer_create, libc::SYS_timer_delete, libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime, libc::SYS_timer_settime, libc::SYS_timerfd_create, libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    // waiting, and pairs of sockets within the program
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2, libc::SYS_getpeername, libc::SYS_getsockname, libc::SYS_getsockopt,
    libc::SYS_inotify_add_watch, libc::SYS_inotify_init1, libc::SYS_inotify_rm_watch, libc::SYS_ppoll,
    libc::SYS_pselect6, libc::SYS_recvfrom, libc::SYS_recvmmsg, libc::SYS_recvmsg, libc::SYS_sendmmsg,
    libc::SYS_sendmsg, libc::SYS_sendto, libc::SYS_setsockopt, libc::SYS_shutdown, libc::SYS_signalfd4,
    libc::SYS_socketpair,
];

/// Older forms of the above, which newer architectures do without.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[c_long] = &[
    libc::SYS_access, libc::SYS_alarm, libc::SYS_arch_prctl, libc::SYS_creat, libc::SYS_dup2, libc::SYS_chmod,
    libc::SYS_chown, libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_eventfd, libc::SYS_futimesat,
    libc::SYS_getdents, libc::SYS_getpgrp, libc::SYS_getrlimit, libc::SYS_inotify_init, libc::SYS_lchown,
    libc::SYS_link, libc::SYS_lstat, libc::SYS_mkdir, libc::SYS_open, libc::SYS_pause, libc::SYS_pipe,
    libc::SYS_poll, libc::SYS_readlink, libc::SYS_rename, libc::SYS_rmdir, libc::SYS_select,
    libc::SYS_setrlimit, libc::SYS_signalfd, libc::SYS_stat, libc::SYS_symlink, libc::SYS_time,
    libc::SYS_unlink, libc::SYS_utime, libc::SYS_utimes, libc::SYS_fork, libc::SYS_vfork,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[c_long] = &[];

#[rustfmt::skip]
const REFUSED: &[c_long] = &[
    libc::SYS_accept, libc::SYS_accept4, libc::SYS_acct, libc::SYS_adjtimex, libc::SYS_bind,
    libc::SYS_clock_adjtime, libc::SYS_clock_settime, libc::SYS_connect, libc::SYS_chroot, libc::SYS_fanotify_init,
    libc::SYS_fsopen, libc::SYS_fspick, libc::SYS_fsmount, libc::SYS_ioprio_set, libc::SYS_listen,
    libc::SYS_mbind, libc::SYS_mount_setattr, libc::SYS_move_mount, libc::SYS_move_pages, libc::SYS_mq_open,
    libc::SYS_msgget, libc::SYS_migrate_pages, libc::SYS_mknodat, libc::SYS_open_tree, libc::SYS_personality,
    libc::SYS_pivot_root, libc::SYS_quotactl, libc::SYS_sched_setattr, libc::SYS_semget, libc::SYS_set_mempolicy,
    libc::SYS_setdomainname, libc::SYS_sethostname, libc::SYS_setns, libc::SYS_settimeofday, libc::SYS_shmget,
    libc::SYS_socket, libc::SYS_swapoff, libc::SYS_swapon, libc::SYS_syslog, libc::SYS_umount2, libc::SYS_unshare,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[libc::SYS_mknod, libc::SYS_modify_ldt];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[];

#[rustfmt::skip]
const FORBIDDEN: &[c_long] = &[
    libc::SYS_add_key, libc::SYS_bpf, libc::SYS_delete_module, libc::SYS_finit_module, libc::SYS_init_module,
    libc::SYS_kcmp, libc::SYS_kexec_load, libc::SYS_keyctl, libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open, libc::SYS_pidfd_getfd, libc::SYS_process_madvise, libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev, libc::SYS_ptrace, libc::SYS_reboot, libc::SYS_request_key,
    libc::SYS_userfaultfd,
];

/// Calls that name a process by their first argument: allowed for the caller itself (0), refused for others.
const OF_THE_CALLER: &[c_long] = &[
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Some of the filters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Filters {
    All,
    /// The first three, under which a room can still be made for a program: for a fork server, whose programs inherit
    /// them without paying for them again.
    Outer,
    /// The fourth.
    Inner,
}

/// The calls that put filters on. With the fourth, they are the last calls that the sandbox itself makes.
pub(super) fn filter(calls: &mut Calls, which: Filters) -> Result<(), SandboxError> {
    let programs = programs().map_err(|error| SandboxError::Filter(error.to_string()))?;
    let (outer, inner) = programs.split_at(3);
    let programs = match which {
        Filters::All => &programs,
        Filters::Outer => outer,
        Filters::Inner => inner,
    };
    for program in programs {
        let bytes: Vec<u8> = program
            .iter()
            .flat_map(|instruction| {
                let [code_low, code_high] = instruction.code.to_ne_bytes();
                let [a, b, c, d] = instruction.k.to_ne_bytes();
                [code_low, code_high, instruction.jt, instruction.jf, a, b, c, d]
            })
            .collect();
        calls.push(
            "put a system call filter on",
            libc::SYS_seccomp,
            [libc::SECCOMP_SET_MODE_FILTER.into(), 0.into(), Argument::Program(bytes)],
        );
    }
    Ok(())
}

fn programs() -> Result<[BpfProgram; 4], seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let condition = |argument, operator, value| {
        SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)?])
    };

    let mut refused: Rules = REFUSED.iter().chain(REFUSED_HERE).map(|&call| (call, Vec::new())).collect();
    for &call in OF_THE_CALLER {
        refused.insert(call, vec![condition(0, SeccompCmpOp::Ne, 0)?]);
    }
    let unix = u64::from(libc::AF_UNIX.cast_unsigned());
    refused.insert(libc::SYS_socketpair, vec![condition(0, SeccompCmpOp::Ne, unix)?]);
    refused.insert(libc::SYS_setpriority, vec![condition(1, SeccompCmpOp::Ne, 0)?]);

    let forbidden: Rules = FORBIDDEN.iter().map(|&call| (call, Vec::new())).collect();

    let mut set_up: Rules = [(libc::SYS_mount, Vec::new())].into();
    let namespaces = (0..64).map(|bit| 1 << bit).filter(|flag| NEW_NAMESPACES & flag != 0);
    let makes_one = namespaces.map(|flag| condition(0, SeccompCmpOp::MaskedEq(flag), flag));
    set_up.insert(libc::SYS_clone, makes_one.collect::<Result<_, _>>()?);

    let unconditional = |call: &c_long| (*call, Vec::new());
    let mut allowed: Rules = ALLOWED.iter().chain(ALLOWED_HERE).map(unconditional).collect();
    // What the other filters look at is not for this one to refuse.
    allowed.extend(refused.keys().chain(forbidden.keys()).chain(set_up.keys()).map(unconditional));

    let compile = |rules, otherwise, matched| SeccompFilter::new(rules, otherwise, matched, arch)?.try_into();
    Ok([
        compile(allowed, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()), SeccompAction::Allow)?,
        compile(refused, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.cast_unsigned()))?,
        compile(forbidden, SeccompAction::Allow, SeccompAction::KillProcess)?,
        compile(set_up, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.cast_unsigned()))?,
    ])
}
