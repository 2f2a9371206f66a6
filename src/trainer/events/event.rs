//! One event, and how it stands in a line of JSON.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::EventError;

/// What happened at a step of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Line", try_from = "Line")]
pub struct Event {
    /// The stage, such as `rl`.
    pub stage: String,
    /// The stage's own count of steps.
    pub step: u64,
    /// What happened.
    pub body: Body,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// Metrics by name, in the order given. [`metrics`](super::metrics) lists the names and units.
    Metrics(Vec<(String, f64)>),
    /// A sentence.
    Message(String),
    /// What a part of the run tells of itself where it runs, such as which interpreter a verifier uses. Another machine
    /// may have another one, and so it is no part of what a seed repeats.
    About(String),
    /// Seconds that parts of the step took: what a clock said, and so no part of what a seed repeats.
    Seconds(Vec<(String, f64)>),
}

impl Event {
    /// An event of step `step` of stage `stage`.
    pub fn new(stage: impl Into<String>, step: u64, body: Body) -> Self {
        Self { stage: stage.into(), step, body }
    }

    /// The metric `name`, if this event gives it.
    pub fn metric(&self, name: &str) -> Option<f64> {
        match &self.body {
            Body::Metrics(metrics) => {
                metrics.iter().find(|(metric, _)| metric == name).map(|&(_, value)| value)
            }
            _ => None,
        }
    }

    /// The curve of the metric `name` over a stage: a point for each of the stage's `events` that gives it, at its step.
    ///
    /// ```
    /// use pspo::trainer::events::{Body, Event};
    ///
    /// let event = |stage, step, value| Event::new(stage, step, Body::Metrics(vec![("loss".into(), value)]));
    /// let events = [event("sft", 1, 0.5), event("rl", 1, 9.0), event("sft", 2, 0.25)];
    /// assert_eq!(Event::curve(&events, "sft", "loss").collect::<Vec<_>>(), [(1.0, 0.5), (2.0, 0.25)]);
    /// ```
    pub fn curve<'a>(
        events: &'a [Self],
        stage: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = (f64, f64)> + 'a {
        let of_stage = events.iter().filter(move |event| event.stage == stage);
        of_stage.filter_map(move |event| Some((event.step as f64, event.metric(name)?)))
    }

    /// Whether names are names, each given once.
    pub(super) fn check(&self) -> Result<(), EventError> {
        let values: &[_] = match &self.body {
            Body::Metrics(values) | Body::Seconds(values) => values,
            Body::Message(_) | Body::About(_) => &[],
        };
        for name in values.iter().map(|(name, _)| name).chain([&self.stage]) {
            let allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-./".contains(&byte);
            if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(allowed) {
                return Err(EventError::Name(name.clone()));
            }
        }
        for (at, (name, _)) in values.iter().enumerate() {
            if values[..at].iter().any(|(before, _)| before == name) {
                let (stage, name) = (self.stage.clone(), name.clone());
                return Err(EventError::Duplicate { stage, step: self.step, name });
            }
        }
        Ok(())
    }
}

/// The JSON object of an event.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    stage: String,
    step: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metrics: Option<Map<Option<f64>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seconds: Option<Map<Option<f64>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    non_finite: Option<Map<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    about: Option<String>,
}

impl From<Event> for Line {
    fn from(Event { stage, step, body }: Event) -> Self {
        let (metrics, seconds, non_finite, message, about) = Default::default();
        let mut line = Self { stage, step, metrics, seconds, non_finite, message, about };
        let (values, place) = match body {
            Body::Message(message) => return Self { message: Some(message), ..line },
            Body::About(about) => return Self { about: Some(about), ..line },
            Body::Metrics(values) => (values, &mut line.metrics),
            Body::Seconds(values) => (values, &mut line.seconds),
        };
        let odd = values.iter().filter(|(_, value)| !value.is_finite());
        let odd: Vec<_> = odd.map(|(name, value)| (name.clone(), value.to_string())).collect();
        let finite = |value: f64| value.is_finite().then_some(value);
        *place = Some(Map(values.into_iter().map(|(name, value)| (name, finite(value))).collect()));
        line.non_finite = (!odd.is_empty()).then_some(Map(odd));
        line
    }
}

