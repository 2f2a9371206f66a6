//! The corpus of `tests/hostile/`, and how it is run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use pspo::plugin::Outcome;
use serde_json::Value;

/// A program of the corpus.
pub struct Hostile {
    pub name: String,
    pub program: String,
    /// The sorts of tests that it is judged by.
    pub sorts: Vec<String>,
    /// How it may end.
    pub outcomes: Vec<Outcome>,
}

/// The programs whose names end in `extension`, of which a line that begins with `comment` is one.
pub fn corpus(extension: &str, comment: &str) -> Vec<Hostile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == extension));
    paths.sort();
    let read = |path: &PathBuf| {
        let program = fs::read_to_string(path).unwrap();
        let words = |what: &str| -> Vec<String> {
            let start = format!("{comment} {what}:");
            let line = program.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap_or_else(|| panic!("{path:?} has no {start:?}"))
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        };
        let outcome = |name: String| serde_json::from_value(Value::String(name)).unwrap();
        let outcomes = words("outcome").into_iter().map(outcome).collect();
        let (name, sorts) = (path.file_stem().unwrap().to_string_lossy().into_owned(), words("tests"));
        Hostile { name, sorts, outcomes, program }
    };
    paths.iter().map(read).collect()
}

/// Processes that descend from this one.
pub fn descendants() -> usize {
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let own = std::process::id();
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let descends = |&pid: &u32| {
        let mut above = parent(pid);
        while let Some(next) = above {
            if next == own {
                return true;
            }
            above = parent(next);
        }
        false
    };
    pids.filter(descends).count()
}

/// A variable that is set where a test runs once more, as nobody.
pub const AS_NOBODY: &str = "PSPO_AS_NOBODY";

/// Runs this program's test once more, as nobody.
pub fn as_an_ordinary_user(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("hostile");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), open).unwrap();
    let mut command = Command::new(&copy);
    command.args(["--exact", test, "--nocapture"]).env("PSPO_PYTHON", "/usr/bin/python3").env(AS_NOBODY, "1");
    std::os::unix::process::CommandExt::gid(
        std::os::unix::process::CommandExt::uid(&mut command, 65_534),
        65_534,
    );
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if said.contains("this system does not offer the sandbox's layer") || said.contains("Permission denied") {
        println!(
            "skipped: the kernel does not let ordinary users make namespaces, or the corpus is not theirs to read"
        );
        return;
    }
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    // What it measured.
    said.lines().filter(|line| line.starts_with("slowest")).for_each(|line| println!("as nobody: {line}"));
}

pub fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}
