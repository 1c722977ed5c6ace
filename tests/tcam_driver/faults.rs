//! Each fault of the simulated camera while it streams: what is counted, what is told, and that it passes.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future;
use outpost::base::clock::Clock;
use outpost::base::conditions::Conditions;
use outpost::base::error::{Failure, Kind};
use outpost::base::health::{Health, HealthBook, State};
use outpost::base::shutdown::shutdown;
use outpost::base::trace::Trace;
use outpost::bus::serial::open_async;
use outpost::tcam::driver::{BAUD, ImageBus, Port, Source};
use outpost::tcam::proto::SpotArea;
use outpost::tcam::sim::{Config, Faults, Hardware, Interface, Network};
use outpost::tcam::{Interest, Options, Settings, Station, Subscription, Thermal};
use smol::LocalExecutor;
use smol::net::TcpStream;

/// The clock goes that much faster than the machine's.
const TICK: Duration = Duration::from_millis(1);
const STEP: Duration = Duration::from_millis(10);
/// Longer than any recovery takes: 120 s on the fast clock.
const PATIENCE: Duration = Duration::from_secs(12);

struct Stage {
    thermal: Thermal,
    health: Health,
    faults: Faults,
    stream: Subscription,
    executor: Rc<LocalExecutor<'static>>,
    /// How far the clock goes in a tick.
    step: Rc<Cell<Duration>>,
}

fn on_uart<F: Future<Output = ()>>(test: impl FnOnce(Stage) -> F) {
    on_uart_with_plug(|stage, _camera| test(stage));
}

/// The test may also pull the plug and put it in again.
fn on_uart_with_plug<F: Future<Output = ()>>(test: impl FnOnce(Stage, Rc<Hardware>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("uart");
    let held: Rc<RefCell<Option<Rc<Hardware>>>> = Rc::default();
    let placed = held.clone();
    let test = |stage| test(stage, held.take().expect("started with the source"));
    play(test, |clock, faults| {
        let config = Config::new(Interface::Hardware, 1);
        let camera = Rc::new(Hardware::start(clock, config, faults, &link).unwrap());
        placed.replace(Some(camera.clone()));
        Source::Hardware(Box::new(move || {
            let (uart, spi) = (camera.port().to_owned(), camera.spi());
            Box::pin(async move {
                let port = open_async(&uart, BAUD).await;
                let port = port.map_err(|error| Failure::from_error(error.kind(), &error))?;
                Ok((Box::pin(port) as Port, ImageBus::new(spi)))
            })
        }))
    });
}

fn on_tcp<F: Future<Output = ()>>(test: impl FnOnce(Stage) -> F) {
    play(test, |clock, faults| {
        let config = Config::new(Interface::Network, 1);
        let address = "127.0.0.1:0".parse().unwrap();
        let camera = Network::start(clock, config, faults, address).unwrap();
        Source::Network(Box::new(move || {
            let address = camera.address();
            Box::pin(async move {
                let stream = TcpStream::connect(address).await;
                let fail = |error: std::io::Error| Failure::new(Kind::Absent, error.to_string());
                Ok(Box::pin(stream.map_err(fail)?) as Port)
            })
        }))
    });
}

fn play<F: Future<Output = ()>>(
    test: impl FnOnce(Stage) -> F,
    source: impl FnOnce(Clock, Faults) -> Source,
) {
    let (clock, hand) = Clock::manual("2026-11-20T08:00:00Z".parse().unwrap());
    let health = HealthBook::new(clock.clone()).register("tcam", State::Disabled);
    let faults = Faults::none();
    let (_running, stopping) = shutdown();
    let options = Options {
        source: source(clock.clone(), faults.clone()),
        settings: Settings {
            spot: Some(SpotArea::clamped(1, 2, 3, 4)),
            ..Settings::default()
        },
        response_timeout: Duration::from_millis(2500),
        image_timeout: Duration::from_millis(5000),
        reset_line: None,
    };
    let station = Station {
        clock: clock.clone(),
        conditions: Conditions::default(),
        health: health.clone(),
        trace: Trace::new(clock),
        shutdown: stopping,
    };
    let (thermal, run) = Thermal::new(options, station);
    let executor = Rc::new(LocalExecutor::new());
    executor.spawn(run).detach();
    let step = Rc::new(Cell::new(STEP));
    let pace = step.clone();
    let pump = async move {
        loop {
            smol::Timer::after(TICK).await;
            hand.advance(pace.get());
        }
    };
    executor.spawn(pump).detach();
    let stage = Stage {
        stream: thermal.subscribe(Interest::default()),
        thermal,
        health,
        faults,
        executor: executor.clone(),
        step,
    };
    let limited = future::or(executor.run(test(stage)), async {
        smol::Timer::after(PATIENCE).await;
        panic!("the camera did not recover");
    });
    smol::block_on(limited);
}

impl Stage {
    /// New images come, and the camera is well.
    async fn flows(&mut self) {
        while self.stream.try_next().is_some() {}
        for _ in 0..3 {
            self.stream.next().await.unwrap();
        }
        while self.health.state() != State::Ready {
            self.stream.next().await.unwrap();
        }
    }

    async fn until(&self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            smol::Timer::after(TICK).await;
        }
    }

    fn counts(&self, names: &[&str]) -> u64 {
        names.iter().map(|name| self.health.counter(name)).sum()
    }

    /// Gives the camera a fault, waits until one of these counters tells of it, and for the recovery.
    async fn suffer(&mut self, fault: &str, counters: &[&str]) {
        let before = self.counts(counters);
        self.faults.set(fault, None).unwrap();
        self.until(|stage| stage.counts(counters) > before).await;
        self.flows().await;
    }

    /// The same with a command under way.
    async fn suffer_asking(&mut self, fault: &str, counters: &[&str]) {
        let thermal = self.thermal.clone();
        self.faults.set(fault, None).unwrap();
        let before = self.counts(counters);
        let asked = self
            .executor
            .spawn(async move { thermal.get_config().await.is_ok() });
        self.until(|stage| stage.counts(counters) > before).await;
        asked.await;
        self.flows().await;
    }
}

