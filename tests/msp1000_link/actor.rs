//! The supervised loop on a clock moved by hand: tries again in growing steps, finds instruments that announce
//! themselves, and lets go of what belonged to clients that left.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::poll_once;
use jiff::Timestamp;
use outpost::base::certificate::Fingerprint;
use outpost::base::clock::{Clock, ManualClock};
use outpost::base::conditions::Conditions;
use outpost::base::health::{Health, HealthBook, State};
use outpost::base::shutdown::{Trigger, shutdown};
use outpost::base::trace::Trace;
use outpost::msp1000::driver::{KnownInstruments, Trust};
use outpost::msp1000::sim::{Config, Faults, Simulator};
use outpost::msp1000::{Address, Listening, Options, Spectrometer, Station};
use smol::{Async, LocalExecutor, Task, Timer};
use tempfile::TempDir;

use crate::rig::{ANY, run};

struct Bench {
    executor: Rc<LocalExecutor<'static>>,
    clock: Clock,
    hand: ManualClock,
    spectrometer: Spectrometer,
    health: Health,
    discovery: SocketAddr,
    known: KnownInstruments,
    _folder: TempDir,
    _trigger: Trigger,
    _task: Task<()>,
}

impl Bench {
    fn new(clock: (Clock, ManualClock), address: Address) -> Self {
        Self::knowing(clock, address, None)
    }

    /// With a certificate seen before, under the serial number 77.
    fn knowing(
        (clock, hand): (Clock, ManualClock),
        address: Address,
        seen: Option<Fingerprint>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownInstruments::new(folder.path().join("known"));
        if let Some(seen) = seen {
            known.keep("77", seen).unwrap();
        }
        // A port that nobody else has, as far as that can be known.
        let discovery = UdpSocket::bind(ANY).unwrap().local_addr().unwrap();
        let options = Options {
            listening: match address {
                Address::Discovered { .. } => Listening::On,
                _ => Listening::Off,
            },
            address,
            trust: Trust::FirstUse(known.clone()),
            discovery,
            announcing: None,
            control_idle: None,
        };
        let health = HealthBook::new(clock.clone()).register("msp1000", State::Disabled);
        let (trigger, stopping) = shutdown();
        let station = Station {
            clock: clock.clone(),
            conditions: Conditions::default(),
            health: health.clone(),
            trace: Trace::new(clock.clone()),
            shutdown: stopping,
        };
        let (spectrometer, work) = Spectrometer::new(options, station);
        let executor = Rc::new(LocalExecutor::new());
        let task = executor.spawn(work);
        Self {
            executor,
            clock,
            hand,
            spectrometer,
            health,
            discovery,
            known,
            _folder: folder,
            _trigger: trigger,
            _task: task,
        }
    }

    /// Lets everybody work until it is so; the clock stands still.
    fn until(&self, what: impl Fn() -> bool) {
        run(self.executor.run(async {
            while !what() {
                Timer::after(Duration::from_millis(1)).await;
            }
        }));
    }

    /// What has come in by now is worked off.
    fn settle(&self) {
        run(self.executor.run(async {
            for _ in 0..20 {
                Timer::after(Duration::from_millis(1)).await;
            }
        }));
    }

    fn announce(&self, datagram: &[u8]) {
        let sender = UdpSocket::bind(ANY).unwrap();
        sender.send_to(datagram, self.discovery).unwrap();
    }

    fn state(&self) -> &'static str {
        self.spectrometer.report().state
    }

    fn reason(&self) -> String {
        match self.health.state() {
            State::Failed { reason, .. } => reason,
            state => format!("{state:?}"),
        }
    }

    fn tries(&self) -> u64 {
        self.health.counter("reconnects")
    }
}

fn clock() -> (Clock, ManualClock) {
    Clock::manual(Timestamp::UNIX_EPOCH)
}

