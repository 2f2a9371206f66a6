//! Messages of JSON to and from a process in the sandbox, which may never read, never answer, or answer anything.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use pspo::plugin::VerifyError;
use pspo::sandbox::{self, Watch};
use serde_json::Value;

use crate::servers::failed;

/// Bytes of a message, at most; as in `plain.py`.
const LARGEST_MESSAGE: u64 = 16 << 20;

/// Our end.
pub(crate) struct Channel {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    closed: bool,
}

/// What has come.
#[derive(Debug)]
pub(crate) enum Incoming {
    Message(Value),
    /// No whole message yet.
    Nothing,
    /// The other end is closed, and nothing is left.
    Closed,
    /// What has come is no message.
    Garbage,
}

impl Channel {
    /// A channel, and its other end.
    pub fn new() -> Result<(Self, UnixStream), VerifyError> {
        let (stream, other) = UnixStream::pair().map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        Ok((Self { stream, inbox: vec![], outbox: vec![], closed: false }, other))
    }

    /// Sends a message, as far as the other end takes it now; [`Channel::pump`] sends the rest.
    pub fn send(&mut self, message: &Value) {
        let bytes = message.to_string().into_bytes();
        self.outbox.extend((bytes.len() as u64).to_le_bytes());
        self.outbox.extend(bytes);
        self.write();
    }

    /// Sends a message with a file descriptor, for an end that takes it with the message's head. Nothing may be
    /// waiting to be sent.
    ///
    /// # Errors
    /// If the other end does not take as much as that.
    pub fn send_with(&mut self, message: &Value, fd: Option<BorrowedFd<'_>>) -> Result<(), VerifyError> {
        let bytes = message.to_string().into_bytes();
        let head = (bytes.len() as u64).to_le_bytes();
        sandbox::send_with_descriptors(self.fd(), &head, fd.as_slice()).map_err(failed)?;
        self.outbox.extend(bytes);
        self.write();
        Ok(())
    }

    /// What to wait for before the next [`Channel::pump`].
    pub fn watch(&self) -> Watch<'_> {
        match (self.closed, self.outbox.is_empty()) {
            (true, _) => Watch::Nothing,
            (false, true) => Watch::Readable(self.fd()),
            (false, false) => Watch::Either(self.fd()),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Sends and reads what can be now, and returns the first message.
    pub fn receive(&mut self) -> Incoming {
        self.write();
        let mut buffer = [0; 16 << 10];
        while !self.closed && (self.inbox.len() as u64) < LARGEST_MESSAGE + 8 {
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
        if length > LARGEST_MESSAGE {
            return Incoming::Garbage;
        }
        let Some(message) = rest.get(..length as usize) else {
            return if self.closed { Incoming::Garbage } else { Incoming::Nothing };
        };
        let message = serde_json::from_slice(message);
        self.inbox.drain(..8 + length as usize);
        message.map_or(Incoming::Garbage, Incoming::Message)
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn receive(bytes: &[u8]) -> Incoming {
        let (mut channel, mut other) = Channel::new().unwrap();
        other.write_all(bytes).unwrap();
        drop(other);
        channel.receive()
    }

    #[test]
    fn messages_are_whole_or_garbage() {
        assert!(matches!(receive(b""), Incoming::Closed));
        assert!(
            matches!(receive(b"\x02\0\0\0\0\0\0\0[]"), Incoming::Message(message) if message == json!([]))
        );
        for garbage in [
            &b"\x03\0\0\0\0\0\0\0[]"[..],
            b"\x02\0\0\0\0\0\0\0[x",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"PASSED",
        ] {
            assert!(matches!(receive(garbage), Incoming::Garbage), "{garbage:?}");
        }
        let deep = "[".repeat(100_000);
        let message = [&(deep.len() as u64).to_le_bytes()[..], deep.as_bytes()].concat();
        assert!(matches!(receive(&message), Incoming::Garbage));
    }

    #[test]
    fn what_the_other_end_does_not_take_is_kept() {
        let (mut channel, mut other) = Channel::new().unwrap();
        let message = json!("x".repeat(3 << 20));
        channel.send(&message);
        assert!(matches!(channel.watch(), Watch::Either(_)));
        let reader = std::thread::spawn(move || {
            let mut head = [0; 8];
            other.read_exact(&mut head).unwrap();
            let mut body = vec![0; u64::from_le_bytes(head) as usize];
            other.read_exact(&mut body).unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()
        });
        while !channel.outbox.is_empty() {
            assert!(matches!(channel.receive(), Incoming::Nothing | Incoming::Closed));
        }
        assert_eq!(reader.join().unwrap(), message);
    }
}
