//! What the simulated camera looks at: a luminescent screen with bright spots above a test chart.
//!
//! The picture is a list of *surfaces*, each with a brightness that depends on the column alone, and for every
//! row the *spans* of columns that show them. So the noise of a surface can be prepared once as a few rows, and
//! a frame is put together from pieces of those rows.
//!
//! ```text
//! row    0  +--------------------------------------+
//!           | screen: dark at the left, brighter   |
//!           | to the right, spots with a halo      |
//!     2520  +--------------------------------------+
//!           | gray steps, a factor 1.6 each        |
//!     2780  +--------------------------------------+
//!           | color patches                        |
//!     3040  +--------------------------------------+
//! ```

use std::ops::Range;

use super::sensor::{HEIGHT, WIDTH};

/// Mean green signal without the spots, counts per microsecond at gain 1: what automatic exposure meters.
pub(super) const METERED_RATE: f64 = 0.0142;

/// Brightest part of the screen, green counts per microsecond at gain 1. At 99 ms it stays below saturation.
const SCREEN_RATE: f32 = 0.03;
/// Columns at either side where the screen is at its end values.
const SCREEN_MARGIN: f32 = 120.0;
/// The screen grows darker toward the bottom, in this many bands.
const SCREEN_BANDS: usize = 16;
const SCREEN_END: usize = 2520;
const CHART_SPLIT: usize = 2780;
/// Response of the red, green and blue pixels to the screen's white.
const WHITE: [f32; 3] = [0.55, 1.0, 0.65];
/// Red and blue gain that make [`WHITE`] neutral.
pub(super) const WHITE_GAINS: (f32, f32) = (1.0 / WHITE[0], 1.0 / WHITE[2]);

const GRAY_STEPS: i32 = 12;
/// Color patches: response of the red, green and blue pixels.
const PATCHES: [[f32; 3]; 8] = [
    [0.50, 0.12, 0.04],
    [0.55, 0.45, 0.06],
    [0.12, 0.50, 0.10],
    [0.06, 0.45, 0.40],
    [0.05, 0.15, 0.50],
    [0.40, 0.18, 0.40],
    [0.45, 0.60, 0.35],
    [0.02, 0.03, 0.02],
];

/// Longest piece of a row that shows one prepared noise pattern, pixel pairs.
const SPAN_PAIRS: usize = 507;
/// Prepared noise patterns of a surface, per row parity. Powers of two.
const BAND_COPIES: usize = 16;
const RING_COPIES: usize = 8;

/// A bright spot with a soft halo.
struct Spot {
    x: usize,
    y: usize,
    radius: usize,
    rate: f32,
}

/// From left to right, without a column in common: that keeps the rows simple.
const SPOTS: [Spot; 8] = [
    spot(330, 1760, 150, 0.06),
    spot(760, 620, 230, 0.50),
    spot(1190, 1420, 120, 4.00),
    spot(1620, 2100, 200, 0.25),
    spot(2080, 860, 210, 1.50),
    spot(2560, 1720, 240, 0.12),
    spot(3050, 420, 170, 2.50),
    spot(3590, 1280, 250, 0.90),
];

const fn spot(x: usize, y: usize, radius: usize, rate: f32) -> Spot {
    Spot { x, y, radius, rate }
}

/// Rings a spot is made of, outermost first.
const RINGS: usize = 20;

#[derive(Debug, Clone, Copy)]
enum Shade {
    /// The screen at a relative brightness, with white light of a constant rate added.
    Screen {
        level: f32,
        added: f32,
    },
    GraySteps,
    Patches,
}

/// A part of the picture whose brightness depends on the column alone.
#[derive(Debug)]
pub(super) struct Surface {
    /// Pixel pairs it covers.
    pub(super) pairs: Range<usize>,
    /// Prepared noise patterns per row parity, a power of two.
    pub(super) copies: usize,
    /// Where its patterns begin in the pool.
    pub(super) offset: usize,
    shade: Shade,
}

impl Surface {
    /// Bytes of one prepared pattern: two pixels are three bytes.
    pub(super) fn pattern_bytes(&self) -> usize {
        self.pairs.len() * 3
    }

    /// Expected counts above black per microsecond at gain 1 for red, green and blue pixels of column `x`.
    pub(super) fn rates(&self, x: usize) -> [f32; 3] {
        match self.shade {
            Shade::Screen { level, added } => {
                let span = WIDTH as f32 - 2.0 * SCREEN_MARGIN;
                let ramp = ((x as f32 - SCREEN_MARGIN) / span).clamp(0.0, 1.0);
                WHITE.map(|white| white * (SCREEN_RATE * level * ramp + added))
            }
            Shade::GraySteps => {
                let step = (x * GRAY_STEPS as usize / WIDTH) as i32;
                WHITE.map(|white| white * 0.06 * 1.6_f32.powi(step + 1 - GRAY_STEPS))
            }
            Shade::Patches => PATCHES[x * PATCHES.len() / WIDTH].map(|rate| rate * 0.08),
        }
    }
}

/// A piece of a row: which surface shows on which pixel pairs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) surface: u16,
    pub(super) from: u16,
    pub(super) to: u16,
}

/// The picture, ready to be put together.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) surfaces: Vec<Surface>,
    spans: Vec<Span>,
    row_ends: Vec<u32>,
    /// Bytes that the patterns of all surfaces take.
    pub(super) pool_bytes: usize,
}

impl Scene {
    pub(super) fn new() -> Self {
        let mut scene = Self {
            surfaces: Vec::new(),
            spans: Vec::new(),
            row_ends: Vec::with_capacity(HEIGHT),
            pool_bytes: 0,
        };
        scene.add_surfaces();
        for row in 0..HEIGHT {
            scene.add_row(row);
            scene.row_ends.push(scene.spans.len() as u32);
        }
        scene
    }

