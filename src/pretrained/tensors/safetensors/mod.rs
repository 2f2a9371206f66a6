//! safetensors: one file, or several with an index that says which tensor is where.
//!
//! A file is the length of its header in eight bytes, little-endian, the header, which is JSON, and the
//! tensors' bytes, little-endian and row-major, without holes
//! ([format](https://github.com/huggingface/safetensors#format)).

mod header;
mod index;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::file::DataFile;
use super::parts::{Part, Parts};
use super::{Dtype, FileError, TensorSource};

/// The tensors of one safetensors file, or of all that an index names.
///
/// ```
/// use pspo::pretrained::tensors::{FileError, SafetensorsFiles};
///
/// let folder = tempfile::tempdir()?;
/// let index = r#"{"weight_map": {"embed.weight": "../elsewhere.safetensors"}}"#;
/// std::fs::write(folder.path().join("model.safetensors.index.json"), index)?;
/// let error = SafetensorsFiles::open(folder.path()).unwrap_err();
/// assert!(matches!(error, FileError::ShardName { .. }));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SafetensorsFiles {
    /// The file, or the index of several: what errors name.
    path: PathBuf,
    files: Vec<DataFile>,
    /// Each tensor, and the place of its file among `files`.
    tensors: BTreeMap<String, (usize, Part)>,
}

impl SafetensorsFiles {
    /// Opens a safetensors file, an index (a file whose name ends with `.json`), or a folder that has
    /// `model.safetensors` or else `model.safetensors.index.json`.
    ///
    /// Tensors that an index does not list are not there; each that it lists is looked up in its shard. Where
    /// two shards have a tensor of the same name, that is an error, whatever the index says of it.
    ///
    /// # Errors
    /// If a file is missing, cannot be read or is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        if path.is_dir() {
            let whole = path.join("model.safetensors");
            let index = path.join("model.safetensors.index.json");
            return match (whole.exists(), index.exists()) {
                (true, _) => Self::open_whole(&whole),
                (false, true) => Self::open_index(&index),
                (false, false) => Err(FileError::NoModel(path.to_owned())),
            };
        }
        match path.extension() {
            Some(extension) if extension == "json" => Self::open_index(path),
            _ => Self::open_whole(path),
        }
    }

    fn open_whole(path: &Path) -> Result<Self, FileError> {
        let (file, parts) = open_file(path)?;
        let tensors = parts.into_iter().map(|(name, part)| (name, (0, part))).collect();
        Ok(Self { path: path.to_owned(), files: vec![file], tensors })
    }

    fn open_index(index: &Path) -> Result<Self, FileError> {
        let listed = index::read(index)?;
        let mut files: Vec<DataFile> = Vec::new();
        let mut found: BTreeMap<String, (usize, Part)> = BTreeMap::new();
        for (tensor, shard) in &listed {
            if files.iter().any(|file| file.path == *shard) {
                continue;
            }
            if !shard.exists() {
                let (index, tensor, shard) = (index.to_owned(), tensor.clone(), shard.clone());
                return Err(FileError::NoShard { index, tensor, shard });
            }
            let (file, parts) = open_file(shard)?;
            for (tensor, part) in parts {
                if let Some((first, _)) = found.get(&tensor) {
                    let (first, second) = (files[*first].path.clone(), shard.clone());
                    return Err(FileError::DuplicateTensor { tensor, first, second });
                }
                found.insert(tensor, (files.len(), part));
            }
            files.push(file);
        }
        let mut tensors = BTreeMap::new();
        for (tensor, shard) in listed {
            match found.remove(&tensor) {
                Some((file, part)) if files[file].path == shard => {
                    tensors.insert(tensor, (file, part));
                }
                _ => return Err(FileError::NotInShard { index: index.to_owned(), tensor, shard }),
            }
        }
        Ok(Self { path: index.to_owned(), files, tensors })
    }
}

fn open_file(path: &Path) -> Result<(DataFile, Parts), FileError> {
    let file = DataFile::open(path)?;
    let parts = header::read(&file)?;
    Ok((file, parts))
}

impl TensorSource for SafetensorsFiles {
    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|(_, part)| part.shape.as_slice())
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        self.tensors.get(name).map(|(_, part)| part.dtype)
    }

    fn read_into(&self, name: &str, out: &mut [f32]) -> Result<(), FileError> {
        let (file, part) = self.tensors.get(name).ok_or_else(|| FileError::no_tensor(&self.path, name))?;
        part.read(&self.files[*file], name, out)
    }
}
