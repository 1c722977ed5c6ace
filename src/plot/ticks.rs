//! Round places for marks on an axis, and their labels.

/// Units that take a prefix: `4e-6 s` reads `4 us`.
const PREFIXED: [&str; 4] = ["s", "V", "Hz", "A"];
const PREFIXES: [(f64, &str); 7] = [
    (1e-9, "n"),
    (1e-6, "\u{b5}"),
    (1e-3, "m"),
    (1.0, ""),
    (1e3, "k"),
    (1e6, "M"),
    (1e9, "G"),
];
/// Marks at most, whatever the range.
const MOST: usize = 64;

/// The marks of one axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticks {
    /// Where, in the axis's unit, ascending.
    pub(super) places: Vec<f64>,
    /// One a place.
    pub(super) labels: Vec<String>,
    /// The unit that the labels are in.
    pub(super) unit: String,
}

impl Ticks {
    /// About `wanted` marks from `low` to `high`, at multiples of 1, 2 or 5 times a power of ten.
    pub(super) fn new(low: f64, high: f64, unit: &str, wanted: usize) -> Self {
        let step = round_step((high - low) / wanted.max(1) as f64);
        let (scale, prefix) = prefix(low.abs().max(high.abs()), unit);
        let first = (low / step - 1e-6).ceil();
        let places: Vec<f64> = (0..MOST)
            .map(|index| (first + index as f64) * step)
            .take_while(|place| *place <= high + step * 1e-6)
            .collect();
        let decimals = (-(step / scale).log10() - 1e-9).ceil().clamp(0.0, 12.0) as usize;
        let label = |place: &f64| {
            let text = format!("{:.decimals$}", place / scale);
            match text.trim_start_matches(['-', '0', '.']).is_empty() {
                true => text.trim_start_matches('-').to_owned(),
                false => text,
            }
        };
        Self {
            labels: places.iter().map(label).collect(),
            places,
            unit: format!("{prefix}{unit}"),
        }
    }
}

/// The next 1, 2 or 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= rough * (1.0 - 1e-9));
    round.unwrap_or(10.0) * power
}

fn prefix(extent: f64, unit: &str) -> (f64, &'static str) {
    if !PREFIXED.contains(&unit) {
        return (1.0, "");
    }
    let fits = |(scale, _): &&(f64, &str)| extent >= *scale * (1.0 - 1e-9);
    PREFIXES.iter().rev().find(fits).map_or(PREFIXES[0], |p| *p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_say_their_unit() {
        for (low, high, unit, wanted, labels, shown) in [
            (
                0.0,
                4e-3,
                "s",
                8,
                "0.0 0.5 1.0 1.5 2.0 2.5 3.0 3.5 4.0",
                "ms",
            ),
            (0.0, 1e-5, "s", 5, "0 2 4 6 8 10", "\u{b5}s"),
            (-0.3, 3.3, "V", 8, "0.0 0.5 1.0 1.5 2.0 2.5 3.0", "V"),
            (350.0, 1000.0, "nm", 7, "400 500 600 700 800 900 1000", "nm"),
            (0.0, 60_000.0, "counts", 3, "0 20000 40000 60000", "counts"),
            (-1.0, 1.0, "", 4, "-1.0 -0.5 0.0 0.5 1.0", ""),
        ] {
            let ticks = Ticks::new(low, high, unit, wanted);
            assert_eq!(ticks.labels.join(" "), labels);
            assert_eq!(ticks.unit, shown);
        }
    }

    #[test]
    fn any_range_has_few_marks() {
        for (low, high) in [(0.0, 1e-300), (-1e300, 1e300), (1e9, 1e9 + 1e-3)] {
            let ticks = Ticks::new(low, high, "V", 8);
            assert!(ticks.places.len() <= MOST, "{low}..{high}");
        }
    }
}