fn simulator(clock: Clock, plain: bool, at: SocketAddr) -> Simulator {
    let config = Config {
        plain,
        ..Config::default()
    };
    Simulator::start(clock, config, Faults::none(), at).unwrap()
}

#[test]
fn tries_come_in_growing_steps_and_start_over_after_one_that_worked() {
    // Somebody who hangs up at once.
    let listener = Async::<TcpListener>::bind(ANY).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    let bench = Bench::new(clock(), Address::Plain(address));
    let accepted = Rc::new(Cell::new(0));
    let counter = accepted.clone();
    let hanging_up = bench.executor.spawn(async move {
        while listener.accept().await.is_ok() {
            counter.set(counter.get() + 1);
        }
    });
    let mut step = Duration::from_millis(500);
    for tries in 1..=9 {
        bench.until(|| bench.tries() == tries);
        assert_eq!(accepted.get(), tries);
        assert_eq!(bench.state(), "failed");
        // Up to a quarter sooner, so that instruments do not come in step.
        bench.hand.advance(step * 3 / 4 - Duration::from_millis(1));
        bench.settle();
        assert_eq!(bench.tries(), tries, "too early");
        bench.hand.advance(step / 4 + Duration::from_millis(1));
        step = (step * 2).min(Duration::from_secs(30));
    }
    bench.until(|| bench.tries() == 10);
    bench.executor.spawn(hanging_up.cancel()).detach();
    bench.settle();

    let simulator = simulator(Clock::real(), true, address);
    bench.hand.advance(Duration::from_secs(30));
    bench.until(|| bench.spectrometer.is_connected());
    let client = bench.spectrometer.client("client");
    let taken = run(bench.executor.run(client.take())).unwrap();
    assert_eq!(bench.spectrometer.latest(), Some(taken));
    drop(simulator);
    // It is looked at every 5 s.
    bench.hand.advance(Duration::from_secs(5));
    bench.until(|| bench.tries() == 11);
    assert_eq!(
        bench.spectrometer.latest(),
        None,
        "nobody gets an old frame"
    );
    let refused = run(bench.executor.run(client.take())).unwrap_err();
    assert!(refused.to_string().contains("closed"), "{refused}");
    bench.hand.advance(Duration::from_millis(500));
    bench.until(|| bench.tries() == 12);
}

#[test]
fn an_instrument_that_announces_itself_is_used_at_once_and_known_from_then_on() {
    let simulator = simulator(Clock::real(), false, ANY);
    let port = simulator.address().port();
    let bench = Bench::new(clock(), Address::Discovered { port });
    bench.until(|| bench.state() == "failed");
    assert!(
        bench.reason().contains("announces itself"),
        "{}",
        bench.reason()
    );
    bench.announce(b"msp1000wlan0,77\r\n");
    bench.until(|| bench.spectrometer.is_connected());
    let report = bench.spectrometer.report();
    assert_eq!(report.serial.as_deref(), Some("77"));
    assert_eq!(bench.known.load("77").unwrap(), simulator.fingerprint());
    assert_eq!(bench.tries(), 1, "no more than the one before it came");
}

#[test]
fn a_flood_of_announcements_leaves_the_instrument_in_use_alone() {
    let simulator = simulator(Clock::real(), false, ANY);
    let port = simulator.address().port();
    let bench = Bench::new(clock(), Address::Discovered { port });
    bench.until(|| bench.state() == "failed");
    bench.announce(b"msp1000eth0,77");
    bench.until(|| bench.spectrometer.is_connected());
    for serial in 1000..1100 {
        bench.announce(format!("msp1000eth0,{serial}").as_bytes());
    }
    bench.until(|| bench.health.counter("announcements") == 101);
    assert_eq!(bench.health.counter("discovery_overflows"), 101 - 64);
    let list = run(bench.spectrometer.list());
    let connected = list.iter().find(|entry| entry.connected).unwrap();
    assert_eq!((list.len(), connected.serial.as_str()), (64, "77"));
    assert!(connected.heard.is_some(), "it is still in the table");
    assert!(list.iter().any(|entry| entry.serial == "1099"));
    assert_eq!(bench.tries(), 1);
}

