//! The counter's loop on a clock moved by hand: in memory, or behind a bridge as the program itself opens one.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::future::or;
use jiff::Timestamp;
use outpost::app::particle;
use outpost::base::clock::{Clock, ManualClock};
use outpost::base::conditions::Conditions;
use outpost::base::error::Kind;
use outpost::base::health::{Health, HealthBook, Report, State};
use outpost::base::shutdown::{Trigger, shutdown};
use outpost::base::trace::Trace;
use outpost::bus::spi::{MemorySpi, SpiLink};
use outpost::config::{Config, Sources};
use outpost::opcn3::proto::Status;
use outpost::opcn3::sim::{Counter, Faults, SimConfig};
use outpost::opcn3::{
    LinkFailure, LinkKind, Opened, Options, ParticleError, Particles, Sample, Settings, Station,
    Times, Wire,
};
use outpost::store::readings::{
    ClockState, Database, DatabaseSettings, ReadingStore, StoredReading,
};
use outpost::usbiss::sim::{Bridge, Port, plug_in};
use smol::{LocalExecutor, Task, Timer};
use tempfile::TempDir;

use super::harness::{PATIENCE, short_folder};
use super::particle::open;

/// Not on a whole second.
pub const START: &str = "2026-11-20T08:00:00.250Z";
/// The actor's limit for its last commands. What is due before is a wait between bytes.
const FAREWELL: Duration = Duration::from_secs(4);
/// Real time in which a pool thread is to say something before time is moved on.
const GRACE: Duration = Duration::from_millis(2);

/// What is there without a station: time, a counter, and what it is plugged into.
pub struct World {
    pub clock: Clock,
    hand: ManualClock,
    pub counter: Arc<Mutex<Counter>>,
    pub faults: Faults,
    /// The bridge; `None` for a counter in memory.
    pub port: Option<Port>,
    folder: TempDir,
}

impl World {
    fn new(config: SimConfig) -> Self {
        let (clock, hand) = Clock::manual(START.parse().unwrap());
        let faults = Faults::none();
        let counter = Counter::new(config, faults.clone(), Duration::ZERO);
        Self {
            clock,
            hand,
            counter: Arc::new(Mutex::new(counter)),
            faults,
            port: None,
            folder: short_folder(),
        }
    }

    /// A counter behind a USB bridge, both of which suffer from the faults.
    pub fn bridged() -> Self {
        let mut world = Self::new(SimConfig::default());
        let (counter, faults) = (world.counter.clone(), world.faults.clone());
        let bridge = Bridge::new(
            Box::new(move |byte, now| counter.lock().unwrap().transfer(byte, now)),
            Box::new(move |trouble| faults.strike_named(trouble.name())),
        );
        let port = plug_in(world.clock.clone(), bridge, &world.tty()).unwrap();
        world.port = Some(port);
        world
    }

    pub fn tty(&self) -> PathBuf {
        self.folder.path().join("tty")
    }

    pub fn status(&self) -> Status {
        self.counter.lock().unwrap().status()
    }

    fn settings(&self) -> DatabaseSettings {
        DatabaseSettings::new(self.folder.path().join("readings.db"))
    }
}

/// The loop with what it needs of a station, which is not running otherwise.
pub struct Rig {
    executor: LocalExecutor<'static>,
    pub world: World,
    pub particles: Particles,
    pub book: HealthBook,
    pub health: Health,
    pub is_set: Rc<Cell<bool>>,
    pub supply: Rc<RefCell<Vec<bool>>>,
    trigger: Trigger,
    task: Task<()>,
    pub store: ReadingStore,
}

impl Rig {
    pub fn new(interval_s: u64) -> Self {
        Self::with(interval_s, SimConfig::default(), 0, None)
    }

