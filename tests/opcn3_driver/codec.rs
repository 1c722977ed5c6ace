//! Frames and the counter under arbitrary bytes.

use std::time::Duration;

use outpost::opcn3::proto::{
    BinEdges, Command, Configuration, Histogram, Pm, Reply, SizeDistribution, Status, Text,
};
use outpost::opcn3::sim::{Counter, Faults, SimConfig};
use outpost::usbiss::proto as usbiss;
use proptest::prelude::*;

use crate::Station;

fn sealed(mut data: Vec<u8>) -> Vec<u8> {
    let sum = outpost::opcn3::proto::crc::crc16(&data);
    data.extend(sum.to_le_bytes());
    data
}

proptest! {
    #[test]
    fn frames_with_the_right_sum_read_back(data in prop::collection::vec(any::<u8>(), 84)) {
        let frame = sealed(data);
        let histogram = Histogram::decode(&frame).unwrap();
        prop_assert_eq!(histogram.encode().to_vec(), frame.clone());
        let pm = sealed(frame[..12].to_vec());
        prop_assert_eq!(Pm::decode(&pm).unwrap().encode().to_vec(), pm);
    }

    #[test]
    fn a_changed_frame_is_refused(
        data in prop::collection::vec(any::<u8>(), 84),
        place in 0..86usize,
        change in 1..=255u8,
    ) {
        let mut frame = sealed(data);
        frame[place] ^= change;
        prop_assert!(Histogram::decode(&frame).is_err());
    }

    #[test]
    fn a_cut_frame_is_refused(data in prop::collection::vec(any::<u8>(), 0..300)) {
        if data.len() != 86 {
            prop_assert!(Histogram::decode(&data).is_err());
        }
    }

    #[test]
    fn configurations_read_back(bytes in prop::collection::vec(any::<u8>(), 168)) {
        let configuration = Configuration::decode(&bytes).unwrap();
        prop_assert_eq!(configuration.encode().to_vec(), bytes.clone());
        let status = Status::decode(&bytes[..6]).unwrap();
        prop_assert_eq!(Status::decode(&status.encode()).unwrap(), status);
    }

    /// What fuzz target `opcn3_frames` looks for in the long run.
    #[test]
    fn any_bytes_are_refused_or_read_back(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(any::<u8>(), 84).prop_map(sealed),
            prop::collection::vec(prop_oneof![Just(0x5a), Just(0x61), Just(0x92), 0..4u8], 1..6),
        ],
        text in prop::collection::vec(any::<u8>(), 60),
    ) {
        if let Ok(histogram) = Histogram::decode(&bytes) {
            prop_assert!((-45.0..=130.0).contains(&histogram.temperature_c()));
            let densities = SizeDistribution::from(&histogram).dn_dlogd(&BinEdges::default());
            prop_assert_eq!(densities.is_none(), histogram.volume_ml() == 0.0);
        }
        for length in [14, 168, 6, 60] {
            let cut = &bytes[..bytes.len().min(length)];
            let _ = (Pm::decode(cut), Configuration::decode(cut).map(|read| BinEdges::of(&read)));
            let _ = (Status::decode(cut), Text::decode(cut));
        }
        let text = Text::decode(&text).unwrap();
        prop_assert!(text.as_str().is_ascii());
        let _ = (text.serial_number(), text.firmware());
        if let Ok(command) = usbiss::Command::decode(&bytes) {
            prop_assert_eq!(usbiss::Command::decode(&command.encode()), Ok(command));
        }
    }

    #[test]
    fn after_any_bytes_and_silence_the_counter_answers(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x30), Just(0x3a), Just(0x03)], 0..400),
    ) {
        let mut station = Station::new(SimConfig::default());
        for byte in bytes {
            station.bench.borrow_mut().transfer(byte);
        }
        prop_assert!(matches!(station.run(Command::Version), Ok(Reply::Version(_))));
        prop_assert!(station.run(Command::Histogram).is_ok());
    }
}

/// A frame that is cut by silence anywhere is forgotten, and the next one is whole.
#[test]
fn silence_after_any_byte_of_a_reading_ends_it() {
    for bytes in 1..=88 {
        let mut counter = Counter::new(SimConfig::default(), Faults::none(), Duration::ZERO);
        for _ in 0..bytes {
            counter.transfer(0x30, Duration::from_secs(1));
        }
        let later = Duration::from_millis(3_001);
        assert_eq!(counter.transfer(0x30, later), 0x31, "after {bytes} bytes");
        assert_eq!(counter.transfer(0x30, later), 0xf3, "after {bytes} bytes");
        let frame: Vec<u8> = (0..86).map(|_| counter.transfer(0x30, later)).collect();
        assert!(Histogram::decode(&frame).is_ok(), "after {bytes} bytes");
    }
}
