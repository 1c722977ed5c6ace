//! The recorded conversations: our host against the recorded device, and the recorded host against our device.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;
use std::rc::Rc;

use outpost::bitscope::driver::Scope;
use outpost::bitscope::proto::{
    Capture, CaptureRequest, Channel, Register, Shape, WaveformRequest,
};
use outpost::bitscope::sim::{Device, Faults};
use serde_json::Value;

use crate::support::{Peer, Time, config, hex, request, vector};

const CONVERSATIONS: [&str; 26] = [
    "analogue_AB_chopfast",
    "analogue_AB_macrochop",
    "analogue_A_above_hair",
    "analogue_A_fast",
    "analogue_A_macro",
    "analogue_A_raw",
    "analogue_A_shot_20MSs",
    "analogue_A_slow_clockscale",
    "analogue_B_below",
    "analogue_B_timeout_auto",
    "cancel_stop",
    "clock_2kHz",
    "clock_8MHz",
    "clock_duty20",
    "connect",
    "logic_all",
    "logic_fast_10MSs",
    "logic_shot_40MSs",
    "mixed_AB_L",
    "mixed_A_L",
    "mixed_A_fast",
    "register_read",
    "waveform_arbitrary",
    "waveform_exponential",
    "waveform_sine",
    "waveform_square",
];

/// Host writes with what the device answers to each.
fn exchanges(vector: &Value, skip: usize) -> VecDeque<(Vec<u8>, Vec<u8>)> {
    let log = vector["log"].as_array().unwrap();
    let mut exchanges = VecDeque::new();
    for pair in log[skip..].chunks(2) {
        let sent = pair[0]["ascii"].as_str().unwrap().as_bytes().to_vec();
        exchanges.push_back((sent, hex(pair[1]["hex"].as_str().unwrap())));
    }
    exchanges
}

/// A device that plays a recorded conversation; ours identifies itself before that.
struct Player {
    device: Device,
    started: bool,
    rest: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the present exchange that came.
    at: usize,
}

impl Peer for Player {
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.started {
            return self.device.receive(bytes, out);
        }
        for byte in bytes {
            // Outpost applies Map5, which the client does not.
            let expected = self.rest.front().map(|(sent, _)| sent[self.at]);
            if *byte == b'U' && self.at == 0 && expected != Some(b'U') {
                out.push(b'U');
                continue;
            }
            let (sent, answer) = self.rest.front().expect("nothing more to be sent");
            assert_eq!(
                byte.escape_ascii().to_string(),
                sent[self.at].escape_ascii().to_string(),
                "byte {} of {}",
                self.at,
                sent.escape_ascii()
            );
            out.push(answer[self.at]);
            self.at += 1;
            if self.at == sent.len() {
                out.extend_from_slice(&answer[self.at..]);
                self.rest.pop_front();
                self.at = 0;
            }
        }
    }
}

/// What the recorded captures behind a generator asked for; their calls name the generator alone.
fn looped_back(vector: &Value) -> CaptureRequest {
    let clock = vector["scenario"].as_str().unwrap().starts_with("clock");
    let trace = &vector["traces"]["A"];
    let period = trace["sample_period"].as_f64().unwrap();
    let samples = trace["n"].as_u64().unwrap() as u32;
    CaptureRequest {
        period_s: period * f64::from(samples),
        samples,
        low: Some(-0.5),
        high: Some(4.0),
        level: Some(if clock { 1.6 } else { 1.65 }),
        timeout_s: Some(0.05),
        ..CaptureRequest::default()
    }
}

