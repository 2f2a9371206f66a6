use serde_json::json;

use super::*;

fn run() -> Value {
    json!({ "seed": 7, "ppo": { "clip": 0.2, "epochs": 2 } })
}

#[test]
fn a_run_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs/a");
    assert!(matches!(RunFolder::open(&path), Err(RunFolderError::NoRun(_))));
    drop(RunFolder::create(&path, &run()).unwrap());
    let error = RunFolder::create(&path, &run()).unwrap_err();
    assert!(matches!(error, RunFolderError::Occupied { finished: false, .. }));

    let folder = RunFolder::resume(&path, &run()).unwrap();
    assert_eq!(folder.summary().unwrap(), None);
    folder.write_summary(&json!({ "pass_at_1": 0.5 })).unwrap();
    assert_eq!(folder.summary().unwrap(), Some(json!({ "pass_at_1": 0.5 })));
    drop(folder);
    let error = RunFolder::create(&path, &json!({ "seed": 8 })).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` holds a run already, which is finished: resume it, or give another folder",
            path.display()
        )
    );
    assert_eq!(RunFolder::open(&path).unwrap().run(), &run());
}

#[test]
fn another_run_is_not_resumed() {
    let dir = tempfile::tempdir().unwrap();
    drop(RunFolder::create(dir.path(), &run()).unwrap());
    for (pointer, here, key, there) in [
        ("/seed", json!(8), "seed", "7"),
        ("/ppo/clip", json!(0.3), "ppo.clip", "0.2"),
        ("/ppo", json!(null), "ppo", r#"{"clip":0.2,"epochs":2}"#),
    ] {
        let mut other = run();
        *other.pointer_mut(pointer).unwrap() = here.clone();
        let error = RunFolder::resume(dir.path(), &other).unwrap_err();
        assert!(error.to_string().contains(&format!("its `{key}` is {there}, not {here}.")), "{error}");
    }
    let mut more = run();
    more["ppo"]["gamma"] = json!(1);
    let error = RunFolder::resume(dir.path(), &more).unwrap_err();
    assert!(error.to_string().contains("its `ppo.gamma` is not set, not 1"), "{error}");
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(dir.path(), &run()).unwrap();
    assert!(matches!(RunFolder::open(dir.path()), Err(RunFolderError::InUse(_))));
    drop(folder);
    RunFolder::open(dir.path()).unwrap();
}

#[test]
fn a_resumed_run_writes_what_one_that_was_not_killed_writes() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, killed] = ["whole", "killed"].map(|name| dir.path().join(name));
    let step = |events: &mut Events, step: u64| {
        events.scalar("rl", step, "kl", 1.0 / step as f64).unwrap();
        events.seconds("rl", step, &[("update", 0.5)]).unwrap();
    };

    let folder = RunFolder::create(&whole, &run()).unwrap();
    let mut events = folder.events(&Mark::default()).unwrap();
    (1..6).for_each(|at| step(&mut events, at));
    let last = events.mark().unwrap();

    let folder = RunFolder::create(&killed, &run()).unwrap();
    let mut events = folder.events(&Mark::default()).unwrap();
    (1..3).for_each(|at| step(&mut events, at));
    // By way of JSON, as in a checkpoint's state.
    let mark = serde_json::to_value(events.mark().unwrap()).unwrap();
    (3..5).for_each(|at| step(&mut events, at));
    drop((folder, events));

    let folder = RunFolder::resume(&killed, &run()).unwrap();
    let mut events = folder.events(&serde_json::from_value(mark).unwrap()).unwrap();
    (3..6).for_each(|at| step(&mut events, at));
    assert_eq!(events.mark().unwrap(), last);
    for file in [RUN, EVENTS, TIMING] {
        assert_eq!(fs::read(killed.join(file)).unwrap(), fs::read(whole.join(file)).unwrap(), "{file}");
    }
    assert_eq!(folder.read_events().unwrap().len(), 5);
}
