//! Board profiles: what a host has (buses, header pins, camera path, RAM) and how Outpost's instruments are wired to it.
//!
//! The shipped profiles are `boards/*.toml`, compiled in; a path names any other. [`detect`] chooses by the device tree,
//! [`Profile::conflicts`] finds pins and buses that a configuration would use twice.

mod conflicts;
mod detect;
mod parse;
mod vitals;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use conflicts::{Conflict, Wire};
pub use detect::{Detected, DeviceTree, detect};
pub use vitals::Vitals;

use crate::config::{ConfigErrors, Document, Found};

/// The shipped profiles: id and text.
const SHIPPED: [(&str, &str); 6] = [
    ("sim", include_str!("../../boards/sim.toml")),
    ("pi3b", include_str!("../../boards/pi3b.toml")),
    ("pi4b", include_str!("../../boards/pi4b.toml")),
    ("pi5", include_str!("../../boards/pi5.toml")),
    ("zero2w", include_str!("../../boards/zero2w.toml")),
    ("cm4", include_str!("../../boards/cm4.toml")),
];

/// One host with its wiring.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Short name, as `--board` takes it.
    pub id: String,
    /// The product's own name.
    pub name: String,
    /// One sentence for `outpost boards`.
    pub description: String,
    /// Device-tree `compatible` strings that mean this board.
    pub compatible: Vec<String>,
    /// Beginnings of the device-tree `model` that mean this board, where no `compatible` string decides.
    pub models: Vec<String>,
    /// Name of the `config.txt` fragment of the flashed image, if it needs one.
    pub config_txt: Option<String>,
    /// Where the kernel shows the board's own sensors; `None` on a board whose health is not looked at.
    pub sysfs: Option<PathBuf>,
    /// UARTs that the header can offer.
    pub uarts: Vec<Uart>,
    /// SPI buses that the header can offer.
    pub spis: Vec<SpiBus>,
    /// Device nodes that must never be opened.
    pub reserved: Vec<Reserved>,
    /// The chip of the header's GPIO lines; `None` on a board without GPIO.
    pub gpio: Option<GpioChip>,
    /// The header's lines by BCM number.
    pub header: BTreeMap<u8, HeaderLine>,
    /// How the thermal camera is wired; `None` where it cannot be.
    pub tcam: Option<TcamWiring>,
    /// Where a particle counter without its USB bridge is wired; `None` where it cannot be.
    pub opc: Option<SpiWiring>,
    /// GPIO lines and what they are for.
    pub lines: Lines,
    /// Camera pipeline and raw format.
    pub camera: CameraPath,
    /// Size of the RAM disk.
    pub ramdisk: RamdiskSize,
    pub(crate) defaults: Vec<(usize, Found)>,
    /// Where relative paths of `defaults` start.
    pub(crate) folder: PathBuf,
}

/// A UART on the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uart {
    /// Its name in the board's documents, `uart0`.
    pub name: String,
    /// Device node.
    pub device: PathBuf,
    /// Node to use where `device` does not exist.
    pub fallback: Option<PathBuf>,
    /// BCM line of its output.
    pub tx: u8,
    /// BCM line of its input.
    pub rx: u8,
    /// What else uses this UART unless the system is set up otherwise (`console`, `bluetooth`).
    pub shared_with: Vec<String>,
    /// Lines of `config.txt` that bring it to the header.
    pub config_txt: Vec<String>,
}

/// An SPI bus on the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiBus {
    /// Its name in the board's documents, `spi0`.
    pub name: String,
    /// Device node without the chip-select: `/dev/spidev0`.
    pub path: String,
    /// Highest clock, Hz.
    pub max_hz: u32,
    /// BCM line of the clock.
    pub sclk: u8,
    /// BCM line of the output.
    pub mosi: u8,
    /// BCM line of the input.
    pub miso: u8,
    /// BCM lines of the chip-selects 0, 1, ...
    pub chip_selects: Vec<u8>,
    /// Lines of `config.txt` that switch it on.
    pub config_txt: Vec<String>,
}

/// A device node to keep away from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// Device node.
    pub device: PathBuf,
    /// What it is.
    pub reason: String,
}

/// The GPIO chip of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpioChip {
    /// Label of the gpiochip: the way to find it, since its number changes between kernels.
    pub label: String,
    /// Node of the register window that rppal maps.
    pub node: PathBuf,
    /// Number of lines.
    pub lines: u8,
}

/// One line of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    /// Header pin, 1..40.
    pub pin: u8,
    /// What the line can do besides plain input and output.
    pub functions: Vec<String>,
    /// Who always owns it, such as the ID EEPROM.
    pub reserved: Option<String>,
}

/// A device on an SPI bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiWiring {
    /// Name of the bus.
    pub bus: String,
    /// Chip-select number.
    pub chip_select: u8,
    /// SPI mode 0..3.
    pub mode: u8,
    /// Clock in Hz.
    pub hz: u32,
    /// Highest clock the device bears, Hz.
    pub max_hz: u32,
}

