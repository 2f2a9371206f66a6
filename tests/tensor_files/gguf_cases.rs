//! GGUF files: what they hold, and each thing that can be wrong in one.

use std::fs;

use pspo::pretrained::tensors::gguf::{Array, Value};
use pspo::pretrained::tensors::{Dtype, FileError, Gguf, TensorSource, blocks};

use crate::gguf::{self, ARRAY, File, STRING, U8, U32, Writer};

fn open(bytes: &[u8]) -> Result<Gguf, FileError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs::write(&path, bytes).unwrap();
    Gguf::open(path)
}

/// The error of a file, which names the file and has all these words.
fn refused(bytes: &[u8], words: &[&str]) -> FileError {
    let error = open(bytes).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("model.gguf"), "{text}");
    for word in words {
        assert!(text.contains(word), "{text:?} does not have {word:?}");
    }
    error
}

/// A file of one tensor of 64 numbers.
fn one() -> File {
    File::new().tensor("w", &[32, 2], 0, vec![0; 256])
}

#[test]
fn all_that_a_file_holds_is_read() {
    let written = gguf::everything();
    for version in [2, 3] {
        let bytes = File { version, ..written.clone() }.write().bytes;
        let file = open(&bytes).unwrap();
        let metadata = file.metadata();
        assert_eq!(metadata.string("general.architecture").unwrap(), "llama");
        assert_eq!(metadata.get("scalar.3"), Some(&Value::I16(1)));
        assert_eq!(metadata.get("scalar.6"), Some(&Value::F32(f32::from_bits(1))));
        assert_eq!(metadata.get("scalar.7"), Some(&Value::Bool(true)));
        assert_eq!(metadata.get("array.11"), Some(&Value::Array(Array::I64(vec![1; 3]))));
        assert_eq!(metadata.strings("array.of.strings").unwrap(), ["é", "", "ab"]);
        let nested = Array::Array(vec![Array::U8(vec![7, 8]); 2]);
        assert_eq!(metadata.get("array.of.arrays"), Some(&Value::Array(nested)));
        assert_eq!(metadata.iter().count(), written.keys.len());
        let integers = [0, 1, 2, 3, 4, 5, 10, 11];
        for kind in integers {
            assert_eq!(metadata.uint(&format!("scalar.{kind}")).unwrap(), 1);
        }
        assert_eq!(metadata.float("scalar.12").unwrap(), f64::from_bits(1));
        assert!(metadata.bool("scalar.7").unwrap());
        assert_eq!(metadata.i32s("array.5").unwrap(), [1; 3]);

        assert!(file.names().is_sorted() && file.names().len() == written.tensors.len());
        for (tensor, (_, dtype)) in written.tensors.iter().zip(gguf::TYPES) {
            let (elements, _) = dtype.block().unwrap();
            // Sides are innermost first in the file, innermost last here.
            assert_eq!(file.shape(&tensor.name), Some(&[2, 2 * elements][..]));
            assert_eq!(file.dtype(&tensor.name), Some(dtype));
            let mut expected = vec![0.0; 4 * elements];
            blocks::dequantize(dtype, &tensor.data, &mut expected);
            let read = file.read(&tensor.name).unwrap();
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&read), bits(&expected), "{dtype}");
        }
    }
}

#[test]
fn a_tensor_longer_than_what_is_read_at_once() {
    let values: Vec<f32> = (0..700_000).map(|i| i as f32).collect();
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let file = open(&File::new().tensor("w", &[7, 100_000], 0, data).write().bytes).unwrap();
    assert_eq!(file.read("w").unwrap(), values);
    let halves =
        |block: u8| [0x00, 0x3C].into_iter().chain(std::iter::repeat_n(block, 32)).collect::<Vec<_>>();
    let data = (0..70_000_u32).flat_map(|block| halves((block % 100) as u8)).collect();
    let file = open(&File::new().tensor("w", &[32, 70_000], 8, data).write().bytes).unwrap();
    let read = file.read("w").unwrap();
    assert!(read.iter().enumerate().all(|(i, &value)| value == (i / 32 % 100) as f32));
}

