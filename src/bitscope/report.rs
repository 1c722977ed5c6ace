//! What `SCOPe:STATus?`, `:INFO?` and `:CONFigure?` tell.

use jiff::Timestamp;
use serde::Serialize;

use super::proto::{CaptureRequest, Channel, TriggerSource};
use super::{Acquisition, Generator, Shared};

/// The device at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// `serial`, `tcp`, `bitscope-server` or `sim`.
    pub link: &'static str,
    /// Whether it is there.
    pub connected: bool,
    /// Its revision.
    pub revision: Option<String>,
    /// From its EEPROM.
    pub serial_number: Option<String>,
    /// Whether a calibration of the probe is kept for this device.
    pub calibrated: bool,
    /// Captures that wait or run.
    pub captures_pending: usize,
    /// The waveform generator, if it runs.
    pub waveform: Option<WaveformReport>,
    /// The clock generator, if it runs.
    pub clock: Option<ClockReport>,
    /// Address of the program that has the device by port 15500.
    pub controller: Option<String>,
}

/// A running waveform.
#[derive(Debug, Clone, Serialize)]
pub struct WaveformReport {
    /// Its form.
    pub shape: &'static str,
    /// What it is in fact.
    pub frequency_hz: f64,
    /// Lowest voltage.
    pub low_v: f64,
    /// Highest voltage.
    pub high_v: f64,
    /// Symmetry or duty ratio.
    pub symmetry: f64,
}

/// A running clock.
#[derive(Debug, Clone, Serialize)]
pub struct ClockReport {
    /// What it is in fact.
    pub frequency_hz: f64,
    /// The part of its period in which it is high.
    pub ratio: f64,
}

impl StatusReport {
    pub(super) fn of(shared: &Shared) -> Self {
        let identity = shared.identity.borrow();
        let identity = identity.as_ref().filter(|_| shared.connected.get());
        let (waveform, clock) = match &*shared.generator.borrow() {
            Generator::Off => (None, None),
            Generator::Waveform {
                request,
                frequency_hz,
            } => {
                let report = WaveformReport {
                    shape: request.shape.word(),
                    frequency_hz: *frequency_hz,
                    low_v: request.low_v,
                    high_v: request.high_v,
                    symmetry: request.ratio,
                };
                (Some(report), None)
            }
            Generator::Clock { plan, .. } => {
                let report = ClockReport {
                    frequency_hz: plan.frequency_hz(),
                    ratio: plan.ratio(),
                };
                (None, Some(report))
            }
        };
        let captures = shared.captures.borrow();
        Self {
            link: shared.kind.word(),
            connected: shared.connected.get(),
            revision: identity.map(|identity| identity.revision.clone()),
            serial_number: identity.map(|identity| identity.serial_number.clone()),
            calibrated: shared.connected.get() && shared.probe.get().is_some(),
            captures_pending: captures.iter().filter(|job| !job.state().is_over()).count(),
            waveform,
            clock,
            controller: shared.controller.get().map(|source| source.to_string()),
        }
    }
}

/// A capture, without its samples.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureReport {
    /// Captures since the station started.
    pub number: u64,
    /// When its samples had come, UTC.
    pub captured: Timestamp,
    /// The device's.
    pub serial_number: String,
    /// `trigger`, `timeout` or `cancel`.
    pub cause: &'static str,
    /// The vendor's name of the trace mode.
    pub mode: &'static str,
    /// Start on the device's clock, which wraps every 107.37 s.
    pub start_s: f64,
    /// From one sample to the next, all analogue channels together.
    pub sample_period_s: f64,
    /// Samples a second, all analogue channels together.
    pub sample_rate_hz: f64,
    /// One a channel, in the order A, B, L0 .. L7.
    pub channels: Vec<ChannelReport>,
}

/// A channel of a capture. Sample k was taken at `first_s + k * period_s` after the start.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelReport {
    /// `A`, `B`, `L0` .. `L7`.
    pub channel: String,
    /// `V`; empty for logic levels.
    pub unit: &'static str,
    /// How many there are.
    pub samples: usize,
    /// From the start of the capture to the first sample.
    pub first_s: f64,
    /// From one sample to the next.
    pub period_s: f64,
    /// Sample in front of which this channel triggered.
    pub trigger_sample: Option<u32>,
}

