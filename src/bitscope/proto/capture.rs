//! A capture: from what a user asks for to registers.

use super::channel::{Channel, Channels};
use super::mode::Timing;
use super::probe::Probe;
use super::register::{Register, Writes, write_string};
use super::{LOGIC_HIGH_V, TIMEOUT_UNIT_S};

/// Above this rate there are no samples from before the trigger, in samples a second.
const PRETRIGGER_RATE: f64 = 5e6;
/// Samples for which the condition must hold, and of an edge must not have held before.
const FILTER: u32 = 8;
/// The same with a hair trigger.
const HAIR_FILTER: u32 = 4;
/// Most samples that may be asked for: the whole buffer.
const SAMPLES_MAX: u32 = super::BUFFER;

/// What the trigger looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerSource {
    /// Channel A against the level.
    A,
    /// Channel B against the level.
    B,
    /// Logic channels against a pattern.
    Pattern {
        /// Bit i set: Li takes part.
        used: u8,
        /// Bit i set: Li must be high.
        levels: u8,
    },
}

/// When the trigger's condition counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerKind {
    /// It becomes true.
    Rising,
    /// Its opposite becomes true.
    Falling,
    /// It is true.
    Above,
    /// Its opposite is true.
    Below,
}

impl TriggerKind {
    /// The client's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rising => "rising",
            Self::Falling => "falling",
            Self::Above => "above",
            Self::Below => "below",
        }
    }

    fn is_edge(self) -> bool {
        matches!(self, Self::Rising | Self::Falling)
    }

    fn is_inverted(self) -> bool {
        matches!(self, Self::Falling | Self::Below)
    }
}

/// What to capture. The default is the client's: A, 1000 samples in 1 ms, rising through the middle of the safe range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaptureRequest {
    /// Which channels.
    pub channels: Channels,
    /// Seconds that the capture covers.
    pub period_s: f64,
    /// How many samples, about: all analogue channels together.
    pub samples: u32,
    /// Lower end of the range in volts (a fraction if `raw`); `None`: the lowest that is safe.
    pub low: Option<f64>,
    /// Upper end of the range in volts (a fraction if `raw`); `None`: the highest that is safe.
    pub high: Option<f64>,
    /// Take `low`, `high` and `level` as fractions of the converter's full range, and leave samples in 0..1 of theirs.
    pub raw: bool,
    /// What triggers; `None`: the first analogue channel, else the first logic channel high.
    pub trigger: Option<TriggerSource>,
    /// When it does.
    pub kind: TriggerKind,
    /// At which voltage; `None`: the middle of the range.
    pub level: Option<f64>,
    /// Trigger on shorter pulses: 4 samples instead of 8.
    pub hair: bool,
    /// Where in the capture the trigger lies, 0..1; above 5 MS/s always 0.
    pub position: f64,
    /// Seconds until the capture is taken without a trigger; `None`: never.
    pub timeout_s: Option<f64>,
    /// Constants of the probe.
    pub probe: Probe,
}

impl Default for CaptureRequest {
    fn default() -> Self {
        Self {
            channels: Channels {
                a: true,
                ..Channels::default()
            },
            period_s: 1e-3,
            samples: 1000,
            low: None,
            high: None,
            raw: false,
            trigger: None,
            kind: TriggerKind::Rising,
            level: None,
            hair: false,
            position: 0.25,
            timeout_s: None,
            probe: Probe::X1,
        }
    }
}

/// Why a capture cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CaptureError {
    /// Nothing is left to capture.
    #[error(
        "no channel to capture: L4 is the waveform's, L5 the clock's while they run, L7 and L6 are A's and B's"
    )]
    NoChannel,
    /// A time that is none.
    #[error("a capture cannot take {0} s")]
    Period(f64),
    /// Too many samples, or none.
    #[error("{0} samples: 1 to 12288 can be captured")]
    Samples(u32),
    /// No mode does it.
    #[error(
        "no mode captures {samples} samples in {period_s} s on {analogue} analogue channels{}: ask for fewer samples or another time",
        if *logic { " with logic" } else { "" }
    )]
    NoMode {
        /// As asked for.
        period_s: f64,
        /// As asked for.
        samples: u32,
        /// How many.
        analogue: u8,
        /// Whether logic channels are captured too.
        logic: bool,
    },
    /// A range that is none.
    #[error("the range from {low} to {high} is empty")]
    Range {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// A level that is none.
    #[error("the trigger level {0} is no voltage")]
    Level(f64),
    /// A pattern without channels.
    #[error("the trigger pattern names no channel")]
    Pattern,
    /// A position outside the capture.
    #[error("trigger position {0}: it lies in 0 to 1")]
    Position(f64),
    /// A time-out that is none.
    #[error("a trigger cannot be waited for {0} s")]
    Timeout(f64),
}

/// What runs in the device besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Running {
    /// The waveform generator: L4 is its output.
    pub waveform: bool,
    /// The clock generator: L5 is its output.
    pub clock: bool,
}

