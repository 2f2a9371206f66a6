//! Starts a process within the sandbox.
//!
//! Three processes come of one start. The *supervisor* is forked by us; it enters the namespaces and starts the
//! *keeper*, which is process 1 in there, so that all others die with it. The keeper lays out the program's
//! files and starts the *program*, which gives up what it may not have and calls `exec`. When we close the
//! lifeline, or die, the supervisor kills the keeper. A fork server is a keeper that calls `exec` itself.
//!
//! Everything between `fork` and `exec` is made of system calls alone ([`Prepared`]).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::pipe::{PipeFlags, pipe_with};

use super::call::{Argument, Calls, Prepared, errno};
use super::{Layer, SandboxError};

/// What the three processes do before they are what they are to be.
pub(super) struct Stages {
    /// The supervisor's: into the namespaces.
    pub enter: Arc<Listed>,
    /// The keeper's: the program's files.
    pub room: Listed,
    /// The program's last calls before `exec`; `None` for a fork server, which the keeper becomes.
    pub confine: Option<Arc<Listed>>,
    /// The keeper's, when the program has ended: to bring out what it made. What fails is not there.
    pub leave: Listed,
    /// File descriptors that the keeper needs for `leave`, at most [`MOST_KEPT`].
    pub kept: Vec<RawFd>,
    /// Files of control groups that the supervisor, and so all that follow, joins by writing to them.
    pub joins: Vec<RawFd>,
}

/// Files that a program may bring out.
pub(super) const MOST_KEPT: usize = 4;

/// A keeper's first call: to die with its supervisor, should that be killed.
pub(super) fn die_with_parent(calls: &mut Calls) {
    let arguments = [libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0].map(Argument::from);
    calls.push("die with the supervisor", libc::SYS_prctl, arguments);
}

/// A list of calls, prepared.
pub(super) struct Listed {
    pub calls: Calls,
    prepared: Prepared,
}

impl From<Calls> for Listed {
    fn from(calls: Calls) -> Self {
        let prepared = calls.prepare();
        Self { calls, prepared }
    }
}

/// A process that was started.
pub(super) struct Started {
    /// The supervisor.
    pub supervisor: Child,
    /// Closed, it ends everything within.
    pub lifeline: OwnedFd,
    /// Where a [`Record`] comes from when the program ends.
    pub status: OwnedFd,
}

/// What the keeper tells of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    kind: i64,
    value: i64,
    detail: i64,
    /// Microseconds of processor time of the program and of those of its children that it waited for.
    pub cpu_micros: i64,
    /// The largest amount of memory that one of them held, in KiB.
    pub max_rss_kib: i64,
}

/// How a [`Record`] says it.
pub(super) enum Told {
    /// The program ended with this wait status.
    Ended(i32),
    /// A stage's call failed, with this error number.
    Failed { stage: usize, place: usize, errno: i32 },
}

impl Record {
    pub const BYTES: usize = 40;
    const ENDED: i64 = 1;
    const FAILED: i64 = 2;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let words = [self.kind, self.value, self.detail, self.cpu_micros, self.max_rss_kib];
        for (eight, word) in bytes.chunks_exact_mut(8).zip(words) {
            eight.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Reads a record, if that is what the bytes are.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes
            .get(..Self::BYTES)?
            .chunks_exact(8)
            .map(|eight| i64::from_ne_bytes(eight.try_into().expect("eight bytes")));
        let mut next = || words.next().unwrap_or_default();
        Some(Self { kind: next(), value: next(), detail: next(), cpu_micros: next(), max_rss_kib: next() })
    }

    pub fn told(&self) -> Option<Told> {
        let small = |word: i64| i32::try_from(word).ok();
        match self.kind {
            Self::ENDED => Some(Told::Ended(small(self.value)?)),
            Self::FAILED => Some(Told::Failed {
                stage: usize::try_from(self.value >> 32).ok()?,
                place: usize::try_from(self.value & 0xffff_ffff).ok()?,
                errno: small(self.detail)?,
            }),
            _ => None,
        }
    }
}

