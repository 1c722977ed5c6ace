//! The thermal camera over Linux's spidev interface, production code all the way: the crate `spidev` talks to a file
//! that a FUSE server plays, and behind that server is the simulated camera's SPI slave.
#![cfg(target_os = "linux")]

mod device;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use device::Device;
use embedded_hal::spi::{Operation, SpiDevice};
use outpost::base::clock::Clock;
use outpost::base::conditions::Conditions;
use outpost::base::error::Failure;
use outpost::base::health::{Health, HealthBook, State};
use outpost::base::shutdown::shutdown;
use outpost::base::trace::Trace;
use outpost::bus::serial::open_async;
use outpost::bus::spi::{MemorySpi, SpiError, SpiLink};
use outpost::tcam::driver::{BAUD, ImageBus, Port, Source};
use outpost::tcam::proto::spi::MAX_READ;
use outpost::tcam::{Options, Settings, Station, Thermal, sim};
use smol::LocalExecutor;

const PATIENCE: Duration = Duration::from_secs(20);
/// What the flashed image sets.
const BUFSIZ: usize = 65_536;
/// What the kernel has otherwise.
const SMALL_BUFSIZ: usize = 4096;

/// Plays `slave` as a device file; `None`, with the reason on standard error, where FUSE cannot be had.
fn serve(slave: SpiLink, bufsiz: usize) -> Option<Device> {
    Device::serve(slave, bufsiz)
        .inspect_err(|error| eprintln!("SKIPPED: no FUSE here, /dev/fuse cannot be used: {error}"))
        .ok()
}

/// A slave that answers each byte with its complement.
fn complement() -> SpiLink {
    SpiLink::Memory(MemorySpi::new(|clocked| {
        clocked.iter_mut().for_each(|byte| *byte = !*byte);
        Ok(())
    }))
}

#[test]
fn transactions_of_every_shape_go_through_the_kernel_interface() {
    let Some(device) = serve(complement(), BUFSIZ) else {
        return;
    };
    let mut link = SpiLink::open(&device.path(), 3, 7_000_000).unwrap();
    let settings = device.settings();
    assert_eq!((settings.mode, settings.hz), (3, 7_000_000));
    assert_eq!((settings.bits, settings.lsb_first), (8, false));

    let mut read = [0x55; 5];
    link.read(&mut read).unwrap();
    assert_eq!(read, [0xff; 5]);
    let mut whole = vec![0; MAX_READ];
    link.read(&mut whole).unwrap();
    assert!(whole.iter().all(|&byte| byte == 0xff));
    let mut long = [0; 4];
    let mut in_place = [1, 2, 3];
    link.transaction(&mut [
        Operation::Write(&[9; 100]),
        Operation::Transfer(&mut long, &[0x10, 0x20, 0x30, 0x40]),
        Operation::TransferInPlace(&mut in_place),
    ])
    .unwrap();
    assert_eq!(long, [0xef, 0xdf, 0xcf, 0xbf]);
    assert_eq!(in_place, [0xfe, 0xfd, 0xfc]);
    // Each was one stretch of chip-select.
    assert_eq!(device.transactions(), [5, MAX_READ, 107]);
}

