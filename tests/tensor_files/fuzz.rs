//! Thousands of damaged files: each is read or refused, without a panic and without memory beyond what its size
//! can ask for.

use std::fs;
use std::path::Path;

use pspo::data::{Parameters, Seed};
use pspo::kernels::rotary::Scaling;
use pspo::model::{Dims, Tokenizer};
use pspo::pretrained::gguf_tokenizer;
use pspo::pretrained::tensors::{self, FileError, Gguf};
use pspo::pretrained::{Pretrained, save};

use crate::counted::counted;
use crate::mutate::{extremes, flips, json_numbers, random};
use crate::{gguf, safetensors};

/// Memory that reading takes whatever the file: buffers of the system's and of ours.
const BASE: usize = 64 << 10;

/// The most that is held at once for a byte of the file: seven for a quantized element, and names, shapes, JSON.
const PER_BYTE: usize = 40;

/// Reads all tensors of a file of `len` bytes, and whether that could be done.
fn read(path: &Path, len: usize) -> bool {
    let open = || -> Result<(), FileError> {
        let source = tensors::open(path)?;
        for name in source.names() {
            match source.read(name) {
                Ok(values) => assert_eq!(values.len(), source.shape(name).unwrap().iter().product::<usize>()),
                // Only what no type tells can be unreadable once the file was opened.
                Err(error) => assert!(matches!(error, FileError::Elements { .. }), "{error}"),
            }
        }
        Ok(())
    };
    let (result, largest, most) = counted(open);
    assert!(largest <= BASE + 8 * len, "{largest} bytes at once for a file of {len}: {result:?}");
    assert!(most <= BASE + PER_BYTE * len, "{most} bytes for a file of {len}: {result:?}");
    if let Err(error) = &result {
        assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
    }
    result.is_ok()
}

/// Writes a new file: some file systems wait for the disk where one is written anew.
fn put(path: &Path, bytes: &[u8]) {
    if path.exists() {
        fs::remove_file(path).unwrap();
    }
    fs::write(path, bytes).unwrap();
}

/// Reads each file in turn; gives how many there were and how many could be read.
fn read_all(name: &str, files: impl Iterator<Item = Vec<u8>>) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let (mut count, mut good) = (0, 0);
    for bytes in files {
        put(&path, &bytes);
        good += usize::from(read(&path, bytes.len()));
        count += 1;
    }
    (count, good)
}

#[test]
fn damaged_gguf_files() {
    let whole = gguf::everything().write();
    assert_eq!(read_all("whole.gguf", std::iter::once(whole.bytes.clone())), (1, 1));
    let cut = (0..whole.bytes.len()).map(|len| whole.bytes[..len].to_vec());
    // The last tensor ends with the file.
    assert_eq!(read_all("cut.gguf", cut), (whole.bytes.len(), 0));
    let (count, good) = read_all("extreme.gguf", extremes(&whole.bytes, &whole.fields));
    assert!(count > 1000 && good < count / 10, "{good} of {count} were read");
    let (count, good) = read_all("random.gguf", random(&whole.bytes, Seed::root(3).child("gguf"), 4000));
    assert!(good > count / 20 && good < count, "{good} of {count} were read");
}

#[test]
fn damaged_safetensors_files() {
    let whole = safetensors::everything();
    assert_eq!(read_all("whole.safetensors", std::iter::once(whole.clone())), (1, 1));
    let cut = (0..whole.len()).map(|len| whole[..len].to_vec());
    assert_eq!(read_all("cut.safetensors", cut), (whole.len(), 0));
    assert_eq!(read_all("extreme.safetensors", extremes(&whole, std::slice::from_ref(&(0..8)))).1, 0);
    let header = std::str::from_utf8(&whole[8..whole.len() - 44]).unwrap();
    let numbers = json_numbers(header).into_iter();
    let numbers = numbers.map(|header| safetensors::file(&header, &whole[whole.len() - 44..]));
    // Those of the name `F32` among them, and some are replaced by themselves.
    let (count, good) = read_all("number.safetensors", numbers);
    assert!(count > 300 && good < count / 10, "{good} of {count} were read");
    let (count, good) =
        read_all("random.safetensors", random(&whole, Seed::root(3).child("safetensors"), 4000));
    assert!(good > count / 50 && good < count, "{good} of {count} were read");
}

#[test]
fn damaged_indices() {
    let folder = tempfile::tempdir().unwrap();
    safetensors::shards(folder.path());
    let index = folder.path().join("model.safetensors.index.json");
    let shards = 200;
    let mut good = 0;
    for bytes in random(safetensors::INDEX.as_bytes(), Seed::root(3).child("index"), 2000) {
        put(&index, &bytes);
        let (result, _, most) = counted(|| {
            let source = tensors::open(folder.path())?;
            source.names().into_iter().try_for_each(|name| source.read(name).map(drop))
        });
        assert!(most <= BASE + PER_BYTE * (bytes.len() + shards), "{most} bytes: {result:?}");
        good += usize::from(result.is_ok());
    }
    assert!((10..1900).contains(&good), "{good} were read");
}

#[test]
fn damaged_tokenizers() {
    let whole = gguf::tokenizer("qwen2").write();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.gguf");
    // Most flips leave a file that can be opened, with another token, type, merge or end.
    let flips = flips(&whole.bytes, Seed::root(3).child("tokenizer"), 1000);
    let (mut opened, mut good) = (0, 0);
    for bytes in flips {
        put(&path, &bytes);
        let Ok(file) = Gguf::open(&path) else { continue };
        opened += 1;
        if let Ok(tokenizer) = gguf_tokenizer::tokenizer(&file) {
            let tokens = tokenizer.encode("def f(x):\n\n  return 123").unwrap();
            tokenizer.decode(&tokens).unwrap();
            good += 1;
        }
    }
    assert!(opened > 100 && good > 0 && good < opened, "{good} of {opened} had a tokenizer");
}

#[test]
fn damaged_folders() {
    const DIMS: Dims = Dims {
        vocabulary: 300,
        width: 4,
        layers: 1,
        heads: 2,
        kv_heads: 1,
        head_size: 2,
        hidden: 4,
        positions: 32,
        rope_theta: 1e4,
        rope_scaling: Scaling::None,
        norm_epsilon: 1e-5,
        tied: true,
        qkv_bias: false,
    };
    let text = "def f(x):\n    return x + 1\n";
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::train([text; 3], 280).unwrap();
    save(folder.path(), &DIMS, &Parameters::zeros(DIMS.policy_layout()), &tokenizer).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        let path = folder.path().join(name);
        let whole = fs::read_to_string(&path).unwrap();
        let seed = Seed::root(3).child(name);
        let damaged = random(whole.as_bytes(), seed.child("random"), 1000)
            .chain(flips(whole.as_bytes(), seed.child("flips"), 1000))
            .chain(json_numbers(&whole).into_iter().take(1000).map(String::into_bytes));
        let mut good = 0;
        for bytes in damaged {
            put(&path, &bytes);
            let read = Pretrained::open(folder.path()).and_then(|model| {
                model.parameters_as_found()?;
                model.tokenizer()
            });
            match read {
                Ok(tokenizer) => {
                    let tokens = tokenizer.prompt(text);
                    let _ = tokens.map(|tokens| tokenizer.decode(&tokens));
                    good += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
                }
            }
        }
        assert!(good > 10, "{good} with another {name} were read");
        put(&path, whole.as_bytes());
    }
}
