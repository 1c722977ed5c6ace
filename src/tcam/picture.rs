//! A frame as a picture for people: enlarged four times through a palette, a temperature scale beside it.
//!
//! ```text
//! camera                               time      816 x 548, PNG with a palette of 8 bits
//! +--------------------------------+ +--+ C
//! |                                | |  |- 31.0
//! |        120 rows x 160          | |  |- 28.5
//! |        columns, x 4            | |  |- 26.0
//! |                                | |  |- 23.5
//! +--------------------------------+ +--+- 21.0
//! min  max  mean  spot
//! ```
//!
//! The scale reaches from the least to the greatest pixel. A ring marks the warmest pixel, a cross the coldest, a
//! frame the area of the spot meter. Frames without temperatures (AGC, radiometry off) have a scale of counts.

use png::{BitDepth, ColorType, DeflateCompression, Encoder, Filter};

use super::proto::{
    COLUMNS, Frame, Metadata, PIXELS, PixelKind, ROWS, Resolution, SpotArea, Telemetry,
};
use crate::plot::font;

/// Dots of a pixel, across and down.
const SCALE: usize = 4;
/// Dots of a dot of the font.
const TEXT_SCALE: usize = 2;
const LINE: usize = font::HEIGHT * TEXT_SCALE;
const MARGIN: usize = 12;

const IMAGE_LEFT: usize = MARGIN;
const IMAGE_TOP: usize = MARGIN + LINE + 8;
const IMAGE_WIDTH: usize = COLUMNS * SCALE;
const IMAGE_HEIGHT: usize = ROWS * SCALE;
const BAR_LEFT: usize = IMAGE_LEFT + IMAGE_WIDTH + 16;
const BAR_WIDTH: usize = 24;
const TICK_WIDTH: usize = 6;
const LABEL_LEFT: usize = BAR_LEFT + BAR_WIDTH + TICK_WIDTH + 6;
/// Characters of the longest label: `-273.15`.
const LABEL_CHARS: usize = 7;
const FOOTER_TOP: usize = IMAGE_TOP + IMAGE_HEIGHT + 10;

/// Dots across the picture.
pub const WIDTH: usize = LABEL_LEFT + LABEL_CHARS * font::ADVANCE * TEXT_SCALE + MARGIN;
/// Dots down the picture.
pub const HEIGHT: usize = FOOTER_TOP + LINE + MARGIN;

/// Labels of the scale.
const LABELS: usize = 5;
/// The least span of the scale, so that a frame of one temperature is not all noise.
const LEAST_SPAN_KELVIN: f64 = 1.0;

/// Palette: what is not of the scale comes first.
const BLACK: u8 = 0;
const WHITE: u8 = 1;
const GRAY: u8 = 2;
const FIRST_COLOR: usize = 3;
const COLORS: usize = 256 - FIRST_COLOR;

/// Iron: what infrared cameras show by default, from cold to hot, evenly spaced.
const IRON: [[u8; 3]; 11] = [
    [0, 0, 20],
    [24, 0, 92],
    [68, 0, 140],
    [116, 0, 156],
    [160, 8, 144],
    [198, 36, 104],
    [226, 72, 44],
    [243, 116, 8],
    [252, 164, 8],
    [255, 214, 76],
    [255, 250, 224],
];

/// Renders a frame as a PNG file of [`WIDTH`] x [`HEIGHT`] dots.
pub fn render(metadata: &Metadata<'_>, frame: &Frame) -> Vec<u8> {
    let telemetry = frame.telemetry();
    let scale = Axis::of(frame, &telemetry);
    let mut canvas = Canvas::blank();
    canvas.text(IMAGE_LEFT, MARGIN, WHITE, &metadata.camera);
    let time = time(metadata);
    let right = IMAGE_LEFT + IMAGE_WIDTH;
    let left = right.saturating_sub(text_width(&time));
    canvas.text(left, MARGIN, GRAY, &time);
    canvas.image(frame, &scale);
    if scale.kelvin_per_count.is_some() {
        canvas.marks(frame, &telemetry);
    }
    canvas.bar(&scale);
    let summary = summary(frame, &telemetry, &scale);
    canvas.text(IMAGE_LEFT, FOOTER_TOP, WHITE, &summary);
    canvas.encode(metadata)
}

