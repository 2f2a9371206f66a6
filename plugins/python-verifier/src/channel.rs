//! Messages of JSON on a [`sandbox::Channel`].

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use pspo::plugin::VerifyError;
use pspo::sandbox::{self, Watch};
use pspo::verify::failed;
use serde_json::Value;

/// Bytes of a message, at most; as in `plain.py`.
const LARGEST_MESSAGE: u64 = 16 << 20;

/// Values in a message, at most, and objects among them: in memory, a value takes some 40 bytes here, an object 600.
const MOST_VALUES: usize = 2_000_000;
const MOST_OBJECTS: usize = 300_000;

/// Our end.
pub(crate) struct Channel(pub sandbox::Channel);

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
    /// A message of more values than are read.
    TooMuch,
}

impl Channel {
    /// A channel, and its other end.
    pub fn new() -> Result<(Self, UnixStream), VerifyError> {
        let (channel, other) = sandbox::Channel::new(LARGEST_MESSAGE).map_err(failed)?;
        Ok((Self(channel), other))
    }

    /// Sends a message, as far as the other end takes it now; [`Channel::receive`] sends the rest.
    pub fn send(&mut self, message: &Value) {
        self.0.send(message.to_string().as_bytes());
    }

    /// As [`sandbox::Channel::send_with`].
    ///
    /// # Errors
    /// If the other end does not take as much as that.
    pub fn send_with(&mut self, message: &Value, fd: Option<BorrowedFd<'_>>) -> Result<(), VerifyError> {
        self.0.send_with(message.to_string().as_bytes(), fd).map_err(failed)
    }

    /// What to wait for before the next [`Channel::receive`].
    pub fn watch(&self) -> Watch<'_> {
        self.0.watch()
    }

    /// Sends and reads what can be now, and returns the first message.
    pub fn receive(&mut self) -> Incoming {
        match self.0.receive() {
            sandbox::Incoming::Message(bytes) => read(&bytes),
            sandbox::Incoming::Nothing => Incoming::Nothing,
            sandbox::Incoming::Closed => Incoming::Closed,
            _ => Incoming::Garbage,
        }
    }
}

/// What the bytes of a message say.
pub(crate) fn read(bytes: &[u8]) -> Incoming {
    if is_too_much(bytes) {
        return Incoming::TooMuch;
    }
    serde_json::from_slice(bytes).map_or(Incoming::Garbage, Incoming::Message)
}

/// Whether JSON holds more values, or more objects, than are read.
fn is_too_much(json: &[u8]) -> bool {
    if json.len() < MOST_OBJECTS {
        return false;
    }
    let (mut values, mut objects, mut in_text, mut escaped) = (1, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' if !in_text => values += 1,
            b'{' if !in_text => objects += 1,
            _ => {}
        }
    }
    values > MOST_VALUES || objects > MOST_OBJECTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write;

    #[test]
    fn messages_are_json_or_garbage() {
        let receive = |bytes: &[u8]| {
            let (mut channel, mut other) = Channel::new().unwrap();
            other.write_all(&(bytes.len() as u64).to_le_bytes()).unwrap();
            other.write_all(bytes).unwrap();
            channel.receive()
        };
        assert!(matches!(receive(b"[]"), Incoming::Message(message) if message == json!([])));
        assert!(matches!(receive(b"[x"), Incoming::Garbage));
        let many = |item: &str, times: usize| format!("[{}0]", format!("{item},").repeat(times));
        assert!(!is_too_much(many("1", 1_000_000).as_bytes()));
        assert!(is_too_much(many("1", 2_000_001).as_bytes()));
        assert!(is_too_much(many("{\"\":0}", 300_001).as_bytes()));
        assert!(!is_too_much(many("\"{{\\\",,[\"", 500_000).as_bytes()));
        assert!(matches!(receive("[".repeat(100_000).as_bytes()), Incoming::Garbage));
    }
}
