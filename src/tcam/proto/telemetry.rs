//! Telemetry: 240 words the Lepton sends with every frame, rows A (0-79), B (80-159) and C (160-239).
//!
//! Quantities of 32 bits have their low word first. Reserved words hold anything; they are not interpreted, and
//! encoding leaves them as they are.

use super::flux::FluxLinear;
use super::gain::{Gain, GainMode};
use super::image::TelemetryWords;
use super::spot::{Spot, SpotArea};
use super::temperature::{CentiKelvin, Resolution, SpotCelsius};
use super::{COLUMNS, ROWS};

/// First words of the fields.
mod word {
    pub const REVISION: usize = 0;
    pub const UPTIME: usize = 1;
    pub const STATUS: usize = 3;
    pub const SERIAL: usize = 5;
    pub const SOFTWARE: usize = 13;
    pub const FRAME_COUNTER: usize = 20;
    pub const FRAME_MEAN: usize = 22;
    pub const FPA_COUNTS: usize = 23;
    pub const FPA: usize = 24;
    pub const HOUSING_COUNTS: usize = 25;
    pub const HOUSING: usize = 26;
    pub const FPA_AT_FFC: usize = 29;
    pub const UPTIME_AT_FFC: usize = 30;
    pub const HOUSING_AT_FFC: usize = 32;
    pub const AGC_ROI: usize = 34;
    pub const AGC_CLIP_HIGH: usize = 38;
    pub const AGC_CLIP_LOW: usize = 39;
    pub const VIDEO_FORMAT: usize = 72;
    pub const FFC_FRAMES_LOG2: usize = 74;
    pub const EMISSIVITY: usize = 99;
    pub const BACKGROUND: usize = 100;
    pub const ATMOSPHERE_TRANSMISSION: usize = 101;
    pub const ATMOSPHERE: usize = 102;
    pub const WINDOW_TRANSMISSION: usize = 103;
    pub const WINDOW_REFLECTION: usize = 104;
    pub const WINDOW: usize = 105;
    pub const WINDOW_REFLECTED: usize = 106;
    pub const GAIN_MODE: usize = 165;
    pub const GAIN_EFFECTIVE: usize = 166;
    pub const GAIN_DESIRED: usize = 167;
    pub const HIGH_TO_LOW_C: usize = 168;
    pub const LOW_TO_HIGH_C: usize = 169;
    pub const HIGH_TO_LOW_K: usize = 170;
    pub const LOW_TO_HIGH_K: usize = 171;
    pub const HIGH_TO_LOW_PERCENT: usize = 174;
    pub const LOW_TO_HIGH_PERCENT: usize = 175;
    pub const GAIN_ROI: usize = 182;
    pub const TLINEAR: usize = 208;
    pub const RESOLUTION: usize = 209;
    pub const SPOT_MEAN: usize = 210;
    pub const SPOT_MAX: usize = 211;
    pub const SPOT_MIN: usize = 212;
    pub const SPOT_POPULATION: usize = 213;
    pub const SPOT_AREA: usize = 214;
}

/// Where the flat-field correction is. No images come while the shutter is closed, for about a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FfcState {
    /// Not since power-on.
    NeverCommanded,
    /// In about 2 s.
    Imminent,
    /// Now.
    InProgress,
    /// Done.
    Complete,
}

impl FfcState {
    /// For programs: `never`, `imminent`, `in_progress` or `complete`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NeverCommanded => "never",
            Self::Imminent => "imminent",
            Self::InProgress => "in_progress",
            Self::Complete => "complete",
        }
    }
}

/// The status bits, words 3 and 4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusBits(pub u32);

impl StatusBits {
    const FFC_DESIRED: u32 = 1 << 3;
    const FFC_STATE_SHIFT: u32 = 4;
    const FFC_STATE: u32 = 3 << Self::FFC_STATE_SHIFT;
    const AGC: u32 = 1 << 12;
    const SHUTTER_LOCKOUT: u32 = 1 << 15;
    const OVER_TEMPERATURE: u32 = 1 << 20;

    /// The Lepton would like a flat-field correction.
    pub fn ffc_desired(self) -> bool {
        self.0 & Self::FFC_DESIRED != 0
    }

    /// Where the flat-field correction is.
    pub fn ffc_state(self) -> FfcState {
        match (self.0 & Self::FFC_STATE) >> Self::FFC_STATE_SHIFT {
            0 => FfcState::NeverCommanded,
            1 => FfcState::Imminent,
            2 => FfcState::InProgress,
            _ => FfcState::Complete,
        }
    }

