//! A scripted camera on the other end of the wires.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use outpost::base::clock::{Clock, ManualClock};
use outpost::base::conditions::Conditions;
use outpost::base::error::{Failure, Kind};
use outpost::base::health::{Health, HealthBook, State};
use outpost::base::shutdown::{Trigger, shutdown};
use outpost::base::trace::Trace;
use outpost::bus::spi::{MemorySpi, SpiLink};
use outpost::tcam::driver::{ImageBus, Port, Source};
use outpost::tcam::proto::command::Command;
use outpost::tcam::proto::image::encode_packet;
use outpost::tcam::proto::response::Config;
use outpost::tcam::proto::spi::seal;
use outpost::tcam::proto::{
    Framer, GainMode, Metadata, PIXELS, TELEMETRY_WORDS, Telemetry, packet,
};
use outpost::tcam::{LinkKind, Options, Settings, Station, Thermal};
use smol::{Async, LocalExecutor};

/// Longer than any test takes; a hung one fails instead of hanging the suite.
const PATIENCE: Duration = Duration::from_secs(20);

pub const START: &str = "2026-11-20T08:09:10Z";

/// The station's side and the camera's.
pub struct Rig {
    pub thermal: Thermal,
    pub health: Health,
    pub hand: ManualClock,
    pub camera: Peer,
    pub resets: Rc<RefCell<Vec<bool>>>,
    pub trigger: Trigger,
    pub executor: Rc<LocalExecutor<'static>>,
    wires: Rc<Wires>,
    kind: LinkKind,
}

/// What an opener finds: at most one cable.
struct Wires {
    port: RefCell<Option<Port>>,
    spi: Arc<Spi>,
}

/// The SPI side of the camera.
#[derive(Default)]
pub struct Spi {
    armed: Mutex<VecDeque<Result<Vec<u8>, i32>>>,
    pub lengths: Mutex<Vec<usize>>,
    reads: AtomicUsize,
}

/// The camera's end of the command link.
pub struct Peer {
    socket: Async<UnixStream>,
    framer: Framer,
    pub spi: Arc<Spi>,
}

/// Runs a test against a camera on that link; `test` begins before the camera has heard anything.
pub fn run<F: Future<Output = ()>>(kind: LinkKind, test: impl FnOnce(Rig) -> F) {
    let executor = Rc::new(LocalExecutor::new());
    let rig = rig(kind, &executor);
    // The station stops with the last of them.
    let _running = rig.trigger.clone();
    let limited = future::or(executor.run(test(rig)), async {
        smol::Timer::after(PATIENCE).await;
        panic!("the test waits for something that does not come");
    });
    smol::block_on(limited);
}

/// The same with the camera set up.
pub fn run_ready<F: Future<Output = ()>>(kind: LinkKind, test: impl FnOnce(Rig) -> F) {
    run(kind, |mut rig| async move {
        rig.camera.set_up().await;
        assert!(rig.thermal.wait_connected(Duration::from_secs(1)).await);
        test(rig).await;
    });
}

fn rig(kind: LinkKind, executor: &Rc<LocalExecutor<'static>>) -> Rig {
    let (clock, hand) = Clock::manual(START.parse().unwrap());
    let book = HealthBook::new(clock.clone());
    let health = book.register("tcam", State::Disabled);
    let spi = Arc::new(Spi::default());
    let wires = Rc::new(Wires {
        port: RefCell::default(),
        spi: spi.clone(),
    });
    let (trigger, stopping) = shutdown();
    let resets: Rc<RefCell<Vec<bool>>> = Rc::default();
    let held = resets.clone();
    let options = Options {
        source: source(kind, wires.clone()),
        settings: Settings {
            config: Config {
                agc_enabled: false,
                emissivity: 98,
                gain_mode: GainMode::Auto,
            },
            ..Settings::default()
        },
        response_timeout: Duration::from_millis(2500),
        image_timeout: Duration::from_millis(5000),
        reset_line: Some(Box::new(move |hold| held.borrow_mut().push(hold))),
    };
    let station = Station {
        clock: clock.clone(),
        conditions: Conditions::default(),
        health: health.clone(),
        trace: Trace::new(clock),
        shutdown: stopping,
    };
    let camera = wires.plug();
    let (thermal, run) = Thermal::new(options, station);
    executor.spawn(run).detach();
    Rig {
        thermal,
        health,
        hand,
        camera,
        resets,
        trigger,
        executor: executor.clone(),
        wires,
        kind,
    }
}

fn source(kind: LinkKind, wires: Rc<Wires>) -> Source {
    let take = move || {
        let port = wires.port.borrow_mut().take();
        let absent = || Failure::new(Kind::Absent, "no such device");
        Ok((port.ok_or_else(absent)?, wires.spi.clone()))
    };
    match kind {
        LinkKind::Hardware => Source::Hardware(Box::new(move || {
            let taken: Result<(Port, Arc<Spi>), Failure> = take();
            let opened = taken.map(|(port, spi)| {
                let device = MemorySpi::new(move |words| spi.transfer(words));
                (port, ImageBus::new(SpiLink::Memory(device)))
            });
            Box::pin(async move { opened })
        })),
        LinkKind::Network => Source::Network(Box::new(move || {
            let opened = take().map(|(port, _)| port);
            Box::pin(async move { opened })
        })),
    }
}

impl Wires {
    fn plug(&self) -> Peer {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.port.replace(Some(Box::pin(Async::new(ours).unwrap())));
        Peer {
            socket: Async::new(theirs).unwrap(),
            framer: Framer::camera(),
            spi: self.spi.clone(),
        }
    }
}

