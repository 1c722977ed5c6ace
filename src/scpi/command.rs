//! One row of the command table: header, parameters, instrument, help and handler as constants.
//!
//! Header patterns are written as in SCPI documents: capitals are the short form, `[:NEXT]` may be left out,
//! `OUTPut<1..4>` takes a numeric suffix, `?` at the end makes the row a query. A command and its query are two rows.

/// One command or query. `H` is the server's handler type.
#[derive(Debug, Clone, Copy)]
pub struct Command<H: 'static> {
    /// Pattern of the header: `*ESE`, `SYSTem:ERRor[:NEXT]?`, `CAMera:CONFigure:SS`.
    pub header: &'static str,
    /// Parameters in order.
    pub params: &'static [Param],
    /// The instrument this row belongs to, or `system`.
    pub instrument: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// What the server runs.
    pub handler: H,
}

impl<H> Command<H> {
    /// True for the query form.
    pub fn is_query(&self) -> bool {
        self.header.ends_with('?')
    }

    /// The header in its shortest form, without optional nodes, suffix notation and question mark: `SYST:ERR`.
    pub fn short_header(&self) -> String {
        let mut depth = 0;
        let keep = |c: &char| {
            match c {
                '[' | '<' => depth += 1,
                ']' | '>' => depth -= 1,
                _ => return depth == 0 && !c.is_ascii_lowercase() && *c != '?',
            }
            false
        };
        let short: String = self.header.chars().filter(keep).collect();
        short.trim_start_matches(':').to_owned()
    }
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Name for help and error details, in small letters.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// How often it occurs.
    pub need: Need,
}

impl Param {
    /// A parameter that must be given.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            need: Need::Once,
        }
    }

    /// A parameter that may be left out. Only optional ones may follow it.
    pub const fn optional(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            need: Need::Optional,
        }
    }

    /// A list of values, `need` telling how many. Only the last parameter may be one.
    pub const fn list(name: &'static str, kind: Kind, need: Need) -> Self {
        Self { name, kind, need }
    }
}

/// How many values of a parameter belong to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Exactly one.
    Once,
    /// One or none.
    Optional,
    /// From the first to the second number of values: `CAMera:FORMat raw,png`.
    Between(usize, usize),
    /// One of these numbers of values, in rising order: `w,h` or `x,y,w,h`.
    OneOf(&'static [usize]),
}

impl Need {
    /// The least and the most values.
    pub fn limits(self) -> (usize, usize) {
        match self {
            Self::Once => (1, 1),
            Self::Optional => (0, 1),
            Self::Between(least, most) => (least, most),
            Self::OneOf(counts) => (
                counts.first().copied().unwrap_or(0),
                counts.last().copied().unwrap_or(0),
            ),
        }
    }
}

/// The values a parameter takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A number rounded to the nearest integer, halves away from zero; gives [`super::args::Value::Integer`].
    Integer {
        /// Smallest and largest value, in the unit of a bare number.
        range: Range,
        /// Unit of a bare number, if units are allowed.
        unit: Option<Unit>,
    },
    /// A number; gives [`super::args::Value::Real`].
    Real {
        /// Smallest and largest value, in the unit of a bare number.
        range: Range,
        /// Unit of a bare number, if units are allowed.
        unit: Option<Unit>,
    },
    /// `ON`, `OFF` or a number that counts as `ON` unless it rounds to 0.
    Bool,
    /// One of these words, each written with its short form in capitals: `&["MINimum", "MAXimum"]`. A word written
    /// wholly in small letters or wholly in capitals has one form.
    Choice(&'static [&'static str]),
    /// A word, which may have hyphens, or a quoted string, of at most `max` bytes: the name of a fault.
    Name {
        /// Most bytes.
        max: usize,
    },
    /// A quoted string (UTF-8) of at most `max` bytes.
    Text {
        /// Most bytes between the quotes.
        max: usize,
    },
    /// A definite-length block of at most `max` bytes.
    Block {
        /// Most bytes of data.
        max: usize,
    },
    /// Numbers in parentheses, `(1000,3150,10000)`, or one number alone; gives [`super::args::Value::List`].
    NumberList {
        /// Smallest and largest value of each number, in the unit of a bare number.
        range: Range,
        /// Unit of a bare number, if units are allowed.
        unit: Option<Unit>,
        /// Most numbers.
        max: usize,
        /// Round each number to the nearest integer.
        integer: bool,
    },
    /// `MINimum`, `MAXimum` or `DEFault`, the optional parameter of a numeric setting's query.
    MinMaxDef,
}

/// The values a number may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// From `min` to `max`; the words `MIN` and `MAX` stand for them, `DEF` for `default`.
    Fixed {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
        /// Value of `DEF`.
        default: f64,
    },
    /// From the first to the second value; no words, as in `*ESE`.
    Plain(f64, f64),
    /// Known at run time only: the server's resolver tells. Words as in `Fixed`.
    Live,
    /// As `Live`, and 0 besides, which means automatic. Integers only.
    LiveOrZero,
}

/// Limits of a number in the unit of a bare number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumericRange {
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Value of `DEF`.
    pub default: f64,
}

/// `MIN`, `MAX` or `DEF` in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The value after `*RST`.
    Default,
}

impl NumericRange {
    /// The value that `limit` stands for.
    pub fn at(&self, limit: Limit) -> f64 {
        match limit {
            Limit::Min => self.min,
            Limit::Max => self.max,
            Limit::Default => self.default,
        }
    }
}

