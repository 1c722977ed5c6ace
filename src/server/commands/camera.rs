//! `CAMera` and `CAPture` subtrees, and the image settings of `SRV:IMG`.

use super::system::{adopt, words};
use super::{Handler, Row, Waiting, camera_row};
use crate::camera::backend::{Exposure, StreamInfo};
use crate::camera::{
    COLOUR_GAIN_MAX, CaptureOrder, Change, Range as Bounds, exposure_range_us, frame_rate_range,
    gain_range, plain,
};
use crate::raw::formats::Format;
use crate::scpi::{Args, Error, Kind, Limit, Need, NumericRange, Param, Range, Unit};
use crate::server::context::{Context, Tail};
use crate::server::services::Services;

const FORMATS: &[&str] = &["raw", "npy", "fits", "tiff", "dng", "png"];
const LIMIT: &[Param] = &[Param::optional("limit", Kind::MinMaxDef)];
const PIXELS: Kind = Kind::Integer {
    range: Range::Plain(-65535.0, 65535.0),
    unit: None,
};
const COLOUR_GAIN: Kind = Kind::Real {
    range: Range::Fixed {
        min: 0.0,
        max: COLOUR_GAIN_MAX,
        default: 0.0,
    },
    unit: None,
};
/// Below 0 counts as 0, as FE-PyCam2 programs may send it.
const ROUNDS: Kind = Kind::Integer {
    range: Range::Fixed {
        min: -32768.0,
        max: 6.0,
        default: 0.0,
    },
    unit: None,
};
const EXPOSURE: Kind = Kind::Integer {
    range: Range::LiveOrZero,
    unit: Some(Unit::MICROSECOND),
};
const CAPTURE: &[Param] = &[
    Param::new("prefix", Kind::Text { max: 255 }),
    Param::new(
        "exposures",
        Kind::NumberList {
            range: Range::LiveOrZero,
            unit: Some(Unit::MICROSECOND),
            max: 1000,
            integer: true,
        },
    ),
    Param::new(
        "pictures",
        Kind::Integer {
            range: Range::Plain(0.0, 1e6),
            unit: None,
        },
    ),
    Param::new(
        "tmax",
        Kind::Real {
            range: Range::Plain(-1e9, 1e9),
            unit: Some(Unit::SECOND),
        },
    ),
    Param::new("log", Kind::Bool),
];

