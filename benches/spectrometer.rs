//! The spectrometer: frames to spectra, and what forwarding them costs: `cargo bench --bench spectrometer`.
//!
//! First the arithmetic on frames that are not in the cache, beside a plain copy of the larger side. Then a client that
//! exposes and fetches frames from a station through TLS, beside a plain TLS relay on the same runtime in front of such
//! an instrument. All are done in turns, so that a busy machine slows all; figures are medians.

// It does more for the tests.
#[allow(dead_code)]
#[path = "../tests/station/mini_spec.rs"]
mod mini_spec;
mod support;

use std::hint::black_box;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use futures_rustls::{TlsAcceptor, TlsConnector};
use mini_spec::{MiniSpec, careless};
use outpost::base::certificate::{Identity, TlsVersions};
use outpost::base::clock::Clock;
use outpost::msp1000::proto::frame::{ACTIVE_PIXELS, FRAME_BYTES, PIXELS};
use outpost::msp1000::proto::{OffsetRange, RawFrame, Smoothing};
use outpost::msp1000::sim::{Config, Faults, Simulator};
use rustls::pki_types::ServerName;
use smol::Async;
use support::{Station, Verdict, quantile, report, us};

const ROUNDS: usize = 2000;
/// Frames to rotate through: 33 MB.
const FRAMES: usize = 4500;
const TURNS: usize = 1500;
const REPLY: usize = 9 + FRAME_BYTES + 1;

fn main() {
    support::print_machine();
    arithmetic();
    println!();
    forwarding();
}

fn arithmetic() {
    let wires: Vec<Vec<u8>> = (0..FRAMES).map(wire).collect();
    let source = vec![vec![1.0f64; ACTIVE_PIXELS]; FRAMES / 4];
    let copy = |round: usize| {
        black_box(black_box(&source[round % source.len()]).clone());
    };
    let offset = OffsetRange::default();
    let frame = |round: usize| {
        let wire = &wires[round % wires.len()];
        RawFrame::from_le_bytes(black_box(wire)).expect("a whole frame")
    };
    let bias = |round: usize| {
        black_box(frame(round).remove_bias(&offset).to_f32());
    };
    let smooth = |round: usize| {
        let spectrum = frame(round).remove_bias(&offset);
        let smoothed = Smoothing::SAVITZKY_GOLAY.apply(spectrum.values());
        black_box(smoothed.expect("it can be done"));
    };
    let [floor, bias, smooth] = in_turns([&copy, &bias, &smooth]);
    let line = |what: &str, took: Duration| {
        let ratio = took.as_secs_f64() / floor.as_secs_f64();
        report(what, us(took), "us", Verdict::Compared(ratio));
    };
    report("plain copy of 3648 f64", us(floor), "us", Verdict::Plain);
    line("frame to spectrum, f32", bias);
    line("the same, smoothed (Savitzky-Golay 11, 3)", smooth);
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

fn wire(seed: usize) -> Vec<u8> {
    let mut state = seed as u32 + 1;
    let mut bytes = Vec::with_capacity(FRAME_BYTES);
    for _ in 0..PIXELS {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend_from_slice(&(1480 + (state >> 20) as u16).to_le_bytes());
    }
    bytes
}

fn forwarding() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config::default();
    let instrument =
        Simulator::start(Clock::real(), config, Faults::none(), any).expect("it starts");
    let relay = relay(instrument.address());
    let station = Station::start();
    let mut through = MiniSpec::connect(station.msp1000());
    let mut relayed = MiniSpec::connect(relay);
    let mut direct = MiniSpec::connect(instrument.address());
    let mut takes = [vec![], vec![], vec![]];
    let mut fetches = takes.clone();
    for _ in 0..TURNS {
        let clients = [&mut through, &mut relayed, &mut direct];
        for (index, client) in clients.into_iter().enumerate() {
            takes[index].push(timed(client, b"take_spectrum\r\n", 19));
            fetches[index].push(timed(client, b"get_spectrum\r\n", REPLY));
        }
    }
    compare("an exposure of 2 ms", takes);
    compare("its frame", fetches);
}

/// Outpost, the relay, the instrument itself.
fn compare(what: &str, times: [Vec<Duration>; 3]) {
    let [through, relayed, direct] = times.map(|times| quantile(&times, 0.5));
    let ratio = through.as_secs_f64() / relayed.as_secs_f64();
    report(
        &format!("{what} by port 8000"),
        us(through),
        "us",
        Verdict::Compared(ratio),
    );
    let more = us(through) - us(relayed);
    report(
        "  more than by a plain TLS relay",
        more,
        "us",
        Verdict::Plain,
    );
    report("  by the relay", us(relayed), "us", Verdict::Plain);
    report(
        "  from the instrument itself",
        us(direct),
        "us",
        Verdict::Plain,
    );
}

/// From a command to its answer.
fn timed(client: &mut MiniSpec, command: &[u8], length: usize) -> Duration {
    let begun = Instant::now();
    client.send(command);
    let got = client.receive().len();
    let took = begun.elapsed();
    assert_eq!(got, length, "one receive, one answer");
    took
}

/// TLS in, TLS out, bytes as they come, on a thread of its own.
fn relay(target: SocketAddr) -> SocketAddr {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Async::<std::net::TcpListener>::bind(any).expect("a port");
    let address = listener.get_ref().local_addr().expect("bound");
    let identity = Identity::generate("relay").expect("a certificate");
    let server = identity.server_config(TlsVersions::All).expect("usable");
    thread::spawn(move || {
        smol::block_on(async {
            let (client, _) = listener.accept().await.expect("a client");
            let _ = client.get_ref().set_nodelay(true);
            let client = TlsAcceptor::from(server).accept(client).await.expect("TLS");
            let upstream = Async::<TcpStream>::connect(target)
                .await
                .expect("it listens");
            let _ = upstream.get_ref().set_nodelay(true);
            let name = ServerName::try_from("127.0.0.1").expect("an address");
            let upstream = TlsConnector::from(careless()).connect(name, upstream);
            let upstream = upstream.await.expect("TLS");
            let (from_client, to_client) = futures_lite::io::split(client);
            let (from_target, to_target) = futures_lite::io::split(upstream);
            let there = pass(from_client, to_target);
            let back = pass(from_target, to_client);
            futures_lite::future::or(there, back).await;
        });
    });
    address
}

async fn pass(
    mut from: impl futures_lite::AsyncRead + Unpin,
    mut to: impl futures_lite::AsyncWrite + Unpin,
) {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..count]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}
