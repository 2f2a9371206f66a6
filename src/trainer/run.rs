//! A run: stages one after another in one folder, each of which goes on where it was stopped.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::TrainerError;
use super::events::{Events, Mark, Progress, metrics};
use super::stage::Stage;
use super::{Checkpoint, CheckpointError, RunFolder};

/// A stage in progress is saved when this much time has passed since it was saved last.
const SAVE_EVERY: Duration = Duration::from_secs(15);
/// Seconds per stage, beside the checkpoints.
const SECONDS: &str = "seconds.json";
/// The keys of a saved state: what the stage says, and how far the events had come.
const STAGE: &str = "stage";
const MARK: &str = "mark";

/// A run in its folder. What it is about to do again after a stop, it finds done.
pub struct Run {
    folder: RunFolder,
    events: Events,
    progress: Progress,
    seconds: BTreeMap<String, f64>,
}

impl Run {
    /// Begins a run in `path`, or goes on with the one there; `config` says what the run is.
    ///
    /// # Errors
    /// If the folder holds a run and `resume` is false, or another run, or cannot be written.
    pub fn start(path: &Path, config: &impl Serialize, resume: bool) -> Result<Self, TrainerError> {
        let config = serde_json::to_value(config)?;
        let goes_on = resume && path.join("run.json").is_file();
        let folder =
            if goes_on { RunFolder::resume(path, &config)? } else { RunFolder::create(path, &config)? };
        let (mark, seconds) =
            if goes_on { (latest_mark(&folder)?, read_seconds(&folder)) } else { Default::default() };
        let events = folder.events(&mark)?;
        Ok(Self { folder, events, progress: Progress::new(), seconds })
    }

    /// The folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Seconds that each stage took so far.
    pub fn seconds(&self) -> &BTreeMap<String, f64> {
        &self.seconds
    }

    /// Prints a line above the progress bars.
    pub fn line(&self, text: &str) {
        self.progress.line(text);
    }

    /// Runs a stage to its end, from its checkpoint where there is one. Before the first step of each start it writes
    /// what the stage tells of itself ([`Stage::about`]) to `timing.jsonl` and to standard error.
    ///
    /// # Errors
    /// If a step fails: what was saved before is kept.
    pub fn stage(&mut self, stage: &mut impl Stage) -> Result<(), TrainerError> {
        self.stage_keeping(stage, 0).map(drop)
    }

    /// As [`Run::stage`], and keeps `count` checkpoints, evenly spaced, the last at the end.
    ///
    /// # Errors
    /// If the stage has fewer steps than that, or a step fails: what was saved before is kept.
    pub fn stage_keeping(
        &mut self,
        stage: &mut impl Stage,
        count: u64,
    ) -> Result<Vec<Checkpoint>, TrainerError> {
        let (name, total) = (stage.name().to_owned(), stage.total());
        if count > total {
            return Err(TrainerError::Keep { stage: name, count, total });
        }
        let place = self.folder.checkpoint(&name);
        if Checkpoint::exists(&place) {
            stage.restore(&load(&place)?)?;
        }
        let bar = self.progress.bar(name.clone(), stage.total());
        bar.set_position(stage.done());
        let keep = |number: u64| format!("{name}-{number}");
        let (begun, mut saved) = (Instant::now(), Instant::now());
        let fresh = stage.done() < stage.total();
        let about = stage.about();
        if fresh && !about.is_empty() {
            self.events.about(&name, stage.done(), &about)?;
            self.progress.note(&format!("{name}: {about}"));
        }
        while stage.done() < stage.total() {
            let step = Instant::now();
            stage.advance(&mut self.events)?;
            self.events.seconds(&name, stage.done(), &[("step", step.elapsed().as_secs_f64())])?;
            bar.inc(1);
            let kept = (1..=count).find(|number| stage.total() * number / count == stage.done());
            if let Some(number) = kept {
                self.keep(&keep(number), stage.checkpoint()?)?;
            }
            if kept.is_some() || saved.elapsed() > SAVE_EVERY || stage.done() == stage.total() {
                self.save(&name, stage.checkpoint()?)?;
                saved = Instant::now();
            }
        }
        if fresh {
            self.took(&name, begun)?;
        }
        (1..=count).map(|number| Ok(load(&self.folder.checkpoint(&keep(number)))?)).collect()
    }

    /// Does something once: a resumed run reads what it gave.
    ///
    /// # Errors
    /// Those of `work`, or if its result cannot be kept.
    pub fn once<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Events) -> Result<T, TrainerError>,
    ) -> Result<T, TrainerError> {
        let place = self.folder.checkpoint(name);
        if Checkpoint::exists(&place) {
            return Ok(serde_json::from_value(load(&place)?.state)?);
        }
        let begun = Instant::now();
        let result = work(&mut self.events)?;
        let state = serde_json::to_value(&result)?;
        self.save(name, Checkpoint { tensors: Vec::new(), state })?;
        self.took(name, begun)?;
        Ok(result)
    }

    /// Writes a number of an event's stage that is no step of it, such as Pass@1 at the end.
    ///
    /// # Errors
    /// If the event cannot be written.
    pub fn pass_at_1(&mut self, stage: &str, value: f64) -> Result<(), TrainerError> {
        Ok(self.events.scalar(stage, 0, metrics::PASS_AT_1, value)?)
    }

    /// Saves what the run goes on from when it is resumed.
    fn save(&mut self, name: &str, checkpoint: Checkpoint) -> Result<(), TrainerError> {
        let mark = self.events.mark()?;
        self.write(name, checkpoint, Some(mark))
    }

    /// Saves what nothing goes on from. It has no mark: if the run is stopped before the stage itself is
    /// saved, what was told since it was saved last is cut, and told again.
    fn keep(&mut self, name: &str, checkpoint: Checkpoint) -> Result<(), TrainerError> {
        self.write(name, checkpoint, None)
    }

    fn write(&self, name: &str, mut checkpoint: Checkpoint, mark: Option<Mark>) -> Result<(), TrainerError> {
        checkpoint.state = json!({ STAGE: checkpoint.state, MARK: mark });
        Ok(checkpoint.save(&self.folder.checkpoint(name))?)
    }

    fn took(&mut self, name: &str, begun: Instant) -> Result<(), TrainerError> {
        *self.seconds.entry(name.to_owned()).or_default() += begun.elapsed().as_secs_f64();
        self.folder.write(SECONDS, &serde_json::to_vec_pretty(&self.seconds)?)?;
        Ok(())
    }
}

