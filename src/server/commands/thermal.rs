//! `THERmal` subtree: the tCam-Mini thermal camera.

mod network;
mod record;
mod setting;
mod telemetry;

use std::time::Duration;

use super::system::adopt;
use super::{Handler, Row, Waiting, row};
use crate::base::conditions::Condition;
use crate::base::error::{Failure, Kind as FailureKind};
use crate::base::jobs::Job;
use crate::scpi::{Args, Error, Kind, Param, Range, Unit};
use crate::server::context::Context;
use crate::tcam::proto::{COLUMNS, Command, PIXELS, ROWS as FRAME_ROWS};
use crate::tcam::{Image, Interest, Subscription, TcamError, Thermal, picture};

const fn thermal_row(
    header: &'static str,
    params: &'static [Param],
    help: &'static str,
    handler: Handler,
) -> Row {
    row("tcam", header, params, help, handler)
}

const fn integer(max: f64) -> Kind {
    Kind::Integer {
        range: Range::Plain(0.0, max),
        unit: None,
    }
}

const COLUMN: Kind = integer((COLUMNS - 1) as f64);
const LINE: Kind = integer((FRAME_ROWS - 1) as f64);
const FORMAT: &[Param] = &[Param::new(
    "format",
    Kind::Choice(&["JSON", "RAW", "CELSius", "PNG"]),
)];
/// At most a day between images.
const INTERVAL: Kind = Kind::Real {
    range: Range::Plain(0.0, 86_400.0),
    unit: Some(Unit::SECOND),
};
const FRAMES_MAX: f64 = 1e6;

/// Rows of this subtree that measure; settings and network are in files of their own.
const MEASURING: &[Row] = &[
    thermal_row(
        "THERmal:STATus?",
        &[],
        "link, settings, stream and last image, as JSON",
        Handler::Now(status),
    ),
    thermal_row(
        "THERmal:IMAGe?",
        FORMAT,
        "a new image as a block: JSON as received; RAW little-endian u16, CELSius little-endian f32, both 120 rows x \
         160 columns; PNG for people",
        Handler::Later(image),
    ),
    thermal_row(
        "THERmal:TEMPerature?",
        &[
            Param::new(
                "of",
                Kind::Choice(&["SPOT", "MINimum", "MAXimum", "MEAN", "PIXel"]),
            ),
            Param::optional("x", COLUMN),
            Param::optional("y", LINE),
        ],
        "degrees Celsius of a new image: mean of the spot, extremes or mean of the frame, or the pixel in column x, row y",
        Handler::Later(temperature),
    ),
    thermal_row(
        "THERmal:TELemetry?",
        &[],
        "telemetry of a new image, as JSON",
        Handler::Later(telemetry),
    ),
    thermal_row(
        "THERmal:STReam",
        &[
            Param::new("state", Kind::Bool),
            Param::optional("interval", INTERVAL),
            Param::optional("images", integer(FRAMES_MAX)),
        ],
        "start or end this connection's stream: seconds between images, 0 for all; number of images, 0 for endless",
        Handler::Now(set_stream),
    ),
    thermal_row(
        "THERmal:STReam?",
        &[],
        "whether this connection has a stream",
        Handler::Now(has_stream),
    ),
    thermal_row(
        "THERmal:STReam:IMAGe?",
        FORMAT,
        "the next image of the stream, waiting for it, as THERmal:IMAGe? has it",
        Handler::Later(next_image),
    ),
    thermal_row(
        "THERmal:STReam:COUNt?",
        &[],
        "images of the stream that wait, and images lost because they were not fetched in time",
        Handler::Now(count),
    ),
    thermal_row(
        "THERmal:FFC",
        &[],
        "flat-field correction, about a second without images; an overlapped operation",
        Handler::Now(correct),
    ),
    thermal_row(
        "THERmal:RECord",
        &[
            Param::new("name", Kind::Text { max: 255 }),
            Param::new(
                "images",
                Kind::Integer {
                    range: Range::Plain(1.0, FRAMES_MAX),
                    unit: None,
                },
            ),
            Param::optional("interval", INTERVAL),
        ],
        "record images, interval seconds apart, to name.tmjsn in the image folder; an overlapped operation",
        Handler::Later(record::record),
    ),
    thermal_row(
        "THERmal:COMMand?",
        &[Param::new("json", Kind::Text { max: 16384 })],
        "a command of the camera's own protocol; its answer as JSON",
        Handler::Later(command),
    ),
];