    /// Pixels are brightnesses for display.
    pub fn agc(self) -> bool {
        self.0 & Self::AGC != 0
    }

    /// The shutter is locked: the camera is outside of -10 to 80 degrees Celsius.
    pub fn shutter_lockout(self) -> bool {
        self.0 & Self::SHUTTER_LOCKOUT != 0
    }

    /// The Lepton switches itself off within 10 s.
    pub fn over_temperature(self) -> bool {
        self.0 & Self::OVER_TEMPERATURE != 0
    }

    /// The same with [`StatusBits::ffc_desired`] as given.
    pub fn with_ffc_desired(self, on: bool) -> Self {
        self.with(Self::FFC_DESIRED, on)
    }

    /// The same with another state of the flat-field correction.
    pub fn with_ffc_state(self, state: FfcState) -> Self {
        let bits = (state as u32) << Self::FFC_STATE_SHIFT;
        Self(self.0 & !Self::FFC_STATE | bits)
    }

    /// The same with [`StatusBits::agc`] as given.
    pub fn with_agc(self, on: bool) -> Self {
        self.with(Self::AGC, on)
    }

    /// The same with [`StatusBits::shutter_lockout`] as given.
    pub fn with_shutter_lockout(self, on: bool) -> Self {
        self.with(Self::SHUTTER_LOCKOUT, on)
    }

    /// The same with [`StatusBits::over_temperature`] as given.
    pub fn with_over_temperature(self, on: bool) -> Self {
        self.with(Self::OVER_TEMPERATURE, on)
    }

    fn with(self, bit: u32, on: bool) -> Self {
        match on {
            true => Self(self.0 | bit),
            false => Self(self.0 & !bit),
        }
    }
}

/// What the pixels of a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelKind {
    /// Absolute temperatures, [`Resolution`] kelvin a count.
    Temperature(Resolution),
    /// Brightness 0 to 255 in the low byte, for display through a palette.
    Agc,
    /// 14-bit counts of the sensor: a Lepton 3.0, or radiometry off.
    RawCounts,
}

/// The telemetry of one frame.
///
/// Its default is a Lepton just started: high gain, temperatures at 0.01 K, no flat-field correction yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telemetry {
    /// Revision of this table.
    pub revision: u16,
    /// Milliseconds since the Lepton started. Wraps after 49.7 days.
    pub uptime_ms: u32,
    /// Status bits.
    pub status: StatusBits,
    /// Serial number of the module, opaque.
    pub serial: [u16; 8],
    /// Software revision, opaque.
    pub software: [u16; 4],
    /// One up a frame period of 114 ms, whether the frame was sent or not.
    pub frame_counter: u32,
    /// Mean of the frame.
    pub frame_mean: u16,
    /// Temperature of the focal plane array in counts.
    pub fpa_counts: u16,
    /// Temperature of the focal plane array.
    pub fpa: CentiKelvin,
    /// Temperature of the housing in counts.
    pub housing_counts: u16,
    /// Temperature of the housing.
    pub housing: CentiKelvin,
    /// Temperature of the focal plane array at the last flat-field correction.
    pub fpa_at_ffc: CentiKelvin,
    /// Uptime at the last flat-field correction, milliseconds.
    pub uptime_at_ffc_ms: u32,
    /// Temperature of the housing at the last flat-field correction.
    pub housing_at_ffc: CentiKelvin,
    /// Pixels the AGC looks at: left, top, right, bottom in the samples known.
    pub agc_roi: [u16; 4],
    /// AGC clip limit, high.
    pub agc_clip_high: u16,
    /// AGC clip limit, low.
    pub agc_clip_low: u16,
    /// Video format: 7 is 14-bit raw.
    pub video_format: u32,
    /// Binary logarithm of the frames averaged for a flat-field correction.
    pub ffc_frames_log2: u16,
    /// Emissivity and what else is corrected for.
    pub flux: FluxLinear,
    /// Gain mode.
    pub gain: Gain,
    /// Pixels are absolute temperatures, unless AGC is on.
    pub tlinear_enabled: bool,
    /// Kelvin of a count.
    pub resolution: Resolution,
    /// The spot meter.
    pub spot: Spot,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            revision: 14,
            uptime_ms: 0,
            // Bit 11 is reserved and set in every sample known.
            status: StatusBits(1 << 11),
            serial: [0; 8],
            software: [794, 3, 794, 3],
            frame_counter: 0,
            frame_mean: 0,
            fpa_counts: 0,
            fpa: CentiKelvin(0),
            housing_counts: 0,
            housing: CentiKelvin(0),
            fpa_at_ffc: CentiKelvin(0),
            uptime_at_ffc_ms: 0,
            housing_at_ffc: CentiKelvin(0),
            agc_roi: [0, 0, COLUMNS as u16 - 1, ROWS as u16 - 1],
            agc_clip_high: 19_200,
            agc_clip_low: 512,
            video_format: 7,
            ffc_frames_log2: 3,
            flux: FluxLinear::default(),
            gain: Gain::default(),
            tlinear_enabled: true,
            resolution: Resolution::Centikelvin,
            spot: Spot {
                area: SpotArea::CENTER,
                ..Spot::default()
            },
        }
    }
}