pub(super) const ROWS: &[Row] = &[
    camera_row(
        "CAMera:CONFigure:SS",
        &[Param::new("exposure", EXPOSURE)],
        "exposure time, 0 for automatic; waits until frames show it",
        Handler::Later(set_exposure),
    ),
    camera_row(
        "CAMera:CONFigure:SS?",
        LIMIT,
        "exposure time in microseconds, 0 for automatic",
        Handler::Now(exposure),
    ),
    camera_row(
        "CAMera:CONFigure:FR",
        &[Param::new(
            "rate",
            Kind::Real {
                range: Range::Live,
                unit: Some(Unit::HERTZ),
            },
        )],
        "frames per second",
        Handler::Later(set_rate),
    ),
    camera_row(
        "CAMera:CONFigure:FR?",
        LIMIT,
        "frames per second",
        Handler::Now(rate),
    ),
    camera_row(
        "CAMera:CONFigure:AG",
        &[Param::new(
            "gain",
            Kind::Real {
                range: Range::Live,
                unit: None,
            },
        )],
        "analogue gain",
        Handler::Later(set_gain),
    ),
    camera_row(
        "CAMera:CONFigure:AG?",
        LIMIT,
        "analogue gain",
        Handler::Now(gain),
    ),
    camera_row(
        "CAMera:CONFigure:AWB",
        &[
            Param::new("red", COLOUR_GAIN),
            Param::new("blue", COLOUR_GAIN),
        ],
        "color gains, 0,0 for automatic; raw data do not change",
        Handler::Later(set_colour),
    ),
    camera_row(
        "CAMera:CONFigure:AWB?",
        &[],
        "color gains, 0,0 for automatic",
        Handler::Now(colour),
    ),
    camera_row(
        "CAMera:CONFigure:SCLCRP",
        &[Param::list("x,y,w,h", PIXELS, Need::OneOf(&[4]))],
        "crop of the processed image; raw data do not change",
        Handler::Later(set_crop),
    ),
    camera_row(
        "CAMera:CONFigure:SCLCRP?",
        &[],
        "crop x,y,w,h",
        Handler::Now(crop),
    ),
    camera_row(
        "CAMera:FORMat",
        &[words("format", FORMATS)],
        "files made of each picture",
        Handler::Now(set_formats),
    ),
    camera_row(
        "CAMera:FORMat?",
        &[],
        "files made of each picture",
        Handler::Now(formats),
    ),
    camera_row(
        "CAMera:FRAMe?",
        &[Param::new("format", Kind::Choice(FORMATS))],
        "one new frame with the present window and binning, as a block",
        Handler::Later(frame),
    ),
    camera_row(
        "CAMera:METadata?",
        &[],
        "metadata of the newest frame, as JSON",
        Handler::Now(metadata),
    ),
    camera_row(
        "CAMera:STATus?",
        &[],
        "state and settings, as JSON",
        Handler::Now(status),
    ),
    camera_row(
        "CAMera:LIMits?",
        &[],
        "what the sensor allows, as JSON",
        Handler::Now(limits),
    ),
    camera_row(
        "CAP:SEQFET",
        CAPTURE,
        "take pictures of each exposure to the image folder; an overlapped operation",
        Handler::Later(capture),
    ),
    camera_row(
        "SRV:IMG:BCLP",
        &[Param::list("window", PIXELS, Need::OneOf(&[2, 4]))],
        "window: w,h centered or x,y,w,h; values are rounded down to even",
        Handler::Now(set_window),
    ),
    camera_row("SRV:IMG:BCLP?", &[], "window x,y,w,h", Handler::Now(window)),
    camera_row(
        "SRV:IMG:DBAY",
        &[Param::new("unpack", Kind::Bool)],
        "unpack to 12-bit pixels; off also sets SRNK 0",
        Handler::Now(set_unpack),
    ),
    camera_row(
        "SRV:IMG:DBAY?",
        &[],
        "whether pixels are unpacked",
        Handler::Now(unpack),
    ),
    camera_row(
        "SRV:IMG:SRNK",
        &[Param::new("rounds", ROUNDS)],
        "rounds of 2x2 summing; above 0 also unpacks",
        Handler::Now(set_binning),
    ),
    camera_row(
        "SRV:IMG:SRNK?",
        LIMIT,
        "rounds of 2x2 summing",
        Handler::Now(binning),
    ),
    camera_row(
        "SRV:IMG:SHRNK",
        &[Param::new("rounds", ROUNDS)],
        "the same as SRV:IMG:SRNK",
        Handler::Now(set_binning),
    ),
    camera_row(
        "SRV:IMG:SHRNK?",
        LIMIT,
        "the same as SRV:IMG:SRNK?",
        Handler::Now(binning),
    ),
];

/// Limits of the numbers that the running mode decides.
pub(super) fn live_range(services: &Services, header: &str) -> NumericRange {
    let Some((info, settings)) = services
        .camera
        .as_ref()
        .and_then(|camera| Some((camera.stream().ok()?, camera.settings())))
    else {
        // The handler answers that the camera is absent, whatever the number.
        return NumericRange {
            min: f64::MIN,
            max: f64::MAX,
            default: 0.0,
        };
    };
    let StreamInfo { limits, .. } = info;
    let ((min, max), default) = if header.contains("CONFigure:FR") {
        (frame_rate_range(&limits), services.camera_start.fps)
    } else if header.contains("CONFigure:AG") {
        (gain_range(&limits), services.camera_start.analogue_gain)
    } else {
        let (min, max) = exposure_range_us(&limits, &settings.controls);
        ((min.into(), max.into()), 0.0)
    };
    NumericRange { min, max, default }
}

/// Answers `MIN`, `MAX` or `DEF` from the limits, otherwise the present value.
fn setting(
    context: &mut Context,
    args: &Args<'_>,
    header: &str,
    present: impl FnOnce(&crate::camera::Settings) -> f64,
) -> Result<(), Error> {
    let camera = context.camera()?;
    camera.stream()?;
    let value = match args.optional_limit(0) {
        Some(limit) => live_range(&context.services, header).at(limit),
        None => present(&camera.settings()),
    };
    context.reply.real(value);
    Ok(())
}

fn change(context: &mut Context, change: Change) -> Waiting<'_> {
    Box::pin(async move { Ok(context.camera()?.configure(change, Bounds::Refuse).await?) })
}