/// What the colors stand for.
struct Axis {
    /// Least and greatest count.
    low: u16,
    high: u16,
    kelvin_per_count: Option<Resolution>,
    unit: &'static str,
}

impl Axis {
    fn of(frame: &Frame, telemetry: &Telemetry) -> Self {
        let low = frame.pixels.iter().fold(u16::MAX, |a, &b| a.min(b));
        let high = frame.pixels.iter().fold(0, |a, &b| a.max(b));
        let (kelvin_per_count, unit, least_span) = match telemetry.pixel_kind() {
            PixelKind::Temperature(resolution) => {
                let span = LEAST_SPAN_KELVIN / resolution.kelvin_per_count();
                (Some(resolution), "\u{b0}C", span.round() as u16)
            }
            PixelKind::Agc => (None, "AGC", 1),
            PixelKind::RawCounts => (None, "counts", 1),
        };
        let missing = least_span.saturating_sub(high - low);
        let low = low.saturating_sub(missing / 2);
        Self {
            low,
            high: high.max(low.saturating_add(least_span)),
            kelvin_per_count,
            unit,
        }
    }

    /// The palette's index of a count.
    fn color(&self, count: f32) -> u8 {
        let span = f32::from(self.high - self.low).max(1.0);
        let at = (count - f32::from(self.low)) / span * (COLORS - 1) as f32;
        // The cast holds it within the palette.
        (at + 0.5) as u8 + FIRST_COLOR as u8
    }

    /// A count as its label.
    fn label(&self, count: f64) -> String {
        match self.kelvin_per_count {
            Some(resolution) => {
                let celsius = count * resolution.kelvin_per_count() - 273.15;
                let narrow = f64::from(self.high - self.low) * resolution.kelvin_per_count() < 10.0;
                format!("{celsius:.*}", if narrow { 2 } else { 1 })
            }
            None => format!("{count:.0}"),
        }
    }
}

/// The line below the image.
fn summary(frame: &Frame, telemetry: &Telemetry, scale: &Axis) -> String {
    let sum: u64 = frame.pixels.iter().map(|&count| u64::from(count)).sum();
    let mean = sum as f64 / PIXELS as f64;
    let least = frame.pixels.iter().fold(u16::MAX, |a, &b| a.min(b));
    let greatest = frame.pixels.iter().fold(0, |a, &b| a.max(b));
    let label = |count: u16| scale.label(count.into());
    let mut text = format!(
        "min {}  max {}  mean {}",
        label(least),
        label(greatest),
        scale.label(mean)
    );
    if scale.kelvin_per_count.is_some() {
        text += &format!("  spot {}", label(telemetry.spot.mean));
        text += &format!("  e {}%", telemetry.flux.emissivity_percent());
    }
    text
}

/// Date and time of the camera in the order of ISO 8601.
fn time(metadata: &Metadata<'_>) -> String {
    match (metadata.calendar_date(), metadata.time_of_day()) {
        (Some(date), Some(_)) if date.is_unset() => "clock not set".into(),
        (Some(date), Some(time)) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
            date.year, date.month, date.day, time.hour, time.minute, time.second, time.millisecond
        ),
        _ => format!("{} {}", metadata.date, metadata.time),
    }
}

/// Dots as indices of the palette.
struct Canvas {
    dots: Vec<u8>,
}

impl Canvas {
    fn blank() -> Self {
        Self {
            dots: vec![BLACK; WIDTH * HEIGHT],
        }
    }

    /// Beyond the edge nothing is drawn.
    fn dot(&mut self, x: usize, y: usize, color: u8) {
        if x < WIDTH && y < HEIGHT {
            self.dots[y * WIDTH + x] = color;
        }
    }

    fn rectangle(&mut self, left: usize, top: usize, width: usize, height: usize, color: u8) {
        for y in top..top + height {
            for x in left..left + width {
                self.dot(x, y, color);
            }
        }
    }

