//! Settings: exposure and calibration of the instrument, averaging and smoothing of the connection, and control.

use super::super::{Handler, Row, Waiting};
use super::{spectrometer_row, whole};
use crate::msp1000::proto::smoothing::{MAX_ORDER, MAX_WINDOW};
use crate::msp1000::proto::{Calibration, Smoothing};
use crate::scpi::{Args, Error, Kind, Limit, Param, Range, Unit};
use crate::server::context::Context;

/// Milliseconds; what the instrument takes is not documented.
const EXPOSURE: (f64, f64, f64) = (1.0, 60_000.0, 2.0);
/// Frames.
pub(super) const AVERAGE: (f64, f64, f64) = (1.0, 10_000.0, 1.0);
const COEFFICIENT: Kind = Kind::Real {
    range: Range::Plain(-1e9, 1e9),
    unit: None,
};

const fn fixed((min, max, default): (f64, f64, f64), unit: Option<Unit>) -> Kind {
    Kind::Integer {
        range: Range::Fixed { min, max, default },
        unit,
    }
}

pub(super) const ROWS: &[Row] = &[
    spectrometer_row(
        "SPECtrometer:EXPosure",
        &[Param::new("ms", fixed(EXPOSURE, Some(Unit::MILLISECOND)))],
        "exposure; for the client in control alone",
        Handler::Later(set_exposure),
    ),
    spectrometer_row(
        "SPECtrometer:EXPosure?",
        &[Param::optional("limit", Kind::MinMaxDef)],
        "exposure in milliseconds",
        Handler::Later(exposure),
    ),
    spectrometer_row(
        "SPECtrometer:CALibration",
        &[
            Param::new("c1", COEFFICIENT),
            Param::new("c2", COEFFICIENT),
            Param::new("c3", COEFFICIENT),
            Param::new("c4", COEFFICIENT),
        ],
        "wavelength in nm of pixel i: c4 + c3 i + c2 i^2 + c1 i^3; for the client in control alone",
        Handler::Later(set_calibration),
    ),
    spectrometer_row(
        "SPECtrometer:CALibration?",
        &[],
        "c1,c2,c3,c4",
        Handler::Later(calibration),
    ),
    spectrometer_row(
        "SPECtrometer:AVERage",
        &[Param::new("frames", fixed(AVERAGE, None))],
        "frames of which this connection's spectra are the mean",
        Handler::Now(set_average),
    ),
    spectrometer_row(
        "SPECtrometer:AVERage?",
        &[Param::optional("limit", Kind::MinMaxDef)],
        "frames of a mean",
        Handler::Now(average),
    ),
    spectrometer_row(
        "SPECtrometer:SMOoth",
        &[
            Param::new("how", Kind::Choice(&["OFF", "BOXCar", "SGOLay"])),
            Param::optional("pixels", whole(1.0, MAX_WINDOW as f64)),
            Param::optional("order", whole(0.0, MAX_ORDER as f64)),
        ],
        "smooth this connection's spectra: moving mean of an odd number of pixels, or Savitzky-Golay (11,3 unless given)",
        Handler::Now(set_smoothing),
    ),
    spectrometer_row(
        "SPECtrometer:SMOoth?",
        &[],
        "OFF, BOXC,pixels or SGOL,pixels,order",
        Handler::Now(smoothing),
    ),
    spectrometer_row(
        "SPECtrometer:CONTrol?",
        &[],
        "whether this connection has control, who has, since when",
        Handler::Now(control),
    ),
    spectrometer_row(
        "SPECtrometer:CONTrol:TAKE",
        &[],
        "take control from whoever has it",
        Handler::Now(take_control),
    ),
    spectrometer_row(
        "SPECtrometer:CONTrol:RELease",
        &[],
        "let go of control: the next client that sets something has it",
        Handler::Now(release_control),
    ),
];

fn set_exposure<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let client = context.spectrometer_client()?;
        Ok(client.set_exposure(args.integer(0) as u32).await?)
    })
}

fn exposure<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let ms = match args.optional_limit(0) {
            Some(limit) => at(EXPOSURE, limit),
            None => context.spectrometer()?.exposure_ms().await?,
        };
        context.reply.integer(ms);
        Ok(())
    })
}

fn set_calibration<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let client = context.spectrometer_client()?;
        let coefficients = [0, 1, 2, 3].map(|index| args.real(index));
        let calibration = Calibration::new(coefficients);
        let calibration = calibration.ok_or_else(|| Error::new(-222).with("not finite"))?;
        Ok(client.set_calibration(calibration).await?)
    })
}

fn calibration<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let calibration = context.spectrometer()?.calibration().await?;
        for coefficient in calibration.coefficients() {
            context.reply.real(coefficient);
        }
        Ok(())
    })
}

fn set_average(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let frames = args.integer(0) as u32;
    context.bench(|bench| bench.average = frames)
}

fn average(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let frames = match args.optional_limit(0) {
        Some(limit) => at(AVERAGE, limit),
        None => context.bench(|bench| bench.average)?,
    };
    context.reply.integer(frames);
    Ok(())
}

fn set_smoothing(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let number = |index| args.optional_integer(index).map(|number| number as usize);
    let smoothing = match (args.choice(0), number(1), number(2)) {
        (0, None, None) => Smoothing::Off,
        (1, Some(width), None) => Smoothing::MovingMean { width },
        (1, None, _) => return Err(Error::new(-109).with("SPEC:SMO BOXC,pixels")),
        (2, None, _) => Smoothing::SAVITZKY_GOLAY,
        (2, Some(window), order) => Smoothing::SavitzkyGolay {
            window,
            order: order.unwrap_or(3),
        },
        _ => return Err(Error::new(-108).with("SPEC:SMO OFF, BOXC,pixels or SGOL,pixels,order")),
    };
    let refused =
        |error: crate::msp1000::proto::SmoothingError| Error::new(-224).with(error.to_string());
    smoothing.check().map_err(refused)?;
    context.bench(|bench| bench.smoothing = smoothing)
}

fn smoothing(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let smoothing = context.bench(|bench| bench.smoothing)?;
    context.reply.word(&words(smoothing));
    Ok(())
}

/// As the query answers.
pub(super) fn words(smoothing: Smoothing) -> String {
    match smoothing {
        Smoothing::Off => "OFF".into(),
        Smoothing::MovingMean { width } => format!("BOXC,{width}"),
        Smoothing::SavitzkyGolay { window, order } => format!("SGOL,{window},{order}"),
    }
}

fn control(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let holder = context.spectrometer()?.holder();
    let session = context.session.clone();
    let bench = session.spectrometer.borrow();
    let own = bench
        .as_ref()
        .is_some_and(|bench| bench.client.has_control());
    let name = holder.as_ref().map_or("", |holder| &holder.name);
    let since = holder.as_ref().map(|holder| holder.since.to_string());
    context.reply.boolean(own).string(name);
    context.reply.string(since.as_deref().unwrap_or(""));
    Ok(())
}

fn take_control(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.spectrometer_client()?.take_control();
    Ok(())
}

fn release_control(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    context.spectrometer_client()?.release_control();
    Ok(())
}

fn at((min, max, default): (f64, f64, f64), limit: Limit) -> u32 {
    (match limit {
        Limit::Min => min,
        Limit::Max => max,
        Limit::Default => default,
    }) as u32
}
