//! [`ForkServer`]: an interpreter that was started once and forks a confined copy of itself for each program.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_timeout;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::json;

use super::call::Calls;
use super::cgroup::Cgroup;
use super::program::{Program, Watched, memory_file};
use super::running::{Life, Running};
use super::seccomp::{self, Filters};
use super::spawn::{self, Stages};
use super::{Sandbox, SandboxError, confine, confined, root};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Processor seconds that a fork may take unless the server, which knows what it is to do, allows it less.
const MOST_CPU_SECONDS: u64 = 3600;

/// Bytes of an answer.
const MOST_BYTES: usize = 4096;

/// File descriptors that go with a message, at most.
const MOST_FDS: usize = 8;

/// Whose memory and processes count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A program's, under its limits, where control groups can be made.
    Program,
    /// The server's own, without a common limit: for what is trusted.
    Servers,
}

/// A process within the sandbox that forks programs on demand, each in namespaces and with a `/tmp` of its own.
///
/// # Protocol
/// The server is started with one end of a socket pair of type `SOCK_SEQPACKET` as its standard input.
/// 1. It receives a message of JSON, `{"server": calls, "room": calls, "confine": calls}`, makes the calls of `server`
///    when all that it needs is imported, and answers `R`. Each call is `[what, number, arguments, optional]`; an
///    argument is a number, `{"result": place}`, `{"bytes": hex, "patches": [[offset, place]]}` or
///    `{"program": hex}`.
/// 2. For a message of a letter, which says what kind of program, and a byte, which says how many control groups, with
///    file descriptors it clones itself into new process, mount and IPC namespaces, in which the clone is process 1.
///    The clone writes `0` to the descriptors of control groups, which are those after the fourth, makes the calls of
///    `room`, takes the first three descriptors for standard input, output and error, makes the calls of `confine`,
///    limits its own processor time, and runs, with the descriptors that are left.
/// 3. It answers `K` with a pidfd of the clone, or `E` and a text.
/// 4. When the clone ends it writes to the fourth descriptor what [`Running`] reads, and closes it: five 64-bit
///    integers, 1, the wait status, 0, microseconds of processor time, and KiB of memory.
///
/// It ends when its standard input does.
pub struct ForkServer {
    socket: OwnedFd,
    sandbox: Sandbox,
    /// What its programs share, one after the other; the server is not in it, so that a program that runs out of
    /// memory takes nobody with it.
    cgroup: Option<Arc<Cgroup>>,
    /// Ends the server when dropped.
    server: Running,
}

impl ForkServer {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be started, or does not get ready.
    pub fn start(sandbox: &Sandbox, program: &Program<'_>) -> Result<Self, SandboxError> {
        let (socket, inner) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        let mut room = Calls::default();
        spawn::die_with_parent(&mut room);
        confine::limit_stack(&mut room);
        confine::keep_admin(&mut room);
        let stages = Stages {
            enter: sandbox.enter.clone(),
            room: room.into(),
            confine: None,
            leave: Calls::default().into(),
            kept: vec![],
            joins: vec![],
        };
        let (stdout, stdout_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let watched = Watched { stdout, stderr, brought: vec![] };
        let server = sandbox.supervised(program, [inner, stdout_end, stderr_end], watched, stages, None)?;
        let cgroup = sandbox.cgroup()?.map(Arc::new);
        let this = Self { socket, sandbox: sandbox.clone(), cgroup, server };

        let mut room = Calls::default();
        root::private_folder(&mut room, sandbox.limits().disk_bytes);
        let confine = confined(MOST_CPU_SECONDS, sandbox.limits(), Filters::Inner)?;
        let mut server = Calls::default();
        seccomp::filter(&mut server, Filters::Outer)?;
        let set_up =
            json!({"server": server.to_json(), "room": room.to_json(), "confine": confine.to_json()});
        this.send(set_up.to_string().as_bytes(), &[])?;
        match this.receive() {
            Ok((answer, _)) if answer == b"R" => Ok(this),
            other => {
                let said = match other {
                    Ok((answer, _)) => format!("it said {:?}", String::from_utf8_lossy(&answer)),
                    Err(error) => error.to_string(),
                };
                let ended = this.server.end()?;
                let stderr = String::from_utf8_lossy(&ended.stderr);
                Err(SandboxError::ForkServer(format!("it did not get ready: {said}; {}", stderr.trim_end())))
            }
        }
    }

    /// Forks a program of a kind that the server knows by one letter, which gets `stdin`, and `extra` file
    /// descriptors by the server's own convention.
    ///
    /// # Errors
    /// If the server does not answer, or says that it cannot. It should be given up then.
    pub fn fork(
        &mut self,
        kind: u8,
        group: Group,
        stdin: &[u8],
        extra: &[BorrowedFd<'_>],
    ) -> Result<Running, SandboxError> {
        let (stdout, stdout_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let (status, status_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let stdin = memory_file(stdin)?;
        let mut fds = vec![stdin.as_fd(), stdout_end.as_fd(), stderr_end.as_fd(), status_end.as_fd()];
        let cgroup = self.cgroup.as_ref().filter(|_| group == Group::Program);
        let joins = cgroup.map_or_else(Vec::new, |cgroup| cgroup.joins());
        fds.extend(&joins);
        fds.extend(extra);
        let joins = u8::try_from(joins.len()).expect("a group has at most two controllers");
        self.send(&[kind, joins], &fds)?;
        match self.receive()? {
            (answer, Some(pidfd)) if answer == b"K" => {
                let limits = self.sandbox.limits().clone();
                let running = Running::new(Life::Forked(pidfd), [stdout, stderr, status], limits)?;
                Ok(running.within(cgroup.cloned()))
            }
            (answer, _) => Err(SandboxError::ForkServer(String::from_utf8_lossy(&answer).into_owned())),
        }
    }

    fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), SandboxError> {
        send_with_descriptors(self.socket.as_fd(), bytes, fds)
    }

    fn receive(&self) -> Result<(Vec<u8>, Option<OwnedFd>), SandboxError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = vec![0; MOST_BYTES];
        let message = recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if message.bytes == 0 {
            return Err(SandboxError::ForkServer("it ended".into()));
        }
        bytes.truncate(message.bytes);
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        Ok((bytes, fd))
    }
}

/// Sends a few bytes over a Unix socket, all of them or none, with up to eight file descriptors: to hand them to a
/// process that was forked before.
///
/// # Errors
/// If the other end is closed, or does not take as much now.
pub fn send_with_descriptors(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<(), SandboxError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        let what = format!("{} file descriptors at once, where at most {MOST_FDS} can be", fds.len());
        return Err(SandboxError::ForkServer(what));
    }
    let sent = sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    if sent == bytes.len() { Ok(()) } else { Err(SandboxError::ForkServer("a message was cut".into())) }
}
