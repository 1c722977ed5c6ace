//! The Lepton inside the simulated camera: frames, telemetry, flat-field corrections, gain.

use std::time::Duration;

use super::registers::Registers;
use super::scene::{Random, Scene, Temperatures};
use crate::tcam::proto::gain::Gain;
use crate::tcam::proto::spot::Spot;
use crate::tcam::proto::telemetry::{FfcState, StatusBits};
use crate::tcam::proto::temperature::Resolution;
use crate::tcam::proto::{
    COLUMNS, CentiKelvin, FluxLinear, Frame, GainMode, PIXELS, Pixels, SpotArea, Telemetry,
};

/// The Lepton corrects by itself that often.
const FFC_INTERVAL: Duration = Duration::from_secs(180);
/// And tells that long before.
const FFC_NOTICE: Duration = Duration::from_secs(2);
/// How long the shutter is closed.
pub(super) const FFC_DURATION: Duration = Duration::from_millis(800);
/// Without a frame period, time between tries after a frame was lost.
const UNPACED_RETRY: Duration = Duration::from_millis(10);
/// Low gain above this, in 0.01 K, high gain below that: the thresholds of the default [`Gain`].
const HOT: u32 = 38_800;
const COOL: u32 = 35_800;

/// The sensor. Times are those since the simulation began.
#[derive(Debug)]
pub(super) struct Lepton {
    scene: Scene,
    seed: u64,
    frame_period: Duration,
    booted: Duration,
    pub(super) settings: Settings,
    low_gain: bool,
    ffc: Ffc,
    /// Number of the next frame that may be delivered.
    next_frame: u64,
    /// No frame before.
    earliest: Duration,
    pub(super) registers: Registers,
    temperatures: Box<Temperatures>,
    frame: Frame,
}

/// What is set from outside and lost with power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) agc: bool,
    pub(super) gain: GainMode,
    pub(super) flux: FluxLinear,
    pub(super) spot: SpotArea,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            agc: false,
            gain: GainMode::High,
            flux: FluxLinear::default(),
            spot: SpotArea::CENTER,
        }
    }
}

#[derive(Debug)]
struct Ffc {
    /// Start and end of the latest one.
    last: Option<(Duration, Duration)>,
    next_automatic: Duration,
}

impl Lepton {
    pub(super) fn new(scene: Scene, seed: u64, frame_period: Duration, now: Duration) -> Self {
        Self {
            scene,
            seed,
            frame_period,
            booted: now,
            settings: Settings::default(),
            low_gain: false,
            ffc: Ffc {
                last: None,
                next_automatic: now + FFC_INTERVAL,
            },
            next_frame: 0,
            earliest: now,
            registers: Registers::default(),
            temperatures: Box::new([0; PIXELS]),
            frame: Frame::blank(),
        }
    }

    /// Power was off: all settings are lost.
    pub(super) fn restart(&mut self, now: Duration) {
        self.booted = now;
        self.settings = Settings::default();
        self.low_gain = false;
        self.ffc.last = None;
        self.ffc.next_automatic = now + FFC_INTERVAL;
        self.next_frame = 0;
        self.earliest = now;
        self.registers = Registers::default();
    }

    pub(super) fn uptime(&self, now: Duration) -> Duration {
        now.saturating_sub(self.booted)
    }

    /// When the next frame can be delivered.
    pub(super) fn next_frame_at(&mut self, now: Duration) -> Duration {
        let paced = self.frame_period.as_nanos() * u128::from(self.next_frame);
        let paced = Duration::from_nanos(u64::try_from(paced).unwrap_or(u64::MAX));
        let at = (self.booted + paced).max(self.earliest);
        match self.shutter(now) {
            Some((start, end)) if (start..end).contains(&at.max(now)) => end,
            _ => at,
        }
    }

    /// The frame to deliver is one that comes from now on.
    pub(super) fn await_frame(&mut self, now: Duration) {
        if !self.frame_period.is_zero() {
            self.next_frame = self.frame_number(now) + 1;
        }
    }