/// A capture, settled.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturePlan {
    /// The channels that are captured in fact.
    pub channels: Channels,
    /// Mode and sample period.
    pub timing: Timing,
    /// Lower end of the range, volts or fraction.
    pub low: f64,
    /// Upper end of the range, volts or fraction.
    pub high: f64,
    /// Samples stay in 0..1.
    pub raw: bool,
    /// What triggers.
    pub trigger: TriggerSource,
    /// When.
    pub kind: TriggerKind,
    /// At which level.
    pub level: f64,
    /// Sample in front of which the trigger lies, 0..=samples.
    pub trigger_sample: u32,
    /// Seconds that the host waits for the trigger, because the device cannot count that far.
    pub host_timeout_s: Option<f64>,
    /// Volts that A reads above B.
    pub ab_offset_v: f64,
    /// What is written before the trace.
    pub writes: Writes,
}

impl CapturePlan {
    /// Settles what a request leaves open.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn new(request: &CaptureRequest, running: Running) -> Result<Self, CaptureError> {
        let channels = captured(request.channels, running);
        let timing = timing(request, channels)?;
        let (low, high) = range(request, channels)?;
        let level = request.level.unwrap_or((low + high) / 2.0);
        if !level.is_finite() {
            return Err(CaptureError::Level(level));
        }
        if !(0.0..=1.0).contains(&request.position) {
            return Err(CaptureError::Position(request.position));
        }
        let position = match 1.0 / timing.sample_period_s() > PRETRIGGER_RATE {
            true => 0.0,
            false => request.position,
        };
        let mut plan = Self {
            channels,
            timing,
            low,
            high,
            raw: request.raw,
            trigger: trigger(request)?,
            kind: request.kind,
            level,
            trigger_sample: (f64::from(timing.samples) * position) as u32,
            host_timeout_s: None,
            ab_offset_v: request.probe.ab_offset_v,
            writes: Writes::new(),
        };
        let timeout = plan.add_times(request)?;
        plan.host_timeout_s = timeout;
        plan.add_levels(request, running);
        Ok(plan)
    }

    /// The string that sets the registers, without the `>UD` that starts the trace.
    pub fn setup(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        write_string(&self.writes, &mut out);
        out
    }

    /// What is dumped after a trace that ended at `address`: analogue channels first, then logic.
    pub fn dumps(&self, address: u32) -> Vec<Dump> {
        let count = u32::from(self.channels.analogue_count());
        let address = if count == 2 { address & !1 } else { address };
        let (room, samples) = (self.timing.mode.room(), self.timing.samples);
        let first = (address % room + room - samples % room) % room;
        let native = self.timing.mode.bytes == 2;
        let mut dumps: Vec<Dump> = (0..count)
            .map(|index| Dump {
                address: first,
                channel: index as u8,
                native,
                count: samples / count,
            })
            .collect();
        if self.channels.logic != 0 {
            dumps.push(Dump {
                address: first,
                channel: LOGIC_CHANNEL,
                native: false,
                count: samples,
            });
        }
        dumps
    }

    /// Times of the trace; the time-out is returned if the device cannot count it.
    fn add_times(&mut self, request: &CaptureRequest) -> Result<Option<f64>, CaptureError> {
        let timing = self.timing;
        let outro_filter = if request.hair { HAIR_FILTER } else { FILTER };
        let intro_filter = if self.kind.is_edge() { outro_filter } else { 0 };
        let after = timing.samples - self.trigger_sample;
        let trace_outro = after.saturating_sub(outro_filter);
        let mut host_timeout = None;
        let mut timeout = 0;
        if let Some(seconds) = request.timeout_s {
            if !(0.0..=1e6).contains(&seconds) {
                return Err(CaptureError::Timeout(seconds));
            }
            let samples = f64::from(intro_filter + outro_filter + trace_outro + 2);
            let total = samples * timing.sample_period_s() + seconds;
            let units = (total / TIMEOUT_UNIT_S).ceil();
            match units <= f64::from(u16::MAX) {
                true => timeout = units as u32,
                false => host_timeout = Some(seconds),
            }
        }
        self.writes.extend([
            (Register::TraceMode, u32::from(timing.mode.trace_mode)),
            (Register::BufferMode, u32::from(timing.mode.buffer_mode)),
            (Register::SampleAddress, 0),
            (Register::ClockTicks, timing.ticks),
            (Register::ClockScale, timing.scale),
            (
                Register::TraceIntro,
                self.trigger_sample.saturating_sub(intro_filter),
            ),
            (Register::TraceOutro, trace_outro),
            (Register::TraceDelay, 0),
            (Register::Timeout, timeout),
            (Register::TriggerIntro, intro_filter / 2),
            (Register::TriggerOutro, outro_filter / 2),
            (Register::Prelude, 0),
        ]);
        Ok(host_timeout)
    }

    /// Range, trigger and switches.
    fn add_levels(&mut self, request: &CaptureRequest, running: Running) {
        let probe = &request.probe;
        let (lo, hi, level) = match self.raw {
            true => (self.low, self.high, self.level),
            false => {
                let (lo, hi) = (probe.fraction(self.low), probe.fraction(self.high));
                let (lo, hi) = probe.converter(lo, hi);
                (lo, hi, probe.fraction(self.level))
            }
        };
        let (logic, mask, source) = match self.trigger {
            TriggerSource::A => (0x80, 0x7f, 0),
            TriggerSource::B => (0x40, 0xbf, 4),
            TriggerSource::Pattern { used, levels } => (levels & used, !used, 0),
        };
        let invert = if self.kind.is_inverted() { 0x40 } else { 0 };
        let channels = self.channels;
        let comparator = |source, bit: u8| self.trigger == source || channels.logic & bit != 0;
        let switch = |on: bool, bit: u32| if on { bit } else { 0 };
        let sink_a = switch(comparator(TriggerSource::A, 0x80), 0x80)
            | switch(comparator(TriggerSource::B, 0x40), 0x40);
        let sink_b = switch(channels.analogue_count() > 0, 0x80) | switch(running.waveform, 0x40);
        let analogue = switch(channels.a, 1) | switch(channels.b, 2);
        self.writes.extend([
            (Register::TriggerLevel, Register::TriggerLevel.encode(level)),
            (Register::TriggerLogic, u32::from(logic)),
            (Register::TriggerMask, u32::from(mask)),
            (Register::SpockOption, 1 | source | invert),
            (Register::ConverterLo, Register::ConverterLo.encode(lo)),
            (Register::ConverterHi, Register::ConverterHi.encode(hi)),
            (Register::KitchenSinkA, sink_a),
            (Register::KitchenSinkB, sink_b),
            (Register::AnalogEnable, analogue),
            (Register::DigitalEnable, u32::from(channels.logic)),
        ]);
    }
}

