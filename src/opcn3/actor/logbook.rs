//! Readings on their way to a row, over interruptions.

use jiff::Timestamp;

use super::schedule::Schedule;
use crate::base::conditions::{Condition, Raised};
use crate::base::error::Failure;
use crate::opcn3::sample::{Sample, Sum};
use crate::opcn3::{Settings, Shared};
use crate::store::readings::{Flags, ReadingsError};

/// The present row, and when it ends.
pub(super) struct Logbook {
    schedule: Schedule,
    settings: Settings,
    sum: Sum,
    /// A period of this row was lost.
    gap: bool,
    /// Up from a loss to the next whole row.
    lost: Option<Raised>,
}

impl Logbook {
    pub(super) fn new(shared: &Shared) -> Self {
        let settings = shared.settings.get();
        Self {
            schedule: begin(shared, settings),
            settings,
            sum: Sum::default(),
            gap: false,
            lost: None,
        }
    }

    pub(super) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Begins a new row where nothing was counted, or the interval or logging was changed.
    pub(super) fn follow(&mut self, shared: &Shared) {
        let settings = shared.settings.get();
        let changed = settings.interval != self.settings.interval
            || settings.logging != self.settings.logging;
        self.settings = settings;
        if changed {
            self.restart(shared);
        }
    }

    /// Begins a new row now: counting begins.
    pub(super) fn restart(&mut self, shared: &Shared) {
        self.schedule = begin(shared, self.settings);
        self.sum = Sum::default();
        self.gap = false;
    }

    /// A period was lost.
    pub(super) fn note_gap(&mut self, shared: &Shared) {
        shared.station.health.count("gaps");
        self.gap = true;
        if self.lost.is_none() {
            self.lost = Some(shared.station.conditions.raise(Condition::SamplesLost));
        }
    }

    pub(super) fn add(&mut self, sample: &Sample) {
        self.sum.add(sample);
    }

    /// Ends what has become due: a row goes to the store if it has any reading.
    pub(super) fn turn(&mut self, shared: &Shared) {
        let now = shared.station.clock.now();
        if !self.schedule.pass(now) {
            return;
        }
        let clock = (shared.station.wall_clock)();
        let stamp = self.schedule.stamp(now, clock.utc);
        let late = now.saturating_duration_since(self.schedule.row_due());
        let late_ms = i64::try_from(late.as_millis()).unwrap_or(0);
        let missed = self.schedule.next_row(now, clock.utc);
        if self.sum.is_empty() {
            shared.station.health.add("rows_missed", 1 + missed);
            return;
        }
        shared.station.health.add("rows_missed", missed);
        let mut sum = std::mem::take(&mut self.sum);
        let gap = std::mem::take(&mut self.gap);
        if !gap {
            self.lost = None;
        }
        if !self.settings.logging {
            return;
        }
        sum.mark(Flags::GAP, gap);
        sum.mark(Flags::CLOCK_UNSET, !clock.is_set);
        self.store(shared, &sum, stamp, clock.monotonic_ms - late_ms);
    }

    fn store(&mut self, shared: &Shared, sum: &Sum, stamp: Timestamp, monotonic_ms: i64) {
        let Some(store) = &shared.station.store else {
            return;
        };
        let health = &shared.station.health;
        match store.append(sum.reading(&shared.gadget_id, stamp, monotonic_ms)) {
            // Whether it reaches the disk is the store's to tell.
            Ok(_) => health.count("rows"),
            Err(error) => {
                health.count("rows_lost");
                if self.lost.is_none() {
                    health.record(error.to_string());
                    self.lost = Some(shared.station.conditions.raise(Condition::SamplesLost));
                    shared.station.conditions.announce(&failure(&error));
                }
            }
        }
    }
}

fn begin(shared: &Shared, settings: Settings) -> Schedule {
    let clock = &shared.station.clock;
    Schedule::begin(settings.interval, clock.now(), clock.utc())
}

fn failure(error: &ReadingsError) -> Failure {
    Failure::from_error(error.kind(), error)
}
