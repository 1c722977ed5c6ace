//! The particle counter's wires: configuration and board to bus, supply and faults.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::particle_sim;
use crate::base::clock::Clock;
use crate::base::error::{Failure, Kind};
use crate::base::fault::FaultSwitch;
use crate::board::SpiWiring;
use crate::bus::gpio::OutputLine;
use crate::bus::serial::{TTY_CLASS, open_native, usb_ports};
use crate::bus::spi::SpiLink;
use crate::config::{Loaded, Opc, OpcLink};
use crate::opcn3::driver::{SPI_HZ, SPI_MODE};
use crate::opcn3::sim::{Faults, SimConfig};
use crate::opcn3::{LinkFailure, LinkKind, Open, Opened, Options, Settings, Times, Wire};
use crate::usbiss::driver::{BAUD, TIMEOUT, UsbIss, UsbIssError};
use crate::usbiss::proto::{Divisor, SpiMode};

/// USB id of the bridge, and of other boards of its maker.
const VENDOR: u16 = 0x04d8;
const PRODUCT: u16 = 0xffee;
/// The name that the image's udev rule gives the bridge.
const UDEV_NAME: &str = "/dev/outpost-opc";

/// How the counter is to be run, and the faults it can be told to have.
pub struct Setup {
    /// For [`Particles::new`](crate::opcn3::Particles::new).
    pub options: Options,
    /// Of the simulated counter.
    pub faults: Option<FaultSwitch>,
}

/// What the configuration and the board make of the particle counter; `None` when it is switched off. Opens nothing
/// but a simulator and the supply line.
pub fn set_up(loaded: &Loaded, clock: &Clock) -> Option<Setup> {
    let opc = &loaded.config.opc;
    if !opc.enabled {
        return None;
    }
    let (kind, open, faults) = match link(loaded) {
        OpcLink::Sim => simulated(loaded, clock),
        OpcLink::Spi => (LinkKind::Spi, spi(loaded), None),
        OpcLink::UsbIss | OpcLink::Auto => (LinkKind::UsbIss, usb_iss(opc), None),
    };
    let mut times = Times::default();
    if kind == LinkKind::Sim {
        // Its fan has its speed at once: the counter's own lower limits do.
        times.fan = Duration::from_millis(700);
        times.laser = Duration::from_millis(20);
    }
    Some(Setup {
        options: Options {
            kind,
            open,
            settings: Settings {
                counting: true,
                logging: opc.logging,
                interval: Duration::from_secs_f64(opc.interval_s),
            },
            gadget_id: opc.gadget_id.clone(),
            times,
            restart_after_zeros: opc.restart_after_zeros,
            supply: (kind != LinkKind::Sim).then(|| supply(loaded)).flatten(),
        },
        faults: faults.filter(|_| loaded.board.is_simulated()),
    })
}

fn link(loaded: &Loaded) -> OpcLink {
    match loaded.config.opc.link {
        OpcLink::Auto if loaded.board.is_simulated() => OpcLink::Sim,
        OpcLink::Auto => OpcLink::UsbIss,
        link => link,
    }
}

/// The bridge at the configured port, or else wherever it is plugged in.
fn usb_iss(opc: &Opc) -> Open {
    let tty = opc.tty.clone();
    Arc::new(move || match &tty {
        Some(tty) => open_bridge(tty),
        None => find_bridge(),
    })
}

fn find_bridge() -> Result<Opened, LinkFailure> {
    let named = Some(PathBuf::from(UDEV_NAME)).filter(|path| path.exists());
    let ports = usb_ports(TTY_CLASS.as_ref(), VENDOR, PRODUCT);
    first_bridge(named.into_iter().chain(ports), open_bridge)
}

/// The first port that is a bridge. Another board of the same maker may say so, answer less than is asked, or be in
/// use: none of these keeps from looking further. Where there is no bridge, the first port that may be one is told of.
fn first_bridge<T>(
    ports: impl Iterator<Item = PathBuf>,
    open: impl Fn(&Path) -> Result<T, LinkFailure>,
) -> Result<T, LinkFailure> {
    let mut failure: Option<LinkFailure> = None;
    for port in ports {
        match open(&port) {
            Ok(opened) => return Ok(opened),
            Err(other) => match &failure {
                Some(told) if told.counter != "wrong_device" => {}
                _ => failure = Some(other),
            },
        }
    }
    Err(failure.unwrap_or_else(|| LinkFailure {
        failure: Failure::new(
            Kind::Absent,
            "no USB-ISS bridge is plugged in (USB id 04d8:ffee): plug it in, or set opc.tty",
        ),
        counter: "unplugged",
    }))
}