impl Stages {
    /// What a failed call was for, and the layer that it belongs to.
    pub fn what(&self, stage: usize, place: usize) -> (Layer, &str) {
        match (stage, &self.confine) {
            (JOIN, _) => (Layer::Cgroups, "join a control group"),
            (ENTER, _) => (Layer::Namespaces, self.enter.calls.what(place)),
            (CONFINE, Some(confine)) => {
                let what = confine.calls.what(place);
                let layer = if what.contains("Landlock") {
                    Layer::Landlock
                } else if what.contains("filter") {
                    Layer::Seccomp
                } else {
                    Layer::Rlimits
                };
                (layer, what)
            }
            _ => (Layer::Namespaces, self.room.calls.what(place)),
        }
    }
}

const ENTER: usize = 0;
const ROOM: usize = 1;
const CONFINE: usize = 2;
const JOIN: usize = 3;

/// Starts `program` by `stages`. Its environment is what `program` says and nothing else.
pub(super) fn start(
    program: &mut Command,
    [stdin, stdout, stderr]: [OwnedFd; 3],
    stages: &Arc<Stages>,
) -> Result<Started, SandboxError> {
    assert!(stages.kept.len() <= MOST_KEPT, "a program brings out {MOST_KEPT} files at most");
    let (status, status_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let (lifeline_end, lifeline) = pipe_with(PipeFlags::CLOEXEC)?;
    let (within, ends) = (Arc::clone(stages), (status_end.as_raw_fd(), lifeline_end.as_raw_fd()));
    program.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    // SAFETY: `descend` makes system calls only, on memory that was laid out before the fork; it neither
    // allocates, nor locks, nor panics.
    unsafe {
        program.pre_exec(move || descend(&within, ends.0, ends.1));
    }
    let path = program.get_program().to_owned();
    let supervisor =
        program.spawn().map_err(|source| SandboxError::Start { program: path.into(), source })?;
    Ok(Started { supervisor, lifeline, status })
}

/// Runs in the forked child: becomes the supervisor and never returns there, becomes the keeper and never
/// returns there either, and returns in the program, for `exec` to follow.
///
/// # Safety
/// Only in a child between fork and exec.
unsafe fn descend(stages: &Stages, status: RawFd, lifeline: RawFd) -> io::Result<()> {
    for join in &stages.joins {
        // "0" is whoever writes it.
        // SAFETY: the bytes are a constant.
        if unsafe { libc::write(*join, c"0".as_ptr().cast(), 1) } < 0 {
            // SAFETY: system calls alone.
            unsafe { fail(status, JOIN, 0, errno()) }
        }
    }
    // SAFETY: this is the child that is to be confined; likewise below, in its children.
    unsafe { perform(&stages.enter, ENTER, status) };
    // SAFETY: nothing but system calls follows in either process.
    let (keeper, pidfd) = unsafe { fork() };
    if keeper != 0 {
        // SAFETY: this process supervises and does nothing else.
        unsafe { supervise(keeper, pidfd, lifeline) }
    }
    // SAFETY: as above.
    unsafe { perform(&stages.room, ROOM, status) };
    let Some(confine) = &stages.confine else { return Ok(()) };
    // SAFETY: as above.
    let (program, _) = unsafe { fork() };
    if program != 0 {
        // SAFETY: this process keeps the program and does nothing else.
        unsafe { keep(program, status, stages) }
    }
    // SAFETY: as above.
    unsafe { perform(confine, CONFINE, status) };
    Ok(())
}

/// Performs a stage, or tells what failed and ends the process.
unsafe fn perform(listed: &Listed, stage: usize, status: RawFd) {
    // SAFETY: the caller vouches for the process.
    if let Err(failed) = unsafe { listed.prepared.perform() } {
        // SAFETY: system calls alone.
        unsafe { fail(status, stage, failed.place, failed.errno) }
    }
}

/// Tells what failed and ends the process.
unsafe fn fail(status: RawFd, stage: usize, place: usize, errno: i32) -> ! {
    let value = (stage as i64) << 32 | place as i64;
    let record = Record { kind: Record::FAILED, value, detail: errno.into(), cpu_micros: 0, max_rss_kib: 0 };
    // SAFETY: system calls alone.
    unsafe {
        tell(status, record);
        libc::_exit(1)
    }
}

unsafe fn tell(status: RawFd, record: Record) {
    let bytes = record.to_bytes();
    // SAFETY: the bytes are a local array. They are fewer than a pipe takes at once; nobody is left to tell
    // if it fails.
    unsafe { libc::write(status, bytes.as_ptr().cast(), bytes.len()) };
}

/// `fork` without what libc does around it; returns the child's process id (0 in the child) and, in the
/// parent, a file descriptor for it. On failure the process ends: whoever waits for a record sees its end.
unsafe fn fork() -> (i32, RawFd) {
    let mut pidfd: RawFd = -1;
    let flags = i64::from(libc::CLONE_PIDFD | libc::SIGCHLD);
    // SAFETY: without CLONE_VM the child gets a copy of everything; the address is that of a local.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, &raw mut pidfd, 0usize, 0usize) };
    if pid < 0 {
        // SAFETY: ends this process.
        unsafe { libc::_exit(1) }
    }
    (pid as i32, pidfd)
}

/// Waits for the keeper to end, or for the lifeline to close and then kills it.
unsafe fn supervise(keeper: i32, pidfd: RawFd, lifeline: RawFd) -> ! {
    // SAFETY: system calls on own file descriptors and locals.
    unsafe {
        close_all_but(&mut [pidfd, lifeline]);
        let mut polled = [
            libc::pollfd { fd: lifeline, events: libc::POLLIN, revents: 0 },
            libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 },
        ];
        while libc::poll(polled.as_mut_ptr(), 2, -1) < 0 && errno() == libc::EINTR {}
        if polled[1].revents == 0 {
            libc::kill(keeper, libc::SIGKILL);
        }
        let mut status = 0;
        while libc::waitpid(keeper, &raw mut status, 0) < 0 && errno() == libc::EINTR {}
        libc::_exit(0)
    }
}