impl CaptureReport {
    pub(super) fn of(acquisition: &Acquisition) -> Self {
        let capture = &acquisition.capture;
        let channels = capture.traces.iter().map(|trace| ChannelReport {
            channel: trace.channel.to_string(),
            unit: match trace.channel {
                Channel::Logic(_) => "",
                _ => "V",
            },
            samples: trace.samples.len(),
            first_s: trace.first_s,
            period_s: trace.period_s,
            trigger_sample: trace.trigger.as_ref().map(|point| point.sample),
        });
        Self {
            number: acquisition.number,
            captured: acquisition.captured,
            serial_number: acquisition.serial_number.clone(),
            cause: capture.cause.word(),
            mode: capture.mode,
            start_s: capture.start_s,
            sample_period_s: capture.sample_period_s,
            sample_rate_hz: 1.0 / capture.sample_period_s,
            channels: channels.collect(),
        }
    }
}

/// How the next capture is to be made.
#[derive(Debug, Clone, Serialize)]
pub struct ConfigurationReport {
    /// `A`, `B`, `L0` .. `L7`.
    pub channels: Vec<String>,
    /// Seconds that it covers.
    pub period_s: f64,
    /// How many samples, about: all analogue channels together.
    pub samples: u32,
    /// Lower end of the range; `None` for the lowest that is safe.
    pub low_v: Option<f64>,
    /// Upper end of the range; `None` for the highest that is safe.
    pub high_v: Option<f64>,
    /// `auto`, `a`, `b` or `logic`.
    pub trigger_source: &'static str,
    /// `rising`, `falling`, `above` or `below`.
    pub trigger_kind: &'static str,
    /// `None` for the middle of the range.
    pub trigger_level_v: Option<f64>,
    /// Levels of L7 down to L0: `0`, `1`, `X` for those that do not take part.
    pub trigger_pattern: Option<String>,
    /// Seconds until it is taken without a trigger; `None` for never.
    pub trigger_timeout_s: Option<f64>,
    /// Part of the capture before the trigger.
    pub trigger_position: f64,
    /// Whether shorter pulses trigger.
    pub trigger_hair: bool,
}

impl From<&CaptureRequest> for ConfigurationReport {
    fn from(request: &CaptureRequest) -> Self {
        let (source, pattern) = match request.trigger {
            None => ("auto", None),
            Some(TriggerSource::A) => ("a", None),
            Some(TriggerSource::B) => ("b", None),
            Some(TriggerSource::Pattern { used, levels }) => {
                ("logic", Some(pattern_text(used, levels)))
            }
        };
        Self {
            channels: request.channels.iter().map(|c| c.to_string()).collect(),
            period_s: request.period_s,
            samples: request.samples,
            low_v: request.low,
            high_v: request.high,
            trigger_source: source,
            trigger_kind: request.kind.word(),
            trigger_level_v: request.level,
            trigger_pattern: pattern,
            trigger_timeout_s: request.timeout_s,
            trigger_position: request.position,
            trigger_hair: request.hair,
        }
    }
}

/// Levels of L7 down to L0, `X` for those that do not take part.
pub fn pattern_text(used: u8, levels: u8) -> String {
    (0..8)
        .rev()
        .map(|bit| match (used >> bit & 1, levels >> bit & 1) {
            (0, _) => 'X',
            (_, 0) => '0',
            _ => '1',
        })
        .collect()
}

/// The bits that take part, and their levels, of text such as `XXXX10X1`; `None` for anything else.
pub fn parse_pattern(text: &str) -> Option<(u8, u8)> {
    if text.len() != 8 {
        return None;
    }
    let (mut used, mut levels) = (0, 0);
    for (index, byte) in text.bytes().enumerate() {
        let bit = 0x80 >> index;
        match byte {
            b'X' | b'x' => {}
            b'0' => used |= bit,
            b'1' => {
                used |= bit;
                levels |= bit;
            }
            _ => return None,
        }
    }
    Some((used, levels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_from_l7_down() {
        assert_eq!(parse_pattern("1XXXXX01"), Some((0x83, 0x81)));
        assert_eq!(pattern_text(0x83, 0x81), "1XXXXX01");
        for wrong in ["", "1", "XXXXXXX2", "XXXXXXXXX", "\u{e4}\u{e4}\u{e4}\u{e4}"] {
            assert_eq!(parse_pattern(wrong), None, "{wrong}");
        }
    }
}
