//! The command table: every header of the station, in one place.
//!
//! Parser, argument checks, `SYSTem:HELP` and the README's table are made from these rows. Each instrument has a file
//! with its rows and their handlers.

mod camera;
mod common;
mod files;
mod particle;
mod status;
mod system;
mod thermal;

use std::pin::Pin;

pub(super) use self::files::start_archive;
pub(super) use self::thermal::ImageStream;
use super::context::Context;
use super::services::Services;
use crate::scpi::{Args, Command, Error, NumericRange, Param, Tree, help};

/// What a row runs.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Done at once.
    Now(fn(&mut Context, &Args<'_>) -> Result<(), Error>),
    /// May wait; other sessions go on.
    Later(for<'a> fn(&'a mut Context, &'a Args<'_>) -> Waiting<'a>),
}

/// A handler at work.
pub type Waiting<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// A row of the table.
pub(super) type Row = Command<Handler>;

const TABLES: [&[Row]; 9] = {
    let [measuring, setting, network] = thermal::TABLES;
    [
        common::ROWS,
        status::ROWS,
        system::ROWS,
        camera::ROWS,
        files::ROWS,
        measuring,
        setting,
        network,
        particle::ROWS,
    ]
};

const fn row(
    instrument: &'static str,
    header: &'static str,
    params: &'static [Param],
    help: &'static str,
    handler: Handler,
) -> Row {
    Row {
        header,
        params,
        instrument,
        help,
        handler,
    }
}

const fn system_row(
    header: &'static str,
    params: &'static [Param],
    help: &'static str,
    handler: Handler,
) -> Row {
    row("system", header, params, help, handler)
}

const fn camera_row(
    header: &'static str,
    params: &'static [Param],
    help: &'static str,
    handler: Handler,
) -> Row {
    row("camera", header, params, help, handler)
}

const fn store_row(
    header: &'static str,
    params: &'static [Param],
    help: &'static str,
    handler: Handler,
) -> Row {
    row("store", header, params, help, handler)
}

/// The whole tree.
pub fn tree() -> Tree<Handler> {
    Tree::new(&TABLES)
}

/// The README's table in Markdown, one row a header.
pub fn help_rows() -> String {
    help::markdown_table(tree().commands())
}

/// Limits that depend on the running camera.
pub(super) fn live_range(services: &Services, row: &Row, _parameter: usize) -> NumericRange {
    camera::live_range(services, row.header)
}
