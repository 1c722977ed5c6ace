//! DAC and power status: fan on, laser DAC on, fan pot, laser pot, laser switch, gain.

use super::{FrameError, exactly};

/// What is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The fan runs.
    pub fan_on: bool,
    /// The laser's digital pot is not shut down.
    pub laser_dac_on: bool,
    /// Digital pot of the fan: its speed. Below about 115 it does not turn.
    pub fan_pot: u8,
    /// Digital pot of the laser: its power. Part of the calibration.
    pub laser_pot: u8,
    /// The laser's power switch: this tells whether it is on.
    pub laser_on: bool,
    /// High gain, for the smaller particles.
    pub gain_high: bool,
    /// The gain alternates by itself.
    pub gain_toggles: bool,
}

impl Status {
    /// Bytes of the reply.
    pub const LENGTH: usize = 6;

    /// Reads a reply. It has no checksum.
    ///
    /// # Errors
    /// [`FrameError::Length`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let [fan, laser_dac, fan_pot, laser_pot, laser, gain]: &[u8; Self::LENGTH] =
            exactly(bytes)?;
        Ok(Self {
            fan_on: fan & 1 == 1,
            laser_dac_on: laser_dac & 1 == 1,
            fan_pot: *fan_pot,
            laser_pot: *laser_pot,
            laser_on: laser & 1 == 1,
            gain_high: gain & 1 == 1,
            gain_toggles: gain & 2 == 2,
        })
    }

    /// The reply, as the counter sends it.
    pub fn encode(self) -> [u8; Self::LENGTH] {
        [
            self.fan_on.into(),
            self.laser_dac_on.into(),
            self.fan_pot,
            self.laser_pot,
            self.laser_on.into(),
            u8::from(self.gain_high) | u8::from(self.gain_toggles) << 1,
        ]
    }
}
