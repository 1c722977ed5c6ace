//! IEEE 488.2 common commands (scpi.md 6).

use super::{Handler, Row, Waiting, system_row};
use crate::base::health::State;
use crate::base::jobs::Job;
use crate::scpi::{Args, Error, Kind, Param, Range};
use crate::server::context::Context;

const BYTE: Kind = Kind::Integer {
    range: Range::Plain(0.0, 255.0),
    unit: None,
};

pub(super) const ROWS: &[Row] = &[
    system_row(
        "*IDN?",
        &[],
        "identity: maker,model,serial,version",
        Handler::Now(identity),
    ),
    system_row(
        "*RST",
        &[],
        "settings of all instruments to their start values, captures aborted",
        Handler::Later(reset),
    ),
    system_row(
        "*CLS",
        &[],
        "clear error queue and event registers",
        Handler::Now(clear),
    ),
    system_row(
        "*ESE",
        &[Param::new("mask", BYTE)],
        "enable bits of the standard event register",
        Handler::Now(set_ese),
    ),
    system_row("*ESE?", &[], "the enabled bits", Handler::Now(ese)),
    system_row(
        "*ESR?",
        &[],
        "standard event register, cleared by reading",
        Handler::Now(esr),
    ),
    system_row(
        "*SRE",
        &[Param::new("mask", BYTE)],
        "enable bits of the status byte; bit 6 is ignored",
        Handler::Now(set_sre),
    ),
    system_row("*SRE?", &[], "the enabled bits", Handler::Now(sre)),
    system_row("*STB?", &[], "status byte", Handler::Now(stb)),
    system_row(
        "*OPC",
        &[],
        "set bit 0 of the event register when this connection's operations have ended",
        Handler::Now(opc),
    ),
    system_row(
        "*OPC?",
        &[],
        "answer 1 when this connection's operations have ended",
        Handler::Later(opc_query),
    ),
    system_row(
        "*WAI",
        &[],
        "hold later commands until this connection's operations have ended",
        Handler::Later(wait),
    ),
    system_row(
        "*TST?",
        &[],
        "self-test: 0 is passed, else the number of parts that have failed",
        Handler::Now(self_test),
    ),
    system_row(
        "*OPT?",
        &[],
        "fitted instruments, 0 for none",
        Handler::Now(options),
    ),
];

fn identity(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let identity = &context.services.identity;
    for field in [
        &identity.maker,
        &identity.model,
        &identity.serial,
        &identity.version,
    ] {
        context.reply.word(field);
    }
    Ok(())
}

fn reset<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let services = context.services.clone();
        services.jobs.abort_all();
        cancel_completion(context);
        if let Some(camera) = &services.camera {
            camera.reset();
        }
        for job in services.jobs.unfinished() {
            job.over().await;
        }
        if let Some(particles) = &services.particles {
            particles.reset();
        }
        match &services.thermal {
            Some(thermal) => Ok(thermal.reset().await?),
            None => Ok(()),
        }
    })
}

fn clear(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    cancel_completion(context);
    context.session.status.borrow_mut().clear();
    Ok(())
}

fn set_ese(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    context.session.status.borrow_mut().ese = args.integer(0) as u8;
    Ok(())
}

fn ese(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.reply.integer(context.session.status.borrow().ese);
    Ok(())
}

fn esr(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context
        .reply
        .integer(context.session.status.borrow_mut().take_esr());
    Ok(())
}

fn set_sre(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    context
        .session
        .status
        .borrow_mut()
        .set_sre(args.integer(0) as u8);
    Ok(())
}

fn sre(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.reply.integer(context.session.status.borrow().sre());
    Ok(())
}

fn stb(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let message_available = context.output_waits || context.reply.answered();
    let stb = context.session.status.borrow().stb(message_available);
    context.reply.integer(stb);
    Ok(())
}

fn opc(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let session = context.session.clone();
    session.status.borrow_mut().request_operation_complete();
    let jobs = session.pending_jobs();
    if jobs.is_empty() {
        session.status.borrow_mut().operations_ended();
        return Ok(());
    }
    let weak = std::rc::Rc::downgrade(&session);
    let watch = async move {
        all_over(&jobs).await;
        if let Some(session) = weak.upgrade() {
            session.status.borrow_mut().operations_ended();
        }
    };
    // One watcher a connection, however often it asks: the newest sees all operations of the older ones.
    let watcher = context.services.executor.spawn(watch);
    session.completion.replace(Some(watcher));
    Ok(())
}

fn opc_query<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        all_over(&context.session.pending_jobs()).await;
        context.reply.integer(1);
        Ok(())
    })
}

fn wait<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        all_over(&context.session.pending_jobs()).await;
        Ok(())
    })
}

fn self_test(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let reports = context.services.health.reports(None);
    let failed = reports
        .iter()
        .filter(|report| matches!(report.state, State::Failed { .. }))
        .count();
    context.reply.integer(failed as u64);
    Ok(())
}

fn options(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    if context.services.options.is_empty() {
        context.reply.integer(0);
    }
    for option in &context.services.options {
        context.reply.word(option);
    }
    Ok(())
}

/// A `*OPC` that waits is forgotten.
fn cancel_completion(context: &Context) {
    context.session.completion.replace(None);
}

async fn all_over(jobs: &[Job]) {
    for job in jobs {
        job.over().await;
    }
}
