//! Who uses which pin and bus, under a configuration: the wiring table, and everything claimed twice or not there at all.

use std::fmt;
use std::path::Path;

use super::{Line, Profile, SpiBus, Uart};
use crate::config::{BitscopeUrl, Config, OpcLink, TcamLink};

const TCAM: &str = "thermal camera";
const OPC: &str = "particle counter";
const SCOPE: &str = "oscilloscope";

/// One thing that cannot work as configured, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The BCM line it is about, if it is about one.
    pub gpio: Option<u8>,
    /// What is claimed by whom, or missing.
    pub text: String,
}

/// One row of the wiring table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Header pin.
    pub pin: u8,
    /// `GPIO14`, `5V` or `GND`.
    pub line: String,
    /// What the line does: `uart0 TX`.
    pub function: String,
    /// Where the wire goes: `thermal camera RX`.
    pub to: String,
}

/// A use of one GPIO line.
struct Claim {
    gpio: u8,
    /// As conflicts name it: `spi0 chip-select 0`.
    name: String,
    /// Who needs it, or "" where the name says so.
    user: &'static str,
    /// Short form for the wiring table, and where the wire goes; `None` where nothing is to be wired.
    wire: Option<(String, String)>,
}

/// A device that hangs on a bus of the header.
struct Hookup<'p> {
    bus: &'p SpiBus,
    chip_select: u8,
    hz: u32,
    limit: u32,
    user: &'static str,
    key: &'static str,
    /// The device's own names for SCLK, MOSI, MISO and CE; "" = not connected.
    pins: [&'static str; 4],
}

impl Profile {
    /// Everything that is claimed twice, missing on this board, or beyond its limits.
    pub fn conflicts(&self, config: &Config) -> Vec<Conflict> {
        let claims = self.claims(config);
        let mut conflicts = self.double_claims(&claims);
        conflicts.extend(self.lacking_lines(&claims));
        conflicts.extend(self.bus_conflicts(config));
        conflicts.extend(shared_ports(config, self));
        conflicts
    }

    /// What to connect to which header pin, in the order of the pins.
    pub fn wiring(&self, config: &Config) -> Vec<Wire> {
        let mut wires: Vec<Wire> = self
            .claims(config)
            .into_iter()
            .filter_map(|claim| {
                let (function, to) = claim.wire?;
                Some(Wire {
                    pin: self.header.get(&claim.gpio)?.pin,
                    line: format!("GPIO{}", claim.gpio),
                    function,
                    to,
                })
            })
            .collect();
        if self.tcam_on_header(config) {
            for (pin, line, function) in [(4, "5V", "supply"), (6, "GND", "ground")] {
                wires.push(Wire {
                    pin,
                    line: line.into(),
                    function: function.into(),
                    to: format!("{TCAM} {line}"),
                });
            }
        }
        wires.sort_by_key(|wire| wire.pin);
        wires
    }

    /// Lines of `config.txt` that this configuration needs on this board.
    ///
    /// The shutdown button is the kernel's: as a power key it reaches systemd-logind, which switches the machine off
    /// in order even when the station hangs, and no right to do so need be given to the station.
    pub fn config_txt_lines(&self, config: &Config) -> Vec<String> {
        let uart = self.tcam_uart(config);
        let buses = self.hookups(config).into_iter().map(|hookup| hookup.bus);
        let mut lines: Vec<String> = Vec::new();
        let of_uart = uart.iter().flat_map(|uart| &uart.config_txt);
        for line in of_uart.chain(buses.flat_map(|bus| &bus.config_txt)) {
            if !lines.contains(line) {
                lines.push(line.clone());
            }
        }
        if let Some(Line {
            gpio,
            active_low,
            pull,
        }) = self.lines.shutdown_button
        {
            let (active_low, pull) = (u8::from(active_low), pull.name());
            lines.push(format!(
                "dtoverlay=gpio-shutdown,gpio_pin={gpio},active_low={active_low},gpio_pull={pull}"
            ));
        }
        lines
    }

    /// Whether the thermal camera is to be reached by UART and SPI.
    pub fn tcam_on_header(&self, config: &Config) -> bool {
        config.tcam.enabled
            && match config.tcam.link {
                TcamLink::Hardware => true,
                TcamLink::Auto => self.tcam.is_some() && !self.is_simulated(),
                TcamLink::Network | TcamLink::Sim => false,
            }
    }

    fn opc_on_header(config: &Config) -> bool {
        config.opc.enabled && config.opc.link == OpcLink::Spi
    }

    fn tcam_uart(&self, config: &Config) -> Option<&Uart> {
        let device = config.tcam.uart.as_deref()?;
        let matches = |uart: &&Uart| {
            uart.device == device || uart.fallback.as_deref().is_some_and(|path| path == device)
        };
        self.uarts
            .iter()
            .filter(|_| self.tcam_on_header(config))
            .find(matches)
    }

    fn spi_device(&self, path: &Path) -> Option<(&SpiBus, u8)> {
        self.spis.iter().find_map(|bus| {
            let number = (0..bus.chip_selects.len())
                .filter_map(|number| u8::try_from(number).ok())
                .find(|number| bus.device(*number) == path)?;
            Some((bus, number))
        })
    }

