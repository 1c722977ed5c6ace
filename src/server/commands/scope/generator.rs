//! Waveform and clock.

use super::super::{Handler, Row, Waiting};
use super::scope_row;
use crate::bitscope::Generator;
use crate::bitscope::proto::{LOGIC_HIGH_V, Shape, TABLE, WaveformRequest};
use crate::scpi::{Args, Error, Kind, Param, Range, Unit};
use crate::server::context::Context;

const fn real(min: f64, max: f64, unit: Option<Unit>) -> Kind {
    Kind::Real {
        range: Range::Plain(min, max),
        unit,
    }
}

const VOLTS: Kind = real(0.0, LOGIC_HIGH_V, Some(Unit::VOLT));
const PART: Kind = real(0.0, 1.0, None);
const WAVE_HZ: Kind = real(0.6, 24_242.0, Some(Unit::HERTZ));
const CLOCK_HZ: Kind = real(610.4, 20e6, Some(Unit::HERTZ));
const SHAPES: [Shape; 4] = [
    Shape::Sine,
    Shape::Triangle,
    Shape::Square,
    Shape::Exponential,
];
const SWITCH: &[Param] = &[Param::new("state", Kind::Bool)];

pub(super) const ROWS: &[Row] = &[
    scope_row(
        "SCOPe:WAVeform",
        &[
            Param::new(
                "shape",
                Kind::Choice(&["SINE", "TRIangle", "SQUare", "EXPonential"]),
            ),
            Param::new("frequency", WAVE_HZ),
            Param::new("low", VOLTS),
            Param::new("high", VOLTS),
            Param::optional("symmetry", PART),
        ],
        "start the waveform generator, on L4's pin, or change it; the clock stops",
        Handler::Later(start_waveform),
    ),
    scope_row(
        "SCOPe:WAVeform?",
        &[],
        "shape, frequency in fact in Hz, low and high in V, symmetry; NONE while it is off",
        Handler::Now(waveform),
    ),
    scope_row(
        "SCOPe:WAVeform:ARBitrary",
        &[
            Param::new("frequency", WAVE_HZ),
            Param::new("low", VOLTS),
            Param::new("high", VOLTS),
            Param::new("values", Kind::Block { max: 4 * TABLE }),
        ],
        "the same with a wave of one's own: 1024 little-endian f32 from 0 (low) to 1 (high)",
        Handler::Later(start_arbitrary),
    ),
    scope_row(
        "SCOPe:WAVeform:STATe",
        SWITCH,
        "OFF stops the waveform; ON starts a 1 kHz sine from 0 V to 3.3 V if none runs",
        Handler::Later(switch_waveform),
    ),
    scope_row(
        "SCOPe:WAVeform:STATe?",
        &[],
        "whether the waveform runs",
        Handler::Now(waveform_runs),
    ),
    scope_row(
        "SCOPe:CLOCk",
        &[
            Param::new("frequency", CLOCK_HZ),
            Param::optional("ratio", PART),
        ],
        "start the clock generator on L5, high for ratio of its period (0.5), or change it; the waveform stops",
        Handler::Later(start_clock),
    ),
    scope_row(
        "SCOPe:CLOCk?",
        &[],
        "frequency in fact in Hz, ratio; NONE while it is off",
        Handler::Now(clock),
    ),
    scope_row(
        "SCOPe:CLOCk:STATe",
        SWITCH,
        "OFF stops the clock; ON starts one of 1 kHz if none runs",
        Handler::Later(switch_clock),
    ),
    scope_row(
        "SCOPe:CLOCk:STATe?",
        &[],
        "whether the clock runs",
        Handler::Now(clock_runs),
    ),
];

fn start_waveform<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let request = WaveformRequest {
            shape: SHAPES[args.choice(0)].clone(),
            frequency_hz: args.real(1),
            low_v: args.real(2),
            high_v: args.real(3),
            ratio: args.optional_real(4).unwrap_or(0.5),
        };
        start(context, request).await
    })
}

fn start_arbitrary<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let (values, rest) = args.block(3).as_chunks::<4>();
        let values: Vec<f32> = values
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect();
        let values: Option<Box<[f32; TABLE]>> = values.into_boxed_slice().try_into().ok();
        let values = values.filter(|_| rest.is_empty());
        let wrong = || Error::new(-226).with("a waveform has 1024 values of 4 bytes");
        let request = WaveformRequest {
            shape: Shape::Arbitrary(values.ok_or_else(wrong)?),
            frequency_hz: args.real(0),
            low_v: args.real(1),
            high_v: args.real(2),
            ratio: 0.5,
        };
        start(context, request).await
    })
}

async fn start(context: &Context, request: WaveformRequest) -> Result<(), Error> {
    if request.low_v > request.high_v {
        let (low, high) = (request.low_v, request.high_v);
        let text = format!("a waveform from {low} V up to {high} V");
        return Err(Error::new(-221).with(text));
    }
    context.scope()?.start_waveform(request).await?;
    Ok(())
}

fn waveform(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let generator = context.scope()?.generator();
    let reply = &mut context.reply;
    match generator {
        Generator::Waveform {
            request,
            frequency_hz,
        } => {
            let word = match &request.shape {
                Shape::Sine => "SINE",
                Shape::Triangle => "TRI",
                Shape::Square => "SQU",
                Shape::Exponential => "EXP",
                Shape::Arbitrary(_) => "ARB",
            };
            reply.word(word).real(frequency_hz);
            reply.real(request.low_v).real(request.high_v);
            reply.real(request.ratio);
        }
        _ => drop(reply.word("NONE")),
    }
    Ok(())
}

fn switch_waveform<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let scope = context.scope()?;
        let runs = matches!(scope.generator(), Generator::Waveform { .. });
        match (args.bool(0), runs) {
            (true, false) => drop(scope.start_waveform(WaveformRequest::default()).await?),
            (false, true) => scope.stop_generator().await?,
            _ => {}
        }
        Ok(())
    })
}

fn waveform_runs(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let generator = context.scope()?.generator();
    let runs = matches!(generator, Generator::Waveform { .. });
    context.reply.boolean(runs);
    Ok(())
}

fn start_clock<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let (frequency_hz, ratio) = (args.real(0), args.optional_real(1).unwrap_or(0.5));
        context.scope()?.start_clock(frequency_hz, ratio).await?;
        Ok(())
    })
}

fn clock(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let generator = context.scope()?.generator();
    let reply = &mut context.reply;
    match generator {
        Generator::Clock { plan, .. } => drop(reply.real(plan.frequency_hz()).real(plan.ratio())),
        _ => drop(reply.word("NONE")),
    }
    Ok(())
}

fn switch_clock<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let scope = context.scope()?;
        let runs = matches!(scope.generator(), Generator::Clock { .. });
        match (args.bool(0), runs) {
            (true, false) => drop(scope.start_clock(1000.0, 0.5).await?),
            (false, true) => scope.stop_generator().await?,
            _ => {}
        }
        Ok(())
    })
}

fn clock_runs(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let generator = context.scope()?.generator();
    let runs = matches!(generator, Generator::Clock { .. });
    context.reply.boolean(runs);
    Ok(())
}
