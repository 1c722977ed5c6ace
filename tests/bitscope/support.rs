//! Vectors, a link in memory with the simulated device at its end, and time that passes when nothing else does.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_lite::io::{AsyncRead, AsyncWrite};
use jiff::Timestamp;
use outpost::base::clock::{Clock, ManualClock};
use outpost::base::trace::Trace as Exchanges;
use outpost::bitscope::driver::{Datagrams, Link, Scope, ScopeError};
use outpost::bitscope::proto::{CaptureRequest, Channels, TriggerKind, TriggerSource};
use outpost::bitscope::sim::{self, Config, Device, Faults, Inputs, Signal};
use serde_json::Value;

pub fn vector(name: &str) -> Value {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/tests/data/bitscope/{name}.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn hex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

fn number(value: &Value, default: f64) -> f64 {
    value.as_f64().unwrap_or(default)
}

/// The client's arguments as a request.
pub fn request(call: &Value) -> CaptureRequest {
    let names: Vec<&str> = match call["channels"].as_array() {
        Some(names) => names.iter().map(|name| name.as_str().unwrap()).collect(),
        None => vec!["A"],
    };
    let kind = match call["trigger_type"].as_str() {
        Some("falling") => TriggerKind::Falling,
        Some("above") => TriggerKind::Above,
        Some("below") => TriggerKind::Below,
        _ => TriggerKind::Rising,
    };
    let trigger = match &call["trigger"] {
        Value::String(name) if name == "A" => Some(TriggerSource::A),
        Value::String(_) => Some(TriggerSource::B),
        Value::Object(pattern) => {
            let (mut used, mut levels) = (0, 0);
            for (name, level) in pattern {
                let bit = 1 << name.trim_start_matches('L').parse::<u8>().unwrap();
                used |= bit;
                levels |= bit * level.as_u64().unwrap() as u8;
            }
            Some(TriggerSource::Pattern { used, levels })
        }
        _ => None,
    };
    CaptureRequest {
        channels: Channels::parse(names).unwrap(),
        period_s: number(&call["period"], 1e-3),
        samples: number(&call["nsamples"], 1000.0) as u32,
        low: call["low"].as_f64(),
        high: call["high"].as_f64(),
        raw: call["raw"].as_bool().unwrap_or(false),
        trigger,
        kind,
        level: call["trigger_level"].as_f64(),
        hair: call["hair_trigger"].as_bool().unwrap_or(false),
        position: number(&call["trigger_position"], 0.25),
        timeout_s: call["timeout"].as_f64(),
        ..CaptureRequest::default()
    }
}

/// The device of a vector.
pub fn config(vector: &Value) -> Config {
    let mut config = Config::default();
    let inputs = &vector["device_inputs"];
    let part = |name: &str, index: usize| inputs[name][index].as_f64().unwrap();
    if inputs.is_object() {
        config.inputs = Inputs {
            a: Signal::Sine {
                mean: part("A", 1),
                amplitude: part("A", 2),
                hz: part("A", 3),
                phase: part("A", 4),
            },
            b: Signal::Square {
                low: part("B", 1),
                high: part("B", 2),
                hz: part("B", 3),
                duty: part("B", 4),
            },
            count_us: part("L", 1),
        };
    }
    if vector["scenario"] == "cancel_stop" {
        // The fake behind this conversation gave up later.
        config.waiting_samples = 400_000;
    }
    config
}

/// What answers on a link in memory.
pub trait Peer {
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>);
}

impl Peer for Device {
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        Device::receive(self, bytes, out);
    }
}

/// A byte stream with a peer at its end, which gives its answers in pieces of `chunk` bytes.
pub struct Stream<P> {
    peer: Rc<RefCell<P>>,
    out: VecDeque<u8>,
    chunk: usize,
    fresh: bool,
}

impl<P: Peer> Stream<P> {
    pub fn new(peer: Rc<RefCell<P>>, chunk: usize) -> Self {
        Self {
            peer,
            out: VecDeque::new(),
            chunk,
            fresh: false,
        }
    }
}

impl<P: Peer + Unpin> AsyncRead for Stream<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.out.is_empty() {
            return Poll::Pending;
        }
        self.fresh = !self.fresh;
        // Every other poll finds nothing, as if the piece came a little later.
        if self.chunk < 64 && self.fresh {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = self.chunk.min(buffer.len()).min(self.out.len());
        for slot in &mut buffer[..count] {
            *slot = self.out.pop_front().unwrap();
        }
        Poll::Ready(Ok(count))
    }
}

