//! [`Channel`]: messages to and from a process in the sandbox, which may never read, never answer, or answer anything.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{Ended, Event, Running, SandboxError, Watch, send_with_descriptors};

/// Time for a process that has closed its end to be seen to end.
const SETTLE: Duration = Duration::from_millis(100);

/// Our end of a stream of messages, each its length as eight bytes, the lowest first, and its bytes.
///
/// Nothing blocks: what the other end does not take is kept, what is not whole is not there yet. Wait for more with
/// [`Channel::watch`].
pub struct Channel {
    stream: UnixStream,
    largest: u64,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    closed: bool,
}

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// The next message.
    Message(Vec<u8>),
    /// No whole message yet.
    Nothing,
    /// The other end is closed, and nothing is left.
    Closed,
    /// What has come is no message, or one that is too long.
    Garbage,
}

impl Channel {
    /// A channel on which messages of up to `largest` bytes can come, and its other end.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn new(largest: u64) -> Result<(Self, UnixStream), SandboxError> {
        let (stream, other) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        Ok((Self { stream, largest, inbox: vec![], outbox: vec![], closed: false }, other))
    }

    /// Sends a message, as far as the other end takes it now; [`Channel::receive`] sends the rest.
    pub fn send(&mut self, message: &[u8]) {
        self.outbox.extend((message.len() as u64).to_le_bytes());
        self.outbox.extend(message);
        self.write();
    }

    /// Sends a message with a file descriptor, for an end that takes it with the message's head. Nothing may be
    /// waiting to be sent.
    ///
    /// # Errors
    /// If the other end does not take as much as that.
    pub fn send_with(&mut self, message: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<(), SandboxError> {
        let head = (message.len() as u64).to_le_bytes();
        send_with_descriptors(self.stream.as_fd(), &head, fd.as_slice())?;
        self.outbox.extend(message);
        self.write();
        Ok(())
    }

    /// What to wait for before the next [`Channel::receive`].
    pub fn watch(&self) -> Watch<'_> {
        match (self.closed, self.outbox.is_empty()) {
            (true, _) => Watch::Nothing,
            (false, true) => Watch::Readable(self.stream.as_fd()),
            (false, false) => Watch::Either(self.stream.as_fd()),
        }
    }

    /// Sends and reads what can be now, and returns the first message.
    pub fn receive(&mut self) -> Incoming {
        self.write();
        let mut buffer = [0; 16 << 10];
        while !self.closed && (self.inbox.len() as u64) < self.largest.saturating_add(8) {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(bytes) => self.inbox.extend(&buffer[..bytes]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.closed = true,
            }
        }
        let Some((head, rest)) = self.inbox.split_first_chunk() else {
            return match (self.closed, self.inbox.is_empty()) {
                (false, _) => Incoming::Nothing,
                (true, true) => Incoming::Closed,
                (true, false) => Incoming::Garbage,
            };
        };
        let length = u64::from_le_bytes(*head);
        if length > self.largest {
            return Incoming::Garbage;
        }
        let Some(message) = rest.get(..length as usize) else {
            return if self.closed { Incoming::Garbage } else { Incoming::Nothing };
        };
        let message = message.to_vec();
        self.inbox.drain(..8 + length as usize);
        Incoming::Message(message)
    }

    /// Whether a part of a message has come.
    fn has_begun(&self) -> bool {
        !self.inbox.is_empty()
    }

    fn write(&mut self) {
        while !self.outbox.is_empty() && !self.closed {
            match self.stream.write(&self.outbox) {
                Ok(bytes) => _ = self.outbox.drain(..bytes),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // What has come before may still be read.
                Err(_) => self.outbox.clear(),
            }
        }
    }
}

/// What came of waiting for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The next message.
    Message(Vec<u8>),
    /// What has come is no message, or one that is too long.
    Garbage,
    /// None will come: the program ended or closed its end ([`Event::Ended`]), or it is no longer waited for.
    Over(Event),
}

