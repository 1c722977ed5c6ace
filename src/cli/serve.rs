//! `outpost serve`: the station in the foreground.

use std::process::ExitCode;

use super::{Arguments, Failure};
use crate::config::Config;

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let loaded = Config::load(&arguments.sources())
        .inspect_err(|errors| crate::app::cannot_start(&errors.to_string()))?;
    Ok(crate::app::serve(loaded))
}