/// DumpChan of the logic channels.
pub const LOGIC_CHANNEL: u8 = 128;

/// One dump of the sample buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dump {
    /// Of the first sample.
    pub address: u32,
    /// DumpChan: position among the captured analogue channels, or [`LOGIC_CHANNEL`].
    pub channel: u8,
    /// 16 bits a sample, the high byte first, instead of 8.
    pub native: bool,
    /// Samples.
    pub count: u32,
}

impl Dump {
    /// Bytes that come after the echo of `A`.
    pub fn bytes(&self) -> usize {
        self.count as usize * if self.native { 2 } else { 1 }
    }

    /// What is written before it.
    pub fn writes(&self) -> Writes {
        vec![
            (Register::SampleAddress, self.address),
            (Register::DumpMode, if self.native { 5 } else { 0 }),
            (Register::DumpChan, u32::from(self.channel)),
            (Register::DumpCount, self.count),
            (Register::DumpRepeat, 1),
            (Register::DumpSend, 1),
            (Register::DumpSkip, 0),
        ]
    }

    /// The string that sets the registers, without the `>A` that starts the dump.
    pub fn setup(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        write_string(&self.writes(), &mut out);
        out
    }
}

/// Without the channels that others use.
fn captured(mut channels: Channels, running: Running) -> Channels {
    for (used, bit) in [
        (running.waveform, 0x10),
        (running.clock, 0x20),
        (channels.a, 0x80),
        (channels.b, 0x40),
    ] {
        if used {
            channels.logic &= !bit;
        }
    }
    channels
}

fn timing(request: &CaptureRequest, channels: Channels) -> Result<Timing, CaptureError> {
    let (period_s, samples) = (request.period_s, request.samples);
    let (analogue, logic) = (channels.analogue_count(), channels.logic != 0);
    if analogue == 0 && !logic {
        return Err(CaptureError::NoChannel);
    }
    if !(period_s.is_finite() && period_s > 0.0) {
        return Err(CaptureError::Period(period_s));
    }
    if samples == 0 || samples > 100 * SAMPLES_MAX {
        return Err(CaptureError::Samples(samples));
    }
    Timing::choose(period_s, samples, analogue, logic).ok_or(CaptureError::NoMode {
        period_s,
        samples,
        analogue,
        logic,
    })
}

fn range(request: &CaptureRequest, channels: Channels) -> Result<(f64, f64), CaptureError> {
    let probe = &request.probe;
    let (low, high) = match (request.raw, channels.analogue_count()) {
        (true, _) => (0.0, 1.0),
        (false, 0) => (0.0, LOGIC_HIGH_V),
        (false, _) => (probe.safe_low_v, probe.safe_high_v),
    };
    let (low, high) = (request.low.unwrap_or(low), request.high.unwrap_or(high));
    match low.is_finite() && high.is_finite() && low < high {
        true => Ok((low, high)),
        false => Err(CaptureError::Range { low, high }),
    }
}

fn trigger(request: &CaptureRequest) -> Result<TriggerSource, CaptureError> {
    match request.trigger {
        Some(TriggerSource::Pattern { used: 0, .. }) => Err(CaptureError::Pattern),
        Some(trigger) => Ok(trigger),
        // Of the channels asked for, captured or not.
        None => Ok(match request.channels.iter().next() {
            Some(Channel::A) => TriggerSource::A,
            Some(Channel::B) => TriggerSource::B,
            Some(Channel::Logic(index)) => TriggerSource::Pattern {
                used: 1 << index,
                levels: 1 << index,
            },
            None => return Err(CaptureError::NoChannel),
        }),
    }
}
