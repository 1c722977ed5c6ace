//! What is made of a window: packed bytes, pixels, or binned pixels.

use super::Window;

/// Largest number of binning rounds: one value then is the sum of 64 x 64 pixels.
pub const MAX_BINNING_ROUNDS: u8 = 6;

/// Why an array cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// More rounds than 16-bit sums can be of use for, or none.
    #[error("{rounds} binning rounds are not possible: use 1 to {MAX_BINNING_ROUNDS}")]
    Rounds {
        /// Rounds asked for.
        rounds: i64,
    },
    /// Blocks would stand over the window's edge.
    #[error("a window of {w} x {h} pixels does not divide into blocks of {block} x {block}")]
    NotDivisible {
        /// Columns.
        w: usize,
        /// Rows.
        h: usize,
        /// Edge of a block, 2^n pixels.
        block: usize,
    },
}

/// Size of a two-dimensional array in C order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub rows: usize,
    /// Elements in a row.
    pub columns: usize,
}

impl Shape {
    /// Number of elements.
    pub fn element_count(&self) -> usize {
        self.rows.saturating_mul(self.columns)
    }
}

/// The array that is stored of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// DBAY off: each packed 12-bit byte widened to 16 bits; h rows of 3w/2.
    PackedBytes,
    /// DBAY on: pixels 0..=4095; h rows of w.
    Pixels,
    /// SRNK n, 1..=6: sums of blocks of 2^n x 2^n pixels, clamped to 65535; a block that holds a saturated pixel
    /// (4095) is 65535. h/2^n rows of w/2^n.
    Binned(u8),
}

impl Mode {
    /// The mode that DBAY and SRNK select together: `srnk` > 0 unpacks in any case, below 0 counts as 0.
    pub fn from_settings(dbay: bool, srnk: i64) -> Result<Mode, ModeError> {
        match u8::try_from(srnk.max(0)) {
            Ok(0) if dbay => Ok(Mode::Pixels),
            Ok(0) => Ok(Mode::PackedBytes),
            Ok(n) if n <= MAX_BINNING_ROUNDS => Ok(Mode::Binned(n)),
            _ => Err(ModeError::Rounds { rounds: srnk }),
        }
    }

    /// Rounds of 2 x 2 summing.
    pub fn binning_rounds(self) -> u8 {
        match self {
            Mode::PackedBytes | Mode::Pixels => 0,
            Mode::Binned(n) => n,
        }
    }

    /// Pixels along the edge of the block that makes one value: 1 without binning.
    pub fn block(self) -> usize {
        1 << self.binning_rounds().min(MAX_BINNING_ROUNDS)
    }

    /// A level of single pixels (black, white) in the array's own counts: 4^n times, clamped to 65535.
    pub fn scale_level(self, level: u16) -> u16 {
        let block = self.block() as u64;
        u16::try_from(u64::from(level) * block * block).unwrap_or(u16::MAX)
    }

    /// Shape of the array made of `window`, or why it cannot be made.
    pub fn shape(self, window: &Window) -> Result<Shape, ModeError> {
        let Window { w, h, .. } = *window;
        match self {
            Mode::PackedBytes => Ok(Shape {
                rows: h,
                columns: (w / 2).saturating_mul(3),
            }),
            Mode::Pixels => Ok(Shape {
                rows: h,
                columns: w,
            }),
            Mode::Binned(n) if n == 0 || n > MAX_BINNING_ROUNDS => Err(ModeError::Rounds {
                rounds: i64::from(n),
            }),
            Mode::Binned(_) => {
                let block = self.block();
                if w % block != 0 || h % block != 0 {
                    return Err(ModeError::NotDivisible { w, h, block });
                }
                Ok(Shape {
                    rows: h / block,
                    columns: w / block,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_select_the_mode() {
        assert_eq!(Mode::from_settings(false, 0), Ok(Mode::PackedBytes));
        assert_eq!(Mode::from_settings(true, 0), Ok(Mode::Pixels));
        assert_eq!(Mode::from_settings(false, -3), Ok(Mode::PackedBytes));
        assert_eq!(Mode::from_settings(false, 1), Ok(Mode::Binned(1)));
        assert_eq!(Mode::from_settings(true, 6), Ok(Mode::Binned(6)));
        for srnk in [7, 255, 256, i64::MAX] {
            assert_eq!(
                Mode::from_settings(true, srnk),
                Err(ModeError::Rounds { rounds: srnk })
            );
        }
    }

    /// Shapes of the full frame: reference, section 11.
    #[test]
    fn full_frame_shapes() {
        let full = Window {
            x: 0,
            y: 0,
            w: 4056,
            h: 3040,
        };
        let payload = |mode: Mode| {
            mode.shape(&full)
                .map(|s| (s.rows, s.columns, s.element_count() * 2))
        };
        assert_eq!(payload(Mode::PackedBytes), Ok((3040, 6084, 36_990_720)));
        assert_eq!(payload(Mode::Pixels), Ok((3040, 4056, 24_660_480)));
        assert_eq!(payload(Mode::Binned(1)), Ok((1520, 2028, 6_165_120)));
        assert_eq!(payload(Mode::Binned(2)), Ok((760, 1014, 1_541_280)));
        assert_eq!(payload(Mode::Binned(3)), Ok((380, 507, 385_320)));
        assert!(matches!(
            payload(Mode::Binned(4)),
            Err(ModeError::NotDivisible { block: 16, .. })
        ));
        assert_eq!(
            payload(Mode::Binned(0)),
            Err(ModeError::Rounds { rounds: 0 })
        );
        assert_eq!(
            payload(Mode::Binned(7)),
            Err(ModeError::Rounds { rounds: 7 })
        );
    }

    #[test]
    fn levels_grow_fourfold_a_round() {
        assert_eq!(Mode::PackedBytes.scale_level(256), 256);
        assert_eq!(Mode::Binned(1).scale_level(256), 1024);
        assert_eq!(Mode::Binned(3).scale_level(256), 16384);
        assert_eq!(Mode::Binned(4).scale_level(256), 65535);
        assert_eq!(Mode::Binned(2).scale_level(4095), 65520);
        assert_eq!(Mode::Binned(3).scale_level(4095), 65535);
    }
}
