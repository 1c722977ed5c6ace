//! Who has the oscilloscope, on a clock moved by hand and with the device in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::future::poll_once;
use futures_lite::io::{AsyncRead, AsyncWrite};
use outpost::base::clock::{Clock, ManualClock};
use outpost::base::conditions::Conditions;
use outpost::base::error::{Failure, Kind};
use outpost::base::health::{Health, HealthBook, State};
use outpost::base::jobs::{JobState, Jobs};
use outpost::base::shutdown::{Trigger, shutdown};
use outpost::base::trace::Trace;
use outpost::bitscope::driver::{Link, Scope};
use outpost::bitscope::proto::CaptureRequest;
use outpost::bitscope::proto::capture::{CapturePlan, Running};
use outpost::bitscope::sim::{Config, Device, Faults};
use outpost::bitscope::{LinkKind, Options, Oscilloscope, Outgoing, Station};
use smol::{LocalExecutor, Task};

/// Real time, for what no clock moved by hand knows of.
const PATIENCE: Duration = Duration::from_secs(20);

/// The device at the end of a line without length.
struct Line {
    device: Rc<RefCell<Device>>,
    out: VecDeque<u8>,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        // Whoever writes looks for an answer afterwards: nobody else makes the device speak.
        if self.out.is_empty() {
            return Poll::Pending;
        }
        let count = buffer.len().min(self.out.len());
        for (place, byte) in buffer.iter_mut().zip(self.out.drain(..count)) {
            *place = byte;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut answer = Vec::new();
        self.device.borrow_mut().receive(bytes, &mut answer);
        self.out.extend(answer);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Rig {
    executor: LocalExecutor<'static>,
    hand: ManualClock,
    jobs: Jobs,
    scope: Oscilloscope,
    device: Rc<RefCell<Device>>,
    health: Health,
    _trigger: Trigger,
    _task: Task<()>,
}

fn program(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], number))
}

impl Rig {
    fn new() -> Self {
        Self::calibrated(None)
    }

    fn calibrated(calibrations: Option<PathBuf>) -> Self {
        let (clock, hand) = Clock::manual("2026-11-20T08:00:00Z".parse().unwrap());
        let (trigger, stopping) = shutdown();
        let health = HealthBook::new(clock.clone()).register("bitscope", State::Disabled);
        let device = Rc::new(RefCell::new(Device::new(Config::default(), Faults::none())));
        let behind = device.clone();
        let connect = move |clock: Clock, trace: Trace| {
            let line = Line {
                device: behind.clone(),
                out: VecDeque::new(),
            };
            async move {
                let link = Link::Stream(Box::pin(line));
                Scope::connect(link, clock, trace)
                    .await
                    .map_err(Failure::from)
            }
        };
        let options = Options {
            kind: LinkKind::Sim,
            connect: Box::new(move |clock, trace| Box::pin(connect(clock, trace))),
            calibrations,
        };
        let station = Station {
            clock: clock.clone(),
            conditions: Conditions::default(),
            health: health.clone(),
            trace: Trace::new(clock.clone()),
            shutdown: stopping,
        };
        let (scope, run) = Oscilloscope::new(options, station);
        let executor = LocalExecutor::new();
        let task = executor.spawn(run);
        let rig = Self {
            executor,
            hand,
            jobs: Jobs::new(clock),
            scope,
            device,
            health,
            _trigger: trigger,
            _task: task,
        };
        // The file is read on another thread.
        let begun = Instant::now();
        while !rig.scope.is_connected() {
            rig.settle();
            assert!(begun.elapsed() < PATIENCE, "it does not come up");
            std::thread::yield_now();
        }
        rig
    }

    /// Everything that can be done now.
    fn settle(&self) {
        while self.executor.try_tick() {}
    }

    /// Time passes, in steps so that what waits for silence gets it.
    fn pass(&self, time: Duration) {
        let step = time / 100;
        for _ in 0..100 {
            self.hand.advance(step);
            self.settle();
        }
    }

    fn send(&self, number: u16, cmd_id: u8, commands: &[u8]) {
        let datagram = [&[cmd_id], commands].concat();
        self.scope.forward(program(number), &datagram);
        self.settle();
    }

    fn reply(&self) -> Option<Outgoing> {
        smol::block_on(poll_once(self.scope.next_reply())).flatten()
    }

