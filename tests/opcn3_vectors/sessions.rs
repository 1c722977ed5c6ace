//! Recorded sessions: the simulated bridge and counter answer them as recorded, the driver sends them as recorded.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::time::Duration;

use embedded_hal::spi::{ErrorType, Operation, SpiDevice};
use outpost::app::particle_sim;
use outpost::opcn3::driver::OpcN3;
use outpost::opcn3::proto::command::{Pot, Version};
use outpost::opcn3::proto::{Command, Configuration, Histogram, Pm, Power, Reply, Status, Text};
use outpost::opcn3::sim::{Faults, SimConfig};
use outpost::usbiss::driver::UsbIss;
use outpost::usbiss::proto::{Divisor, SpiMode};
use serde_json::Value;

use crate::{data, frame, hex};

/// Time, bytes of the host, bytes of the bridge.
struct Exchange {
    time: Duration,
    sent: Vec<u8>,
    answer: Vec<u8>,
}

fn session(name: &str) -> Vec<Exchange> {
    let text = fs::read_to_string(data(&format!("transcripts/{name}.jsonl"))).unwrap();
    let mut exchanges: Vec<Exchange> = vec![];
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let bytes = || hex(line["hex"].as_str().unwrap());
        match line["dir"].as_str() {
            Some("tx") => exchanges.push(Exchange {
                time: Duration::from_secs_f64(line["t"].as_f64().unwrap()),
                sent: bytes(),
                answer: vec![],
            }),
            Some("rx") => exchanges.last_mut().unwrap().answer.extend(bytes()),
            _ => {}
        }
    }
    exchanges
}

fn config(busy_polls: u32) -> SimConfig {
    let names = ["02-real-idle-b", "03-busy-urban", "01-real-idle-a"];
    SimConfig {
        busy_polls,
        script: names.map(|name| frame(name).try_into().unwrap()).to_vec(),
        ..SimConfig::default()
    }
}

#[test]
fn the_simulation_answers_as_recorded() {
    for (name, busy_polls) in [
        ("pyopc-nominal", 0),
        ("pyopc-busy-on-fails", 1),
        ("pyopc-infostring-misaligned", 0),
        ("scs-nominal", 0),
        ("reference-busy0", 0),
        ("reference-busy5-chunked", 5),
        ("usbiss-errors", 0),
    ] {
        let mut bridge = particle_sim::bridge(config(busy_polls), Faults::none());
        let exchanges = session(name);
        assert!(exchanges.len() > 8, "{name}");
        for (index, exchange) in exchanges.iter().enumerate() {
            let answer = bridge.message(&exchange.sent, exchange.time);
            assert_eq!(
                answer,
                exchange.answer.as_slice(),
                "{name}, exchange {index}"
            );
        }
    }
}

/// A serial port that wants the recorded writes and gives the recorded answers, at most `piece` bytes a read.
struct Recorded {
    exchanges: VecDeque<Exchange>,
    due: VecDeque<u8>,
    piece: usize,
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let exchange = self.exchanges.pop_front().expect("no write after the last");
        assert_eq!(
            bytes,
            exchange.sent,
            "{} exchanges left",
            self.exchanges.len()
        );
        assert!(self.due.is_empty(), "the last answer was read");
        self.due.extend(exchange.answer);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.piece);
        self.due.read(&mut buffer[..count])
    }
}

/// The order of the reference sessions.
fn reference_commands() -> Vec<(Command, Reply)> {
    let text = |name| Reply::Text(Text::decode(&frame(name)).unwrap());
    let histogram = |name| Reply::Histogram(Histogram::decode(&frame(name)).unwrap());
    let status = |on| {
        Reply::Status(Status {
            fan_on: on,
            laser_dac_on: on,
            fan_pot: 255,
            laser_pot: 151,
            laser_on: on,
            gain_high: true,
            gain_toggles: true,
        })
    };
    let factory = Configuration::default();
    vec![
        (
            Command::Version,
            Reply::Version(Version {
                major: 1,
                minor: 17,
            }),
        ),
        (Command::InformationString, text("info-1")),
        (Command::SerialString, text("serial-1")),
        (Command::ReadConfiguration, Reply::Configuration(factory)),
        (Command::Status, status(false)),
        (Command::Power(Power::Fan(true)), Reply::Done),
        (Command::Power(Power::Laser(true)), Reply::Done),
        (Command::Status, status(true)),
        (Command::Histogram, histogram("02-real-idle-b")),
        (Command::Histogram, histogram("03-busy-urban")),
        (Command::Pm, Reply::Pm(Pm { values: [0.0; 3] })),
        (Command::Pot(Pot::Laser, 151), Reply::Done),
        (Command::WeightingIndex(2), Reply::Done),
        (Command::WriteConfiguration(factory), Reply::Done),
        (Command::SaveConfiguration, Reply::Done),
        (Command::CheckStatus, Reply::Done),
        (Command::Power(Power::Laser(false)), Reply::Done),
        (Command::Power(Power::Fan(false)), Reply::Done),
        (Command::Reset, Reply::Done),
    ]
}

#[test]
fn the_drivers_send_what_the_reference_sent() {
    for piece in [1, 2, 63] {
        let mut exchanges: VecDeque<_> = session("reference-busy0").into();
        // The recording client sets other modes on the way.
        let detour = ["5a029001", "5a029201"].map(hex);
        exchanges.retain(|exchange| !detour.contains(&exchange.sent));
        let port = Recorded {
            exchanges,
            due: VecDeque::new(),
            piece,
        };
        let divisor = Divisor::for_hz(outpost::opcn3::driver::SPI_HZ).unwrap();
        let bridge = UsbIss::open(port, SpiMode::Mode1, divisor).unwrap();
        assert_eq!(bridge.serial_number(), "00030397");
        assert_eq!(
            (bridge.identity().firmware, bridge.identity().mode),
            (7, 0x40)
        );
        let mut counter = OpcN3::new(bridge);
        for (command, reply) in reference_commands() {
            assert_eq!(counter.run(&command, |_| {}).unwrap(), reply, "{command:?}");
        }
        let port = counter.into_spi().into_port();
        assert!(port.exchanges.is_empty() && port.due.is_empty());
    }
}

/// An SPI device that wants and gives recorded bytes, whatever frames they came in.
struct RecordedSpi(VecDeque<(u8, u8)>);

impl ErrorType for RecordedSpi {
    type Error = std::convert::Infallible;
}

impl SpiDevice for RecordedSpi {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Self::Error> {
        let [Operation::TransferInPlace([word]), Operation::DelayNs(ns)] = operations else {
            panic!("one byte and the gap after it: {operations:?}");
        };
        assert!(*ns > 10_000, "opc-n3.md 3: more than 10 us");
        let (sent, answer) = self.0.pop_front().unwrap();
        assert_eq!(*word, sent, "{} bytes left", self.0.len());
        *word = answer;
        Ok(())
    }
}

#[test]
fn five_more_busy_answers_change_nothing_but_the_polls() {
    let mut bytes = VecDeque::new();
    for exchange in session("reference-busy5-chunked") {
        if exchange.sent[0] == 0x61 {
            bytes.extend(exchange.sent.into_iter().zip(exchange.answer).skip(1));
        }
    }
    let mut counter = OpcN3::new(RecordedSpi(bytes));
    for (command, reply) in reference_commands() {
        assert_eq!(counter.run(&command, |_| {}).unwrap(), reply, "{command:?}");
    }
    assert!(counter.into_spi().0.is_empty());
}