    fn outline(&mut self, left: usize, top: usize, width: usize, height: usize, color: u8) {
        self.rectangle(left, top, width, 1, color);
        self.rectangle(left, top + height - 1, width, 1, color);
        self.rectangle(left, top, 1, height, color);
        self.rectangle(left + width - 1, top, 1, height, color);
    }

    fn text(&mut self, left: usize, top: usize, color: u8, text: &str) {
        let mut x = left;
        for character in text.chars() {
            for (row, bits) in font::glyph(character).iter().enumerate() {
                for column in (0..font::WIDTH).filter(|column| bits >> (4 - column) & 1 == 1) {
                    let (dot_x, dot_y) = (x + column * TEXT_SCALE, top + row * TEXT_SCALE);
                    self.rectangle(dot_x, dot_y, TEXT_SCALE, TEXT_SCALE, color);
                }
            }
            x += font::ADVANCE * TEXT_SCALE;
        }
    }

    /// The frame, interpolated between the centers of its pixels.
    fn image(&mut self, frame: &Frame, scale: &Axis) {
        let columns: Vec<Between> = (0..IMAGE_WIDTH).map(|x| Between::at(x, COLUMNS)).collect();
        for y in 0..IMAGE_HEIGHT {
            let rows = Between::at(y, ROWS);
            let above = &frame.pixels[rows.first * COLUMNS..][..COLUMNS];
            let below = &frame.pixels[rows.second * COLUMNS..][..COLUMNS];
            let start = (IMAGE_TOP + y) * WIDTH + IMAGE_LEFT;
            let dots = &mut self.dots[start..start + IMAGE_WIDTH];
            for (dot, across) in dots.iter_mut().zip(&columns) {
                let count = rows.mix(across.of(above), across.of(below));
                *dot = scale.color(count);
            }
        }
    }

    /// Warmest and coldest pixel and the spot.
    fn marks(&mut self, frame: &Frame, telemetry: &Telemetry) {
        let place = |wanted: u16| {
            let index = frame.pixels.iter().position(|&count| count == wanted);
            let index = index.unwrap_or(0);
            let center = SCALE / 2;
            let x = IMAGE_LEFT + index % COLUMNS * SCALE + center;
            (x, IMAGE_TOP + index / COLUMNS * SCALE + center)
        };
        let (x, y) = place(frame.pixels.iter().fold(0, |a, &b| a.max(b)));
        self.mark(x, y, &ring());
        let (x, y) = place(frame.pixels.iter().fold(u16::MAX, |a, &b| a.min(b)));
        self.mark(x, y, &cross());
        self.spot(&telemetry.spot.area);
    }

    /// White on black, so that it shows on any color.
    fn mark(&mut self, x: usize, y: usize, dots: &[(isize, isize)]) {
        let at = |dx: isize, dy: isize| (x.wrapping_add_signed(dx), y.wrapping_add_signed(dy));
        for &(dx, dy) in dots {
            for (ox, oy) in [(1, 0), (0, 1), (-1, 0), (0, -1)] {
                let (x, y) = at(dx + ox, dy + oy);
                self.dot_of_image(x, y, BLACK);
            }
        }
        for &(dx, dy) in dots {
            let (x, y) = at(dx, dy);
            self.dot_of_image(x, y, WHITE);
        }
    }

    fn dot_of_image(&mut self, x: usize, y: usize, color: u8) {
        let across = IMAGE_LEFT..IMAGE_LEFT + IMAGE_WIDTH;
        let down = IMAGE_TOP..IMAGE_TOP + IMAGE_HEIGHT;
        if across.contains(&x) && down.contains(&y) {
            self.dot(x, y, color);
        }
    }

    fn spot(&mut self, area: &SpotArea) {
        // Telemetry may hold anything.
        let (col2, row2) = (
            area.col2.min(COLUMNS as u16 - 1),
            area.row2.min(ROWS as u16 - 1),
        );
        let (col1, row1) = (area.col1.min(col2), area.row1.min(row2));
        let left = IMAGE_LEFT + usize::from(col1) * SCALE;
        let top = IMAGE_TOP + usize::from(row1) * SCALE;
        let width = usize::from(col2 - col1 + 1) * SCALE;
        let height = usize::from(row2 - row1 + 1) * SCALE;
        self.outline(left - 2, top - 2, width + 4, height + 4, BLACK);
        self.outline(left - 1, top - 1, width + 2, height + 2, WHITE);
    }

