use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::data::Layout;

/// Every kind of number that a careless format would change.
const NUMBERS: [u32; 8] =
    [0, 0x8000_0000, 1, 0x7f80_0000, 0xff80_0000, 0x7fc0_0001, 0x3f80_0001, 0x7f7f_ffff];

fn checkpoint(step: u64) -> Checkpoint {
    // Not in the order of their names, and one without numbers.
    let mut layout = Layout::default();
    layout.push("trunk.1.w", &[3, 8]);
    layout.push("trunk.0.w", &[8]);
    layout.push("nothing", &[0, 4]);
    let values = NUMBERS.iter().cycle().take(layout.len()).map(|&bits| f32::from_bits(bits)).collect();
    let policy = Parameters::new(layout, values).unwrap();
    let critic = Parameters::zeros(policy.layout().clone());
    Checkpoint {
        tensors: vec![("policy".into(), policy), ("critic.adam_m".into(), critic)],
        state: json!({ "step": step, "kl": 0.1 + 0.2, "seed": u64::MAX, "nested": { "b": 1, "a": [-0.0] } }),
    }
}

fn bits(checkpoint: &Checkpoint) -> Vec<Vec<u32>> {
    let groups = checkpoint.tensors.iter();
    groups.map(|(_, group)| group.values().iter().map(|value| value.to_bits()).collect()).collect()
}

fn assert_same(left: &Checkpoint, right: &Checkpoint) {
    assert_eq!(bits(left), bits(right));
    assert_eq!(left.state.to_string(), right.state.to_string());
    let layouts = |checkpoint: &Checkpoint| -> Vec<_> {
        checkpoint.tensors.iter().map(|(name, group)| (name.clone(), group.layout().clone())).collect()
    };
    assert_eq!(layouts(left), layouts(right));
}

fn files(save: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(save).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(dir: &Path) -> Vec<String> {
    files(dir).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn the_round_trip_is_exact_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(1).save(dir.path()).unwrap();
    assert_same(&Checkpoint::load(dir.path()).unwrap(), &checkpoint(1));
    assert_same(&Checkpoint::load(&dir.path().join("save-000001")).unwrap(), &checkpoint(1));

    let empty = Checkpoint {
        tensors: vec![("empty".into(), Parameters::zeros(Layout::default()))],
        state: json!(null),
    };
    empty.save(dir.path()).unwrap();
    assert_same(&Checkpoint::load(dir.path()).unwrap(), &empty);
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let bytes = dirs.each_ref().map(|dir| {
        checkpoint(1).save(dir.path()).unwrap();
        let files = files(&dir.path().join("save-000001"));
        files.iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(bytes[0], bytes[1]);
}

#[test]
fn other_tools_can_read_the_tensors() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(1).save(dir.path()).unwrap();
    let bytes = fs::read(dir.path().join("save-000001/policy.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("trunk.0.w").unwrap().shape(), [8]);
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(header % 8, 0, "the data must be aligned");
}

#[test]
fn a_file_cut_anywhere_is_a_named_error() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(1).save(dir.path()).unwrap();
    for file in files(&dir.path().join("save-000001")) {
        let whole = fs::read(&file).unwrap();
        for sixteenth in 0..16 {
            fs::write(&file, &whole[..whole.len() * sixteenth / 16]).unwrap();
            let error = Checkpoint::load(dir.path()).unwrap_err();
            assert!(matches!(&error, CheckpointError::Damaged { file: named, .. } if *named == file));
        }
        fs::remove_file(&file).unwrap();
        let missing = Checkpoint::load(dir.path());
        assert!(matches!(missing, Err(CheckpointError::Damaged { .. })), "{missing:?}");
        fs::write(&file, &whole).unwrap();
    }
    Checkpoint::load(dir.path()).unwrap();
}

#[test]
fn the_error_of_a_cut_file_names_the_tensor_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(1).save(dir.path()).unwrap();
    let file = dir.path().join("save-000001/policy.safetensors");
    let whole = fs::read(&file).unwrap();
    // `trunk.1.w` is first in the file, with 96 bytes, then `trunk.0.w` with 32.
    for (cut, tensor) in [(1, "trunk.0.w"), (32, "trunk.0.w"), (33, "trunk.1.w"), (128, "trunk.1.w")] {
        fs::write(&file, &whole[..whole.len() - cut]).unwrap();
        assert_eq!(
            Checkpoint::load(dir.path()).unwrap_err().to_string(),
            format!(
                "checkpoint file `{}` is damaged at tensor `{tensor}`: it has {} of {} bytes. Restore it \
                 from a copy, or go back to the save before it with `Checkpoint::roll_back`",
                file.display(),
                whole.len() - cut,
                whole.len(),
            )
        );
    }
}

#[test]
fn a_flipped_bit_is_never_loaded() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(1).save(dir.path()).unwrap();
    for file in files(&dir.path().join("save-000001")) {
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&file, &flipped).unwrap();
            // Blanks between JSON's tokens may change without a change of what they say.
            if let Ok(loaded) = Checkpoint::load(dir.path()) {
                assert_same(&loaded, &checkpoint(1));
                assert!(whole[at].is_ascii_whitespace(), "byte {at} of {}", file.display());
            }
        }
        fs::write(&file, &whole).unwrap();
    }
}

