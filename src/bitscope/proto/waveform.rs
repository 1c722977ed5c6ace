//! The waveform generator.

use super::register::{Register, Writes, digits, write_string};
use super::{LOGIC_HIGH_V, TABLE, TICKS_PER_S};

/// Smallest sample clock in ticks.
const CLOCK_MIN: f64 = 33.0;
const CLOCK_MAX: f64 = 65535.0;
/// Fewest samples of a wave.
const SAMPLES_MIN: f64 = 50.0;
/// Largest relative error of the frequency.
const ERROR_MAX: f64 = 1e-4;

/// The form of a wave.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Sine.
    Sine,
    /// Triangle.
    Triangle,
    /// Exponential.
    Exponential,
    /// Square.
    Square,
    /// 1024 values in 0..1 of one wave.
    Arbitrary(Box<[f32; TABLE]>),
}

impl Shape {
    /// The named shape, in either case.
    pub fn parse(name: &str) -> Option<Self> {
        let named = [
            ("sine", Self::Sine),
            ("triangle", Self::Triangle),
            ("exponential", Self::Exponential),
            ("square", Self::Square),
        ];
        let found = named
            .into_iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(name));
        found.map(|(_, shape)| shape)
    }

    /// Its name.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sine => "sine",
            Self::Triangle => "triangle",
            Self::Exponential => "exponential",
            Self::Square => "square",
            Self::Arbitrary(_) => "arbitrary",
        }
    }
}

/// What the generator is to give. The default is the client's: a sine from 0 to 3.3 V.
#[derive(Debug, Clone, PartialEq)]
pub struct WaveformRequest {
    /// 0.6 Hz to 24.2 kHz.
    pub frequency_hz: f64,
    /// The form.
    pub shape: Shape,
    /// Symmetry or duty ratio of named shapes, between 0 and 1.
    pub ratio: f64,
    /// Lowest voltage, 0 at least.
    pub low_v: f64,
    /// Highest voltage, 3.3 at most.
    pub high_v: f64,
}

impl Default for WaveformRequest {
    fn default() -> Self {
        Self {
            frequency_hz: 1000.0,
            shape: Shape::Sine,
            ratio: 0.5,
            low_v: 0.0,
            high_v: LOGIC_HIGH_V,
        }
    }
}

/// Why there is no such waveform.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum WaveformError {
    /// Not within 1e-4.
    #[error("a waveform of {0} Hz cannot be made: 0.6 Hz to 24.2 kHz can")]
    Frequency(f64),
    /// Outside what the output gives.
    #[error("a waveform from {low_v} V to {high_v} V: the output gives 0 V to 3.3 V")]
    Range {
        /// Lower end.
        low_v: f64,
        /// Upper end.
        high_v: f64,
    },
    /// Not between 0 and 1.
    #[error("a symmetry of {0}: it lies between 0 and 1")]
    Ratio(f64),
    /// A value of an arbitrary waveform outside 0..1.
    #[error("value {index} of the waveform is {value}: they lie in 0 to 1")]
    Value {
        /// Which.
        index: usize,
        /// What it is.
        value: f32,
    },
}

/// A waveform, settled.
#[derive(Debug, Clone, PartialEq)]
pub struct WaveformPlan {
    request: WaveformRequest,
    /// Sample clock in ticks.
    pub clock: u32,
    /// Waves in the play buffer.
    pub waves: u32,
    /// Samples in the play buffer.
    pub size: u32,
}

impl WaveformPlan {
    /// Finds the sample clock that comes closest.
    ///
    /// # Errors
    /// [`WaveformError`].
    pub fn new(request: WaveformRequest) -> Result<Self, WaveformError> {
        let (low_v, high_v) = (request.low_v, request.high_v);
        if !(0.0 <= low_v && low_v <= high_v && high_v <= LOGIC_HIGH_V) {
            return Err(WaveformError::Range { low_v, high_v });
        }
        if !(0.0..=1.0).contains(&request.ratio) {
            return Err(WaveformError::Ratio(request.ratio));
        }
        if let Shape::Arbitrary(values) = &request.shape
            && let Some(index) = values.iter().position(|v| !(0.0..=1.0).contains(v))
        {
            let value = values[index];
            return Err(WaveformError::Value { index, value });
        }
        let (clock, waves, size) =
            search(request.frequency_hz).ok_or(WaveformError::Frequency(request.frequency_hz))?;
        Ok(Self {
            request,
            clock,
            waves,
            size,
        })
    }

    /// What was asked for.
    pub fn request(&self) -> &WaveformRequest {
        &self.request
    }

    /// What the frequency is in fact.
    pub fn frequency_hz(&self) -> f64 {
        TICKS_PER_S * f64::from(self.waves) / f64::from(self.size) / f64::from(self.clock)
    }

