//! Dots, lines and text in color.

use super::font;

/// Red, green, blue.
pub(super) type Color = [u8; 3];

/// A part of the picture in dots; `right` and `bottom` are the first beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) right: usize,
    pub(super) bottom: usize,
}

impl Area {
    pub(super) fn width(&self) -> usize {
        self.right - self.left
    }

    pub(super) fn height(&self) -> usize {
        self.bottom - self.top
    }
}

/// Rows from the top, 3 bytes a dot.
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) dots: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, background: Color) -> Self {
        Self {
            width,
            height,
            dots: background.repeat(width * height),
        }
    }

    /// Lays a color over a dot; `part` of 255 is all of it. Dots outside are left out.
    pub(super) fn blend(&mut self, x: usize, y: usize, color: Color, part: u8) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = 3 * (y * self.width + x);
        let part = u32::from(part);
        for (dot, color) in self.dots[at..at + 3].iter_mut().zip(color) {
            let mixed = u32::from(*dot) * (255 - part) + u32::from(color) * part;
            *dot = ((mixed + 127) / 255) as u8;
        }
    }

    pub(super) fn rectangle(&mut self, area: Area, color: Color) {
        for y in area.top..area.bottom {
            for x in area.left..area.right {
                self.blend(x, y, color, 255);
            }
        }
    }

    /// Text with its upper left corner there; `scale` dots a dot of the font.
    pub(super) fn text(&mut self, left: usize, top: usize, text: &str, scale: usize, color: Color) {
        for (index, character) in text.chars().enumerate() {
            let left = left + index * font::ADVANCE * scale;
            self.glyph(character, scale, |canvas, x, y| {
                canvas.blend(left + x, top + y, color, 255);
            });
        }
    }

    /// Text that reads upward, with its upper left corner (of the rotated text) there.
    pub(super) fn text_up(
        &mut self,
        left: usize,
        top: usize,
        text: &str,
        scale: usize,
        color: Color,
    ) {
        let bottom = top + text_width(text, scale);
        for (index, character) in text.chars().enumerate() {
            let start = bottom.saturating_sub(1 + index * font::ADVANCE * scale);
            self.glyph(character, scale, |canvas, x, y| {
                canvas.blend(left + y, start.saturating_sub(x), color, 255);
            });
        }
    }

    fn glyph(
        &mut self,
        character: char,
        scale: usize,
        mut dot: impl FnMut(&mut Self, usize, usize),
    ) {
        for (row, bits) in font::glyph(character).iter().enumerate() {
            for column in (0..font::WIDTH).filter(|column| bits >> (4 - column) & 1 == 1) {
                for y in 0..scale {
                    for x in 0..scale {
                        dot(self, column * scale + x, row * scale + y);
                    }
                }
            }
        }
    }

    /// Lays a pen's strokes over the picture.
    pub(super) fn stroke(&mut self, pen: &Pen, color: Color) {
        for y in 0..pen.area.height() {
            for x in 0..pen.area.width() {
                let part = pen.coverage[y * pen.area.width() + x];
                if part > 0 {
                    self.blend(pen.area.left + x, pen.area.top + y, color, part);
                }
            }
        }
    }
}

pub(super) fn text_width(text: &str, scale: usize) -> usize {
    text.chars().count() * font::ADVANCE * scale
}

/// Strokes within an area, smooth at their edges. Collected before they are laid over the picture, so that a line is
/// no darker where it meets itself.
pub(super) struct Pen {
    area: Area,
    half_width: f64,
    coverage: Vec<u8>,
}

impl Pen {
    pub(super) fn new(area: Area, width: f64) -> Self {
        Self {
            area,
            half_width: width / 2.0,
            coverage: vec![0; area.width() * area.height()],
        }
    }

    /// A straight stroke between places of the picture, which may lie outside.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let reach = self.half_width + 1.0;
        let (left, top) = (self.area.left as f64, self.area.top as f64);
        let (from, to) = ((from.0 - left, from.1 - top), (to.0 - left, to.1 - top));
        let columns = span(from.0, to.0, reach, self.area.width());
        let along = (to.0 - from.0, to.1 - from.1);
        let length = along.0 * along.0 + along.1 * along.1;
        for x in columns {
            // Only the rows that the stroke can touch in this column.
            let (a, b) = rows_at(from, to, x as f64 + 0.5, reach);
            for y in span(a, b, reach, self.area.height()) {
                let (dx, dy) = (x as f64 + 0.5 - from.0, y as f64 + 0.5 - from.1);
                let at = match length > 0.0 {
                    true => ((dx * along.0 + dy * along.1) / length).clamp(0.0, 1.0),
                    false => 0.0,
                };
                let distance = (dx - at * along.0).hypot(dy - at * along.1);
                let part = (self.half_width + 0.5 - distance).clamp(0.0, 1.0);
                let dot = &mut self.coverage[y * self.area.width() + x];
                *dot = (*dot).max((part * 255.0) as u8);
            }
        }
    }
}

/// Whole dots from `a` to `b` and `reach` beyond, within `0..size`.
fn span(a: f64, b: f64, reach: f64, size: usize) -> std::ops::Range<usize> {
    let first = (a.min(b) - reach).floor().clamp(0.0, size as f64) as usize;
    let last = (a.max(b) + reach).ceil().clamp(0.0, size as f64) as usize;
    first..last.max(first)
}

/// The rows between which a stroke lies near one column.
fn rows_at(from: (f64, f64), to: (f64, f64), x: f64, reach: f64) -> (f64, f64) {
    let width = to.0 - from.0;
    if width.abs() < 1e-9 {
        return (from.1, to.1);
    }
    let row = |x: f64| {
        let part = ((x - from.0) / width).clamp(0.0, 1.0);
        from.1 + part * (to.1 - from.1)
    };
    (row(x - reach), row(x + reach))
}