#[test]
fn damaged_images_are_counted_and_the_stream_goes_on() {
    on_uart(|mut stage| async move {
        stage.flows().await;
        for fault in ["flip-byte", "drop-byte", "wrong-checksum", "announce-n"] {
            stage.suffer(fault, &["checksum_errors"]).await;
        }
        for fault in [
            "announce-zero",
            "announce-huge",
            "announce-negative",
            "no-arm",
        ] {
            stage.suffer(fault, &["damaged_images"]).await;
        }
        stage
            .suffer("announce-string", &["malformed_packets"])
            .await;
        stage.suffer("junk", &["junk_bytes"]).await;
        // A sum sees no transposed bytes; a split or late announcement is none the worse.
        for fault in ["transpose", "split", "glue", "pause", "ffc-gap"] {
            stage.suffer(fault, &["frames"]).await;
        }
        assert_eq!(
            stage.counts(&["resyncs", "reconnects", "camera_restarts"]),
            0
        );
    });
}

#[test]
fn answers_that_do_not_come_or_come_late_or_with_others() {
    on_uart(|mut stage| async move {
        stage.flows().await;
        // On a busy machine the camera's thread may not keep up with the fast clock: no time-out is to come of that.
        stage.step.set(TICK);
        stage
            .suffer_asking("bad-utf8", &["malformed_packets"])
            .await;
        stage.suffer_asking("unsolicited", &["unsolicited"]).await;
        assert_eq!(stage.counts(&["timeouts"]), 0);
        stage.step.set(STEP);
        stage.suffer_asking("swallow-answer", &["timeouts"]).await;
        stage.suffer_asking("delay-answer", &["timeouts"]).await;
        assert_eq!(stage.counts(&["reconnects"]), 0);
        assert_eq!(stage.thermal.get_config().await.unwrap().emissivity, 100);
    });
}