fn open_bridge(tty: &Path) -> Result<Opened, LinkFailure> {
    let port = open_native(tty, BAUD, TIMEOUT)
        .map_err(|error| LinkFailure::new(error.kind(), "unplugged", &error))?;
    port.drain()
        .map_err(|error| LinkFailure::new(Kind::Absent, "unplugged", &error))?;
    let divisor =
        Divisor::for_hz(SPI_HZ).expect("a divisor because the counter's clock is in its range");
    let bridge = UsbIss::open(port, SpiMode::Mode1, divisor).map_err(explain)?;
    let identity = bridge.identity();
    Ok(Opened {
        description: format!(
            "USB-ISS {} (firmware {}) at {}",
            bridge.serial_number(),
            identity.firmware,
            tty.display()
        ),
        warning: identity.warning(),
        fresh: false,
        bus: Wire::new(bridge, explain),
    })
}

fn explain(error: UsbIssError) -> LinkFailure {
    let counter = match &error {
        UsbIssError::Unplugged(_) => "unplugged",
        UsbIssError::Silent { .. } => "bridge_silent",
        UsbIssError::NotUsbIss { .. } => "wrong_device",
        UsbIssError::Nack => "nacks",
        _ => "bridge_errors",
    };
    LinkFailure::new(error.failure_kind(), counter, &error)
}

/// SPI of the header, as the board profile wires it.
fn spi(loaded: &Loaded) -> Open {
    let wiring = loaded.board.opc.as_ref();
    let place = wiring.and_then(|wiring: &SpiWiring| {
        let bus = loaded.board.spi(&wiring.bus)?;
        Some((bus.device(wiring.chip_select), wiring.hz))
    });
    Arc::new(move || {
        let Some((path, hz)) = &place else {
            let text = "the board has no SPI bus for the particle counter: set opc.link";
            return Err(LinkFailure {
                failure: Failure::new(Kind::Absent, text),
                counter: "bridge_errors",
            });
        };
        let explain = |error: crate::bus::spi::SpiError| {
            LinkFailure::new(error.failure_kind(), "bridge_errors", &error)
        };
        let bus = SpiLink::open(path, SPI_MODE, *hz).map_err(explain)?;
        Ok(Opened {
            description: format!("{} at {hz} Hz", path.display()),
            warning: None,
            fresh: false,
            bus: Wire::new(bus, explain),
        })
    })
}

/// The counter's supply, where the board switches it; on from here on.
fn supply(loaded: &Loaded) -> Option<Box<dyn FnMut(bool)>> {
    let chip = &loaded.board.gpio.as_ref()?.label;
    let line = loaded.board.lines.opc_supply?;
    let mut line = OutputLine::open(chip, line.gpio, line.active_low, true)
        .inspect_err(
            |error| tracing::warn!(%error, "the particle counter's supply is not switched"),
        )
        .ok()?;
    Some(Box::new(move |on| line.set(on)))
}

/// The simulated counter behind a simulated bridge, reached as a real one is: a serial port by its path.
fn simulated(loaded: &Loaded, clock: &Clock) -> (LinkKind, Open, Option<FaultSwitch>) {
    let faults = Faults::none();
    let link = loaded.config.storage.data.join("opc.tty");
    let port = particle_sim::start(clock.clone(), SimConfig::default(), faults.clone(), &link)
        .map_err(|error| LinkFailure::new(Kind::Absent, "unplugged", &error));
    let first = std::sync::atomic::AtomicBool::new(true);
    let open: Open = Arc::new(move || {
        let port = port.as_ref().map_err(LinkFailure::clone)?;
        let opened = open_bridge(port.path())?;
        let fresh = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        Ok(Opened { fresh, ..opened })
    });
    (LinkKind::Sim, open, Some(faults.switch()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(counter: &'static str) -> LinkFailure {
        let failure = Failure::new(Kind::Hardware, counter);
        LinkFailure { failure, counter }
    }

    #[test]
    fn other_boards_of_the_maker_do_not_hide_the_bridge() {
        let find = |answers: &[Result<u8, &'static str>]| {
            let ports = (0..answers.len()).map(|n| PathBuf::from(n.to_string()));
            first_bridge(ports, |port| {
                let port: usize = port.to_str().unwrap().parse().unwrap();
                answers[port].map_err(refused)
            })
            .map_err(|failure| failure.counter)
        };
        let before = ["wrong_device", "bridge_silent", "unplugged"];
        for before in before {
            assert_eq!(find(&[Err(before), Ok(7)]), Ok(7), "{before}");
        }
        assert_eq!(find(&[]), Err("unplugged"));
        let (silent, other) = (Err("bridge_silent"), Err("wrong_device"));
        assert_eq!(find(&[silent, other]), Err("bridge_silent"));
        assert_eq!(find(&[other, silent]), Err("bridge_silent"));
        assert_eq!(find(&[other]), Err("wrong_device"));
    }
}
