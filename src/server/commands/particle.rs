//! `PARTicle` subtree: the OPC-N3 particle counter and the log of its readings.

use std::rc::Rc;
use std::time::Duration;

use super::{Handler, Row, Waiting, row};
use crate::opcn3::proto::SizeDistribution;
use crate::opcn3::{
    LONGEST_INTERVAL, Particles, SHORTEST_INTERVAL, Sample, SampleReport, Settings,
};
use crate::scpi::{Args, Error, Kind, Param, Range, Unit};
use crate::server::context::Context;
use crate::store::readings::StoredReading;

const fn particle_row(
    header: &'static str,
    params: &'static [Param],
    help: &'static str,
    handler: Handler,
) -> Row {
    row("opc", header, params, help, handler)
}

const SWITCH: &[Param] = &[Param::new("state", Kind::Bool)];
/// Rows of one answer, at most: 350 KB.
const RECENT_MAX: f64 = 500.0;
const RECENT: u32 = 10;
const INTERVAL: Kind = Kind::Real {
    range: Range::Fixed {
        min: SHORTEST_INTERVAL.as_secs() as f64,
        max: LONGEST_INTERVAL.as_secs() as f64,
        default: 10.0,
    },
    unit: Some(Unit::SECOND),
};

pub(super) const ROWS: &[Row] = &[
    particle_row(
        "PARTicle:STATe",
        SWITCH,
        "fan and laser on or off; starting takes about 10 s",
        Handler::Now(set_state),
    ),
    particle_row(
        "PARTicle:STATe?",
        &[],
        "whether fan and laser are to be on",
        Handler::Now(state),
    ),
    particle_row(
        "PARTicle:READing?",
        &[],
        "a new reading of what was counted since the last one, at least 1 s: degrees Celsius, relative humidity in \
         percent, PM1, PM2.5, PM10 in ug/m3, particles per cm3, period in s, flow in ml/s, laser status",
        Handler::Later(reading),
    ),
    particle_row(
        "PARTicle:HISTogram?",
        &[Param::optional(
            "of",
            Kind::Choice(&["COUNts", "CONCentration", "DISTribution"]),
        )],
        "the 24 bins of a new reading: counts, particles per cm3, or dN/dlogD per cm3",
        Handler::Later(histogram),
    ),
    particle_row(
        "PARTicle:PM?",
        &[],
        "PM1, PM2.5, PM10 of a new reading in ug/m3",
        Handler::Later(pm),
    ),
    particle_row(
        "PARTicle:INFO?",
        &[],
        "what counter and bridge say of themselves, phase, settings and last reading, as JSON",
        Handler::Now(info),
    ),
    particle_row(
        "PARTicle:CONFiguration?",
        &[],
        "the counter's own configuration: bin edges, weightings, PM diameters, as JSON",
        Handler::Now(configuration),
    ),
    particle_row(
        "PARTicle:LOG:STATe",
        SWITCH,
        "whether readings go to the database",
        Handler::Now(set_logging),
    ),
    particle_row(
        "PARTicle:LOG:STATe?",
        &[],
        "whether they do",
        Handler::Now(logging),
    ),
    particle_row(
        "PARTicle:LOG:INTerval",
        &[Param::new("interval", INTERVAL)],
        "time between rows in the database; the counter is read at least every 10 s and the readings added up",
        Handler::Now(set_interval),
    ),
    particle_row(
        "PARTicle:LOG:INTerval?",
        &[Param::optional("limit", Kind::MinMaxDef)],
        "that time in s, or its limits",
        Handler::Now(interval),
    ),
    particle_row(
        "PARTicle:LOG:RECent?",
        &[Param::optional(
            "n",
            Kind::Integer {
                range: Range::Plain(1.0, RECENT_MAX),
                unit: None,
            },
        )],
        "the newest n rows of the database (10 without n), newest first, as JSON",
        Handler::Later(recent),
    ),
];

impl Context {
    /// The particle counter, or -241.
    fn particles(&self) -> Result<Particles, Error> {
        let particles = self.services.particles.clone();
        particles.ok_or_else(|| Error::new(-241).with("the particle counter is disabled"))
    }
}

fn set_state(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let counting = args.bool(0);
    change(context, |settings| settings.counting = counting)
}

fn state(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let settings = context.particles()?.settings();
    context.reply.boolean(settings.counting);
    Ok(())
}

fn reading<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let report = SampleReport::of(&*new_sample(context).await?);
        let reply = &mut context.reply;
        reply.real(report.temperature_celsius);
        reply.real(report.humidity_percent);
        for pm in report.pm_ug_m3 {
            reply.real32(pm.unwrap_or(f32::NAN));
        }
        reply.real32(report.concentration_per_cm3.unwrap_or(f32::NAN));
        reply.real(report.period_s);
        reply.real(report.flow_ml_s);
        reply.integer(report.laser_status);
        Ok(())
    })
}

fn histogram<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let sample = new_sample(context).await?;
        let distribution = SizeDistribution::from(&sample.histogram);
        let bins = match args.optional_choice(0).unwrap_or(0) {
            0 => {
                for count in sample.histogram.counts {
                    context.reply.integer(count);
                }
                return Ok(());
            }
            1 => distribution.number_concentrations(),
            _ => distribution.dn_dlogd(&context.particles()?.bin_edges()),
        };
        // Nothing flowed: no concentration is known.
        for bin in bins.unwrap_or([f64::NAN; 24]) {
            context.reply.real32(bin as f32);
        }
        Ok(())
    })
}

fn pm<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let sample = new_sample(context).await?;
        for pm in sample.histogram.finite_pm() {
            context.reply.real32(pm.unwrap_or(f32::NAN));
        }
        Ok(())
    })
}

async fn new_sample(context: &Context) -> Result<Rc<Sample>, Error> {
    Ok(context.particles()?.read().await?)
}

fn info(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let report = context.particles()?.info();
    context.json(&report)
}

fn configuration(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let report = context.particles()?.configuration()?;
    context.json(&report)
}

fn set_logging(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let logging = args.bool(0);
    change(context, |settings| settings.logging = logging)
}

fn logging(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let settings = context.particles()?.settings();
    context.reply.boolean(settings.logging);
    Ok(())
}

fn set_interval(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let interval = Duration::from_secs_f64(args.real(0));
    change(context, |settings| settings.interval = interval)
}

fn interval(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let Kind::Real {
        range: Range::Fixed { min, max, default },
        ..
    } = INTERVAL
    else {
        return Err(Error::new(-310));
    };
    let present = context.particles()?.settings().interval.as_secs_f64();
    context.reply.real(match args.optional_limit(0) {
        None => present,
        Some(crate::scpi::Limit::Min) => min,
        Some(crate::scpi::Limit::Max) => max,
        Some(crate::scpi::Limit::Default) => default,
    });
    Ok(())
}

fn change(context: &mut Context, change: impl FnOnce(&mut Settings)) -> Result<(), Error> {
    let particles = context.particles()?;
    let mut settings = particles.settings();
    change(&mut settings);
    particles.set(settings);
    Ok(())
}

fn recent<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let absent = || Error::new(-241).with("neither particle counter nor cloud is enabled");
        let store = context.services.readings.clone().ok_or_else(absent)?;
        let n = args.optional_integer(0).and_then(|n| u32::try_from(n).ok());
        let rows = store.recent(n.unwrap_or(RECENT)).await?;
        let rows: Vec<_> = rows.iter().map(StoredReading::named).collect();
        context.json(&rows)
    })
}
