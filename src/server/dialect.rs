//! The FE-PyCam2 dialect: every command sequential, values outside their range clamped (hq-camera.md 3).

use super::commands::start_archive;
use super::context::Context;
use crate::base::jobs::JobState;
use crate::camera::{Camera, CaptureOrder, Change, Range};
use crate::scpi::Error;
use crate::scpi::legacy::{ArgumentError, Arguments, Header};
use crate::store::ArchiveOptions;

/// What the old server calls itself.
const IDENTITY: &str = "PiCam2";

/// The one reply of a command.
pub(super) enum Answer {
    /// Done.
    Ack,
    /// A value.
    Text(Vec<u8>),
    /// Done, and the connection is to be closed.
    Close,
}

/// Runs one command. An error becomes `nak` and an entry of the error queue.
pub(super) async fn run(
    context: &mut Context,
    header: Header,
    arguments: Arguments<'_>,
) -> Result<Answer, Error> {
    let services = context.services.clone();
    let text = |text: &str| Ok(Answer::Text(text.as_bytes().to_vec()));
    let change = match header {
        Header::Identity => return text(IDENTITY),
        Header::Echo if arguments.raw().is_empty() => return Err(ArgumentError::Missing(1).into()),
        Header::Echo => return Ok(Answer::Text(arguments.raw().to_vec())),
        Header::RamDiskFolder => return text(&services.paths.ramdisk),
        Header::ImageFolder => return text(&services.paths.images),
        Header::SdCardFolder => return text(&services.paths.sdcard),
        Header::Close => {
            if services.legacy_close_stops_service {
                services.trigger.fire();
            }
            return Ok(Answer::Close);
        }
        Header::Archive => return archive(context, arguments).await,
        Header::CaptureSequence => return capture(&context.camera()?, arguments).await,
        Header::ClipWindow => {
            context.camera()?.set_window(&arguments.integers(0)?)?;
            return Ok(Answer::Ack);
        }
        Header::Unpack => {
            context.camera()?.set_unpack(arguments.boolean(0)?);
            return Ok(Answer::Ack);
        }
        Header::Shrink => {
            context.camera()?.set_binning(arguments.integer(0)?)?;
            return Ok(Answer::Ack);
        }
        Header::Exposure => Change::Exposure(arguments.integer(0)?),
        Header::FrameRate => Change::FrameRate(arguments.real(0)?),
        Header::AnalogueGain => Change::Gain(arguments.real(0)?),
        Header::ColorGains => {
            let [red, blue] = arguments.real_array(0)?;
            Change::ColourGains(red, blue)
        }
        Header::ScalerCrop => {
            let ([x, y], [w, h]) = (arguments.integer_array(0)?, arguments.integer_array(1)?);
            Change::Crop([x, y, w, h])
        }
    };
    context.camera()?.configure(change, Range::Clamp).await?;
    Ok(Answer::Ack)
}

async fn capture(camera: &Camera, arguments: Arguments<'_>) -> Result<Answer, Error> {
    let order = CaptureOrder {
        prefix: arguments.text(0)?.to_owned(),
        exposures_us: arguments.integers(1)?,
        pictures: u32::try_from(arguments.integer(2)?.max(0)).unwrap_or(u32::MAX),
        log: {
            // tMax is read as the old server reads it, and not used.
            arguments.real(3)?;
            arguments.boolean(4)?
        },
        always_raw: true,
        range: Range::Clamp,
    };
    let job = camera.capture(order).await?;
    job.over().await;
    ended(job.state())
}

async fn archive(context: &Context, arguments: Arguments<'_>) -> Result<Answer, Error> {
    let options = ArchiveOptions {
        compress: arguments.boolean(2)?,
        multicore: arguments.boolean(3)?,
        suppress_parents: arguments.boolean(4)?,
    };
    let job = start_archive(
        &context.services,
        arguments.text(0)?,
        arguments.text(1)?,
        options,
    );
    job.over().await;
    ended(job.state())
}

fn ended(state: JobState) -> Result<Answer, Error> {
    match state {
        JobState::Failed(failure) => Err(failure.into()),
        JobState::Aborted => Err(Error::new(-200).with("ended by the user")),
        _ => Ok(Answer::Ack),
    }
}
