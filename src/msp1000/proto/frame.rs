//! One readout of the CCD line (Toshiba TCD1304): 3694 counts of 16 bits, low byte first, 7388 bytes.
//!
//! | index | count | content |
//! |---|---|---|
//! | 0..=15 | 16 | dummy outputs |
//! | 16..=28 | 13 | shielded from light |
//! | 29..=31 | 3 | dummy outputs |
//! | 32..=3679 | 3648 | active pixels 0..=3647 |
//! | 3680..=3693 | 14 | dummy outputs |
//!
//! Source: the sensor's data sheet; that the active pixels begin at 32 is also in the vendor's client.

use std::ops::RangeInclusive;

use super::spectrum::Spectrum;

/// Counts of a frame.
pub const PIXELS: usize = 3694;
/// Bytes of a frame.
pub const FRAME_BYTES: usize = 2 * PIXELS;
/// Index of the first active pixel.
pub const FIRST_ACTIVE: usize = 32;
/// Pixels that see light.
pub const ACTIVE_PIXELS: usize = 3648;
/// Count of a pixel that may have seen more light than it can tell.
pub const SATURATED: u16 = u16::MAX;

/// The counts of which the mean is the offset of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRange(RangeInclusive<usize>);

impl Default for OffsetRange {
    /// 17..=29, as in the vendor's client, so that numbers agree with its own. The data sheet's shielded pixels are
    /// 16..=28.
    fn default() -> Self {
        Self(17..=29)
    }
}

impl OffsetRange {
    /// Counts `first` to `last` of 0..=3693, both included; `None` where there are none.
    pub fn new(first: usize, last: usize) -> Option<Self> {
        (first <= last && last < PIXELS).then_some(Self(first..=last))
    }

    /// First and last count, both included.
    pub fn bounds(&self) -> (usize, usize) {
        (*self.0.start(), *self.0.end())
    }
}

/// A frame as it was read out, not processed in any way.
#[derive(Clone, PartialEq, Eq)]
pub struct RawFrame(Box<[u16; PIXELS]>);

impl RawFrame {
    /// A frame of these counts.
    pub fn new(counts: Box<[u16; PIXELS]>) -> Self {
        Self(counts)
    }

    /// Reads 7388 bytes; `None` for another length.
    pub fn from_le_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != FRAME_BYTES {
            return None;
        }
        let mut counts = Box::new([0; PIXELS]);
        for (count, pair) in counts.iter_mut().zip(bytes.as_chunks().0) {
            *count = u16::from_le_bytes(*pair);
        }
        Some(Self(counts))
    }

    /// Appends the 7388 bytes.
    pub fn write_le_bytes(&self, out: &mut Vec<u8>) {
        let before = out.len();
        out.resize(before + FRAME_BYTES, 0);
        for (pair, count) in out[before..].as_chunks_mut().0.iter_mut().zip(&*self.0) {
            *pair = count.to_le_bytes();
        }
    }

    /// All counts, dummies included.
    pub fn counts(&self) -> &[u16; PIXELS] {
        &self.0
    }

    /// Counts of the active pixels.
    pub fn active(&self) -> &[u16] {
        &self.0[FIRST_ACTIVE..FIRST_ACTIVE + ACTIVE_PIXELS]
    }

    /// Mean of the counts in `range`: what the CCD gives without light.
    pub fn offset(&self, range: &OffsetRange) -> f64 {
        let counts = &self.0[range.0.clone()];
        let sum: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        sum as f64 / counts.len() as f64
    }

    /// The active pixels less the offset, saturated ones marked.
    pub fn remove_bias(&self, range: &OffsetRange) -> Spectrum {
        let offset = self.offset(range);
        let active = self.active();
        let values = active.iter().map(|count| f64::from(*count) - offset);
        let saturated = (0u16..).zip(active).filter(|(_, c)| **c == SATURATED);
        Spectrum::bias_removed(
            values.collect(),
            saturated.map(|(pixel, _)| pixel).collect(),
        )
    }
}

impl std::fmt::Debug for RawFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawFrame({:?}..)", &self.0[..4])
    }
}