fn set_exposure<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    change(context, Change::Exposure(args.integer(0)))
}

fn exposure(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    setting(
        context,
        args,
        "CAMera:CONFigure:SS",
        |settings| match settings.controls.exposure {
            Exposure::Auto => 0.0,
            Exposure::Manual(us) => us.into(),
        },
    )
}

fn set_rate<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    change(context, Change::FrameRate(args.real(0)))
}

fn rate(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    setting(context, args, "CAMera:CONFigure:FR", |settings| {
        1e6 / f64::from(settings.controls.frame_duration_us)
    })
}

fn set_gain<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    change(context, Change::Gain(args.real(0)))
}

fn gain(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    setting(context, args, "CAMera:CONFigure:AG", |settings| {
        plain(settings.controls.analogue_gain)
    })
}

fn set_colour<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    change(context, Change::ColourGains(args.real(0), args.real(1)))
}

fn colour(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let (red, blue) = context
        .camera()?
        .settings()
        .controls
        .colour_gains
        .unwrap_or_default();
    context.reply.real32(red).real32(blue);
    Ok(())
}

fn set_crop<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    let [x, y, w, h] = [0, 1, 2, 3].map(|i| args.integer(i));
    change(context, Change::Crop([x, y, w, h]))
}

fn crop(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let camera = context.camera()?;
    let layout = camera.stream()?.layout;
    let full = [0, 0, layout.width as u32, layout.height as u32];
    for value in camera.settings().controls.scaler_crop.unwrap_or(full) {
        context.reply.integer(value);
    }
    Ok(())
}

fn set_formats(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let mut formats = Vec::new();
    for i in 0..args.len() {
        let format = format(args, i)?;
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    context.camera()?.set_formats(formats);
    Ok(())
}

fn formats(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    for format in context.camera()?.settings().formats {
        context.reply.word(&format.extension().to_ascii_uppercase());
    }
    Ok(())
}

fn format(args: &Args<'_>, index: usize) -> Result<Format, Error> {
    FORMATS[args.choice(index)]
        .parse()
        .map_err(|_| Error::new(-224).with("format"))
}

fn frame<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let format = format(args, 0)?;
        let (bytes, reservation) = context.camera()?.frame(format).await?;
        context.reply.block_header(bytes.len() as u64);
        context.tail = Some(Tail::Bytes(bytes, reservation));
        Ok(())
    })
}

fn metadata(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let report = context.camera()?.metadata_report()?;
    context.json(&report)
}

fn status(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let report = context.camera()?.status_report()?;
    context.json(&report)
}

fn limits(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let report = context.camera()?.limits_report()?;
    context.json(&report)
}

fn capture<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let camera = context.camera()?;
        if let Some(name) = camera.capture_ordered() {
            return Err(Error::new(-213).with(format!("{name} is running")));
        }
        let order = CaptureOrder {
            prefix: args.text(0).to_owned(),
            exposures_us: args.list(1).iter().map(|&us| us as i64).collect(),
            pictures: args.integer(2) as u32,
            log: args.bool(4),
            always_raw: false,
            range: Bounds::Refuse,
        };
        let job = camera.capture(order).await?;
        adopt(context, &job);
        Ok(())
    })
}

fn set_window(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let values: Vec<i64> = (0..args.len()).map(|i| args.integer(i)).collect();
    Ok(context.camera()?.set_window(&values)?)
}

fn window(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let window = context.camera()?.window()?;
    for value in [window.x, window.y, window.w, window.h] {
        context.reply.integer(value as u64);
    }
    Ok(())
}

fn set_unpack(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    context.camera()?.set_unpack(args.bool(0));
    Ok(())
}

fn unpack(context: &mut Context, _: &Args<'_>) -> Result<(), Error> {
    let on = context.camera()?.settings().unpack;
    context.reply.boolean(on);
    Ok(())
}

fn set_binning(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    Ok(context.camera()?.set_binning(args.integer(0))?)
}

fn binning(context: &mut Context, args: &Args<'_>) -> Result<(), Error> {
    let rounds = match args.optional_limit(0) {
        Some(Limit::Max) => crate::raw::MAX_BINNING_ROUNDS,
        Some(Limit::Min | Limit::Default) => 0,
        None => context.camera()?.settings().binning,
    };
    context.reply.integer(rounds);
    Ok(())
}
