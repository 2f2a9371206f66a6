//! [`Program`]: what is to be run, with its files; and its start.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};

use super::call::{Argument, Calls};
use super::cgroup::Cgroup;
use super::running::{Life, Running};
use super::spawn::{self, MOST_KEPT, Record, Stages, Started, Told};
use super::{Sandbox, SandboxError};

/// Files that a program may find in its folder.
const MOST_FILES: usize = 64;

/// A file of the program's private folder.
#[derive(Clone, Debug)]
pub struct InnerFile<'a> {
    /// Its name in `/tmp`, without a `/`.
    pub name: &'a str,
    /// What it holds.
    pub contents: &'a [u8],
    /// Whether it can be executed.
    pub executable: bool,
}

/// A program to run in the sandbox.
///
/// It starts in its private folder `/tmp`, with `PATH`, `HOME`, `LANG` and what [`Program::env`] adds in its
/// environment, and nothing of ours.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: &'a [u8],
    files: Vec<InnerFile<'a>>,
    brings: Vec<(&'a str, u64)>,
    descriptors: Vec<(&'a str, BorrowedFd<'a>)>,
}

impl<'a> Program<'a> {
    /// The program at `path`, as seen from within.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: vec![],
            env: vec![],
            stdin: &[],
            files: vec![],
            brings: vec![],
            descriptors: vec![],
        }
    }

    /// Its arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Its standard input; a program that reads on sees its end.
    pub fn stdin(mut self, stdin: &'a [u8]) -> Self {
        self.stdin = stdin;
        self
    }

    /// A file that it finds in its folder. At most 64.
    pub fn file(mut self, file: InnerFile<'a>) -> Self {
        self.files.push(file);
        self
    }

    /// A file that it is to make in its folder, of which up to `bytes` are brought out when it ends:
    /// [`Ended::files`](super::Ended::files). At most four.
    pub fn brings(mut self, name: &'a str, bytes: u64) -> Self {
        self.brings.push((name, bytes));
        self
    }

    /// A file descriptor that it gets beside its standard streams, whose number it finds in the variable `name` of its
    /// environment. It is as the host's: a file can be read by what it was opened for, whatever the sandbox hides.
    pub fn descriptor(mut self, name: &'a str, fd: BorrowedFd<'a>) -> Self {
        self.descriptors.push((name, fd));
        self
    }
}

/// Our ends of what a process writes to.
pub(super) struct Watched {
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// Files in memory for what it makes.
    pub brought: Vec<OwnedFd>,
}

/// The environment of every program. The C library sets address space aside for each thread that allocates, of
/// which there is a limit; two such reserves do for all.
pub(super) const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("TMPDIR", "/tmp"),
    ("MALLOC_ARENA_MAX", "2"),
];