pub(super) const TABLES: [&[Row]; 3] = [MEASURING, setting::ROWS, network::ROWS];

impl Context {
    /// The thermal camera, or -241.
    fn thermal(&self) -> Result<Thermal, Error> {
        let thermal = self.services.thermal.clone();
        thermal.ok_or_else(|| Error::new(-241).with("the thermal camera is disabled"))
    }
}

/// A stream of images that a connection has open.
pub(in crate::server) struct ImageStream {
    images: Subscription,
    /// How long the next image may take.
    patience: Duration,
}

/// Beyond the time between images: a flat-field correction takes one second.
const IMAGE_PATIENCE: Duration = Duration::from_secs(5);

fn status(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let report = context.thermal()?.report();
    context.json(&report)
}

fn image<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let image = context.thermal()?.image().await?;
        answer_image(context, args.choice(0), &image).await
    })
}

async fn answer_image(context: &mut Context, format: usize, image: &Image) -> Result<(), Error> {
    match format {
        0 => context.reply.block(image.text()),
        1 => {
            let pixels = image.frame.pixels.iter();
            let bytes: Vec<u8> = pixels.flat_map(|count| count.to_le_bytes()).collect();
            context.reply.block(&bytes)
        }
        2 => {
            let temperatures = image.temperatures().map_err(TcamError::from)?;
            let mut bytes = Box::new([0; PIXELS * 4]);
            temperatures.write_celsius_le(&mut bytes);
            context.reply.block(&*bytes)
        }
        _ => {
            let metadata = image.metadata().map_err(TcamError::from)?.into_owned();
            let frame = image.frame.clone();
            let draw = move || picture::render(&metadata, &frame);
            let file = context.services.pool.run(draw).await?;
            context.reply.block(&file)
        }
    };
    Ok(())
}

fn temperature<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let of = args.choice(0);
        let pixel = (args.optional_integer(1), args.optional_integer(2));
        let pixel = match (of, pixel) {
            (4, (Some(x), Some(y))) => (x as usize, y as usize),
            (4, _) => return Err(Error::new(-109).with("THER:TEMP PIX,x,y")),
            (_, (None, None)) => (0, 0),
            _ => return Err(Error::new(-108).with("THER:TEMP x,y belong to PIX alone")),
        };
        let image = context.thermal()?.image().await?;
        let temperatures = || image.temperatures().map_err(TcamError::from);
        let celsius = match of {
            0 => spot(&image)?,
            1 => temperatures()?.min().celsius,
            2 => temperatures()?.max().celsius,
            3 => temperatures()?.mean(),
            _ => temperatures()?
                .pixel(pixel.0, pixel.1)
                .map_err(TcamError::from)?,
        };
        // The sum of rounded counts has no use for more digits.
        context.reply.real((celsius * 1e4).round() / 1e4);
        Ok(())
    })
}

/// The spot meter goes on measuring while AGC is on.
fn spot(image: &Image) -> Result<f64, Error> {
    let spot = image.telemetry().spot_celsius();
    spot.map(|spot| spot.mean).ok_or_else(|| {
        Error::new(-221).with("radiometry is off: the spot meter measures no temperature")
    })
}

fn telemetry<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let image = context.thermal()?.image().await?;
        context.json(&telemetry::report(&image))
    })
}

