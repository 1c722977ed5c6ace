//! Volts and what the converter's registers hold.

/// Numbers of a calibration.
const NUMBERS: usize = 11;

/// Why a saved calibration is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Too few numbers, or too many.
    #[error("a probe's calibration has {NUMBERS} numbers, not {0}")]
    Count(usize),
    /// Not a number, or not a finite one.
    #[error("{0:?} in a probe's calibration is no number")]
    Number(String),
    /// No voltage could be told with it.
    #[error(
        "a probe's calibration needs a scale above 0, a range that is not empty, and weights that can be inverted"
    )]
    Empty,
}

/// Constants of the analogue inputs with a probe. Source: the client's defaults for a probe "x1".
///
/// ```text
/// lo = (low - offset_v)/scale_v              hi = (high - offset_v)/scale_v
/// ConverterLo = la*lo + lb*hi + lc           ConverterHi = ha*hi + hb*lo + hc      (fractions of 65536)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// Weight of the lower end in ConverterLo.
    pub la: f64,
    /// Weight of the upper end in ConverterLo.
    pub lb: f64,
    /// Constant of ConverterLo.
    pub lc: f64,
    /// Weight of the upper end in ConverterHi.
    pub ha: f64,
    /// Weight of the lower end in ConverterHi.
    pub hb: f64,
    /// Constant of ConverterHi.
    pub hc: f64,
    /// Volts from the converter's bottom to its top.
    pub scale_v: f64,
    /// Volts at the converter's bottom.
    pub offset_v: f64,
    /// Lowest voltage without harm.
    pub safe_low_v: f64,
    /// Highest voltage without harm.
    pub safe_high_v: f64,
    /// How much A reads above B.
    pub ab_offset_v: f64,
}

impl Probe {
    /// The probe that comes with the device.
    pub const X1: Self = Self {
        la: 1.1,
        lb: -0.05,
        lc: 0.0,
        ha: 1.1,
        hb: -0.05,
        hc: -0.05,
        scale_v: 18.333,
        offset_v: -7.517,
        safe_low_v: -5.5,
        safe_high_v: 8.0,
        ab_offset_v: 0.0,
    };

