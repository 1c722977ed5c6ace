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
        let fail = |source| GpioError::Line {
            chip: chip.to_owned(),
            line,
            source,
        };
        let pin = Gpio::new().and_then(|gpio| gpio.get(line)).map_err(fail)?;
        let pin = if active_low {
            pin.into_output_low()
        } else {
            pin.into_output_high()
        };
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
