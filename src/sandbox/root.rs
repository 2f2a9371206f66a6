//! The file system that a program sees: read-only folders of the host, a few devices, an empty `/tmp`.
//!
//! There is no `/proc`, no `/sys`, no home folder, and of `/etc` only what programs need to start. The folders
//! are cloned and made read-only before they are attached to a fresh root, so that at no moment a writable one
//! can be seen; then the old root is let go.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::SandboxError;
use super::call::{Argument, Calls};

/// Folders and files of the host that every program gets, read-only, as far as they exist: where programs,
/// libraries and the loader's cache are.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
];

/// Devices that hold and tell nothing.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Folders, files and links of the new root, at most: each takes up to six system calls.
const MOST_PATHS: usize = 128;

/// Where the new root is put together; its contents on the host are hidden meanwhile, for this process alone.
const STAGES: &[&str] = &["/tmp", "/mnt", "/var", "/usr"];

const OPEN_TREE_CLONE: i64 = 1;
const AT_RECURSIVE: i64 = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: i64 = 4;
const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NOSUID: u64 = 2;
const MOUNT_ATTR_NODEV: u64 = 4;
const MOUNT_ATTR_NOEXEC: u64 = 8;

/// What the new root holds.
#[derive(Debug, Default)]
struct Contents {
    /// Folders to make, parents first.
    folders: BTreeSet<PathBuf>,
    /// Files and folders of the host, the longer path later.
    binds: BTreeSet<PathBuf>,
    /// Links of the host, with where they lead.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Contents {
    /// Adds a path of the host; through links, what they lead to as well.
    fn add(&mut self, path: &Path) {
        // Links of a link end somewhere, or the path does not exist.
        const LINKS: usize = 40;
        let mut path = path.to_path_buf();
        for _ in 0..LINKS {
            if self.binds.iter().any(|bound| path.starts_with(bound)) {
                return;
            }
            let Ok(metadata) = path.symlink_metadata() else { return };
            if let Some(parent) = path.parent() {
                self.folders.extend(parent.ancestors().map(Path::to_path_buf));
            }
            if !metadata.is_symlink() {
                self.binds.insert(path);
                return;
            }
            let Ok(target) = path.read_link() else { return };
            let next = path.parent().unwrap_or(Path::new("/")).join(&target);
            self.links.push((path, target));
            path = next;
        }
    }
}

/// The calls that put the new root in place. The process must be in a mount namespace of its own, and may mount
/// there. `extra` are folders or files of the host beside those of the system.
pub(super) fn enter(calls: &mut Calls, extra: &[PathBuf], disk_bytes: u64) -> Result<(), SandboxError> {
    let mut contents = Contents::default();
    for path in SYSTEM.iter().map(Path::new).chain(extra.iter().map(PathBuf::as_path)) {
        contents.add(path);
    }
    let paths = contents.binds.len() + contents.folders.len() + contents.links.len();
    if paths > MOST_PATHS {
        return Err(SandboxError::TooManyPaths { paths, most: MOST_PATHS });
    }
    let stage = STAGES.iter().find(|stage| Path::new(stage).is_dir()).ok_or(SandboxError::NoStage)?;
    let staged = |path: &Path| text(&Path::new(stage).join(path.strip_prefix("/").unwrap_or(path)));
    let cwd = || Argument::from(libc::AT_FDCWD);

    let private = i64::from(libc::MS_REC as u32 | libc::MS_PRIVATE as u32);
    calls.push("keep mounts to itself", libc::SYS_mount, [0.into(), "/".into(), 0.into(), private.into()]);
    let mut trees = Vec::new();
    let devices = DEVICES.iter().map(Path::new).filter(|device| device.exists());
    for (path, device) in
        contents.binds.iter().map(|path| (path.as_path(), false)).chain(devices.map(|device| (device, true)))
    {
        let what = format!("clone {}", path.display());
        let flags = OPEN_TREE_CLONE | AT_RECURSIVE | i64::from(libc::O_CLOEXEC);
        let tree = calls.push(what, libc::SYS_open_tree, [cwd(), text(path)?.into(), flags.into()]);
        let attributes = if device {
            MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC
        } else {
            MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
        };
        set_attributes(
            calls,
            &format!("protect {}", path.display()),
            Argument::Result(tree),
            attributes,
            AT_RECURSIVE,
        );
        trees.push((path, device || path.is_file(), tree));
    }

    mount_tmpfs(calls, "mount a new root", stage, "size=1m,nr_inodes=4k,mode=755");
    contents.folders.extend(["/dev", "/tmp"].map(PathBuf::from));
    for folder in contents.folders.iter().filter(|folder| folder.parent().is_some()) {
        let what = format!("make {} in the new root", folder.display());
        calls.push(what, libc::SYS_mkdirat, [cwd(), staged(folder)?.into(), 0o755.into()]);
    }
    for (path, is_file, tree) in trees {
        let what = format!("make a place for {}", path.display());
        if is_file {
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC;
            let file =
                calls.push(what, libc::SYS_openat, [cwd(), staged(path)?.into(), flags.into(), 0o444.into()]);
            calls.push("close it", libc::SYS_close, [Argument::Result(file)]);
        } else {
            calls.push(what, libc::SYS_mkdirat, [cwd(), staged(path)?.into(), 0o755.into()]);
        }
        calls.push(
            format!("attach {}", path.display()),
            libc::SYS_move_mount,
            [Argument::Result(tree), "".into(), cwd(), staged(path)?.into(), MOVE_MOUNT_F_EMPTY_PATH.into()],
        );
        calls.push("close it", libc::SYS_close, [Argument::Result(tree)]);
    }
    // POSIX semaphores and shared memory live in /dev/shm.
    contents.links.push(("/dev/shm".into(), "/tmp".into()));
    for (path, target) in &contents.links {
        let what = format!("link {}", path.display());
        calls.push(what, libc::SYS_symlinkat, [text(target)?.into(), cwd(), staged(path)?.into()]);
    }

    calls.push("go to the new root", libc::SYS_chdir, [(*stage).into()]);
    calls.push("change the root", libc::SYS_pivot_root, [".".into(), ".".into()]);
    calls.push("let the old root go", libc::SYS_umount2, [".".into(), libc::MNT_DETACH.into()]);
    calls.push("go to /", libc::SYS_chdir, ["/".into()]);
    set_attributes(
        calls,
        "make / read-only",
        cwd(),
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
        0,
    );
    private_folder(calls, disk_bytes);
    Ok(())
}