impl Running {
    /// Waits for the next message that the program sends on `channel`.
    ///
    /// # Errors
    /// If the sandbox fails.
    pub fn hear(&mut self, channel: &mut Channel, until: Instant) -> Result<Heard, SandboxError> {
        let mut ended = false;
        loop {
            match channel.receive() {
                Incoming::Message(message) => return Ok(Heard::Message(message)),
                Incoming::Garbage => return Ok(Heard::Garbage),
                Incoming::Nothing if !ended => {}
                // Whoever else holds the other end, what would end the message is gone.
                Incoming::Nothing if channel.has_begun() => return Ok(Heard::Garbage),
                Incoming::Nothing | Incoming::Closed => return Ok(Heard::Over(Event::Ended)),
            }
            match self.wait(channel.watch(), until)? {
                Event::Ready => {}
                // What it said last may still be there to read.
                Event::Ended => ended = true,
                event => return Ok(Heard::Over(event)),
            }
        }
    }

    /// Ends a program of which no message will come, by [`Heard::Over`]: the event that ended it, and what is left. It
    /// may have closed its end and run on, so that it is another event.
    ///
    /// # Errors
    /// As [`Running::end`].
    pub fn end_after(mut self, event: Event, until: Instant) -> Result<(Event, Ended), SandboxError> {
        let event = match event {
            Event::Ended => self.wait(Watch::Nothing, until.max(Instant::now() + SETTLE))?,
            event => event,
        };
        Ok((event, self.end()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Program, Sandbox, SandboxConfig};

    fn receive(bytes: &[u8]) -> Incoming {
        let (mut channel, mut other) = Channel::new(1 << 20).unwrap();
        other.write_all(bytes).unwrap();
        drop(other);
        channel.receive()
    }

    #[test]
    fn messages_are_whole_or_garbage() {
        assert_eq!(receive(b""), Incoming::Closed);
        assert_eq!(receive(b"\x02\0\0\0\0\0\0\0[]"), Incoming::Message(b"[]".to_vec()));
        for garbage in [
            &b"\x03\0\0\0\0\0\0\0[]"[..],
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x01\0\x10\0\0\0\0\0",
            b"PASSED",
        ] {
            assert_eq!(receive(garbage), Incoming::Garbage, "{garbage:?}");
        }
    }

    #[test]
    fn a_message_that_a_program_does_not_end_is_garbage_while_its_end_is_open_elsewhere() {
        let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
        for (script, expected) in [
            ("printf abc >&$SPEAK", Heard::Garbage),
            ("printf '\\003\\0\\0\\0\\0\\0\\0\\0ab' >&$SPEAK", Heard::Garbage),
            ("printf '\\002\\0\\0\\0\\0\\0\\0\\0ab' >&$SPEAK", Heard::Message(b"ab".to_vec())),
            ("true", Heard::Over(Event::Ended)),
        ] {
            // `other` stays open here to the end.
            let (mut channel, other) = Channel::new(1 << 20).unwrap();
            // Not by `sh`, which may know numbers of one digit alone.
            let program = Program::new("/bin/bash").args(["-c", script]).descriptor("SPEAK", other.as_fd());
            let mut running = sandbox.start(&program).unwrap();
            let until = running.started() + sandbox.limits().wall();
            assert_eq!(running.hear(&mut channel, until).unwrap(), expected, "{script}");
        }
    }

    #[test]
    fn what_the_other_end_does_not_take_is_kept() {
        let (mut channel, mut other) = Channel::new(1 << 20).unwrap();
        let message = vec![b'x'; 3 << 20];
        channel.send(&message);
        assert!(matches!(channel.watch(), Watch::Either(_)));
        let reader = std::thread::spawn(move || {
            let mut head = [0; 8];
            other.read_exact(&mut head).unwrap();
            let mut body = vec![0; u64::from_le_bytes(head) as usize];
            other.read_exact(&mut body).unwrap();
            body
        });
        while !channel.outbox.is_empty() {
            assert!(matches!(channel.receive(), Incoming::Nothing | Incoming::Closed));
        }
        assert_eq!(reader.join().unwrap(), message);
    }
}