    /// Sends commands that are answered at once, to their own program; the data.
    fn ask(&self, number: u16, cmd_id: u8, commands: &[u8]) -> Vec<u8> {
        self.send(number, cmd_id, commands);
        let (to, datagram) = self.reply().expect("an answer");
        assert_eq!((to, datagram[2]), (program(number), cmd_id));
        datagram[4..].to_vec()
    }

    fn is_refused(&self, number: u16, commands: &[u8]) -> bool {
        let before = self.health.counter("datagrams_refused");
        self.send(number, 0, commands);
        self.reply().is_none() && self.health.counter("datagrams_refused") == before + 1
    }

    fn wait_for_trigger(&self, number: u16) {
        let request = CaptureRequest {
            level: Some(7.0),
            ..CaptureRequest::default()
        };
        let mut string = CapturePlan::new(&request, Running::default())
            .unwrap()
            .setup();
        string.extend_from_slice(b">UD");
        self.send(number, 9, &string);
        // The pause of 1 ms ends the first part of the answer.
        assert_eq!(self.reply(), None);
        self.hand.advance(Duration::from_millis(1));
        self.settle();
        let (_, datagram) = self.reply().unwrap();
        assert_eq!(datagram.len(), 4 + string.len() + 12);
        assert!(self.device.borrow().is_waiting());
    }
}

#[test]
fn a_leading_reset_takes_a_device_that_owes_nothing() {
    let rig = Rig::new();
    assert_eq!(rig.ask(1, 0, b"?"), b"?\rBS000501\r", "nobody had it");
    assert!(rig.is_refused(2, b"?"));
    assert!(rig.is_refused(2, b"[12]@!"), "the reset does not lead");
    assert_eq!(rig.ask(2, 1, b"!"), b"!");
    assert_eq!(rig.scope.controller(), Some(program(2)));
    assert!(rig.is_refused(1, b"?"));
    assert_eq!(rig.ask(1, 2, b"!"), b"!");
}

#[test]
fn a_running_trace_keeps_the_device_for_ever() {
    let rig = Rig::new();
    rig.ask(1, 0, b"!");
    rig.wait_for_trigger(1);
    assert!(rig.is_refused(2, b"!"));
    rig.pass(Duration::from_secs(600));
    assert!(rig.is_refused(2, b"!"));
    assert!(rig.is_refused(2, b"?"));
    assert!(rig.device.borrow().is_waiting());
    // Its own commands go through, and nothing else but a cancel or a reset does anything meanwhile.
    let ended = rig.ask(1, 10, b"K");
    assert!(ended.starts_with(b"K03\r") && ended.len() == 22);
    assert_eq!(rig.ask(2, 1, b"!"), b"!");
}

#[test]
fn after_a_minute_of_silence_anybody_may_have_it() {
    let rig = Rig::new();
    rig.ask(1, 0, b"!");
    rig.pass(Duration::from_millis(59_900));
    assert!(rig.is_refused(2, b"?"));
    rig.ask(1, 1, b"?");
    rig.pass(Duration::from_millis(59_900));
    assert!(rig.is_refused(2, b"?"));
    rig.pass(Duration::from_millis(200));
    assert_eq!(rig.ask(2, 0, b"?"), b"?\rBS000501\r");
}

#[test]
fn captures_of_the_station_wait_five_seconds_for_a_program() {
    let rig = Rig::new();
    rig.ask(1, 0, b"!");
    let job = rig.scope.acquire(&rig.jobs).unwrap();
    rig.pass(Duration::from_millis(4_900));
    assert_eq!(job.state(), JobState::Queued);
    rig.pass(Duration::from_millis(200));
    match job.state() {
        JobState::Failed(failure) => {
            assert_eq!(failure.kind, Kind::Busy);
            assert!(failure.message.contains("10.0.0.1:1"), "{failure}");
        }
        state => panic!("{state:?}"),
    }
    // The program is not disturbed.
    assert_eq!(rig.ask(1, 1, b"?"), b"?\rBS000501\r");
    rig.pass(Duration::from_secs(57));
    let job = rig.scope.acquire(&rig.jobs).unwrap();
    rig.pass(Duration::from_secs(4));
    assert_eq!(job.state(), JobState::Done, "the minute was over first");
    assert_eq!(rig.scope.controller(), None);
}

