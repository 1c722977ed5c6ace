//! Clip, unpack and bin a packed frame in one pass.
//!
//! A [`Reducer`] cuts a window out of a frame and writes the array of a [`Mode`]. Only the window's own bytes are
//! read from memory as pixels; with binning the unpacked frame never exists: two input rows at a time become one
//! row of 2 x 2 sums, which are added to a row of accumulators and folded to the output every 2^n rows.
//!
//! Sums are clamped to 65535, and a block that holds a pixel >= 4095 is 65535 (saturation mark). Both come from one
//! rule: a marked 2 x 2 sum is 65535, and sums are added with saturation. Saturating addition of unsigned numbers is
//! associative and 65535 absorbs, so the result is the clamped 32-bit sum, whatever the order of additions.
//!
//! Each [`Kernels`] set is a table of row functions for one instruction set, chosen once; all sets give identical
//! results. A full frame costs 0.65 (unpack) to 1.05 (bin) times a plain copy of the larger side on one core of a
//! 2.6 GHz x86-64 server (Zen 4, AVX2), and the plain set 2.3 to 4.3 times; `benches/kernels.rs` measures it.
#![allow(unsafe_code)]

pub mod counts;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;

use super::{Layout, LayoutError, Mode, ModeError, Packing, Shape, Window, WindowError};

/// 12-bit pixels at this value or above are saturated.
pub const SATURATED_PIXEL: u16 = 4095;

/// Rows with smaller gaps between them are read as one stream: a few cache lines, more than any alignment padding.
const UNBROKEN_GAP_BYTES: usize = 256;

/// Value of a sum that is saturated or does not fit.
pub const SATURATED_SUM: u16 = u16::MAX;

/// Why a frame could not be reduced. The output is untouched then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// Unusable geometry.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The window does not fit the frame.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// The window does not fit the mode.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// Fewer bytes than the layout says.
    #[error("the frame holds {got} bytes, its layout needs {expected}")]
    FrameTooShort {
        /// Stride times height.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The output slice has another size than the array.
    #[error("the output holds {got} values, the array has {expected}")]
    OutputSize {
        /// Rows times columns.
        expected: usize,
        /// Values given.
        got: usize,
    },
}

/// One row of samples to one row of output. The source holds at least the bytes that the output needs; bytes after
/// those may be loaded but never show in the output. The last argument is the distance in bytes from the source to
/// the row worth prefetching.
///
/// Unsafe because a table may name functions of an instruction set extension; see [`Kernels::detect`].
type Row = unsafe fn(&[u8], &mut [u16], usize);

/// Two rows of samples to one row of 2 x 2 sums; otherwise like [`Row`].
type RowPair = unsafe fn(&[u8], &[u8], &mut [u16], usize);

/// Neighbors added with saturation: twice as many values in as out.
type Halve = unsafe fn(&[u16], &mut [u16]);

/// Row functions of one [`Packing`].
#[derive(Clone, Copy)]
struct RowKernels {
    /// Samples as packed bytes, each widened to 16 bits.
    bytes: Row,
    /// Samples as 12-bit pixels.
    pixels: Row,
    /// 2 x 2 sums replace the output.
    bin: RowPair,
    /// 2 x 2 sums are added to the output with saturation.
    bin_add: RowPair,
}

struct Table {
    name: &'static str,
    csi2p12: RowKernels,
    u16_low: RowKernels,
    u16_high: RowKernels,
    halve: Halve,
}

/// A set of row functions for one instruction set.
#[derive(Clone, Copy)]
pub struct Kernels(&'static Table);

impl Kernels {
    /// The fastest set that this processor runs.
    pub fn detect() -> Kernels {
        let mut available = Kernels::available();
        available.pop().unwrap_or_else(Kernels::plain)
    }

    /// The set without vector instructions: slow, obvious, and what the others are compared with.
    pub fn plain() -> Kernels {
        Kernels(&plain::TABLE)
    }

    /// Every set that this processor runs, slowest first.
    pub fn available() -> Vec<Kernels> {
        let mut sets = vec![Kernels::plain()];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("sse4.1") {
                sets.push(Kernels(&x86::SSE41));
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                sets.push(Kernels(&x86::AVX2));
            }
        }
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        sets.push(Kernels(&neon::TABLE));
        sets
    }

    /// Its instruction set: `plain`, `sse4.1`, `avx2` or `neon`.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    fn rows(&self, packing: Packing) -> &'static RowKernels {
        match packing {
            Packing::Csi2p12 => &self.0.csi2p12,
            Packing::U16Low => &self.0.u16_low,
            Packing::U16High => &self.0.u16_high,
        }
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kernels").field(&self.name()).finish()
    }
}

/// Makes arrays of frames. Keeps one row of accumulators, so that only a wider window than ever before allocates.
#[derive(Debug)]
pub struct Reducer {
    kernels: Kernels,
    accumulators: Vec<u16>,
}

impl Reducer {
    /// A reducer with the given kernels.
    pub fn new(kernels: Kernels) -> Reducer {
        Reducer {
            kernels,
            accumulators: Vec::new(),
        }
    }

    /// Shape of the array that [`Reducer::reduce`] writes, or why it would refuse.
    pub fn shape(layout: &Layout, window: &Window, mode: Mode) -> Result<Shape, KernelError> {
        layout.validate()?;
        window.check(layout.size())?;
        Ok(mode.shape(window)?)
    }