    /// The scale, hottest on top.
    fn bar(&mut self, scale: &Axis) {
        let last = IMAGE_HEIGHT - 1;
        let span = f32::from(scale.high - scale.low);
        for y in 0..IMAGE_HEIGHT {
            let count = f32::from(scale.high) - span * y as f32 / last as f32;
            let color = scale.color(count);
            self.rectangle(BAR_LEFT, IMAGE_TOP + y, BAR_WIDTH, 1, color);
        }
        self.outline(BAR_LEFT, IMAGE_TOP, BAR_WIDTH, IMAGE_HEIGHT, GRAY);
        self.text(BAR_LEFT, MARGIN, WHITE, scale.unit);
        for label in 0..LABELS {
            let y = IMAGE_TOP + last * label / (LABELS - 1);
            let part = label as f64 / (LABELS - 1) as f64;
            let count = f64::from(scale.high) - f64::from(scale.high - scale.low) * part;
            self.rectangle(BAR_LEFT + BAR_WIDTH, y, TICK_WIDTH, 1, GRAY);
            let top = (y - LINE / 2).clamp(IMAGE_TOP, IMAGE_TOP + IMAGE_HEIGHT - LINE);
            self.text(LABEL_LEFT, top, WHITE, &scale.label(count));
        }
    }

    fn encode(&self, metadata: &Metadata<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * 1024);
        self.write(metadata, &mut out)
            .expect("a picture in memory because its size and palette are right");
        out
    }

    fn write(&self, metadata: &Metadata<'_>, out: &mut Vec<u8>) -> Result<(), png::EncodingError> {
        let mut encoder = Encoder::new(out, WIDTH as u32, HEIGHT as u32);
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_palette(palette());
        encoder.set_deflate_compression(DeflateCompression::Level(4));
        encoder.set_filter(Filter::Sub);
        let plain = |text: &str| text.chars().filter(char::is_ascii_graphic).collect();
        encoder.add_text_chunk("Source".into(), plain(&metadata.camera))?;
        encoder.add_text_chunk("Creation Time".into(), time(metadata))?;
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.dots)?;
        writer.finish()
    }
}

/// Two neighbors and the part of the second.
struct Between {
    first: usize,
    second: usize,
    part: f32,
}

impl Between {
    /// For a dot, over `pixels` pixels.
    fn at(dot: usize, pixels: usize) -> Self {
        let place = ((dot as f32 + 0.5) / SCALE as f32 - 0.5).max(0.0);
        let first = place as usize;
        Self {
            first,
            second: (first + 1).min(pixels - 1),
            part: place - first as f32,
        }
    }

    fn mix(&self, first: f32, second: f32) -> f32 {
        first + (second - first) * self.part
    }

    fn of(&self, row: &[u16]) -> f32 {
        self.mix(row[self.first].into(), row[self.second].into())
    }
}

fn text_width(text: &str) -> usize {
    text.chars().count() * font::ADVANCE * TEXT_SCALE
}

fn ring() -> Vec<(isize, isize)> {
    let on_ring = |&(x, y): &(isize, isize)| (20..=32).contains(&(x * x + y * y));
    around(5).filter(on_ring).collect()
}

fn cross() -> Vec<(isize, isize)> {
    let arms = |&(x, y): &(isize, isize)| (x == 0 || y == 0) && x.abs().max(y.abs()) > 1;
    around(5).filter(arms).collect()
}

fn around(reach: isize) -> impl Iterator<Item = (isize, isize)> {
    (-reach..=reach).flat_map(move |y| (-reach..=reach).map(move |x| (x, y)))
}

