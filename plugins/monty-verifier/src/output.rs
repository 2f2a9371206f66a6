//! What a program prints, up to a limit; and the interpreter's regular call, at which the limits that
//! it does not know of are looked at.

use std::borrow::Cow;

use monty_types::{ExcType, MontyException, PrintWriterCallback};

use crate::meter::Metered;

/// Instructions that the interpreter runs between two calls of `poll_flush`: its `CHECK_INTERVAL`,
/// which counts down to zero.
const STEPS_PER_POLL: u64 = 256;

/// Collects printed text and stops the program that passes a limit.
pub(crate) struct Output<'a> {
    text: String,
    bytes: usize,
    steps_left: u64,
    metered: &'a Metered,
    stopped: Option<Stopped>,
}

/// A limit that this side of the interpreter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Output,
    Steps,
    Memory,
}

impl<'a> Output<'a> {
    pub fn new(bytes: usize, steps: u64, metered: &'a Metered) -> Self {
        Self { text: String::new(), bytes, steps_left: steps, metered, stopped: None }
    }

    /// What was printed, and which limit stopped the program if one did.
    pub fn finish(self) -> (String, Option<Stopped>) {
        let stopped = self.stopped.or(self.metered.over().then_some(Stopped::Memory));
        (self.text, stopped)
    }

    fn write(&mut self, text: &str) -> Result<(), MontyException> {
        if self.text.len() + text.len() > self.bytes {
            return self.stop(Stopped::Output);
        }
        self.text.push_str(text);
        Ok(())
    }

    /// The program may catch this exception where it is raised by `print`; it cannot catch that of the
    /// next `poll_flush`, which is raised between two instructions and not within one.
    fn stop(&mut self, why: Stopped) -> Result<(), MontyException> {
        let why = *self.stopped.get_or_insert(why);
        Err(MontyException::new(ExcType::MemoryError, Some(format!("{why:?} limit"))))
    }
}

impl PrintWriterCallback for Output<'_> {
    fn stdout_write(&mut self, output: Cow<'_, str>) -> Result<(), MontyException> {
        self.write(&output)
    }

    fn stdout_push(&mut self, end: char) -> Result<(), MontyException> {
        self.write(end.encode_utf8(&mut [0; 4]))
    }

    fn poll_flush(&mut self) -> Result<(), MontyException> {
        if let Some(why) = self.stopped {
            return self.stop(why);
        }
        if self.metered.over() {
            return self.stop(Stopped::Memory);
        }
        match self.steps_left.checked_sub(STEPS_PER_POLL) {
            Some(left) => self.steps_left = left,
            None => return self.stop(Stopped::Steps),
        }
        Ok(())
    }
}
