//! A run that is killed while it judges leaves no process and no file behind.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use pspo::data::Problem;
use pspo::plugin::{CheckedVerifier, Submission};
use pspo::sandbox::{Limits, Sandbox, SandboxConfig};
use pspo_command_verifier::{CommandConfig, CommandVerifier};
use pspo_python_verifier::{PythonConfig, PythonVerifier};
use serde_json::json;

/// Says that this process is the one to be killed.
const TO_BE_KILLED: &str = "PSPO_TO_BE_KILLED";

/// Long enough for a busy machine; what the kernel kills is gone in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// None of these programs ends: one computes, one is in a child that left its session, one sleeps.
const PROGRAMS: [&str; 3] = [
    "while True: pass",
    "import os, time\nopen('left', 'w').write('x' * 1000)\nif os.fork() == 0:\n    os.setsid()\n    while True: pass\ntime.sleep(1000)",
    "import time\ntime.sleep(1000)",
];

fn problem(tests: serde_json::Value) -> Problem {
    serde_json::from_value(json!({"id": "p", "prompt": "?", "tests": tests})).unwrap()
}

/// Judges programs that do not end, until it is killed.
fn judge_for_ever() {
    let limits = Limits { cpu_seconds: 600.0, wall_seconds: 600.0, ..Limits::default() };
    let python = PythonVerifier::new(PythonConfig { limits: limits.clone(), ..PythonConfig::default() });
    let shell = CommandVerifier::new(CommandConfig {
        limits,
        ..CommandConfig::new("main.sh", ["/bin/sh", "main.sh"])
    });
    let (python, shell) = (CheckedVerifier::new(python.unwrap()), CheckedVerifier::new(shell.unwrap()));
    let runs = problem(json!([{"kind": "stdio", "stdin": "", "stdout": "1\n"}]));
    let asserts = problem(json!([{"kind": "assert", "code": "assert f() == 1", "calls": ["f"]}]));
    thread::scope(|scope| {
        for program in PROGRAMS {
            let (python, runs, asserts) = (&python, &runs, &asserts);
            scope.spawn(move || python.verify(Submission::rewarded(runs, program)));
            scope.spawn(move || python.verify(Submission::rewarded(asserts, program)));
        }
        scope.spawn(|| shell.verify(Submission::rewarded(&runs, "sleep 1000 & sleep 1000")));
    });
}

/// A field of a process's status.
fn status(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix(field))?.trim().to_owned())
}

/// Processes that descend from this one and live, without those that were there before.
fn descendants() -> BTreeSet<u32> {
    let parent = |pid| status(pid, "PPid:")?.parse::<u32>().ok();
    let own = std::process::id();
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let lives = |&pid: &u32| status(pid, "State:").is_some_and(|state| !state.starts_with('Z'));
    let descends =
        |&pid: &u32| std::iter::successors(parent(pid), |&above| parent(above)).any(|above| above == own);
    pids.filter(lives).filter(descends).collect()
}

/// Folders of control groups that a process made.
fn groups(of: u32) -> Vec<PathBuf> {
    fn find(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with(name) {
                    found.push(entry.path());
                }
                find(&entry.path(), name, found);
            }
        }
    }
    let mut found = Vec::new();
    find(Path::new("/sys/fs/cgroup"), &format!("pspo-{of}-"), &mut found);
    found
}

fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
    println!("{what}: after {:?}", begun.elapsed());
}

/// Kills it when the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_killed_caller_leaves_nothing() {
    if std::env::var_os(TO_BE_KILLED).is_some() {
        return judge_for_ever();
    }
    // What loses its parent becomes ours, and is not lost from sight.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut caller = Command::new(std::env::current_exe().unwrap());
    caller.args(["--exact", "a_killed_caller_leaves_nothing", "--nocapture"]).env(TO_BE_KILLED, "1");
    caller.env("TMPDIR", folder.path()).current_dir(folder.path()).stdout(Stdio::null());
    let mut caller = Killed(caller.spawn().unwrap());
    let pid = caller.0.id();

    // The caller itself, and for each of its seven programs a process at least: those of the second two.
    soon("all programs run", || {
        assert!(caller.0.try_wait().unwrap().is_none(), "the caller has ended by itself");
        let burning = |pid: &u32| status(*pid, "State:").is_some_and(|state| state.starts_with('R'));
        let all = descendants();
        all.len() > 2 * PROGRAMS.len() + 4 && all.iter().filter(|pid| burning(pid)).count() >= 2
    });
    println!("{} processes live", descendants().len());
    caller.0.kill().unwrap();
    let ended = caller.0.wait().unwrap();
    assert_eq!(ended.signal(), Some(9));
    soon("no process is left", || descendants().is_empty());

    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    // Control groups stay, empty, until a sandbox is made again.
    println!("{} control groups are left", groups(pid).len());
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    println!("{}", sandbox.layers());
    let groups_left = groups(pid);
    assert!(groups_left.is_empty(), "{groups_left:?}");
}