impl<P: Peer + Unpin> AsyncWrite for Stream<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut out = Vec::new();
        self.peer.borrow_mut().receive(bytes, &mut out);
        self.out.extend(out);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Datagrams with the simulated server at the other end; what went by is kept.
pub struct Wire {
    pub server: sim::Datagrams,
    pub arriving: VecDeque<Vec<u8>>,
    pub sent: Vec<Vec<u8>>,
    pub received: Vec<Vec<u8>>,
}

impl Wire {
    pub fn new(config: Config, faults: Faults) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            server: sim::Datagrams::new(config, faults),
            arriving: VecDeque::new(),
            sent: vec![],
            received: vec![],
        }))
    }
}

pub struct Socket(pub Rc<RefCell<Wire>>);

impl Datagrams for Socket {
    fn poll_send(&mut self, _: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        let replies = wire.server.answer(datagram);
        wire.sent.push(datagram.to_vec());
        wire.received.extend(replies.iter().cloned());
        wire.arriving.extend(replies);
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.0.borrow_mut().arriving.pop_front() {
            None => Poll::Pending,
            Some(datagram) => {
                buffer[..datagram.len()].copy_from_slice(&datagram);
                Poll::Ready(Ok(datagram.len()))
            }
        }
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Time that passes only while everything waits.
pub struct Time {
    pub clock: Clock,
    hand: ManualClock,
}

impl Time {
    pub fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        Self { clock, hand }
    }

    pub fn exchanges(&self) -> Exchanges {
        Exchanges::new(self.clock.clone())
    }

    /// Runs `work` to its end; 2 ms pass whenever it waits for nothing but time.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        for _ in 0..1_000_000 {
            woken.0.store(false, Ordering::SeqCst);
            if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return result;
            }
            if !woken.0.load(Ordering::SeqCst) {
                self.hand.advance(Duration::from_millis(2));
            }
        }
        panic!("it waits for ever");
    }

    pub fn connect(&self, link: Link) -> Result<Scope, ScopeError> {
        self.run(Scope::connect(link, self.clock.clone(), self.exchanges()))
    }

    /// A scope on a stream in memory.
    pub fn stream<P: Peer + Unpin + 'static>(
        &self,
        peer: &Rc<RefCell<P>>,
        chunk: usize,
    ) -> Result<Scope, ScopeError> {
        self.connect(Link::Stream(Box::pin(Stream::new(peer.clone(), chunk))))
    }

    /// A scope on datagrams in memory.
    pub fn datagrams(
        &self,
        wire: &Rc<RefCell<Wire>>,
        max_commands: usize,
    ) -> Result<Scope, ScopeError> {
        self.connect(Link::Datagrams {
            socket: Box::new(Socket(wire.clone())),
            max_commands,
        })
    }
}

pub fn device(config: Config, faults: &Faults) -> Rc<RefCell<Device>> {
    Rc::new(RefCell::new(Device::new(config, faults.clone())))
}

pub fn channels(names: &str) -> Channels {
    Channels::parse(names.split(',')).unwrap()
}

/// A capture of every mode, with the trace mode it must take.
pub fn every_mode() -> Vec<(u8, CaptureRequest)> {
    let rows: [(u8, &str, f64, u32); 17] = [
        (18, "A", 1e-3, 1000),
        (19, "A,B", 1e-3, 1000),
        (0, "B", 0.25, 9000),
        (2, "A,B", 0.25, 9000),
        (4, "A", 200e-6, 1000),
        (6, "A,B", 200e-6, 1000),
        (11, "A", 50e-6, 1000),
        (16, "A,B", 100e-6, 1000),
        (14, "L", 1e-3, 1000),
        (15, "L", 1e-3, 10000),
        (13, "L0,L1", 200e-6, 8000),
        (1, "A,L0,L1,L2", 2e-3, 1000),
        (3, "A,B,L", 2e-3, 1000),
        (5, "A,L3", 300e-6, 1000),
        (7, "A,B,L", 200e-6, 1000),
        (12, "A,L", 50e-6, 1000),
        (17, "A,B,L", 100e-6, 1000),
    ];
    rows.into_iter()
        .map(|(mode, names, period_s, samples)| {
            let request = CaptureRequest {
                channels: channels(names),
                period_s,
                samples,
                timeout_s: Some(0.0),
                ..CaptureRequest::default()
            };
            (mode, request)
        })
        .collect()
}