impl Spi {
    fn transfer(&self, words: &mut [u8]) -> io::Result<()> {
        self.lengths.lock().unwrap().push(words.len());
        let armed = self.armed.lock().unwrap().pop_front();
        self.reads.fetch_add(1, Ordering::SeqCst);
        words.fill(0xff);
        match armed {
            Some(Ok(image)) => {
                let length = image.len().min(words.len());
                words[..length].copy_from_slice(&image[..length]);
                Ok(())
            }
            Some(Err(errno)) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }

    /// The next read gets this.
    pub fn arm(&self, bytes: Vec<u8>) {
        self.armed.lock().unwrap().push_back(Ok(bytes));
    }

    /// The next read fails.
    pub fn fail(&self, errno: i32) {
        self.armed.lock().unwrap().push_back(Err(errno));
    }

    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Peer {
    /// The next command's text.
    pub async fn heard(&mut self) -> String {
        loop {
            if let Some(packet) = self.framer.next() {
                return String::from_utf8(packet.text().to_vec()).unwrap();
            }
            let mut buffer = [0; 4096];
            let count = self.socket.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "the station closed the link");
            self.framer.push(&buffer[..count]);
        }
    }

    /// The next command.
    pub async fn command(&mut self) -> Command {
        let text = self.heard().await;
        Command::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Hears a command of this name and acknowledges it.
    pub async fn acknowledge(&mut self, name: &str) -> Command {
        let command = self.command().await;
        assert_eq!(command.name().as_str(), name);
        self.say(&ack(name)).await;
        command
    }

    /// Sends a packet.
    pub async fn say(&mut self, json: &str) {
        let mut bytes = Vec::new();
        packet::encode(json.as_bytes(), &mut bytes);
        self.send(&bytes).await;
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Whether the station closed its end, as far as it has got.
    pub async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.socket.read(&mut byte).await, Ok(0) | Err(_))
    }

    /// Goes through the start-up procedure of a camera that runs already.
    pub async fn set_up(&mut self) -> Vec<Command> {
        let mut seen = vec![self.acknowledge("stream_off").await];
        seen.extend(self.settings().await);
        seen
    }

    /// The part of it that sets.
    pub async fn settings(&mut self) -> Vec<Command> {
        let mut seen = Vec::new();
        loop {
            let command = self.command().await;
            seen.push(command.clone());
            if command == Command::GetStatus {
                self.say(&status("8:09:10.5", "11/20/26")).await;
                return seen;
            }
            self.say(&ack(command.name().as_str())).await;
        }
    }

    /// Offers an image over SPI.
    pub async fn offer(&mut self, packet: &[u8]) {
        let mut armed = packet.to_vec();
        let announcement = seal(&mut armed, [7, 8, 9]).unwrap();
        self.spi.arm(armed);
        let length = announcement.image_ready();
        self.announce(&length.to_string()).await;
    }

    /// Says that an image is ready, whatever is armed.
    pub async fn announce(&mut self, length: &str) {
        self.say(&format!("{{\"image_ready\" : {length}}}")).await;
    }

    /// An image on either link.
    pub async fn give(&mut self, kind: LinkKind, packet: &[u8]) {
        match kind {
            LinkKind::Hardware => self.offer(packet).await,
            LinkKind::Network => self.send(packet).await,
        }
    }
}

impl Rig {
    /// Takes the camera away and plugs another cable in, which the station finds at its next try.
    pub fn replug(&mut self) {
        self.camera = self.wires.plug();
    }

    /// An image on this rig's link.
    pub async fn give(&mut self, packet: &[u8]) {
        self.camera.give(self.kind, packet).await;
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.hand.advance(Duration::from_millis(ms));
    }

    /// Lets everybody else go on until `done`.
    pub async fn until(&self, done: impl Fn(&Rig) -> bool) {
        while !done(self) {
            smol::Timer::after(Duration::from_millis(1)).await;
        }
    }

    /// Lets the actor finish what it was told before: it does one thing after the other.
    pub async fn settle(&mut self) {
        let thermal = self.thermal.clone();
        let asked = self.spawn(async move { thermal.run_ffc().await });
        self.camera.acknowledge("run_ffc").await;
        asked.await.unwrap();
    }

    /// The state's reason.
    pub fn reason(&self) -> String {
        match self.health.state() {
            State::Degraded { reason } | State::Failed { reason, .. } => reason,
            state => format!("{state:?}"),
        }
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.health.counter(name)
    }

    /// Runs `task` beside the test.
    pub fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> smol::Task<T> {
        self.executor.spawn(task)
    }
}

pub fn ack(name: &str) -> String {
    format!("{{\"cam_info\":{{\"info_value\":1,\"info_string\":\"{name} success\"}}}}")
}

pub fn info(value: i32, text: &str) -> String {
    format!("{{\"cam_info\":{{\"info_value\":{value},\"info_string\":\"{text}\"}}}}")
}

pub fn status(time: &str, date: &str) -> String {
    format!(
        "{{\"status\":{{\"Camera\":\"tCam-Mini-51A0\",\"Model\":266242,\"Version\":\"3.2\",\
         \"Time\":\"{time}\",\"Date\":\"{date}\"}}}}"
    )
}

/// An image whose pixels all have this count, taken that long after power came on.
pub fn image(count: u16, uptime_ms: u32) -> Vec<u8> {
    let mut words = [0; TELEMETRY_WORDS];
    let telemetry = Telemetry {
        uptime_ms,
        tlinear_enabled: true,
        ..Telemetry::default()
    };
    telemetry.encode(&mut words);
    let mut packet = Vec::new();
    encode_packet(&Metadata::default(), &[count; PIXELS], &words, &mut packet);
    packet
}
