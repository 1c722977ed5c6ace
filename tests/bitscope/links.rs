//! Every mode over every link: the same traces, and what the inputs really were.

use std::f64::consts::TAU;
use std::future::pending;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::Path;

use outpost::base::clock::Clock;
use outpost::base::trace::Trace as Exchanges;
use outpost::bitscope::driver::{BAUD, Link, Scope};
use outpost::bitscope::proto::datagram::SERVER_COMMANDS;
use outpost::bitscope::proto::{
    Capture, CaptureRequest, Cause, Channel, Shape, TriggerKind, WaveformRequest,
};
use outpost::bitscope::sim::{Config, Faults, NetworkFront, Protocol, plug_in};
use outpost::bus::serial::open_async;
use smol::Async;

use crate::support::{Time, channels, device, every_mode};

async fn connect(link: Link) -> Scope {
    let clock = Clock::real();
    let trace = Exchanges::new(clock.clone());
    Scope::connect(link, clock, trace).await.unwrap()
}

async fn over_tty(path: &Path) -> Scope {
    let port = open_async(path, BAUD).await.unwrap();
    connect(Link::Stream(Box::pin(port))).await
}

async fn capture_all(mut scope: Scope) -> Vec<Capture> {
    let mut captures = vec![];
    for (_, request) in every_mode() {
        captures.push(scope.capture(&request, pending()).await.unwrap());
    }
    captures
}

#[test]
fn every_mode_over_every_link_and_every_split_gives_the_same_traces() {
    let (time, none) = (Time::new(), Faults::none());
    let in_memory = |chunk: usize| {
        let mut scope = time
            .stream(&device(Config::default(), &none), chunk)
            .unwrap();
        let capture = |(_, request): (u8, CaptureRequest)| {
            time.run(scope.capture(&request, pending())).unwrap()
        };
        every_mode().into_iter().map(capture).collect::<Vec<_>>()
    };
    let expected = in_memory(4096);
    for chunk in [1, 2, 3, 7, 64] {
        assert!(in_memory(chunk) == expected, "pieces of {chunk}");
    }
    let modes: Vec<&str> = expected.iter().map(|capture| capture.mode).collect();
    assert_eq!(modes.len(), 17);
    for (mode, (number, _)) in modes.iter().zip(every_mode()) {
        let found = outpost::bitscope::proto::mode::MODES
            .iter()
            .find(|row| row.trace_mode == number);
        assert_eq!(Some(*mode), found.map(|row| row.name));
    }
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("scope");
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    for slow in [false, true] {
        let faults = Faults::none();
        if slow {
            // Small pieces are tried in memory, where a busy machine costs no time.
            faults.set("slow-writes", Some(61)).unwrap();
        }
        let (clock, config) = (Clock::real(), Config::default());
        let port = plug_in(clock.clone(), config, faults.clone(), &link).unwrap();
        let tty = smol::block_on(async { capture_all(over_tty(port.path()).await).await });
        assert!(tty == expected, "pty, slow: {slow}");
        let front =
            NetworkFront::start(Protocol::Tcp, clock.clone(), config, faults.clone(), any).unwrap();
        let tcp = smol::block_on(async {
            let stream = Async::<TcpStream>::connect(front.address()).await.unwrap();
            capture_all(connect(Link::Stream(Box::pin(stream))).await).await
        });
        assert!(tcp == expected, "TCP, slow: {slow}");
        let front = NetworkFront::start(Protocol::Udp, clock, config, faults, any).unwrap();
        let udp = smol::block_on(async {
            let socket = Async::<UdpSocket>::bind(any).unwrap();
            socket.get_ref().connect(front.address()).unwrap();
            let link = Link::Datagrams {
                socket: Box::new(socket),
                max_commands: SERVER_COMMANDS,
            };
            capture_all(connect(link).await).await
        });
        assert!(udp == expected, "UDP, slow: {slow}");
    }
}

fn input(channel: Channel, t: f64) -> f64 {
    match channel {
        Channel::A => 1.5 + 1.2 * (TAU * 2000.0 * t).sin(),
        Channel::B if (1000.0 * t).rem_euclid(1.0) < 0.3 => 2.5,
        Channel::B => 0.5,
        Channel::Logic(index) => f64::from(((t * 1e6 / 32.0).floor() as u64 >> index & 1) as u8),
    }
}

#[test]
fn traces_show_the_inputs() {
    let time = Time::new();
    let mut scope = time
        .stream(&device(Config::default(), &Faults::none()), 4096)
        .unwrap();
    for (mode, request) in every_mode() {
        let capture = time.run(scope.capture(&request, pending())).unwrap();
        let limit = if mode >= 18 { 0.03 } else { 0.06 };
        // With two analogue channels an odd end is made even, and the client's start is a sample late.
        let two = request.channels.analogue_count() == 2;
        let shifted = two.then_some(capture.sample_period_s);
        for trace in &capture.traces {
            if matches!(trace.channel, Channel::Logic(6 | 7)) {
                // The comparators show there.
                continue;
            }
            let limit = match trace.channel {
                Channel::Logic(_) => 0.0,
                _ => limit,
            };
            for (index, sample) in trace.samples.iter().enumerate() {
                let t = capture.start_s + trace.first_s + index as f64 * trace.period_s;
                // On an edge of a square either side is right: ask 1 ns around.
                let near = [t - 1e-9, t, t + 1e-9].map(|t| input(trace.channel, t));
                let error = near
                    .into_iter()
                    .chain(shifted.map(|shift| input(trace.channel, t - shift)))
                    .map(|volts| (f64::from(*sample) - volts).abs());
                let error = error.fold(f64::MAX, f64::min);
                assert!(error <= limit, "{mode} {} {index}: {error}", trace.channel);
            }
        }
    }
}

