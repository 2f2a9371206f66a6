use rand::RngExt;

use super::*;
use crate::data::Seed;
use crate::formats::{LabelRecord, PreferenceRow, RolloutRecord, StepwiseRow, Text};

fn rollout(number: u32) -> RolloutRecord {
    let response = "é\n".repeat(number as usize % 4);
    let tokens = response.len();
    RolloutRecord {
        problem: format!("p/{number}"),
        prompt: "Why?\n".into(),
        prompt_tokens: vec![number, u32::MAX],
        response_tokens: (0..tokens as u32).collect(),
        token_ends: (1..=tokens).collect(),
        log_probs: (0..tokens).map(|token| -0.1 * token as f32 - 1e-7).collect(),
        finished: number.is_multiple_of(2),
        passes: [None, Some(false), Some(true)][number as usize % 3],
        response,
        ..RolloutRecord::default()
    }
}

fn write<T: Columns>(path: &Path, records: &[T]) {
    let mut writer = ParquetWriter::create(path).unwrap();
    records.iter().for_each(|record| writer.write(record).unwrap());
    writer.finish().unwrap();
}

fn read<T: Columns>(path: &Path) -> Result<Vec<T>, FormatError> {
    ParquetRows::open(path)?.collect()
}

#[test]
fn records_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    // More than one row group, lists of all lengths.
    let rollouts: Vec<_> = (0..ROWS as u32 + 5).map(rollout).collect();
    write(&path, &rollouts);
    assert!(read::<RolloutRecord>(&path).unwrap() == rollouts);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    let bytes = std::fs::read(&path).unwrap();
    write(&path, &rollouts);
    assert!(std::fs::read(&path).unwrap() == bytes, "the same records, other bytes");
    write::<RolloutRecord>(&path, &[]);
    assert!(read::<RolloutRecord>(&path).unwrap().is_empty());

    let labels = r#"{"schema": "pspo.labels/1", "problem": "p", "prompt": "q", "program": "a\nb", "step_ends": [2, 3],
        "comments": [true, false], "labels": [0, -1], "step_tokens": [1, 1], "class": "wrong", "passes": false}"#;
    let labels = [serde_json::from_str::<LabelRecord>(labels).unwrap()];
    write(&path, &labels);
    assert_eq!(read::<LabelRecord>(&path).unwrap(), labels);
}

#[test]
fn errors_name_file_row_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let row = StepwiseRow { prompt: "p".into(), completions: vec!["a".into()], labels: vec![true] };
    write(&path, &[row.clone(), row.clone()]);
    let error = read::<PreferenceRow>(&path).unwrap_err().to_string();
    assert!(
        error.contains("rows.parquet, record 1: ") && error.contains("missing field `chosen`"),
        "{error}"
    );
    let error = read::<LabelRecord>(&path).unwrap_err().to_string();
    assert!(error.contains("the field `labels[0]` cannot be read: invalid type: boolean"), "{error}");

    let mut writer = ParquetWriter::create(&path).unwrap();
    writer.write(&row).unwrap();
    let error = writer.write(&StepwiseRow { labels: vec![], ..row }).unwrap_err().to_string();
    assert!(error.contains("record 2: the field `labels` has 0 labels for 1 steps"), "{error}");
    let messages = Text::Chat(vec![crate::model::chat::Message::new(crate::model::chat::Role::User, "u")]);
    let chat = PreferenceRow { prompt: messages, chosen: Text::Chat(vec![]), rejected: Text::Chat(vec![]) };
    let mut pairs = ParquetWriter::create(folder.path().join("pairs.parquet")).unwrap();
    let error = pairs.write(&chat).unwrap_err().to_string();
    assert!(error.contains("the field `prompt` must be text in a Parquet file"), "{error}");
    drop(pairs);
    assert!(!folder.path().join("pairs.parquet").exists());
}

#[test]
fn broken_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    write(&path, &(0..20).map(rollout).collect::<Vec<_>>());
    let whole = std::fs::read(&path).unwrap();
    let attempt = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        read::<RolloutRecord>(&path)
    };
    for text in [&b""[..], b"PAR1", b"PAR1\xff\xff\xff\xffPAR1", b"{\"prompt\": 1}\n"] {
        assert!(attempt(text).is_err());
    }
    for cut in (0..whole.len()).step_by(whole.len() / 50) {
        assert!(attempt(&whole[..cut]).is_err(), "cut at {cut}");
    }
    // Whatever it says, it does not panic; and most of what is changed shows.
    let mut rng = Seed::root(1).rng();
    let mut refused = 0;
    for _ in 0..500 {
        let mut bytes = whole.clone();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        refused += usize::from(attempt(&bytes).is_err());
    }
    assert!(refused > 100, "{refused} of 500");
}
