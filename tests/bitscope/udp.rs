//! Datagrams: the recorded session, and what becomes of them on the way.

use std::future::pending;

use outpost::bitscope::driver::ScopeError;
use outpost::bitscope::proto::datagram::{
    ADAPTOR_COMMANDS, Assembler, DatagramError, ReplyHeader, SERVER_COMMANDS, Taken, decode_request,
};
use outpost::bitscope::proto::{CaptureRequest, Shape, WaveformRequest};
use outpost::bitscope::sim::{Config, Faults, Inputs, Signal};
use serde_json::Value;

use crate::support::{Time, Wire, every_mode, hex, request, vector};

/// The inputs of the recorded session: as in the conversations.
fn config() -> Config {
    Config {
        inputs: Inputs {
            a: Signal::Sine {
                mean: 1.5,
                amplitude: 1.2,
                hz: 2000.0,
                phase: 0.3,
            },
            ..Inputs::default()
        },
        ..Config::default()
    }
}

fn datagrams(vector: &Value, direction: &str) -> Vec<Vec<u8>> {
    let all = vector["datagrams"].as_array().unwrap();
    all.iter()
        .filter(|datagram| datagram["dir"] == direction)
        .map(|datagram| hex(datagram["hex"].as_str().unwrap()))
        .collect()
}

#[test]
fn the_recorded_session_goes_over_the_wire_as_it_did() {
    let vector = vector("udp_session");
    let time = Time::new();
    let wire = Wire::new(config(), Faults::none());
    let mut scope = time.datagrams(&wire, SERVER_COMMANDS).unwrap();
    let identity = scope.identity();
    assert_eq!(identity.serial_number, vector["serial_number"]);
    assert_eq!(identity.revision, "BS000501");
    let capture = time
        .run(scope.capture(&request(&vector["call"]), pending()))
        .unwrap();
    let samples = vector["samples"].as_array().unwrap();
    assert_eq!(capture.traces[0].samples.len(), samples.len());
    for (sample, expected) in capture.traces[0].samples.iter().zip(samples) {
        assert!((f64::from(*sample) - expected.as_f64().unwrap()).abs() < 1e-5);
    }
    assert_eq!(wire.borrow().sent, datagrams(&vector, "H>S"));
    assert_eq!(wire.borrow().received, datagrams(&vector, "S>H"));
}

#[test]
fn lost_doubled_and_reordered_datagrams_change_no_trace() {
    let requests = every_mode();
    let capture_all = |fault: Option<(&str, u64)>, max_commands: usize| {
        let (time, faults) = (Time::new(), Faults::none());
        requests
            .iter()
            .map(|(_, request)| {
                // A new one each time: what is lost moves the device's clock.
                let wire = Wire::new(config(), faults.clone());
                if let Some(("header", n)) = fault {
                    faults.set("header", Some(n)).unwrap();
                }
                let mut scope = time.datagrams(&wire, max_commands).unwrap();
                if let Some((name, n)) = fault {
                    faults.set(name, Some(n)).unwrap();
                }
                let capture = time.run(scope.capture(request, pending())).unwrap();
                faults.clear();
                capture
            })
            .collect::<Vec<_>>()
    };
    let clean = capture_all(None, SERVER_COMMANDS);
    assert_eq!(capture_all(None, ADAPTOR_COMMANDS), clean);
    for fault in ["udp-reorder", "udp-double"] {
        assert_eq!(
            capture_all(Some((fault, u64::MAX)), SERVER_COMMANDS),
            clean,
            "{fault}"
        );
    }
    assert_eq!(capture_all(Some(("header", 1)), SERVER_COMMANDS), clean);
    // The start of a trace is lost first, so that the trace itself is another; then two pieces of a dump.
    let lossy = capture_all(Some(("udp-loss", 3)), SERVER_COMMANDS);
    for (lossy, clean) in lossy.iter().zip(&clean) {
        assert_eq!(lossy.mode, clean.mode);
        for (lossy, clean) in lossy.traces.iter().zip(&clean.traces) {
            assert_eq!(lossy.samples.len(), clean.samples.len());
        }
    }
}

#[test]
fn a_session_survives_losses_while_it_begins() {
    for n in 1..6 {
        for fault in ["udp-loss", "udp-double", "udp-reorder"] {
            let (time, faults) = (Time::new(), Faults::none());
            faults.set(fault, Some(n)).unwrap();
            let wire = Wire::new(config(), faults);
            let mut scope = time.datagrams(&wire, SERVER_COMMANDS).unwrap();
            assert_eq!(scope.identity().serial_number, "DB98TI79");
            let capture = time.run(scope.capture(&CaptureRequest::default(), pending()));
            assert_eq!(capture.unwrap().traces[0].samples.len(), 1000);
        }
    }
}

#[test]
fn an_arbitrary_waveform_begins_anew_when_a_piece_is_lost() {
    let (time, faults) = (Time::new(), Faults::none());
    let wire = Wire::new(config(), faults.clone());
    let mut scope = time.datagrams(&wire, SERVER_COMMANDS).unwrap();
    let shape = Shape::Arbitrary(Box::new(std::array::from_fn(|i| i as f32 / 1024.0)));
    faults.set("udp-loss", Some(2)).unwrap();
    let ramp = WaveformRequest {
        shape,
        ..WaveformRequest::default()
    };
    time.run(scope.start_waveform(ramp)).unwrap();
    let request = CaptureRequest {
        low: Some(-0.2),
        high: Some(3.5),
        ..CaptureRequest::default()
    };
    let capture = time.run(scope.capture(&request, pending())).unwrap();
    let samples = &capture.traces[0].samples;
    let rising = samples.windows(2).filter(|pair| pair[1] >= pair[0]).count();
    // A saw tooth of 1 kHz falls once in 1 ms.
    assert_eq!(rising, samples.len() - 2);
    for datagram in &wire.borrow().sent {
        assert!(datagram.len() <= 1 + SERVER_COMMANDS);
    }
}

#[test]
fn a_dead_server_is_told_within_seconds() {
    let (time, faults) = (Time::new(), Faults::none());
    faults.set("silent", None).unwrap();
    let wire = Wire::new(config(), faults);
    let before = time.clock.now();
    let error = time.datagrams(&wire, SERVER_COMMANDS).err().unwrap();
    assert!(matches!(error, ScopeError::Silent { .. }), "{error}");
    assert!((time.clock.now() - before).as_secs() < 10);
}

#[test]
fn datagrams_that_are_none_are_refused() {
    for datagram in [&b""[..], b"\x07"] {
        assert_eq!(
            decode_request(datagram),
            Err(DatagramError::NoCommand(datagram.len()))
        );
    }
    assert_eq!(decode_request(b"\x07!"), Ok((7, &b"!"[..])));
    assert_eq!(
        ReplyHeader::decode(b"\0\x01\x02\0"),
        Err(DatagramError::ShortReply(4))
    );
    let mut assembler = Assembler::default();
    let mut out = vec![];
    assert_eq!(
        assembler.receive(b"abc", &mut out),
        Err(DatagramError::ShortReply(3))
    );
    // A header that fits nothing: data are taken as they come.
    for cmd_id in 0..4 {
        assembler.begin(cmd_id);
        out.clear();
        for data in ["9999ab", "9999cd"] {
            assert_eq!(
                assembler.receive(data.as_bytes(), &mut out),
                Ok(Taken::Data)
            );
        }
        assert_eq!(out, b"abcd");
    }
}
