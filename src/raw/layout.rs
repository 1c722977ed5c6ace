//! How a frame lies in memory, and the window that is cut from it.

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
