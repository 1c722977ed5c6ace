//! The oscilloscope: `cargo bench --bench scope`.
//!
//! First what the samples of a full buffer take to become traces, in samples/s, beside a plain copy of as many bytes as
//! the traces have. Sources are rotated beyond the cache.
//!
//! Then what a datagram takes longer through Outpost than through a plain UDP relay, on the same runtime in the same
//! run: program -> relay or Outpost -> simulated bitscope-server and back, one datagram at a time. Printed is the median.

mod support;

use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use outpost::base::clock::Clock;
use outpost::base::conditions::Conditions;
use outpost::base::error::Failure;
use outpost::base::health::{HealthBook, State};
use outpost::base::shutdown::shutdown;
use outpost::base::trace::Trace;
use outpost::bitscope::driver::{Link, Scope};
use outpost::bitscope::proto::capture::Running;
use outpost::bitscope::proto::datagram::{MAX_DATAGRAM, SERVER_COMMANDS};
use outpost::bitscope::proto::{CapturePlan, CaptureRequest, Cause, Channels};
use outpost::bitscope::sim::{Config, Datagrams, Faults};
use outpost::bitscope::{Connecting, LinkKind, Options, Oscilloscope, Station};
use smol::{Async, LocalExecutor};

const ROUNDS: usize = 3000;
/// Captures to rotate through: some 50 MB.
const SOURCES: usize = 4096;
const EXCHANGES: usize = 3000;
/// What a program sends all the time.
const COMMANDS: &[u8] = b"21@[12]z0ez[05]s";

fn main() {
    support::print_machine();
    for (name, channels, period_s, samples) in [
        ("16 bits, one channel", "A", 12.288e-3, 6144),
        ("8 bits, one channel", "A", 4.8e-3, 12288),
        ("8 bits, two channels", "AB", 4.8e-3, 12288),
        ("8 logic channels", "L", 12.288e-3, 12288),
    ] {
        decoding(name, channels, period_s, samples);
    }
    println!();
    forwarding();
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn decoding(name: &str, channels: &str, period_s: f64, samples: u32) {
    let names: Vec<&str> = channels.split("").filter(|name| !name.is_empty()).collect();
    let request = CaptureRequest {
        channels: Channels::parse(names).expect("channels"),
        period_s,
        samples,
        ..CaptureRequest::default()
    };
    let plan = CapturePlan::new(&request, Running::default()).expect("a mode");
    let dumps: Vec<usize> = plan.dumps(0).iter().map(|dump| dump.bytes()).collect();
    let sources: Vec<Vec<Vec<u8>>> = (0..SOURCES)
        .map(|seed| {
            let dump = |bytes: &usize| (0..*bytes).map(|i| (i * 31 + seed) as u8).collect();
            dumps.iter().map(dump).collect()
        })
        .collect();
    let mut decoded = 0;
    let decode = rounds(|round| {
        let capture = plan.decode(Cause::Trigger, 0x4000_0000, &sources[round % SOURCES]);
        decoded = capture.traces.iter().map(|trace| trace.samples.len()).sum();
        black_box(&capture);
    });
    let plain: Vec<Vec<f32>> = (0..SOURCES / 4).map(|n| vec![n as f32; decoded]).collect();
    let copy = rounds(|round| {
        black_box(plain[round % plain.len()].clone());
    });
    println!(
        "{name:<24} {:>7.0} Msamples/s, {:>6.1} us; copy of the traces {:>6.1} us, {:.2}x",
        decoded as f64 / decode.as_secs_f64() / 1e6,
        decode.as_secs_f64() * 1e6,
        copy.as_secs_f64() * 1e6,
        decode.as_secs_f64() / copy.as_secs_f64()
    );
}

fn rounds(mut work: impl FnMut(usize)) -> Duration {
    let timed = |round| {
        let began = Instant::now();
        work(round);
        began.elapsed()
    };
    median((0..ROUNDS).map(timed).collect())
}

/// A bitscope-server that answers at once, on a thread of its own.
fn device() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("its address");
    thread::spawn(move || {
        let mut server = Datagrams::new(Config::default(), Faults::none());
        let mut buffer = vec![0; MAX_DATAGRAM];
        while let Ok((count, client)) = socket.recv_from(&mut buffer) {
            for reply in server.answer(&buffer[..count]) {
                let _ = socket.send_to(&reply, client);
            }
        }
    });
    address
}