    /// Cuts `window` out of `frame` and writes the array of `mode` to `out`, in C order.
    ///
    /// `frame` holds `height` rows of `stride_bytes`; padding never shows in the output. `out` has exactly as many
    /// values as the array ([`Mode::shape`]).
    pub fn reduce(
        &mut self,
        frame: &[u8],
        layout: &Layout,
        window: &Window,
        mode: Mode,
        out: &mut [u16],
    ) -> Result<(), KernelError> {
        let shape = Reducer::shape(layout, window, mode)?;
        let expected = layout.frame_bytes();
        if frame.len() < expected {
            return Err(KernelError::FrameTooShort {
                expected,
                got: frame.len(),
            });
        }
        if out.len() != shape.element_count() {
            return Err(KernelError::OutputSize {
                expected: shape.element_count(),
                got: out.len(),
            });
        }
        let rows = self.kernels.rows(layout.packing);
        let source = Source {
            frame: &frame[..expected],
            first: window.y * layout.stride_bytes
                + layout.packing.bytes(window.x).unwrap_or(usize::MAX),
            stride_bytes: layout.stride_bytes,
            row_bytes: layout.packing.bytes(window.w).unwrap_or(usize::MAX),
        };
        match mode {
            Mode::PackedBytes => source.each_row(rows.bytes, shape.columns, out),
            Mode::Pixels => source.each_row(rows.pixels, shape.columns, out),
            Mode::Binned(1) => source.each_pair(rows.bin, shape.columns, out),
            Mode::Binned(n) => self.bin(&source, rows, n, shape.columns, out),
        }
        Ok(())
    }

    /// Two or more rounds: 2 x 2 sums are accumulated downwards, then folded sideways.
    fn bin(
        &mut self,
        source: &Source<'_>,
        rows: &RowKernels,
        rounds: u8,
        columns: usize,
        out: &mut [u16],
    ) {
        let pairs = 1 << (rounds - 1);
        let sums = columns * pairs;
        if self.accumulators.len() < sums + sums / 2 {
            self.accumulators.resize(sums + sums / 2, 0);
        }
        let (sums, spare) = self.accumulators.split_at_mut(sums);
        for (block, out_row) in out.chunks_exact_mut(columns).enumerate() {
            for pair in 0..pairs {
                let y = 2 * (block * pairs + pair);
                let add = if pair == 0 { rows.bin } else { rows.bin_add };
                // SAFETY: a table's functions run on this processor, see `Kernels::available`.
                unsafe { add(source.row(y), source.row(y + 1), sums, source.ahead()) };
            }
            fold(self.kernels.0.halve, sums, spare, rounds - 1, out_row);
        }
    }
}

/// Halves `sums` the given number of times (at least once), using both slices as scratch.
fn fold(halve: Halve, sums: &mut [u16], spare: &mut [u16], rounds: u8, out: &mut [u16]) {
    let (mut from, mut to) = (sums, spare);
    for round in (0..rounds).rev() {
        let width = out.len() << round;
        let halved = match round {
            0 => &mut *out,
            _ => &mut to[..width],
        };
        // SAFETY: a table's functions run on this processor, see `Kernels::available`.
        unsafe { halve(&from[..2 * width], halved) };
        std::mem::swap(&mut from, &mut to);
    }
}

/// The rows of a window in a frame that is known to hold them.
struct Source<'a> {
    frame: &'a [u8],
    first: usize,
    stride_bytes: usize,
    row_bytes: usize,
}

impl<'a> Source<'a> {
    /// Row `y` of the window up to the end of the frame, so that vector loads may run over the row's own end.
    fn row(&self, y: usize) -> &'a [u8] {
        &self.frame[self.first + y * self.stride_bytes..]
    }

    /// Prefetch distance. Two rows are far enough for the slowest memory and near enough to still be in the cache;
    /// the hardware's own prefetchers stop at page borders and do badly on two rows at a time.
    fn ahead(&self) -> usize {
        2 * self.stride_bytes
    }

    /// Prefetch distance for rows taken one by one: none where they make one unbroken stream, which the hardware
    /// follows by itself (measured on Zen 4: our prefetches cost 40 % there, but gain 15 % on a clipped window).
    fn ahead_of_single_rows(&self) -> usize {
        match self.stride_bytes.saturating_sub(self.row_bytes) {
            0..UNBROKEN_GAP_BYTES => 0,
            _ => self.ahead(),
        }
    }

    fn each_row(&self, kernel: Row, columns: usize, out: &mut [u16]) {
        let ahead = self.ahead_of_single_rows();
        for (y, out_row) in out.chunks_exact_mut(columns).enumerate() {
            // SAFETY: a table's functions run on this processor, see `Kernels::available`.
            unsafe { kernel(self.row(y), out_row, ahead) };
        }
    }

    fn each_pair(&self, kernel: RowPair, columns: usize, out: &mut [u16]) {
        for (y, out_row) in out.chunks_exact_mut(columns).enumerate() {
            // SAFETY: a table's functions run on this processor, see `Kernels::available`.
            unsafe { kernel(self.row(2 * y), self.row(2 * y + 1), out_row, self.ahead()) };
        }
    }
}
