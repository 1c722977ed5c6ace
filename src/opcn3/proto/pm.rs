//! PM alone: three f32 in ug/m3 and a checksum.

use super::{FrameError, Writer, crc, exactly, f32_at};

/// Mass concentrations since the last histogram or PM was read. Reading them resets the histogram too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pm {
    /// PM A, B and C, ug/m3: 1, 2.5 and 10 um unless configured otherwise.
    pub values: [f32; 3],
}

impl Pm {
    /// Bytes of the reply.
    pub const LENGTH: usize = 14;

    /// Reads a reply, its checksum first.
    ///
    /// # Errors
    /// [`FrameError::Length`], [`FrameError::Checksum`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let frame: &[u8; Self::LENGTH] = exactly(bytes)?;
        crc::check(frame)?;
        let values = std::array::from_fn(|index| f32_at(frame, 4 * index));
        Ok(Self { values })
    }

    /// The reply, as the counter sends it.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut frame = [0; Self::LENGTH];
        let mut writer = Writer::new(&mut frame);
        self.values.iter().for_each(|value| writer.f32(*value));
        crc::seal(&mut frame);
        frame
    }
}
