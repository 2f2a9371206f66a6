//! Event logs as lines of JSON.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::io_error;
use super::{Body, Event, EventError, EventSink};

/// Writes events to a file, a line each, and each line in one write as soon as it is there: whoever
/// follows the file sees whole lines, and a run that is killed loses none.
pub struct JsonLines {
    name: &'static str,
    timing: bool,
    path: PathBuf,
    file: File,
    lines: u64,
}

impl JsonLines {
    /// The log of metrics and messages: what the same seed repeats byte for byte.
    ///
    /// Opens or creates the file and cuts it to its first `keep` lines.
    ///
    /// # Errors
    /// If it has fewer lines than that, or cannot be opened and cut.
    pub fn events(path: &Path, keep: u64) -> Result<Self, EventError> {
        Self::open("events", false, path, keep)
    }

    /// The log of what clocks said and of where the run was, otherwise like [`JsonLines::events`].
    ///
    /// # Errors
    /// Those of [`JsonLines::events`].
    pub fn timing(path: &Path, keep: u64) -> Result<Self, EventError> {
        Self::open("timing", true, path, keep)
    }

    fn open(name: &'static str, timing: bool, path: &Path, keep: u64) -> Result<Self, EventError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(io_error(path))?;
        let mut kept = 0;
        let mut reader = BufReader::new(&file);
        for got in 0..keep {
            let mut line = Vec::new();
            kept += reader.read_until(b'\n', &mut line).map_err(io_error(path))? as u64;
            if !line.ends_with(b"\n") {
                return Err(EventError::Short { path: path.to_owned(), got, needed: keep });
            }
        }
        file.set_len(kept).map_err(io_error(path))?;
        file.seek(SeekFrom::Start(kept)).map_err(io_error(path))?;
        Ok(Self { name, timing, path: path.to_owned(), file, lines: keep })
    }
}

impl EventSink for JsonLines {
    fn emit(&mut self, event: &Event) -> Result<(), EventError> {
        if matches!(event.body, Body::Seconds(_) | Body::About(_)) != self.timing {
            return Ok(());
        }
        let line = serde_json::to_vec(event).map_err(std::io::Error::from);
        let written = line.and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        written.map_err(io_error(&self.path))?;
        self.lines += 1;
        Ok(())
    }

    fn mark(&mut self) -> Result<Option<(&'static str, u64)>, EventError> {
        self.file.sync_data().map_err(io_error(&self.path))?;
        Ok(Some((self.name, self.lines)))
    }
}

/// Reads a log. A last line without its end is what a killed run was writing, and is left out.
///
/// # Errors
/// If the file cannot be read, or a line is not an event (the error gives its number).
pub fn read_events(path: &Path) -> Result<Vec<Event>, EventError> {
    let mut reader = BufReader::new(File::open(path).map_err(io_error(path))?);
    let mut events = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).map_err(io_error(path))?;
        if !line.ends_with(b"\n") {
            return Ok(events);
        }
        let number = events.len() + 1;
        let event = serde_json::from_slice(&line);
        events.push(event.map_err(|source| EventError::Line {
            path: path.to_owned(),
            line: number,
            source,
        })?);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::trainer::events::Events;

    fn write(events: &mut Events, steps: std::ops::Range<u64>) {
        for step in steps {
            events.scalars("rl", step, &[("kl", step as f64 / 7.0), ("loss", f64::NAN)]).unwrap();
            events.message("rl", step, "two\nlines").unwrap();
            events.seconds("rl", step, &[("update", 0.5)]).unwrap();
        }
    }

    #[test]
    fn a_resumed_log_equals_one_that_was_not_killed() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
        write(&mut Events::default().with(JsonLines::events(&whole, 0).unwrap()), 0..4);

        let mut events = Events::default().with(JsonLines::events(&killed, 0).unwrap());
        write(&mut events, 0..2);
        let mark = events.mark().unwrap();
        assert_eq!(mark.records("events"), 4);
        write(&mut events, 2..3);
        drop(events);
        // Killed in the middle of a line.
        let mut bytes = fs::read(&killed).unwrap();
        bytes.extend(br#"{"stage":"rl","st"#);
        fs::write(&killed, bytes).unwrap();
        assert_eq!(read_events(&killed).unwrap().len(), 6);

        let resumed = JsonLines::events(&killed, mark.records("events")).unwrap();
        write(&mut Events::default().with(resumed), 2..4);
        assert_eq!(fs::read(&killed).unwrap(), fs::read(&whole).unwrap());
    }

    #[test]
    fn what_a_clock_said_has_a_log_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (log, timing) = (dir.path().join("events"), dir.path().join("timing"));
        let mut events = Events::default()
            .with(JsonLines::events(&log, 0).unwrap())
            .with(JsonLines::timing(&timing, 0).unwrap());
        write(&mut events, 0..3);
        assert_eq!(read_events(&log).unwrap().len(), 6);
        let timing = read_events(&timing).unwrap();
        assert_eq!(timing[2], Event::new("rl", 2, Body::Seconds(vec![("update".into(), 0.5)])));
    }

    #[test]
    fn a_log_shorter_than_its_mark_and_a_broken_line_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        write(&mut Events::default().with(JsonLines::events(&path, 0).unwrap()), 0..1);
        assert!(matches!(JsonLines::events(&path, 3), Err(EventError::Short { got: 2, needed: 3, .. })));
        assert_eq!(read_events(&path).unwrap().len(), 2, "nothing may be cut then");

        fs::write(&path, "{\"stage\":\"rl\",\"step\":3,\"metrics\":{}}\n{}\n").unwrap();
        let error = read_events(&path).unwrap_err().to_string();
        assert!(error.starts_with("line 2 of `") && error.contains("missing field `stage`"), "{error}");
    }
}
