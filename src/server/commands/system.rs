//! `SYSTem` and `SIMulate` subtrees: errors, help, health, jobs, traces, time, simulated faults.

use jiff::Timestamp;

use super::{Handler, Row, system_row};
use crate::base::jobs::{Job, JobState};
use crate::scpi::{Args, Error, Kind, Need, Param, Range, help};
use crate::server::context::Context;

/// Parts of the station as `SYSTem:HEALth?` names them; the station registers these and no others.
pub(crate) const PARTS: &[&str] = &[
    "camera",
    "tcam",
    "opc",
    "msp1000",
    "bitscope",
    "tinycloud",
    "server",
    "store",
    "readings",
    "discovery",
    "board",
];
const PART: Kind = Kind::Choice(PARTS);
const JOB: &[Param] = &[Param::new(
    "id",
    Kind::Integer {
        range: Range::Plain(1.0, 4294967295.0),
        unit: None,
    },
)];
const FAULT: &[Param] = &[
    Param::new("instrument", PART),
    Param::new("fault", Kind::Name { max: 40 }),
    Param::optional(
        "n",
        Kind::Integer {
            range: Range::Plain(0.0, 1e9),
            unit: None,
        },
    ),
];

pub(super) const ROWS: &[Row] = &[
    system_row(
        "SYSTem:ERRor[:NEXT]?",
        &[],
        "oldest entry of this connection's error queue",
        Handler::Now(error_next),
    ),
    system_row(
        "SYSTem:ERRor:COUNt?",
        &[],
        "entries in the error queue",
        Handler::Now(error_count),
    ),
    system_row(
        "SYSTem:ERRor:ALL?",
        &[],
        "all entries; the queue is emptied",
        Handler::Now(error_all),
    ),
    system_row(
        "SYSTem:VERSion?",
        &[],
        "SCPI version",
        Handler::Now(version),
    ),
    system_row(
        "SYSTem:HELP:HEADers?",
        &[],
        "all headers, one a line, as a block",
        Handler::Now(headers),
    ),
    system_row(
        "SYSTem:HELP:SYNTax?",
        &[Param::new("header", Kind::Text { max: 200 })],
        "parameters of a header",
        Handler::Now(syntax),
    ),
    system_row(
        "SYSTem:BOARd?",
        &[],
        "board and its wiring, as JSON",
        Handler::Now(board),
    ),
    system_row(
        "SYSTem:HEALth?",
        &[Param::optional("part", PART)],
        "health of every part or of one, as JSON",
        Handler::Now(health),
    ),
    system_row(
        "SYSTem:TIME",
        &[Param::new("utc", Kind::Text { max: 40 })],
        "set the clock, ISO 8601; not on the simulated board",
        Handler::Now(set_time),
    ),
    system_row(
        "SYSTem:TIME?",
        &[],
        "the station's time, ISO 8601 UTC",
        Handler::Now(time),
    ),
    system_row(
        "SYSTem:ECHO?",
        &[Param::new("text", Kind::Text { max: 16384 })],
        "the text again",
        Handler::Now(echo),
    ),
    system_row(
        "SYSTem:TRACe?",
        &[Param::new("instrument", PART)],
        "last exchanges with an instrument, as JSON",
        Handler::Now(trace),
    ),
    system_row(
        "SYSTem:TRACe:STATe",
        &[Param::new("state", Kind::Bool)],
        "record exchanges",
        Handler::Now(set_trace),
    ),
    system_row(
        "SYSTem:TRACe:STATe?",
        &[],
        "whether exchanges are recorded",
        Handler::Now(trace_state),
    ),
    system_row(
        "SYSTem:JOB:LIST?",
        &[],
        "long operations, as JSON",
        Handler::Now(job_list),
    ),
    system_row(
        "SYSTem:JOB:LAST?",
        &[],
        "id of the last operation this connection started, 0 for none",
        Handler::Now(job_last),
    ),
    system_row(
        "SYSTem:JOB:STATe?",
        JOB,
        "id,name,state,percent,seconds to go",
        Handler::Now(job_state),
    ),
    system_row(
        "SYSTem:JOB:ABORt",
        JOB,
        "end an operation",
        Handler::Now(job_abort),
    ),
    system_row(
        "SIMulate:FAULt",
        FAULT,
        "give a simulated device a fault",
        Handler::Now(fault),
    ),
    system_row(
        "SIMulate:CLEar",
        &[],
        "end all simulated faults",
        Handler::Now(clear_faults),
    ),
];

fn error_next(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let error = context.session.status.borrow_mut().errors.pop();
    context.reply.error(&error);
    Ok(())
}

fn error_count(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context
        .reply
        .integer(context.session.status.borrow().errors.len() as u64);
    Ok(())
}

fn error_all(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let session = context.session.clone();
    let errors = &mut session.status.borrow_mut().errors;
    loop {
        context.reply.error(&errors.pop());
        if errors.is_empty() {
            return Ok(());
        }
    }
}

