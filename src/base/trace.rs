//! The last exchanges with an instrument, time-stamped and bounded, for the day something goes wrong.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use jiff::Timestamp;
use serde::Serialize;

use super::clock::Clock;

const ENTRIES: usize = 128;
const TEXT_LIMIT: usize = 200;

/// Who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Outpost to the device.
    Sent,
    /// The device to Outpost.
    Received,
}

/// One exchange.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When, UTC.
    pub time: Timestamp,
    /// Who spoke.
    pub direction: Direction,
    /// What, shortened.
    pub text: String,
}

/// A ring of exchanges. Main thread only; clones share it. Off until switched on.
#[derive(Debug, Clone)]
pub struct Trace {
    clock: Clock,
    on: Rc<Cell<bool>>,
    ring: Rc<RefCell<VecDeque<Entry>>>,
}

impl Trace {
    /// An empty trace, switched off.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            on: Rc::default(),
            ring: Rc::default(),
        }
    }

    /// Switches recording on or off; off keeps what was recorded.
    pub fn switch(&self, on: bool) {
        self.on.set(on);
    }

    /// Whether it records.
    pub fn is_on(&self) -> bool {
        self.on.get()
    }

    /// Records an exchange; `text` is only made when recording is on.
    pub fn note(&self, direction: Direction, text: impl FnOnce() -> String) {
        if !self.on.get() {
            return;
        }
        let mut text = text();
        if let Some((cut, _)) = text.char_indices().nth(TEXT_LIMIT) {
            text.truncate(cut);
        }
        let mut ring = self.ring.borrow_mut();
        if ring.len() == ENTRIES {
            ring.pop_front();
        }
        ring.push_back(Entry {
            time: self.clock.utc(),
            direction,
            text,
        });
    }

    /// What was recorded, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.ring.borrow().iter().cloned().collect()
    }
}
