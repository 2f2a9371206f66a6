//! One process and its group: started within limits, fed, read, and ended.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::UnconfinedConfig;

/// Sets limits and becomes the command behind them: `$0` is seconds of processor time, `$1` KiB of memory, which not
/// every system limits, `$2` blocks of 512 bytes of a file.
const LIMIT: &str = "ulimit -c 0; ulimit -t \"$0\" || exit 126; ulimit -v \"$1\" 2>/dev/null; \
                     ulimit -f \"$2\" || exit 126; shift 2; exec \"$@\"";

/// How long to sleep between two looks at whether the process has ended.
const LOOK: Duration = Duration::from_millis(2);

/// How long what was printed may take to arrive behind the end of the process. A process that it left, in a session of
/// its own, can keep the other end open for as long as it likes.
const PATIENCE: Duration = Duration::from_millis(200);

/// How a process ended.
pub(crate) enum End {
    /// By itself, or by a signal.
    Exited(ExitStatus),
    /// It ran for too long, and was killed.
    Deadline,
    /// It wrote too much, and was killed.
    TooMuchOutput,
}

/// What a process came to.
pub(crate) struct Ended {
    pub end: End,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs a command in `folder` to its end, for at most `seconds` by the clock.
pub(crate) fn run(
    config: &UnconfinedConfig,
    command: &[String],
    folder: &Path,
    stdin: &str,
    cpu_seconds: u32,
    seconds: f64,
) -> io::Result<Ended> {
    let limits =
        [u64::from(cpu_seconds), config.memory_bytes >> 10, (config.output_bytes as u64).div_ceil(512)];
    let mut child = Command::new("/bin/sh")
        .args(["-c", LIMIT])
        .args(limits.map(|limit| limit.to_string()))
        .args(command)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("HOME", folder)
        .env("LANG", "C.UTF-8")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let group = Group(Pid::from_child(&child));
    let until = Instant::now() + Duration::from_secs_f64(seconds);

    let (mut to, text) = (child.stdin.take(), stdin.as_bytes().to_owned());
    // A process that does not read its input ends the pipe, or is killed; either way this ends.
    thread::spawn(move || to.as_mut().map(|to| to.write_all(&text)));
    let most = config.output_bytes;
    let stdout = read(child.stdout.take(), most);
    let stderr = read(child.stderr.take(), most);
    let (mut printed, mut said) = (None, None);
    let end = loop {
        printed = printed.or_else(|| stdout.try_recv().ok());
        said = said.or_else(|| stderr.try_recv().ok());
        if [&printed, &said].into_iter().flatten().any(|read| read.len() > most) {
            break End::TooMuchOutput;
        }
        if let Some(status) = child.try_wait()? {
            break End::Exited(status);
        }
        if Instant::now() > until {
            break End::Deadline;
        }
        thread::sleep(LOOK);
    };
    drop(group);
    // It was killed, or has ended: this does not wait for long.
    child.wait()?;
    let rest = |found: Option<Vec<u8>>, from: &Receiver<Vec<u8>>| {
        found.map_or_else(|| from.recv_timeout(PATIENCE), Ok)
    };
    let (stdout, stderr) = (rest(printed, &stdout), rest(said, &stderr));
    let held = |read: &Result<Vec<u8>, RecvTimeoutError>| read.as_ref().map_or(0, Vec::len) > most;
    let end = if held(&stdout) || held(&stderr) { End::TooMuchOutput } else { end };
    Ok(Ended { end, stdout: stdout.unwrap_or_default(), stderr: stderr.unwrap_or_default() })
}

/// A group of processes; dropped, it is killed.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // It fails where nobody is left.
        _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Reads to the end, or to one byte more than `most`, on a thread of its own.
fn read(from: Option<impl Read + Send + 'static>, most: usize) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            // What came before a failure counts.
            _ = from.take(most as u64 + 1).read_to_end(&mut bytes);
        }
        _ = sender.send(bytes);
    });
    receiver
}
