//! From dumped bytes to traces.

use super::TICK_S;
use super::capture::{CapturePlan, LOGIC_CHANNEL, TriggerKind, TriggerSource};
use super::channel::Channel;
use super::samples::{levels, samples_8, samples_16};

/// Why a trace ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Triggered.
    Trigger,
    /// The trigger did not come in time.
    Timeout,
    /// The host ended it.
    Cancel,
}

impl Cause {
    /// The client's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Timeout => "timeout",
            Self::Cancel => "cancel",
        }
    }
}

/// Where a trace was triggered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TriggerPoint {
    /// Sample of this channel, 0 up.
    pub sample: u32,
    /// Volts; a fraction of a raw capture; 0 or 1 of a logic channel.
    pub level: f64,
    /// When.
    pub kind: TriggerKind,
}

/// What one channel showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Which.
    pub channel: Channel,
    /// Volts; 0 to 1 of a raw capture; 0 or 1 of a logic channel.
    pub samples: Vec<f32>,
    /// Seconds from the start of the capture to the first sample.
    pub first_s: f64,
    /// Seconds from one sample to the next.
    pub period_s: f64,
    /// Where it triggered, if it did and this channel was what triggered.
    pub trigger: Option<TriggerPoint>,
}

/// A finished capture.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// Why it ended.
    pub cause: Cause,
    /// Its start in seconds of the device's clock, which wraps every 107.37 s.
    pub start_s: f64,
    /// Name of the trace mode.
    pub mode: &'static str,
    /// Seconds from one sample to the next, all analogue channels together.
    pub sample_period_s: f64,
    /// One a channel, in the order A, B, L0 .. L7.
    pub traces: Vec<Trace>,
}

impl Capture {
    /// The trace of a channel.
    pub fn trace(&self, channel: Channel) -> Option<&Trace> {
        self.traces.iter().find(|trace| trace.channel == channel)
    }
}

impl CapturePlan {
    /// The capture from a trace's end and its [`dumps`](Self::dumps), in their order. What is missing of a dump is
    /// missing in the trace.
    ///
    /// `end_ticks`: the time in the packet that ended the trace.
    pub fn decode(&self, cause: Cause, end_ticks: u32, dumps: &[Vec<u8>]) -> Capture {
        let span = u64::from(self.timing.samples) * u64::from(self.timing.sample_ticks());
        let mut end = u64::from(end_ticks);
        while end < span {
            end += 1 << 32;
        }
        let mut traces = Vec::new();
        for (dump, bytes) in self.dumps(0).iter().zip(dumps) {
            match dump.channel {
                LOGIC_CHANNEL => traces.extend(
                    self.channels
                        .logic()
                        .map(|index| self.logic_trace(cause, index, bytes)),
                ),
                index => traces.extend(self.analogue_trace(cause, index, bytes)),
            }
        }
        Capture {
            cause,
            start_s: (end - span) as f64 * TICK_S,
            mode: self.timing.mode.name,
            sample_period_s: self.timing.sample_period_s(),
            traces,
        }
    }

    fn analogue_trace(&self, cause: Cause, index: u8, bytes: &[u8]) -> Option<Trace> {
        let channel = self.channels.analogue().nth(usize::from(index))?;
        let count = u32::from(self.channels.analogue_count());
        let (span, base) = match self.raw {
            true => (1.0, 0.0),
            false => {
                let sign = if channel == Channel::A { 0.5 } else { -0.5 };
                (self.high - self.low, self.low - sign * self.ab_offset_v)
            }
        };
        let samples = match self.timing.mode.bytes {
            2 => samples_16(bytes, span, base),
            _ => samples_8(bytes, span, base),
        };
        let own = match self.trigger {
            TriggerSource::A => channel == Channel::A,
            TriggerSource::B => channel == Channel::B,
            TriggerSource::Pattern { .. } => false,
        };
        let period_s = self.timing.sample_period_s();
        Some(Trace {
            channel,
            samples,
            first_s: f64::from(index) * period_s,
            period_s: f64::from(count) * period_s,
            trigger: (own && cause == Cause::Trigger).then(|| TriggerPoint {
                sample: self.trigger_sample / count,
                level: self.level,
                kind: self.kind,
            }),
        })
    }

    fn logic_trace(&self, cause: Cause, index: u8, bytes: &[u8]) -> Trace {
        // A pattern of several channels is no one's.
        let own = match self.trigger {
            TriggerSource::Pattern { used, levels } if used == 1 << index => {
                Some(f64::from(levels >> index & 1))
            }
            _ => None,
        };
        Trace {
            channel: Channel::Logic(index),
            samples: levels(bytes, index),
            first_s: 0.0,
            period_s: self.timing.sample_period_s(),
            trigger: own
                .filter(|_| cause == Cause::Trigger)
                .map(|level| TriggerPoint {
                    sample: self.trigger_sample,
                    level,
                    kind: self.kind,
                }),
        }
    }
}