impl Telemetry {
    /// Reads the words. Any words make a telemetry.
    pub fn decode(words: &TelemetryWords) -> Self {
        let long = |at: usize| u32::from(words[at]) | u32::from(words[at + 1]) << 16;
        let kelvin = |at: usize| CentiKelvin(words[at]);
        let area = |at: usize| SpotArea::from_words(array(words, at));
        Self {
            revision: words[word::REVISION],
            uptime_ms: long(word::UPTIME),
            status: StatusBits(long(word::STATUS)),
            serial: array(words, word::SERIAL),
            software: array(words, word::SOFTWARE),
            frame_counter: long(word::FRAME_COUNTER),
            frame_mean: words[word::FRAME_MEAN],
            fpa_counts: words[word::FPA_COUNTS],
            fpa: kelvin(word::FPA),
            housing_counts: words[word::HOUSING_COUNTS],
            housing: kelvin(word::HOUSING),
            fpa_at_ffc: kelvin(word::FPA_AT_FFC),
            uptime_at_ffc_ms: long(word::UPTIME_AT_FFC),
            housing_at_ffc: kelvin(word::HOUSING_AT_FFC),
            agc_roi: array(words, word::AGC_ROI),
            agc_clip_high: words[word::AGC_CLIP_HIGH],
            agc_clip_low: words[word::AGC_CLIP_LOW],
            video_format: long(word::VIDEO_FORMAT),
            ffc_frames_log2: words[word::FFC_FRAMES_LOG2],
            flux: decode_flux(words),
            gain: decode_gain(words),
            tlinear_enabled: words[word::TLINEAR] != 0,
            resolution: Resolution::from_flag(words[word::RESOLUTION]),
            spot: Spot {
                mean: words[word::SPOT_MEAN],
                max: words[word::SPOT_MAX],
                min: words[word::SPOT_MIN],
                population: words[word::SPOT_POPULATION],
                area: area(word::SPOT_AREA),
            },
        }
    }

    /// Writes the words. Reserved ones are left as they are.
    pub fn encode(&self, words: &mut TelemetryWords) {
        words[word::REVISION] = self.revision;
        put_long(words, word::UPTIME, self.uptime_ms);
        put_long(words, word::STATUS, self.status.0);
        put(words, word::SERIAL, &self.serial);
        put(words, word::SOFTWARE, &self.software);
        put_long(words, word::FRAME_COUNTER, self.frame_counter);
        words[word::FRAME_MEAN] = self.frame_mean;
        words[word::FPA_COUNTS] = self.fpa_counts;
        words[word::FPA] = self.fpa.0;
        words[word::HOUSING_COUNTS] = self.housing_counts;
        words[word::HOUSING] = self.housing.0;
        words[word::FPA_AT_FFC] = self.fpa_at_ffc.0;
        put_long(words, word::UPTIME_AT_FFC, self.uptime_at_ffc_ms);
        words[word::HOUSING_AT_FFC] = self.housing_at_ffc.0;
        put(words, word::AGC_ROI, &self.agc_roi);
        words[word::AGC_CLIP_HIGH] = self.agc_clip_high;
        words[word::AGC_CLIP_LOW] = self.agc_clip_low;
        put_long(words, word::VIDEO_FORMAT, self.video_format);
        words[word::FFC_FRAMES_LOG2] = self.ffc_frames_log2;
        encode_flux(&self.flux, words);
        encode_gain(&self.gain, words);
        words[word::TLINEAR] = self.tlinear_enabled.into();
        words[word::RESOLUTION] = self.resolution.flag();
        let Spot {
            mean,
            max,
            min,
            population,
            area,
        } = self.spot;
        put(words, word::SPOT_MEAN, &[mean, max, min, population]);
        put(words, word::SPOT_AREA, &area.words());
    }