fn waveform(call: &Value) -> WaveformRequest {
    let name = call["waveform"].as_str().unwrap_or("sine");
    let shape = Shape::parse(name).unwrap_or_else(|| {
        let value = |i: usize| (i % 256) as f32 / 512.0 + if i >= 512 { 0.5 } else { 0.0 };
        Shape::Arbitrary(Box::new(std::array::from_fn(value)))
    });
    WaveformRequest {
        frequency_hz: call["frequency"].as_f64().unwrap(),
        shape,
        ratio: call["ratio"].as_f64().unwrap_or(0.5),
        low_v: call["low"].as_f64().unwrap_or(0.0),
        high_v: call["high"].as_f64().unwrap_or(3.3),
    }
}

/// Does what the recorded client did.
fn perform(time: &Time, scope: &mut Scope, vector: &Value) -> Option<Capture> {
    let call = &vector["call"];
    let cancelled = vector["scenario"] == "cancel_stop";
    let capture = |scope: &mut Scope, request: &CaptureRequest| {
        let cancel = async {
            match cancelled {
                // After the first answer.
                true => time.clock.sleep(std::time::Duration::from_secs(3)).await,
                false => pending().await,
            }
        };
        time.run(scope.capture(request, cancel)).unwrap()
    };
    if vector["scenario"] == "register_read" {
        let writes = [
            (Register::ClockTicks, 4660),
            (Register::TraceDelay, 305_419_896),
            (Register::TriggerLogic, 90),
        ];
        time.run(scope.write_registers(&writes)).unwrap();
        for (name, expected) in [
            ("ClockTicks", 4660.0),
            ("TraceDelay", 305_419_896.0),
            ("TriggerLogic", 90.0),
            ("TriggerLevel", 0.0),
        ] {
            let register = Register::find(name).unwrap();
            let raw = time.run(scope.read_register(register)).unwrap();
            assert_eq!(register.decode(raw), expected, "{name}");
        }
        return None;
    }
    if call["start_waveform"].is_object() {
        let actual = time
            .run(scope.start_waveform(waveform(&call["start_waveform"])))
            .unwrap();
        let expected = vector["actual_frequency"]
            .as_f64()
            .or(vector["actual_frequency"][0].as_f64())
            .unwrap();
        assert!((actual / expected - 1.0).abs() < 1e-12);
    } else if call["start_clock"].is_object() {
        let clock = &call["start_clock"];
        let ratio = clock["ratio"].as_f64().unwrap_or(0.5);
        let frequency_hz = clock["frequency"].as_f64().unwrap();
        let plan = time.run(scope.start_clock(frequency_hz, ratio)).unwrap();
        assert_eq!(plan.frequency_hz(), vector["result"][0].as_f64().unwrap());
    } else if call.is_object() {
        return Some(capture(scope, &request(call)));
    } else {
        return None;
    }
    let result = vector["traces"]
        .is_object()
        .then(|| capture(scope, &looped_back(vector)));
    match call["start_clock"].is_object() {
        true => time.run(scope.stop_clock()).unwrap(),
        false => time.run(scope.stop_waveform()).unwrap(),
    }
    result
}

/// Compares a capture with the client's.
fn compare(capture: &Capture, vector: &Value) {
    let traces = vector["traces"].as_object().unwrap();
    let name = &vector["scenario"];
    assert_eq!(capture.traces.len(), traces.len(), "{name}");
    for (channel, expected) in traces {
        let trace = capture.trace(Channel::parse(channel).unwrap()).unwrap();
        let samples = expected["samples"].as_array().unwrap();
        assert_eq!(trace.samples.len(), samples.len(), "{name} {channel}");
        for (sample, expected) in trace.samples.iter().zip(samples) {
            let expected = expected.as_f64().unwrap();
            assert!(
                (f64::from(*sample) - expected).abs() < 1e-5,
                "{name} {channel}: {sample} {expected}"
            );
        }
        assert_eq!(
            capture.cause.word(),
            expected["cause"].as_str().unwrap(),
            "{name}"
        );
        let start = expected["capture_start"].as_f64().unwrap();
        assert!((capture.start_s - start).abs() < 1e-9, "{name}");
        let times = &expected["timestamps"];
        assert!((trace.first_s - times["first"].as_f64().unwrap()).abs() < 1e-12);
        assert!((trace.period_s - times["step"].as_f64().unwrap()).abs() < 1e-12);
        let last = trace.first_s + trace.period_s * (trace.samples.len() - 1) as f64;
        assert!((last - times["last"].as_f64().unwrap()).abs() < 1e-9);
        match expected["trigger_timestamp"].as_f64() {
            Some(time) => {
                let point = trace.trigger.unwrap();
                let at = trace.first_s + f64::from(point.sample) * trace.period_s;
                assert!((at - time).abs() < 1e-9, "{name}: {at} {time}");
                assert_eq!(Some(point.level), expected["trigger_level"].as_f64());
                assert_eq!(Some(point.kind.word()), expected["trigger_type"].as_str());
            }
            None => assert!(trace.trigger.is_none(), "{name} {channel}"),
        }
    }
}