impl TryFrom<Line> for Event {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let Line { stage, step, metrics, seconds, non_finite, message, about } = line;
        let odd = non_finite.map_or_else(Vec::new, |map| map.0);
        let values = |map: Map<Option<f64>>| {
            let value = |(name, value): (String, Option<f64>)| match value {
                Some(value) => Ok((name, value)),
                None => match odd.iter().find(|(odd, _)| *odd == name).map(|(_, value)| value.as_str()) {
                    Some("NaN") => Ok((name, f64::NAN)),
                    Some("inf") => Ok((name, f64::INFINITY)),
                    Some("-inf") => Ok((name, f64::NEG_INFINITY)),
                    _ => Err(format!("`{name}` is null, and `non_finite` does not say what it was")),
                },
            };
            map.0.into_iter().map(value).collect::<Result<_, _>>()
        };
        let body = match (metrics, seconds, message, about) {
            (Some(metrics), None, None, None) => Body::Metrics(values(metrics)?),
            (None, Some(seconds), None, None) => Body::Seconds(values(seconds)?),
            (None, None, Some(message), None) => Body::Message(message),
            (None, None, None, Some(about)) => Body::About(about),
            _ => return Err("an event has one of `metrics`, `seconds`, `message` and `about`".to_owned()),
        };
        Ok(Self { stage, step, body })
    }
}

/// A JSON object that keeps the order of its keys.
#[derive(Clone)]
struct Map<T>(Vec<(String, T)>);

impl<T: Serialize> Serialize for Map<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Map<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(Vec<(String, T)>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Map<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map by name")
            }
            fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Map<T>, A::Error> {
                while let Some(entry) = map.next_entry()? {
                    self.0.push(entry);
                }
                Ok(Map(self.0))
            }
        }
        deserializer.deserialize_map(InOrder(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: Body) -> String {
        serde_json::to_string(&Event::new("rl", 3, body)).unwrap()
    }

    #[test]
    fn metrics_keep_their_order_and_every_bit() {
        let metrics = Body::Metrics(vec![("b".into(), 0.1 + 0.2), ("a".into(), -0.0), ("c".into(), 1e300)]);
        let json = line(metrics.clone());
        assert_eq!(
            json,
            r#"{"stage":"rl","step":3,"metrics":{"b":0.30000000000000004,"a":-0.0,"c":1e+300}}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), Event::new("rl", 3, metrics));
    }

    #[test]
    fn a_value_that_json_does_not_know_is_null_and_named_beside() {
        let values = [("x", f64::NAN), ("y", f64::INFINITY), ("z", f64::NEG_INFINITY), ("w", 1.0)];
        let json = line(Body::Metrics(values.map(|(name, value)| (name.into(), value)).to_vec()));
        assert_eq!(
            json,
            r#"{"stage":"rl","step":3,"metrics":{"x":null,"y":null,"z":null,"w":1.0},"non_finite":{"x":"NaN","y":"inf","z":"-inf"}}"#
        );
        let read: Event = serde_json::from_str(&json).unwrap();
        assert!(read.metric("x").unwrap().is_nan());
        assert_eq!(read.metric("y"), Some(f64::INFINITY));
        assert_eq!(read.metric("z"), Some(f64::NEG_INFINITY));
    }

    #[test]
    fn messages_seconds_and_what_parts_tell_have_keys_of_their_own() {
        assert_eq!(
            line(Body::Message("a \"b\"\n".into())),
            r#"{"stage":"rl","step":3,"message":"a \"b\"\n"}"#
        );
        let seconds = Body::Seconds(vec![("rollouts".into(), 1.5)]);
        assert_eq!(line(seconds), r#"{"stage":"rl","step":3,"seconds":{"rollouts":1.5}}"#);
        let (about, json) =
            (Body::About("CPython 3".into()), r#"{"stage":"rl","step":3,"about":"CPython 3"}"#);
        assert_eq!(line(about.clone()), json);
        assert_eq!(serde_json::from_str::<Event>(json).unwrap(), Event::new("rl", 3, about));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for json in [
            r#"{"stage":"rl","step":3}"#,
            r#"{"stage":"rl","step":-3,"message":""}"#,
            r#"{"stage":"rl","step":3,"message":"","metrics":{}}"#,
            r#"{"stage":"rl","step":3,"metrics":{"x":null}}"#,
            r#"{"stage":"rl","step":3,"metrics":{},"loss":1}"#,
        ] {
            assert!(serde_json::from_str::<Event>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn names_are_checked() {
        let metrics = |names: &[&str]| {
            let values = names.iter().map(|name| ((*name).to_owned(), 0.0));
            Event::new("rl", 3, Body::Metrics(values.collect())).check()
        };
        assert!(metrics(&["pass_at_1", "by_length/2-4"]).is_ok());
        for name in ["", "Loss", "a b", "é", "1", "a\"b"] {
            assert!(matches!(metrics(&[name]), Err(EventError::Name(_))), "{name}");
        }
        let error = metrics(&["kl", "loss", "kl"]).unwrap_err();
        assert_eq!(error.to_string(), "the event of rl step 3 gives `kl` twice");
        assert!(Event::new("", 0, Body::Message(String::new())).check().is_err());
    }
}