    fn hookups(&self, config: &Config) -> Vec<Hookup<'_>> {
        let mut hookups = Vec::new();
        let tcam_limit = self.tcam.as_ref().map_or(u32::MAX, |tcam| tcam.spi.max_hz);
        if self.tcam_on_header(config)
            && let Some((bus, chip_select)) = config
                .tcam
                .spi
                .as_deref()
                .and_then(|path| self.spi_device(path))
        {
            hookups.push(Hookup {
                bus,
                chip_select,
                hz: config.tcam.spi_hz,
                limit: tcam_limit,
                user: TCAM,
                key: "tcam.spi_hz",
                pins: ["SCLK", "", "MISO", "CSN"],
            });
        }
        if Self::opc_on_header(config)
            && let Some(wiring) = &self.opc
            && let Some(bus) = self.spi(&wiring.bus)
        {
            hookups.push(Hookup {
                bus,
                chip_select: wiring.chip_select,
                hz: wiring.hz,
                limit: wiring.max_hz,
                user: OPC,
                key: "opc.hz of the board profile",
                pins: ["SCK", "SDI", "SDO", "/SS"],
            });
        }
        hookups
    }

    fn claims(&self, config: &Config) -> Vec<Claim> {
        let mut claims: Vec<Claim> = self
            .header
            .iter()
            .filter_map(|(gpio, line)| {
                Some(Claim {
                    gpio: *gpio,
                    name: line.reserved.clone()?,
                    user: "",
                    wire: None,
                })
            })
            .collect();
        if let Some(uart) = self.tcam_uart(config) {
            claims.push(uart_claim(uart, uart.tx, "TX", "RX"));
            claims.push(uart_claim(uart, uart.rx, "RX", "TX"));
        }
        let hookups = self.hookups(config);
        for bus in &self.spis {
            let users: Vec<&Hookup<'_>> = hookups
                .iter()
                .filter(|hookup| hookup.bus.name == bus.name)
                .collect();
            if !users.is_empty() {
                claims.extend(spi_claims(bus, &users));
            }
        }
        claims.extend(self.lines.assigned().map(|(name, line)| Claim {
            gpio: line.gpio,
            name: name.into(),
            user: "",
            wire: Some((name.into(), line_target(name).into())),
        }));
        claims
    }

    fn pin_text(&self, gpio: u8) -> String {
        match self.header.get(&gpio) {
            Some(line) => format!("GPIO {gpio} (pin {})", line.pin),
            None => format!("GPIO {gpio}"),
        }
    }

    fn double_claims(&self, claims: &[Claim]) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (index, claim) in claims.iter().enumerate() {
            let earlier = claims[..index]
                .iter()
                .find(|other| other.gpio == claim.gpio);
            if let Some(earlier) = earlier {
                let pin = self.pin_text(claim.gpio);
                conflicts.push(Conflict {
                    gpio: Some(claim.gpio),
                    text: format!("{pin} is claimed by {earlier} and by {claim}"),
                });
            }
        }
        conflicts
    }

    fn lacking_lines(&self, claims: &[Claim]) -> Vec<Conflict> {
        claims
            .iter()
            .filter(|claim| !self.header.contains_key(&claim.gpio))
            .map(|claim| Conflict {
                gpio: Some(claim.gpio),
                text: format!(
                    "{claim} needs GPIO {}, which the header of {} does not have",
                    claim.gpio, self.id
                ),
            })
            .collect()
    }

    fn bus_conflicts(&self, config: &Config) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        if self.tcam_on_header(config) {
            let tcam = &config.tcam;
            conflicts.extend(self.missing_uart(tcam.uart.as_deref()));
            conflicts.extend(self.missing_spi(tcam.spi.as_deref()));
        }
        if Self::opc_on_header(config) && self.opc.is_none() {
            conflicts.push(Conflict::of(format!(
                "opc.link is spi, but board {} has no SPI bus for the {OPC}",
                self.id
            )));
        }
        for Hookup {
            bus,
            hz,
            limit,
            user,
            key,
            ..
        } in self.hookups(config)
        {
            if hz > bus.max_hz {
                let text = format!(
                    "{key}: {hz} is above the {} hertz of {}",
                    bus.max_hz, bus.name
                );
                conflicts.push(Conflict::of(text));
            } else if hz > limit {
                let text = format!("{key}: {hz} is above the {limit} hertz that the {user} bears");
                conflicts.push(Conflict::of(text));
            }
        }
        conflicts
    }

    fn missing_uart(&self, device: Option<&Path>) -> Option<Conflict> {
        let Some(device) = device else {
            let text = format!("tcam.uart: board {} has no UART for the {TCAM}", self.id);
            return Some(Conflict::of(text));
        };
        let known = self
            .uarts
            .iter()
            .any(|uart| uart.device == device || uart.fallback.as_deref() == Some(device));
        // Other nodes (ttyUSB0) are not on the header: they use no pin.
        let name = device.to_str().unwrap_or_default();
        let on_soc = ["/dev/ttyAMA", "/dev/ttyS", "/dev/serial"]
            .iter()
            .any(|start| name.starts_with(start) && !name.starts_with("/dev/serial/"));
        let names = self
            .uarts
            .iter()
            .map(|uart| uart.device.display().to_string());
        (on_soc && !known).then(|| {
            Conflict::of(format!(
                "tcam.uart: {name} is not a UART on the header of {} (it has {})",
                self.id,
                listed(names.collect())
            ))
        })
    }

    fn missing_spi(&self, device: Option<&Path>) -> Option<Conflict> {
        let Some(device) = device else {
            let text = format!("tcam.spi: board {} has no SPI bus for the {TCAM}", self.id);
            return Some(Conflict::of(text));
        };
        if let Some(reserved) = self.reserved.iter().find(|other| other.device == device) {
            return Some(Conflict::of(format!(
                "tcam.spi: {} must never be used: {}",
                device.display(),
                reserved.reason
            )));
        }
        if self.spi_device(device).is_some() {
            return None;
        }
        let nodes = self.spis.iter().flat_map(|bus| {
            let numbers = 0..bus.chip_selects.len();
            numbers.map(|number| format!("{}.{number}", bus.path))
        });
        Some(Conflict::of(format!(
            "tcam.spi: {} is not an SPI device on the header of {} (it has {})",
            device.display(),
            self.id,
            listed(nodes.collect())
        )))
    }
}

