//! Where axes, curves, lanes and words go, and drawing them there.

use super::canvas::{Area, Canvas, Color, Pen, text_width};
use super::ticks::Ticks;
use super::{Figure, font};

pub(super) const BACKGROUND: Color = [255, 255, 255];
const INK: Color = [40, 40, 40];
const GRID: Color = [222, 222, 222];
const FRAME: Color = [120, 120, 120];
/// Colors that stay apart for most eyes (after Okabe and Ito), in the order of the curves.
const COLORS: [Color; 7] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [86, 180, 233],
    [230, 159, 0],
    [90, 90, 90],
];

const SCALE: usize = 2;
const TEXT: usize = font::HEIGHT * SCALE;
const MARGIN: usize = 14;
const TICK: usize = 5;
const GAP: usize = 8;
const LINE_WIDTH: f64 = 2.0;
/// Dots of a lane of logic levels at most.
const LANE: usize = 34;
/// Room above and below what the curves reach, as a part of it.
const HEADROOM: f64 = 0.05;

/// Where everything goes.
pub(super) struct Layout {
    /// Curves.
    plot: Area,
    /// Below it, one a lane.
    lanes: Vec<Area>,
    x: Scale,
    y: Scale,
}

/// From a unit to dots.
struct Scale {
    low: f64,
    high: f64,
    /// Dots at either end.
    start: f64,
    end: f64,
    ticks: Ticks,
}

impl Scale {
    /// About one mark in `spacing` dots.
    fn new(
        (low, high): (f64, f64),
        unit: &str,
        (start, end): (usize, usize),
        spacing: usize,
    ) -> Self {
        let wanted = (start.abs_diff(end) / spacing).max(2);
        Self {
            low,
            high,
            start: start as f64,
            end: end as f64,
            ticks: Ticks::new(low, high, unit, wanted),
        }
    }

    /// Within one size of the picture around it, so that no sum overflows.
    fn place(&self, value: f64) -> f64 {
        let part = (value - self.low) / (self.high - self.low);
        self.start + part.clamp(-1.0, 2.0) * (self.end - self.start)
    }
}

impl Layout {
    pub(super) fn of(figure: &Figure, width: usize, height: usize) -> Self {
        let x_range = range(figure.x_values());
        let y_values = || {
            figure
                .curves
                .iter()
                .flat_map(|curve| curve.points.iter().map(|p| p.1))
        };
        let y_range = figure
            .y_range
            .filter(|(low, high)| low < high && (high - low).is_finite())
            .unwrap_or_else(|| roomy(range(y_values())));
        let top = MARGIN + TEXT + 2 * GAP;
        let foot = height - MARGIN - 2 * TEXT - TICK - 2 * GAP;
        let (plot_bottom, lane) = figure.split(top, foot);
        let y = Scale::new(y_range, &figure.y.unit, (plot_bottom, top), 56);
        let labels = y.ticks.labels.iter().map(|label| text_width(label, SCALE));
        let names = figure
            .lanes
            .iter()
            .map(|lane| text_width(&lane.name, SCALE));
        let labels = match figure.curves.is_empty() {
            true => names.max(),
            false => labels.chain(names).max(),
        };
        let widest = labels.unwrap_or(0).min(width / 3);
        let left = MARGIN + TEXT + GAP + widest + TICK + GAP;
        let right = width - MARGIN - 2 * GAP;
        let x = Scale::new(x_range, &figure.x.unit, (left, right), 110);
        let lanes = (0..figure.lanes.len()).map(|index| Area {
            left,
            top: (foot - lane * (figure.lanes.len() - index)).max(top),
            right,
            bottom: foot - lane * (figure.lanes.len() - index - 1),
        });
        Self {
            lanes: lanes.collect(),
            plot: Area {
                left,
                top,
                right,
                bottom: plot_bottom,
            },
            x,
            y,
        }
    }

    /// Frame, marks, labels.
    pub(super) fn grid(&self, canvas: &mut Canvas, figure: &Figure) {
        let bottom = self
            .lanes
            .last()
            .map_or(self.plot.bottom, |lane| lane.bottom);
        for (place, label) in self.x.ticks.places.iter().zip(&self.x.ticks.labels) {
            let x = self.x.place(*place) as usize;
            canvas.rectangle(
                Area {
                    left: x,
                    top: self.plot.top,
                    right: x + 1,
                    bottom,
                },
                GRID,
            );
            canvas.rectangle(
                Area {
                    left: x,
                    top: bottom,
                    right: x + 1,
                    bottom: bottom + TICK,
                },
                FRAME,
            );
            let half = (text_width(label, SCALE) - SCALE) / 2;
            let left = x
                .saturating_sub(half)
                .min(canvas.width.saturating_sub(2 * half + SCALE));
            canvas.text(left, bottom + TICK + GAP, label, SCALE, INK);
        }
        let name = named(&figure.x.label, &self.x.ticks.unit);
        let middle = (self.plot.left + self.plot.right) / 2;
        let left = middle.saturating_sub(text_width(&name, SCALE) / 2);
        canvas.text(left, bottom + TICK + 2 * GAP + TEXT, &name, SCALE, INK);
        if !figure.curves.is_empty() {
            self.marks_of_y(canvas, figure);
            outline(canvas, self.plot);
        }
        for lane in &self.lanes {
            // Neighbors share a line.
            let end = (lane.bottom + 1).min(bottom);
            outline(
                canvas,
                Area {
                    bottom: end,
                    ..*lane
                },
            );
        }
    }

