//! The readings' store in the station: opened, watched, closed last.

use std::time::{Duration, Instant};

use jiff::Zoned;
use smol::LocalExecutor;

use crate::base::clock::Clock;
use crate::base::conditions::{Condition, Conditions};
use crate::base::health::{Health, State};
use crate::bus::time;
use crate::config::{Config, Loaded};
use crate::store::readings::{
    ClockState, DatabaseSettings, ReadingStore, StoreHandle, StoreState, StoreStatus,
};

/// Readings that may wait in memory: most of a day at the usual 10 s, about 6 MB.
const QUEUE: usize = 8192;
/// How often the store is asked how it is.
const LOOK: Duration = Duration::from_secs(1);
/// Year of this version: a clock that says less was never set.
const RELEASE_YEAR: i16 = 2026;
/// For a machine without a time service, after which its clock is believed (design.md 5).
const BELIEVED_AFTER_MS: i64 = 10 * 60 * 1000;

/// The station's idea of civil time, and whether it can be trusted. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct WallClock {
    clock: Clock,
    /// On the clock of the readings, when `since` was.
    zero_ms: i64,
    since: Instant,
    simulated: bool,
}

impl WallClock {
    pub(super) fn new(clock: &Clock, simulated: bool) -> Self {
        Self {
            clock: clock.clone(),
            zero_ms: time::monotonic_ms(),
            since: clock.now(),
            simulated,
        }
    }

    /// Both times now. The zero of the monotonic one is the start of the machine, as the boot id's is.
    pub(super) fn state(&self) -> ClockState {
        let elapsed = self.clock.now().saturating_duration_since(self.since);
        let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        let monotonic_ms = self.zero_ms.saturating_add(elapsed_ms);
        let utc = self.clock.utc();
        let year = Zoned::new(utc, jiff::tz::TimeZone::UTC).year();
        let believed = year >= RELEASE_YEAR && monotonic_ms >= BELIEVED_AFTER_MS;
        ClockState {
            is_set: self.simulated || time::is_synchronized() || believed,
            utc,
            monotonic_ms,
        }
    }
}

/// Whether anything of the station keeps or reads readings.
fn is_needed(config: &Config) -> bool {
    config.opc.enabled || config.tinycloud.enabled
}

/// Where the readings are.
pub(super) fn settings(loaded: &Loaded) -> DatabaseSettings {
    let config = &loaded.config;
    DatabaseSettings {
        table: config.opc.table.clone(),
        boot: time::boot_id(),
        legacy_uploaded_dir: Some(config.tinycloud.uploaded_dir.clone()),
        ..DatabaseSettings::new(&config.opc.database)
    }
}

/// Starts the store where it is needed. A file that cannot be opened does not stop the station: it is tried again, and
/// readings wait in memory.
pub(super) fn open(loaded: &Loaded, clock: &Clock, health: &Health) -> Option<ReadingStore> {
    if !is_needed(&loaded.config) {
        return None;
    }
    match ReadingStore::start(settings(loaded), QUEUE, clock.clone()) {
        Ok(store) => Some(store),
        Err(error) => {
            tracing::error!("readings cannot be kept: {error}");
            health.record(error.to_string());
            health.set(State::Degraded {
                reason: error.to_string(),
            });
            None
        }
    }
}

/// Shows the store's state and counts in the health book.
pub(super) fn watch(
    executor: &LocalExecutor<'static>,
    clock: &Clock,
    conditions: &Conditions,
    wall_clock: &WallClock,
    health: Health,
    store: StoreHandle,
) {
    let (clock, conditions) = (clock.clone(), conditions.clone());
    let wall_clock = wall_clock.clone();
    let watch = async move {
        let mut known: Option<StoreStatus> = None;
        let mut losing = None;
        let mut corrected = false;
        loop {
            if !corrected {
                corrected = correct(&wall_clock, &store, &health).await;
            }
            let status = store.status();
            if known.as_ref() != Some(&status) {
                let lost = known.as_ref().map_or(0, |known| known.lost);
                losing = (status.lost > lost).then(|| conditions.raise(Condition::SamplesLost));
                show(&status, known.as_ref(), &clock, &health);
                known = Some(status);
            } else if losing.is_some() {
                losing = None;
            }
            clock.sleep(LOOK).await;
        }
    };
    executor.spawn(watch).detach();
}

/// Corrects the stamps of rows taken before the clock was set, once it is; whether that is done.
async fn correct(wall_clock: &WallClock, store: &StoreHandle, health: &Health) -> bool {
    let clock = wall_clock.state();
    if !clock.is_set {
        return false;
    }
    match store.set_clock(clock).await {
        Ok(0) => true,
        Ok(rows) => {
            tracing::info!(rows, "stamps taken before the clock was set are corrected");
            health.add("corrected", rows as u64);
            true
        }
        // It is tried again with the next look.
        Err(_) => false,
    }
}

fn show(status: &StoreStatus, known: Option<&StoreStatus>, clock: &Clock, health: &Health) {
    health.put("stored", status.stored);
    health.put("lost", status.lost);
    health.put("waiting", status.waiting as u64);
    health.put("failures", status.failures);
    health.put("damaged_files", status.moved_aside);
    if status.moved_aside > known.map_or(0, |known| known.moved_aside) {
        health.record("the database was damaged: it was moved aside and a new one begun");
    }
    let StoreState::Stalled(failure) = &status.state else {
        return health.set(State::Ready);
    };
    let news = match known.map(|known| &known.state) {
        Some(StoreState::Stalled(before)) => before != failure,
        _ => true,
    };
    if news {
        health.record(failure.message.clone());
    }
    let wait = status.retry_at.map_or(Duration::ZERO, |due| {
        due.saturating_duration_since(clock.now())
    });
    let reason = format!(
        "{} readings wait in memory: {}",
        status.waiting, failure.message
    );
    health.fail(reason, wait);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_board_trusts_its_clock_and_others_wait_for_it() {
        let (clock, hand) = Clock::manual("2020-01-01T00:00:00Z".parse().unwrap());
        assert!(WallClock::new(&clock, true).state().is_set);
        let wall = WallClock::new(&clock, false);
        let before = wall.state();
        hand.advance(Duration::from_secs(1200));
        let after = wall.state();
        assert_eq!(after.monotonic_ms - before.monotonic_ms, 1_200_000);
        assert_eq!(after.utc.to_string(), "2020-01-01T00:20:00Z");
        // A year before this version: only the kernel's word counts.
        assert_eq!(after.is_set, time::is_synchronized());
        let (clock, hand) = Clock::manual("2026-12-01T00:00:00Z".parse().unwrap());
        let wall = WallClock::new(&clock, false);
        hand.advance(Duration::from_secs(600));
        assert!(wall.state().is_set);
    }
}
