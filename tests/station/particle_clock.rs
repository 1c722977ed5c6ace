//! The counter's loop on a clock moved by hand: minutes of counting in moments, with a counter in memory.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use outpost::base::clock::{Clock, ManualClock};
use outpost::base::conditions::Conditions;
use outpost::base::error::Kind;
use outpost::base::health::{Health, HealthBook, State};
use outpost::base::shutdown::{Trigger, shutdown};
use outpost::base::trace::Trace;
use outpost::bus::spi::{MemorySpi, SpiLink};
use outpost::opcn3::proto::{Histogram, Status};
use outpost::opcn3::sim::{Counter, Faults, SimConfig};
use outpost::opcn3::{
    LinkFailure, LinkKind, Opened, Options, Particles, Settings, Station, Times, Wire,
};
use outpost::store::readings::{
    ClockState, Database, DatabaseSettings, Flags, ReadingStore, StoredReading,
};
use smol::{LocalExecutor, Task};

use super::harness::PATIENCE;

/// Not on a whole second.
const START: &str = "2026-11-20T08:00:00.250Z";

struct Rig {
    executor: LocalExecutor<'static>,
    hand: ManualClock,
    clock: Clock,
    counter: Arc<Mutex<Counter>>,
    faults: Faults,
    particles: Particles,
    book: HealthBook,
    health: Health,
    is_set: Rc<Cell<bool>>,
    supply: Rc<RefCell<Vec<bool>>>,
    trigger: Trigger,
    task: Task<()>,
    store: ReadingStore,
    folder: tempfile::TempDir,
}

fn settings(folder: &Path) -> DatabaseSettings {
    DatabaseSettings::new(folder.join("readings.db"))
}

impl Rig {
    fn new(interval_s: u64) -> Self {
        Self::with(interval_s, SimConfig::default(), 0, None)
    }

    fn with(
        interval_s: u64,
        config: SimConfig,
        restart_after_zeros: u32,
        database: Option<DatabaseSettings>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A database of its own is one that fails: then the queue is to fill soon.
        let queue = if database.is_some() { 2 } else { 100 };
        let database = database.unwrap_or_else(|| settings(folder.path()));
        let (clock, hand) = Clock::manual(START.parse().unwrap());
        let faults = Faults::none();
        let counter = Counter::new(config, faults.clone(), Duration::ZERO);
        let counter = Arc::new(Mutex::new(counter));
        let store = ReadingStore::start(database, queue, Clock::real()).unwrap();
        let book = HealthBook::new(clock.clone());
        let health = book.register("opc", State::Disabled);
        let is_set = Rc::new(Cell::new(true));
        let supply: Rc<RefCell<Vec<bool>>> = Rc::default();
        let (trigger, stopping) = shutdown();
        let switched = supply.clone();
        let options = Options {
            kind: LinkKind::Spi,
            open: opener(&clock, &counter),
            settings: Settings {
                counting: true,
                logging: true,
                interval: Duration::from_secs(interval_s),
            },
            gadget_id: "OPC_1".into(),
            times: Times::default(),
            restart_after_zeros,
            supply: Some(Box::new(move |on| switched.borrow_mut().push(on))),
        };
        let (now, set, since) = (clock.clone(), is_set.clone(), clock.now());
        let station = Station {
            clock: clock.clone(),
            wall_clock: Rc::new(move || ClockState {
                is_set: set.get(),
                utc: now.utc(),
                monotonic_ms: (now.now() - since).as_millis() as i64,
            }),
            conditions: Conditions::default(),
            health: health.clone(),
            trace: Trace::new(clock.clone()),
            store: Some(store.handle()),
            shutdown: stopping,
        };
        let (particles, run) = Particles::new(options, station);
        let executor = LocalExecutor::new();
        let task = executor.spawn(run);
        Self {
            executor,
            hand,
            clock,
            counter,
            faults,
            particles,
            book,
            health,
            is_set,
            supply,
            trigger,
            task,
            store,
            folder,
        }
    }

    /// Lets time pass: from one instant that is waited for to the next, the work at each done.
    fn pass(&self, seconds: u64) {
        let end = self.clock.now() + Duration::from_secs(seconds);
        self.until(|_| self.clock.now() >= end);
    }

    fn until(&self, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "waited in vain");
            if self.executor.try_tick() {
                continue;
            }
            match self.hand.until_due() {
                Some(wait) => self.hand.advance(wait),
                // A pool thread has the counter.
                None => std::thread::yield_now(),
            }
        }
    }

    fn counting(&self) {
        self.until(|rig| rig.particles.info().phase == "counting");
    }

    fn status(&self) -> Status {
        self.counter.lock().unwrap().status()
    }

    fn fault(&self, name: &str, n: u64) {
        self.faults.set(name, Some(n)).unwrap();
    }

    /// Stops it; its rows, oldest first.
    fn end(self) -> Vec<StoredReading> {
        self.trigger.fire();
        // The limit of the farewell is a time as well: it must not pass while a pool thread has the counter.
        let deadline = Instant::now() + PATIENCE;
        while !self.task.is_finished() {
            assert!(Instant::now() < deadline, "it does not end");
            if self.executor.try_tick() {
                continue;
            }
            std::thread::sleep(Duration::from_millis(1));
            let wait = self.hand.until_due().unwrap_or_default();
            self.hand.advance(wait.min(Duration::from_millis(5)));
        }
        assert!(!self.status().laser_on && !self.status().fan_on);
        self.store.close();
        let database = Database::open(settings(self.folder.path()), Timestamp::now()).unwrap();
        let mut rows = database.recent(1000).unwrap();
        rows.reverse();
        rows
    }
}

