//! One conversation with a BitScope, over a byte stream or datagrams.
//!
//! The device echoes every byte when it is done with it, and nothing else frames the conversation. Each wait has a
//! limit; when an echo is wrong or late, the device is reset and asked who it is before anything else
//! ([`Scope::resynchronise`]). An operation dropped half-way is made up for in the same way by the next one.

mod capture;
mod error;
mod exchange;
mod generators;
mod link;
mod raw;

pub use self::error::ScopeError;
pub use self::link::{ByteStream, Datagrams, Link, Port};
pub use self::raw::Raw;

use std::path::{Path, PathBuf};

use self::link::Wire;
use super::proto::{ClockPlan, Register, WaveformPlan};
use crate::base::clock::Clock;
use crate::base::trace::Trace;

/// Speed of the serial port: the device adapts to any.
pub const BAUD: u32 = 115_200;
/// USB vendor and product id of FTDI's adapter, which other instruments have as well.
pub const USB_ID: (u16, u16) = (0x0403, 0x6001);

/// Which of the serial adapters may be a BitScope, in the order in which to ask them: those with the right ids that
/// nobody else claims. Each comes as its names and ids.
///
/// Each of `adapters` is all paths of one device with its USB ids; `claimed` are paths that another driver or the board
/// profile has. A device is left out when any of its names is claimed.
pub fn candidates<'a>(
    adapters: &'a [(Vec<PathBuf>, (u16, u16))],
    claimed: &[PathBuf],
) -> Vec<&'a Path> {
    adapters
        .iter()
        .filter(|(names, id)| *id == USB_ID && !names.iter().any(|name| claimed.contains(name)))
        .filter_map(|(names, _)| names.first().map(PathBuf::as_path))
        .collect()
}

/// Who the device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Such as `BS000501`.
    pub revision: String,
    /// Such as `DB98TI79`.
    pub serial_number: String,
}

/// A conversation with a BitScope. One operation at a time; all of them leave the link usable unless they fail with
/// [`ScopeError::Link`].
pub struct Scope {
    wire: Wire,
    identity: Identity,
    waveform: Option<WaveformPlan>,
    clock_plan: Option<ClockPlan>,
    /// An exchange began and did not end: the device may have more to say.
    dirty: bool,
}

impl Scope {
    /// Resets the device and asks who it is.
    ///
    /// # Errors
    /// [`ScopeError::Model`] for anything but a BitScope Micro; those of the link.
    pub async fn connect(link: Link, clock: Clock, trace: Trace) -> Result<Self, ScopeError> {
        let mut scope = Self {
            wire: Wire::new(link, clock, trace),
            identity: Identity {
                revision: String::new(),
                serial_number: String::new(),
            },
            waveform: None,
            clock_plan: None,
            dirty: false,
        };
        scope.identify().await?;
        Ok(scope)
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The waveform that runs, if any.
    pub fn waveform(&self) -> Option<&WaveformPlan> {
        self.waveform.as_ref()
    }

    /// The clock that runs, if any.
    pub fn clock(&self) -> Option<&ClockPlan> {
        self.clock_plan.as_ref()
    }

    /// Whether host and device agree on what comes next. If not, the next operation resets the device first.
    pub fn is_in_step(&self) -> bool {
        !self.dirty
    }

    /// Watches an idle link until it fails. What comes meanwhile belongs to nobody. Can be dropped at any time.
    pub async fn watch(&mut self) -> ScopeError {
        loop {
            if let Err(error) = self.wire.fill(None).await {
                return error;
            }
            self.wire.clear();
        }
    }

    /// The raw value of a register, at most 4 bytes.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn read_register(&mut self, register: Register) -> Result<u32, ScopeError> {
        self.settle().await?;
        let result = self.read_bytes(register).await;
        self.conclude(result).await
    }

    /// Writes registers, without applying them to the hardware.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn write_registers(&mut self, writes: &[(Register, u32)]) -> Result<(), ScopeError> {
        let mut string = Vec::new();
        super::proto::write_string(writes, &mut string);
        self.settle().await?;
        let result = self.run(&string).await;
        self.conclude(result).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(names: &[&str], id: (u16, u16)) -> (Vec<PathBuf>, (u16, u16)) {
        (names.iter().map(PathBuf::from).collect(), id)
    }

    #[test]
    fn adapters_of_other_instruments_are_never_opened() {
        let plugged = [
            adapter(
                &["/dev/serial/by-id/usb-Microchip", "/dev/ttyACM0"],
                (0x04d8, 0xffee),
            ),
            adapter(&["/dev/serial/by-id/usb-FTDI_A", "/dev/ttyUSB0"], USB_ID),
            adapter(&["/dev/ttyUSB1"], USB_ID),
            adapter(&["/dev/ttyUSB2"], (0x0403, 0x6015)),
        ];
        let paths = |claimed: &[&str]| -> Vec<PathBuf> {
            let claimed: Vec<PathBuf> = claimed.iter().map(PathBuf::from).collect();
            let found = candidates(&plugged, &claimed).into_iter();
            found.map(Path::to_path_buf).collect()
        };
        let (first, second) = ("/dev/serial/by-id/usb-FTDI_A", "/dev/ttyUSB1");
        assert_eq!(paths(&[]), [first, second].map(PathBuf::from));
        // Whichever of its names is claimed.
        assert_eq!(paths(&["/dev/ttyUSB0"]), [PathBuf::from(second)]);
        assert_eq!(paths(&[first]), [PathBuf::from(second)]);
        assert_eq!(paths(&[second, "/dev/ttyAMA0"]), [PathBuf::from(first)]);
        assert!(paths(&[first, second]).is_empty());
    }
}
