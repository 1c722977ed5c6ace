//! How the next capture is to be made.

use super::super::{Handler, Row};
use super::{CHANNELS, scope_row};
use crate::bitscope::proto::{
    BUFFER, CaptureRequest, Channel, Channels, Probe, TriggerKind, TriggerSource,
};
use crate::bitscope::{ConfigurationReport, parse_pattern, pattern_text};
use crate::scpi::{Args, Error, Kind, Need, Param, Range, Unit};
use crate::server::context::Context;

/// The longest capture: 12288 samples of 16383 x 40 ticks.
const PERIOD_MAX_S: f64 = 201.0;
/// Two samples at 40 MHz.
const PERIOD_MIN_S: f64 = 50e-9;
const POSITION: f64 = 0.25;
/// At most an hour to the trigger.
const TIMEOUT_MAX_S: f64 = 3600.0;

const fn real(min: f64, max: f64, default: f64, unit: Option<Unit>) -> Kind {
    Kind::Real {
        range: Range::Fixed { min, max, default },
        unit,
    }
}

const LOW_V: f64 = Probe::X1.safe_low_v;
const HIGH_V: f64 = Probe::X1.safe_high_v;
const KINDS: [TriggerKind; 4] = [
    TriggerKind::Rising,
    TriggerKind::Falling,
    TriggerKind::Above,
    TriggerKind::Below,
];
const KIND_WORDS: [&str; 4] = ["RISing", "FALLing", "ABOVe", "BELow"];

pub(super) const ROWS: &[Row] = &[
    scope_row(
        "SCOPe:CONFigure?",
        &[],
        "how the next capture is to be made, as JSON; null is chosen by the station",
        Handler::Now(configuration),
    ),
    scope_row(
        "SCOPe:CONFigure:DEFault",
        &[],
        "channel A, 1000 samples in 1 ms, rising through the middle of the range",
        Handler::Now(set_default),
    ),
    scope_row(
        "SCOPe:CONFigure:CHANnels",
        &[Param::list(
            "channels",
            Kind::Choice(&[
                "A", "B", "L0", "L1", "L2", "L3", "L4", "L5", "L6", "L7", "L",
            ]),
            Need::Between(1, 11),
        )],
        "channels to capture; L is L0 to L7. L7 is lost beside A, L6 beside B, L4 to the waveform, L5 to the clock",
        Handler::Now(set_channels),
    ),
    scope_row(
        "SCOPe:CONFigure:CHANnels?",
        &[],
        "the channels",
        Handler::Now(channels),
    ),
    scope_row(
        "SCOPe:CONFigure:PERiod",
        &[Param::new(
            "period",
            real(PERIOD_MIN_S, PERIOD_MAX_S, 1e-3, Some(Unit::SECOND)),
        )],
        "seconds that a capture covers",
        Handler::Now(set_period),
    ),
    scope_row(
        "SCOPe:CONFigure:PERiod?",
        &[],
        "that time in s",
        Handler::Now(period),
    ),
    scope_row(
        "SCOPe:CONFigure:SAMPles",
        &[Param::new(
            "samples",
            Kind::Integer {
                range: Range::Fixed {
                    min: 1.0,
                    max: BUFFER as f64,
                    default: 1000.0,
                },
                unit: None,
            },
        )],
        "samples of a capture, about: both analogue channels together",
        Handler::Now(set_samples),
    ),
    scope_row(
        "SCOPe:CONFigure:SAMPles?",
        &[],
        "the samples asked for",
        Handler::Now(samples),
    ),
    scope_row(
        "SCOPe:CONFigure:RANGe",
        &[
            Param::new("low", real(LOW_V, HIGH_V, LOW_V, Some(Unit::VOLT))),
            Param::new("high", real(LOW_V, HIGH_V, HIGH_V, Some(Unit::VOLT))),
        ],
        "voltages from which to which the converter reaches",
        Handler::Now(set_range),
    ),
    scope_row(
        "SCOPe:CONFigure:RANGe?",
        &[],
        "those voltages",
        Handler::Now(range),
    ),
    scope_row(
        "SCOPe:CONFigure:LOW",
        &[Param::new(
            "low",
            real(LOW_V, HIGH_V, LOW_V, Some(Unit::VOLT)),
        )],
        "the lower of them",
        Handler::Now(set_low),
    ),
    scope_row(
        "SCOPe:CONFigure:LOW?",
        &[],
        "the lower of them",
        Handler::Now(low),
    ),
    scope_row(
        "SCOPe:CONFigure:HIGH",
        &[Param::new(
            "high",
            real(LOW_V, HIGH_V, HIGH_V, Some(Unit::VOLT)),
        )],
        "the upper of them",
        Handler::Now(set_high),
    ),
    scope_row(
        "SCOPe:CONFigure:HIGH?",
        &[],
        "the upper of them",
        Handler::Now(high),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:SOURce",
        &[Param::new(
            "source",
            Kind::Choice(&["AUTO", "A", "B", "LOGic"]),
        )],
        "what triggers; AUTO: the first analogue channel, else the first logic channel high",
        Handler::Now(set_source),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:SOURce?",
        &[],
        "what triggers",
        Handler::Now(source),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:KIND",
        &[Param::new("kind", Kind::Choice(&KIND_WORDS))],
        "RISing, FALLing: an edge; ABOVe, BELow: a level. Of a pattern: it comes, it goes, it is there, it is not",
        Handler::Now(set_kind),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:KIND?",
        &[],
        "when it triggers",
        Handler::Now(kind),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:LEVel",
        &[Param::new(
            "level",
            real(LOW_V, HIGH_V, 0.0, Some(Unit::VOLT)),
        )],
        "voltage at which it triggers; without one it is the middle of the range",
        Handler::Now(set_level),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:LEVel?",
        &[],
        "that voltage",
        Handler::Now(level),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:LOGic",
        &[Param::new("pattern", Kind::Text { max: 8 })],
        "trigger on a pattern of L7 down to L0, such as \"XXXXXX10\": 1 high, 0 low, X any",
        Handler::Now(set_pattern),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:LOGic?",
        &[],
        "that pattern",
        Handler::Now(pattern),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:TIMeout",
        &[Param::new(
            "timeout",
            real(0.0, TIMEOUT_MAX_S, 0.0, Some(Unit::SECOND)),
        )],
        "time after which it captures without a trigger; 0: never",
        Handler::Now(set_timeout),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:TIMeout?",
        &[],
        "that time in s",
        Handler::Now(timeout),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:POSition",
        &[Param::new("position", real(0.0, 1.0, POSITION, None))],
        "part of the capture before the trigger; above 5 MS/s it is 0",
        Handler::Now(set_position),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:POSition?",
        &[],
        "that part",
        Handler::Now(position),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:HAIR",
        &[Param::new("state", Kind::Bool)],
        "trigger on pulses of 4 samples instead of 8",
        Handler::Now(set_hair),
    ),
    scope_row(
        "SCOPe:CONFigure:TRIGger:HAIR?",
        &[],
        "whether it does",
        Handler::Now(hair),
    ),
];