fn opener(clock: &Clock, counter: &Arc<Mutex<Counter>>) -> outpost::opcn3::Open {
    let (clock, counter, since) = (clock.clone(), counter.clone(), clock.now());
    Arc::new(move || {
        let (clock, counter) = (clock.clone(), counter.clone());
        let peer = move |bytes: &mut [u8]| -> io::Result<()> {
            let mut counter = counter.lock().unwrap();
            for byte in bytes {
                *byte = counter.transfer(*byte, clock.now() - since);
            }
            Ok(())
        };
        let bus = SpiLink::Memory(MemorySpi::new(peer));
        Ok(Opened {
            bus: Wire::new(bus, |error| {
                LinkFailure::new(Kind::Hardware, "bridge_errors", &error)
            }),
            description: "memory".into(),
            warning: None,
            fresh: false,
        })
    })
}

fn stamps(rows: &[StoredReading]) -> Vec<&str> {
    rows.iter().map(|row| &row.timestamp[11..]).collect()
}

#[test]
fn five_minutes_are_thirty_readings_added_up() {
    let rig = Rig::new(300);
    rig.counting();
    // Supply, silence, fan, laser: the reference's times.
    let started = rig.clock.utc().as_second() - START.parse::<Timestamp>().unwrap().as_second();
    assert!((12..16).contains(&started), "{started}");
    rig.pass(910);
    assert_eq!(rig.health.counter("gaps"), 0);
    let rows = rig.end();
    assert_eq!(rows.len(), 3);
    let seconds: Vec<Timestamp> = rows
        .iter()
        .map(|row| {
            format!("{}Z", row.timestamp.replace(' ', "T"))
                .parse()
                .unwrap()
        })
        .collect();
    assert!(
        seconds
            .windows(2)
            .all(|pair| (pair[1] - pair[0]).get_seconds() == 300)
    );
    for row in &rows {
        let period = row.value("sampling_period").unwrap();
        assert!((299.0..302.0).contains(&period), "{period}");
        assert_eq!(
            row.value("sample_flow_rate")
                .map(|flow| (flow * 1e6).round()),
            Some(3.69e6)
        );
    }
    // The fan has run for 30 s when the second reading of the first row ends.
    assert_eq!(
        rows.iter().map(|row| row.flags.0).collect::<Vec<_>>(),
        [1, 0, 0]
    );
}

#[test]
fn rows_of_an_unset_clock_are_flagged_and_gaps_too() {
    let rig = Rig::new(10);
    rig.counting();
    rig.pass(45);
    rig.is_set.set(false);
    rig.pass(10);
    rig.is_set.set(true);
    rig.fault("wrong-checksum", 1);
    rig.pass(20);
    let lost = rig.health.counter("rows_missed") + rig.health.counter("gaps");
    assert!(lost >= 1);
    let rows = rig.end();
    let flags: Vec<u32> = rows.iter().map(|row| row.flags.0).collect();
    assert_eq!(&flags[..2], [1, 1], "{flags:?}");
    assert_eq!(
        flags
            .iter()
            .filter(|flags| **flags == Flags::CLOCK_UNSET.0)
            .count(),
        1
    );
    assert_eq!(flags.last(), Some(&Flags::GAP.0), "{flags:?}");
    // Ten seconds apart but where the damaged reading was the only one.
    let mut expected = stamps(&rows);
    expected.dedup();
    assert_eq!(expected.len(), rows.len());
}

#[test]
fn a_wedged_counter_is_switched_off_and_on() {
    let rig = Rig::new(10);
    rig.counting();
    rig.faults.set("stay-busy", None).unwrap();
    rig.until(|rig| rig.supply.borrow().len() == 1);
    assert_eq!(*rig.supply.borrow(), [false]);
    rig.faults.clear();
    rig.counting();
    assert_eq!(*rig.supply.borrow(), [false, true]);
    assert_eq!(rig.health.counter("power_cycles"), 1);
    assert_eq!(
        rig.health.counter("busy_timeouts"),
        2,
        "the reading and the reset"
    );
    rig.end();
}

#[test]
fn air_without_particles_restarts_the_counter_where_that_is_asked_for() {
    let clean = Histogram {
        counts: [0; 24],
        mean_time_of_flight: [0; 4],
        sampling_period: 1000,
        sample_flow_rate: 369,
        temperature: 26_214,
        humidity: 32_768,
        pm: [0.0; 3],
        rejected_glitch: 0,
        rejected_long_time_of_flight: 0,
        rejected_ratio: 0,
        rejected_out_of_range: 0,
        fan_revolutions: 0,
        laser_status: 608,
    };
    for (restart_after, restarts) in [(0, false), (3, true)] {
        let config = SimConfig {
            script: vec![clean.encode()],
            ..SimConfig::default()
        };
        let rig = Rig::with(10, config, restart_after, None);
        rig.counting();
        rig.pass(90);
        let report = &rig.book.reports(None)[0];
        let told = report
            .errors
            .iter()
            .filter(|past| past.error.contains("nothing was counted"));
        assert_eq!(told.count() > 0, restarts);
        assert_eq!(rig.health.counter("reconnects"), 0);
        let rows = rig.end();
        // No particles are a reading too.
        assert!(rows.iter().all(|row| row.value("bin_0") == Some(0.0)));
    }
}

#[test]
fn a_queue_that_is_full_loses_rows_and_says_so() {
    let nowhere = DatabaseSettings::new("/proc/nowhere/readings.db");
    let rig = Rig::with(10, SimConfig::default(), 0, Some(nowhere));
    rig.counting();
    rig.pass(100);
    let (rows, lost) = (rig.health.counter("rows"), rig.health.counter("rows_lost"));
    assert!(rows >= 2 && lost >= 3, "{rows} taken, {lost} lost");
    assert_eq!(rig.store.handle().status().lost, lost);
    rig.end();
}
