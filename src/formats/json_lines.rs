//! Records as JSON lines: one object a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::{Flaw, FormatError, Place, Record};
use crate::files::Beside;

/// Bytes of a line, at most.
const LARGEST: u64 = 256 << 20;

/// Reads a file's records one by one: no more of it than a line is in memory. Blank lines are passed over. After an
/// error of the file itself nothing more comes; after one of a record, the next record.
///
/// ```
/// use pspo::formats::{JsonLines, JsonLinesWriter, PreferenceRow, Text};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("pairs.jsonl");
/// let pair = PreferenceRow {
///     prompt: Text::Plain("1 + 1?".into()),
///     chosen: Text::Plain("2".into()),
///     rejected: Text::Plain("3".into()),
/// };
/// let mut writer = JsonLinesWriter::create(&path)?;
/// writer.write(&pair)?;
/// writer.finish()?; // without, there is no file
/// let rows = JsonLines::<PreferenceRow>::open(&path)?.collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(rows, [pair]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct JsonLines<T> {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    number: usize,
    limit: u64,
    over: bool,
    record: PhantomData<fn() -> T>,
}

impl<T: Record> JsonLines<T> {
    /// Begins to read a file.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        let path = path.as_ref().to_owned();
        let file = File::open(&path).map_err(|source| FormatError::Io { path: path.clone(), source })?;
        let (reader, line, limit) = (BufReader::new(file), Vec::new(), LARGEST);
        Ok(Self { path, reader, line, number: 0, limit, over: false, record: PhantomData })
    }

    /// The next line that is not blank; false at the end.
    fn advance(&mut self) -> Result<bool, FormatError> {
        loop {
            self.line.clear();
            let mut bounded = self.reader.by_ref().take(self.limit);
            let read = bounded.read_until(b'\n', &mut self.line);
            if read.map_err(|source| FormatError::Io { path: self.path.clone(), source })? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if self.line.len() as u64 == self.limit && !self.line.ends_with(b"\n") {
                let place = Place::new(&self.path, self.number);
                return Err(FormatError::TooLong { place, limit: self.limit });
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    fn parse(&self) -> Result<T, FormatError> {
        let place = || Place::new(&self.path, self.number);
        let mut json = serde_json::Deserializer::from_slice(self.line.trim_ascii_end());
        let wrong = |field: String, error: &serde_json::Error| {
            // Its line is 1 in each line.
            let field = if field == "?" { ".".into() } else { field };
            let message = error.to_string().replace("at line 1 column", "at column");
            FormatError::Json { place: place(), field, message }
        };
        let record: T = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| wrong(error.path().to_string(), error.inner()))?;
        json.end().map_err(|error| wrong(".".into(), &error))?;
        record.check().map_err(|flaw| FormatError::Flaw { place: place(), flaw })?;
        Ok(record)
    }
}

impl<T: Record> Iterator for JsonLines<T> {
    type Item = Result<T, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        match self.advance() {
            Ok(true) => Some(self.parse()),
            Ok(false) => {
                self.over = true;
                None
            }
            Err(error) => {
                self.over = true;
                Some(Err(error))
            }
        }
    }
}

/// Writes records one by one, into a file that is there when all of it is.
pub struct JsonLinesWriter<T> {
    path: PathBuf,
    file: Beside,
    number: usize,
    record: PhantomData<fn(&T)>,
}

impl<T: Record> JsonLinesWriter<T> {
    /// Begins to write a file.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        let path = path.as_ref().to_owned();
        let file = Beside::create(&path).map_err(|source| FormatError::Io { path: path.clone(), source })?;
        Ok(Self { path, file, number: 0, record: PhantomData })
    }

    /// Writes a record.
    ///
    /// # Errors
    /// If it would not be read again, or the file cannot be written.
    pub fn write(&mut self, record: &T) -> Result<(), FormatError> {
        self.number += 1;
        let flaw = |flaw| FormatError::Flaw { place: Place::new(&self.path, self.number), flaw };
        record.check().map_err(flaw)?;
        let mut line = serde_json::to_vec(record).map_err(|error| flaw(Flaw::new(".", error.to_string())))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|source| FormatError::Io { path: self.path.clone(), source })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// If that fails; then there is no file, or the earlier one.
    pub fn finish(self) -> Result<(), FormatError> {
        let Self { path, file, .. } = self;
        file.finish().map_err(|source| FormatError::Io { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::StepwiseRow;

    fn rows(text: &[u8]) -> Vec<Result<StepwiseRow, FormatError>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, text).unwrap();
        let mut rows = JsonLines::open(&path).unwrap();
        rows.limit = 200;
        rows.collect()
    }

    #[test]
    fn errors_name_file_line_and_field() {
        let good = r#"{"prompt": "p", "completions": ["a"], "labels": [true], "source": "kept elsewhere"}"#;
        for (line, message) in [
            (r#"{"prompt": "p""#, "rows.jsonl, record 3: EOF while parsing an object at column 14"),
            (r#"{"prompt": "p", "completions": ["a"]}"#, "record 3: missing field `labels`"),
            (
                r#"{"prompt": "p", "completions": ["a", 2], "labels": [true, true]}"#,
                "record 3: the field `completions[1]`: invalid type: integer `2`, expected a string",
            ),
            (
                r#"{"prompt": "p", "completions": ["a"], "labels": [true, false]}"#,
                "record 3: the field `labels` has 2 labels for 1 steps: there must be one for each",
            ),
            (r#"{"prompt": "p", "completions": [], "labels": []} x"#, "record 3: trailing characters"),
        ] {
            let found = rows(format!("{good}\n  \n{line}\n{good}").as_bytes());
            let [Ok(_), Err(error), Ok(_)] = &found[..] else { panic!("{found:?}") };
            assert!(error.to_string().contains(message), "{error}");
        }
        let found = rows(b"\xff\xfe\n");
        assert!(matches!(&found[..], [Err(FormatError::Json { .. })]), "{found:?}");
        let found = rows(format!("{good}\n{}\n{good}", "x".repeat(200)).as_bytes());
        let [Ok(_), Err(error)] = &found[..] else { panic!("{found:?}") };
        assert!(error.to_string().ends_with("record 2: longer than 200 bytes"), "{error}");
        assert!(rows(b"").is_empty() && rows(b"\n\n").is_empty());
        let absent = JsonLines::<StepwiseRow>::open("absent/rows.jsonl").unwrap_err().to_string();
        assert!(absent.starts_with("absent/rows.jsonl: "), "{absent}");
    }

    #[test]
    fn a_file_is_there_when_all_of_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, "earlier").unwrap();
        let row = StepwiseRow { prompt: "p".into(), completions: vec!["a".into()], labels: vec![true] };
        let mut writer = JsonLinesWriter::create(&path).unwrap();
        writer.write(&row).unwrap();
        let uneven = StepwiseRow { labels: vec![], ..row.clone() };
        let error = writer.write(&uneven).unwrap_err().to_string();
        assert!(error.contains("rows.jsonl, record 2: the field `labels` has 0 labels"), "{error}");
        drop(writer);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "earlier");
        let mut writer = JsonLinesWriter::create(&path).unwrap();
        writer.write(&row).unwrap();
        writer.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"prompt\":\"p\",\"completions\":[\"a\"],\"labels\":[true]}\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