/// Red, green and blue of all 256 indices.
fn palette() -> Vec<u8> {
    let mut colors = vec![0, 0, 0, 255, 255, 255, 150, 150, 150];
    for index in 0..COLORS {
        let at = index as f32 / (COLORS - 1) as f32 * (IRON.len() - 1) as f32;
        let first = (at as usize).min(IRON.len() - 2);
        let part = at - first as f32;
        for (a, b) in IRON[first].into_iter().zip(IRON[first + 1]) {
            let value = f32::from(a) + (f32::from(b) - f32::from(a)) * part;
            colors.push(value.round() as u8);
        }
    }
    colors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(file: &[u8]) -> (png::Info<'static>, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        let mut dots = vec![0; WIDTH * HEIGHT];
        reader.next_frame(&mut dots).unwrap();
        (reader.info().clone(), dots)
    }

    fn frame(count: impl Fn(usize, usize) -> u16, telemetry: Telemetry) -> Frame {
        let mut frame = Frame::blank();
        for (index, pixel) in frame.pixels.iter_mut().enumerate() {
            *pixel = count(index % COLUMNS, index / COLUMNS);
        }
        telemetry.encode(&mut frame.telemetry_words);
        frame
    }

    fn dot_at(dots: &[u8], x: usize, y: usize) -> u8 {
        dots[(IMAGE_TOP + y) * WIDTH + IMAGE_LEFT + x]
    }

    #[test]
    fn the_scale_spans_the_frame_and_warm_is_bright() {
        let frame = frame(|x, _| 29_000 + x as u16 * 10, Telemetry::default());
        let (info, dots) = decode(&render(&Metadata::default(), &frame));
        assert_eq!((info.width as usize, info.height as usize), (WIDTH, HEIGHT));
        let row: Vec<u8> = (0..IMAGE_WIDTH).map(|x| dot_at(&dots, x, 100)).collect();
        assert!(row.is_sorted());
        assert_eq!((row[0], row[IMAGE_WIDTH - 1]), (FIRST_COLOR as u8, 255));
        let bar = |y: usize| dots[(IMAGE_TOP + y) * WIDTH + BAR_LEFT + BAR_WIDTH / 2];
        assert_eq!(
            (bar(1), bar(IMAGE_HEIGHT - 2)),
            (254, FIRST_COLOR as u8 + 1)
        );
    }

    #[test]
    fn labels_are_degrees_celsius_at_either_resolution() {
        let fine = frame(|x, _| 27_315 + x as u16 * 10, Telemetry::default());
        let axis = Axis::of(&fine, &fine.telemetry());
        assert_eq!(axis.label(27_315.0), "0.0");
        assert_eq!(axis.label(28_905.0), "15.9");
        let coarse = Telemetry {
            resolution: Resolution::Decikelvin,
            ..Telemetry::default()
        };
        let coarse = frame(|x, _| 2_731 + x as u16 / 4, coarse);
        let axis = Axis::of(&coarse, &coarse.telemetry());
        assert_eq!(axis.label(2_740.0), "0.85");
        assert!(axis.label(0.0).len() <= LABEL_CHARS);
    }

    #[test]
    fn a_flat_frame_and_one_of_extremes_are_drawn() {
        for count in [0, 30_000, u16::MAX] {
            let flat = frame(|_, _| count, Telemetry::default());
            let axis = Axis::of(&flat, &flat.telemetry());
            assert!(axis.high >= axis.low);
            decode(&render(&Metadata::default(), &flat));
        }
        let wide = frame(
            |x, _| if x % 2 == 0 { 0 } else { u16::MAX },
            Telemetry {
                spot: crate::tcam::proto::spot::Spot {
                    area: SpotArea::from_words([u16::MAX; 4]),
                    ..Default::default()
                },
                ..Telemetry::default()
            },
        );
        decode(&render(&Metadata::default(), &wide));
    }

    #[test]
    fn frames_without_temperatures_have_a_scale_of_counts() {
        let telemetry = Telemetry {
            status: Telemetry::default().status.with_agc(true),
            tlinear_enabled: false,
            ..Telemetry::default()
        };
        let agc = frame(|x, _| x as u16, telemetry);
        let axis = Axis::of(&agc, &agc.telemetry());
        assert_eq!((axis.unit, axis.label(159.0).as_str()), ("AGC", "159"));
        assert!(!summary(&agc, &agc.telemetry(), &axis).contains("spot"));
    }
}
