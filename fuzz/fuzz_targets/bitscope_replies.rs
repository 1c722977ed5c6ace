//! Any bytes as replies of an oscilloscope: a value or an error, never a panic. What is read is what was said.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::bitscope::proto::capture::Running;
use outpost::bitscope::proto::reply::{printed, revision};
use outpost::bitscope::proto::{
    Address, CapturePlan, CaptureRequest, Cause, Probe, TraceEvent, TraceReader,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(byte) = printed(data) {
        assert_eq!(data, format!("\r{byte:02x}\r").as_bytes());
    }
    if let Ok(text) = revision(data) {
        assert_eq!(data, format!("\r{text}\r").as_bytes());
    }
    let mut reader = TraceReader::new();
    if data.first().is_some_and(|byte| byte & 1 == 1) {
        reader.expect_cancel_echo();
    }
    let mut ended = None;
    for byte in data {
        match reader.push(*byte) {
            Ok(Some(TraceEvent::Ended { time, address, .. })) => ended = Some((time, address)),
            Ok(_) => {}
            Err(error) => {
                assert!(error.to_string().len() < 200);
                break;
            }
        }
    }
    let plan = CapturePlan::new(&CaptureRequest::default(), Running::default());
    let plan = plan.expect("a plan because the default request is good");
    let (time, address) = ended.unwrap_or_default();
    for dump in plan.dumps(address) {
        assert!(dump.address < plan.timing.mode.room());
    }
    let capture = plan.decode(Cause::Trigger, time, &[data.to_vec()]);
    assert_eq!(capture.traces[0].samples.len(), data.len() / 2);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Address::parse(text);
        // As a calibration, within a file and alone.
        let _ = Probe::find(text, "A", "x1");
        if let Ok(probe) = Probe::parse(text) {
            assert!(probe.scale_v > 0.0 && probe.safe_low_v < probe.safe_high_v);
            let request = CaptureRequest {
                probe,
                ..CaptureRequest::default()
            };
            let _ = CapturePlan::new(&request, Running::default());
        }
    }
});