#[test]
fn what_ran_before_a_program_came_runs_again_afterwards() {
    let rig = Rig::new();
    let mut starting = Box::pin(rig.scope.start_clock(2500.0, 0.3));
    assert!(smol::block_on(poll_once(&mut starting)).is_none());
    rig.settle();
    smol::block_on(poll_once(&mut starting)).unwrap().unwrap();
    let map = |rig: &Rig| {
        let register = outpost::bitscope::proto::Register::Map5;
        rig.device.borrow().register(register)
    };
    assert_eq!(map(&rig), 0x12);
    rig.ask(1, 0, b"![99]@[00]s");
    assert_eq!(map(&rig), 0);
    rig.scope.release();
    rig.pass(Duration::from_secs(1));
    assert_eq!(map(&rig), 0x12);
    assert_eq!(rig.scope.controller(), None);
}

#[test]
fn datagrams_that_wait_too_long_are_dropped() {
    let rig = Rig::new();
    // A capture of the station that waits for its trigger.
    rig.scope.configure(|request| request.level = Some(7.0));
    let job = rig.scope.acquire(&rig.jobs).unwrap();
    rig.settle();
    rig.send(1, 0, b"!");
    rig.pass(Duration::from_secs(6));
    job.abort();
    rig.pass(Duration::from_secs(1));
    assert_eq!(job.state(), JobState::Aborted);
    assert_eq!(rig.reply(), None);
    assert_eq!(rig.health.counter("datagrams_late"), 1);
    assert_eq!(rig.ask(1, 1, b"!"), b"!");
}

#[test]
fn an_operation_behind_a_capture_without_end_gives_up() {
    let rig = Rig::new();
    rig.scope.configure(|request| request.level = Some(7.0));
    let job = rig.scope.acquire(&rig.jobs).unwrap();
    rig.settle();
    let mut stopping = Box::pin(rig.scope.stop_generator());
    assert!(smol::block_on(poll_once(&mut stopping)).is_none());
    rig.pass(Duration::from_millis(5_200));
    let refused = smol::block_on(poll_once(&mut stopping)).unwrap();
    assert_eq!(refused.unwrap_err().kind, Kind::Busy);
    assert_eq!(job.state(), JobState::Running);
    job.abort();
    rig.pass(Duration::from_secs(1));
    assert_eq!(job.state(), JobState::Aborted);
    assert!(rig.scope.latest().is_some(), "what it held is kept");
}

#[test]
fn a_capture_that_waits_for_a_program_can_be_ended() {
    let rig = Rig::new();
    rig.ask(1, 0, b"!");
    let job = rig.scope.acquire(&rig.jobs).unwrap();
    rig.settle();
    job.abort();
    rig.settle();
    assert_eq!(job.state(), JobState::Aborted);
    assert_eq!(rig.ask(1, 1, b"?"), b"?\rBS000501\r");
}

#[test]
fn a_capture_that_waits_for_another_can_be_ended() {
    let rig = Rig::new();
    rig.scope.configure(|request| request.level = Some(7.0));
    let first = rig.scope.acquire(&rig.jobs).unwrap();
    let second = rig.scope.acquire(&rig.jobs).unwrap();
    rig.scope.configure(|request| request.level = None);
    let third = rig.scope.acquire(&rig.jobs).unwrap();
    rig.settle();
    second.abort();
    rig.pass(Duration::from_millis(200));
    assert_eq!(second.state(), JobState::Aborted);
    assert_eq!(first.state(), JobState::Running);
    assert_eq!(third.state(), JobState::Queued);
    assert_eq!(rig.scope.report().captures_pending, 2);
    first.abort();
    rig.pass(Duration::from_secs(1));
    assert_eq!(first.state(), JobState::Aborted);
    assert_eq!(third.state(), JobState::Done, "it keeps its turn");
}

#[test]
fn captures_that_wait_are_told_when_the_device_is_lost() {
    let faults = Faults::none();
    let rig = Rig::new();
    *rig.device.borrow_mut() = Device::new(Config::default(), faults.clone());
    rig.scope.configure(|request| request.level = Some(7.0));
    let running = rig.scope.acquire(&rig.jobs).unwrap();
    let waiting = rig.scope.acquire(&rig.jobs).unwrap();
    rig.settle();
    // Long enough for the second one to be looked at.
    rig.pass(Duration::from_millis(200));
    faults.set("silent", None).unwrap();
    running.abort();
    rig.pass(Duration::from_secs(5));
    assert!(running.state().is_over());
    match waiting.state() {
        JobState::Failed(failure) => assert_eq!(failure.kind, Kind::Absent, "{failure}"),
        state => panic!("{state:?}"),
    }
}

