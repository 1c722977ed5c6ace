//! Output lines of the 40-pin header, by BCM number.

use rppal::gpio::{Gpio, OutputPin};

/// Why a line cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum GpioError {
    /// The GPIO controller or the line is not to be had.
    #[error("GPIO {line} of {chip} cannot be driven")]
    Line {
        /// Label of the controller in the board profile.
        chip: String,
        /// BCM number.
        line: u8,
        /// Why.
        #[source]
        source: rppal::gpio::Error,
    },
}

/// The light that says "ready". It goes out, and the line becomes an input, when this is dropped.
#[derive(Debug)]
pub struct StatusLed {
    pin: OutputPin,
    active_low: bool,
}

impl StatusLed {
    /// Takes the line and lights it.
    ///
    /// # Errors
    /// [`GpioError::Line`] off a Raspberry Pi, without the right to `/dev/gpiomem`, or for a line in use.
    pub fn light(chip: &str, line: u8, active_low: bool) -> Result<Self, GpioError> {
        let pin = output(chip, line, !active_low)?;
        Ok(Self { pin, active_low })
    }
}

impl Drop for StatusLed {
    fn drop(&mut self) {
        if self.active_low {
            self.pin.set_high();
        } else {
            self.pin.set_low();
        }
    }
}

/// A line that switches something: a supply, a reset. It becomes an input when this is dropped.
#[derive(Debug)]
pub struct OutputLine {
    pin: OutputPin,
    active_low: bool,
}

impl OutputLine {
    /// Takes the line and sets it: `on` is the low level where `active_low` says so.
    ///
    /// # Errors
    /// [`GpioError::Line`] off a Raspberry Pi, without the right to `/dev/gpiomem`, or for a line in use.
    pub fn open(chip: &str, line: u8, active_low: bool, on: bool) -> Result<Self, GpioError> {
        let pin = output(chip, line, on != active_low)?;
        Ok(Self { pin, active_low })
    }

    /// Switches it.
    pub fn set(&mut self, on: bool) {
        if on == self.active_low {
            self.pin.set_low();
        } else {
            self.pin.set_high();
        }
    }
}

/// Takes a line as an output; the level is there from the first moment.
fn output(chip: &str, line: u8, high: bool) -> Result<OutputPin, GpioError> {
    let pin = Gpio::new().and_then(|gpio| gpio.get(line));
    let pin = pin.map_err(|source| GpioError::Line {
        chip: chip.to_owned(),
        line,
        source,
    })?;
    Ok(match high {
        true => pin.into_output_high(),
        false => pin.into_output_low(),
    })
}
