//! Safetensors files, written by hand.

use std::fs;
use std::path::Path;

/// A file of a header and the bytes behind it.
pub fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// A file with a tensor of each type that is read, one that is not, one without elements and a scalar.
pub fn everything() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt","dtype":"bfloat16"},
        "single":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
        "half":{"dtype":"F16","shape":[3],"data_offsets":[24,30]},
        "brain":{"dtype":"BF16","shape":[1,3],"data_offsets":[30,36]},
        "mask":{"dtype":"BOOL","shape":[2,2],"data_offsets":[36,40]},
        "empty":{"dtype":"F32","shape":[0,5],"data_offsets":[40,40]},
        "scalar":{"dtype":"F32","shape":[],"data_offsets":[40,44]}}"#;
    let numbers = [0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0];
    let mut data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    data.extend([0x00, 0x3C, 0x00, 0xC0, 0x01, 0x00]); // 1, -2, 2^-24
    data.extend([0x80, 0x3F, 0x00, 0xC0, 0x80, 0x7F]); // 1, -2, infinity
    data.extend([1, 0, 0, 1]);
    data.extend(7.5_f32.to_le_bytes());
    file(header, &data)
}

pub const INDEX: &str = r#"{"metadata":{"total_size":12},
    "weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-2.safetensors"}}"#;

/// A model in two shards.
pub fn shards(folder: &Path) {
    let one =
        |offset: usize| format!(r#"{{"dtype":"F32","shape":[1],"data_offsets":[{offset},{}]}}"#, offset + 4);
    let bytes = |number: f32| number.to_le_bytes();
    let first = file(&format!(r#"{{"a":{}}}"#, one(0)), &bytes(1.0));
    let second = format!(r#"{{"c":{},"b":{}}}"#, one(0), one(4));
    let second = file(&second, &[bytes(3.0), bytes(2.0)].concat());
    fs::write(folder.join("model-1.safetensors"), first).unwrap();
    fs::write(folder.join("model-2.safetensors"), second).unwrap();
    fs::write(folder.join("model.safetensors.index.json"), INDEX).unwrap();
}
