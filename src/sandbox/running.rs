//! [`Running`]: a program in the sandbox, watched from outside until it ends or is ended.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use super::cgroup::Cgroup;
use super::program::read_memory;
use super::spawn::{Record, Told};
use super::{Limits, SandboxError, tasks};

/// Bytes kept of the end of standard error: its last lines say what went wrong.
const STDERR_TAIL: usize = 8 << 10;

/// How long a killed program may take to be gone, before that is an error.
const UNTIL_GONE: Duration = Duration::from_secs(10);

/// What holds a program's life.
pub(super) enum Life {
    /// A sandbox of its own: closing the lifeline ends it, and the supervisor ends after it.
    Supervised { supervisor: Child, lifeline: Option<OwnedFd> },
    /// Process 1 of a namespace, which a fork server started and waits for.
    Forked(OwnedFd),
}

/// A program that runs in the sandbox. Dropped, it is killed with all that it started.
pub struct Running {
    life: Life,
    stdout: Option<File>,
    stderr: Option<File>,
    status: Option<File>,
    output: Output,
    record: Vec<u8>,
    brought: Vec<OwnedFd>,
    cgroup: Option<Arc<Cgroup>>,
    /// Processes of the group that the kernel had killed before.
    killed_before: u64,
    started: Instant,
    limits: Limits,
    gone: bool,
}

/// What [`Running::wait`] waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The program ended.
    Ended,
    /// What was watched is ready, or was closed at its other end.
    Ready,
    /// The time is over.
    Deadline,
    /// It wrote more than its limit to standard output or standard error.
    TooMuchOutput,
}

/// What [`Running::wait`] watches beside the program.
#[derive(Clone, Copy, Debug)]
pub enum Watch<'a> {
    /// Nothing.
    Nothing,
    /// Whether this can be read.
    Readable(BorrowedFd<'a>),
    /// Whether this can be read or written.
    Either(BorrowedFd<'a>),
}

#[derive(Default)]
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    stderr_bytes: usize,
}

/// What is left of a program that has ended, or was killed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended by itself; `None` if it was killed from outside, or its keeper was.
    pub status: Option<ExitStatus>,
    /// What it wrote to standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// The end of what it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Seconds by the clock.
    pub wall_seconds: f64,
    /// Seconds of processor time, where it ended by itself.
    pub cpu_seconds: Option<f64>,
    /// Whether as many processes and threads ran when it was killed as it may have.
    pub at_process_limit: bool,
    /// Whether the kernel killed one of its processes because they held too much memory together.
    pub out_of_memory: bool,
    /// What it made of the files that it was to bring, in the order asked; empty for one that is not there.
    pub files: Vec<Vec<u8>>,
}