    /// Registers before `Y` or, for an arbitrary waveform, before the table's values.
    pub fn table_writes(&self) -> Writes {
        let mode = match self.request.shape {
            Shape::Sine => 0,
            Shape::Triangle => 1,
            Shape::Exponential => 2,
            Shape::Square => 3,
            Shape::Arbitrary(_) => {
                return vec![
                    (Register::Cmd, 0),
                    (Register::Mode, 1),
                    (Register::Address, 0),
                    (Register::Size, 1),
                ];
            }
        };
        vec![
            (Register::Cmd, 0),
            (Register::Mode, mode),
            (Register::Ratio, Register::Ratio.encode(self.request.ratio)),
        ]
    }

    /// Registers before `X`.
    pub fn translate_writes(&self) -> Writes {
        let (low, high) = (self.request.low_v, self.request.high_v);
        let level = (high - low) / LOGIC_HIGH_V;
        let offset = ((high + low) / 2.0 - LOGIC_HIGH_V / 2.0) / LOGIC_HIGH_V;
        let ratio = f64::from(self.waves) * TABLE as f64 / f64::from(self.size);
        vec![
            (Register::Cmd, 0),
            (Register::Mode, 0),
            (Register::Level, Register::Level.encode(level)),
            (Register::Offset, Register::Offset.encode(offset)),
            (Register::Ratio, Register::Ratio.encode(ratio)),
            (Register::Index, 0),
            (Register::Address, 0),
            (Register::Size, self.size),
        ]
    }

    /// Registers before `Z`.
    pub fn start_writes(&self) -> Writes {
        vec![
            (Register::Cmd, 2),
            (Register::Mode, 0),
            (Register::Clock, self.clock),
            (Register::Modulo, self.size),
            (Register::Mark, 10),
            (Register::Space, 1),
            (Register::Rest, 0x7f00),
            (Register::Option, 0x8004),
        ]
    }

    /// The strings that start it, in order. Each is to be echoed before the next is sent.
    pub fn start(&self) -> Vec<Vec<u8>> {
        let string = |writes: Writes, end: &[u8]| {
            let mut out = Vec::new();
            write_string(&writes, &mut out);
            out.extend_from_slice(end);
            out
        };
        let table = match &self.request.shape {
            Shape::Arbitrary(values) => vec![
                string(self.table_writes(), b""),
                table_string(values.as_slice()),
            ],
            _ => vec![string(self.table_writes(), b"Y")],
        };
        let mut strings = table;
        strings.extend([
            string(self.translate_writes(), b"X"),
            string(self.start_writes(), b"Z"),
            string(vec![(Register::KitchenSinkB, 0x40)], b"U"),
        ]);
        strings
    }

    /// The string that stops it.
    pub fn stop() -> Vec<u8> {
        let mut out = Vec::new();
        write_string(&[(Register::Cmd, 1), (Register::Mode, 0)], &mut out);
        out.push(b'Z');
        write_string(&[(Register::KitchenSinkB, 0)], &mut out);
        out.push(b'U');
        out
    }
}

/// Sample clock, waves and samples for a frequency.
fn search(frequency_hz: f64) -> Option<(u32, u32, u32)> {
    if !(frequency_hz.is_finite() && frequency_hz > 0.0) {
        return None;
    }
    let table = TABLE as f64;
    let first = (TICKS_PER_S / frequency_hz / table).ceil().max(CLOCK_MIN);
    let last = (TICKS_PER_S / frequency_hz / SAMPLES_MIN)
        .floor()
        .min(CLOCK_MAX);
    if first > last {
        return None;
    }
    let mut best = None;
    for clock in first as u32..=last as u32 {
        let width = TICKS_PER_S / frequency_hz / f64::from(clock);
        let waves = (table / width).floor();
        let size = (waves * width).round_ties_even();
        let actual = TICKS_PER_S * waves / size / f64::from(clock);
        let error = (frequency_hz - actual).abs() / frequency_hz;
        if error < best.map_or(ERROR_MAX, |(least, _)| least) {
            best = Some((error, (clock, waves as u32, size as u32)));
        }
        if error == 0.0 {
            break;
        }
    }
    best.map(|(_, found)| found)
}

/// Writes all values to the table: digits are left out where a byte repeats.
fn table_string(values: &[f32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 * values.len());
    let mut held = None;
    for value in values {
        let byte = (f64::from(*value) * 256.0)
            .round_ties_even()
            .clamp(0.0, 255.0) as u8;
        if held != Some(byte) {
            digits(byte, &mut out);
            held = Some(byte);
        }
        out.push(b'W');
    }
    out
}