/// Base unit and the power of ten of it that a number without unit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// The SI unit in capitals, as a suffix is written.
    pub base: &'static str,
    /// A bare number counts 10^scale base units: -6 with base `S` for microseconds.
    pub scale: i32,
}

impl Unit {
    /// Seconds.
    pub const SECOND: Self = Self::of("S", 0);
    /// Milliseconds.
    pub const MILLISECOND: Self = Self::of("S", -3);
    /// Microseconds.
    pub const MICROSECOND: Self = Self::of("S", -6);
    /// Hertz.
    pub const HERTZ: Self = Self::of("HZ", 0);
    /// Volts.
    pub const VOLT: Self = Self::of("V", 0);
    /// Amperes.
    pub const AMPERE: Self = Self::of("A", 0);
    /// Kelvin.
    pub const KELVIN: Self = Self::of("K", 0);
    /// Degrees Celsius.
    pub const CELSIUS: Self = Self::of("CEL", 0);
    /// Percent.
    pub const PERCENT: Self = Self::of("PCT", 0);
    /// Parts per million.
    pub const PPM: Self = Self::of("PPM", 0);
    /// Meters.
    pub const METER: Self = Self::of("M", 0);
    /// Nanometers.
    pub const NANOMETER: Self = Self::of("M", -9);

    /// A bare number counts 10^`scale` times `base`.
    pub const fn of(base: &'static str, scale: i32) -> Self {
        Self { base, scale }
    }

    /// The power of ten that turns a number with `suffix` into bare units, or `None` for a suffix of another unit.
    ///
    /// Multipliers are those of IEEE 488.2; with hertz `M` is mega, with all others milli.
    pub fn exponent(self, suffix: &str) -> Option<i32> {
        let at = suffix.len().checked_sub(self.base.len())?;
        let (multiplier, base) = (suffix.get(..at)?, suffix.get(at..)?);
        if !base.eq_ignore_ascii_case(self.base) {
            return None;
        }
        if multiplier.eq_ignore_ascii_case("M") && self.base == "HZ" {
            return Some(6 - self.scale);
        }
        MULTIPLIERS
            .iter()
            .find(|(name, _)| multiplier.eq_ignore_ascii_case(name))
            .map(|(_, power)| power - self.scale)
    }
}

const MULTIPLIERS: [(&str, i32); 13] = [
    ("", 0),
    ("EX", 18),
    ("PE", 15),
    ("T", 12),
    ("G", 9),
    ("MA", 6),
    ("K", 3),
    ("M", -3),
    ("U", -6),
    ("N", -9),
    ("P", -12),
    ("F", -15),
    ("A", -18),
];

/// True when `word` is the short or the long form of `pattern` (`MINimum`), in any case.
pub fn matches_word(pattern: &str, word: &str) -> bool {
    word.eq_ignore_ascii_case(pattern) || word.eq_ignore_ascii_case(short_form(pattern))
}

/// The short form of a mnemonic pattern: its leading capitals and digits; a pattern that starts with a small letter
/// has one form.
pub fn short_form(pattern: &str) -> &str {
    let end = pattern
        .find(|c: char| c.is_ascii_lowercase())
        .unwrap_or(pattern.len());
    if end == 0 { pattern } else { &pattern[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_suffixes_scale_to_bare_numbers() {
        let cases = [
            (Unit::MICROSECOND, "US", Some(0)),
            (Unit::MICROSECOND, "ms", Some(3)),
            (Unit::MICROSECOND, "S", Some(6)),
            (Unit::SECOND, "as", Some(-18)),
            (Unit::HERTZ, "MHZ", Some(6)),
            (Unit::HERTZ, "MAHZ", Some(6)),
            (Unit::HERTZ, "kHz", Some(3)),
            (Unit::VOLT, "MV", Some(-3)),
            (Unit::VOLT, "MAV", Some(6)),
            (Unit::KELVIN, "K", Some(0)),
            (Unit::KELVIN, "MK", Some(-3)),
            (Unit::METER, "M", Some(0)),
            (Unit::METER, "MM", Some(-3)),
            (Unit::NANOMETER, "NM", Some(0)),
            (Unit::PERCENT, "PCT", Some(0)),
            (Unit::PPM, "PPM", Some(0)),
            (Unit::VOLT, "S", None),
            (Unit::VOLT, "QV", None),
            (Unit::CELSIUS, "C", None),
        ];
        for (unit, suffix, exponent) in cases {
            assert_eq!(unit.exponent(suffix), exponent, "{suffix} with {unit:?}");
        }
    }

    #[test]
    fn words_have_a_long_and_a_short_form_and_nothing_between() {
        for (pattern, word, same) in [
            ("MINimum", "min", true),
            ("MINimum", "MINIMUM", true),
            ("MINimum", "mini", false),
            ("raw", "RAW", true),
            ("L0", "l0", true),
            ("QUEued", "que", true),
        ] {
            assert_eq!(matches_word(pattern, word), same, "{word}");
        }
    }

    #[test]
    fn the_short_header_names_a_command_in_errors() {
        let with = |header| Command {
            header,
            params: &[],
            instrument: "system",
            help: "",
            handler: (),
        };
        assert_eq!(with("SYSTem:ERRor[:NEXT]?").short_header(), "SYST:ERR");
        assert_eq!(with("[SOURce:]VOLTage").short_header(), "VOLT");
        assert_eq!(with("OUTPut<1..4>:STATe").short_header(), "OUTP:STAT");
        assert_eq!(with("*ESE").short_header(), "*ESE");
    }
}