    /// In memory, its supply switched.
    pub fn with(
        interval_s: u64,
        config: SimConfig,
        restart_after_zeros: u32,
        database: Option<DatabaseSettings>,
    ) -> Self {
        let world = World::new(config);
        let supply: Rc<RefCell<Vec<bool>>> = Rc::default();
        let switched = supply.clone();
        let options = Options {
            kind: LinkKind::Spi,
            open: opener(&world.clock, &world.counter),
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
        Self::run(world, options, supply, database)
    }

    /// As the program does it, by the configuration: the port opened by its path, the waits those of a real counter.
    pub fn plugged(world: World, interval_s: u64) -> Self {
        let folder = world.folder.path();
        let tty = world.tty();
        let text = format!(
            "board = \"sim\"\n[opc]\ninterval_s = {interval_s}\nlink = \"usb-iss\"\ntty = \"{}\"\n",
            tty.display()
        );
        let config = folder.join("c.toml");
        fs::write(&config, text).unwrap();
        let sources = Sources {
            config: Some(config),
            state_dir: Some(folder.to_owned()),
            ..Sources::from_environment()
        };
        let loaded = Config::load(&sources).unwrap();
        let setup = particle::set_up(&loaded, &world.clock).unwrap();
        Self::run(world, setup.options, Rc::default(), None)
    }

    fn run(
        world: World,
        options: Options,
        supply: Rc<RefCell<Vec<bool>>>,
        database: Option<DatabaseSettings>,
    ) -> Self {
        // A database of its own is one that fails: then the queue is to fill soon.
        let queue = if database.is_some() { 2 } else { 1000 };
        let database = database.unwrap_or_else(|| world.settings());
        let clock = world.clock.clone();
        let store = ReadingStore::start(database, queue, Clock::real()).unwrap();
        let book = HealthBook::new(clock.clone());
        let health = book.register("opc", State::Disabled);
        let is_set = Rc::new(Cell::new(true));
        let (trigger, stopping) = shutdown();
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
            trace: Trace::new(clock),
            store: Some(store.handle()),
            shutdown: stopping,
        };
        let (particles, run) = Particles::new(options, station);
        let executor = LocalExecutor::new();
        let task = executor.spawn(run);
        Self {
            executor,
            world,
            particles,
            book,
            health,
            is_set,
            supply,
            trigger,
            task,
            store,
        }
    }

    /// Lets time pass: from one instant that is waited for to the next, the work at each done.
    pub fn pass(&self, seconds: u64) {
        let end = self.world.clock.now() + Duration::from_secs(seconds);
        self.until(|_| self.world.clock.now() >= end);
    }

    pub fn until(&self, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "waited in vain: {:?}", self.book);
            if self.executor.try_tick() || self.heard_from_thread() {
                continue;
            }
            match self.world.hand.until_due() {
                Some(wait) => self.world.hand.advance(wait),
                // A pool thread has the counter.
                None => {
                    self.tick_in_grace();
                }
            }
        }
    }

    /// A limit may be waited for while a pool thread has the counter, which takes real time behind a bridge.
    fn heard_from_thread(&self) -> bool {
        self.world.port.is_some() && self.tick_in_grace()
    }

    /// Waits for something to do, and does it; whether something came in time.
    fn tick_in_grace(&self) -> bool {
        let tick = async {
            self.executor.tick().await;
            true
        };
        let late = async {
            Timer::after(GRACE).await;
            false
        };
        smol::block_on(or(tick, late))
    }

    pub fn counting(&self) {
        self.until(|rig| rig.particles.info().phase == "counting");
    }

    /// A new reading.
    pub fn read(&self) -> Result<Rc<Sample>, ParticleError> {
        let particles = self.particles.clone();
        let reading = self.executor.spawn(async move { particles.read().await });
        self.until(|_| reading.is_finished());
        smol::block_on(reading)
    }

    pub fn status(&self) -> Status {
        self.world.status()
    }

    /// Has a fault strike, `n` times or until it is cleared.
    pub fn fault(&self, name: &str, n: impl Into<Option<u64>>) {
        self.world.faults.set(name, n.into()).unwrap();
    }

    pub fn report(&self) -> Report {
        self.book.reports(None).remove(0)
    }

    /// Whether one of the last errors says so.
    pub fn has_told(&self, text: &str) -> bool {
        let errors = self.report().errors;
        errors.iter().any(|past| past.error.contains(text))
    }

    /// How many rows are in the database for which this holds.
    pub fn rows_where(&self, condition: &str) -> i64 {
        // The store's thread has made the table, and stored what it was given, when it answers.
        let count = self
            .store
            .handle()
            .call_blocking(|database| database.count());
        count.unwrap();
        let database = open(&self.world.folder.path().join("readings.db"));
        let question = format!("SELECT count(*) FROM Readings WHERE {condition}");
        database.query_row(&question, [], |row| row.get(0)).unwrap()
    }

    /// Ends it as SIGKILL does: nobody says a last word.
    pub fn kill(self) -> World {
        self.world
    }

    /// Stops it; its rows, oldest first.
    pub fn end(self) -> Vec<StoredReading> {
        self.trigger.fire();
        let deadline = Instant::now() + PATIENCE;
        let limit = self.world.clock.now() + FAREWELL;
        while !self.task.is_finished() {
            assert!(Instant::now() < deadline, "it does not end");
            if self.executor.try_tick() {
                continue;
            }
            match self.world.hand.until_due() {
                Some(wait) if self.world.clock.now() + wait < limit => {
                    self.world.hand.advance(wait);
                }
                // A pool thread has the counter: the limit must not pass meanwhile.
                _ => {
                    self.tick_in_grace();
                }
            }
        }
        assert!(!self.status().laser_on && !self.status().fan_on);
        self.store.close();
        let database = Database::open(self.world.settings(), Timestamp::now()).unwrap();
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
