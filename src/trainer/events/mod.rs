//! Events: what a run says while it goes, as numbers per step and as messages.
//!
//! An event belongs to a stage and a step of it. It goes to every [`EventSink`]: those of a
//! [`RunFolder`](super::RunFolder) are `events.jsonl`, `timing.jsonl` and a TensorBoard file;
//! [`Recorder`] keeps events in memory; any other can be added.
//!
//! `events.jsonl` holds one JSON object per line:
//!
//! ```text
//! {"stage":"rl","step":3,"metrics":{"pass_rate":0.25,"kl":0.013}}
//! {"stage":"rl","step":4,"metrics":{"pass_rate":0.5,"kl":null},"non_finite":{"kl":"NaN"}}
//! {"stage":"rl","step":4,"message":"the verifier failed on 2 programs"}
//! ```
//!
//! JSON has no NaN and no infinities: such a value is `null`, and `non_finite` beside says which of
//! `NaN`, `inf` and `-inf` it was. Reading restores it.
//!
//! No clock is read for `events.jsonl`, so the same seed gives the same bytes. What a clock says goes to
//! `timing.jsonl`, as `{"stage":"rl","step":3,"seconds":{"rollouts":1.5}}`, and to TensorBoard. What parts of the run
//! tell of themselves at each start goes to `timing.jsonl` as well, as
//! `{"stage":"rl","step":0,"about":"CPython 3.11.2 at /usr/bin/python3; .."}`: it may differ where the run goes on.

mod error;
mod event;
mod json_lines;
pub mod metrics;
mod progress;
mod recorder;
pub mod tensorboard;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use error::EventError;
pub use event::{Body, Event};
pub use json_lines::{JsonLines, read_events};
pub use progress::{Bar, Progress};
pub use recorder::Recorder;
pub use tensorboard::TensorBoard;

/// Where events go.
pub trait EventSink: Send {
    /// Takes an event. Its names are checked and, within the event, unique.
    ///
    /// # Errors
    /// If it cannot be written. The run stops then, rather than go on unseen.
    fn emit(&mut self, event: &Event) -> Result<(), EventError>;

    /// Makes all that was taken so far durable, and returns the sink's name and how many records
    /// that is; `None` for a sink that a resumed run need not cut.
    ///
    /// # Errors
    /// If the disk refuses.
    fn mark(&mut self) -> Result<Option<(&'static str, u64)>, EventError> {
        Ok(None)
    }
}

/// How far each sink had come: kept in a checkpoint's state, so that a run resumed from it cuts what
/// came after and writes the same again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(BTreeMap<String, u64>);

impl Mark {
    /// How many records the sink `name` had; 0 if it was not there.
    pub fn records(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// Hands each event to every sink. Without sinks, as by default, it checks names and does nothing.
///
/// ```
/// use pspo::trainer::events::{Events, Recorder, metrics};
///
/// let recorder = Recorder::default();
/// let mut events = Events::default().with(recorder.clone());
/// events.scalars("rl", 3, &[(metrics::PASS_RATE, 0.25), (metrics::KL, 0.013)])?;
/// assert_eq!(recorder.series("rl", metrics::KL), [(3, 0.013)]);
/// # Ok::<(), pspo::trainer::events::EventError>(())
/// ```
#[derive(Default)]
pub struct Events {
    sinks: Vec<Box<dyn EventSink>>,
}

impl Events {
    /// With one more sink.
    #[must_use]
    pub fn with(mut self, sink: impl EventSink + 'static) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// One metric of a step.
    ///
    /// # Errors
    /// Those of [`Events::emit`].
    pub fn scalar(&mut self, stage: &str, step: u64, name: &str, value: f64) -> Result<(), EventError> {
        self.scalars(stage, step, &[(name, value)])
    }

    /// Several metrics of a step, in this order.
    ///
    /// # Errors
    /// Those of [`Events::emit`].
    pub fn scalars(&mut self, stage: &str, step: u64, metrics: &[(&str, f64)]) -> Result<(), EventError> {
        self.emit(Event::new(stage, step, Body::Metrics(owned(metrics))))
    }

    /// A sentence about a step. It must not tell of time, place or process: it is part of what the
    /// same seed repeats.
    ///
    /// # Errors
    /// Those of [`Events::emit`].
    pub fn message(&mut self, stage: &str, step: u64, text: &str) -> Result<(), EventError> {
        self.emit(Event::new(stage, step, Body::Message(text.to_owned())))
    }

    /// What a part of the run tells of itself where it runs; no part of what the same seed repeats.
    ///
    /// # Errors
    /// Those of [`Events::emit`].
    pub fn about(&mut self, stage: &str, step: u64, text: &str) -> Result<(), EventError> {
        self.emit(Event::new(stage, step, Body::About(text.to_owned())))
    }

    /// How long the parts of a step took, in seconds.
    ///
    /// # Errors
    /// Those of [`Events::emit`].
    pub fn seconds(&mut self, stage: &str, step: u64, parts: &[(&str, f64)]) -> Result<(), EventError> {
        self.emit(Event::new(stage, step, Body::Seconds(owned(parts))))
    }

    /// Any event.
    ///
    /// # Errors
    /// If the stage or a metric has a name that is not one, or two metrics have the same; no sink
    /// gets the event then. If a sink fails; sinks after it do not get the event.
    pub fn emit(&mut self, event: Event) -> Result<(), EventError> {
        event.check()?;
        self.sinks.iter_mut().try_for_each(|sink| sink.emit(&event))
    }

    /// Makes everything durable and says how far that is: call it before each checkpoint, and put the
    /// mark into its state.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn mark(&mut self) -> Result<Mark, EventError> {
        let mut mark = Mark::default();
        for sink in &mut self.sinks {
            if let Some((name, records)) = sink.mark()? {
                mark.0.insert(name.to_owned(), records);
            }
        }
        Ok(mark)
    }
}

fn owned(values: &[(&str, f64)]) -> Vec<(String, f64)> {
    values.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
}