#[test]
fn what_a_killed_writer_left_is_ignored_and_cleaned() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join("save-000001.tmp");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("policy.safetensors"), b"half").unwrap();
    assert!(!Checkpoint::exists(dir.path()));
    assert!(matches!(Checkpoint::load(dir.path()), Err(CheckpointError::NotFound { .. })));

    checkpoint(1).save(dir.path()).unwrap();
    fs::create_dir(dir.path().join("save-000002.tmp")).unwrap();
    assert_same(&Checkpoint::load(dir.path()).unwrap(), &checkpoint(1));
    checkpoint(2).save(dir.path()).unwrap();
    checkpoint(3).save(dir.path()).unwrap();
    assert_eq!(names(dir.path()), ["save-000002", "save-000003"]);
}

#[test]
fn the_save_before_is_used_only_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    assert!(matches!(Checkpoint::roll_back(path), Err(CheckpointError::NotFound { .. })));
    checkpoint(1).save(path).unwrap();
    assert!(matches!(Checkpoint::roll_back(path), Err(CheckpointError::NoPrevious { .. })));
    checkpoint(2).save(path).unwrap();

    let file = path.join("save-000002/critic.adam_m.safetensors");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Checkpoint::load(path), Err(CheckpointError::Damaged { .. })));
    assert_same(&Checkpoint::roll_back(path).unwrap(), &checkpoint(1));
    assert_same(&Checkpoint::load(path).unwrap(), &checkpoint(1));
    checkpoint(2).save(path).unwrap();
    assert_same(&Checkpoint::roll_back(path).unwrap(), &checkpoint(1));
    assert_eq!(names(path), ["save-000001", "save-000002.rejected", "save-000002.rejected-2"]);

    // A save before that is damaged too: nothing is given up.
    checkpoint(2).save(path).unwrap();
    fs::remove_file(path.join("save-000001/policy.safetensors")).unwrap();
    assert!(Checkpoint::roll_back(path).is_err());
    assert_same(&Checkpoint::load(path).unwrap(), &checkpoint(2));
}

#[test]
fn names_that_would_lose_something_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let save = |names: &[&str]| {
        let tensors = names.iter().map(|name| ((*name).to_owned(), Parameters::zeros(Layout::default())));
        Checkpoint { tensors: tensors.collect(), state: json!(1) }.save(dir.path())
    };
    for name in ["", "../policy", "Policy", ".policy", "a/b", "1"] {
        assert!(matches!(save(&[name]), Err(CheckpointError::GroupName(_))), "{name}");
    }
    assert!(matches!(save(&["a", "a"]), Err(CheckpointError::DuplicateGroup(_))));

    let mut layout = Layout::default();
    layout.push("w", &[1]);
    layout.push("w", &[1]);
    let twice = Checkpoint { tensors: vec![("a".into(), Parameters::zeros(layout))], state: json!(1) };
    assert!(matches!(twice.save(dir.path()), Err(CheckpointError::DuplicateTensor { .. })));

    let mut layout = Layout::default();
    layout.push("__metadata__", &[1]);
    let reserved = Checkpoint { tensors: vec![("a".into(), Parameters::zeros(layout))], state: json!(1) };
    assert!(matches!(reserved.save(dir.path()), Err(CheckpointError::ReservedTensor { .. })));
    assert!(!Checkpoint::exists(dir.path()));

    let error = checkpoint(1).group("value").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the checkpoint has no group of tensors named `value`: it has `policy`, `critic.adam_m`"
    );
}

#[test]
fn another_format_is_told_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(1).save(dir.path()).unwrap();
    let file = dir.path().join("save-000001/checkpoint.json");
    let text = fs::read_to_string(&file).unwrap().replacen("\"format\": 1", "\"format\": 2", 1);
    fs::write(&file, text).unwrap();
    assert!(matches!(Checkpoint::load(dir.path()), Err(CheckpointError::Format { got: 2, .. })));
}