/// A stage's checkpoint as the stage made it, from a run's folder or saved by itself: what a run writes
/// beside its state is left out.
pub(super) fn load(place: &Path) -> Result<Checkpoint, CheckpointError> {
    let mut checkpoint = Checkpoint::load(place)?;
    if let Value::Object(state) = &mut checkpoint.state
        && state.len() == 2
        && state.contains_key(MARK)
        && let Some(stage) = state.remove(STAGE)
    {
        checkpoint.state = stage;
    }
    Ok(checkpoint)
}

/// The mark of the last thing that was saved to go on from: the one that had seen most events.
fn latest_mark(folder: &RunFolder) -> Result<Mark, TrainerError> {
    let mut latest = Mark::default();
    let checkpoints = folder.checkpoint("");
    let Ok(entries) = std::fs::read_dir(checkpoints) else { return Ok(latest) };
    for entry in entries.flatten().filter(|entry| Checkpoint::exists(&entry.path())) {
        let state: Value = Checkpoint::load(&entry.path())?.state;
        let mark: Option<Mark> = serde_json::from_value(state[MARK].clone())?;
        latest = mark.filter(|mark| mark.records("events") >= latest.records("events")).unwrap_or(latest);
    }
    Ok(latest)
}

fn read_seconds(folder: &RunFolder) -> BTreeMap<String, f64> {
    let read = std::fs::read(folder.path().join(SECONDS)).ok();
    read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::trainer::events::{Body, read_events};

    /// Counts to its total and tells of each step, and of the machine that it finds.
    struct Count(u64, u64, &'static str);

    impl Stage for Count {
        fn name(&self) -> &str {
            "count"
        }
        fn total(&self) -> u64 {
            self.1
        }
        fn done(&self) -> u64 {
            self.0
        }
        fn about(&self) -> String {
            self.2.to_owned()
        }
        fn advance(&mut self, events: &mut Events) -> Result<(), TrainerError> {
            self.0 += 1;
            Ok(events.scalar("count", self.0, metrics::LOSS, self.0 as f64)?)
        }
        fn checkpoint(&self) -> Result<Checkpoint, TrainerError> {
            Ok(Checkpoint { tensors: Vec::new(), state: json!(self.0) })
        }
        fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainerError> {
            self.0 = serde_json::from_value(checkpoint.state.clone())?;
            Ok(())
        }
    }

    #[test]
    fn a_run_killed_between_two_saves_tells_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let start = |name: &str, resume| Run::start(&folder.path().join(name), &json!({}), resume).unwrap();
        let events = |name: &str| fs::read(folder.path().join(name).join("events.jsonl")).unwrap();
        let kept = start("whole", false).stage_keeping(&mut Count(0, 6, "python here"), 3).unwrap();
        let kept: Vec<_> = kept.into_iter().map(|checkpoint| checkpoint.state).collect();
        assert_eq!(kept, [2, 4, 6], "as the stage made them");

        // The first checkpoint to be kept can be saved, and the stage itself cannot.
        let mut run = start("cut", false);
        let stage = run.folder().checkpoint("count");
        fs::create_dir_all(stage.parent().unwrap()).unwrap();
        fs::write(&stage, "in the way").unwrap();
        assert!(run.stage_keeping(&mut Count(0, 6, "python here"), 3).is_err());
        assert!(Checkpoint::exists(&run.folder().checkpoint("count-1")));
        drop(run);
        fs::remove_file(stage).unwrap();
        let mut resumed = start("cut", true);
        resumed.stage_keeping(&mut Count(0, 6, "python there"), 3).unwrap();
        assert_eq!(events("cut"), events("whole"));

        // Where it was is told, beside what clocks said, at each start that has something to do.
        resumed.stage_keeping(&mut Count(0, 6, "python there"), 3).unwrap();
        let about = |name: &str| -> Vec<_> {
            let log = read_events(&folder.path().join(name).join("timing.jsonl")).unwrap();
            let about = log.into_iter().map(|event| (event.step, event.body));
            about
                .filter_map(
                    |(step, body)| if let Body::About(text) = body { Some((step, text)) } else { None },
                )
                .collect()
        };
        assert_eq!(about("whole"), [(0, "python here".into())]);
        assert_eq!(about("cut"), [(0, "python there".into())], "what came after the last save is cut");
    }

    #[test]
    fn a_stage_cannot_keep_more_checkpoints_than_it_has_steps() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::start(&folder.path().join("run"), &json!({}), false).unwrap();
        let error = run.stage_keeping(&mut Count(0, 2, ""), 4).err().unwrap().to_string();
        assert_eq!(error, "stage `count` cannot keep 4 checkpoints: it has 2 steps, and at most one of each");
        let kept = run.stage_keeping(&mut Count(0, 2, ""), 2).unwrap();
        assert_eq!(kept.len(), 2);
    }
}
