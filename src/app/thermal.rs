//! The thermal camera's wires: configuration and board to links, switches and faults.

use std::path::Path;
use std::time::Duration;

use smol::net::TcpStream;

use crate::base::clock::Clock;
use crate::base::error::{Failure, Kind};
use crate::base::fault::FaultSwitch;
use crate::bus::gpio::OutputLine;
use crate::bus::serial::open_async;
use crate::bus::spi::{BUFSIZ_PARAMETER, SpiError, SpiLink, check_bufsiz};
use crate::config::{GainMode, Loaded, Tcam, TcamLink};
use crate::tcam::driver::{BAUD, ImageBus, LONGEST_READ, Port, Source};
use crate::tcam::proto::response::Config;
use crate::tcam::{Options, Settings, proto, sim};

/// For an answer: the camera holds it back for up to a second while an image waits (tcam.md 3.5).
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(2500);
/// For an image: longer than any flat-field correction.
const IMAGE_TIMEOUT: Duration = Duration::from_millis(5000);
/// A camera whose supply is off does not refuse a connection: it says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Seed of the simulated camera.
const SEED: u64 = 1;

/// How the camera is to be run, and the faults it can be told to have.
pub(super) struct Setup {
    pub(super) options: Options,
    pub(super) faults: Option<FaultSwitch>,
}

/// What the configuration and the board make of the thermal camera; `None` when it is switched off.
pub(super) fn set_up(loaded: &Loaded, clock: &Clock) -> Option<Setup> {
    let tcam = &loaded.config.tcam;
    if !tcam.enabled {
        return None;
    }
    let (source, faults) = match link(loaded) {
        TcamLink::Network => (network(tcam), None),
        TcamLink::Sim => simulated(loaded, clock),
        TcamLink::Hardware | TcamLink::Auto => (hardware(tcam), None),
    };
    let wired = loaded.board.tcam_on_header(&loaded.config);
    Some(Setup {
        options: Options {
            source,
            settings: settings(tcam),
            response_timeout: RESPONSE_TIMEOUT,
            image_timeout: IMAGE_TIMEOUT,
            reset_line: wired.then(|| reset_line(loaded)).flatten(),
        },
        faults: faults.filter(|_| loaded.board.is_simulated()),
    })
}

fn link(loaded: &Loaded) -> TcamLink {
    match loaded.config.tcam.link {
        TcamLink::Auto if loaded.board.is_simulated() => TcamLink::Sim,
        TcamLink::Auto => TcamLink::Hardware,
        link => link,
    }
}

fn settings(tcam: &Tcam) -> Settings {
    Settings {
        config: Config {
            agc_enabled: tcam.agc,
            emissivity: tcam.emissivity,
            gain_mode: match tcam.gain_mode {
                GainMode::High => proto::GainMode::High,
                GainMode::Low => proto::GainMode::Low,
                GainMode::Auto => proto::GainMode::Auto,
            },
        },
        ..Settings::default()
    }
}

fn hardware(tcam: &Tcam) -> Source {
    let (uart, spi) = (tcam.uart.clone(), tcam.spi.clone());
    let (mode, hz) = (tcam.spi_mode, tcam.spi_hz);
    Source::Hardware(Box::new(move || {
        let (uart, spi) = (uart.clone(), spi.clone());
        Box::pin(async move {
            let missing = |key| {
                let text = format!("the board has no {key} for it: set tcam.{key} or tcam.link");
                Failure::new(Kind::Absent, text)
            };
            let uart = uart.ok_or_else(|| missing("uart"))?;
            let spi = spi.ok_or_else(|| missing("spi"))?;
            let fail = |error: SpiError| Failure::from_error(error.failure_kind(), &error);
            check_bufsiz(BUFSIZ_PARAMETER.as_ref(), LONGEST_READ).map_err(fail)?;
            let images = SpiLink::open(&spi, mode, hz).map_err(fail)?;
            Ok((open_uart(&uart).await?, ImageBus::new(images)))
        })
    }))
}

async fn open_uart(path: &Path) -> Result<Port, Failure> {
    let port = open_async(path, BAUD)
        .await
        .map_err(|error| Failure::from_error(error.kind(), &error))?;
    port.drain()
        .map_err(|error| Failure::from_error(Kind::Hardware, &error))?;
    Ok(Box::pin(port))
}

fn network(tcam: &Tcam) -> Source {
    let host = tcam.host.clone();
    Source::Network(Box::new(move || {
        let host = host.clone();
        Box::pin(async move {
            let unset = || Failure::new(Kind::Absent, "tcam.host is not set");
            let host = host.ok_or_else(unset)?;
            connect(&host.host, host.port).await
        })
    }))
}

async fn connect(host: &str, port: u16) -> Result<Port, Failure> {
    let connecting = TcpStream::connect((host, port));
    let limit = async {
        smol::Timer::after(CONNECT_TIMEOUT).await;
        Err(std::io::ErrorKind::TimedOut.into())
    };
    let stream = futures_lite::future::or(connecting, limit).await;
    let fail = |error: std::io::Error| {
        let text = format!("no thermal camera answers at {host}:{port}: {error}");
        Failure::new(Kind::Absent, text)
    };
    let stream = stream.map_err(fail)?;
    stream.set_nodelay(true).map_err(fail)?;
    Ok(Box::pin(stream))
}

/// The camera's reset line, or else its supply, where the board has one.
fn reset_line(loaded: &Loaded) -> Option<Box<dyn FnMut(bool)>> {
    let lines = &loaded.board.lines;
    let chip = &loaded.board.gpio.as_ref()?.label;
    let open = |line: crate::board::Line, on| {
        OutputLine::open(chip, line.gpio, line.active_low, on)
            .inspect_err(|error| tracing::warn!(%error, "the thermal camera cannot be reset"))
            .ok()
    };
    // The supply must be on even where the other line does the resetting.
    let power = lines.tcam_power.and_then(|line| open(line, true));
    let reset = lines.tcam_reset.and_then(|line| open(line, false));
    match (reset, power) {
        (None, None) => None,
        (Some(mut reset), power) => Some(Box::new(move |hold| {
            let _on = &power;
            reset.set(hold);
        })),
        (None, Some(mut power)) => Some(Box::new(move |hold| power.set(!hold))),
    }
}

/// The simulated camera, reached as a real one is: a serial port by its path, and an SPI device.
fn simulated(loaded: &Loaded, clock: &Clock) -> (Source, Option<FaultSwitch>) {
    let faults = sim::Faults::none();
    let config = sim::Config::new(sim::Interface::Hardware, SEED);
    let link = loaded.config.storage.data.join("tcam.uart");
    let camera = sim::Hardware::start(clock.clone(), config, faults.clone(), &link)
        .map_err(|error| Failure::from_error(Kind::Absent, &error));
    let source = Source::Hardware(Box::new(move || {
        let wires = camera
            .as_ref()
            .map(|camera| (camera.port().to_owned(), camera.spi()));
        let wires = wires.map_err(Failure::clone);
        Box::pin(async move {
            let (uart, spi) = wires?;
            Ok((open_uart(&uart).await?, ImageBus::new(spi)))
        })
    }));
    (source, Some(faults.switch()))
}
