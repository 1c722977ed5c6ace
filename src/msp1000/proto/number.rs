//! Numbers as the vendor's client writes them.

/// Appends the shortest decimal that reads back as `value`, the way Python's `str` writes it: exponent notation with a
/// sign and two digits below 1e-4 and from 1e16, else at least one digit after the point.
pub(super) fn write_float(value: f64, out: &mut Vec<u8>) {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        out.extend_from_slice(format!("{mantissa}e{sign}{digits:0>2}").as_bytes());
    } else {
        out.extend_from_slice(format!("{value:?}").as_bytes());
    }
}

/// Reads a finite decimal; blanks around it are of no meaning, as for Python's `float`.
pub(super) fn read_float(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Reads a whole number; blanks around it are of no meaning.
pub(super) fn read_integer(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, text) in [
            (1.21419996e-12, "1.21419996e-12"),
            (-8.04026968e-06, "-8.04026968e-06"),
            (0.161927998, "0.161927998"),
            (399.615997, "399.615997"),
            (398.25, "398.25"),
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
        ] {
            let mut out = Vec::new();
            write_float(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn only_finite_numbers_are_read() {
        assert_eq!(read_float(b" -8.1e-06"), Some(-8.1e-6));
        for text in ["", "x", "nan", "inf", "-infinity", "1e999", "1,2", "\u{e9}"] {
            assert_eq!(read_float(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read_integer(b"20 "), Some(20));
        for text in ["", "2.9", "-1", "4294967296", "0x10"] {
            assert_eq!(read_integer(text.as_bytes()), None, "{text}");
        }
    }
}
