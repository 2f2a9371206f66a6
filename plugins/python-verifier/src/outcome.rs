//! What Python's own errors say.

use pspo::plugin::Outcome;
use pspo::sandbox::{Ended, Event, Limits};
pub(crate) use pspo::verify::Failure;

/// What the end of a program says, if it says that something failed.
pub(crate) fn failure(event: Event, ended: &Ended, limits: &Limits) -> Option<Failure> {
    pspo::verify::failure(event, ended, limits, raised)
}

/// The outcome that the last line of a traceback says.
pub(crate) fn raised(line: &str) -> Outcome {
    if line.starts_with("MemoryError") {
        Outcome::Memory
    } else if line.starts_with("BlockingIOError: [Errno 11]")
        || line.starts_with("RuntimeError: can't start new thread")
    {
        Outcome::Processes
    } else {
        Outcome::Runtime
    }
}
