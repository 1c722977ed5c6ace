//! The USB bridge end to end: real drivers, a real serial port by path, the simulated bridge and counter behind a
//! pseudo-terminal.

use std::path::PathBuf;
use std::time::Duration;

use embedded_hal::spi::{Operation, SpiDevice};
use outpost::app::particle_sim;
use outpost::base::clock::{Clock, ManualClock};
use outpost::bus::serial::{NativeSerial, open_native};
use outpost::opcn3::driver::{OpcError, OpcN3, Progress};
use outpost::opcn3::proto::{Command, Power, Reply};
use outpost::opcn3::sim::{FAULTS, Faults, SimConfig};
use outpost::usbiss::driver::{BAUD, UsbIss, UsbIssError};
use outpost::usbiss::proto::{Divisor, SpiMode};
use outpost::usbiss::sim::{Port, Trouble};
use tempfile::TempDir;

/// Long enough for a loaded machine, short enough for a test of silence.
const TIMEOUT: Duration = Duration::from_millis(300);

struct Station {
    _folder: TempDir,
    link: PathBuf,
    faults: Faults,
    time: ManualClock,
    sim: Port,
}

impl Station {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("outpost-opc");
        let faults = Faults::none();
        let (clock, time) = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
        let config = SimConfig::default();
        let sim = particle_sim::start(clock, config, faults.clone(), &link).unwrap();
        Self {
            _folder: folder,
            link,
            faults,
            time,
            sim,
        }
    }

    fn port(&self) -> NativeSerial {
        let port = open_native(&self.link, BAUD, TIMEOUT).unwrap();
        port.drain().unwrap();
        port
    }

    fn open(&self) -> Result<UsbIss<NativeSerial>, UsbIssError> {
        let divisor = Divisor::for_hz(500_000).unwrap();
        UsbIss::open(self.port(), SpiMode::Mode1, divisor)
    }

    fn counter(&self) -> OpcN3<UsbIss<NativeSerial>> {
        OpcN3::new(self.open().unwrap())
    }

    fn run(
        &self,
        counter: &mut OpcN3<UsbIss<NativeSerial>>,
        command: Command,
    ) -> Result<Reply, OpcError<UsbIssError>> {
        counter.run(&command, |time| self.time.advance(time))
    }

    fn set(&self, fault: &str, n: Option<u64>) {
        self.faults.set(fault, n).unwrap();
    }
}