#[test]
fn each_kind_of_trigger_lies_where_it_should() {
    let time = Time::new();
    let mut scope = time
        .stream(&device(Config::default(), &Faults::none()), 4096)
        .unwrap();
    for (kind, before, after) in [
        (TriggerKind::Rising, Some(false), true),
        (TriggerKind::Falling, Some(true), false),
        (TriggerKind::Above, None, true),
        (TriggerKind::Below, None, false),
    ] {
        for channel in ["A", "B"] {
            let request = CaptureRequest {
                channels: channels(channel),
                kind,
                level: Some(1.5),
                position: 0.5,
                ..CaptureRequest::default()
            };
            let capture = time.run(scope.capture(&request, pending())).unwrap();
            assert_eq!(capture.cause, Cause::Trigger);
            let trace = &capture.traces[0];
            let point = trace.trigger.unwrap();
            assert_eq!((point.sample, point.kind), (500, kind));
            let is_above = |index: usize| trace.samples[index] > 1.5;
            if let Some(before) = before {
                assert_eq!(is_above(498), before, "{kind:?} {channel}");
            }
            assert_eq!(is_above(502), after, "{kind:?} {channel}");
        }
    }
}

/// Rising crossings of the middle, a second.
fn frequency(capture: &Capture) -> f64 {
    let trace = &capture.traces[0];
    let high = trace.samples.iter().copied().fold(f32::MIN, f32::max);
    let low = trace.samples.iter().copied().fold(f32::MAX, f32::min);
    let middle = (high + low) / 2.0;
    let crossings: Vec<f64> = trace
        .samples
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < middle && pair[1] >= middle)
        .map(|(index, pair)| index as f64 + f64::from((middle - pair[0]) / (pair[1] - pair[0])))
        .collect();
    let span = crossings[crossings.len() - 1] - crossings[0];
    (crossings.len() - 1) as f64 / (span * trace.period_s)
}

#[test]
fn generators_give_what_is_asked_for() {
    let time = Time::new();
    let mut scope = time
        .stream(&device(Config::default(), &Faults::none()), 4096)
        .unwrap();
    let look = |scope: &mut Scope, hz: f64| {
        let request = CaptureRequest {
            low: Some(-0.5),
            high: Some(4.0),
            period_s: 8.0 / hz,
            samples: 4000,
            timeout_s: Some(0.05),
            level: Some(1.6),
            ..CaptureRequest::default()
        };
        time.run(scope.capture(&request, pending())).unwrap()
    };
    for (frequency_hz, shape, ratio, low_v, high_v) in [
        (2000.0, Shape::Sine, 0.5, 0.5, 2.5),
        (1234.5, Shape::Triangle, 0.5, 0.0, 3.3),
        (4000.0, Shape::Square, 0.25, 1.0, 3.0),
    ] {
        let request = WaveformRequest {
            frequency_hz,
            shape,
            ratio,
            low_v,
            high_v,
        };
        time.run(scope.start_waveform(request)).unwrap();
        let capture = look(&mut scope, frequency_hz);
        let found = frequency(&capture);
        assert!((found / frequency_hz - 1.0).abs() < 0.01, "{found}");
        let samples = &capture.traces[0].samples;
        let high = samples.iter().copied().fold(f32::MIN, f32::max);
        let low = samples.iter().copied().fold(f32::MAX, f32::min);
        assert!((f64::from(low) - low_v).abs() < 0.03, "{low}");
        assert!((f64::from(high) - high_v).abs() < 0.03, "{high}");
        if ratio == 0.25 {
            let part = samples.iter().filter(|volts| **volts > 2.0).count() as f64;
            assert!((part / samples.len() as f64 - 0.25).abs() < 0.01);
        }
        let error = time.run(scope.start_clock(1e3, 0.5)).unwrap_err();
        assert!(
            error.to_string().contains("waveform generator runs"),
            "{error}"
        );
    }
    time.run(scope.stop_waveform()).unwrap();
    let plan = time.run(scope.start_clock(2500.0, 0.3)).unwrap();
    assert_eq!(plan.frequency_hz(), 2500.0);
    let capture = look(&mut scope, 2500.0);
    assert!((frequency(&capture) / 2500.0 - 1.0).abs() < 0.01);
    let samples = &capture.traces[0].samples;
    let part = samples.iter().filter(|volts| **volts > 1.6).count() as f64;
    assert!((part / samples.len() as f64 - 0.3).abs() < 0.01);
    // L5 is the clock's: dropped from the capture.
    let all = CaptureRequest {
        channels: channels("L"),
        ..CaptureRequest::default()
    };
    let capture = time.run(scope.capture(&all, pending())).unwrap();
    assert_eq!(capture.traces.len(), 7);
    assert!(capture.trace(Channel::Logic(5)).is_none());
    time.run(scope.stop_clock()).unwrap();
    let capture = time.run(scope.capture(&all, pending())).unwrap();
    assert_eq!(capture.traces.len(), 8);
}