    /// Takes the newest frame, which is then delivered or lost.
    pub(super) fn pass_frame(&mut self, lost: bool, now: Duration) {
        self.next_frame = match self.frame_period.is_zero() {
            true => self.next_frame + 1,
            false => self.frame_number(now) + 1,
        };
        if lost && self.frame_period.is_zero() {
            self.earliest = now + UNPACED_RETRY;
        }
    }

    /// Corrects now, the shutter closed for `duration`.
    pub(super) fn run_ffc(&mut self, duration: Duration, now: Duration) {
        self.ffc.last = Some((now, now + duration));
        self.ffc.next_automatic = now + FFC_INTERVAL;
    }

    /// No frame for that long.
    pub(super) fn go_blind(&mut self, duration: Duration, now: Duration) {
        self.earliest = now + duration;
    }

    /// The newest frame, with its telemetry, in the sensor's own buffer.
    pub(super) fn expose(&mut self, now: Duration) -> &Frame {
        let spot = self.measure(now);
        let sum: u64 = self
            .frame
            .pixels
            .iter()
            .map(|&count| u64::from(count))
            .sum();
        let telemetry = Telemetry {
            frame_mean: (sum / PIXELS as u64) as u16,
            spot,
            ..self.telemetry(now)
        };
        telemetry.encode(&mut self.frame.telemetry_words);
        if self.settings.agc {
            stretch(&mut self.frame.pixels);
        }
        &self.frame
    }

    /// Puts the newest frame's counts in the buffer, before AGC, and measures the spot.
    pub(super) fn measure(&mut self, now: Duration) -> Spot {
        let number = self.frame_number(now);
        self.scene.look(number, &mut self.temperatures);
        self.choose_gain();
        let counts = self.frame.pixels.iter_mut().zip(self.temperatures.iter());
        let scale = match self.low_gain {
            true => 10,
            false => 1,
        };
        for (count, &temperature) in counts {
            *count = u16::try_from(temperature / scale).unwrap_or(u16::MAX);
        }
        if !self.scene.is_replay() {
            add_noise(self.seed ^ number << 20, &mut self.frame.pixels);
        }
        measure_spot(&self.frame.pixels, self.settings.spot)
    }

    pub(super) fn resolution(&self) -> Resolution {
        match self.low_gain {
            true => Resolution::Decikelvin,
            false => Resolution::Centikelvin,
        }
    }

    /// Focal plane array and housing, in 0.01 K: they warm up within ten minutes.
    pub(super) fn temperatures(&self, at: Duration) -> (CentiKelvin, CentiKelvin) {
        let warmth = (self.uptime(at).as_secs().min(600) / 2) as u16;
        (CentiKelvin(29_428 + warmth), CentiKelvin(29_355 + warmth))
    }

    pub(super) fn serial(&self) -> [u16; 8] {
        let mut random = Random::new(self.seed);
        std::array::from_fn(|_| random.next() as u16)
    }

    fn frame_number(&self, now: Duration) -> u64 {
        match self.frame_period.as_nanos() {
            0 => self.next_frame,
            period => (self.uptime(now).as_nanos() / period) as u64,
        }
    }

    /// The latest correction, automatic ones included.
    fn shutter(&mut self, now: Duration) -> Option<(Duration, Duration)> {
        let ffc = &mut self.ffc;
        if let Some(late) = now.checked_sub(ffc.next_automatic) {
            let missed = (late.as_nanos() / FFC_INTERVAL.as_nanos()) as u32;
            let start = ffc.next_automatic + FFC_INTERVAL * missed;
            ffc.last = Some((start, start + FFC_DURATION));
            ffc.next_automatic = start + FFC_INTERVAL;
        }
        ffc.last
    }

