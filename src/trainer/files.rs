//! Folders whose names survive a loss of power.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the names in a folder durable, as `fsync` of a file does its content.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and a rename is durable without it.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// The folder that holds `path`.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
