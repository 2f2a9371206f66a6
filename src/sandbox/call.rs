//! System calls that are prepared before a process is forked and made in the child.
//!
//! Between `fork` and `exec` in a program of several threads nothing may allocate or lock. So everything that
//! confines a process is laid down beforehand as a list of system calls with their arguments, and the child
//! makes one after the other. The same list, as JSON, confines the programs that a fork server starts: there
//! is one description of a layer, whoever puts it on.

use std::ffi::CString;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};

/// Calls that one list may hold: their results have a place on the child's stack. Who makes lists by what a user
/// says (paths, files) bounds that first.
const MOST_CALLS: usize = 1024;

/// An argument of a [`Call`].
#[derive(Clone, Debug)]
pub(super) enum Argument {
    /// A number.
    Word(i64),
    /// The result of an earlier call of the list, by its place; most often a file descriptor.
    Result(usize),
    /// The address of these bytes. At each of `patches`, the result of an earlier call is put in as an `i32`.
    Bytes { bytes: Vec<u8>, patches: Vec<(usize, usize)> },
    /// The address of a `sock_fprog` that holds this BPF program, of 8 bytes an instruction.
    Program(Vec<u8>),
}

impl From<i64> for Argument {
    fn from(word: i64) -> Self {
        Self::Word(word)
    }
}

impl From<i32> for Argument {
    fn from(word: i32) -> Self {
        Self::Word(word.into())
    }
}

impl From<u32> for Argument {
    fn from(word: u32) -> Self {
        Self::Word(word.into())
    }
}

impl From<u64> for Argument {
    /// The same 64 bits.
    fn from(word: u64) -> Self {
        Self::Word(word.cast_signed())
    }
}

impl From<&str> for Argument {
    /// A C string. A NUL byte in `text` ends it there; [`text`] refuses such paths beforehand.
    fn from(text: &str) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        Self::Bytes { bytes, patches: Vec::new() }
    }
}

impl From<CString> for Argument {
    fn from(text: CString) -> Self {
        Self::Bytes { bytes: text.into_bytes_with_nul(), patches: Vec::new() }
    }
}

/// One system call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// What it is for, as an error names it: `mount a private /tmp`.
    pub what: String,
    number: i64,
    arguments: Vec<Argument>,
    /// Whether the sandbox does without it where it fails.
    optional: bool,
}

/// System calls in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Vec<Call>);

