//! `SCOPe` subtree: the BitScope oscilloscope.

mod generator;
mod save;
mod setting;

use std::sync::Arc;

use super::system::adopt;
use super::{Handler, Row, Waiting, row};
use crate::bitscope::proto::{Channel, Register, Trace};
use crate::bitscope::{Acquisition, Oscilloscope};
use crate::scpi::{Args, Error, Kind, Param};
use crate::server::context::Context;

const fn scope_row(
    header: &'static str,
    params: &'static [Param],
    help: &'static str,
    handler: Handler,
) -> Row {
    row("bitscope", header, params, help, handler)
}

const CHANNELS: [Channel; 10] = [
    Channel::A,
    Channel::B,
    Channel::Logic(0),
    Channel::Logic(1),
    Channel::Logic(2),
    Channel::Logic(3),
    Channel::Logic(4),
    Channel::Logic(5),
    Channel::Logic(6),
    Channel::Logic(7),
];
const CHANNEL: &[Param] = &[Param::new(
    "channel",
    Kind::Choice(&["A", "B", "L0", "L1", "L2", "L3", "L4", "L5", "L6", "L7"]),
)];
/// Raw bytes of one command.
const RAW_MAX: usize = 16384;
const RAW: &[Param] = &[Param::new("bytes", Kind::Text { max: RAW_MAX })];

/// Rows of this subtree that measure; settings and generators are in files of their own.
const MEASURING: &[Row] = &[
    scope_row(
        "SCOPe:STATus?",
        &[],
        "link, device, generators, pending captures, and the program that has the device by port 15500, as JSON",
        Handler::Now(status),
    ),
    scope_row(
        "SCOPe:ACQuire",
        &[],
        "capture as configured; an overlapped operation",
        Handler::Now(acquire),
    ),
    scope_row(
        "SCOPe:ABORt",
        &[],
        "end captures that wait or run; one that runs keeps what it has",
        Handler::Now(abort),
    ),
    scope_row(
        "SCOPe:DATA?",
        CHANNEL,
        "samples of the last capture as a block: A and B little-endian f32 in volts; L0 to L7 one u8 a sample, 0 or 1",
        Handler::Now(data),
    ),
    scope_row(
        "SCOPe:XSCale?",
        CHANNEL,
        "time of the first sample after the start of the last capture in s, time between samples in s, samples",
        Handler::Now(x_scale),
    ),
    scope_row(
        "SCOPe:INFO?",
        &[],
        "the last capture but for its samples, as JSON",
        Handler::Now(info),
    ),
    scope_row(
        "SCOPe:PLOT?",
        &[],
        "the last capture as a block of PNG",
        Handler::Later(save::plot),
    ),
    scope_row(
        "SCOPe:SAVE",
        &[
            Param::new("name", Kind::Text { max: 255 }),
            Param::new("format", Kind::Choice(&["CSV", "NPY", "PNG"])),
        ],
        "the last capture to name.csv, name.npy (rows x columns little-endian f64) or name.png in the image folder",
        Handler::Later(save::save),
    ),
    scope_row(
        "SCOPe:RAW",
        RAW,
        "send bytes to the device as they are; its answer is dropped and the device reset",
        Handler::Later(send_raw),
    ),
    scope_row(
        "SCOPe:RAW?",
        RAW,
        "the same; what came back until 0.1 s of silence, as a block",
        Handler::Later(ask_raw),
    ),
    scope_row(
        "SCOPe:REGister?",
        &[Param::new("name", Kind::Name { max: 32 })],
        "the raw value of a register, by the vendor's name",
        Handler::Later(register),
    ),
    scope_row(
        "SCOPe:CONTrol?",
        &[],
        "address of the program that has the device by port 15500, empty for none",
        Handler::Now(control),
    ),
    scope_row(
        "SCOPe:CONTrol:RELease",
        &[],
        "take the device from that program",
        Handler::Now(release),
    ),
];

pub(super) const TABLES: [&[Row]; 3] = [MEASURING, setting::ROWS, generator::ROWS];

impl Context {
    /// The oscilloscope, or -241.
    fn scope(&self) -> Result<Oscilloscope, Error> {
        let scope = self.services.scope.clone();
        scope.ok_or_else(|| Error::new(-241).with("the oscilloscope is disabled"))
    }

    /// The last capture, or -230.
    fn acquisition(&self) -> Result<Arc<Acquisition>, Error> {
        let latest = self.scope()?.latest();
        latest.ok_or_else(|| Error::new(-230).with("nothing was captured yet: SCOP:ACQ captures"))
    }
}

fn status(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let report = context.scope()?.report();
    context.json(&report)
}

fn acquire(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let job = context.scope()?.acquire(&context.services.jobs)?;
    adopt(context, &job);
    Ok(())
}

fn abort(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.scope()?.abort();
    Ok(())
}

/// The channel's trace in the last capture, or -221.
fn trace<'a>(acquisition: &'a Acquisition, args: &Args<'_>) -> Result<&'a Trace, Error> {
    let channel = CHANNELS[args.choice(0)];
    acquisition.capture.trace(channel).ok_or_else(|| {
        Error::new(-221).with(format!("the last capture does not hold channel {channel}"))
    })
}

fn data(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let acquisition = context.acquisition()?;
    let trace = trace(&acquisition, args)?;
    let samples = trace.samples.iter();
    let bytes: Vec<u8> = match trace.channel {
        Channel::Logic(_) => samples.map(|level| u8::from(*level > 0.5)).collect(),
        _ => samples.flat_map(|volts| volts.to_le_bytes()).collect(),
    };
    context.reply.block(&bytes);
    Ok(())
}

fn x_scale(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let acquisition = context.acquisition()?;
    let trace = trace(&acquisition, args)?;
    let reply = &mut context.reply;
    reply.real(trace.first_s).real(trace.period_s);
    reply.integer(trace.samples.len() as u64);
    Ok(())
}

fn info(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let report = context.acquisition()?.report();
    context.json(&report)
}

fn send_raw<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let bytes = args.text(0).as_bytes().to_vec();
        context.scope()?.raw(bytes).await?;
        Ok(())
    })
}

fn ask_raw<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let bytes = args.text(0).as_bytes().to_vec();
        let answer = context.scope()?.raw(bytes).await?;
        context.reply.block(&answer);
        Ok(())
    })
}

fn register<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let unknown = || Error::new(-224).with("no register of that name: TraceMode is one");
        let named = Register::all().find(|r| r.name().eq_ignore_ascii_case(args.text(0)));
        let register = named.ok_or_else(unknown)?;
        let value = context.scope()?.read_register(register).await?;
        context.reply.integer(value);
        Ok(())
    })
}

fn control(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let controller = context.scope()?.controller();
    let text = controller.map_or_else(String::new, |address| address.to_string());
    context.reply.string(&text);
    Ok(())
}

fn release(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.scope()?.release();
    Ok(())
}
