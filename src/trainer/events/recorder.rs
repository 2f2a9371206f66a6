//! Events kept in memory.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Body, Event, EventError, EventSink};

/// Keeps every event; clones share what they keep. For tests, and for curves in a report.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Vec<Event>>>);

impl Recorder {
    /// With events that are there already, such as those of a log that a resumed run goes on with.
    pub fn starting_with(events: Vec<Event>) -> Self {
        Self(Arc::new(Mutex::new(events)))
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One metric of a stage: step and value of each event that gives it, in order.
    pub fn series(&self, stage: &str, metric: &str) -> Vec<(u64, f64)> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_stage = events.iter().filter(|event| event.stage == stage);
        of_stage.filter_map(|event| Some((event.step, event.metric(metric)?))).collect()
    }

    /// All messages so far, in order.
    pub fn messages(&self) -> Vec<String> {
        let bodies = self.events().into_iter().map(|event| event.body);
        bodies.filter_map(|body| if let Body::Message(text) = body { Some(text) } else { None }).collect()
    }
}

impl EventSink for Recorder {
    fn emit(&mut self, event: &Event) -> Result<(), EventError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        Ok(())
    }
}
