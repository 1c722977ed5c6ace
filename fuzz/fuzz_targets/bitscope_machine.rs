//! Any bytes to the simulated oscilloscope: each is echoed unless a trace waits, answers are bounded, and a reset always
//! works. However the bytes are split, the answer is the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::bitscope::sim::{Config, Device, Faults};

fuzz_target!(|data: &[u8]| {
    // Dumps and traces of whole buffers take their time.
    let data = &data[..data.len().min(256)];
    let mut device = Device::new(Config::default(), Faults::none());
    let mut whole = device.clone();
    let mut pieces = Vec::new();
    for byte in data {
        let before = pieces.len();
        let waited = device.is_waiting();
        device.receive(&[*byte], &mut pieces);
        assert!(pieces.len() - before <= 131_073);
        match waited && !matches!(byte, b'K' | b'!') {
            true => assert_eq!(pieces.len(), before),
            false => assert_eq!(pieces[before], *byte),
        }
    }
    let mut answer = Vec::new();
    whole.receive(data, &mut answer);
    assert_eq!(answer, pieces);
    answer.clear();
    device.receive(b"!", &mut answer);
    assert_eq!(answer, b"!");
    assert!(!device.is_waiting());
});
