//! The spot meter: statistics of an area, made by the Lepton.

use super::{COLUMNS, ROWS};

/// A rectangle of pixels, bounds inclusive, in the camera's order: rows and columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpotArea {
    /// First row.
    pub row1: u16,
    /// First column.
    pub col1: u16,
    /// Last row.
    pub row2: u16,
    /// Last column.
    pub col2: u16,
}

impl SpotArea {
    /// The middle four pixels, as after power-on.
    pub const CENTER: Self = Self {
        row1: 59,
        col1: 79,
        row2: 60,
        col2: 80,
    };

    /// Clamped as the camera does: r1 0 to 118, c1 0 to 158, r2 from r1 + 1 to 119, c2 from c1 + 1 to 159.
    pub fn clamped(row1: i32, col1: i32, row2: i32, col2: i32) -> Self {
        let (last_row, last_col) = (ROWS as i32 - 1, COLUMNS as i32 - 1);
        let row1 = row1.clamp(0, last_row - 1);
        let col1 = col1.clamp(0, last_col - 1);
        Self {
            row1: row1 as u16,
            col1: col1 as u16,
            row2: row2.clamp(row1 + 1, last_row) as u16,
            col2: col2.clamp(col1 + 1, last_col) as u16,
        }
    }

    /// As four words: row1, col1, row2, col2.
    pub fn words(&self) -> [u16; 4] {
        [self.row1, self.col1, self.row2, self.col2]
    }

    /// From four words: row1, col1, row2, col2.
    pub fn from_words([row1, col1, row2, col2]: [u16; 4]) -> Self {
        Self {
            row1,
            col1,
            row2,
            col2,
        }
    }
}

/// The spot meter: counts at the frame's resolution, kelvin even when AGC is on, except on a Lepton 3.0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spot {
    /// Mean, truncated.
    pub mean: u16,
    /// Greatest.
    pub max: u16,
    /// Least.
    pub min: u16,
    /// Pixels in the area.
    pub population: u16,
    /// Where.
    pub area: SpotArea,
}