fn bus_error<T: std::fmt::Debug>(result: Result<T, OpcError<UsbIssError>>) -> UsbIssError {
    match result {
        Err(OpcError::Bus(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_from_start_to_stop() {
    let station = Station::new();
    let bridge = station.open().unwrap();
    assert_eq!(bridge.serial_number(), "00030397");
    assert_eq!(bridge.identity().warning(), None);
    let mut counter = OpcN3::new(bridge);
    let mut run = |command| station.run(&mut counter, command).unwrap();
    assert_eq!(run(Command::CheckStatus), Reply::Done);
    assert!(
        matches!(run(Command::InformationString), Reply::Text(text) if text.firmware() == Some("1.17a"))
    );
    assert!(
        matches!(run(Command::ReadConfiguration), Reply::Configuration(c) if c.check_edges().is_ok())
    );
    run(Command::Power(Power::Fan(true)));
    station.time.advance(Duration::from_secs(5));
    run(Command::Power(Power::Laser(true)));
    assert!(
        matches!(run(Command::Status), Reply::Status(status) if status.fan_on && status.laser_on)
    );
    run(Command::Histogram);
    for _ in 0..3 {
        station.time.advance(Duration::from_secs(10));
        let Reply::Histogram(histogram) = run(Command::Histogram) else {
            panic!("a histogram");
        };
        assert!((1000..1010).contains(&histogram.sampling_period));
        assert!(histogram.total_count() > 500 && !histogram.is_suspect());
    }
    run(Command::Power(Power::Laser(false)));
    run(Command::Power(Power::Fan(false)));
    assert!(
        matches!(run(Command::Status), Reply::Status(status) if !status.fan_on && !status.laser_on)
    );
}

#[test]
fn answers_in_pieces_are_put_together() {
    let station = Station::new();
    station.set("chunk", None);
    let mut counter = station.counter();
    assert!(matches!(
        station.run(&mut counter, Command::Histogram),
        Ok(Reply::Histogram(_))
    ));
}

#[test]
fn a_replugged_bridge_is_opened_anew_and_the_counter_goes_on() {
    let station = Station::new();
    let mut counter = station.counter();
    station
        .run(&mut counter, Command::Power(Power::Fan(true)))
        .unwrap();
    station.sim.unplug();
    let error = bus_error(station.run(&mut counter, Command::Status));
    assert!(matches!(error, UsbIssError::Unplugged(_)), "{error}");
    assert!(!station.link.exists());
    let error = bus_error(station.run(&mut counter, Command::Status));
    assert!(matches!(error, UsbIssError::OutOfStep), "{error}");
    drop(counter);
    station.sim.plug();
    let bridge = station.open().unwrap();
    assert_eq!(bridge.identity().mode, 0x40, "it was without power");
    let mut counter = OpcN3::new(bridge);
    let reply = station.run(&mut counter, Command::Status).unwrap();
    assert!(
        matches!(reply, Reply::Status(status) if status.fan_on),
        "the counter was not"
    );
}

#[test]
fn unplugging_within_a_frame_is_told() {
    let station = Station::new();
    let mut counter = station.counter();
    counter.start(&Command::Histogram);
    assert!(matches!(counter.advance(), Ok(Progress::Wait(_))));
    assert!(matches!(counter.advance(), Ok(Progress::Wait(_))));
    station.set("vanish", Some(60_000));
    let error = bus_error(counter.advance());
    assert!(matches!(error, UsbIssError::Unplugged(_)), "{error}");
    assert_eq!(error.to_string(), "the USB-ISS is unplugged");
    drop(counter);
    station.time.advance(Duration::from_secs(60));
    // If the absence began after that, it is ended by hand.
    station.sim.plug();
    let mut counter = station.counter();
    assert!(station.run(&mut counter, Command::Histogram).is_ok());
}

#[test]
fn each_trouble_of_the_bridge_has_its_own_error_and_is_over_when_opened_again() {
    type Check = fn(&UsbIssError) -> bool;
    let table: [(&str, Check); 5] = [
        ("nack", |error| matches!(error, UsbIssError::Nack)),
        ("reset-bridge", |error| matches!(error, UsbIssError::Nack)),
        ("silent", |error| {
            matches!(
                error,
                UsbIssError::Silent {
                    expected: 2,
                    got: 0
                }
            )
        }),
        ("short-answer", |error| {
            matches!(
                error,
                UsbIssError::Silent {
                    expected: 2,
                    got: 1
                }
            )
        }),
        ("garbage", |error| {
            matches!(error, UsbIssError::Garbled { .. })
        }),
    ];
    let station = Station::new();
    for (fault, check) in table {
        let mut counter = station.counter();
        station.set(fault, Some(1));
        let error = bus_error(station.run(&mut counter, Command::Status));
        assert!(check(&error), "{fault}: {error:?}");
        let error = bus_error(station.run(&mut counter, Command::Status));
        assert!(matches!(error, UsbIssError::OutOfStep), "{fault}: {error}");
        drop(counter);
        let mut counter = station.counter();
        assert!(
            station.run(&mut counter, Command::Status).is_ok(),
            "{fault}"
        );
    }
}

#[test]
fn what_is_no_usb_iss_is_not_opened() {
    let station = Station::new();
    station.set("other-module", Some(1));
    let error = station.open().unwrap_err();
    assert!(matches!(error, UsbIssError::NotUsbIss { module: 10 }));
    assert!(error.to_string().contains("answers as module 10, not 7"));
    station.set("silent", Some(1));
    let error = station.open().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the USB-ISS answered 0 of 3 bytes in time"
    );
    station.set("garbage", Some(1));
    assert!(matches!(station.open(), Err(UsbIssError::NotUsbIss { .. })));
    assert!(station.open().is_ok());
}

#[test]
fn faults_of_the_counter_come_through() {
    let station = Station::new();
    let mut counter = station.counter();
    for fault in ["flip-bit", "wrong-checksum", "drop-byte", "extra-byte"] {
        station.set(fault, Some(1));
        let failed = station.run(&mut counter, Command::Histogram);
        assert!(
            matches!(failed, Err(OpcError::Frame(_))),
            "{fault}: {failed:?}"
        );
        assert!(
            station.run(&mut counter, Command::Histogram).is_ok(),
            "{fault}"
        );
    }
    station.set("stay-busy", None);
    let failed = station.run(&mut counter, Command::Histogram);
    assert!(matches!(failed, Err(OpcError::Handshake(_))), "{failed:?}");
    station.faults.clear();
    assert!(station.run(&mut counter, Command::Histogram).is_ok());
}

#[test]
fn a_transaction_is_one_frame_or_none() {
    let station = Station::new();
    let mut bridge = station.open().unwrap();
    let mut words = [0u8; 62];
    bridge.transfer_in_place(&mut words).unwrap();
    assert_eq!(words, [0xf3; 62], "idle");
    let error = bridge.transfer_in_place(&mut [0; 63]).unwrap_err();
    assert!(matches!(error, UsbIssError::TooLong { bytes: 63 }));
    // CF twice is a whole command; what is only read clocks out zeros.
    let (mut first, mut last) = ([0xcf], [0; 2]);
    let mut operations = [
        Operation::TransferInPlace(&mut first),
        Operation::DelayNs(20_000),
        Operation::Write(&[0xcf]),
        Operation::Read(&mut last),
    ];
    bridge.transaction(&mut operations).unwrap();
    assert_eq!((first, last), ([0x31], [0xf3; 2]));
    let (mut read, written) = ([0; 3], [0xcf]);
    bridge.transfer(&mut read, &written).unwrap();
    assert_eq!(read, [0x31, 0x31, 0xf3], "another byte ends the polling");
    let error = bridge
        .transaction(&mut [Operation::DelayNs(1_000_000)])
        .unwrap_err();
    assert!(matches!(error, UsbIssError::Delay { ns: 1_000_000 }));
    bridge.transaction(&mut []).unwrap();
}

/// A gap inside a command makes the bridge forget it, wherever the gap is.
#[test]
fn commands_in_two_pieces_are_ignored() {
    let mut bridge = particle_sim::bridge(SimConfig::default(), Faults::none());
    let now = Duration::ZERO;
    for command in [
        &[0x5a, 1][..],
        &[0x5a, 3],
        &[0x5a, 2, 0x92, 0x0b],
        &[0x61, 0xcf],
    ] {
        for split in 1..command.len() {
            for piece in [&command[..split], &command[split..]] {
                let answer = bridge.message(piece, now);
                // Of all pieces only `5a 02 ..` looks like a command, with too few bytes.
                let refused = piece.starts_with(&[0x5a, 2]);
                assert_eq!(answer, if refused { &[0, 5][..] } else { &[] }, "{piece:?}");
            }
        }
    }
    assert_eq!(bridge.message(&[0x5a, 1], now), &[7, 7, 0x40][..]);
}

#[test]
fn every_trouble_of_the_bridge_is_in_the_table() {
    for trouble in [
        Trouble::Nack,
        Trouble::ResetBridge,
        Trouble::Silent,
        Trouble::ShortAnswer,
        Trouble::Garbage,
        Trouble::Chunk,
        Trouble::OtherModule,
        Trouble::Vanish,
    ] {
        assert!(
            FAULTS.iter().any(|fault| fault.name == trouble.name()),
            "{trouble:?}"
        );
    }
}

#[test]
fn a_host_that_never_reads_does_not_hold_the_simulation() {
    use std::io::Write;
    let station = Station::new();
    let mut port = station.port();
    // More answers than the kernel keeps.
    for _ in 0..4000 {
        if port.write_all(&[0x5a, 3]).is_err() {
            break;
        }
    }
    drop(port);
    station.sim.unplug();
    station.sim.plug();
    assert!(station.open().is_ok());
}