type Done = Result<(), Error>;

fn change(context: &Context, change: impl FnOnce(&mut CaptureRequest)) -> Done {
    context.scope()?.configure(change);
    Ok(())
}

fn present(context: &Context) -> Result<CaptureRequest, Error> {
    Ok(context.scope()?.configuration())
}

fn configuration(context: &mut Context, _: &Args<'_>) -> Done {
    let report = ConfigurationReport::from(&present(context)?);
    context.json(&report)
}

fn set_default(context: &mut Context, _: &Args<'_>) -> Done {
    change(context, |request| *request = CaptureRequest::default())
}

fn set_channels(context: &mut Context, args: &Args<'_>) -> Done {
    let mut channels = Channels::default();
    for index in 0..args.len() {
        match CHANNELS.get(args.choice(index)) {
            Some(Channel::A) => channels.a = true,
            Some(Channel::B) => channels.b = true,
            Some(Channel::Logic(index)) => channels.logic |= 1 << index,
            None => channels.logic = u8::MAX,
        }
    }
    change(context, |request| request.channels = channels)
}

fn channels(context: &mut Context, _: &Args<'_>) -> Done {
    for channel in present(context)?.channels.iter() {
        context.reply.word(&channel.to_string());
    }
    Ok(())
}

fn set_period(context: &mut Context, args: &Args<'_>) -> Done {
    change(context, |request| request.period_s = args.real(0))
}

fn period(context: &mut Context, _: &Args<'_>) -> Done {
    let period_s = present(context)?.period_s;
    context.reply.real(period_s);
    Ok(())
}

fn set_samples(context: &mut Context, args: &Args<'_>) -> Done {
    change(context, |request| request.samples = args.integer(0) as u32)
}

fn samples(context: &mut Context, _: &Args<'_>) -> Done {
    let samples = present(context)?.samples;
    context.reply.integer(samples);
    Ok(())
}

fn set_range(context: &mut Context, args: &Args<'_>) -> Done {
    let (low, high) = (args.real(0), args.real(1));
    if low >= high {
        let text = format!("the range from {low} V to {high} V is empty");
        return Err(Error::new(-221).with(text));
    }
    change(context, |request| {
        (request.low, request.high) = (Some(low), Some(high));
    })
}