#[test]
fn what_is_known_is_waited_for_and_others_are_left_alone() {
    let simulator = simulator(Clock::real(), false, ANY);
    let port = simulator.address().port();
    let seen = simulator.fingerprint();
    let bench = Bench::knowing(clock(), Address::Discovered { port }, seen);
    bench.until(|| bench.state() == "failed");
    bench.announce(b"msp1000eth0,88");
    bench.until(|| bench.reason().contains("not the one that is trusted"));
    assert!(bench.reason().contains("88"), "{}", bench.reason());
    assert_eq!(simulator.exposures(), 0);
    bench.announce(b"msp1000eth0,77");
    bench.until(|| bench.spectrometer.is_connected());
    assert_eq!(bench.spectrometer.report().serial.as_deref(), Some("77"));
}

#[test]
fn a_known_instrument_with_another_certificate_is_tried_every_five_minutes() {
    let simulator = simulator(Clock::real(), false, ANY);
    let port = simulator.address().port();
    let other = Fingerprint::of(b"another certificate");
    let bench = Bench::knowing(clock(), Address::Discovered { port }, Some(other));
    bench.until(|| bench.state() == "failed");
    bench.announce(b"msp1000eth0,77");
    bench.until(|| bench.state() == "certificate-changed");
    let (reason, tries) = (bench.reason(), bench.tries());
    assert!(reason.contains(&other.to_string()), "{reason}");
    // Anybody can announce anything: no storm of tries comes of it.
    bench.announce(b"msp1000eth0,99");
    bench.until(|| bench.health.counter("announcements") == 2);
    bench.settle();
    bench.hand.advance(Duration::from_secs(299));
    bench.settle();
    assert_eq!(
        (bench.state(), bench.tries()),
        ("certificate-changed", tries)
    );
    assert_eq!(
        bench.known.load("77").unwrap(),
        Some(other),
        "never overwritten"
    );
    bench.announce(b"msp1000eth0,77");
    bench.until(|| bench.health.counter("announcements") == 3);
    bench.hand.advance(Duration::from_secs(1));
    bench.until(|| bench.tries() == tries + 1);
    assert_eq!(bench.state(), "certificate-changed");
}

#[test]
fn a_client_that_left_keeps_no_control_by_what_it_had_asked_for() {
    let (clock, hand) = clock();
    let simulator = simulator(clock.clone(), true, ANY);
    let bench = Bench::new((clock, hand), Address::Plain(simulator.address()));
    bench.until(|| bench.spectrometer.is_connected());
    let controller = bench.spectrometer.client("controller");
    let reader = bench.spectrometer.client("reader");
    run(bench.executor.run(controller.set_exposure(1000))).unwrap();
    assert!(controller.has_control());

    let mut taking = Box::pin(reader.take());
    assert!(run(poll_once(&mut taking)).is_none());
    bench.until(|| bench.spectrometer.report().exposing);
    // It asks while the exposure runs, and leaves before its turn has come.
    {
        let mut setting = Box::pin(controller.set_exposure(5));
        assert!(run(poll_once(&mut setting)).is_none());
    }
    drop(controller);
    assert_eq!(bench.spectrometer.holder(), None);
    // Once the instrument has begun: its own time begins when it has the command.
    bench.settle();
    bench.hand.advance(Duration::from_secs(1));
    let frame = run(bench.executor.run(taking)).unwrap();
    assert_eq!(frame.exposure_ms, 1000);
    bench.until(|| bench.spectrometer.report().exposure_ms == Some(5));
    assert_eq!(bench.spectrometer.holder(), None, "nobody inherits");
    run(bench.executor.run(reader.set_exposure(7))).unwrap();
    assert!(reader.has_control());
    assert_eq!(
        bench.clock.utc(),
        Timestamp::UNIX_EPOCH + Duration::from_secs(1)
    );
}