    /// The calibration of a probe in a file as the client keeps it: sections of keys, the key the probe's name, its value
    /// [`parse`](Self::parse)d. The section is the device's serial number here, which the client names by its address.
    ///
    /// # Errors
    /// [`ProbeError`]; a file without that section or key is none.
    pub fn find(file: &str, serial_number: &str, probe: &str) -> Result<Option<Self>, ProbeError> {
        let mut inside = false;
        for line in file.lines().map(str::trim) {
            if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                inside = section.trim() == serial_number;
            } else if inside
                && let Some((key, value)) = line.split_once(['=', ':'])
                && key.trim().eq_ignore_ascii_case(probe)
            {
                return Self::parse(value).map(Some);
            }
        }
        Ok(None)
    }

    /// Eleven numbers between blanks: la, lb, lc, ha, hb, hc, scale, offset, safe_low, safe_high, ab_offset.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn parse(text: &str) -> Result<Self, ProbeError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let words: [&str; NUMBERS] = words
            .try_into()
            .map_err(|words: Vec<_>| ProbeError::Count(words.len()))?;
        let mut numbers = [0.0; NUMBERS];
        for (number, word) in numbers.iter_mut().zip(words) {
            let read = word.parse().ok().filter(|value: &f64| value.is_finite());
            *number = read.ok_or_else(|| ProbeError::Number(word.chars().take(32).collect()))?;
        }
        let [
            la,
            lb,
            lc,
            ha,
            hb,
            hc,
            scale_v,
            offset_v,
            safe_low_v,
            safe_high_v,
            ab_offset_v,
        ] = numbers;
        let determinant = la * ha - lb * hb;
        if !(scale_v > 0.0 && safe_low_v < safe_high_v && determinant.is_normal()) {
            return Err(ProbeError::Empty);
        }
        Ok(Self {
            la,
            lb,
            lc,
            ha,
            hb,
            hc,
            scale_v,
            offset_v,
            safe_low_v,
            safe_high_v,
            ab_offset_v,
        })
    }

    /// Where a voltage lies in the converter's full range, 0..1.
    pub fn fraction(&self, volts: f64) -> f64 {
        (volts - self.offset_v) / self.scale_v
    }

    /// The voltage at a fraction of the converter's full range.
    pub fn volts(&self, fraction: f64) -> f64 {
        fraction * self.scale_v + self.offset_v
    }

    /// ConverterLo and ConverterHi for a range of fractions.
    pub fn converter(&self, lo: f64, hi: f64) -> (f64, f64) {
        (
            self.la * lo + self.lb * hi + self.lc,
            self.ha * hi + self.hb * lo + self.hc,
        )
    }

    /// The range of fractions for ConverterLo and ConverterHi: the inverse of [`converter`](Self::converter).
    pub fn range(&self, converter_lo: f64, converter_hi: f64) -> (f64, f64) {
        let (d, e) = (converter_lo - self.lc, converter_hi - self.hc);
        let determinant = self.la * self.ha - self.lb * self.hb;
        (
            (d * self.ha - self.lb * e) / determinant,
            (self.la * e - self.hb * d) / determinant,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendor's range table of the BS05.
    #[test]
    fn the_vendors_ranges_come_out() {
        for (lo, hi, low, high) in [
            (0x65d6, 0x69bc, -0.52, 0.52),
            (0x5262, 0x7d3f, -1.73, 1.73),
            (0x4468, 0x8aff, -2.60, 2.59),
            (0x126a, 0xba8c, -5.73, 5.54),
        ] {
            let (bottom, top) = Probe::X1.range(f64::from(lo) / 65536.0, f64::from(hi) / 65536.0);
            assert!((Probe::X1.volts(bottom) - low).abs() < 0.006, "{low}");
            assert!((Probe::X1.volts(top) - high).abs() < 0.006, "{high}");
        }
        let level = Probe::X1.volts(f64::from(0x68f5) / 65536.0);
        assert!(level.abs() < 0.005, "{level}");
    }

    #[test]
    fn a_saved_calibration_is_found_by_serial_number_and_probe() {
        let file = "# kept\n[/dev/ttyUSB0]\nx1 = 9 9 9 9 9 9 9 9 8 9 9\n\n[DB98TI79]\nx10 = 1\n\
            X1 = 1.1 -0.05 0 1.1 -0.05 -0.05 18.333 -7.517 -5.5 8 0\n[other]\nx1 = nonsense\n";
        assert_eq!(Probe::find(file, "DB98TI79", "x1"), Ok(Some(Probe::X1)));
        assert_eq!(Probe::find(file, "DB98TI80", "x1"), Ok(None));
        assert_eq!(Probe::find("", "DB98TI79", "x1"), Ok(None));
        assert_eq!(
            Probe::find(file, "DB98TI79", "x10"),
            Err(ProbeError::Count(1))
        );
        assert_eq!(Probe::find(file, "other", "x1"), Err(ProbeError::Count(1)));
    }

    #[test]
    fn a_calibration_that_is_none_is_refused() {
        let number = |word: &str| Err(ProbeError::Number(word.into()));
        for (text, expected) in [
            ("1 0 0 1 0 0 18 -7 -5 8 x", number("x")),
            ("1 0 0 1 0 0 inf -7 -5 8 0", number("inf")),
            ("1 0 0 1 0 0 0 -7 -5 8 0", Err(ProbeError::Empty)),
            ("1 0 0 1 0 0 18 -7 8 8 0", Err(ProbeError::Empty)),
            ("1 1 0 1 1 0 18 -7 -5 8 0", Err(ProbeError::Empty)),
            ("1 0 0 1 0 0 18 -7 -5 8 0 0", Err(ProbeError::Count(12))),
        ] {
            assert_eq!(Probe::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn the_neutral_point_stays() {
        let (lo, hi) = Probe::X1.converter(1.0 / 3.0, 2.0 / 3.0);
        assert!((lo - 1.0 / 3.0).abs() < 1e-12 && (hi - 2.0 / 3.0).abs() < 1e-12);
        let (lo, hi) = Probe::X1.range(lo, hi);
        assert!((lo - 1.0 / 3.0).abs() < 1e-12 && (hi - 2.0 / 3.0).abs() < 1e-12);
    }
}