impl Conflict {
    fn of(text: String) -> Self {
        Self { gpio: None, text }
    }
}

fn uart_claim(uart: &Uart, gpio: u8, own: &str, theirs: &str) -> Claim {
    Claim {
        gpio,
        name: format!("{} {own}", uart.name),
        user: TCAM,
        wire: Some((format!("{} {own}", uart.name), format!("{TCAM} {theirs}"))),
    }
}

/// All lines of a bus that somebody uses. Its driver holds every chip-select, also those without a device.
fn spi_claims(bus: &SpiBus, users: &[&Hookup<'_>]) -> Vec<Claim> {
    let shared = [("SCLK", bus.sclk), ("MOSI", bus.mosi), ("MISO", bus.miso)];
    let mut claims: Vec<Claim> = shared
        .into_iter()
        .enumerate()
        .map(|(index, (name, gpio))| {
            let targets: Vec<String> = users
                .iter()
                .filter(|user| !user.pins[index].is_empty())
                .map(|user| format!("{} {}", user.user, user.pins[index]))
                .collect();
            let target = match targets.is_empty() {
                true => "not connected".into(),
                false => targets.join(", "),
            };
            Claim {
                gpio,
                name: format!("{} {name}", bus.name),
                user: users[0].user,
                wire: Some((format!("{} {name}", bus.name), target)),
            }
        })
        .collect();
    for (number, gpio) in bus.chip_selects.iter().enumerate() {
        let mut own = users
            .iter()
            .filter(|user| usize::from(user.chip_select) == number);
        let first = own.next();
        let claim = |user: Option<&&Hookup<'_>>| Claim {
            gpio: *gpio,
            name: format!("{} chip-select {number}", bus.name),
            user: user.map_or("held by the bus driver", |user| user.user),
            wire: user.map(|user| {
                let function = format!("{} CE{number}", bus.name);
                (function, format!("{} {}", user.user, user.pins[3]))
            }),
        };
        claims.push(claim(first));
        claims.extend(own.map(|user| claim(Some(user))));
    }
    claims
}

/// Serial ports that two instruments want for themselves.
fn shared_ports(config: &Config, board: &Profile) -> Vec<Conflict> {
    let tcam = config
        .tcam
        .uart
        .as_deref()
        .filter(|_| board.tcam_on_header(config));
    let by_usb = matches!(config.opc.link, OpcLink::UsbIss | OpcLink::Auto);
    let opc = config
        .opc
        .tty
        .as_deref()
        .filter(|_| config.opc.enabled && by_usb);
    let scope = match &config.bitscope.url {
        BitscopeUrl::Serial(path) if config.bitscope.enabled => Some(path.as_path()),
        _ => None,
    };
    let ports = [(TCAM, tcam), (OPC, opc), (SCOPE, scope)];
    let mut conflicts = Vec::new();
    for (index, (user, port)) in ports.iter().enumerate() {
        let Some(port) = port else { continue };
        if let Some((other, _)) = ports[..index].iter().find(|(_, used)| *used == Some(port)) {
            let port = port.display();
            conflicts.push(Conflict::of(format!(
                "{port} is claimed by the {other} and by the {user}"
            )));
        }
    }
    conflicts
}

fn line_target(name: &str) -> &'static str {
    match name {
        "tcam_power" => "thermal camera supply switch",
        "tcam_reset" => "thermal camera reset (EN of its ESP32)",
        "opc_supply" => "particle counter supply switch",
        "status_led" => "status LED, through a resistor, to GND",
        "shutdown_button" => "shutdown button, to GND",
        _ => "",
    }
}

fn listed(names: Vec<String>) -> String {
    match names.is_empty() {
        true => "none".into(),
        false => names.join(", "),
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            "" => out.write_str(&self.name),
            user => write!(out, "{} ({user})", self.name),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}