impl Sandbox {
    /// Starts `program`.
    ///
    /// # Errors
    /// If it cannot be started, or a layer of the sandbox fails.
    pub fn start(&self, program: &Program<'_>) -> Result<Running, SandboxError> {
        let inner = |name: &str| match Path::new(name).file_name() {
            Some(file) if file == name => Ok(format!("/tmp/{name}")),
            _ => Err(SandboxError::FileName(name.to_owned())),
        };
        let bytes: u64 = program.files.iter().map(|file| file.contents.len() as u64).sum();
        if bytes > self.config.limits.disk_bytes {
            return Err(SandboxError::FilesTooLarge { bytes, most: self.config.limits.disk_bytes });
        }
        if program.files.len() > MOST_FILES {
            return Err(SandboxError::TooManyFiles { files: program.files.len(), most: MOST_FILES });
        }
        let mut room = Calls::default();
        spawn::die_with_parent(&mut room);
        let mut held = Vec::new();
        for file in &program.files {
            let memory = memory_file(file.contents)?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC;
            let path = inner(file.name)?;
            let what = format!("lay out {path}");
            let arguments = [libc::AT_FDCWD.into(), path.as_str().into(), flags.into(), mode.into()];
            let target = room.push(what.clone(), libc::SYS_openat, arguments);
            let length = file.contents.len() as u64;
            let arguments = [Argument::Result(target), memory.as_raw_fd().into(), 0.into(), length.into()];
            room.push(what, libc::SYS_sendfile, arguments);
            room.push("close it", libc::SYS_close, [Argument::Result(target)]);
            held.push(memory);
        }
        // Its standard streams take the first three numbers.
        const FIRST: i32 = 3;
        let mut numbers = Vec::new();
        for (name, fd) in &program.descriptors {
            let fd = rustix::io::fcntl_dupfd_cloexec(fd, FIRST)?;
            // In the child, where it does not concern programs that are started at the same time.
            let arguments = [fd.as_raw_fd().into(), libc::F_SETFD.into(), 0.into()];
            room.push("hand a file descriptor over", libc::SYS_fcntl, arguments);
            numbers.push((*name, fd.as_raw_fd().to_string()));
            held.push(fd);
        }
        if program.brings.len() > MOST_KEPT {
            return Err(SandboxError::TooManyFiles { files: program.brings.len(), most: MOST_KEPT });
        }
        let mut leave = Calls::default();
        let mut brought = Vec::new();
        for (name, bytes) in &program.brings {
            let memory = memfd_create("pspo", MemfdFlags::CLOEXEC)?;
            // What is there may be anything, a pipe or a link: neither is waited for or followed.
            let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
            let path = inner(name)?;
            let arguments = [libc::AT_FDCWD.into(), path.as_str().into(), flags.into()];
            let source = leave.push_optional("open what it made", libc::SYS_openat, arguments);
            let arguments = [memory.as_raw_fd().into(), Argument::Result(source), 0.into(), (*bytes).into()];
            leave.push_optional("bring it out", libc::SYS_sendfile, arguments);
            brought.push(memory);
        }
        let stages = Stages {
            enter: Arc::clone(&self.enter),
            room: room.into(),
            confine: Some(Arc::clone(&self.confine)),
            leave: leave.into(),
            kept: brought.iter().map(AsRawFd::as_raw_fd).collect(),
            joins: Vec::new(),
        };
        let (stdout, stdout_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let streams = [memory_file(program.stdin)?, stdout_end, stderr_end];
        let watched = Watched { stdout, stderr, brought };
        let program =
            numbers.iter().fold(program.clone(), |program, (name, number)| program.env(name, number));
        self.supervised(&program, streams, watched, stages, self.cgroup()?)
    }

    /// A control group with a program's limits, where there are any.
    pub(super) fn cgroup(&self) -> Result<Option<Cgroup>, SandboxError> {
        self.cgroups.as_ref().map(|cgroups| cgroups.make(&self.config.limits)).transpose()
    }

    /// Starts a process by `stages`, in `cgroup`.
    pub(super) fn supervised(
        &self,
        program: &Program<'_>,
        streams: [OwnedFd; 3],
        watched: Watched,
        mut stages: Stages,
        cgroup: Option<Cgroup>,
    ) -> Result<Running, SandboxError> {
        stages.joins = cgroup
            .as_ref()
            .map_or_else(Vec::new, |cgroup| cgroup.joins().iter().map(AsRawFd::as_raw_fd).collect());
        let stages = Arc::new(stages);
        let mut command = command(program);
        let started = spawn::start(&mut command, streams, &stages);
        drop(command); // it holds the program's ends of the pipes
        let Started { mut supervisor, lifeline, status } = started?;
        // Here `exec` was reached, or else a record says why not.
        rustix::io::ioctl_fionbio(&status, true)?;
        let mut record = vec![0; Record::BYTES];
        let read = rustix::io::read(&status, &mut record).unwrap_or(0);
        record.truncate(read);
        let told = Record::from_bytes(&record).as_ref().and_then(Record::told);
        if let Some(Told::Failed { stage, place, errno }) = told {
            drop(lifeline);
            supervisor.wait()?;
            let (layer, what) = stages.what(stage, place);
            let source = std::io::Error::from_raw_os_error(errno);
            return Err(SandboxError::MissingLayer { layer, why: format!("to {what} failed: {source}") });
        }
        let life = Life::Supervised { supervisor, lifeline: Some(lifeline) };
        let Watched { stdout, stderr, brought } = watched;
        let running = Running::new(life, [stdout, stderr, status], self.config.limits.clone())?;
        Ok(running.within(cgroup.map(Arc::new)).with_record(record).bringing(brought))
    }
}

fn command(program: &Program<'_>) -> Command {
    let mut command = Command::new(&program.path);
    command.args(&program.args).env_clear().envs(ENVIRONMENT.iter().copied());
    command.envs(program.env.iter().map(|(name, value)| (name, value)));
    command
}

/// Bytes as a file in memory, at its beginning, that nobody can change any more.
pub(super) fn memory_file(bytes: &[u8]) -> Result<OwnedFd, SandboxError> {
    let memory = memfd_create("pspo", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(memory);
    file.write_all(bytes)?;
    file.rewind()?;
    seal(&file)?;
    Ok(file.into())
}

/// Keeps everybody from changing a file in memory that nobody has mapped.
fn seal(file: &File) -> Result<(), SandboxError> {
    // `WRITE` in place of `FUTURE_WRITE` would also refuse, with EBUSY, a file of which the kernel holds a page at the
    // moment for reasons of its own; what it adds concerns writable mappings that there are already.
    let seals = SealFlags::FUTURE_WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    Ok(fcntl_add_seals(file, seals)?)
}

/// What a file in memory holds.
pub(super) fn read_memory(memory: OwnedFd) -> Result<Vec<u8>, SandboxError> {
    let mut file = File::from(memory);
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use rustix::mm::{MapFlags, ProtFlags, mmap};

    #[test]
    fn a_file_is_sealed_though_a_page_of_it_is_in_use() {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("pspo-test", flags).unwrap());
        file.write_all(&[b'x'; 9000]).unwrap();
        let (_held, end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let moved =
            rustix::pipe::splice(&file, Some(&mut 0), &end, None, 4096, rustix::pipe::SpliceFlags::empty());
        assert_eq!(moved.unwrap(), 4096);
        seal(&file).unwrap();

        assert_eq!(rustix::io::pwrite(&file, b"y", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&file, 0), Err(Errno::PERM));
        let (read_only, writable) = (ProtFlags::READ, ProtFlags::READ | ProtFlags::WRITE);
        for (access, allowed) in [(read_only, true), (writable, false)] {
            // SAFETY: a mapping where the kernel finds room, which nobody reads or writes.
            let mapped = unsafe { mmap(std::ptr::null_mut(), 4096, access, MapFlags::SHARED, &file, 0) };
            assert_eq!(mapped.is_ok(), allowed, "{access:?}");
        }
    }
}