/// How the thermal camera is wired: the two halves of its hardware interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcamWiring {
    /// Name of the UART of its commands.
    pub uart: String,
    /// Where its images come from.
    pub spi: SpiWiring,
}

/// One assigned GPIO line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// BCM number.
    pub gpio: u8,
    /// Whether the low level means "on" or "pressed".
    pub active_low: bool,
    /// Pull resistor.
    pub pull: Pull,
}

/// Pull resistor of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// None: the line floats or is driven from outside.
    None,
    /// To 3.3 V.
    Up,
    /// To ground.
    Down,
}

impl Pull {
    /// As the firmware's overlays write it: `off`, `up`, `down`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "off",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// The assigned lines; `None` = not wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// Switches the thermal camera's supply.
    pub tcam_power: Option<Line>,
    /// Resets the thermal camera (EN of its ESP32).
    pub tcam_reset: Option<Line>,
    /// Switches the particle counter's supply.
    pub opc_supply: Option<Line>,
    /// Shows that the station runs.
    pub status_led: Option<Line>,
    /// Asks for an orderly shutdown.
    pub shutdown_button: Option<Line>,
}

impl Lines {
    /// Every assigned line with its name in the profile.
    pub fn assigned(&self) -> impl Iterator<Item = (&'static str, Line)> {
        [
            ("tcam_power", self.tcam_power),
            ("tcam_reset", self.tcam_reset),
            ("opc_supply", self.opc_supply),
            ("status_led", self.status_led),
            ("shutdown_button", self.shutdown_button),
        ]
        .into_iter()
        .filter_map(|(name, line)| line.map(|line| (name, line)))
    }
}

/// How frames of the HQ camera reach memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CameraPath {
    /// The pipeline handler of libcamera, or none.
    pub pipeline: Pipeline,
    /// Raw format to ask for.
    pub raw: RawPolicy,
}

/// Camera pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipeline {
    /// unicam and the ISP of Pi 0 to 4.
    Vc4,
    /// CFE and PiSP of Pi 5.
    Pisp,
    /// libcamera's virtual camera.
    Virtual,
    /// Outpost's simulated camera.
    Sim,
}

/// Raw format of a 12-bit sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawPolicy {
    /// 12-bit CSI-2 packed: 3 bytes for 2 pixels.
    Packed12,
    /// 16-bit little-endian words; a sample stands `shift` bits above the lowest.
    Unpacked16 {
        /// Bits to shift right (4 where samples are aligned to the highest bit).
        shift: u8,
    },
}

/// Size of the RAM disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RamdiskSize {
    /// So many MB.
    Megabytes(u32),
    /// So many percent of the RAM.
    PercentOfRam(u8),
}

/// Names of the shipped profiles.
pub fn names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(id, _)| *id).collect()
}

/// Whether a board is named by a path rather than a profile's name.
pub fn is_path(name: &str) -> bool {
    name.contains('/') || name.ends_with(".toml")
}

impl Profile {
    /// A shipped profile. Errors: there is none of this name.
    pub fn named(id: &str) -> Result<Self, ConfigErrors> {
        let shipped = SHIPPED.iter().find(|(name, _)| *name == id);
        let (_, text) = shipped.ok_or_else(|| unknown_name(id))?;
        let document = Document::new(&format!("boards/{id}.toml"), text);
        parse::profile(&document, Path::new("/"))
    }

    /// A profile from a file.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let document = Document::read(path)?;
        parse::profile(&document, &crate::config::folder_of(path))
    }

    /// A profile from its text; `file` is the name shown in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigErrors> {
        parse::profile(&Document::new(file, text), Path::new("/"))
    }

    /// Every shipped profile, `sim` first.
    pub fn shipped() -> impl Iterator<Item = Result<Self, ConfigErrors>> {
        SHIPPED.iter().map(|(id, _)| Self::named(id))
    }

    /// Whether instruments are simulated unless configured otherwise.
    pub fn is_simulated(&self) -> bool {
        self.camera.pipeline == Pipeline::Sim
    }

    /// The UART of that name.
    pub fn uart(&self, name: &str) -> Option<&Uart> {
        self.uarts.iter().find(|uart| uart.name == name)
    }

    /// The SPI bus of that name.
    pub fn spi(&self, name: &str) -> Option<&SpiBus> {
        self.spis.iter().find(|bus| bus.name == name)
    }
}

impl SpiBus {
    /// The device node of one chip-select.
    pub fn device(&self, chip_select: u8) -> PathBuf {
        format!("{}.{chip_select}", self.path).into()
    }
}

fn unknown_name(id: &str) -> ConfigErrors {
    let text = format!("there is no board profile \"{}\"", id.escape_debug());
    crate::config::Problem::new(None, "board", text).into()
}