#[test]
fn a_tensor_that_is_not_there_or_has_other_room() {
    let file = open(&one().write().bytes).unwrap();
    assert!(matches!(file.read("v").unwrap_err(), FileError::NoTensor { tensor, .. } if tensor == "v"));
    assert_eq!((file.shape("v"), file.dtype("v")), (None, None));
    let error = file.read_into("w", &mut [0.0; 63]).unwrap_err();
    assert!(matches!(error, FileError::Room { elements: 64, room: 63, .. }), "{error}");
}

#[test]
fn heads_that_are_not_of_this_format() {
    refused(b"", &["ends at byte 0"]);
    refused(b"GGML\x03\0\0\0", &["[71, 71, 77, 76]", "GGUF"]);
    for version in [0, 1, 4, u32::MAX] {
        refused(&File { version, ..one() }.write().bytes, &[&format!("version {version}"), "2 and 3"]);
    }
    refused(&File { version: 3_u32.swap_bytes(), ..one() }.write().bytes, &["big-endian"]);
    let split = one().key("split.count", 2, |writer| writer.bytes.extend([3, 0]));
    refused(&split.write().bytes, &["split.count", "join"]);
}

#[test]
fn counts_and_lengths_beyond_the_file() {
    let bytes = one().text("key", "value").write().bytes;
    for (at, what) in [(8, "tensors"), (16, "metadata keys"), (24, "bytes of a metadata key")] {
        for count in [1_u64 << 60, u64::MAX] {
            let mut bytes = bytes.clone();
            bytes[at..at + 8].copy_from_slice(&count.to_le_bytes());
            refused(&bytes, &[&count.to_string(), what, "left"]);
        }
    }
    let long = |count: u64| {
        one().key("long", ARRAY, move |writer| {
            writer.field32(10);
            writer.field64(count);
        })
    };
    refused(&long(1 << 61).write().bytes, &["elements of `long`", &(1_u64 << 61).to_string()]);
    let key = "k".repeat(65_536);
    refused(&one().u32(&key, 1).write().bytes, &["65536 bytes", "65535"]);
}

#[test]
fn metadata_that_cannot_be() {
    refused(&one().u32("key", 1).u32("key", 2).write().bytes, &["`key`", "twice"]);
    refused(&one().key("key", 13, |_| {}).write().bytes, &["`key`", "type 13"]);
    let unknown = |writer: &mut Writer| {
        writer.field32(99);
        writer.field64(0);
    };
    refused(&one().key("key", ARRAY, unknown).write().bytes, &["`key`", "type 99"]);
    refused(&one().key("key", 7, |writer| writer.bytes.push(2)).write().bytes, &["`key`", "truth value 2"]);
    let latin = |writer: &mut Writer| {
        writer.field64(1);
        writer.bytes.push(0xE9);
    };
    refused(&one().key("key", STRING, latin).write().bytes, &["`key`", "UTF-8"]);

    let nested = |depth: u32| {
        one().key("key", ARRAY, move |writer| {
            for _ in 1..depth {
                writer.field32(ARRAY);
                writer.field64(1);
            }
            writer.field32(U8);
            writer.field64(0);
        })
    };
    open(&nested(4).write().bytes).unwrap();
    refused(&nested(5).write().bytes, &["`key`", "more than 4 deep"]);
    refused(&nested(100_000).write().bytes, &["`key`", "more than 4 deep"]);
}

