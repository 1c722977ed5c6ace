//! Curves as PNG pictures, for people who look rather than read.
//!
//! ```text
//! title                          -- A  -- B
//! V  3 +----------------------------------+
//!    2 |  /\    /\    /\    /\    /\    /\|
//!    1 |\/  \__/  \__/  \__/  \__/  \__/  |
//!   L0 |_|~|_|~|_|~|_|~|_|~|_|~|_|~|_|~|_|~|   lanes of logic levels, if any
//!      +----------------------------------+
//!      0    1    2    3    4    5    6    7
//!                  time (ms)
//! ```
//! Marks stand at round places; seconds, volts, hertz and amperes get the prefix that suits them. A curve of more
//! points than columns is drawn by the extremes in each column, so that no peak is lost.

mod canvas;
pub(crate) mod font;
mod layout;
mod ticks;

use std::io::Write;

use png::{BitDepth, ColorType, DeflateCompression, Encoder};

use self::canvas::Canvas;
use self::layout::{BACKGROUND, Layout};

/// Dots across and down that suit a screen.
pub const SIZE: (u32, u32) = (1000, 600);
/// The least that holds axes and labels.
pub const LEAST: (u32, u32) = (320, 200);
/// The most, across and down.
pub const MOST: u32 = 4096;

/// What a direction of the picture means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Axis {
    /// Such as `time`.
    pub label: String,
    /// Such as `s`; empty for none. `s`, `V`, `Hz` and `A` are shown with a prefix.
    pub unit: String,
}

/// One curve.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    /// For the legend, which is drawn when there are several.
    pub name: String,
    /// x and y in the units of the axes, in the order in which they are joined. Those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// Logic levels over time, below the curves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lane {
    /// Beside it.
    pub name: String,
    /// From each x on, the level.
    pub points: Vec<(f64, bool)>,
}

/// A picture of curves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figure {
    /// Above everything.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upward. Its range is that of the curves, unless `y_range` says otherwise.
    pub y: Axis,
    /// Lower and upper end of `y`, if not those of the curves.
    pub y_range: Option<(f64, f64)>,
    /// The curves.
    pub curves: Vec<Curve>,
    /// Logic levels.
    pub lanes: Vec<Lane>,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// Too small or too large.
    #[error("a plot of {0} x {1} dots: 320 x 200 to 4096 x 4096 can be drawn")]
    Size(u32, u32),
    /// What takes the file does not.
    #[error("cannot write a plot")]
    Write(#[from] png::EncodingError),
}

impl Figure {
    /// Draws it as a PNG of 8-bit RGB.
    ///
    /// # Errors
    /// [`PlotError`].
    pub fn encode(&self, width: u32, height: u32, out: impl Write) -> Result<(), PlotError> {
        let fits = |size: u32, least: u32| (least..=MOST).contains(&size);
        if !fits(width, LEAST.0) || !fits(height, LEAST.1) {
            return Err(PlotError::Size(width, height));
        }
        let canvas = self.draw(width as usize, height as usize);
        let mut encoder = Encoder::new(out, width, height);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_deflate_compression(DeflateCompression::Level(6));
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&canvas.dots)?;
        writer.finish()?;
        Ok(())
    }

    fn draw(&self, width: usize, height: usize) -> Canvas {
        let mut canvas = Canvas::new(width, height, BACKGROUND);
        let layout = Layout::of(self, width, height);
        layout.grid(&mut canvas, self);
        layout.curves(&mut canvas, self);
        layout.lanes(&mut canvas, self);
        layout.header(&mut canvas, self, width);
        canvas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let decoder = png::Decoder::new(std::io::Cursor::new(file));
        let mut reader = decoder.read_info().unwrap();
        let mut dots = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut dots).unwrap();
        (reader.info().width, reader.info().height, dots)
    }

    fn sine(points: usize) -> Curve {
        let point = |i: usize| {
            let x = i as f64 / points as f64;
            (x * 4e-3, 1.5 + 1.2 * (x * 50.0).sin())
        };
        Curve {
            name: "A".into(),
            points: (0..points).map(point).collect(),
        }
    }

    #[test]
    fn anything_can_be_drawn() {
        let odd = [f64::NAN, f64::INFINITY, -1e308, 1e308, 0.0, 5e-324];
        let points: Vec<_> = odd.iter().flat_map(|x| odd.map(|y| (*x, y))).collect();
        let lane = Lane {
            name: "L0".into(),
            points: odd.map(|x| (x, x > 0.0)).to_vec(),
        };
        let one = Curve {
            name: "a name that is far too long for any legend, and longer still than that".into(),
            points: vec![(1.0, 1.0)],
        };
        for (curves, lanes) in [
            (vec![], vec![]),
            (vec![Curve::default()], vec![]),
            (
                vec![one.clone(), sine(3000), Curve { points, ..one }],
                vec![lane.clone()],
            ),
            (vec![], vec![lane.clone(); 8]),
            (vec![sine(10)], vec![lane; 100]),
        ] {
            let figure = Figure {
                title: "\u{1f52d} ".repeat(1000),
                curves,
                lanes,
                ..Figure::default()
            };
            for (width, height) in [LEAST, SIZE] {
                let mut file = Vec::new();
                figure.encode(width, height, &mut file).unwrap();
                let (wide, high, _) = decode(&file);
                assert_eq!((wide, high), (width, height));
            }
        }
        let small = Figure::default().encode(10, 600, &mut Vec::new());
        assert!(matches!(small, Err(PlotError::Size(10, 600))));
    }
}