#[test]
fn a_blind_camera_is_degraded_until_it_sees_again() {
    on_uart(|mut stage| async move {
        stage.flows().await;
        for (fault, words) in [
            ("no-image", "the sensor is at fault"),
            ("spi-dead", "cycle its power"),
        ] {
            stage.faults.set(fault, None).unwrap();
            let degraded = |stage: &Stage| match stage.health.state() {
                State::Degraded { reason } => reason.contains(words),
                _ => false,
            };
            stage.until(degraded).await;
            assert!(stage.thermal.get_status().await.is_ok());
            stage.faults.clear();
            stage.flows().await;
        }
    });
}

#[test]
fn a_restarted_or_unplugged_camera_is_set_up_again() {
    on_uart(|mut stage| async move {
        stage.flows().await;
        stage.suffer("reboot", &["resyncs", "reconnects"]).await;
        stage.faults.set("vanish", Some(3000)).unwrap();
        stage.until(|stage| stage.counts(&["reconnects"]) > 0).await;
        stage.flows().await;
        // It has its settings again.
        let image = stage.thermal.image().await.unwrap();
        assert_eq!(image.telemetry().spot.area, SpotArea::clamped(1, 2, 3, 4));
    });
}

/// The cable alone: the camera stays powered, streams on and keeps its settings.
#[test]
fn a_uart_unplugged_and_replugged_under_its_name_streams_on() {
    on_uart_with_plug(|mut stage, camera| async move {
        stage.flows().await;
        for round in 1..=2 {
            let uptime = stage.stream.next().await.unwrap().telemetry().uptime_ms;
            camera.unplug();
            assert!(!camera.port().exists());
            stage
                .until(|stage| matches!(stage.health.state(), State::Failed { .. }))
                .await;
            assert!(stage.thermal.get_config().await.is_err());
            camera.plug();
            stage.flows().await;
            let image = stage.stream.next().await.unwrap();
            assert!(image.telemetry().uptime_ms > uptime);
            assert_eq!(image.telemetry().spot.area, SpotArea::clamped(1, 2, 3, 4));
            assert!(stage.counts(&["reconnects"]) >= round);
            assert_eq!(stage.counts(&["camera_restarts", "checksum_errors"]), 0);
        }
    });
}

#[test]
fn the_network_breaks_and_heals() {
    on_tcp(|mut stage| async move {
        stage.flows().await;
        // No sum goes with an image here: a changed byte is seen by nobody, a lost one by the length.
        stage.suffer("flip-byte", &["frames"]).await;
        stage.suffer("drop-byte", &["damaged_images"]).await;
        stage.suffer_asking("unsolicited", &["unsolicited"]).await;
        stage.suffer_asking("delay-answer", &["timeouts"]).await;
        assert_eq!(stage.counts(&["reconnects"]), 0);
        stage.faults.set("no-image", None).unwrap();
        stage
            .until(|stage| match stage.health.state() {
                State::Degraded { reason } => reason.contains("the sensor is at fault"),
                _ => false,
            })
            .await;
        assert!(stage.thermal.get_status().await.is_ok());
        stage.faults.clear();
        stage.flows().await;
        stage.faults.set("vanish", None).unwrap();
        stage
            .until(|stage| matches!(stage.health.state(), State::Failed { .. }))
            .await;
        assert!(stage.thermal.get_config().await.is_err());
        stage.faults.clear();
        stage.flows().await;
        stage.suffer("close", &["reconnects"]).await;
        stage.suffer("reboot", &["reconnects"]).await;
        for fault in ["split", "glue", "pause", "ffc-gap", "transpose"] {
            stage.suffer(fault, &["frames"]).await;
        }
        stage.suffer("junk", &["junk_bytes"]).await;
        stage
            .suffer_asking("bad-utf8", &["malformed_packets"])
            .await;
        stage.suffer_asking("swallow-answer", &["timeouts"]).await;
    });
}