    /// What the pixels of this frame are. AGC wins: frames around a switch may carry both flags.
    pub fn pixel_kind(&self) -> PixelKind {
        match (self.status.agc(), self.tlinear_enabled) {
            (true, _) => PixelKind::Agc,
            (false, true) => PixelKind::Temperature(self.resolution),
            (false, false) => PixelKind::RawCounts,
        }
    }

    /// The spot meter in degrees Celsius; `None` while pixels are sensor counts, as on a Lepton 3.0.
    pub fn spot_celsius(&self) -> Option<SpotCelsius> {
        let celsius = |count| self.resolution.celsius(count);
        (self.pixel_kind() != PixelKind::RawCounts).then(|| SpotCelsius {
            mean: celsius(self.spot.mean),
            max: celsius(self.spot.max),
            min: celsius(self.spot.min),
        })
    }
}

fn decode_flux(words: &TelemetryWords) -> FluxLinear {
    FluxLinear {
        emissivity: words[word::EMISSIVITY],
        background: CentiKelvin(words[word::BACKGROUND]),
        atmosphere_transmission: words[word::ATMOSPHERE_TRANSMISSION],
        atmosphere: CentiKelvin(words[word::ATMOSPHERE]),
        window_transmission: words[word::WINDOW_TRANSMISSION],
        window_reflection: words[word::WINDOW_REFLECTION],
        window: CentiKelvin(words[word::WINDOW]),
        window_reflected: CentiKelvin(words[word::WINDOW_REFLECTED]),
    }
}

fn encode_flux(flux: &FluxLinear, words: &mut TelemetryWords) {
    words[word::EMISSIVITY] = flux.emissivity;
    words[word::BACKGROUND] = flux.background.0;
    words[word::ATMOSPHERE_TRANSMISSION] = flux.atmosphere_transmission;
    words[word::ATMOSPHERE] = flux.atmosphere.0;
    words[word::WINDOW_TRANSMISSION] = flux.window_transmission;
    words[word::WINDOW_REFLECTION] = flux.window_reflection;
    words[word::WINDOW] = flux.window.0;
    words[word::WINDOW_REFLECTED] = flux.window_reflected.0;
}

fn decode_gain(words: &TelemetryWords) -> Gain {
    let mode = |at: usize| GainMode::from_wire(words[at].into());
    Gain {
        mode: mode(word::GAIN_MODE),
        effective: mode(word::GAIN_EFFECTIVE),
        desired: mode(word::GAIN_DESIRED),
        high_to_low_c: words[word::HIGH_TO_LOW_C],
        low_to_high_c: words[word::LOW_TO_HIGH_C],
        high_to_low_k: words[word::HIGH_TO_LOW_K],
        low_to_high_k: words[word::LOW_TO_HIGH_K],
        high_to_low_percent: words[word::HIGH_TO_LOW_PERCENT],
        low_to_high_percent: words[word::LOW_TO_HIGH_PERCENT],
        roi: SpotArea::from_words(array(words, word::GAIN_ROI)),
    }
}

fn encode_gain(gain: &Gain, words: &mut TelemetryWords) {
    words[word::GAIN_MODE] = gain.mode.to_word();
    words[word::GAIN_EFFECTIVE] = gain.effective.to_word();
    words[word::GAIN_DESIRED] = gain.desired.to_word();
    words[word::HIGH_TO_LOW_C] = gain.high_to_low_c;
    words[word::LOW_TO_HIGH_C] = gain.low_to_high_c;
    words[word::HIGH_TO_LOW_K] = gain.high_to_low_k;
    words[word::LOW_TO_HIGH_K] = gain.low_to_high_k;
    words[word::HIGH_TO_LOW_PERCENT] = gain.high_to_low_percent;
    words[word::LOW_TO_HIGH_PERCENT] = gain.low_to_high_percent;
    put(words, word::GAIN_ROI, &gain.roi.words());
}

fn array<const N: usize>(words: &TelemetryWords, at: usize) -> [u16; N] {
    std::array::from_fn(|index| words[at + index])
}

fn put(words: &mut TelemetryWords, at: usize, values: &[u16]) {
    words[at..at + values.len()].copy_from_slice(values);
}

fn put_long(words: &mut TelemetryWords, at: usize, value: u32) {
    put(words, at, &[value as u16, (value >> 16) as u16]);
}
