//! How a frame lies in memory, and the window that is cut from it.

use std::fmt;
use std::str::FromStr;

/// Why a frame geometry is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Bayer cells are 2 x 2 pixels, so both sizes are even and at least 2.
    #[error("a frame of {width} x {height} pixels does not consist of whole 2 x 2 Bayer cells")]
    NotWholeCells {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A row does not fit its stride.
    #[error("a stride of {stride_bytes} bytes is too small for rows of {row_bytes} bytes")]
    StrideTooSmall {
        /// Bytes from row to row as given.
        stride_bytes: usize,
        /// Bytes of pixels in a row.
        row_bytes: usize,
    },
    /// The frame exceeds the address space.
    #[error(
        "a frame of {width} x {height} pixels with a stride of {stride_bytes} bytes is too large"
    )]
    TooLarge {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes from row to row.
        stride_bytes: usize,
    },
    /// A text that names no Bayer order.
    #[error("unknown Bayer order: use RGGB, GRBG, GBRG or BGGR")]
    UnknownBayerOrder,
}

/// Why a window cannot be cut from a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Less than one Bayer cell is left after rounding to even values.
    #[error("a window of {w} x {h} pixels is smaller than 2 x 2")]
    TooSmall {
        /// Columns after rounding.
        w: i64,
        /// Rows after rounding.
        h: i64,
    },
    /// Part of the window lies outside the frame.
    #[error("window {x},{y},{w},{h} lies outside the frame of {width} x {height} pixels")]
    Outside {
        /// First column after rounding.
        x: i64,
        /// First row after rounding.
        y: i64,
        /// Columns after rounding.
        w: i64,
        /// Rows after rounding.
        h: i64,
        /// Columns of the frame.
        width: usize,
        /// Rows of the frame.
        height: usize,
    },
    /// A window that was not made by [`Window::even`] or [`Window::centered`].
    #[error("window {x},{y},{w},{h} has odd values")]
    Odd {
        /// First column.
        x: usize,
        /// First row.
        y: usize,
        /// Columns.
        w: usize,
        /// Rows.
        h: usize,
    },
}

/// Order of the color filters in the first two rows, read left to right, top to bottom.
///
/// Read it from the stream, never assume it: the IMX477 gives RGGB or BGGR depending on the board's flips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BayerOrder {
    /// R G / G B
    Rggb,
    /// G R / B G
    Grbg,
    /// G B / R G
    Gbrg,
    /// B G / G R
    Bggr,
}

impl BayerOrder {
    /// The order seen from pixel (`x`, `y`): even offsets keep it, an odd `x` swaps columns, an odd `y` swaps rows.
    pub fn at(self, x: usize, y: usize) -> BayerOrder {
        use BayerOrder::*;
        let columns_swapped = match (self, x % 2) {
            (order, 0) => order,
            (Rggb, _) => Grbg,
            (Grbg, _) => Rggb,
            (Gbrg, _) => Bggr,
            (Bggr, _) => Gbrg,
        };
        match (columns_swapped, y % 2) {
            (order, 0) => order,
            (Rggb, _) => Gbrg,
            (Gbrg, _) => Rggb,
            (Grbg, _) => Bggr,
            (Bggr, _) => Grbg,
        }
    }

    /// Its usual name: `RGGB`, `GRBG`, `GBRG` or `BGGR`.
    pub fn name(self) -> &'static str {
        match self {
            BayerOrder::Rggb => "RGGB",
            BayerOrder::Grbg => "GRBG",
            BayerOrder::Gbrg => "GBRG",
            BayerOrder::Bggr => "BGGR",
        }
    }

    /// The four sites in reading order as TIFF/EP color codes (0 red, 1 green, 2 blue), the form of DNG's CFAPattern.
    pub fn cfa_pattern(self) -> [u8; 4] {
        match self {
            BayerOrder::Rggb => [0, 1, 1, 2],
            BayerOrder::Grbg => [1, 0, 2, 1],
            BayerOrder::Gbrg => [1, 2, 0, 1],
            BayerOrder::Bggr => [2, 1, 1, 0],
        }
    }
}

impl fmt::Display for BayerOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BayerOrder {
    type Err = LayoutError;

    /// Accepts the four names in capitals.
    fn from_str(text: &str) -> Result<Self, LayoutError> {
        use BayerOrder::*;
        [Rggb, Grbg, Gbrg, Bggr]
            .into_iter()
            .find(|order| order.name() == text)
            .ok_or(LayoutError::UnknownBayerOrder)
    }
}

/// How samples are stored in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Two 12-bit pixels in three bytes: high 8 bits of the even pixel, high 8 bits of the odd pixel,
    /// then the low nibbles (even pixel in bits 0-3, odd in bits 4-7). MIPI CSI-2 RAW12 as Unicam stores it.
    Csi2p12,
    /// 16-bit little endian, the 12-bit value in the low bits (Pi 4, unpacked).
    U16Low,
    /// 16-bit little endian, left-aligned: value * 16 (Pi 5).
    U16High,
}