    fn marks_of_y(&self, canvas: &mut Canvas, figure: &Figure) {
        let Area {
            left,
            top,
            right,
            bottom,
        } = self.plot;
        for (place, label) in self.y.ticks.places.iter().zip(&self.y.ticks.labels) {
            let y = (self.y.place(*place) as usize).min(bottom - 1);
            canvas.rectangle(
                Area {
                    left,
                    top: y,
                    right,
                    bottom: y + 1,
                },
                GRID,
            );
            canvas.rectangle(
                Area {
                    left: left - TICK,
                    top: y,
                    right: left,
                    bottom: y + 1,
                },
                FRAME,
            );
            let start = left.saturating_sub(TICK + GAP + text_width(label, SCALE) - SCALE);
            let above = y.saturating_sub(TEXT / 2).min(bottom - TEXT + SCALE);
            canvas.text(start, above, label, SCALE, INK);
        }
        let name = named(&figure.y.label, &self.y.ticks.unit);
        let middle = (top + bottom) / 2;
        let start = middle.saturating_sub(text_width(&name, SCALE) / 2);
        canvas.text_up(MARGIN, start, &name, SCALE, INK);
    }

    pub(super) fn curves(&self, canvas: &mut Canvas, figure: &Figure) {
        for (index, curve) in figure.curves.iter().enumerate() {
            let mut pen = Pen::new(self.plot, LINE_WIDTH);
            let places = curve
                .points
                .iter()
                .filter(|(x, y)| x.is_finite() && y.is_finite());
            let places = places.map(|(x, y)| (self.x.place(*x), self.y.place(*y)));
            let places = thin(places);
            match places.as_slice() {
                [only] => pen.line(*only, *only),
                _ => places
                    .windows(2)
                    .for_each(|pair| pen.line(pair[0], pair[1])),
            }
            canvas.stroke(&pen, color(index));
        }
    }

    pub(super) fn lanes(&self, canvas: &mut Canvas, figure: &Figure) {
        for (index, (lane, area)) in figure.lanes.iter().zip(&self.lanes).enumerate() {
            let inner = area.height() / 5 + 1;
            let (high, low) = ((area.top + inner) as f64, (area.bottom - inner) as f64);
            let mut pen = Pen::new(*area, LINE_WIDTH);
            let steps = lane.points.iter().filter(|(x, _)| x.is_finite());
            let steps = steps.map(|(x, level)| (self.x.place(*x), if *level { high } else { low }));
            let mut before: Option<(f64, f64)> = None;
            let mut places = Vec::with_capacity(2 * lane.points.len());
            for (x, y) in steps {
                if let Some((_, old)) = before.filter(|(_, old)| *old != y) {
                    places.push((x, old));
                }
                places.push((x, y));
                before = Some((x, y));
            }
            let places = thin(places.into_iter());
            places
                .windows(2)
                .for_each(|pair| pen.line(pair[0], pair[1]));
            canvas.stroke(&pen, color(figure.curves.len() + index));
            let name = text_width(&lane.name, SCALE);
            let left = area.left.saturating_sub(TICK + GAP + name - SCALE);
            let top = (area.top + area.bottom).saturating_sub(TEXT) / 2;
            canvas.text(left, top, &lane.name, SCALE, INK);
        }
    }

    /// Title to the left, legend to the right; a title that is too long is cut.
    pub(super) fn header(&self, canvas: &mut Canvas, figure: &Figure, width: usize) {
        let mut right = width - MARGIN - 2 * GAP;
        if figure.curves.len() > 1 {
            for (index, curve) in figure.curves.iter().enumerate().rev() {
                let needed = text_width(&curve.name, SCALE) + 4 * GAP;
                if right < self.plot.left + needed {
                    break;
                }
                right -= needed;
                let middle = MARGIN + TEXT / 2;
                let swatch = Area {
                    left: right + GAP,
                    top: middle - 2,
                    right: right + 3 * GAP,
                    bottom: middle + 1,
                };
                canvas.rectangle(swatch, color(index));
                canvas.text(right + 4 * GAP - GAP / 2, MARGIN, &curve.name, SCALE, INK);
            }
        }
        let room = right.saturating_sub(self.plot.left) / (font::ADVANCE * SCALE);
        let title: String = figure.title.chars().take(room).collect();
        canvas.text(self.plot.left, MARGIN, &title, SCALE, INK);
    }
}