    /// The spans of every row, top to bottom; those of a row cover it once, left to right.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[Span]> {
        let mut from = 0;
        self.row_ends.iter().map(move |&end| {
            let spans = &self.spans[from..end as usize];
            from = end as usize;
            spans
        })
    }

    fn add_surfaces(&mut self) {
        let whole = 0..WIDTH / 2;
        for band in 0..SCREEN_BANDS {
            let level = 1.0 - 0.2 * band as f32 / SCREEN_BANDS as f32;
            let shade = Shade::Screen { level, added: 0.0 };
            self.add_surface(whole.clone(), BAND_COPIES, shade);
        }
        self.add_surface(whole.clone(), BAND_COPIES, Shade::GraySteps);
        self.add_surface(whole, BAND_COPIES, Shade::Patches);
        for spot in &SPOTS {
            for ring in 0..RINGS {
                let half = ring_radius(spot, ring).div_ceil(2) + 1;
                let shade = Shade::Screen {
                    level: 0.9,
                    added: spot.rate * ring_brightness(ring),
                };
                self.add_surface(spot.x / 2 - half..spot.x / 2 + half, RING_COPIES, shade);
            }
        }
    }

    fn add_surface(&mut self, pairs: Range<usize>, copies: usize, shade: Shade) {
        let surface = Surface {
            pairs,
            copies,
            offset: self.pool_bytes,
            shade,
        };
        self.pool_bytes += 2 * copies * surface.pattern_bytes();
        self.surfaces.push(surface);
    }

    fn add_row(&mut self, row: usize) {
        let end = WIDTH / 2;
        if row >= SCREEN_END {
            let chart = SCREEN_BANDS + usize::from(row >= CHART_SPLIT);
            return self.add_span(chart, 0, end);
        }
        let band = row * SCREEN_BANDS / SCREEN_END;
        let mut from = 0;
        for (index, spot) in SPOTS.iter().enumerate() {
            let first = SCREEN_BANDS + 2 + index * RINGS;
            let halves: Vec<usize> = (0..RINGS)
                .map_while(|ring| half_pairs(ring_radius(spot, ring), row.abs_diff(spot.y)))
                .collect();
            let Some(&outer) = halves.first() else {
                continue;
            };
            let middle = spot.x / 2;
            self.add_span(band, from, middle - outer);
            for (ring, pair) in halves.windows(2).enumerate() {
                self.add_span(first + ring, middle - pair[0], middle - pair[1]);
            }
            let inner = halves.len() - 1;
            self.add_span(
                first + inner,
                middle - halves[inner],
                middle + halves[inner],
            );
            for (ring, pair) in halves.windows(2).enumerate().rev() {
                self.add_span(first + ring, middle + pair[1], middle + pair[0]);
            }
            from = middle + outer;
        }
        self.add_span(band, from, end);
    }

    fn add_span(&mut self, surface: usize, from: usize, to: usize) {
        for from in (from..to).step_by(SPAN_PAIRS) {
            self.spans.push(Span {
                surface: surface as u16,
                from: from as u16,
                to: to.min(from + SPAN_PAIRS) as u16,
            });
        }
    }
}

/// Outer radius of a ring, pixels.
fn ring_radius(spot: &Spot, ring: usize) -> usize {
    spot.radius * (RINGS - ring) / RINGS
}

/// Brightness of a ring relative to the spot's peak, which the core has.
fn ring_brightness(ring: usize) -> f32 {
    ((ring + 1) as f32 / RINGS as f32).powi(3)
}

/// Half the chord of a circle `distance` rows from its center, pixel pairs; `None` where it does not reach.
fn half_pairs(radius: usize, distance: usize) -> Option<usize> {
    let square = (radius * radius).checked_sub(distance * distance)?;
    Some(square.isqrt() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_every_row_once_and_stay_on_their_surface() {
        let scene = Scene::new();
        assert_eq!(scene.rows().count(), HEIGHT);
        for spans in scene.rows() {
            let mut reached = 0;
            for span in spans {
                assert_eq!(span.from, reached);
                assert!(span.to > span.from);
                let pairs = &scene.surfaces[usize::from(span.surface)].pairs;
                assert!(pairs.start <= span.from.into() && pairs.end >= span.to.into());
                reached = span.to;
            }
            assert_eq!(usize::from(reached), WIDTH / 2);
        }
    }

    #[test]
    fn patterns_fit_the_pool_without_overlap() {
        let scene = Scene::new();
        let mut reached = 0;
        for surface in &scene.surfaces {
            assert_eq!(surface.offset, reached);
            assert!(surface.copies.is_power_of_two());
            reached += 2 * surface.copies * surface.pattern_bytes();
        }
        assert_eq!(reached, scene.pool_bytes);
        assert!(scene.pool_bytes < 6 << 20, "{}", scene.pool_bytes);
    }

    #[test]
    fn the_metered_rate_is_the_mean_of_the_picture_without_spots() {
        let scene = Scene::new();
        let (mut sum, mut pairs) = (0.0, 0);
        for span in scene.rows().flatten() {
            if usize::from(span.surface) < SCREEN_BANDS + 2 {
                let middle = usize::from(span.from + span.to);
                let n = usize::from(span.to - span.from);
                sum += f64::from(scene.surfaces[usize::from(span.surface)].rates(middle)[1])
                    * n as f64;
                pairs += n;
            }
        }
        let mean = sum / f64::from(pairs as u32);
        assert!((mean / METERED_RATE - 1.0).abs() < 0.02, "{mean}");
    }
}