impl Packing {
    /// Bytes that an even number of pixels takes; `None` where the count is beyond `usize`.
    pub fn bytes(self, pixels: usize) -> Option<usize> {
        match self {
            Packing::Csi2p12 => (pixels / 2).checked_mul(3),
            Packing::U16Low | Packing::U16High => pixels.checked_mul(2),
        }
    }
}

/// Geometry of one frame in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes from one row to the next, padding included.
    pub stride_bytes: usize,
    /// How samples are stored.
    pub packing: Packing,
    /// Color filter order of the whole frame.
    pub bayer: BayerOrder,
}

impl Layout {
    /// Says whether frames of this geometry can be read at all. Every other method presumes it.
    pub fn validate(&self) -> Result<(), LayoutError> {
        let Layout {
            width,
            height,
            stride_bytes,
            ..
        } = *self;
        if width < 2 || height < 2 || width % 2 != 0 || height % 2 != 0 {
            return Err(LayoutError::NotWholeCells { width, height });
        }
        let too_large = LayoutError::TooLarge {
            width,
            height,
            stride_bytes,
        };
        let row_bytes = self.packing.bytes(width).ok_or(too_large)?;
        if stride_bytes < row_bytes {
            return Err(LayoutError::StrideTooSmall {
                stride_bytes,
                row_bytes,
            });
        }
        // The largest array made of a frame has two bytes per packed byte or pixel, so it must fit as well.
        stride_bytes
            .checked_mul(height)
            .and_then(|bytes| bytes.checked_mul(2))
            .filter(|bytes| isize::try_from(*bytes).is_ok())
            .map(|_| ())
            .ok_or(too_large)
    }

    /// (columns, rows) in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The window that is the whole frame.
    pub fn full_window(&self) -> Window {
        Window {
            x: 0,
            y: 0,
            w: self.width,
            h: self.height,
        }
    }

    /// Bytes of pixels in a row, padding not included.
    pub fn row_bytes(&self) -> usize {
        self.packing.bytes(self.width).unwrap_or(usize::MAX)
    }

    /// Bytes of a frame in memory: `stride_bytes` for every row, the last one included.
    pub fn frame_bytes(&self) -> usize {
        self.stride_bytes.saturating_mul(self.height)
    }
}

/// A region of interest in pixels: `x`, `y` of the first pixel, `w` columns, `h` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub w: usize,
    /// Rows.
    pub h: usize,
}

impl Window {
    /// The window in the middle of a frame of (columns, rows), as `BCLP w:h` asks for it.
    ///
    /// `w` and `h` are rounded down to even; the offsets are floor((W - w) / 2), rounded down to even too, so that
    /// no window begins between two pixels that share a byte, nor in the second row of a Bayer cell.
    pub fn centered(w: i64, h: i64, frame: (usize, usize)) -> Result<Window, WindowError> {
        let offset = |size: usize, part: i64| {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            size.saturating_sub(round_to_even(part)).div_euclid(2)
        };
        Window::even(offset(frame.0, w), offset(frame.1, h), w, h, frame)
    }

    /// The window asked for by `BCLP x:y:w:h` in a frame of (columns, rows): each value v becomes v - (v mod 2).
    pub fn even(
        x: i64,
        y: i64,
        w: i64,
        h: i64,
        frame: (usize, usize),
    ) -> Result<Window, WindowError> {
        let [x, y, w, h] = [x, y, w, h].map(round_to_even);
        if w < 2 || h < 2 {
            return Err(WindowError::TooSmall { w, h });
        }
        let outside = WindowError::Outside {
            x,
            y,
            w,
            h,
            width: frame.0,
            height: frame.1,
        };
        let whole = |v: i64| usize::try_from(v).map_err(|_| outside);
        let window = Window {
            x: whole(x)?,
            y: whole(y)?,
            w: whole(w)?,
            h: whole(h)?,
        };
        window.check(frame).map(|()| window)
    }

    /// Says whether the window can be cut from a frame of (columns, rows): even values, at least 2 x 2, inside.
    ///
    /// For windows kept from an earlier mode or made by hand.
    pub fn check(&self, frame: (usize, usize)) -> Result<(), WindowError> {
        let Window { x, y, w, h } = *self;
        if [x, y, w, h].iter().any(|v| v % 2 != 0) {
            return Err(WindowError::Odd { x, y, w, h });
        }
        let signed = |v: usize| i64::try_from(v).unwrap_or(i64::MAX);
        if w < 2 || h < 2 {
            return Err(WindowError::TooSmall {
                w: signed(w),
                h: signed(h),
            });
        }
        let fits = |first: usize, count: usize, size: usize| {
            first.checked_add(count).is_some_and(|end| end <= size)
        };
        if !fits(x, w, frame.0) || !fits(y, h, frame.1) {
            return Err(WindowError::Outside {
                x: signed(x),
                y: signed(y),
                w: signed(w),
                h: signed(h),
                width: frame.0,
                height: frame.1,
            });
        }
        Ok(())
    }
}