impl Figure {
    fn x_values(&self) -> impl Iterator<Item = f64> {
        let curves = self
            .curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|p| p.0));
        curves.chain(
            self.lanes
                .iter()
                .flat_map(|lane| lane.points.iter().map(|p| p.0)),
        )
    }

    /// Where the curves end, and how high a lane is.
    fn split(&self, top: usize, foot: usize) -> (usize, usize) {
        if self.lanes.is_empty() {
            return (foot, 0);
        }
        let room = match self.curves.is_empty() {
            true => foot - top,
            false => (foot - top) / 2,
        };
        let lane = room / self.lanes.len();
        match self.curves.is_empty() {
            true => (top, lane),
            false => {
                let lane = lane.min(LANE);
                (foot - lane * self.lanes.len() - GAP, lane)
            }
        }
    }
}

/// Label and unit.
fn named(label: &str, unit: &str) -> String {
    match unit.is_empty() {
        true => label.to_owned(),
        false => format!("{label} ({unit})"),
    }
}

fn color(index: usize) -> Color {
    COLORS[index % COLORS.len()]
}

/// Least and greatest of the finite values; never empty.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite() && value.abs() < 1e300);
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let least = (low.abs().max(high.abs()) * 1e-9).max(1e-30);
    match (low > high, high - low < least) {
        (true, _) => (0.0, 1.0),
        (_, true) if low == 0.0 => (-1.0, 1.0),
        (_, true) => (low - low.abs() / 2.0, high + high.abs() / 2.0),
        _ => (low, high),
    }
}

fn roomy((low, high): (f64, f64)) -> (f64, f64) {
    let room = (high - low) * HEADROOM;
    (low - room, high + room)
}

fn outline(canvas: &mut Canvas, area: Area) {
    let Area {
        left,
        top,
        right,
        bottom,
    } = area;
    canvas.rectangle(
        Area {
            bottom: top + 1,
            ..area
        },
        FRAME,
    );
    canvas.rectangle(
        Area {
            top: bottom - 1,
            ..area
        },
        FRAME,
    );
    canvas.rectangle(
        Area {
            right: left + 1,
            ..area
        },
        FRAME,
    );
    canvas.rectangle(
        Area {
            left: right - 1,
            ..area
        },
        FRAME,
    );
}

/// At most four places of each column: the first, the extremes, the last.
fn thin(places: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let mut column: Vec<(f64, f64)> = Vec::with_capacity(5);
    for place in places {
        if column
            .first()
            .is_some_and(|first| first.0.floor() != place.0.floor())
        {
            kept.append(&mut column);
        }
        column.push(place);
        if column.len() == 5 {
            // Of the three between the first and the last the middle one goes.
            let mut inner = [1, 2, 3];
            inner.sort_by(|a, b| column[*a].1.total_cmp(&column[*b].1));
            let (least, most) = (inner[0].min(inner[2]), inner[0].max(inner[2]));
            column = vec![column[0], column[least], column[most], column[4]];
        }
    }
    kept.append(&mut column);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Curve;

    #[test]
    fn a_curve_goes_through_its_points() {
        let curve = Curve {
            name: "A".into(),
            points: vec![(0.0, 0.0), (1.0, 1.0)],
        };
        let figure = Figure {
            y_range: Some((0.0, 1.0)),
            curves: vec![curve],
            ..Figure::default()
        };
        let canvas = figure.draw(400, 300);
        let layout = Layout::of(&figure, 400, 300);
        for part in [0.1, 0.5, 0.9] {
            let (x, y) = (layout.x.place(part) as usize, layout.y.place(part) as usize);
            let at = 3 * (y * 400 + x);
            assert_eq!(canvas.dots[at..at + 3], COLORS[0], "{part}");
            let beside = 3 * ((y + 5) * 400 + x);
            assert_ne!(canvas.dots[beside..beside + 3], COLORS[0], "{part}");
        }
    }

    #[test]
    fn no_peak_is_lost_among_many_points() {
        let mut spike = vec![(0.0, 0.0); 100_000];
        for (index, point) in spike.iter_mut().enumerate() {
            point.0 = index as f64 / 1000.0;
        }
        spike[54_321].1 = 1.0;
        let thinned = thin(spike.into_iter());
        assert!(thinned.len() <= 404, "{}", thinned.len());
        assert!(thinned.contains(&(54.321, 1.0)));
        assert!(thinned.is_sorted_by(|a, b| a.0 <= b.0));
    }
}