fn set_stream(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let thermal = context.thermal()?;
    if args.bool(0) && !thermal.is_connected() {
        return Err(absent(&thermal));
    }
    let stream = args.bool(0).then(|| {
        let delay = Duration::from_secs_f64(args.optional_real(1).unwrap_or(0.0));
        let frames = args.optional_integer(2).unwrap_or(0);
        let frames = u32::try_from(frames).ok().filter(|&frames| frames > 0);
        ImageStream {
            images: thermal.subscribe(Interest { delay, frames }),
            patience: delay + IMAGE_PATIENCE,
        }
    });
    context.session.images.replace(stream);
    Ok(())
}

fn has_stream(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let streams = context.session.images.borrow().is_some();
    context.reply.boolean(streams);
    Ok(())
}

fn next_image<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let none = || Error::new(-230).with("this connection has no stream, or it has ended");
        // Out of its place while it is waited for: the connection runs one command at a time.
        let stream = context.session.images.take();
        let mut stream = stream.ok_or_else(none)?;
        let thermal = context.thermal()?;
        if stream.images.waiting() == 0 && !thermal.is_connected() {
            context.session.images.replace(Some(stream));
            return Err(absent(&thermal));
        }
        let clock = context.services.clock.clone();
        let next = clock.timeout(stream.patience, stream.images.next()).await;
        if !matches!(next, Some(None)) {
            context.session.images.replace(Some(stream));
        }
        let image = next.ok_or_else(|| Error::new(-365).with("no image came"))?;
        let image = image.ok_or_else(none)?;
        answer_image(context, args.choice(0), &image).await
    })
}

fn count(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let session = context.session.clone();
    let stream = session.images.borrow();
    let images = stream.as_ref().map(|stream| &stream.images);
    let (waiting, lost) = images.map_or((0, 0), |images| (images.waiting(), images.dropped()));
    context.reply.integer(waiting as u64).integer(lost);
    Ok(())
}

fn correct(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let thermal = context.thermal()?;
    if !thermal.is_connected() {
        return Err(absent(&thermal));
    }
    let job = context.services.jobs.enter("flat-field correction");
    let running = job.clone();
    // At once: the next command of the message must see it.
    let calibrating = context.services.conditions.raise(Condition::Calibrating);
    running.begin();
    let work = async move {
        let aborted = async {
            running.aborted().await;
            Err(Failure::new(FailureKind::Aborted, "ended by the user"))
        };
        let result = futures_lite::future::or(aborted, run_ffc(&thermal, &running)).await;
        drop(calibrating);
        running.finish(result);
    };
    context.services.executor.spawn(work).detach();
    adopt(context, &job);
    Ok(())
}

/// Over when images come again: the camera acknowledges before the shutter is open.
async fn run_ffc(thermal: &Thermal, job: &Job) -> Result<(), Failure> {
    let failed = |error: TcamError| {
        let message = format!("the flat-field correction failed: {error}");
        Failure::new(FailureKind::Calibration, message)
    };
    thermal.run_ffc().await.map_err(failed)?;
    job.progress().set(0.5);
    thermal.image().await.map(drop).map_err(failed)
}

/// Why the camera takes no command.
fn absent(thermal: &Thermal) -> Error {
    use crate::base::health::State;
    let reason = match thermal.health().state() {
        State::Failed { reason, .. } | State::Degraded { reason } => reason,
        _ => "the thermal camera is being looked for".into(),
    };
    Error::new(-241).with(reason)
}

fn command<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let thermal = context.thermal()?;
        let command = Command::parse(args.text(0).as_bytes())
            .map_err(|rejection| Error::new(-224).with(rejection.to_string()))?;
        if matches!(command, Command::FwUpdateRequest(_) | Command::FwSegment(_)) {
            let reason = "the camera's firmware is not changed through Outpost";
            return Err(Error::new(-203).with(reason));
        }
        let response = thermal.request(command).await?;
        let mut text = Vec::new();
        response.write_json(&mut text);
        context.reply.block(&text);
        Ok(())
    })
}
