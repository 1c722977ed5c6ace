//! The HQ camera of a real board in a build without libcamera: the camera build of this program, where it lies beside.
//!
//! Whether a program that is linked with libcamera starts at all is decided by the dynamic loader, before `main`. So it
//! must not be the only one: this build starts everywhere, hands over to the camera build where that starts as well, and
//! where it does not, serves everything but the camera and says why.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::instruments::wants_libcamera;
use crate::camera::Source;
use crate::config::Loaded;

/// The camera build, from the folder that holds `bin`.
const CAMERA_BUILD: &str = "lib/outpost/outpost-camera";
/// For the camera build to say its version: libcamera itself is not started.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);
/// Longest part of its complaint that is repeated, in characters.
const LONGEST_COMPLAINT: usize = 300;

/// Why the camera build did not take over, where a camera is wanted: it is tried once, before anything is open.
static REFUSAL: OnceLock<String> = OnceLock::new();

/// Hands over to the camera build where the camera is wanted and that build starts: then this does not return.
pub(super) fn prepare(loaded: &Loaded) {
    if wants_libcamera(loaded) {
        REFUSAL.get_or_init(hand_over);
    }
}

/// Why there is none.
pub(super) fn source(_loaded: &Loaded) -> Result<Source, String> {
    let refusal = REFUSAL.get().map(String::as_str);
    Err(refusal
        .unwrap_or("the camera build of Outpost was not tried")
        .into())
}

/// Returns only where the camera build cannot take over: why not.
fn hand_over() -> String {
    let Some(program) = camera_build() else {
        return "this build of Outpost has no support for the HQ camera (cargo feature `libcamera`), and no camera \
                build lies beside it; the Debian package `outpost` and the SD-card image have one"
            .into();
    };
    if let Err(reason) = try_out(&program) {
        return reason;
    }
    // The same process: the service manager watches it.
    let error = Command::new(&program).args(env::args_os().skip(1)).exec();
    format!("{} cannot take over: {error}", program.display())
}

/// Nothing was started.
pub(super) fn close() {}

fn camera_build() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let path = program.parent()?.parent()?.join(CAMERA_BUILD);
    path.exists().then_some(path)
}

/// Whether the camera build starts, and is of this version; else why not.
fn try_out(program: &PathBuf) -> Result<(), String> {
    let shown = program.display();
    let child = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{shown} cannot be started: {error}"))?;
    let output = wait(child)
        .map_err(|error| format!("{shown} cannot be tried: {error}"))?
        .ok_or_else(|| format!("{shown} does not tell its version"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let wanted = concat!("outpost ", env!("CARGO_PKG_VERSION"));
    match output.status.success() {
        true if said.trim() == wanted => Ok(()),
        true => Err(format!(
            "{shown} is \"{}\", this is {wanted}: install both of one version",
            shortened(&said)
        )),
        false => Err(format!(
            "no HQ camera, as its program does not start: {}; install the libcamera it was built with, or the \
             package for this system",
            shortened(&String::from_utf8_lossy(&output.stderr))
        )),
    }
}

/// What the program said in its time; `None`, and it is ended, when it takes longer.
fn wait(mut child: Child) -> std::io::Result<Option<Output>> {
    let end = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(LOOK);
    }
    child.wait_with_output().map(Some)
}

fn shortened(text: &str) -> String {
    let line = text.trim().chars().take(LONGEST_COMPLAINT);
    line.map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}
