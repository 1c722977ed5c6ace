//! Any bytes as replies of the particle counter, as bytes to it, and as messages to its bridge: never a panic; what is
//! accepted encodes to the same bytes; after silence the counter answers.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use outpost::opcn3::proto::{
    BinEdges, Command, Configuration, Handshake, Histogram, Pm, SizeDistribution, Status, Step,
    Text,
};
use outpost::opcn3::sim::{Counter, Faults, SimConfig};
use outpost::usbiss::proto as usbiss;

fuzz_target!(|data: &[u8]| {
    if let Ok(histogram) = Histogram::decode(data) {
        assert_eq!(histogram.encode(), data);
        assert!((-45.0..=130.0).contains(&histogram.temperature_c()));
        let densities = SizeDistribution::from(&histogram).dn_dlogd(&BinEdges::default());
        assert_eq!(densities.is_none(), histogram.volume_ml() == 0.0);
    }
    if let Ok(pm) = Pm::decode(data) {
        assert_eq!(pm.encode(), data);
    }
    if let Ok(configuration) = Configuration::decode(data) {
        assert_eq!(configuration.encode(), data);
        let _ = BinEdges::of(&configuration);
    }
    if let Ok(status) = Status::decode(data) {
        assert_eq!(Status::decode(&status.encode()), Ok(status));
    }
    if let Ok(text) = Text::decode(data) {
        assert!(text.as_str().is_ascii());
        let _ = (text.serial_number(), text.firmware());
    }
    if let Ok(command) = usbiss::Command::decode(data) {
        // The bridge takes divisor 0 as 1.
        assert_eq!(usbiss::Command::decode(&command.encode()), Ok(command));
    }
    handshake(data);
    counter(data);
});

fn handshake(answers: &[u8]) {
    let mut handshake = Handshake::new(&Command::Histogram);
    let mut answers = answers.iter();
    for step in 0.. {
        assert!(step < 500);
        match handshake.step() {
            Step::Wait(_) => {}
            Step::Send(_) => handshake.received(*answers.next().unwrap_or(&0x31)),
            Step::Done => return assert_eq!(handshake.reply().len(), Histogram::LENGTH),
            Step::Failed(_) => return,
        }
    }
}

fn counter(bytes: &[u8]) {
    let mut counter = Counter::new(SimConfig::default(), Faults::none(), Duration::ZERO);
    for (ms, byte) in bytes.iter().enumerate() {
        counter.transfer(*byte, Duration::from_millis(ms as u64));
    }
    let later = Duration::from_millis(bytes.len() as u64 + 2_500);
    assert_eq!(counter.transfer(0x30, later), 0x31);
    assert_eq!(counter.transfer(0x30, later), 0xf3);
    let frame: Vec<u8> = (0..Histogram::LENGTH)
        .map(|_| counter.transfer(0x30, later))
        .collect();
    assert!(Histogram::decode(&frame).is_ok());
}
