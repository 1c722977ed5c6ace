//! Faults of the device and of the line: an error in time, and a link that can be used again.

use std::cell::RefCell;
use std::future::{pending, ready};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::poll_once;
use outpost::base::error::Kind;
use outpost::bitscope::driver::{Scope, ScopeError};
use outpost::bitscope::proto::{CaptureRequest, Cause, Register, WaveformRequest};
use outpost::bitscope::sim::{Config, Device, FAULTS, Faults};

use crate::support::{Time, device};

fn rig() -> (Time, Faults, Rc<RefCell<Device>>, Scope) {
    let (time, faults) = (Time::new(), Faults::none());
    let device = device(Config::default(), &faults);
    let scope = time.stream(&device, 4096).unwrap();
    (time, faults, device, scope)
}

/// The link is as good as new.
fn works(time: &Time, scope: &mut Scope) {
    let capture = time.run(scope.capture(&CaptureRequest::default(), pending()));
    let capture = capture.unwrap();
    assert_eq!(capture.cause, Cause::Trigger);
    assert_eq!(capture.traces[0].samples.len(), 1000);
}

#[test]
fn any_lost_byte_is_noticed_and_made_up_for() {
    let (time, faults, _, mut scope) = rig();
    time.run(scope.start_waveform(WaveformRequest::default()))
        .unwrap();
    // Echo, status and the first samples; then every so often until the end of the dump.
    for n in (1..180).chain((180..2190).step_by(97)) {
        faults.set("drop", Some(n)).unwrap();
        let before = time.clock.now();
        let result = time.run(scope.capture(&CaptureRequest::default(), pending()));
        let took = time.clock.now() - before;
        assert!(took < Duration::from_secs(5), "{n}: {took:?}");
        match result {
            Ok(_) => assert!(n > 2180, "{n}"),
            Err(error) => assert!(error.is_desynchronised(), "{n}: {error}"),
        }
        faults.clear();
        works(&time, &mut scope);
        assert!(scope.waveform().is_some());
    }
}

#[test]
fn noise_before_the_echo_of_a_reset_is_skipped() {
    let (time, faults) = (Time::new(), Faults::none());
    faults.set("noise", None).unwrap();
    let device = device(Config::default(), &faults);
    let mut scope = time.stream(&device, 3).unwrap();
    works(&time, &mut scope);
}

#[test]
fn a_silent_device_fails_in_time_and_heals() {
    let (time, faults, _, mut scope) = rig();
    faults.set("silent", None).unwrap();
    let before = time.clock.now();
    let error = time
        .run(scope.read_register(Register::ClockTicks))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut);
    assert!(time.clock.now() - before < Duration::from_secs(2));
    let again = time.run(scope.read_register(Register::ClockTicks));
    assert!(again.is_err());
    faults.clear();
    works(&time, &mut scope);
}

#[test]
fn another_model_is_refused_by_name() {
    let (time, faults) = (Time::new(), Faults::none());
    faults.set("rev", None).unwrap();
    let device = device(Config::default(), &faults);
    let error = time.stream(&device, 4096).err().unwrap();
    assert!(matches!(&error, ScopeError::Model(name) if name == "BS001001"));
    assert!(error.to_string().contains("BS001001"));
}

#[test]
fn a_cancel_takes_what_is_there_and_leaves_the_link_usable() {
    let (time, _, device, mut scope) = rig();
    let never = CaptureRequest {
        level: Some(7.9),
        ..CaptureRequest::default()
    };
    let capture = time.run(scope.capture(&never, time.clock.sleep(Duration::from_secs(60))));
    assert_eq!(capture.unwrap().cause, Cause::Cancel);
    assert!(!device.borrow().is_waiting());
    works(&time, &mut scope);
    // At once, before the trace is under way.
    let capture = time.run(scope.capture(&never, ready(())));
    assert_eq!(capture.unwrap().cause, Cause::Cancel);
    works(&time, &mut scope);
}

#[test]
fn the_host_ends_traces_that_the_device_cannot_time() {
    let (time, _, _, mut scope) = rig();
    let before = time.clock.now();
    let request = CaptureRequest {
        level: Some(7.9),
        timeout_s: Some(30.0),
        ..CaptureRequest::default()
    };
    let capture = time.run(scope.capture(&request, pending())).unwrap();
    assert_eq!(capture.cause, Cause::Timeout);
    assert_eq!(capture.traces[0].samples.len(), 1000);
    let took = (time.clock.now() - before).as_secs_f64();
    assert!((30.0..31.0).contains(&took), "{took}");
    works(&time, &mut scope);
}

#[test]
fn an_operation_dropped_at_any_point_is_made_up_for() {
    let request = CaptureRequest {
        level: Some(7.9),
        ..CaptureRequest::default()
    };
    let (time, faults) = (Time::new(), Faults::none());
    let device = device(Config::default(), &faults);
    let mut scope = time.stream(&device, 5).unwrap();
    for polls in [1, 2, 3, 10, 40, 60, 70, 200] {
        {
            let mut capture = std::pin::pin!(scope.capture(&request, pending()));
            for _ in 0..polls {
                assert!(smol::block_on(poll_once(&mut capture)).is_none());
            }
        }
        works(&time, &mut scope);
    }
}

#[test]
fn raw_bytes_pass_and_the_device_is_reset_afterwards() {
    let (time, _, device, mut scope) = rig();
    time.run(scope.start_waveform(WaveformRequest::default()))
        .unwrap();
    let quiet = Duration::from_millis(100);
    let answer = time.run(scope.raw(b"[2e]@[12]z[34]s?", quiet)).unwrap();
    assert_eq!(answer, b"[2e]@[12]z[34]s?\rBS000501\r");
    assert_eq!(device.borrow().register(Register::ClockTicks), 0x3412);
    assert!(scope.waveform().is_some());
    time.run(async {
        let mut raw = scope.raw_mode().await.unwrap();
        raw.send(b"7f@p").await.unwrap();
        let mut answer = vec![];
        while answer.len() < 8 {
            answer.extend(raw.receive().await.unwrap());
        }
        assert_eq!(answer, b"7f@p\r00\r");
        // A trace that never ends; the user goes away.
        raw.send(b"D").await.unwrap();
    });
    works(&time, &mut scope);
}

#[test]
fn the_table_of_faults_holds_every_name() {
    let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
    for name in [
        "drop",
        "noise",
        "silent",
        "udp-loss",
        "udp-reorder",
        "udp-double",
        "header",
        "rev",
        "slow-writes",
    ] {
        assert!(names.contains(&name), "{name}");
        Faults::none().set(name, None).unwrap();
    }
}

#[test]
fn any_bytes_leave_the_device_alive_and_bounded() {
    let mut device = Device::new(Config::default(), Faults::none());
    let mut state = 1u32;
    let mut out = vec![];
    for _ in 0..20_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let byte = b"[]0123456789abcdef@szn!?><UDKAYXZWrwp\xff"[(state >> 16) as usize % 38];
        out.clear();
        device.receive(&[byte], &mut out);
        assert!(out.len() <= 131_073, "{}", out.len());
    }
    out.clear();
    device.receive(b"!", &mut out);
    assert_eq!(out, b"!");
}