/// What the request leaves open is the whole safe range.
fn ends(request: &CaptureRequest) -> (f64, f64) {
    (request.low.unwrap_or(LOW_V), request.high.unwrap_or(HIGH_V))
}

fn range(context: &mut Context, _: &Args<'_>) -> Done {
    let (low, high) = ends(&present(context)?);
    context.reply.real(low).real(high);
    Ok(())
}

fn set_low(context: &mut Context, args: &Args<'_>) -> Done {
    change(context, |request| request.low = Some(args.real(0)))
}

fn low(context: &mut Context, _: &Args<'_>) -> Done {
    let (low, _) = ends(&present(context)?);
    context.reply.real(low);
    Ok(())
}

fn set_high(context: &mut Context, args: &Args<'_>) -> Done {
    change(context, |request| request.high = Some(args.real(0)))
}

fn high(context: &mut Context, _: &Args<'_>) -> Done {
    let (_, high) = ends(&present(context)?);
    context.reply.real(high);
    Ok(())
}

fn set_source(context: &mut Context, args: &Args<'_>) -> Done {
    let trigger = match args.choice(0) {
        0 => None,
        1 => Some(TriggerSource::A),
        2 => Some(TriggerSource::B),
        _ => match present(context)?.trigger {
            Some(pattern @ TriggerSource::Pattern { .. }) => Some(pattern),
            _ => Some(TriggerSource::Pattern { used: 1, levels: 1 }),
        },
    };
    change(context, |request| request.trigger = trigger)
}

fn source(context: &mut Context, _: &Args<'_>) -> Done {
    let word = match present(context)?.trigger {
        None => "AUTO",
        Some(TriggerSource::A) => "A",
        Some(TriggerSource::B) => "B",
        Some(TriggerSource::Pattern { .. }) => "LOG",
    };
    context.reply.word(word);
    Ok(())
}

fn set_kind(context: &mut Context, args: &Args<'_>) -> Done {
    change(context, |request| request.kind = KINDS[args.choice(0)])
}

fn kind(context: &mut Context, _: &Args<'_>) -> Done {
    let word = match present(context)?.kind {
        TriggerKind::Rising => "RIS",
        TriggerKind::Falling => "FALL",
        TriggerKind::Above => "ABOV",
        TriggerKind::Below => "BEL",
    };
    context.reply.word(word);
    Ok(())
}

fn set_level(context: &mut Context, args: &Args<'_>) -> Done {
    change(context, |request| request.level = Some(args.real(0)))
}

fn level(context: &mut Context, _: &Args<'_>) -> Done {
    let request = present(context)?;
    let (low, high) = ends(&request);
    context
        .reply
        .real(request.level.unwrap_or((low + high) / 2.0));
    Ok(())
}

fn set_pattern(context: &mut Context, args: &Args<'_>) -> Done {
    let wrong = || Error::new(-224).with("a pattern has 8 of 0, 1 and X, for L7 down to L0");
    let (used, levels) = parse_pattern(args.text(0)).ok_or_else(wrong)?;
    if used == 0 {
        return Err(Error::new(-221).with("the trigger pattern names no channel"));
    }
    let pattern = TriggerSource::Pattern { used, levels };
    change(context, |request| request.trigger = Some(pattern))
}

fn pattern(context: &mut Context, _: &Args<'_>) -> Done {
    let text = match present(context)?.trigger {
        Some(TriggerSource::Pattern { used, levels }) => pattern_text(used, levels),
        _ => pattern_text(0, 0),
    };
    context.reply.string(&text);
    Ok(())
}

fn set_timeout(context: &mut Context, args: &Args<'_>) -> Done {
    let timeout = Some(args.real(0)).filter(|timeout| *timeout > 0.0);
    change(context, |request| request.timeout_s = timeout)
}

fn timeout(context: &mut Context, _: &Args<'_>) -> Done {
    let timeout = present(context)?.timeout_s;
    context.reply.real(timeout.unwrap_or(0.0));
    Ok(())
}

fn set_position(context: &mut Context, args: &Args<'_>) -> Done {
    change(context, |request| request.position = args.real(0))
}

fn position(context: &mut Context, _: &Args<'_>) -> Done {
    let position = present(context)?.position;
    context.reply.real(position);
    Ok(())
}

fn set_hair(context: &mut Context, args: &Args<'_>) -> Done {
    change(context, |request| request.hair = args.bool(0))
}

fn hair(context: &mut Context, _: &Args<'_>) -> Done {
    let hair = present(context)?.hair;
    context.reply.boolean(hair);
    Ok(())
}