/// Waits for the program to end, reaping what it leaves, tells how it ended, and ends: with process 1 of its
/// namespace every other process in there does.
unsafe fn keep(program: i32, status: RawFd, stages: &Stages) -> ! {
    let mut kept = [-1; MOST_KEPT + 1];
    kept[0] = status;
    for (place, fd) in kept[1..].iter_mut().zip(&stages.kept) {
        *place = *fd;
    }
    // SAFETY: system calls on own file descriptors and locals.
    unsafe {
        close_all_but(&mut kept);
        let mut wait_status = 0;
        let mut usage: libc::rusage = std::mem::zeroed();
        loop {
            let ended = libc::wait4(-1, &raw mut wait_status, 0, &raw mut usage);
            if ended == program {
                break;
            }
            if ended < 0 && errno() != libc::EINTR {
                libc::_exit(1);
            }
        }
        let _ = stages.leave.prepared.perform();
        let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
        tell(
            status,
            Record {
                kind: Record::ENDED,
                value: wait_status.into(),
                detail: 0,
                cpu_micros: micros(usage.ru_utime) + micros(usage.ru_stime),
                max_rss_kib: usage.ru_maxrss,
            },
        );
        libc::_exit(0)
    }
}

/// Closes every file descriptor but these; −1 stands for none.
unsafe fn close_all_but(kept: &mut [RawFd]) {
    kept.sort_unstable();
    let mut from = 0;
    for &fd in kept.iter().filter(|&&fd| fd >= 0) {
        if fd > from {
            // SAFETY: file descriptors of this process, which uses none of them any more.
            unsafe { libc::syscall(libc::SYS_close_range, from, fd - 1, 0) };
        }
        from = fd + 1;
    }
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_close_range, from, u32::MAX, 0) };
}