impl Running {
    pub(super) fn new(
        life: Life,
        [stdout, stderr, status]: [OwnedFd; 3],
        limits: Limits,
    ) -> Result<Self, SandboxError> {
        for fd in [&stdout, &stderr, &status] {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(Self {
            life,
            stdout: Some(stdout.into()),
            stderr: Some(stderr.into()),
            status: Some(status.into()),
            output: Output::default(),
            record: Vec::new(),
            brought: Vec::new(),
            cgroup: None,
            killed_before: 0,
            started: Instant::now(),
            limits,
            gone: false,
        })
    }

    /// With what the keeper has told already.
    pub(super) fn with_record(mut self, record: Vec<u8>) -> Self {
        self.record = record;
        self
    }

    /// In a control group, which is removed when nobody uses it any more.
    pub(super) fn within(mut self, cgroup: Option<Arc<Cgroup>>) -> Self {
        self.killed_before = cgroup.as_ref().map_or(0, |cgroup| cgroup.killed());
        self.cgroup = cgroup;
        self
    }

    /// With files in memory, into which the keeper brings what the program makes.
    pub(super) fn bringing(mut self, brought: Vec<OwnedFd>) -> Self {
        self.brought = brought;
        self
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Waits until the program ends, `watch` happens, or `until`, and takes in what it writes meanwhile.
    ///
    /// # Errors
    /// If the sandbox fails.
    pub fn wait(&mut self, watch: Watch<'_>, until: Instant) -> Result<Event, SandboxError> {
        Ok(Self::wait_for(&mut [self], watch, until)?.1)
    }

    /// Waits for several programs at once: until one of them ends, `watch` happens, or `until`. Returns the
    /// place of the program whose event it is.
    ///
    /// # Errors
    /// If the sandbox fails.
    pub fn wait_for(
        programs: &mut [&mut Self],
        watch: Watch<'_>,
        until: Instant,
    ) -> Result<(usize, Event), SandboxError> {
        loop {
            for (place, program) in programs.iter_mut().enumerate() {
                program.read_output();
                if program.too_much() {
                    return Ok((place, Event::TooMuchOutput));
                }
                program.read_status();
                if program.status.is_none() {
                    // Nobody writes any more; what is left in the pipes is all there is.
                    program.read_output();
                    return Ok((place, if program.too_much() { Event::TooMuchOutput } else { Event::Ended }));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            let mut polled: Vec<_> = programs
                .iter()
                .flat_map(|program| [&program.stdout, &program.stderr, &program.status])
                .flatten()
                .map(|file| PollFd::new(file, PollFlags::IN))
                .collect();
            let watched = match &watch {
                Watch::Nothing => None,
                Watch::Readable(fd) => Some(PollFd::new(fd, PollFlags::IN)),
                Watch::Either(fd) => Some(PollFd::new(fd, PollFlags::IN | PollFlags::OUT)),
            };
            polled.extend(watched);
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 });
            let ready = match poll(&mut polled, Some(&timeout)) {
                Ok(ready) => ready,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let watches = !matches!(watch, Watch::Nothing);
            if watches && polled.last().is_some_and(|watched| !watched.revents().is_empty()) {
                return Ok((0, Event::Ready));
            }
            if ready == 0 && left.is_zero() {
                return Ok((0, Event::Deadline));
            }
        }
    }

    /// Waits for the program to end by itself within its limits, and kills it if it does not.
    ///
    /// # Errors
    /// If the sandbox fails.
    pub fn wait_to_end(mut self) -> Result<(Event, Ended), SandboxError> {
        let event = self.wait(Watch::Nothing, self.started + self.limits.wall())?;
        Ok((event, self.end()?))
    }

    /// Kills the program, if it has not ended, with all that it started, and returns what is left.
    ///
    /// # Errors
    /// If it is not gone soon, or the sandbox fails.
    pub fn end(mut self) -> Result<Ended, SandboxError> {
        let at_process_limit = self.status.is_some() && self.at_process_limit();
        let wall_seconds = self.started.elapsed().as_secs_f64();
        self.kill()?;
        let killed = self.cgroup.as_ref().map_or(0, |cgroup| cgroup.killed());
        let out_of_memory = killed > self.killed_before;
        self.read_output();
        self.read_status();
        let record = Record::from_bytes(&self.record);
        let told = record.as_ref().and_then(Record::told);
        if let Some(Told::Failed { errno, .. }) = told {
            return Err(SandboxError::Io(std::io::Error::from_raw_os_error(errno)));
        }
        let status = told.map(|told| match told {
            Told::Ended(status) | Told::Failed { errno: status, .. } => ExitStatus::from_raw(status),
        });
        let Output { stdout, stderr, .. } = std::mem::take(&mut self.output);
        let files =
            std::mem::take(&mut self.brought).into_iter().map(read_memory).collect::<Result<_, _>>()?;
        Ok(Ended {
            status,
            stdout,
            stderr,
            wall_seconds,
            cpu_seconds: record.map(|record| record.cpu_micros as f64 / 1e6),
            at_process_limit,
            out_of_memory,
            files,
        })
    }

    fn too_much(&self) -> bool {
        let limit = self.limits.output_bytes;
        self.output.stdout.len() > limit || self.output.stderr_bytes > limit
    }

    /// Reads what the pipes hold. A pipe that fails is taken as closed: the program's end says the rest.
    fn read_output(&mut self) {
        let limit = self.limits.output_bytes;
        let output = &mut self.output;
        read_all(&mut self.stdout, |bytes| {
            let room = (limit + 1).saturating_sub(output.stdout.len());
            output.stdout.extend(&bytes[..bytes.len().min(room)]);
            output.stdout.len() <= limit
        });
        read_all(&mut self.stderr, |bytes| {
            output.stderr_bytes = output.stderr_bytes.saturating_add(bytes.len());
            output.stderr.extend(bytes);
            let surplus = output.stderr.len().saturating_sub(STDERR_TAIL);
            output.stderr.drain(..surplus);
            output.stderr_bytes <= limit
        });
    }

    fn read_status(&mut self) {
        let record = &mut self.record;
        read_all(&mut self.status, |bytes| {
            record.extend(bytes);
            record.len() <= Record::BYTES
        });
    }

    fn at_process_limit(&self) -> bool {
        let running = match &self.life {
            // The keeper is none of the program's.
            Life::Supervised { supervisor, .. } => {
                tasks::below(supervisor.id()).map(|tasks| tasks.saturating_sub(1))
            }
            Life::Forked(pidfd) => {
                tasks::pid_of(pidfd).and_then(|pid| Some(tasks::of(pid)? + tasks::below(pid)?))
            }
        };
        let running = running.unwrap_or(0);
        running >= self.limits.processes as usize
    }

    /// Kills all of it and waits until it is gone.
    fn kill(&mut self) -> Result<(), SandboxError> {
        if self.gone {
            return Ok(());
        }
        match &mut self.life {
            Life::Supervised { supervisor, lifeline } => {
                lifeline.take();
                supervisor.wait()?;
            }
            Life::Forked(pidfd) => {
                match pidfd_send_signal(&*pidfd, Signal::KILL) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(errno) => return Err(errno.into()),
                }
                let until = Instant::now() + UNTIL_GONE;
                let mut polled = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
                loop {
                    let left = until.saturating_duration_since(Instant::now());
                    let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 10, tv_nsec: 0 });
                    match poll(&mut polled, Some(&timeout)) {
                        Ok(0) => return Err(SandboxError::Vanished),
                        Ok(_) => break,
                        Err(Errno::INTR) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
            }
        }
        self.gone = true;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // There is nobody to tell; a supervisor without its lifeline ends all the same.
        let _ = self.kill();
    }
}

/// Reads `source` until it has nothing more for now, is at its end (then it is closed) or `take` has enough.
fn read_all(source: &mut Option<File>, mut take: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 << 10];
    while let Some(file) = source {
        match file.read(&mut buffer) {
            Ok(0) => *source = None,
            Ok(bytes) => {
                if !take(&buffer[..bytes]) {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => *source = None,
        }
    }
}