#[test]
fn our_host_says_what_the_client_says_and_sees_what_it_sees() {
    for name in CONVERSATIONS.into_iter().chain(["waveform_triangle"]) {
        for chunk in [1, 4096] {
            let vector = vector(name);
            let skip = vector["connect_entries"].as_u64().unwrap() as usize;
            let player = Player {
                device: Device::new(config(&vector), Faults::none()),
                started: false,
                rest: exchanges(&vector, skip),
                at: 0,
            };
            let player = Rc::new(RefCell::new(player));
            let time = Time::new();
            let mut scope = time.stream(&player, chunk).unwrap();
            player.borrow_mut().started = true;
            if let Some(capture) = perform(&time, &mut scope, &vector) {
                compare(&capture, &vector);
            }
            let left = &player.borrow().rest;
            assert!(left.is_empty(), "{name}: {left:?}");
        }
    }
}

#[test]
fn our_device_answers_the_client_to_the_byte() {
    for name in CONVERSATIONS.into_iter().chain(["waveform_triangle"]) {
        let vector = vector(name);
        let mut device = Device::new(config(&vector), Faults::none());
        for (sent, expected) in exchanges(&vector, 0) {
            let mut answer = Vec::new();
            device.receive(&sent, &mut answer);
            assert_eq!(
                answer.escape_ascii().to_string(),
                expected.escape_ascii().to_string(),
                "{name}: {}",
                sent.escape_ascii()
            );
        }
    }
}

#[test]
fn our_host_and_device_see_the_clients_traces() {
    for name in CONVERSATIONS.into_iter().chain(["waveform_triangle"]) {
        let vector = vector(name);
        let device = crate::support::device(config(&vector), &Faults::none());
        let time = Time::new();
        let mut scope = time.stream(&device, 4096).unwrap();
        if let Some(capture) = perform(&time, &mut scope, &vector) {
            compare(&capture, &vector);
        }
    }
}

/// Registers that a vector's strings must leave, whatever the encoding.
#[test]
fn strings_leave_the_registers_of_the_vectors() {
    for name in CONVERSATIONS {
        let vector = vector(name);
        for writes in vector["register_writes"].as_array().unwrap() {
            let mut device = Device::new(config(&vector), Faults::none());
            let writes: Vec<(Register, u32)> = writes
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, write)| {
                    let register = Register::find(name).unwrap();
                    let address = u8::from_str_radix(write["address"].as_str().unwrap(), 16);
                    assert_eq!(register.address(), address.unwrap(), "{name}");
                    assert_eq!(Some(u64::from(register.bytes())), write["bytes"].as_u64());
                    (register, write["raw"].as_u64().unwrap() as u32)
                })
                .collect();
            let mut string = Vec::new();
            outpost::bitscope::proto::write_string(&writes, &mut string);
            device.receive(&string, &mut Vec::new());
            for (register, raw) in writes {
                assert_eq!(device.register(register), raw, "{}", register.name());
            }
        }
    }
}