#[test]
fn keys_of_another_type() {
    let negative = |writer: &mut Writer| writer.bytes.extend((-1_i32).to_le_bytes());
    let file =
        open(&one().text("text", "a").u32("number", 1).key("negative", 5, negative).write().bytes).unwrap();
    let metadata = file.metadata();
    let texts = [
        metadata.string("number").unwrap_err(),
        metadata.uint("text").unwrap_err(),
        metadata.uint("negative").unwrap_err(),
        metadata.float("number").unwrap_err(),
        metadata.bool("number").unwrap_err(),
        metadata.strings("text").unwrap_err(),
        metadata.i32s("number").unwrap_err(),
        metadata.uint("absent").unwrap_err(),
    ]
    .map(|error| error.to_string());
    assert!(texts[0].contains("`number` is U32(1): it must be a string"), "{}", texts[0]);
    assert!(texts[1].contains("`text` is the string \"a\": it must be an integer"), "{}", texts[1]);
    assert!(texts[2].contains("`negative` is I32(-1)"), "{}", texts[2]);
    assert!(texts[7].contains("has no metadata key `absent`"), "{}", texts[7]);
    assert!(texts.iter().all(|text| text.contains("model.gguf")), "{texts:?}");
}

#[test]
fn tensors_that_cannot_be() {
    let tensor =
        |sides: &[u64], kind, data| File::new().tensor("w", sides, kind, vec![0; data]).write().bytes;
    refused(&tensor(&[1; 5], 0, 4), &["`w`", "5 sides", "4 at most"]);
    let error = refused(&tensor(&[256], 10, 84), &["`w`", "Q2_K", "Q4_K"]);
    assert!(matches!(error, FileError::Elements { dtype, .. } if dtype == "Q2_K"));
    refused(&tensor(&[256], 77, 84), &["`w`", "number 77"]);
    refused(&tensor(&[31, 32], 2, 18 * 31), &["`w`", "[32, 31]", "block"]);
    refused(&tensor(&[1 << 32, 1 << 32], 0, 64), &["`w`", "too large"]);
    refused(&tensor(&[1 << 62], 0, 64), &["`w`", "too large"]);
    refused(&tensor(&[65, 1], 0, 256), &["`w`", "260 bytes", "256"]);
    // A scalar is one element; a tensor with a side of none has no bytes.
    assert_eq!(open(&tensor(&[], 0, 4)).unwrap().read("w").unwrap(), [0.0]);
    assert!(open(&tensor(&[32, 0], 2, 0)).unwrap().read("w").unwrap().is_empty());

    let two = |offset| {
        let mut file = one().tensor("v", &[32, 2], 0, vec![0; 256]);
        file.tensors[1].offset = Some(offset);
        file.write().bytes
    };
    open(&two(256)).unwrap();
    refused(&two(8), &["`v`", "byte 8", "multiple of 32"]);
    refused(&two(224), &["`v`", "byte 224", "`w`", "256"]);
    refused(&two(0), &["`w`", "within tensor `v`"]);
    refused(&two(512), &["`v`", "256 bytes from 512"]);
    refused(&two(u64::MAX - 31), &["`v`", "256 bytes"]);
    let error = refused(&one().tensor("w", &[1], 0, vec![0; 4]).write().bytes, &["`w`", "twice"]);
    assert!(matches!(error, FileError::DuplicateTensor { .. }));
}

#[test]
fn alignment() {
    for alignment in [8, 64, 4096] {
        let file = one().tensor("v", &[1], 0, 3.0_f32.to_le_bytes().to_vec());
        let file = File { alignment, ..file }.u32("general.alignment", alignment as u32);
        assert_eq!(open(&file.write().bytes).unwrap().read("v").unwrap(), [3.0]);
    }
    for alignment in [0, 4, 24, 33] {
        let bytes =
            one().key("general.alignment", U32, |writer| writer.bytes.extend(u32::to_le_bytes(alignment)));
        refused(&bytes.write().bytes, &["general.alignment", &alignment.to_string(), "power of two"]);
    }
    refused(&one().text("general.alignment", "32").write().bytes, &["general.alignment", "integer"]);
    assert!(matches!(open(&File::new().write().bytes).unwrap().names()[..], []));
}

#[test]
fn what_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Gguf::open(folder.path()).unwrap_err(), FileError::NotAFile(_)));
    assert!(matches!(Gguf::open(folder.path().join("absent")).unwrap_err(), FileError::Io { .. }));
    assert_eq!(Dtype::Other.block(), None);
}
