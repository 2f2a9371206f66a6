//! The index of a model in shards: `{"weight_map": {"a tensor": "the file that has it", …}, …}`.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::super::FileError;
use super::super::file::DataFile;
use super::super::unique::Unique;
use super::header::LONGEST;

#[derive(Deserialize)]
struct Index {
    weight_map: Unique<String>,
}

/// Each tensor with the path of the shard that is said to have it, beside the index.
pub(super) fn read(path: &Path) -> Result<Vec<(String, PathBuf)>, FileError> {
    let file = DataFile::open(path)?;
    if file.len > LONGEST {
        return Err(FileError::malformed(path, format!("an index of {} bytes: {LONGEST} at most", file.len)));
    }
    let json = file.scan(|input| {
        let mut json = Vec::new();
        input.take(file.len).read_to_end(&mut json).map_err(FileError::io(path))?;
        Ok(json)
    })?;
    let Index { weight_map: Unique(entries) } = serde_json::from_slice(&json)
        .map_err(|error| FileError::malformed(path, format!("this is no index of shards: {error}")))?;
    let shard = |(tensor, shard): (String, String)| {
        if is_plain(&shard) {
            let path = path.with_file_name(&shard);
            return Ok((tensor, path));
        }
        Err(FileError::ShardName { index: path.to_owned(), tensor, shard })
    };
    entries.into_iter().map(shard).collect()
}

/// Whether a name leads to a file beside the index and nowhere else, on any system.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
        && !name.contains(['/', '\\', ':', '\0'])
}
