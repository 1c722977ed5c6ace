//! The oscilloscope: `cargo bench --bench scope`.
//!
//! First what the samples of a full buffer take to become traces, in samples/s, beside a plain copy of the same traces.
//! Each round does both, so that a busy machine slows both; sources are rotated beyond the cache.
//!
//! Then what a datagram takes longer through Outpost than through a plain UDP relay, on the same runtime in the same
//! run: program -> relay or Outpost -> simulated bitscope-server and back, one datagram at a time, in turns of 100.
//! Figures are medians.

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
use support::{Verdict, quantile, report, us};

const ROUNDS: usize = 4000;
/// Bytes to rotate through, of dumps as well as of traces to copy.
const ROTATED: usize = 64 << 20;
const TURNS: usize = 60;
/// Exchanges of a turn.
const EXCHANGES: usize = 100;
/// What a program sends all the time.
const COMMANDS: &[u8] = b"21@[12]z0ez[05]s";

fn main() {
    support::print_machine();
    // Freed once, this teaches the allocator to keep what the loops below free, instead of the system's pages.
    drop(black_box(vec![1_u8; 16 << 20]));
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

fn plan(channels: &str, period_s: f64, samples: u32) -> CapturePlan {
    let names = channels.split("").filter(|name| !name.is_empty());
    let request = CaptureRequest {
        channels: Channels::parse(names).expect("channels"),
        period_s,
        samples,
        ..CaptureRequest::default()
    };
    CapturePlan::new(&request, Running::default()).expect("a mode")
}

fn decoding(name: &str, channels: &str, period_s: f64, samples: u32) {
    let plan = plan(channels, period_s, samples);
    let dumps: Vec<usize> = plan.dumps(0).iter().map(|dump| dump.bytes()).collect();
    let sources: Vec<Vec<Vec<u8>>> = (0..ROTATED / dumps.iter().sum::<usize>())
        .map(|seed| {
            let dump = |bytes: &usize| (0..*bytes).map(|i| (i * 31 + seed) as u8).collect();
            dumps.iter().map(dump).collect()
        })
        .collect();
    let decode = |round: usize| {
        let dumps = black_box(&sources[round % sources.len()]);
        black_box(plan.decode(Cause::Trigger, 0x4000_0000, dumps));
    };
    let traces = plan.decode(Cause::Trigger, 0, &sources[0]).traces;
    let shape: Vec<usize> = traces.iter().map(|trace| trace.samples.len()).collect();
    let decoded: usize = shape.iter().sum();
    let traces: Vec<Vec<Vec<f32>>> = (0..ROTATED / (4 * decoded))
        .map(|n| shape.iter().map(|count| vec![n as f32; *count]).collect())
        .collect();
    let copy = |round: usize| {
        black_box(black_box(&traces[round % traces.len()]).clone());
    };
    let [decode, copy] = in_turns([&decode, &copy]);
    let ratio = decode.as_secs_f64() / copy.as_secs_f64();
    let rate = decoded as f64 / decode.as_secs_f64() / 1e6;
    report(
        &format!("{name}, {decoded} samples"),
        us(decode),
        "us",
        Verdict::Compared(ratio),
    );
    report("  that is", rate, "MS/s", Verdict::Plain);
    report(
        "  plain copy of these traces",
        us(copy),
        "us",
        Verdict::Plain,
    );
}

/// The medians of many rounds in which each work is done once.
fn in_turns<const N: usize>(works: [&dyn Fn(usize); N]) -> [Duration; N] {
    let mut times = [const { Vec::new() }; N];
    for round in 0..ROUNDS {
        for (work, times) in works.iter().zip(&mut times) {
            let begun = Instant::now();
            work(round);
            times.push(begun.elapsed());
        }
    }
    times.map(|times| quantile(&times, 0.5))
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
async fn exchanges(to: SocketAddr) -> Vec<Duration> {
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
        (1..=EXCHANGES).map(|n| ask(n, COMMANDS)).collect()
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
        calibrations: None,
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
        let alone = device();
        let (mut direct, mut relayed, mut forwarded) = (vec![], vec![], vec![]);
        for _ in 0..TURNS {
            direct.extend(exchanges(alone).await);
            relayed.extend(exchanges(plain).await);
            forwarded.extend(exchanges(outpost).await);
        }
        let [direct, relayed, forwarded] =
            [direct, relayed, forwarded].map(|times| quantile(&times, 0.5));
        let ratio = forwarded.as_secs_f64() / relayed.as_secs_f64();
        let more = us(forwarded) - us(relayed);
        report(
            "a datagram and its answer by port 15500",
            us(forwarded),
            "us",
            Verdict::Compared(ratio),
        );
        report(
            "  more than by a plain UDP relay",
            more,
            "us",
            Verdict::Plain,
        );
        report("  by the relay", us(relayed), "us", Verdict::Plain);
        report("  from the device itself", us(direct), "us", Verdict::Plain);
    };
    smol::block_on(executor.run(work));
    drop(trigger);
}