/// The calls that mount an empty `/tmp` and go there.
pub(super) fn private_folder(calls: &mut Calls, disk_bytes: u64) {
    // A file takes at least a page: as many small files as large ones fill it.
    let options = format!("size={disk_bytes},nr_inodes={},mode=1777", (disk_bytes / 4096).clamp(64, 1 << 16));
    mount_tmpfs(calls, "mount a private /tmp", "/tmp", &options);
    calls.push("go to /tmp", libc::SYS_chdir, ["/tmp".into()]);
}

fn mount_tmpfs(calls: &mut Calls, what: &str, at: &str, options: &str) {
    let flags = (libc::MS_NOSUID | libc::MS_NODEV).cast_signed();
    calls.push(
        what,
        libc::SYS_mount,
        ["tmpfs".into(), at.into(), "tmpfs".into(), flags.into(), options.into()],
    );
}

fn set_attributes(calls: &mut Calls, what: &str, tree: Argument, set: u64, recursive: i64) {
    // struct mount_attr { u64 attr_set, attr_clr, propagation, userns_fd; }
    let mut attributes = vec![0; 32];
    attributes[..8].copy_from_slice(&set.to_ne_bytes());
    let attributes = Argument::Bytes { bytes: attributes, patches: Vec::new() };
    let (path, flags) = match tree {
        Argument::Result(_) => ("", i64::from(libc::AT_EMPTY_PATH) | recursive),
        _ => ("/", recursive),
    };
    calls.push(what, libc::SYS_mount_setattr, [tree, path.into(), flags.into(), attributes, 32.into()]);
}

/// A path as a C string.
pub(super) fn text(path: &Path) -> Result<CString, SandboxError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| SandboxError::NulInPath(path.to_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_within_a_bound_folder_is_not_bound_again_and_links_stay_links() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("tree/inner")).unwrap();
        std::os::unix::fs::symlink("tree", path("link")).unwrap();
        std::os::unix::fs::symlink("round", path("round")).unwrap();
        let mut contents = Contents::default();
        for name in ["link", "tree/inner", "tree", "nothing", "round"] {
            contents.add(&path(name));
        }
        assert_eq!(contents.binds.iter().collect::<Vec<_>>(), [&path("tree")]);
        assert_eq!(contents.links[0], (path("link"), "tree".into()));
        assert!(contents.folders.contains(folder.path()) && !contents.folders.contains(&path("tree")));
    }
}
