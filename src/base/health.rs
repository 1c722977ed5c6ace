//! How each part of the station is: state, counters and the last errors, as `SYSTem:HEALth?` shows them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::clock::Clock;

const ERRORS_KEPT: usize = 8;

/// State of an instrument or of a part of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Switched off in the configuration.
    Disabled,
    /// Enabled, but this version of Outpost has no driver for it.
    Unavailable,
    /// Being looked for or opened.
    Connecting,
    /// Works.
    Ready,
    /// Works, with a reservation.
    Degraded {
        /// What is wrong.
        reason: String,
    },
    /// Does not work; it is tried again by itself.
    Failed {
        /// What went wrong.
        reason: String,
        /// When the next try comes.
        retry_at: Timestamp,
    },
}

/// Health of one part. Main thread only; clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    clock: Clock,
    inner: Rc<RefCell<Inner>>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    counters: BTreeMap<&'static str, u64>,
    values: BTreeMap<&'static str, f64>,
    errors: VecDeque<(Timestamp, String)>,
}

/// One part's health, for an answer in JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Name of the instrument or part.
    pub instrument: &'static str,
    /// Its state, flattened.
    #[serde(flatten)]
    pub state: State,
    /// Events counted since the start; overflows, losses and retries among them.
    pub counters: BTreeMap<&'static str, u64>,
    /// What is measured at present, by names that end in the unit; left out where nothing is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<&'static str, f64>,
    /// The last errors, oldest first.
    pub errors: Vec<PastError>,
}

/// An error that happened.
#[derive(Debug, Clone, Serialize)]
pub struct PastError {
    /// When, UTC.
    pub time: Timestamp,
    /// What.
    pub error: String,
}

/// The health of every part, in the order of registration.
#[derive(Debug, Clone)]
pub struct HealthBook {
    clock: Clock,
    parts: Rc<RefCell<Vec<(&'static str, Health)>>>,
}

impl HealthBook {
    /// An empty book.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            parts: Rc::default(),
        }
    }

    /// Adds a part in the given state.
    pub fn register(&self, name: &'static str, state: State) -> Health {
        let inner = Inner {
            state,
            counters: BTreeMap::new(),
            values: BTreeMap::new(),
            errors: VecDeque::new(),
        };
        let health = Health {
            clock: self.clock.clone(),
            inner: Rc::new(RefCell::new(inner)),
        };
        self.parts.borrow_mut().push((name, health.clone()));
        health
    }

    /// Reports of all parts, or of the one named.
    pub fn reports(&self, name: Option<&str>) -> Vec<Report> {
        let parts = self.parts.borrow();
        parts
            .iter()
            .filter(|(part, _)| name.is_none_or(|n| n == *part))
            .map(|(part, h)| h.report(part))
            .collect()
    }
}

impl Health {
    /// Changes the state.
    pub fn set(&self, state: State) {
        self.inner.borrow_mut().state = state;
    }

    /// It does not work, for this reason, and is tried again after `wait`.
    pub fn fail(&self, reason: impl Into<String>, wait: Duration) {
        self.set(State::Failed {
            reason: reason.into(),
            retry_at: self.clock.utc() + wait,
        });
    }

    /// Present state.
    pub fn state(&self) -> State {
        self.inner.borrow().state.clone()
    }

    /// Adds one to a counter.
    pub fn count(&self, counter: &'static str) {
        self.add(counter, 1);
    }

    /// Adds to a counter; adding 0 makes it visible.
    pub fn add(&self, counter: &'static str, n: u64) {
        *self.inner.borrow_mut().counters.entry(counter).or_default() += n;
    }

    /// Sets a counter that somebody else keeps.
    pub fn put(&self, counter: &'static str, n: u64) {
        self.inner.borrow_mut().counters.insert(counter, n);
    }

    /// Shows a measured value, whose name ends in its unit; `None` takes it away.
    pub fn measure(&self, name: &'static str, value: Option<f64>) {
        let values = &mut self.inner.borrow_mut().values;
        match value {
            Some(value) => drop(values.insert(name, value)),
            None => drop(values.remove(name)),
        }
    }

    /// Value of a counter.
    pub fn counter(&self, counter: &str) -> u64 {
        let inner = self.inner.borrow();
        inner.counters.get(counter).copied().unwrap_or(0)
    }

    /// Remembers an error among the last few; whether it is another one than the last. The same one again only gets its
    /// time, so that what is tried for days does not push out what happened before.
    pub fn record(&self, error: impl Into<String>) -> bool {
        let mut inner = self.inner.borrow_mut();
        let entry = (self.clock.utc(), error.into());
        match inner.errors.back_mut() {
            Some(last) if last.1 == entry.1 => {
                *last = entry;
                return false;
            }
            _ => inner.errors.push_back(entry),
        }
        if inner.errors.len() > ERRORS_KEPT {
            inner.errors.pop_front();
        }
        true
    }

    fn report(&self, instrument: &'static str) -> Report {
        let inner = self.inner.borrow();
        let errors = inner.errors.iter().map(|(time, error)| PastError {
            time: *time,
            error: error.clone(),
        });
        Report {
            instrument,
            state: inner.state.clone(),
            counters: inner.counters.clone(),
            values: inner.values.clone(),
            errors: errors.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_report_is_flat_json_and_keeps_the_last_errors() {
        let (clock, hand) = Clock::manual("2026-11-20T08:00:00Z".parse().unwrap());
        let book = HealthBook::new(clock);
        let camera = book.register(
            "camera",
            State::Degraded {
                reason: "slow".into(),
            },
        );
        camera.count("restarts");
        let json = serde_json::to_value(book.reports(None)).unwrap();
        assert_eq!(json[0].get("values"), None);
        camera.measure("temperature_c", Some(54.5));
        for n in 0..10 {
            assert!(camera.record(format!("error {n}")));
        }
        hand.advance(Duration::from_secs(60));
        assert!(!camera.record("error 9"));
        let json = serde_json::to_value(book.reports(Some("camera"))).unwrap();
        assert_eq!(json[0]["state"], "degraded");
        assert_eq!(json[0]["reason"], "slow");
        assert_eq!(json[0]["counters"]["restarts"], 1);
        assert_eq!(json[0]["values"]["temperature_c"], 54.5);
        assert_eq!(json[0]["errors"][0]["error"], "error 2");
        assert_eq!(json[0]["errors"][6]["time"], "2026-11-20T08:00:00Z");
        assert_eq!(json[0]["errors"][7]["time"], "2026-11-20T08:01:00Z");
        assert!(book.reports(Some("nobody")).is_empty());
    }
}
