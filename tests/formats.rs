//! Files that `datasets` and TRL wrote are read, and what is written here they read: `tests/peers/formats.py`.
//!
//! With `PSPO_FORMATS` set to a folder, the files are left there for the script.

use std::path::{Path, PathBuf};

use pspo::data::{Label, Labels, ResponseClass};
use pspo::formats::{
    JsonLines, JsonLinesWriter, LabelRecord, PreferenceRow, Record, RolloutRecord, Stepwise, StepwiseRow,
};
use pspo::plugin::CheckedSplitter;
use pspo::steps::Lines;

const PROGRAM: &str = "# Grüße\ndef f(x):\n\n    return x\n";

fn labels() -> LabelRecord {
    let steps = CheckedSplitter::new(Lines::python()).split(PROGRAM).unwrap();
    let labels = vec![Label::Neutral, Label::Good, Label::Bad];
    let labels = Labels { steps: labels, class: ResponseClass::Revised };
    LabelRecord::new("p/1", "Return \"x\".\n", &steps, &[2, 4, 7], &labels, false)
}

fn stepwise() -> Vec<StepwiseRow> {
    let record = labels();
    let row = |stepwise: Stepwise| {
        stepwise.row(&record.prompt, &record.steps().unwrap(), &record.labels().unwrap()).unwrap()
    };
    let inherited = Stepwise { neutral: pspo::formats::NeutralSteps::Inherited, ..Stepwise::default() };
    vec![row(Stepwise::default()), row(inherited)]
}

fn rollouts() -> Vec<RolloutRecord> {
    let finished = RolloutRecord {
        problem: "p/1".into(),
        prompt: "Return.".into(),
        response: PROGRAM.into(),
        prompt_tokens: vec![1, 2],
        response_tokens: vec![7, 151_645],
        token_ends: vec![PROGRAM.len(), PROGRAM.len()],
        log_probs: vec![-0.25, -1.5e-3],
        finished: true,
        passes: Some(true),
        ..RolloutRecord::default()
    };
    let empty = RolloutRecord {
        response: String::new(),
        response_tokens: vec![],
        token_ends: vec![],
        log_probs: vec![],
        finished: false,
        passes: None,
        ..finished.clone()
    };
    vec![finished, empty]
}

fn preferences() -> Vec<PreferenceRow> {
    let read = |text| serde_json::from_str(text).unwrap();
    vec![
        read(r#"{"prompt": "1 + 1?", "chosen": "2", "rejected": "3 é\n"}"#),
        read(r#"{"prompt": "1 + 2?", "chosen": "3", "rejected": ""}"#),
    ]
}

fn conversations() -> Vec<PreferenceRow> {
    vec![
        serde_json::from_str(
            r#"{"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "1 + 1?"}],
                "chosen": [{"role": "assistant", "content": "2"}],
                "rejected": [{"role": "assistant", "content": "3"}]}"#,
        )
        .unwrap(),
    ]
}

fn lines<T: Record + PartialEq + std::fmt::Debug>(folder: &Path, name: &str, records: &[T]) {
    let path = folder.join(name);
    let mut writer = JsonLinesWriter::create(&path).unwrap();
    records.iter().for_each(|record| writer.write(record).unwrap());
    writer.finish().unwrap();
    assert_eq!(JsonLines::open(&path).unwrap().collect::<Result<Vec<T>, _>>().unwrap(), records);
}

/// Where the files go: the folder that is asked for, or one that vanishes.
fn folder() -> (Option<tempfile::TempDir>, PathBuf) {
    match std::env::var_os("PSPO_FORMATS") {
        Some(folder) => (None, folder.into()),
        None => {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().to_owned();
            (Some(folder), path)
        }
    }
}

#[test]
fn what_is_written_as_json_lines_is_read() {
    let (_kept, folder) = folder();
    lines(&folder, "stepwise.jsonl", &stepwise());
    lines(&folder, "preferences.jsonl", &preferences());
    lines(&folder, "conversations.jsonl", &conversations());
    lines(&folder, "rollouts.jsonl", &rollouts());
    lines(&folder, "labels.jsonl", &[labels()]);
}

#[cfg(feature = "parquet")]
mod parquet {
    use pspo::formats::{Columns, ParquetRows, ParquetWriter};

    use super::*;

    fn rows<T: Columns + PartialEq + std::fmt::Debug>(folder: &Path, name: &str, records: &[T]) {
        let path = folder.join(name);
        let mut writer = ParquetWriter::create(&path).unwrap();
        records.iter().for_each(|record| writer.write(record).unwrap());
        writer.finish().unwrap();
        assert_eq!(ParquetRows::open(&path).unwrap().collect::<Result<Vec<T>, _>>().unwrap(), records);
    }

    #[test]
    fn what_is_written_as_parquet_is_read() {
        let (_kept, folder) = folder();
        rows(&folder, "stepwise.parquet", &stepwise());
        rows(&folder, "preferences.parquet", &preferences());
        rows(&folder, "rollouts.parquet", &rollouts());
        rows(&folder, "labels.parquet", &[labels()]);
    }

    #[test]
    fn what_datasets_wrote_as_parquet_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stepwise.parquet");
        let rows = ParquetRows::<StepwiseRow>::open(path).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let [first, second] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((first.prompt.as_str(), &first.labels[..]), ("Return x.", &[true, false][..]));
        assert_eq!(first.completions, texts(&["def f(x):", "    retürn x"]));
        assert_eq!((second.prompt.as_str(), second.completions.len()), ("Nothing.", 0));
    }
}
