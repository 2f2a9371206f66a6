use super::*;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

fn sandbox(limits: Limits) -> Sandbox {
    Sandbox::new(SandboxConfig { limits, ..SandboxConfig::default() }).unwrap()
}

fn shell(script: &str) -> Program<'_> {
    Program::new("/bin/sh").args(["-c", script])
}

#[test]
fn nothing_of_the_host_is_there() {
    let sandbox = sandbox(Limits::default());
    let script =
        "id -u; echo $PPID; ls -A /tmp; ls /proc; cat /etc/passwd; echo x > /usr/x; echo x > /y; env";
    let (event, ended) = sandbox.start(&shell(script)).unwrap().wait_to_end().unwrap();
    assert_eq!(event, Event::Ended);
    let lines = String::from_utf8(ended.stdout).unwrap();
    let (ids, mut environment) = lines.split_at(7);
    let mut environment: Vec<_> = std::mem::take(&mut environment).lines().collect();
    environment.sort_unstable();
    assert_eq!(ids, "1000\n1\n");
    let expected = [
        "HOME=/tmp",
        "LANG=C.UTF-8",
        "MALLOC_ARENA_MAX=2",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "PWD=/tmp",
        "TMPDIR=/tmp",
    ];
    assert_eq!(environment, expected);
    let complaints = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(complaints.lines().count(), 4, "{complaints}");
}

#[test]
fn what_is_missing_is_an_error_that_names_it() {
    let sandbox = sandbox(Limits::default());
    let error = sandbox.start(&Program::new("/no/such/program")).err().unwrap();
    assert!(error.to_string().starts_with("cannot start \"/no/such/program\""), "{error}");
    let readable = vec!["/no/such/folder".into()];
    assert!(Sandbox::new(SandboxConfig { readable, ..SandboxConfig::default() }).is_ok());
    let folders = tempfile::tempdir().unwrap();
    let readable = (0..200).map(|name| folders.path().join(name.to_string())).collect::<Vec<_>>();
    for folder in &readable {
        std::fs::create_dir(folder).unwrap();
    }
    let error = Sandbox::new(SandboxConfig { readable, ..SandboxConfig::default() }).err().unwrap();
    assert!(error.to_string().contains("where at most 128 can be"), "{error}");
    let limits = Limits { open_files: 0, ..Limits::default() };
    let error = Sandbox::new(SandboxConfig { limits, ..SandboxConfig::default() }).err().unwrap();
    assert_eq!(error.to_string(), "the limit `open_files` = 0: it must be from 16 to 65536");
}

#[test]
fn files_go_in_and_come_out() {
    let sandbox = sandbox(Limits::default());
    let script = "./run; echo made > made; ln -s /usr/bin/env link; mkfifo pipe";
    let program = shell(script)
        .file(InnerFile { name: "run", contents: b"#!/bin/sh\ncat data\n", executable: true })
        .file(InnerFile { name: "data", contents: b"data\n", executable: false })
        .brings("made", 100)
        .brings("nothing", 100)
        .brings("link", 100)
        .brings("pipe", 100);
    let (_, ended) = sandbox.start(&program).unwrap().wait_to_end().unwrap();
    assert_eq!(ended.stdout, b"data\n", "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.files, [&b"made\n"[..], b"", b"", b""]);
}

#[test]
fn what_runs_on_is_killed_with_all_it_started() {
    let sandbox = sandbox(Limits { wall_seconds: 0.3, ..Limits::default() });
    let begin = Instant::now();
    let (event, ended) = sandbox
        .start(&shell("setsid sleep 1000 & (setsid sleep 1000 &) ; sleep 1000"))
        .unwrap()
        .wait_to_end()
        .unwrap();
    assert_eq!((event, ended.status), (Event::Deadline, None));
    assert!(begin.elapsed() < Duration::from_millis(800), "{:?}", begin.elapsed());
}

#[test]
fn output_is_limited() {
    let sandbox = sandbox(Limits { output_bytes: 1000, ..Limits::default() });
    for script in ["yes", "yes >&2"] {
        let (event, ended) = sandbox.start(&shell(script)).unwrap().wait_to_end().unwrap();
        assert_eq!(event, Event::TooMuchOutput);
        assert!(ended.stdout.len() <= 1001);
    }
}

#[test]
fn a_descriptor_is_handed_over_and_no_other() {
    let sandbox = sandbox(Limits::default());
    let (mut channel, other) = Channel::new(100).unwrap();
    // One with a large number, among others that are open here.
    let others: Vec<_> = (0..20).map(|_| other.try_clone().unwrap()).collect();
    // Not by `sh`, which may know numbers of one digit alone. This shell has some open that are its own.
    let script = r"printf '\2\0\0\0\0\0\0\0ok' >&$SPEAK
        for ((fd = 3; fd < 1000; fd++)); do { : >&$fd; } 2>/dev/null && echo $fd; done; echo $SPEAK";
    let open = |program: &Program<'_>| {
        let (event, ended) = sandbox.start(program).unwrap().wait_to_end().unwrap();
        assert_eq!(event, Event::Ended);
        let lines = String::from_utf8(ended.stdout).unwrap();
        lines.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let program = Program::new("/bin/bash").args(["-c", script]);
    let mut own = open(&program);
    let mut with_it = open(&program.descriptor("SPEAK", others[19].as_fd()));
    assert_eq!(own.pop().as_deref(), Some(""));
    let number = with_it.pop().unwrap();
    with_it.retain(|fd| !own.contains(fd));
    assert_eq!(with_it, [number]);
    assert_eq!(channel.receive(), Incoming::Message(b"ok".to_vec()));
}
