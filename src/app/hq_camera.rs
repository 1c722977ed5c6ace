//! The HQ camera of a real board: what libcamera is asked for, and what has to be settled before it starts.

use std::error::Error;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, io};

use super::instruments::wants_libcamera;
use crate::board::{Pipeline, RawPolicy};
use crate::camera::stream_format::{RawWish, Role, StreamWish};
use crate::camera::tuning::{self, Platform};
use crate::camera::{Source, libcamera};
use crate::config::Loaded;

const MODEL: &str = "imx477";
/// Columns and rows of the IMX477.
const FULL_SIZE: (u32, u32) = (4056, 3040);
/// Time for the camera thread to give libcamera back.
const REST_LIMIT: Duration = Duration::from_secs(1);

/// Settles the environment that libcamera reads. Where it lacks something the program starts itself anew with it:
/// libcamera brings threads before `main` begins, and with threads an environment must not be changed.
pub(super) fn prepare(loaded: &Loaded) {
    if !wants_libcamera(loaded) {
        return;
    }
    let tuning = platform(loaded).filter(|_| !libcamera::has_tuning());
    let tuning = tuning.and_then(|platform| {
        tuning::generate(platform.installed(), platform, &runtime_folder(loaded))
            .inspect_err(|error| {
                let cause = error.source().map(ToString::to_string);
                tracing::warn!(%error, cause, "automatic exposure uses libcamera's own tuning and may change the gain");
            })
            .ok()
    });
    let missing = libcamera::missing_environment(tuning);
    if missing.is_empty() {
        return;
    }
    let error = start_anew(missing);
    tracing::warn!(%error, "the camera is used with libcamera's own tuning and logs");
}

/// Same process, same arguments, more environment; returns only if it cannot be.
fn start_anew(environment: Vec<(&'static str, OsString)>) -> io::Error {
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| "outpost".into());
    match env::current_exe() {
        Ok(program) => Command::new(program)
            .arg0(name)
            .args(arguments)
            .envs(environment)
            .exec(),
        Err(error) => error,
    }
}

/// The camera of the board's pipeline.
pub(super) fn source(loaded: &Loaded) -> Result<Source, String> {
    let path = &loaded.board.camera;
    let raw = match path.raw {
        RawPolicy::Packed12 => RawWish::Packed12,
        RawPolicy::Unpacked16 { shift } => RawWish::Unpacked16 { shift },
    };
    let (role, size) = match path.pipeline {
        Pipeline::Virtual => (Role::Viewfinder, None),
        Pipeline::Vc4 | Pipeline::Pisp | Pipeline::Sim => (Role::Raw(raw), Some(FULL_SIZE)),
    };
    Ok(Source::Libcamera(StreamWish {
        model: MODEL.into(),
        role,
        size,
    }))
}

/// Lets libcamera come to rest before the process ends.
pub(super) fn close() {
    libcamera::close(REST_LIMIT);
}

fn platform(loaded: &Loaded) -> Option<Platform> {
    match loaded.board.camera.pipeline {
        Pipeline::Vc4 => Some(Platform::Vc4),
        Pipeline::Pisp => Some(Platform::Pisp),
        Pipeline::Virtual | Pipeline::Sim => None,
    }
}

/// Where systemd wants files of this run; the data folder where nobody says.
fn runtime_folder(loaded: &Loaded) -> PathBuf {
    let given = env::var("RUNTIME_DIRECTORY").unwrap_or_default();
    match given.split(':').next() {
        Some(folder) if !folder.is_empty() => folder.into(),
        _ => loaded.config.storage.data.clone(),
    }
}