impl Calls {
    /// Adds a call and returns its place, for [`Argument::Result`].
    pub fn push(
        &mut self,
        what: impl Into<String>,
        number: i64,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> usize {
        self.add(what.into(), number, arguments.into_iter().collect(), false)
    }

    /// Adds a call that may fail. Its result is then −1 in later calls, which should be optional too.
    pub fn push_optional(
        &mut self,
        what: impl Into<String>,
        number: i64,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> usize {
        self.add(what.into(), number, arguments.into_iter().collect(), true)
    }

    fn add(&mut self, what: String, number: i64, arguments: Vec<Argument>, optional: bool) -> usize {
        assert!(arguments.len() <= 6 && self.0.len() < MOST_CALLS, "a system call has six arguments at most");
        self.0.push(Call { what, number, arguments, optional });
        self.0.len() - 1
    }

    /// What the call at `place` is for.
    pub fn what(&self, place: usize) -> &str {
        self.0.get(place).map_or("a step of the sandbox", |call| &call.what)
    }

    /// The list as a fork server reads it.
    pub fn to_json(&self) -> Value {
        let argument = |argument: &Argument| match argument {
            Argument::Word(word) => json!(word),
            Argument::Result(place) => json!({ "result": place }),
            Argument::Bytes { bytes, patches } => json!({ "bytes": hex(bytes), "patches": patches }),
            Argument::Program(bytes) => json!({ "program": hex(bytes) }),
        };
        let call = |call: &Call| {
            let arguments: Vec<_> = call.arguments.iter().map(argument).collect();
            json!([call.what, call.number, arguments, call.optional])
        };
        self.0.iter().map(call).collect()
    }

    /// Lays the arguments out in memory.
    pub fn prepare(&self) -> Prepared {
        let mut buffers = Vec::new();
        let calls = self.0.iter().map(|call| {
            let mut words = [Word::Fixed(0); 6];
            for (word, argument) in words.iter_mut().zip(&call.arguments) {
                *word = match argument {
                    Argument::Word(fixed) => Word::Fixed(*fixed),
                    Argument::Result(place) => Word::Result(*place),
                    Argument::Bytes { bytes, patches } => {
                        buffers.push(Buffer::new(bytes.clone(), patches.clone()));
                        Word::Buffer(buffers.len() - 1)
                    }
                    Argument::Program(program) => {
                        let instructions = program.len() / 8;
                        let program = Buffer::new(program.clone(), Vec::new());
                        // struct sock_fprog { u16 len; struct sock_filter *filter; }
                        let mut head = [0; 16];
                        let length =
                            u16::try_from(instructions).expect("a filter has at most 4096 instructions");
                        head[..2].copy_from_slice(&length.to_ne_bytes());
                        head[8..].copy_from_slice(&program.address().to_ne_bytes());
                        buffers.push(program);
                        buffers.push(Buffer::new(head.to_vec(), Vec::new()));
                        Word::Buffer(buffers.len() - 1)
                    }
                };
            }
            (call.number, words, call.optional)
        });
        Prepared { calls: calls.collect(), buffers }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone, Copy)]
enum Word {
    Fixed(i64),
    Result(usize),
    Buffer(usize),
}

/// Bytes that the kernel reads; the child writes results of earlier calls into them, hence the atomics.
struct Buffer {
    bytes: Box<[AtomicU8]>,
    patches: Vec<(usize, usize)>,
}

impl Buffer {
    fn new(bytes: Vec<u8>, patches: Vec<(usize, usize)>) -> Self {
        Self { bytes: bytes.into_iter().map(AtomicU8::new).collect(), patches }
    }

    fn address(&self) -> i64 {
        self.bytes.as_ptr().expose_provenance() as i64
    }
}

/// [`Calls`] whose arguments lie in memory, ready to be made in a forked child.
pub(super) struct Prepared {
    calls: Vec<(i64, [Word; 6], bool)>,
    buffers: Vec<Buffer>,
}

/// A call that failed: its place in the list and the error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FailedCall {
    pub place: usize,
    pub errno: i32,
}

impl Prepared {
    /// Makes the calls one after the other, up to the first that fails. Neither allocates nor locks.
    ///
    /// # Safety
    /// The calls do to this process what they say: it must be a child that was forked to be confined.
    pub unsafe fn perform(&self) -> Result<(), FailedCall> {
        let mut results = [0; MOST_CALLS];
        for (place, (number, words, optional)) in self.calls.iter().enumerate() {
            let word = |index: usize| match words[index] {
                Word::Fixed(word) => word,
                Word::Result(place) => results[place],
                Word::Buffer(buffer) => {
                    let buffer = &self.buffers[buffer];
                    for &(offset, place) in &buffer.patches {
                        let result = results[place] as i32;
                        for (byte, value) in buffer.bytes[offset..].iter().zip(result.to_ne_bytes()) {
                            byte.store(value, Ordering::Relaxed);
                        }
                    }
                    buffer.address()
                }
            };
            // SAFETY: the caller vouches for the process; every address is that of a buffer of `self`, which
            // is as long as the call that it was made for reads (each is built next to its call).
            let result =
                unsafe { libc::syscall(*number, word(0), word(1), word(2), word(3), word(4), word(5)) };
            if result < 0 && !optional {
                return Err(FailedCall { place, errno: errno() });
            }
            results[place] = result;
        }
        Ok(())
    }
}

/// The error number of the last call that failed on this thread.
pub(super) fn errno() -> i32 {
    // SAFETY: the address of this thread's own `errno`.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_go_into_later_calls() {
        let path = std::env::temp_dir().join(format!("pspo-calls-{}", std::process::id()));
        let path_text = path.to_str().unwrap();
        let mut calls = Calls::default();
        let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC;
        let file = calls.push(
            "open a file",
            libc::SYS_openat,
            [libc::AT_FDCWD.into(), path_text.into(), flags.into(), 0o600.into()],
        );
        let patched = Argument::Bytes { bytes: vec![b'x'; 6], patches: vec![(1, file)] };
        calls.push("write to it", libc::SYS_write, [Argument::Result(file), patched, 6.into()]);
        calls.push("close it", libc::SYS_close, [Argument::Result(file)]);
        calls.push("open nothing", libc::SYS_openat, [libc::AT_FDCWD.into(), "".into(), 0.into()]);
        // SAFETY: these calls open, write and close one file.
        let failed = unsafe { calls.prepare().perform() }.unwrap_err();
        assert_eq!(failed, FailedCall { place: 3, errno: libc::ENOENT });
        assert_eq!(calls.what(failed.place), "open nothing");
        let written = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((written[0], written[5], written.len()), (b'x', b'x', 6));
        assert!(i32::from_ne_bytes(written[1..5].try_into().unwrap()) > 2, "{written:?}");
    }
}