fn bound() -> (Async<UdpSocket>, SocketAddr) {
    let socket = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).expect("a port");
    let address = socket.get_ref().local_addr().expect("its address");
    (socket, address)
}

async fn connected(to: SocketAddr) -> Async<UdpSocket> {
    let (socket, _) = bound();
    socket.get_ref().connect(to).expect("a peer");
    socket
}

/// Round trips of a program on a thread of its own.
async fn exchanges(to: SocketAddr) -> Duration {
    smol::unblock(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(to).expect("a peer");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a time-out");
        let mut buffer = [0; 2048];
        let mut ask = |cmd_id: usize, commands: &[u8]| {
            let datagram = [&[cmd_id as u8], commands].concat();
            let began = Instant::now();
            socket.send(&datagram).expect("sent");
            let count = socket.recv(&mut buffer).expect("an answer");
            assert_eq!(count, 4 + commands.len());
            began.elapsed()
        };
        ask(0, b"!");
        median((1..=EXCHANGES).map(|n| ask(n, COMMANDS)).collect())
    })
    .await
}

async fn relay(port: Async<UdpSocket>, upstream: Async<UdpSocket>) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    while let Ok((count, client)) = port.recv_from(&mut buffer).await {
        let _ = upstream.send(&buffer[..count]).await;
        let Ok(count) = upstream.recv(&mut buffer).await else {
            return;
        };
        let _ = port.send_to(&buffer[..count], client).await;
    }
}

/// Port 15500 without the rest of a station.
async fn port(socket: Async<UdpSocket>, scope: Oscilloscope) {
    let receive = async {
        let mut buffer = vec![0; MAX_DATAGRAM];
        while let Ok((count, source)) = socket.recv_from(&mut buffer).await {
            scope.forward(source, &buffer[..count]);
        }
    };
    let answer = async {
        while let Some((to, datagram)) = scope.next_reply().await {
            let _ = socket.send_to(&datagram, to).await;
        }
    };
    futures_lite::future::race(receive, answer).await;
}

fn forwarding() {
    let executor = Rc::new(LocalExecutor::new());
    let (trigger, stopping) = shutdown();
    let clock = Clock::real();
    let health = HealthBook::new(clock.clone()).register("bitscope", State::Disabled);
    let connect = |clock: Clock, trace: Trace| -> Connecting {
        Box::pin(async move {
            let link = Link::Datagrams {
                socket: Box::new(connected(device()).await),
                max_commands: SERVER_COMMANDS,
            };
            Scope::connect(link, clock, trace)
                .await
                .map_err(Failure::from)
        })
    };
    let options = Options {
        kind: LinkKind::Server,
        connect: Box::new(connect),
    };
    let station = Station {
        trace: Trace::new(clock.clone()),
        conditions: Conditions::default(),
        health: health.clone(),
        shutdown: stopping,
        clock,
    };
    let (scope, run) = Oscilloscope::new(options, station);
    executor.spawn(run).detach();
    let work = async {
        let (relaying, plain) = bound();
        let upstream = connected(device()).await;
        executor.spawn(relay(relaying, upstream)).detach();
        let (serving, outpost) = bound();
        executor.spawn(port(serving, scope)).detach();
        let direct = exchanges(device()).await;
        let (mut relayed, mut forwarded) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            relayed.push(exchanges(plain).await);
            forwarded.push(exchanges(outpost).await);
        }
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let (relayed, forwarded) = (median(relayed), median(forwarded));
        println!(
            "device alone             {:>7.1} us a datagram and its answer",
            us(direct)
        );
        println!("plain relay              {:>7.1} us", us(relayed));
        println!(
            "Outpost                  {:>7.1} us, {:.2}x, {:+.1} us",
            us(forwarded),
            forwarded.as_secs_f64() / relayed.as_secs_f64(),
            us(forwarded) - us(relayed)
        );
    };
    smol::block_on(executor.run(work));
    drop(trigger);
}
