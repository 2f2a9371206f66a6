//! Safetensors files, whole and in shards: what they hold, and each thing that can be wrong in one.

use std::fs;

use pspo::pretrained::tensors::{self, Dtype, FileError, SafetensorsFiles};

use crate::safetensors::{INDEX, everything, file, shards};

fn open(bytes: &[u8]) -> Result<SafetensorsFiles, FileError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    SafetensorsFiles::open(folder.path().join("model.safetensors"))
}

/// The error of a file, which names the file and has all these words.
fn refused(bytes: &[u8], words: &[&str]) {
    let text = open(bytes).unwrap_err().to_string();
    for word in ["model.safetensors"].iter().chain(words) {
        assert!(text.contains(word), "{text:?} does not have {word:?}");
    }
}

#[test]
fn all_that_a_file_holds_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.safetensors"), everything()).unwrap();
    let source = tensors::open(folder.path()).unwrap();
    assert_eq!(source.names(), ["brain", "empty", "half", "mask", "scalar", "single"]);
    assert_eq!(source.shape("single"), Some(&[2, 3][..]));
    assert_eq!(source.read("single").unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(source.read("half").unwrap(), [1.0, -2.0, 2_f32.powi(-24)]);
    assert_eq!(source.read("brain").unwrap(), [1.0, -2.0, f32::INFINITY]);
    assert_eq!(source.read("scalar").unwrap(), [7.5]);
    assert!(source.read("empty").unwrap().is_empty());
    let dtypes = ["single", "half", "brain", "mask", "none"].map(|name| source.dtype(name));
    assert_eq!(dtypes, [Some(Dtype::F32), Some(Dtype::F16), Some(Dtype::BF16), Some(Dtype::Other), None]);
    let error = source.read("mask").unwrap_err();
    assert!(matches!(&error, FileError::Elements { dtype, .. } if dtype == "BOOL"), "{error}");
    assert!(matches!(source.read("none").unwrap_err(), FileError::NoTensor { .. }));
    assert!(matches!(
        source.read_into("single", &mut [0.0; 7]).unwrap_err(),
        FileError::Room { elements: 6, room: 7, .. }
    ));
}

/// What the format's own library writes.
#[test]
fn files_of_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let numbers: Vec<u8> = [1.5_f32, -2.5].iter().flat_map(|number| number.to_le_bytes()).collect();
    let view =
        ::safetensors::tensor::TensorView::new(::safetensors::Dtype::F32, vec![1, 2], &numbers).unwrap();
    ::safetensors::serialize_to_file([("w", view)], None, &path).unwrap();
    assert_eq!(tensors::open(&path).unwrap().read("w").unwrap(), [1.5, -2.5]);
}

#[test]
fn headers_that_cannot_be() {
    let one = |entry: &str, data: &[u8]| file(&format!(r#"{{"w":{entry}}}"#), data);
    refused(b"short", &["5 bytes"]);
    refused(&u64::MAX.to_le_bytes(), &[&u64::MAX.to_string(), "at most 0"]);
    refused(&file("[]", b""), &["header"]);
    refused(&file("{", b""), &["header"]);
    refused(&one(r#"{"dtype":"F7","shape":[],"data_offsets":[0,4]}"#, &[0; 4]), &["`w`", "F7"]);
    refused(&one(r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#, &[0; 4]), &["`w`", "-1"]);
    refused(
        &one(r#"{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#, &[0; 4]),
        &["`w`", "0..4", "8 bytes"],
    );
    refused(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#, &[0; 4]), &["`w`", "4..0"]);
    refused(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, &[0; 8]), &["`w`", "begin at 0"]);
    refused(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, &[0; 3]), &["`w`", "byte 4, of 3"]);
    refused(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, &[0; 5]), &["5 bytes", "4"]);
    refused(&one(r#"{"dtype":"F4","shape":[1],"data_offsets":[0,1]}"#, &[0; 1]), &["`w`", "within a byte"]);
    let sides = format!(r#"{{"dtype":"F32","shape":[{0},{0}],"data_offsets":[0,4]}}"#, 1_u64 << 40);
    refused(&one(&sides, &[0; 4]), &["`w`", "too large"]);
    let scalar = r#"{"dtype":"F32","shape":[],"data_offsets":[0,4]}"#;
    refused(&file(&format!(r#"{{"w":{scalar},"w":{scalar}}}"#), &[0; 4]), &["`w`", "twice"]);
    refused(&file(&format!(r#"{{"w":{scalar},"v":{scalar}}}"#), &[0; 4]), &["begin at 4"]);
}

#[test]
fn shards_are_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path());
    let index = folder.path().join("model.safetensors.index.json");
    for path in [folder.path(), &index] {
        let source = tensors::open(path).unwrap();
        assert_eq!(source.names(), ["a", "b", "c"]);
        let values = ["a", "b", "c"].map(|name| source.read(name).unwrap()[0]);
        assert_eq!(values, [1.0, 2.0, 3.0]);
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let error = tensors::open(elsewhere.path()).err().unwrap();
    assert!(matches!(error, FileError::NoModel(_)), "{error}");
}

/// The error of an index beside the shards of `shards`.
fn index_refused(index: &str) -> FileError {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path());
    let path = folder.path().join("model.safetensors.index.json");
    fs::write(&path, index).unwrap();
    let error = SafetensorsFiles::open(&path).unwrap_err();
    assert!(error.to_string().contains("model"), "{error}");
    error
}

#[test]
fn indices_that_cannot_be() {
    for name in ["../x", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "C:x", "a\u{0}b"] {
        let json = serde_json::json!({ "weight_map": { "a": name } }).to_string();
        let error = index_refused(&json);
        assert!(matches!(&error, FileError::ShardName { shard, .. } if shard == name), "{name:?}: {error}");
    }
    let error = index_refused(&INDEX.replace("model-2", "model-3"));
    assert!(matches!(&error, FileError::NoShard { tensor, .. } if tensor == "b"), "{error}");
    let error = index_refused(&INDEX.replace("\"c\"", "\"d\""));
    assert!(matches!(&error, FileError::NotInShard { tensor, .. } if tensor == "d"), "{error}");
    let error = index_refused(&INDEX.replace(r#""b":"model-2"#, r#""b":"model-1"#));
    assert!(matches!(&error, FileError::NotInShard { tensor, .. } if tensor == "b"), "{error}");
    let error = index_refused(&INDEX.replace("\"c\"", "\"b\""));
    assert!(error.to_string().contains("`b` is there twice"), "{error}");
    for index in ["{}", "[]", "", r#"{"weight_map":{"a":1}}"#] {
        assert!(matches!(index_refused(index), FileError::Malformed { .. }), "{index}");
    }
}

#[test]
fn a_tensor_in_two_shards() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path());
    fs::copy(folder.path().join("model-1.safetensors"), folder.path().join("model-3.safetensors")).unwrap();
    let index = r#"{"weight_map":{"a":"model-1.safetensors","e":"model-3.safetensors"}}"#;
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    let error = SafetensorsFiles::open(folder.path()).unwrap_err();
    assert!(matches!(&error, FileError::DuplicateTensor { tensor, .. } if tensor == "a"), "{error}");
}
