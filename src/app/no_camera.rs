//! The HQ camera of a real board in a build without libcamera: there is none.

use crate::camera::Source;
use crate::config::Loaded;

/// Nothing has to be settled.
pub(super) fn prepare(_loaded: &Loaded) {}

/// Says what is missing, and where it is to be had.
pub(super) fn source(_loaded: &Loaded) -> Option<Source> {
    tracing::warn!(
        "this build of Outpost has no support for the HQ camera (cargo feature `libcamera`); the Debian package `outpost` and the SD-card image have it"
    );
    None
}

/// Nothing was started.
pub(super) fn close() {}
