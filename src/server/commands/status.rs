//! `STATus` subtree (scpi.md 7 and 8).

use super::{Handler, Row, system_row};
use crate::base::conditions::Register;
use crate::scpi::status::EventRegister;
use crate::scpi::{Args, Error, Kind, Param, Range};
use crate::server::context::Context;

const OPER: Register = Register::Operation;
const QUES: Register = Register::Questionable;
const MASK: &[Param] = &[Param::new(
    "mask",
    Kind::Integer {
        range: Range::Plain(0.0, 32767.0),
        unit: None,
    },
)];

pub(super) const ROWS: &[Row] = &[
    system_row(
        "STATus:OPERation[:EVENt]?",
        &[],
        "operation events, cleared by reading",
        Handler::Now(|c, _| event(c, OPER)),
    ),
    system_row(
        "STATus:OPERation:CONDition?",
        &[],
        "present operation state",
        Handler::Now(|c, _| condition(c, OPER)),
    ),
    system_row(
        "STATus:OPERation:ENABle",
        MASK,
        "operation events that reach the status byte",
        Handler::Now(|c, a| set(c, OPER, a, |r| &mut r.enable)),
    ),
    system_row(
        "STATus:OPERation:ENABle?",
        &[],
        "the enabled operation events",
        Handler::Now(|c, _| get(c, OPER, |r| r.enable)),
    ),
    system_row(
        "STATus:OPERation:PTRansition",
        MASK,
        "operation bits whose rise is an event",
        Handler::Now(|c, a| set(c, OPER, a, |r| &mut r.positive)),
    ),
    system_row(
        "STATus:OPERation:PTRansition?",
        &[],
        "operation bits whose rise is an event",
        Handler::Now(|c, _| get(c, OPER, |r| r.positive)),
    ),
    system_row(
        "STATus:OPERation:NTRansition",
        MASK,
        "operation bits whose fall is an event",
        Handler::Now(|c, a| set(c, OPER, a, |r| &mut r.negative)),
    ),
    system_row(
        "STATus:OPERation:NTRansition?",
        &[],
        "operation bits whose fall is an event",
        Handler::Now(|c, _| get(c, OPER, |r| r.negative)),
    ),
    system_row(
        "STATus:QUEStionable[:EVENt]?",
        &[],
        "questionable events, cleared by reading",
        Handler::Now(|c, _| event(c, QUES)),
    ),
    system_row(
        "STATus:QUEStionable:CONDition?",
        &[],
        "present questionable state",
        Handler::Now(|c, _| condition(c, QUES)),
    ),
    system_row(
        "STATus:QUEStionable:ENABle",
        MASK,
        "questionable events that reach the status byte",
        Handler::Now(|c, a| set(c, QUES, a, |r| &mut r.enable)),
    ),
    system_row(
        "STATus:QUEStionable:ENABle?",
        &[],
        "the enabled questionable events",
        Handler::Now(|c, _| get(c, QUES, |r| r.enable)),
    ),
    system_row(
        "STATus:QUEStionable:PTRansition",
        MASK,
        "questionable bits whose rise is an event",
        Handler::Now(|c, a| set(c, QUES, a, |r| &mut r.positive)),
    ),
    system_row(
        "STATus:QUEStionable:PTRansition?",
        &[],
        "questionable bits whose rise is an event",
        Handler::Now(|c, _| get(c, QUES, |r| r.positive)),
    ),
    system_row(
        "STATus:QUEStionable:NTRansition",
        MASK,
        "questionable bits whose fall is an event",
        Handler::Now(|c, a| set(c, QUES, a, |r| &mut r.negative)),
    ),
    system_row(
        "STATus:QUEStionable:NTRansition?",
        &[],
        "questionable bits whose fall is an event",
        Handler::Now(|c, _| get(c, QUES, |r| r.negative)),
    ),
    system_row(
        "STATus:PRESet",
        &[],
        "enables to 0, rises are events, falls are not",
        Handler::Now(preset),
    ),
];

fn preset(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.session.status.borrow_mut().preset();
    Ok(())
}

fn with<T>(context: &Context, of: Register, run: impl FnOnce(&mut EventRegister) -> T) -> T {
    let mut status = context.session.status.borrow_mut();
    run(match of {
        Register::Operation => &mut status.oper,
        Register::Questionable => &mut status.ques,
    })
}

fn event(context: &mut Context, of: Register) -> Result<(), Error> {
    let event = with(context, of, EventRegister::take_event);
    context.reply.integer(event);
    Ok(())
}

fn condition(context: &mut Context, of: Register) -> Result<(), Error> {
    context
        .reply
        .integer(context.services.conditions.register(of));
    Ok(())
}

fn set(
    context: &mut Context,
    of: Register,
    args: &Args<'_>,
    field: fn(&mut EventRegister) -> &mut u16,
) -> Result<(), Error> {
    with(context, of, |register| {
        *field(register) = args.integer(0) as u16
    });
    Ok(())
}

fn get(context: &mut Context, of: Register, field: fn(&EventRegister) -> u16) -> Result<(), Error> {
    let value = with(context, of, |register| field(register));
    context.reply.integer(value);
    Ok(())
}