fn version(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.reply.word("1999.0");
    Ok(())
}

fn headers(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let list = help::headers(context.services.tree.commands());
    context.reply.block(list.as_bytes());
    Ok(())
}

fn syntax(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    // SYSTem:HELP:HEADers? lists nodes that may be left out in brackets; such a line is as good a name.
    let header = args.text(0).replace(['[', ']'], "");
    let (command, query) = context.services.tree.forms(&header);
    let lines: Vec<String> = [command, query]
        .iter()
        .flatten()
        .map(|row| format!("{}: {}", help::syntax(row), row.help))
        .collect();
    if lines.is_empty() {
        return Err(Error::new(-113).with(args.text(0)));
    }
    context.reply.string(&lines.join("; "));
    Ok(())
}

fn board(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.reply.block(context.services.board.as_bytes());
    Ok(())
}

fn health(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    match args.optional_choice(0).map(|part| PARTS[part]) {
        None => context.json(&context.services.health.reports(None)),
        Some(part) => match context.services.health.reports(Some(part)).first() {
            Some(report) => context.json(report),
            None => Err(Error::new(-241).with(part)),
        },
    }
}

fn set_time(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let utc: Timestamp = args.text(0).parse().map_err(|_| {
        Error::new(-224).with("ISO 8601 with zone is wanted, such as 2026-11-20T08:00:00Z")
    })?;
    if !context.services.clock_settable {
        return Err(Error::new(-203).with("the simulated board does not set this machine's clock"));
    }
    let time = rustix::time::Timespec {
        tv_sec: utc.as_second(),
        tv_nsec: utc.subsec_nanosecond().into(),
    };
    rustix::time::clock_settime(rustix::time::ClockId::Realtime, time)
        .map_err(|errno| Error::new(-203).with(format!("the clock cannot be set: {errno}")))
}

fn time(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context
        .reply
        .string(&format!("{:.3}", context.services.clock.utc()));
    Ok(())
}

fn echo(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    context.reply.string(args.text(0));
    Ok(())
}

fn trace(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let name = PARTS[args.choice(0)];
    let services = context.services.clone();
    let found = services.traces.iter().find(|(part, _)| *part == name);
    let (_, trace) = found.ok_or_else(|| Error::new(-241).with(format!("{name} has no trace")))?;
    context.json(&trace.entries())
}

fn set_trace(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    context
        .services
        .traces
        .iter()
        .for_each(|(_, trace)| trace.switch(args.bool(0)));
    Ok(())
}

fn trace_state(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let on = context
        .services
        .traces
        .iter()
        .any(|(_, trace)| trace.is_on());
    context.reply.boolean(on);
    Ok(())
}

fn job_list(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.json(&context.services.jobs.reports())
}

fn job_last(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.reply.integer(context.session.last_job.get());
    Ok(())
}

fn job_state(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let job = find_job(context, args)?;
    let word: String = job
        .state()
        .word()
        .chars()
        .filter(|c| !c.is_ascii_lowercase())
        .collect();
    let eta_s = job
        .eta()
        .map_or(f64::NAN, |eta| (eta.as_secs_f64() * 10.0).round() / 10.0);
    context
        .reply
        .integer(job.id())
        .string(job.name())
        .word(&word)
        .real(job.percent())
        .real(eta_s);
    Ok(())
}

fn job_abort(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    find_job(context, args)?.abort();
    Ok(())
}

fn find_job(context: &Context, args: &Args<'_>) -> Result<Job, Error> {
    let id = args.integer(0) as u32;
    context
        .services
        .jobs
        .get(id)
        .ok_or_else(|| Error::new(-224).with(format!("there is no job {id}")))
}

fn fault(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let (part, name) = (PARTS[args.choice(0)], args.text(1));
    let n = args.optional_integer(2).map(|n| n as u64);
    let simulated = context.services.faults.iter().find(|(p, _)| *p == part);
    let (_, faults) =
        simulated.ok_or_else(|| Error::new(-241).with(format!("{part} is not simulated here")))?;
    (faults.set)(name, n).map_err(|error| Error::new(-224).with(error))
}

fn clear_faults(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    if context.services.faults.is_empty() {
        return Err(Error::new(-241).with("nothing is simulated here"));
    }
    for (_, faults) in &context.services.faults {
        (faults.clear)();
    }
    Ok(())
}

/// Enters an operation that a command started: `*OPC` follows it, and a failure reaches the connection's queue.
pub(super) fn adopt(context: &Context, job: &Job) {
    context.session.add_job(job.clone());
    let session = std::rc::Rc::downgrade(&context.session);
    job.at_end(move |state| {
        if let JobState::Failed(failure) = state
            && let Some(session) = session.upgrade()
        {
            session.status.borrow_mut().error(failure.clone().into());
        }
    });
}

/// Names of several words, in any number: a list parameter of words.
pub(super) const fn words(name: &'static str, of: &'static [&'static str]) -> Param {
    Param::list(name, Kind::Choice(of), Need::Between(1, of.len()))
}
