//! Volts and what the converter's registers hold.

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
    fn the_neutral_point_stays() {
        let (lo, hi) = Probe::X1.converter(1.0 / 3.0, 2.0 / 3.0);
        assert!((lo - 1.0 / 3.0).abs() < 1e-12 && (hi - 2.0 / 3.0).abs() < 1e-12);
        let (lo, hi) = Probe::X1.range(lo, hi);
        assert!((lo - 1.0 / 3.0).abs() < 1e-12 && (hi - 2.0 / 3.0).abs() < 1e-12);
    }
}
