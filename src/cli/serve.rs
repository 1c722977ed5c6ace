//! `outpost serve`: the station in the foreground.

use std::process::ExitCode;

use super::{Arguments, Failure};
use crate::config::Config;

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let _loaded = Config::load(&arguments.sources())?;
    // The one call site of the station: `Ok(crate::app::serve(loaded))`.
    Err(Failure::Failed(
        "serve is not available in this version".into(),
    ))
}