#[test]
fn a_buffer_that_is_too_small_is_told_with_the_cure() {
    let Some(device) = serve(complement(), SMALL_BUFSIZ) else {
        return;
    };
    let mut link = SpiLink::open(&device.path(), 0, 500_000).unwrap();
    link.read(&mut [0; SMALL_BUFSIZ]).unwrap();
    let error = link.read(&mut [0; SMALL_BUFSIZ + 1]).unwrap_err();
    assert!(
        matches!(error, SpiError::TooLong { bytes: 4097, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("spidev.bufsiz=65536"), "{error}");
    assert_eq!(device.transactions(), [SMALL_BUFSIZ]);
}

#[test]
fn what_is_no_device_file_or_takes_no_mode_is_told() {
    let Some(device) = serve(complement(), BUFSIZ) else {
        return;
    };
    let missing = device.path().with_file_name("spidev0.1");
    let error = SpiLink::open(&missing, 0, 1_000).unwrap_err();
    assert!(matches!(error, SpiError::Missing { .. }), "{error}");
    device.refuse_settings();
    let error = SpiLink::open(&device.path(), 3, 7_000_000).unwrap_err();
    assert!(matches!(error, SpiError::Setup { .. }), "{error}");
}

/// What a running driver leaves to look at.
struct Rig {
    thermal: Thermal,
    health: Health,
    executor: Rc<LocalExecutor<'static>>,
}

/// The driver on the camera's serial port and the device file, both opened by path as on a Pi.
fn drive(uart: &Path, spi: &Path) -> (Rig, outpost::base::shutdown::Trigger) {
    let executor = Rc::new(LocalExecutor::new());
    let clock = Clock::real();
    let health = HealthBook::new(clock.clone()).register("tcam", State::Disabled);
    let (trigger, stopping) = shutdown();
    let (uart, spi) = (uart.to_owned(), spi.to_owned());
    let options = Options {
        source: Source::Hardware(Box::new(move || {
            let (uart, spi) = (uart.clone(), spi.clone());
            Box::pin(async move {
                let images = SpiLink::open(&spi, 3, 7_000_000)
                    .map_err(|error| Failure::from_error(error.failure_kind(), &error))?;
                let port = open_async(&uart, BAUD)
                    .await
                    .map_err(|error| Failure::from_error(error.kind(), &error))?;
                let port: Port = Box::pin(port);
                Ok((port, ImageBus::new(images)))
            })
        })),
        settings: Settings::default(),
        response_timeout: Duration::from_millis(2500),
        image_timeout: Duration::from_millis(5000),
        reset_line: None,
    };
    let station = Station {
        clock: clock.clone(),
        conditions: Conditions::default(),
        health: health.clone(),
        trace: Trace::new(clock),
        shutdown: stopping,
    };
    let (thermal, run) = Thermal::new(options, station);
    executor.spawn(run).detach();
    let rig = Rig {
        thermal,
        health,
        executor,
    };
    (rig, trigger)
}

#[test]
fn whole_images_of_the_thermal_camera_come_over_the_production_path() {
    let folder = tempfile::tempdir().unwrap();
    let uart = folder.path().join("tcam.uart");
    let camera = sim::Hardware::start(
        Clock::real(),
        sim::Config {
            frame_period: Duration::from_millis(20),
            ..sim::Config::new(sim::Interface::Hardware, 7)
        },
        sim::Faults::none(),
        &uart,
    )
    .unwrap();
    let Some(device) = serve(camera.spi(), BUFSIZ) else {
        return;
    };
    let (rig, _running) = drive(camera.port(), &device.path());
    let images = rig.executor.run(async {
        assert!(rig.thermal.wait_connected(PATIENCE).await);
        let mut images = rig.thermal.subscribe(Default::default());
        let mut taken = Vec::new();
        while taken.len() < 20 {
            taken.push(images.next().await.unwrap());
        }
        taken
    });
    let limit = async {
        smol::Timer::after(PATIENCE).await;
        panic!("no images came; transactions: {:?}", device.transactions())
    };
    let images = smol::block_on(futures_lite::future::or(images, limit));
    let mut lengths = Vec::new();
    for image in &images {
        // Marked, framed and as long as announced: the driver has checked length and checksum.
        assert_eq!((image.packet[0], *image.packet.last().unwrap()), (2, 3));
        let celsius = image.temperatures().unwrap().pixel(80, 60).unwrap();
        assert!((-10.0..100.0).contains(&celsius), "{celsius}");
        lengths.push((image.packet.len() + 4).next_multiple_of(4));
    }
    let uptimes: Vec<_> = images.iter().map(|i| i.telemetry().uptime_ms).collect();
    assert!(
        uptimes.windows(2).all(|pair| pair[0] < pair[1]),
        "{uptimes:?}"
    );
    // One transaction an image, of its own length, and nothing damaged.
    let transactions = device.transactions();
    assert!(
        transactions.starts_with(&lengths),
        "{transactions:?} {lengths:?}"
    );
    for counter in ["checksum_errors", "damaged_images"] {
        assert_eq!(rig.health.counter(counter), 0, "{counter}");
    }
    assert_eq!(device.settings().mode, 3);
}