fn round_to_even(v: i64) -> i64 {
    v - v.rem_euclid(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: (usize, usize) = (4056, 3040);

    fn layout(width: usize, height: usize, stride_bytes: usize, packing: Packing) -> Layout {
        Layout {
            width,
            height,
            stride_bytes,
            packing,
            bayer: BayerOrder::Rggb,
        }
    }

    #[test]
    fn an_odd_offset_swaps_columns_or_rows() {
        use BayerOrder::*;
        assert_eq!(Rggb.at(2, 4), Rggb);
        assert_eq!(Rggb.at(1, 0), Grbg);
        assert_eq!(Rggb.at(0, 1), Gbrg);
        assert_eq!(Rggb.at(3, 5), Bggr);
        for order in [Rggb, Grbg, Gbrg, Bggr] {
            for (x, y) in [(0, 1), (1, 0), (1, 1)] {
                let [a, b, c, d] = order.cfa_pattern();
                let moved = match (x, y) {
                    (0, 1) => [c, d, a, b],
                    (1, 0) => [b, a, d, c],
                    _ => [d, c, b, a],
                };
                assert_eq!(order.at(x, y).cfa_pattern(), moved, "{order} at {x},{y}");
            }
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        assert_eq!(
            "rggb".parse::<BayerOrder>(),
            Err(LayoutError::UnknownBayerOrder)
        );
    }

    #[test]
    fn full_frame_sizes_are_those_of_the_sensor() {
        let packed = layout(4056, 3040, 6112, Packing::Csi2p12);
        assert_eq!(packed.validate(), Ok(()));
        assert_eq!(
            (packed.row_bytes(), packed.frame_bytes()),
            (6084, 18_580_480)
        );
        let wide = layout(4056, 3040, 8128, Packing::U16High);
        assert_eq!(wide.validate(), Ok(()));
        assert_eq!((wide.row_bytes(), wide.frame_bytes()), (8112, 24_709_120));
        assert_eq!(packed.full_window().check(packed.size()), Ok(()));
    }

    #[test]
    fn impossible_layouts_are_refused() {
        use LayoutError::*;
        let refused = |w, h, stride| {
            layout(w, h, stride, Packing::Csi2p12)
                .validate()
                .unwrap_err()
        };
        assert!(matches!(refused(63, 48, 128), NotWholeCells { .. }));
        assert!(matches!(refused(64, 0, 128), NotWholeCells { .. }));
        assert!(matches!(
            refused(64, 48, 95),
            StrideTooSmall { row_bytes: 96, .. }
        ));
        assert!(matches!(refused(64, 1 << 40, 1 << 40), TooLarge { .. }));
        assert!(matches!(refused(usize::MAX - 1, 2, 128), TooLarge { .. }));
    }

    #[test]
    fn centered_offsets_are_even() {
        let window = |x, y, w, h| Ok(Window { x, y, w, h });
        assert_eq!(Window::centered(4056, 3040, FULL), window(0, 0, 4056, 3040));
        // (4056 - 850) / 2 = 1603 and (3040 - 602) / 2 = 1219 are odd: defect 10 of the old server.
        assert_eq!(
            Window::centered(850, 602, FULL),
            window(1602, 1218, 850, 602)
        );
        assert_eq!(
            Window::centered(851, 603, FULL),
            window(1602, 1218, 850, 602)
        );
        assert_eq!(Window::centered(62, 46, (64, 48)), window(0, 0, 62, 46));
    }

    #[test]
    fn values_are_rounded_down_to_even_then_checked() {
        assert_eq!(
            Window::even(11, 7, 41, 21, (60, 44)),
            Ok(Window {
                x: 10,
                y: 6,
                w: 40,
                h: 20
            })
        );
        assert_eq!(
            Window::even(-3, 0, 32, 16, (64, 48)),
            Err(WindowError::Outside {
                x: -4,
                y: 0,
                w: 32,
                h: 16,
                width: 64,
                height: 48
            })
        );
        let too_small = [(1, 10), (10, 1), (0, 0), (-5, 10), (i64::MIN, i64::MAX)];
        for (w, h) in too_small {
            assert!(matches!(
                Window::centered(w, h, FULL),
                Err(WindowError::TooSmall { .. })
            ));
        }
        let outside = [
            (0, 0, 66, 48),
            (2, 0, 64, 48),
            (0, 2, 64, 48),
            (100, 100, 10, 10),
            (i64::MAX, 0, i64::MAX, 2),
        ];
        for (x, y, w, h) in outside {
            assert!(matches!(
                Window::even(x, y, w, h, (64, 48)),
                Err(WindowError::Outside { .. })
            ));
        }
        assert!(matches!(
            Window::centered(66, 48, (64, 48)),
            Err(WindowError::Outside { x: -2, .. })
        ));
        assert!(matches!(
            Window::centered(i64::MAX, i64::MAX, (64, 48)),
            Err(WindowError::Outside { .. })
        ));
    }

    #[test]
    fn hand_made_odd_windows_are_refused() {
        let odd = Window {
            x: 1,
            y: 0,
            w: 2,
            h: 2,
        };
        assert!(matches!(odd.check(FULL), Err(WindowError::Odd { .. })));
    }
}