    fn ffc_state(&mut self, now: Duration) -> FfcState {
        match self.shutter(now) {
            Some((_, end)) if now < end => FfcState::InProgress,
            _ if now + FFC_NOTICE >= self.ffc.next_automatic => FfcState::Imminent,
            Some(_) => FfcState::Complete,
            None => FfcState::NeverCommanded,
        }
    }

    fn choose_gain(&mut self) {
        self.low_gain = match self.settings.gain {
            GainMode::Low => true,
            GainMode::Auto if self.low_gain => self.share(|kelvin| kelvin < COOL) <= 90,
            GainMode::Auto => self.share(|kelvin| kelvin > HOT) > 25,
            GainMode::High | GainMode::Unknown(_) => false,
        };
    }

    /// Percent of the pixels for which it holds.
    fn share(&self, holds: impl Fn(u32) -> bool) -> usize {
        let matching = self.temperatures.iter().filter(|&&kelvin| holds(kelvin));
        (matching.count() * 100).div_ceil(PIXELS)
    }

    /// All but the statistics of the frame.
    fn telemetry(&mut self, now: Duration) -> Telemetry {
        let state = self.ffc_state(now);
        let ffc_end = self.ffc.last.map_or(self.booted, |(_, end)| end);
        let (fpa, housing) = self.temperatures(now);
        let (fpa_at_ffc, housing_at_ffc) = self.temperatures(ffc_end);
        let effective = match self.low_gain {
            true => GainMode::Low,
            false => GainMode::High,
        };
        let default = Telemetry::default();
        Telemetry {
            uptime_ms: self.uptime(now).as_millis() as u32,
            status: StatusBits(default.status.0)
                .with_agc(self.settings.agc)
                .with_ffc_state(state)
                .with_ffc_desired(state == FfcState::Imminent),
            serial: self.serial(),
            frame_counter: self.frame_number(now) as u32,
            // The scale of the counts is not known; it falls as the sensor warms up.
            fpa_counts: 7_827 - (fpa.0 - 29_428),
            fpa,
            housing_counts: 10_174 - (housing.0 - 29_355),
            housing,
            fpa_at_ffc,
            uptime_at_ffc_ms: self.uptime(ffc_end).as_millis() as u32,
            housing_at_ffc,
            flux: self.settings.flux,
            gain: Gain {
                mode: self.settings.gain,
                effective,
                desired: effective,
                ..Gain::default()
            },
            tlinear_enabled: !self.settings.agc,
            resolution: self.resolution(),
            ..default
        }
    }
}

/// Two counts up or down, the same for the same frame.
fn add_noise(seed: u64, pixels: &mut Pixels) {
    let mut random = Random::new(seed);
    for group in pixels.chunks_mut(16) {
        let mut bits = random.next();
        for count in group {
            // Four bits make 0 to 4: five values, nearly as likely each.
            let step = ((bits & 15) * 5) >> 4;
            *count = count.saturating_add(step as u16).saturating_sub(2);
            bits >>= 4;
        }
    }
}

fn measure_spot(pixels: &Pixels, area: SpotArea) -> Spot {
    let rows = usize::from(area.row1)..=usize::from(area.row2);
    let columns = usize::from(area.col1)..=usize::from(area.col2);
    let lines = rows.map(|row| &pixels[row * COLUMNS..][columns.clone()]);
    let (mut sum, mut max, mut min, mut population) = (0_u64, 0, u16::MAX, 0_u64);
    for &count in lines.flatten() {
        sum += u64::from(count);
        max = max.max(count);
        min = min.min(count);
        population += 1;
    }
    Spot {
        mean: (sum / population.max(1)) as u16,
        max,
        min,
        population: population as u16,
        area,
    }
}

/// AGC: from the least to the greatest count, 0 to 255.
fn stretch(pixels: &mut Pixels) {
    let (min, max) = pixels.iter().fold((u16::MAX, 0), |(min, max), &count| {
        (min.min(count), max.max(count))
    });
    let span = u32::from(max - min).max(1);
    for count in pixels {
        *count = (u32::from(*count - min) * 255 / span) as u16;
    }
}