#[test]
fn a_release_that_comes_too_late_hits_nobody_else() {
    let rig = Rig::new();
    // Whether the release or the capture's turn ends the program's is chance: either may be, several times.
    for _ in 0..12 {
        rig.ask(1, 0, b"!");
        rig.pass(Duration::from_secs(61));
        let job = rig.scope.acquire(&rig.jobs).unwrap();
        rig.scope.release();
        rig.pass(Duration::from_secs(4));
        assert_eq!(job.state(), JobState::Done);
        assert_eq!(rig.scope.controller(), None);
        assert_eq!(rig.ask(2, 0, b"!"), b"!");
        rig.pass(Duration::from_secs(1));
        assert_eq!(rig.scope.controller(), Some(program(2)));
        rig.scope.release();
        rig.pass(Duration::from_secs(1));
        assert_eq!(rig.scope.controller(), None);
    }
}

#[test]
fn a_reset_that_a_program_prevents_leaves_what_runs_as_it_is() {
    let rig = Rig::new();
    let mut starting = Box::pin(rig.scope.start_clock(2500.0, 0.3));
    assert!(smol::block_on(poll_once(&mut starting)).is_none());
    rig.settle();
    smol::block_on(poll_once(&mut starting)).unwrap().unwrap();
    rig.ask(1, 0, b"!");
    let mut resetting = Box::pin(rig.scope.reset());
    assert!(smol::block_on(poll_once(&mut resetting)).is_none());
    rig.pass(Duration::from_millis(5_200));
    let refused = smol::block_on(poll_once(&mut resetting)).unwrap();
    assert_eq!(refused.unwrap_err().kind, Kind::Busy);
    drop(resetting);
    // The device has its clock again when the program is gone, and the station says so.
    rig.scope.release();
    rig.pass(Duration::from_secs(1));
    assert!(rig.scope.report().clock.is_some());
    let mut resetting = Box::pin(rig.scope.reset());
    assert!(smol::block_on(poll_once(&mut resetting)).is_none());
    rig.settle();
    smol::block_on(poll_once(&mut resetting)).unwrap().unwrap();
    assert!(rig.scope.report().clock.is_none());
    let map = outpost::bitscope::proto::Register::Map5;
    assert_eq!(rig.device.borrow().register(map), 0);
}

/// A sine around 1.5 V at the input.
fn mean_of_a(rig: &Rig) -> f64 {
    // Within the sine, with either calibration.
    rig.scope.configure(|request| request.level = Some(2.0));
    let job = rig.scope.acquire(&rig.jobs).unwrap();
    rig.pass(Duration::from_secs(1));
    assert_eq!(job.state(), JobState::Done);
    let acquisition = rig.scope.latest().unwrap();
    let samples = &acquisition.capture.traces[0].samples;
    samples.iter().map(|volts| f64::from(*volts)).sum::<f64>() / samples.len() as f64
}

#[test]
fn a_calibration_kept_for_the_device_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bitscope.ini");
    let plain = Rig::calibrated(Some(file.clone()));
    assert!(!plain.scope.report().calibrated, "there is no file");
    assert!((mean_of_a(&plain) - 1.5).abs() < 0.05);
    // One volt more at the converter's bottom is one volt more in every sample.
    let saved = "[DB98TI79]\nx1 = 1.1 -0.05 0 1.1 -0.05 -0.05 18.333 -6.517 -5.5 8 0\n";
    std::fs::write(&file, saved).unwrap();
    let calibrated = Rig::calibrated(Some(file.clone()));
    assert!(calibrated.scope.report().calibrated);
    assert!((mean_of_a(&calibrated) - 2.5).abs() < 0.05);
    std::fs::write(&file, "[DB98TI79]\nx1 = 1.1 -0.05\n").unwrap();
    let damaged = Rig::calibrated(Some(file));
    assert!(!damaged.scope.report().calibrated);
    assert!((mean_of_a(&damaged) - 1.5).abs() < 0.05);
}

#[test]
fn a_lost_echo_does_not_keep_the_device() {
    let faults = Faults::none();
    let rig = Rig::new();
    *rig.device.borrow_mut() = Device::new(Config::default(), faults.clone());
    rig.ask(1, 0, b"!");
    faults.set("silent", Some(1)).unwrap();
    rig.send(1, 1, b"?");
    assert_eq!(rig.reply(), None);
    assert!(rig.is_refused(2, b"!"), "an answer is outstanding");
    rig.pass(Duration::from_millis(1_100));
    assert_eq!(rig.ask(2, 0, b"!"), b"!");
}
